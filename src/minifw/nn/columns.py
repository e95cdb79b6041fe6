"""Columns: for each place of a convolution's output the numbers that the kernel meets there.

For one network these are (numbers of a kernel) times as many numbers as an input has. So they are
made for a part of the networks, or of one network's rows, at a time: then they are still in the
processor's second cache when the product reads them, and take little memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from minifw.nn.buffers import room
from minifw.nn.windows import Windows

AT_ONCE = 262_144
"""Numbers in the columns of a chunk; what a network's chunk is never depends on the others."""


@dataclass(frozen=True)
class Chunk:
    """A part of the networks, of whole images or of some rows of their output places.

    Matrices are those of one group of channels of one network each.
    """

    windows: Windows
    matrices: slice  # its part of the matrices of all networks and groups
    networks: slice
    first: int  # row of output places
    rows: int
    whole: Tensor  # the padded inputs of its networks
    y: Tensor  # outputs, or their gradient, `(matrices, channels, places · samples)`
    columns: Tensor  # room, `(matrices, terms, places · samples)`

    def of(self, values: Tensor) -> Tensor:
        """Return the part of the matrices of all networks that belongs to this chunk, a view."""
        return values[self.matrices]

    def by_place(self) -> Tensor:
        """Return the room as `(networks, channels, *kernel, *places, samples)`, a view."""
        places = self.rows, *self.windows.outputs_of(self.whole)[1:]
        before = self.whole.shape[:2]
        return self.columns.view(*before, *self.windows.kernel, *places, self.whole.shape[-1])

    def gathered(self) -> Tensor:
        """Return the columns, written to the room."""
        self.by_place().copy_(self.windows.columns(self.whole, self.first, self.rows))
        return self.columns

    def add_to(self, total: Tensor) -> None:
        """Add each number of the room to the place of the inputs that the kernel meets it at."""
        total, kernel = total[self.networks], len(self.windows.kernel)
        parts = self.by_place().flatten(2, kernel + 1)
        places = tuple(parts.shape[3:-1])
        for number, of_y, of_x in self.windows.slices(places, tuple(total.shape[2:-1]), self.first):
            total[of_x].add_(parts[:, :, number][of_y])


def chunks(
    windows: Windows, groups: int, whole: Tensor, y: Tensor, *, whole_at_once: bool
) -> Iterator[Chunk]:
    """Yield the chunks of padded inputs and outputs, `(networks, channels, *places, samples)`.

    All chunks share one room for columns.
    """
    networks, channels, rows = *whole.shape[:2], y.shape[2]
    terms = channels // groups * math.prod(windows.kernel)
    a_row = y[0, 0, 0].numel()
    each = groups * terms * a_row * rows  # of one network
    together, some = networks, rows
    if not whole_at_once:
        together = min(networks, max(1, AT_ONCE // each))
        some = rows if each <= AT_ONCE else max(1, AT_ONCE * rows // each)
    space = room(whole, (together * groups * terms * a_row * some,))
    for start in range(0, networks, together):
        stop = min(networks, start + together)
        for first in range(0, rows, some):
            count = min(some, rows - first)
            part = y[start:stop] if count == rows else y[start:stop, :, first : first + count]
            matrices = (stop - start) * groups
            yield Chunk(
                windows,
                slice(start * groups, stop * groups),
                slice(start, stop),
                first,
                count,
                whole[start:stop],
                part.view(matrices, -1, a_row * count),
                space[: matrices * terms * a_row * count].view(matrices, terms, a_row * count),
            )
