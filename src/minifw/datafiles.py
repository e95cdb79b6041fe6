"""Samples out of a user's own file, CSV or NPZ, with every fault named by its place."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minifw.errors import DataError, harmless, near_miss

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """All samples of a user's file, in its order, with the names of features and classes."""

    inputs: Floats
    labels: Integers
    features: tuple[str, ...]
    classes: tuple[str, ...]


def read_csv(path: Path, features: Sequence[str] | None, target: str | None) -> Table:
    """Read a CSV file with one line of column names, then one sample a line.

    `features` names the columns of numbers (None: all but the target), `target` the column of
    classes, any text (None: the last column).

    Raises:
        DataError: with file, line and column of the first fault.

    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, ValueError, csv.Error) as fault:
        raise _unreadable(path, fault) from None
    if len(rows) < 2:
        raise DataError(
            f"{path}: expects a line of column names and then samples, got {len(rows)} line(s)"
        )
    names = [name.strip() for name in rows[0][1]]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{path}:1: column names must differ, '{harmless(double)}' stands there twice"
        )
    target = names[-1] if target is None else target
    chosen = [name for name in names if name != target] if features is None else list(features)
    for name in [target, *chosen]:
        if name not in names:
            raise DataError(
                f"{path}:1: there is no column '{harmless(name)}'{near_miss(name, names)}"
            )
    places = [names.index(name) for name in chosen]
    inputs = np.empty((len(rows) - 1, len(places)))
    words = []
    for number, (line, row) in enumerate(rows[1:]):
        if len(row) != len(names):
            raise DataError(
                f"{path}:{line}: expects {len(names)} values, as in line 1, got {len(row)}"
            )
        for column, place in enumerate(places):
            inputs[number, column] = _number(path, line, names[place], row[place])
        words.append(row[names.index(target)].strip())
        if not words[-1]:
            raise DataError(
                f"{path}:{line}: column '{harmless(target)}' must hold a class, it is empty"
            )
    return _table(path, inputs, words, chosen)


def read_npz(path: Path, features: str, target: str) -> Table:
    """Read a NumPy .npz file: array `features` (samples, features), array `target` (samples,).

    Raises:
        DataError: an array is missing, misshapen, not finite, or needs pickle to be read.

    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = list(arrays.files)
            for name in (features, target):
                if name not in names:
                    raise DataError(
                        f"{path}: there is no array '{harmless(name)}'{near_miss(name, names)}"
                    )
            inputs, labels = arrays[features], arrays[target]
    except DataError:
        raise
    except Exception as fault:  # whatever a foreign file makes of the zip and npy readers
        raise _unreadable(path, fault) from None
    if inputs.ndim != 2 or inputs.shape[0] != labels.size or labels.ndim != 1 or not inputs.size:
        raise DataError(
            f"{path}: expects '{features}' of shape (samples, features) and '{target}' (samples,), "
            f"got {inputs.shape} and {labels.shape}"
        )
    if inputs.dtype.kind not in "fiu" or not np.isfinite(inputs).all():
        raise DataError(f"{path}: '{features}' must hold finite real numbers only")
    if labels.dtype.kind not in "iubUS":
        raise DataError(
            f"{path}: '{target}' must hold classes (whole numbers or text), got {labels.dtype}"
        )
    names = [f"{features}[{column}]" for column in range(inputs.shape[1])]
    return _table(path, inputs.astype(np.float64), [str(label) for label in labels.tolist()], names)


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{path}:{line}: column '{harmless(column)}' must hold a finite number, "
            f"got {text[:40]!r}"
        )
    return number


def _table(path: Path, inputs: Floats, words: list[str], features: Sequence[str]) -> Table:
    """Number the classes: by value where all are whole numbers, else by name."""
    numeric = all(word.removeprefix("-").isdecimal() for word in words)
    classes = sorted(set(words), key=int if numeric else str)
    if len(classes) < 2:
        raise DataError(f"{path}: expects at least two classes, all samples are '{classes[0]}'")
    if len(classes) > 1000:
        raise DataError(
            f"{path}: expects at most 1000 classes, got {len(classes)}; "
            "is the target a class at all?"
        )
    for name in classes:
        if not name.isprintable() or len(name) > 100:
            raise DataError(
                f"{path}: a class must be printable text of at most 100 characters, "
                f"got {ascii(name)[:60]}"
            )
    number = {word: position for position, word in enumerate(classes)}
    labels = np.array([number[word] for word in words], dtype=np.int64)
    return Table(inputs, labels, tuple(features), tuple(classes))


def _unreadable(path: Path, fault: Exception) -> DataError:
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    return DataError(f"{path}: cannot be read as data: {str(reason).splitlines()[0]}")
