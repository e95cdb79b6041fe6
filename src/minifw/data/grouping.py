"""Whole groups of samples, such as all those of a patient, that together are as many as asked."""

from __future__ import annotations

import numpy as np

from minifw.data.generated import Integers
from minifw.errors import DataError

Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def check_groups(groups: Integers, needed: int, for_what: str) -> None:
    """Raise a DataError if there are fewer groups than are needed."""
    if (there := len(np.unique(groups))) < needed:
        raise DataError(
            f"grouped needs at least {needed} groups, for {for_what}, and there "
            f"{'is' if there == 1 else 'are'} {there}; data.group names their column"
        )


def nearest(sizes: Integers, wanted: int) -> int:
    """Return the number of samples nearest to `wanted` that some whole groups have together.

    Not all groups: at least the smallest is left. Where the wanted number is smaller than each
    group, it is the size of the largest, so that each can be drawn. Of two as near it is the
    smaller.
    """
    if wanted < sizes.min():
        return int(sizes.max())
    most = int(sizes.sum() - sizes.min())
    totals = _totals(sizes, min(most, wanted + int(sizes.max())))
    low = totals & ((1 << (wanted + 1)) - 1)
    below = low.bit_length() - 1
    high = totals >> wanted
    above = wanted + (high & -high).bit_length() - 1 if high else below
    return below if wanted - below <= above - wanted or above < wanted else above


def _totals(sizes: Integers, most: int) -> int:
    """Return which totals up to `most` some groups have: bit t of the number is set for t."""
    found, mask = 1, (1 << (most + 1)) - 1
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        left, times = int(count), 1
        while left:  # 1, 2, 4, … of the groups of this size, and the rest
            times = min(times, left)
            found |= (found << (int(size) * times)) & mask
            left, times = left - times, 2 * times
    return found


def surely_there(sizes: Integers, gone: int) -> int:
    """Return a size that at least one of the groups has at most, whichever of `gone` samples go."""
    ordered = np.sort(sizes)
    return int(ordered[np.searchsorted(ordered.cumsum(), gone, side="right")])


def drawn(rng: np.random.Generator, sizes: Integers, size: int) -> Mask:
    """Return which groups are drawn: in a random order each that still fits into `size` samples.

    They may leave a part of these empty. No other order is tried then: the groups that fill it
    would be drawn by nearly each seed.
    """
    taken, left = np.zeros(len(sizes), bool), size
    for group in rng.permutation(len(sizes)).tolist():
        if 0 < sizes[group] <= left:
            taken[group] = True
            left -= int(sizes[group])
    return taken
