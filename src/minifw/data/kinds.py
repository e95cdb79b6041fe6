"""What the columns of a file hold: numbers, truth values or words.

`cells.py` defines the meaning of one cell; here it is asked of whole columns at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from minifw.data import cells
from minifw.data.generated import Floats, Integers

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "truth", "words"]

Mask = NDArray[np.bool_]

TRUTHS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"))
"""Pairs of words for 0 and 1, in lower case; all cells of a column are of one pair."""

MOSTLY = 0.9
"""A column of which this share are numbers is one of numbers, and its other cells are faults."""
SLIPS = 2
"""And so is one of which half are numbers, with at most so many different words."""


@dataclass(frozen=True)
class Column:
    """A column of a file as float64, `(rows,)`.

    `values` are numbers; 0 and 1 of truth values; of words the place in `categories`. They are NaN
    where a cell is missing, and where it is `wrong`, which is not of the column's kind.
    """

    name: str
    kind: Kind
    values: Floats
    categories: tuple[str, ...]
    missing: Mask
    wrong: Mask


def column_of(name: str, values: pa.Array, kind: Kind | None = None) -> Column:
    """Return a column, of the kind that it is seen to have unless one is given.

    `values` are cells, as text, or numbers or truth values of a file that has types.
    """
    import pyarrow as pa

    is_text = pa.types.is_string(values.type)
    if kind == "words":
        return _of_words(name, values if is_text else values.cast(pa.string()))
    if not is_text:
        return _of_types(name, values, kind)
    if kind == "truth":
        return _of_truth(name, values, TRUTHS)
    numbers, missing, wrong = numbers_of(values)
    if kind == "number" or _is_of_numbers(values, missing, wrong):
        return Column(name, "number", numbers, (), missing, wrong)
    return _seen(name, values)


def _of_types(name: str, values: pa.Array, kind: Kind | None) -> Column:
    """Return a column of numbers or truth values of a file that has types."""
    import pyarrow as pa

    # Not safe: whole numbers beyond 2**53 are rounded.
    wide = values.cast(pa.float64(), safe=False)
    numbers = np.asarray(wide.to_numpy(zero_copy_only=False), np.float64)
    missing = np.isnan(numbers)
    is_truth = kind == "truth" or (kind is None and pa.types.is_boolean(values.type))
    wrong = ~np.isin(numbers, [0, 1]) & ~missing if is_truth else np.isinf(numbers)
    if wrong.any():
        numbers = np.where(wrong, np.nan, numbers)
    return Column(name, "truth" if is_truth else "number", numbers, (), missing, wrong)


def _is_of_numbers(values: pa.Array, missing: Mask, wrong: Mask) -> bool:
    """Return whether the cells that are no numbers are slips in a column of numbers."""
    import pyarrow as pa
    from pyarrow import compute

    present, words = len(missing) - int(missing.sum()), int(wrong.sum())
    if words <= (1 - MOSTLY) * present:
        return True
    if words > present / 2:
        return False
    return int(compute.count_distinct(values.filter(pa.array(wrong))).as_py()) <= SLIPS


def numbers_of(values: pa.Array) -> tuple[Floats, Mask, Mask]:
    """Return the numbers of cells, and which cells are missing, and which are no numbers."""
    import pyarrow as pa
    from pyarrow import compute

    none = np.zeros(len(values), bool)
    try:  # all are numbers in most columns
        numbers = compute.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
        if np.isfinite(numbers).all():
            return np.asarray(numbers, np.float64), none, none
    except pa.ArrowInvalid:
        pass
    missing = missing_of(values)
    is_number = _mask(compute.match_substring_regex(values, f"^(?:{cells.NUMBER})$"))
    bare = compute.utf8_ltrim(compute.if_else(pa.array(is_number), values, None), "+")
    numbers = np.asarray(compute.cast(bare, pa.float64()).to_numpy(zero_copy_only=False), float)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)  # 1e999 is not a number
    return numbers, missing, np.isnan(numbers) & ~missing


def missing_of(values: pa.Array) -> Mask:
    """Return which cells mark a missing value."""
    import pyarrow as pa
    from pyarrow import compute

    if not pa.types.is_string(values.type):
        return _mask(values.is_null(nan_is_null=True))
    words = compute.is_in(values, value_set=pa.array(sorted(cells.MISSING)))
    nan = compute.match_substring_regex(values, f"^(?:{cells.NAN})$", ignore_case=True)
    return _mask(words) | _mask(nan) | _mask(values.is_null())


def is_empty(values: pa.Array) -> Mask:
    """Return which cells of text are empty."""
    from pyarrow import compute

    return _mask(compute.equal(compute.binary_length(values), 0))


def words_of(values: pa.Array) -> tuple[list[str], Integers]:
    """Return the different cells of a column, and the place of each cell among them."""
    import pyarrow as pa
    from pyarrow import compute

    text = values if pa.types.is_string(values.type) else values.cast(pa.string())
    coded = compute.dictionary_encode(text.fill_null(""))
    return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)


def _seen(name: str, values: pa.Array) -> Column:
    """Return a column of text as truth values if all cells are of one pair, or as words."""
    words = {word.lower() for word in words_of(values)[0] if not cells.missing(word)}
    for pair in TRUTHS:
        if words <= {*pair}:
            return _of_truth(name, values, [pair])
    return _of_words(name, values)


def _of_truth(name: str, values: pa.Array, pairs: Sequence[tuple[str, str]]) -> Column:
    """Return cells of these pairs, and the numbers 0 and 1, as truth values."""
    truth = {word: float(place) for pair in pairs for place, word in enumerate(pair)}
    truth |= {"0": 0.0, "1": 1.0}
    words, codes = words_of(values)
    gaps = np.array([cells.missing(word) for word in words], bool)[codes]
    numbers = np.array([truth.get(cells.class_name(word).lower(), np.nan) for word in words])
    found = numbers[codes]
    return Column(name, "truth", found, (), gaps, np.isnan(found) & ~gaps)


def _of_words(name: str, values: pa.Array) -> Column:
    words, codes = words_of(values)
    gaps = np.array([cells.missing(word) for word in words], bool)
    categories, number = cells.numbered(
        [word for word, gap in zip(words, gaps, strict=True) if not gap]
    )
    places = np.array([np.nan if gap else number[word]
                       for word, gap in zip(words, gaps, strict=True)])  # fmt: skip
    missing = gaps[codes]
    return Column(
        name, "words", places[codes], tuple(categories), missing, np.zeros(len(codes), bool)
    )


def _mask(values: Any) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), bool)
