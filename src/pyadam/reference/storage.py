"""How numbers of float32 are kept in 16 bits: random rounding, and splitting in two halves.

Rounding to nearest is NumPy's cast, ``x.astype(dtype)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bits = NDArray[np.uint32]

_WORD = 2**64 - 1


def _mix(x: int) -> int:
    """Return the finaliser of SplitMix64 (Steele, Lea & Flood, 2014) of a word of 64 bits."""
    x = (x + 0x9E3779B97F4A7C15) & _WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
    return x ^ (x >> 31)


def random_bits(seed: int, t: int, stream: int, first: int, count: int) -> Bits:
    """Return 32 random bits for each of `count` elements of an optimizer, from number `first` on.

    They depend on the seed, the step `t` (from 1), the stream and the element's number among those of all parameters,
    and on nothing else. The upper 16 bits of stream 0 are for the parameter; state arrays share a stream in pairs, from
    1 on, of which the first takes the upper 16 bits and the second the lower ones.
    """
    key = _mix((_mix(seed) + t) & _WORD)
    elements = np.arange(first, first + count, dtype=np.uint64)
    random = np.empty(count, np.uint32)
    for block in np.unique(elements >> np.uint64(32)).tolist():
        mixed = _mix((_mix((key + stream) & _WORD) + block) & _WORD)
        start, twist = np.uint32(mixed & 0xFFFFFFFF), np.uint32(mixed >> 32)
        chosen = elements >> np.uint64(32) == block
        x = elements[chosen].astype(np.uint32) + start
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
        x = ((x ^ (x >> np.uint32(15))) + twist) * np.uint32(0xD35A2D97)
        random[chosen] = x ^ (x >> np.uint32(15))
    return random


def round_at_random(x: NDArray[np.float32], dtype: Any, random: Bits) -> Array:
    """Round a flat array to bfloat16 or float16, up as often as the part that is cut off is large.

    `random` has 16 bits. These, or the upper 13 for float16, are added to those that the format lacks; what carries
    counts. A subnormal float16 is first cut off 13 bits below its last one.
    """
    dtype = np.dtype(dtype)
    bits = x.view(np.uint32)
    magnitude, sign = bits & np.uint32(0x7FFFFFFF), bits & np.uint32(0x80000000)
    if dtype.name == "bfloat16":
        rounded = (magnitude + random) >> np.uint32(16)
        rounded = np.where(magnitude > 0x7F800000, np.uint32(0x7FC0), rounded)
    else:
        carry = random >> np.uint32(3)
        units = np.where(magnitude < 0x38800000, np.abs(x), np.float32(0)) * np.float32(2.0**37)
        subnormal = (units.astype(np.uint32) + carry) >> np.uint32(13)
        normal = np.minimum(((magnitude + carry) >> np.uint32(13)) - np.uint32(112 << 10), np.uint32(0x7C00))
        rounded = np.where(magnitude < 0x38800000, subnormal, normal)
        rounded = np.where(magnitude >= 0x47800000, np.uint32(0x7C00), rounded)
        rounded = np.where(magnitude > 0x7F800000, np.uint32(0x7E00), rounded)
    return (rounded | sign >> np.uint32(16)).astype(np.uint16).view(dtype)


def split(x: NDArray[np.float32], dtype: Any) -> tuple[Array, NDArray[np.int16]]:
    """Return the nearest bfloat16, halves away from zero, and what its bits lack to the float32's.

    A NaN becomes one whose bits lack nothing.
    """
    bits = x.view(np.uint32)
    is_nan = np.isnan(x)
    upper = np.where(is_nan, bits >> np.uint32(16) | np.uint32(0x40), (bits + np.uint32(0x8000)) >> np.uint32(16))
    missing = np.where(is_nan, np.uint32(0), bits)
    return upper.astype(np.uint16).view(np.dtype(dtype)), missing.astype(np.uint16).view(np.int16)


def join(upper: Array, missing: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the float32 that `split` was given.

    Where another zero or infinity was written to `upper` since, it is that.
    """
    bits = upper.view(np.uint16).astype(np.uint32) << np.uint32(16)
    joined = bits + missing.astype(np.int32).view(np.uint32)
    is_nan = joined & np.uint32(0x7FFFFFFF) > 0x7F800000
    return np.where(is_nan, bits, joined).view(np.float32)
