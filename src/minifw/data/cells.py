"""The meaning of a cell of a user's file, CSV or NPZ: a number, missing, or text.

A *number* has ASCII digits, with or without a point or an exponent: `7`, `-0.5`, `1e-3`. `1_000`,
full-width digits, `0x10`, `inf`, and values beyond a float (`1e999`) are not numbers. *Missing*
are an empty cell and the words by which programs mark one (`MISSING`; `nan` in upper or lower case,
with or without a sign). Everything else is *text*. Spaces around a cell are ignored.

A class is any cell that is not missing. Cells with the same value are the same class, named by the
shortest form of the value: `1`, `01` and `1.0` are the class `1`; `true` and `TRUE` are `True`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation

MISSING = frozenset(
    [
        "",
        "?",
        "-",
        "NA",
        "na",
        "N/A",
        "n/a",
        "<NA>",
        "NaT",
        "null",
        "NULL",
        r"\N",
        "None",
        "#N/A",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
        "#NAME?",
        "#NUM!",
        "#NULL!",
    ]
)
"""The words of spreadsheets, R, SQL, pandas and Python for a missing cell; case matters.

`none` and `Na` are text: they are used for classes (no complaint, sodium).
"""

LONGEST = 100
"""Characters of a class's name, at most."""

NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""A number, as a regular expression."""
NAN = r"[+-]?nan"
_NUMBER = re.compile(NUMBER)
_LIKE_NUMBER = re.compile(
    r"[<>~≈]?[^\w\s]?\s?[-+\u2212\u2013]?\s?[^\w\s]?[0-9][0-9.,'’\s]*[^\w\s]?\s?[^\W\d_]{0,3}[%²³]?"
)
_NAN = re.compile(NAN, re.IGNORECASE)
_TRUTH = {"true": "True", "false": "False"}
_EXACT = Context(prec=2 * LONGEST)


def missing(cell: str) -> bool:
    """Return whether a cell marks a missing value."""
    cell = cell.strip()
    return cell in MISSING or _NAN.fullmatch(cell) is not None


def number(cell: str) -> float | None:
    """Return a cell's number as the nearest float; None if it is not a number."""
    cell = cell.strip()
    value = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def resembles_number(cell: str) -> bool:
    """Return whether a cell is a number as people write it: `1,234.5`, `$5`, `10 %`, `3 kg`."""
    return _LIKE_NUMBER.fullmatch(cell.strip()) is not None


def class_name(cell: str) -> str:
    """Return the name of a cell's class; cells with the same value have the same name."""
    cell = cell.strip()
    if (value := _exact(cell)) is not None:
        return _shortest(value)
    return _TRUTH.get(cell.lower(), cell)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of classes sorted by value if all are numbers, else as text.

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
    """Return the exact value of a number; None for any other cell."""
    rounded = number(cell) if len(cell) <= LONGEST else None
    if rounded is None:
        return None
    try:
        value = Decimal(cell)
    except InvalidOperation:  # an exponent with too many digits
        return None
    return None if value and not rounded else value  # 1e-999 is 0 as a float, but not the class 0


def _shortest(value: Decimal) -> str:
    if not value:
        return "0"  # with any sign
    value = value.normalize(_EXACT)
    plain = f"{value:f}"
    return plain if len(plain) <= 25 else str(value).lower()
