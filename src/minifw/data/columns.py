"""Samples out of the text of a CSV file, a line of column names and then one sample a line."""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from minifw.data import cells
from minifw.data.generated import Floats, Integers
from minifw.data.reading import Gaps, check_memory, twice
from minifw.errors import DataError, short, short_word


def rows_of(path: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield all rows that are not empty, with their line numbers."""
    # Each cell ends with one of these characters and becomes a float64.
    cells_at_most = content.count(b",") + content.count(b"\n")
    check_memory(f"{path}: parsing this file", 8 * cells_at_most)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except UnicodeDecodeError:
        line = content[: _not_text(content)].count(b"\n") + 1
        raise DataError(f"{path}:{line}: cannot be read as data: not UTF-8 text") from None
    except csv.Error as fault:
        raise DataError(f"{path}:{reader.line_num}: cannot be read as data: {fault}") from None


def _not_text(content: bytes) -> int:
    """Return the position of the first byte that is not UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return len(content)


def names_of(path: Path, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    """Return the names of the columns, from the first line."""
    _, first = next(rows, (0, []))
    names = [name.strip() for name in first]
    if not names:
        raise DataError(f"{path}: expects a line of column names and then samples, got 0 line(s)")
    if (double := twice(names)) is not None:
        raise DataError(
            f"{path}:1: column names must differ, '{short_word(double)}' is there twice"
        )
    return names


def columns_of(
    path: Path,
    names: Sequence[str],
    rows: Iterator[tuple[int, list[str]]],
    features: Sequence[str],
    target: str | None,
    gaps: Gaps,
    targets: Sequence[str] = (),
    *,
    predict: bool = False,
) -> tuple[Floats, list[str], Integers]:
    """Return the features of all samples, the target's different cells, and each sample's index.

    For prediction the class of a sample may be missing. `targets` are those of the features that
    are to be predicted, numbers by regression; for prediction they may be missing too.
    """
    place_of = {name: place for place, name in enumerate(names)}
    columns = [(name, place_of[name]) for name in features]
    of_class = None if target is None else place_of[target]
    inputs, codes = array("d"), array("q")
    words: dict[str, int] = {}
    samples = 0
    for line, row in rows:
        samples += 1
        if len(row) != len(names):
            raise DataError(
                f"{path}:{line}: expects {len(names)} values, as in line 1, got {len(row)}"
            )
        for name, place in columns:
            value = cells.number(row[place])
            if value is None:
                must = f"{path}:{line}: column '{short_word(name)}' must hold a finite number"
                if predict and name in targets:
                    inputs.append(math.nan)
                    continue
                if not cells.missing(row[place]):
                    hint = "" if predict else "; data.features can leave this column out"
                    if name in targets:
                        hint = "; data.task: classification takes classes"
                    raise DataError(f"{must}, got {short(row[place])}{hint}")
                gaps.note(must, row[place])
                value = math.nan
            inputs.append(value)
        if of_class is not None:
            cell = row[of_class].strip()
            if cells.missing(cell) and not predict:
                must = f"{path}:{line}: column '{short_word(names[of_class])}' must hold a class"
                gaps.note(must, cell)
            codes.append(words.setdefault(cell, len(words)))
    if not samples:
        raise DataError(f"{path}: expects a line of column names and then samples, got 1 line(s)")
    numbers = np.frombuffer(inputs, np.float64).reshape(samples, len(columns))
    return numbers, list(words), np.array(codes, np.int64)
