"""One kernel: a loop nest, which computes one or several values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from minifw.compile.values import Shape, Value

Layout = Literal["across", "down", "flat"]
"""`across`: row after row, each padded to whole vectors, so that vectors run along the columns.
`down`: the same for the transposed matrix. `flat`: row after row without gaps."""

OVER_ROWS = ("sum_rows", "max_rows", "min_rows")
OVER_COLUMNS = ("sum_columns", "max_columns", "min_columns")


@dataclass(eq=False)
class Kernel:
    """One loop nest: a root and the element-wise operations on its result."""

    root: Value | None
    """A product, a reduction or a copy; None if all is element-wise."""
    maps: list[Value] = field(default_factory=list)
    directions: list[Layout] = field(default_factory=list)
    """Along what its vectors run, `across` or `down`; both if it is computed twice."""
    totals: bool = False
    """Whether it adds to its result, once for each chunk of the batch."""
    panels: bool = False
    """Whether a product transposes the operand whose vectors it needs, piece by piece."""
    dots: bool = False
    """Whether the vectors of a product run along the terms of its sums."""
    long: bool = False
    """Whether they do, in a loop over many."""
    conversions: list[tuple[Value, Layout, Layout]] = field(default_factory=list)
    """What is copied to another layout afterwards: (value, from, to)."""

    @property
    def values(self) -> list[Value]:
        """All values that it computes, in order."""
        return [*([] if self.root is None else [self.root]), *self.maps]

    @property
    def shape(self) -> Shape:
        """The shape of its result."""
        return self.values[0].shape
