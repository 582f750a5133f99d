"""The base of all rules: an immutable value of checked hyperparameters that makes the kernel's numbers of a step."""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn, TypeVar

from .._hyperparameters import Field, fields_of

Self = TypeVar("Self", bound="Rule")


class Rule:
    """Base of all rules.

    A subclass annotates its hyperparameters with the types of `_hyperparameters` and says how the kernel computes. Its
    docstring has the formula, the sources, and where libraries disagree; the classes of the front ends show it.

    Parameters
    ----------
    lr : float
        Step size, >= 0.
    betas : (float, float)
        Decay rates of the averages `m` and `v`, in [0, 1).
    eps : float
        Added to the denominator, >= 0.
    weight_decay : float
        Coefficient of `p` added to the gradient, >= 0.
    decoupled_weight_decay : bool
        Shrink `p` by ``1 - lr * weight_decay`` before the update, and leave the gradient alone.
    """

    #: What each hyperparameter may be, and its default: collected from the annotations. No dataclass, which would take
    #: half a millisecond per rule when pyadam is imported.
    fields: ClassVar[dict[str, Field]] = {}
    defaults: ClassVar[dict[str, Any]] = {}

    #: The kernel's name of the rule, where it is one whatever the hyperparameters.
    name: ClassVar[str]
    #: Hyperparameters that choose each of its kernels.
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    #: The hyperparameters on which `kernel` and `initial_state` depend: the fixed ones, and those named here.
    deciding: ClassVar[frozenset[str]] = frozenset()
    #: The numbers that the rule carries from step to step, by PyTorch's names, and what it carries to the first step.
    carries: ClassVar[tuple[str, ...]] = ()
    initial_carried: ClassVar[tuple[float, ...]] = ()
    #: Whether PyTorch's state of this rule has a step count.
    counts_steps_in_torch: ClassVar[bool] = True
    #: Whether an element's update depends on others of the same parameter, so that none can be cut.
    needs_whole_parameters: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        cls.fields = {**cls.fields, **fields_of(cls)}
        cls.defaults = {key: getattr(cls, key) for key in cls.fields}
        cls.deciding |= {key for key, field in cls.fields.items() if field.is_fixed}

    def __init__(self, **values: Any) -> None:
        """Take hyperparameters, checked already; the others have their defaults."""
        assert values.keys() <= self.fields.keys(), f"unknown hyperparameters {values.keys() - self.fields.keys()}"
        vars(self).update({**self.defaults, **values})

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is a value: {name} cannot be set, see `replaced`")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # hyperparameters may be arrays or functions

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"

    def replaced(self: Self, values: Mapping[str, Any]) -> Self:
        """Return the same rule with other values, checked already."""
        new = object.__new__(type(self))
        object.__setattr__(new, "__dict__", {**self.__dict__, **values})
        return new

    def kernel(self) -> str:
        """Return the kernel's name of the rule, or raise ValueError if hyperparameters do not go together."""
        return self.name

    def scalars(self, t: int, carried: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Return the kernel's numbers, in the order of the C++ header, for the step `t` (from 1).

        `carried` is what `carry` returned for that step.
        """
        raise NotImplementedError

    def carry(self, t: int, carried: tuple[float, ...]) -> tuple[float, ...]:
        """Return what is carried from the step `t`, of what was carried to it: doubles, saved with the state."""
        del t
        return carried

    def carried_after(self, t: int) -> tuple[float, ...]:
        """Return what is carried after `t` steps with these hyperparameters, for a state that does not say."""
        del t
        return self.initial_carried

    def decay(self) -> tuple[float, float]:
        """Return the coefficient of p in the gradient, and the factor of p before the update."""
        values: Any = self
        if values.decoupled_weight_decay:
            return 0.0, 1.0 - values.lr * values.weight_decay
        return values.weight_decay, 1.0

    def initial_state(self) -> float:
        """Return what the state arrays hold before the first step."""
        return 0.0
