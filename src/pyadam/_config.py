"""What this build is and how it runs here."""

from __future__ import annotations

from . import _core


def show_config() -> None:
    """Print the version, the instruction sets in use and available, the threads and the compiler.

    ``python -m pyadam`` prints the same.

    Examples
    --------
    >>> import pyadam
    >>> pyadam.show_config()  # doctest: +ELLIPSIS
    pyadam:         ...
    ISA in use:     ... (PYADAM_ISA chooses)
    ISAs available: ...
    threads:        ... (PYADAM_NUM_THREADS caps, set_num_threads sets)
    compiler:       ...
    """
    lines = {
        "pyadam": _core.__version__,
        "ISA in use": f"{_core.isa()} (PYADAM_ISA chooses)",
        "ISAs available": ", ".join(_core.available_isas()),
        "threads": f"{_core.get_num_threads()} (PYADAM_NUM_THREADS caps, set_num_threads sets)",
        "compiler": _core.COMPILER,
    }
    for name, value in lines.items():
        print(f"{name + ':':<16}{value}")
