"""Columns: for each place of a convolution's output the numbers that the kernel meets there.

A matrix of them, (numbers of the kernel) times (places · samples), makes one product of a whole
convolution, y = W columns. It is kernel times as large as the input, though. Where that is much,
and the kernel goes from row to row in steps of 1, only what *one row* of it meets is gathered, for
all rows of the input: what row i of the kernel meets are these columns from the input's row i on,
a view, so that y = Σ over i of W_i columns_i.

Columns are made for some networks at a time: so they take little memory, and are still in the
processor's cache when a product reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from minifw.nn.buffers import is_fused, room
from minifw.nn.windows import Windows

AT_ONCE = 262_144
"""Numbers in the columns of several networks; those of one may be more."""

FEW = 131_072
"""So many numbers of all columns of one network are made, since one product has less overhead."""


class Columns:
    """The columns of padded inputs, `(networks, channels, *places, samples)`.

    Matrices are those of one group of channels of one network each. `rows` is the number of
    products that a convolution is the sum of: the rows of the kernel, or 1.
    """

    def __init__(self, windows: Windows, groups: int, whole: Tensor) -> None:
        networks, channels, *_, samples = whole.shape
        kernel, places = windows.kernel, windows.outputs_of(whole)
        self.whole, self.groups, self.rows = whole, groups, 1
        many = channels * math.prod(kernel) * math.prod(places) * samples > FEW
        if many and windows.stride[0] == 1 and not is_fused():
            self.rows, kernel = kernel[0], (1, *kernel[1:])
        self.windows = replace(windows, kernel=kernel)
        self.terms = channels // groups * math.prod(kernel)
        self.step = windows.dilation[0] * math.prod(places[1:]) * samples
        self.places = math.prod(places) * samples
        self.shape = (channels, *kernel, *self.windows.outputs_of(whole), samples)
        self.together = max(1, AT_ONCE // max(1, math.prod(self.shape)))
        if is_fused():
            self.together = networks

    def parts(self) -> Iterator[tuple[slice, slice]]:
        """Yield the networks whose columns are made together, and their matrices."""
        networks = len(self.whole)
        for first in range(0, networks, self.together):
            last = min(networks, first + self.together)
            yield slice(first, last), slice(first * self.groups, last * self.groups)

    def room(self) -> Tensor:
        """Return room for the columns of a part."""
        return room(self.whole, (min(self.together, len(self.whole)), *self.shape))

    def gathered(self, part: slice, space: Tensor) -> list[Tensor]:
        """Return `pieces` of the columns of these networks, in the room or in the input itself."""
        met = self.windows.columns(self.whole[part])
        return self.pieces(met if met.is_contiguous() else space[: len(met)].copy_(met))

    def pieces(self, columns: Tensor) -> list[Tensor]:
        """Return views of columns `(matrices, terms, places · samples)`, one for each product."""
        matrices = columns.view(len(columns) * self.groups, self.terms, -1)
        starts = [row * self.step for row in range(self.rows)]  # steps are 0 without samples
        return [matrices[..., start : start + self.places] for start in starts]

    def weights(self, weight: Tensor) -> list[Tensor]:
        """Return weights `(…, outputs, inputs, *kernel)` as matrices `(outputs, terms)`, by row."""
        channels = self.whole.shape[1] // self.groups
        by_row = weight.reshape(
            len(self.whole) * self.groups, -1, channels, self.rows, self.terms // channels
        )
        return [*by_row.movedim(3, 0).flatten(3).unbind(0)]

    def weight_of(self, products: Tensor) -> Tensor:
        """Return `(rows, matrices, terms, outputs)` in the order of a weight, in 5 dimensions."""
        channels = self.whole.shape[1] // self.groups
        rows, matrices, terms, outputs = products.shape
        by_row = products.view(rows, matrices, channels, terms // channels, outputs)
        return by_row.permute(1, 4, 2, 0, 3)

    def add_to(self, total: Tensor, columns: Tensor) -> None:
        """Add each number of columns to the place of the inputs where the kernel meets it."""
        kernel = len(self.windows.kernel)
        parts = columns.flatten(2, kernel + 1)
        places, inputs = tuple(parts.shape[3:-1]), tuple(total.shape[2:-1])
        for number, of_y, of_x in self.windows.slices(places, inputs):
            total[of_x].add_(parts[:, :, number][of_y])
