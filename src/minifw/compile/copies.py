"""Copies of a step: which need not be made, and which need not go number by number.

Most copies only see the same numbers in other rows, as when images become rows. Where rows are
whole vectors, these have the same memory.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minifw.compile.values import Recording, Value


def find_dense(recording: Recording, length: int) -> set[Value]:
    """Return what is copied, or made by copying, and has rows of whole vectors.

    Their rows follow each other without gaps.
    """
    copies = [value for value in recording.values if value.op == "copy"]
    found = {*copies, *(piece.value for value in copies for piece in value.pieces)}
    return {value for value in found if value.shape[1] % length == 0}


def same_numbers(copy: Value) -> Value | None:
    """Return the value of which a copy has all numbers in the same order, if there is one."""
    if len(copy.pieces) != 1:
        return None
    (piece,) = copy.pieces
    count = prod(copy.shape)
    whole = (piece.sizes, piece.start, piece.strides, piece.to_start, piece.to_strides)
    fits = whole == ((count,), 0, (1,), 0, (1,)) and prod(piece.value.shape) == count
    return piece.value if fits else None


def is_covered(copy: Value) -> bool:
    """Whether pieces write each number of a copy: otherwise some are 0."""
    count = prod(copy.shape)
    if sum(prod(piece.sizes) for piece in copy.pieces) < count:
        return False
    written = np.zeros(count, bool)
    for piece in copy.pieces:
        strides = piece.to_strides
        as_strided(written[piece.to_start :], piece.sizes, strides)[...] = True  # of one byte each
    return bool(written.all())
