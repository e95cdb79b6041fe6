"""Samples out of a user's own file, CSV or NPZ, with every fault named by its place.

A file is opened once and its bytes are read once: what is parsed is what the checksum is of. What
a cell is, in either kind of file, stands in `cells.py`.
"""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minifw.data import cells
from minifw.errors import ArtefactError, DataError, did_you_mean, short, short_word
from minifw.system import machine
from minifw.system.files import checksum, open_input

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_CLASSES = 1000
MOST_HEADER = 10_000
"""Bytes of the header of an array; NumPy takes no more either."""


@dataclass(frozen=True)
class Table:
    """All samples of a user's file, in its order, with the names of features and classes."""

    inputs: Floats
    labels: Integers
    features: tuple[str, ...]
    classes: tuple[str, ...]
    checksum: str
    """SHA-256 of the bytes that were parsed."""
    target: str
    """Column or array of the classes."""


def read_csv(
    path: Path, features: Sequence[str] | None, target: str | None, *, expected: str | None = None
) -> Table:
    """Read a CSV file with one line of column names, then one sample a line.

    `features` names the columns of numbers (None: all but the target), `target` the column of
    classes (None: the last column). `expected` is the checksum that the file must have.

    Raises:
        DataError: with file, line and column of the first fault.
        ArtefactError: the file is not the expected one.

    """
    content, found = _contents(path, expected)
    rows = _rows(path, content)
    names = _names(path, rows)
    target = names[-1] if target is None else target
    chosen = [name for name in names if name != target] if features is None else list(features)
    known = set(names)
    for name in [target, *chosen]:
        if name not in known:
            raise DataError(
                f"{path}:1: there is no column '{short_word(name)}'{_near(name, names)}"
            )
    if not chosen:
        raise DataError(f"{path}:1: expects a column beside the target '{short_word(target)}'")
    _check_once(path, chosen, target)
    gaps = _Gaps(", or choose other columns by data.features and data.target")
    inputs, words, codes = _columns(path, names, rows, chosen, target, gaps)
    gaps.check()
    return _table(path, inputs, words, codes, chosen, found, target)


def read_npz(path: Path, features: str, target: str, *, expected: str | None = None) -> Table:
    """Read a NumPy .npz file: array `features` (samples, features), array `target` (samples,).

    `expected` is the checksum that the file must have.

    Raises:
        DataError: an array is missing, misshapen, not finite, too large for the memory that is
            free, or needs pickle to be read.
        ArtefactError: the file is not the expected one.

    """
    if features == target:
        name = short_word(target)
        raise DataError(f"{path}: data.features and data.target both name the array '{name}'")
    content, found = _contents(path, expected)
    arrays = _arrays(path, content, [features, target])
    inputs, labels = arrays[features], arrays[target]
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1] or not inputs.size:
        raise DataError(
            f"{path}: expects '{short_word(features)}' of shape (samples, features) and "
            f"'{short_word(target)}' (samples,), got {inputs.shape} and {labels.shape}"
        )
    gaps = _Gaps(", or choose other arrays by data.features and data.target")
    numbers = _numbers(path, features, inputs, gaps)
    words, codes = _words(path, target, labels)
    missing = np.array([cells.missing(word) for word in words])[codes]
    if missing.any():
        row = int(missing.argmax())
        must = f"{path}: {short_word(target)}[{row}] must hold a class"
        gaps.note(must, words[codes[row]], int(missing.sum()))
    gaps.check()
    names = _of_array(features, inputs.shape[1])
    return _table(path, numbers, words, codes, names, found, target)


def read_inputs(
    path: Path, features: Sequence[str], target: str | None = None
) -> tuple[Floats, list[str | None] | None, str]:
    """Read samples of which the features are known, to put them through a trained network.

    Args:
        path: a CSV file, whose other columns are not looked at, or an NPZ file; its content tells.
        features: their names, in the order in which they are wanted; those of a `Table`.
        target: column or array of classes; the file need not have it.

    Returns:
        The inputs `(n, features)`, and for each row the name of its class, None where it is
        missing; or None in place of all names where the file has no such column. And the file's
        checksum.

    Raises:
        DataError: with the place of the first fault, or all columns that are not there.

    """
    content, found = _contents(path, None)
    gaps = _Gaps()
    read = _npz_inputs if content.startswith(b"PK") else _csv_inputs  # as all zip archives do
    inputs, classes = read(path, content, features, target, gaps)
    gaps.check()
    if classes is None:
        return inputs, None, found
    words, codes = classes
    names = [None if cells.missing(word) else cells.class_name(word) for word in words]
    return inputs, [names[code] for code in codes], found


def _csv_inputs(
    path: Path, content: bytes, features: Sequence[str], target: str | None, gaps: _Gaps
) -> tuple[Floats, tuple[list[str], Integers] | None]:
    rows = _rows(path, content)
    names = _names(path, rows)
    known = set(names)
    if absent := [name for name in features if name not in known]:
        shown = ", ".join(f"'{short_word(name)}'" for name in absent[:20])
        more = f" and {len(absent) - 20} more" if len(absent) > 20 else ""
        # Of one column the name may be misspelt; several are of another file.
        near = _near(absent[0], names)
        if len(absent) > 1:
            near = _shown(names)
        raise DataError(f"{path}:1: there is no column {shown}{more}{near}")
    target = target if target in known else None
    inputs, words, codes = _columns(path, names, rows, features, target, gaps, predict=True)
    return inputs, None if target is None else (words, codes)


