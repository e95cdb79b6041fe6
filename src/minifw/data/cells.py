"""What a cell of a user's file is: a number, missing, or text. One definition for CSV and NPZ.

A *number* is written in ASCII digits, with a point or an exponent or without: `7`, `-0.5`, `1e-3`.
So `1_000`, full-width digits, `0x10`, `inf`, and what no float holds (`1e999`) are none. *Missing*
is an empty cell, and each of the words by which programs mark one (`MISSING`; `nan` in letters of
any case, with a sign or without). All else is *text*. Spaces around a cell are no part of it.

A class is any cell that is not missing. Cells of one value are one class, whose name is the
shortest way to write that: `1`, `01` and `1.0` are the class `1`; `true` and `TRUE` are `True`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation

MISSING = frozenset(
    ["", "?", "-", "NA", "na", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None"]
)
"""How spreadsheets, R, SQL, pandas and Python write a missing cell, letter for letter.

`none` and `Na` are text: people write them for classes (no complaint, sodium).
"""

LONGEST = 100
"""Characters of a class's name."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NAN = re.compile(r"[+-]?nan", re.IGNORECASE)
_TRUTH = {"true": "True", "false": "False"}
_EXACT = Context(prec=2 * LONGEST)


def missing(cell: str) -> bool:
    """Return whether nothing is known of what should stand here."""
    cell = cell.strip()
    return cell in MISSING or _NAN.fullmatch(cell) is not None


def number(cell: str) -> float | None:
    """Return the number that a cell holds, to the nearest float; None if it holds none."""
    cell = cell.strip()
    value = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def class_name(cell: str) -> str:
    """Return the name of the class that a cell stands for; cells of one value give one name."""
    cell = cell.strip()
    if (value := _exact(cell)) is not None:
        return _shortest(value)
    return _TRUTH.get(cell.lower(), cell)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of classes by value if all are numbers, else in the order of text.

    Each value has one name, so there are no ties, and the order depends on the names alone.
    """
    values = {name: _exact(name) for name in names}
    numbers = [value for value in values.values() if value is not None]
    if len(numbers) == len(values):
        return [name for _, name in sorted(zip(numbers, values, strict=True))]
    return sorted(values)


def numbered(words: Iterable[str]) -> tuple[list[str], dict[str, int]]:
    """Return the classes that cells stand for, in order, and for each cell its class's number."""
    names = {word: class_name(word) for word in words}
    classes = in_order(names.values())
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, {word: numbers[name] for word, name in names.items()}


def _exact(cell: str) -> Decimal | None:
    """Return the value of a number, of which no digit is lost; None for any other cell."""
    rounded = number(cell) if len(cell) <= LONGEST else None
    if rounded is None:
        return None
    try:
        value = Decimal(cell)
    except InvalidOperation:  # of an exponent with twenty digits
        return None
    return None if value and not rounded else value  # 1e-999 is 0 as a float, and no class of it


def _shortest(value: Decimal) -> str:
    if not value:
        return "0"  # of any sign
    value = value.normalize(_EXACT)
    plain = f"{value:f}"
    return plain if len(plain) <= 25 else str(value).lower()
