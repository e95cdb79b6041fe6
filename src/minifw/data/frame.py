"""The columns of a file as they were read, before anything is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Frame:
    path: Path
    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    checksum: str
    place: Callable[[int], str]
    named: bool = True
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    def where(self, row: int) -> str:
        return self.place(row)