def _npz_inputs(
    path: Path, content: bytes, features: Sequence[str], target: str | None, gaps: _Gaps
) -> tuple[Floats, tuple[list[str], Integers] | None]:
    name = features[0].rpartition("[")[0]
    if list(features) != _of_array(name, len(features)):
        raise DataError(
            f"{path}: an archive of arrays has no columns named '{short_word(features[0])}', …; "
            "a CSV file has"
        )
    arrays = _arrays(path, content, [name], target)
    inputs, labels = arrays[name], arrays.get(target or "")
    if inputs.ndim != 2 or inputs.shape[1] != len(features) or not inputs.size:
        raise DataError(
            f"{path}: expects '{short_word(name)}' of shape (samples, {len(features)}), "
            f"got {inputs.shape}"
        )
    if labels is not None and labels.shape != inputs.shape[:1]:
        raise DataError(
            f"{path}: expects '{short_word(target or '')}' of shape ({len(inputs)},), "
            f"got {labels.shape}"
        )
    numbers = _numbers(path, name, inputs, gaps)
    return numbers, None if labels is None else _words(path, target or "", labels)


# ------------------------------------------------------------------------------------- any file


def _contents(path: Path, expected: str | None) -> tuple[bytes, str]:
    """Return the bytes of a file and their checksum."""
    try:
        with open_input(path) as file:
            _check_memory(f"{path}: reading this file", os.fstat(file.fileno()).st_size)
            content = file.read()
    except (OSError, ValueError) as fault:  # a NUL byte in the name is a ValueError
        raise _unreadable(path, fault) from None
    found = checksum(content)
    if expected not in (None, found):
        raise ArtefactError(f"{path}: this data file has changed since the run began")
    return content, found


def _check_memory(what: str, needed: int) -> None:
    if needed > (free := machine.available()):
        raise DataError(
            f"{what} needs about {machine.gigabytes(needed)} of memory, "
            f"{machine.gigabytes(free)} are free; fewer samples in it would help"
        )


class _Gaps:
    """The missing cells of a file: how many there are, and where the first one is.

    `instead` is what helps beside a file without them.
    """

    def __init__(self, instead: str = "") -> None:
        self.instead, self.count, self.first = instead, 0, ""

    def note(self, must: str, cell: str, count: int = 1) -> None:
        """Count some; `must` says where the first of them is and what it must hold."""
        if not self.count:
            self.first = f"{must}, got {short(cell)}"
        self.count += count

    def check(self) -> None:
        """Raise a DataError if there is any."""
        if self.count:
            which = (
                "only missing cell" if self.count == 1 else f"first of {self.count} missing cells"
            )
            raise DataError(
                f"{self.first}, the {which}; complete the file or leave such samples out of it"
                f"{self.instead}"
            )


def _check_once(path: Path, features: Sequence[str], target: str) -> None:
    """No column is used twice."""
    if target in features:
        raise DataError(
            f"{path}: column '{short_word(target)}' is the target (data.target, by default the "
            "last column), so it must not be one of data.features"
        )
    if (double := _twice(features)) is not None:
        raise DataError(f"{path}: data.features names column '{short_word(double)}' twice")


def _near(name: str, names: Iterable[str]) -> str:
    """Return what is near, or known; names of any length come from a file."""
    return did_you_mean(name, [known if len(known) <= 100 else f"{known[:99]}…" for known in names])


def _shown(names: Sequence[str]) -> str:
    """Return which columns there are, the first of them if there are many."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"; known here: {', '.join(map(short_word, names[:20]))}{more}"


def _twice(names: Sequence[str]) -> str | None:
    """Return a name that stands there more than once."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _table(
    path: Path,
    inputs: Floats,
    words: Sequence[str],
    codes: Integers,
    features: Sequence[str],
    found: str,
    target: str,
) -> Table:
    """Name the classes of the target's different cells, `words`, and number them in order.

    Sample i has the class of the cell `words[codes[i]]`.
    """
    names = [cells.class_name(word) for word in words]
    classes = cells.in_order(names)
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{path}: expects at most {MOST_CLASSES} classes, got {len(classes)}; "
            "is the target a class at all?"
        )
    for name in classes:
        if not name.isprintable() or len(name) > cells.LONGEST:
            raise DataError(
                f"{path}: a class must be printable text of at most {cells.LONGEST} characters, "
                f"got {ascii(name)[:60]}"
            )
    if len(classes) < 2:
        raise DataError(
            f"{path}: expects at least two classes, all samples are '{short_word(classes[0])}'"
        )
    number = {name: position for position, name in enumerate(classes)}
    labels = np.array([number[name] for name in names], np.int64)[codes]
    return Table(inputs, labels, tuple(features), tuple(classes), found, target)


