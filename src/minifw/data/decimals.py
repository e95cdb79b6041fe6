"""Numbers with a comma for their point, and with points between thousands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minifw.data.dialect import DECIMAL_COMMA, MOSTLY, THOUSANDS
from minifw.data.kinds import Mask, is_empty
from minifw.errors import DataError, short_word

if TYPE_CHECKING:
    import pyarrow as pa

_COMMA = f"{DECIMAL_COMMA}|{THOUSANDS.removesuffix('?')}"
_POINT = r"[+-]?[0-9]*\.[0-9]+"


def with_points(
    path: Path,
    names: Sequence[str],
    columns: list[pa.Array],
    decimal: str | None,
    notes: list[str],
) -> list[pa.Array]:
    """Return the columns with points in numbers that have commas, and none for thousands.

    If it is not said, numbers have commas where some do and no other number has a point. Points
    separate thousands in a column where all points of numbers stand before three digits.
    """
    commas = [_matches(column, _COMMA) for column in columns]
    if decimal is None and not any(mask.any() for mask in commas):
        return columns
    if decimal == ".":
        if any(mask.any() for mask in commas):
            notes.append(
                "numbers with a comma are taken as text, since data.decimal is '.'; "
                "see data.decimal"
            )
        return columns
    thousands = [_matches(column, THOUSANDS) for column in columns]
    points = [_matches(column, _POINT) for column in columns]
    pointed = [bool((mask & ~dots).any()) for mask, dots in zip(points, thousands, strict=True)]
    if decimal is None and any(pointed):
        _check_either(path, names, columns, commas, points, pointed)
        notes.append(
            "numbers with a comma are taken as text, since others have a point; see data.decimal"
        )
        return columns
    changed, separated, example = [], [], ""
    for name, column, dots, other in zip(names, columns, thousands, pointed, strict=True):
        if dots.any() and not other:
            separated.append(f"'{short_word(name)}' {int(dots.sum())}")
            example = example or column[int(np.argmax(dots))].as_py()
            column = _replaced(column, dots, ".", "")
        comma = _matches(column, DECIMAL_COMMA)
        changed.append(_replaced(column, comma, ",", ".") if comma.any() else column)
    if separated:
        notes.append(
            f"points are taken to separate thousands, as in {short_word(example)}, since decimals "
            f"have a comma: {', '.join(separated)}"
        )
    return changed


def _matches(column: pa.Array, pattern: str) -> Mask:
    """Return which cells match a regular expression as a whole."""
    from pyarrow import compute

    found = compute.match_substring_regex(column, f"^(?:{pattern})$")
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def _replaced(column: pa.Array, which: Mask, old: str, new: str) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

    return compute.if_else(pa.array(which), compute.replace_substring(column, old, new), column)


def _check_either(
    path: Path,
    names: Sequence[str],
    columns: Sequence[pa.Array],
    commas: Sequence[Mask],
    points: Sequence[Mask],
    pointed: Sequence[bool],
) -> None:
    """Raise a DataError if a column is of numbers if commas are decimal, and others have points."""
    for name, column, comma in zip(names, columns, commas, strict=True):
        whole = _matches(column, "[+-]?[0-9]+")
        known = len(column) - int(is_empty(column).sum())
        if comma.any() and (comma | whole).sum() >= MOSTLY * known:
            other = pointed.index(True)
            cells = (
                f"'{short_word(column[int(np.argmax(comma))].as_py())}' in column "
                f"'{short_word(name)}'",
                f"'{short_word(columns[other][int(np.argmax(points[other]))].as_py())}' in column "
                f"'{short_word(names[other])}'",
            )
            raise DataError(
                f"{path}: numbers have a comma, {cells[0]}, and a point, {cells[1]}; "
                "data.decimal: ',' takes both as numbers, '.' takes those with a comma as text"
            )
