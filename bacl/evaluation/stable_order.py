"""Stable orders of many numbers in linear time.

NumPy sorts numbers of 16 bits by radix, and longer ones by comparing, which takes several times as
long. Here longer ones are sorted digit by digit, each of 16 bits, the lowest first; digits that all
numbers share are left out, such as the low ones of scores that a network gave in 32 bits.
"""

import numpy as np

_FEW = 1 << 10  # of which there are no more than these, NumPy is as quick
_DIGIT = 16  # bits


def descending(values: np.ndarray) -> np.ndarray:
    """(N,) int64: positions of the finite `values` (N,) float64, largest first, stable."""
    if len(values) <= _FEW:
        return np.argsort(-values, kind="stable")
    bits = (values + 0.0).view(np.int64)  # a negative zero becomes the other one, its equal
    # Of positive numbers a larger one has larger bits, of negative ones smaller bits.
    np.bitwise_xor(bits, np.iinfo(np.int64).max, out=bits, where=bits >= 0)
    return _by_digits(bits)


def ascending(keys: np.ndarray) -> np.ndarray:
    """(N,) int64: positions of the `keys` (N,), integers of at least 0, smallest first, stable."""
    if (keys[1:] >= keys[:-1]).all():
        return np.arange(len(keys))
    most = int(keys.max(initial=0))
    if most < 1 << _DIGIT:
        return np.argsort(keys.astype(np.uint16), kind="stable")
    return _by_digits(keys.astype(np.uint32 if most < 1 << 2 * _DIGIT else np.uint64))


def _by_digits(words: np.ndarray) -> np.ndarray:
    """Of (N,) words of 32 or 64 bits, taken without sign."""
    order = None
    little = words.astype(words.dtype.newbyteorder("<"), copy=False)
    for digit in little.view("<u2").reshape(len(words), -1).T:
        own = np.ascontiguousarray(digit)
        if (own != own[0]).any():
            turn = np.argsort(own if order is None else own.take(order), kind="stable")
            order = turn if order is None else order.take(turn)
    return np.arange(len(words)) if order is None else order