def _unreadable(path: Path, fault: Exception) -> DataError:
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    lines = reason.splitlines() or [type(fault).__name__]
    return DataError(f"{path}: cannot be read as data: {lines[0][:200]}")


# ------------------------------------------------------------------------------------------ CSV


def _rows(path: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield all lines that are not empty, with their numbers."""
    # Each cell ends with one of these signs and becomes a float64.
    cells_at_most = content.count(b",") + content.count(b"\n")
    _check_memory(f"{path}: parsing this file", 8 * cells_at_most)
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
    """Return where the first byte stands that is not of UTF-8 text."""
    try:
        content.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return len(content)


def _names(path: Path, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    """Return the names of the columns, from the first line."""
    _, first = next(rows, (0, []))
    names = [name.strip() for name in first]
    if not names:
        raise DataError(f"{path}: expects a line of column names and then samples, got 0 line(s)")
    if (double := _twice(names)) is not None:
        raise DataError(
            f"{path}:1: column names must differ, '{short_word(double)}' stands there twice"
        )
    return names


def _columns(
    path: Path,
    names: Sequence[str],
    rows: Iterator[tuple[int, list[str]]],
    features: Sequence[str],
    target: str | None,
    gaps: _Gaps,
    *,
    predict: bool = False,
) -> tuple[Floats, list[str], Integers]:
    """Return the features of all samples, the target's different cells, and the place of each.

    The class of a sample that is to be predicted may be missing.
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
                if not cells.missing(row[place]):
                    hint = "" if predict else "; data.features can leave this column out"
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


# ------------------------------------------------------------------------------------------ NPZ


def _arrays(
    path: Path, content: bytes, names: Sequence[str], optional: str | None = None
) -> dict[str, NDArray[Any]]:
    """Return the arrays of these names, and the optional one if it is there.

    Shape and kind of each are in its header: nothing is unpacked before all are known to fit.
    """
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(content)) as archive:
            warnings.simplefilter("ignore")  # of files that old versions of NumPy wrote
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            for name in names:
                if name not in members:
                    raise DataError(
                        f"{path}: there is no array '{short_word(name)}'{_near(name, members)}"
                    )
            wanted = [*names, *([optional] if optional in members else [])]
            needed = 0
            for name in wanted:
                with archive.open(members[name]) as file:
                    needed += _bytes_needed(f"{path}: array '{short_word(name)}'", file)
            _check_memory(f"{path}: unpacking this file", needed)
            arrays = {}
            for name in wanted:
                with archive.open(members[name]) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except DataError:
        raise
    except Exception as fault:  # whatever a foreign file makes of the zip and npy readers
        raise _unreadable(path, fault) from None


def _bytes_needed(where: str, file: IO[bytes]) -> int:
    """Return what an array and its copy as float64 will take, from its header."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"an array of format {version[0]}.{version[1]}")
    start = file.tell()
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    if length > MOST_HEADER:  # NumPy would take so much memory before it looks
        raise ValueError(f"an array with a header of {length} bytes")
    file.seek(start)
    shape, _, dtype = read(file)
    if dtype.hasobject:  # which only pickle can read, and pickle may run any program
        raise DataError(f"{where} cannot be read as data: it holds Python objects")
    return math.prod(shape) * (dtype.itemsize + 8)


def _numbers(path: Path, name: str, values: NDArray[Any], gaps: _Gaps) -> Floats:
    """Return an array of inputs as float64; not finite is only what `gaps` has been told of."""
    shown = short_word(name)
    if values.dtype.kind not in "fiu":
        raise DataError(f"{path}: '{shown}' must hold finite real numbers only, got {values.dtype}")
    with np.errstate(all="ignore"):
        numbers = np.ascontiguousarray(values, np.float64)
    for is_wrong in (np.isinf, np.isnan):
        wrong = is_wrong(numbers)
        if wrong.any():
            row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
            must = f"{path}: {shown}[{row}, {column}] must hold a finite number"
            if is_wrong is np.isinf:
                raise DataError(f"{must}, got {values[row, column]!s}")
            gaps.note(must, "nan", int(wrong.sum()))
    return numbers


def _words(path: Path, name: str, values: NDArray[Any]) -> tuple[list[str], Integers]:
    """Return the different values of an array of classes as cells, and the place of each there."""
    shown = short_word(name)
    if values.dtype.kind not in "iubfUS":
        raise DataError(
            f"{path}: '{shown}' must hold classes (numbers, truth values or text), "
            f"got {values.dtype}"
        )
    different, codes = np.unique(values, return_inverse=True)
    try:
        if different.dtype.kind == "S":
            different = np.char.decode(different, "utf-8")
        return [str(word) for word in different.astype(str).tolist()], codes.astype(np.int64)
    except ValueError:  # of which UnicodeDecodeError is one
        raise DataError(f"{path}: '{shown}' must hold text, got bytes that are not UTF-8") from None


def _of_array(name: str, columns: int) -> list[str]:
    """Return the names of the features in an array."""
    return [f"{name}[{column}]" for column in range(columns)]
