"""Samples from a user's file, CSV or NPZ; every fault is reported with its place.

The bytes of a file are read once, so that the checksum is that of the parsed bytes. `cells.py`
defines the meaning of a cell in both kinds of file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minifw.data import cells
from minifw.data.archives import arrays_of, feature_names, numbers_of, words_of
from minifw.data.columns import columns_of, names_of, rows_of
from minifw.data.generated import Floats, Integers
from minifw.data.reading import Gaps, read_bytes, suggestion, twice
from minifw.errors import DataError, short_word

MOST_CLASSES = 1000


@dataclass(frozen=True)
class Table:
    """All samples of a user's file, in its order, with the names of features and classes.

    Of regression `labels` are numbers, `(samples, targets)`, there are no classes, and `targets`
    are the names of the columns.
    """

    inputs: Floats
    labels: Integers | Floats
    features: tuple[str, ...]
    classes: tuple[str, ...]
    checksum: str
    """SHA-256 of the bytes that were parsed."""
    target: str
    """Column or array of the classes or the numbers; several columns are joined by commas."""
    targets: tuple[str, ...] = ()

    @property
    def class_numbers(self) -> Integers:
        """The labels, of classification."""
        assert not self.targets
        return self.labels.astype(np.int64, copy=False)


def read_csv(
    path: Path,
    features: Sequence[str] | None,
    target: str | Sequence[str] | None,
    *,
    expected: str | None = None,
    regression: bool = False,
) -> Table:
    """Read a CSV file with one line of column names, then one sample a line.

    `features` names the columns of numbers (None: all but the target), `target` the column of
    classes, or by `regression` the column or columns of numbers (None: the last column).
    `expected` is the checksum that the file must have.

    Raises:
        DataError: with file, line and column of the first fault.
        ArtefactError: the file is not the expected one.

    """
    content, found = read_bytes(path, expected)
    rows = rows_of(path, content)
    names = names_of(path, rows)
    targets = [target] if isinstance(target, str) else list(target or names[-1:])
    chosen = [name for name in names if name not in targets] if features is None else list(features)
    known = set(names)
    for name in [*targets, *chosen]:
        if name not in known:
            raise DataError(
                f"{path}:1: there is no column '{short_word(name)}'{suggestion(name, names)}"
            )
    if not chosen:
        raise DataError(f"{path}:1: expects a column beside the target '{short_word(targets[0])}'")
    _check_once(path, chosen, targets)
    gaps = Gaps(", or choose other columns by data.features and data.target")
    if regression:
        numbers, _, _ = columns_of(path, names, rows, [*chosen, *targets], None, gaps, targets)
        gaps.check()
        count = len(chosen)
        return _numbers(numbers[:, :count], numbers[:, count:], chosen, found, targets)
    inputs, words, codes = columns_of(path, names, rows, chosen, targets[0], gaps)
    gaps.check()
    return _table(path, inputs, words, codes, chosen, found, targets[0])


def read_npz(
    path: Path,
    features: str,
    target: str,
    *,
    expected: str | None = None,
    regression: bool = False,
) -> Table:
    """Read a NumPy .npz file: array `features` (samples, features), array `target` (samples,).

    By `regression` the target may be (samples, targets) too, of numbers. `expected` is the
    checksum that the file must have.

    Raises:
        DataError: an array is missing, misshapen, not finite, too large for the memory that is
            free, or needs pickle to be read.
        ArtefactError: the file is not the expected one.

    """
    if features == target:
        name = short_word(target)
        raise DataError(f"{path}: data.features and data.target both name the array '{name}'")
    content, found = read_bytes(path, expected)
    arrays = arrays_of(path, content, [features, target])
    inputs, labels = arrays[features], arrays[target]
    one = labels.ndim == 1
    if (
        inputs.ndim != 2
        or labels.shape[:1] != inputs.shape[:1]
        or not (one or (regression and labels.ndim == 2))
        or not inputs.size * labels.size
    ):
        or_more = " or (samples, targets)" if regression else ""
        raise DataError(
            f"{path}: expects '{short_word(features)}' of shape (samples, features) and "
            f"'{short_word(target)}' (samples,){or_more}, got {inputs.shape} and {labels.shape}"
        )
    gaps = Gaps(", or choose other arrays by data.features and data.target")
    numbers = numbers_of(path, features, inputs, gaps)
    if regression:
        wanted = numbers_of(path, target, labels.reshape(len(labels), -1), gaps)
        gaps.check()
        columns = feature_names(features, inputs.shape[1])
        targets = [target] if one else feature_names(target, labels.shape[1])
        return _numbers(numbers, wanted, columns, found, targets, target)
    words, codes = words_of(path, target, labels)
    missing = np.array([cells.missing(word) for word in words])[codes]
    if missing.any():
        row = int(missing.argmax())
        must = f"{path}: {short_word(target)}[{row}] must hold a class"
        gaps.note(must, words[codes[row]], int(missing.sum()))
    gaps.check()
    names = feature_names(features, inputs.shape[1])
    return _table(path, numbers, words, codes, names, found, target)


def read_inputs(
    path: Path, features: Sequence[str], target: str | None = None
) -> tuple[Floats, list[str | None] | None, str]:
    """Read samples with known features, for a trained network.

    Args:
        path: a CSV file, whose other columns are ignored, or an NPZ file (decided by content).
        features: their names as in a `Table`, in the order of the returned inputs.
        target: column or array of classes; the file need not have it.

    Returns:
        The inputs `(n, features)`; for each row the name of its class, None if it is missing, or
        None instead of all names if the file has no such column; and the file's checksum.

    Raises:
        DataError: with the place of the first fault, or all columns that are missing.

    """
    content, found = read_bytes(path, None)
    gaps = Gaps()
    read = (
        _npz_inputs if content.startswith(b"PK") else _csv_inputs
    )  # the first bytes of a zip archive
    inputs, classes = read(path, content, features, target, gaps)
    gaps.check()
    if classes is None:
        return inputs, None, found
    words, codes = classes
    names = [None if cells.missing(word) else cells.class_name(word) for word in words]
    return inputs, [names[code] for code in codes], found


def read_numbers(
    path: Path, features: Sequence[str], targets: Sequence[str], array: str | None
) -> tuple[Floats, Floats | None, str]:
    """Read samples with known features, for a trained network of a regression.

    Args:
        path: a CSV or an NPZ file, as for `read_inputs`.
        features: as for `read_inputs`.
        targets: names of the columns of targets; the file need not have them.
        array: the name of the array of targets in an NPZ file.

    Returns:
        The inputs `(n, features)`; the targets `(n, targets)` with NaN where one is missing, or
        None if the file lacks one of the columns; and the file's checksum.

    Raises:
        DataError: as by `read_inputs`.

    """
    content, found = read_bytes(path, None)
    gaps = Gaps()
    count = len(features)
    if content.startswith(b"PK"):
        numbers, wanted = _npz_numbers(path, content, features, len(targets), array, gaps)
        gaps.check()
        return numbers, wanted, found
    rows = rows_of(path, content)
    names = names_of(path, rows)
    _check_there(path, features, names)
    known = list(targets) if {*targets} <= {*names} else []
    numbers, _, _ = columns_of(
        path, names, rows, [*features, *known], None, gaps, known, predict=True
    )
    gaps.check()
    return numbers[:, :count], numbers[:, count:] if known else None, found


def _npz_numbers(
    path: Path, content: bytes, features: Sequence[str], targets: int, array: str | None, gaps: Gaps
) -> tuple[Floats, Floats | None]:
    numbers, _ = _npz_inputs(path, content, features, None, gaps)
    if array is None:
        return numbers, None
    found = arrays_of(path, content, [], array).get(array)
    if found is None or found.dtype.kind not in "fiu":
        return numbers, None
    if found.shape not in ((len(numbers),), (len(numbers), targets)):
        raise DataError(
            f"{path}: expects '{short_word(array)}' of shape ({len(numbers)}, {targets}), "
            f"got {found.shape}"
        )
    wanted = found.reshape(len(numbers), -1).astype(np.float64)
    return numbers, np.where(np.isfinite(wanted), wanted, np.nan)


def _check_there(path: Path, features: Sequence[str], names: Sequence[str]) -> None:
    """Raise a DataError that names the features that a CSV file has no column for."""
    known = set(names)
    if absent := [name for name in features if name not in known]:
        shown = ", ".join(f"'{short_word(name)}'" for name in absent[:20])
        more = f" and {len(absent) - 20} more" if len(absent) > 20 else ""
        # Of one column the name may be misspelt; several are of another file.
        near = suggestion(absent[0], names)
        if len(absent) > 1:
            near = _shown(names)
        raise DataError(f"{path}:1: there is no column {shown}{more}{near}")


def _csv_inputs(
    path: Path, content: bytes, features: Sequence[str], target: str | None, gaps: Gaps
) -> tuple[Floats, tuple[list[str], Integers] | None]:
    rows = rows_of(path, content)
    names = names_of(path, rows)
    _check_there(path, features, names)
    target = target if target in names else None
    inputs, words, codes = columns_of(path, names, rows, features, target, gaps, predict=True)
    return inputs, None if target is None else (words, codes)


def _npz_inputs(
    path: Path, content: bytes, features: Sequence[str], target: str | None, gaps: Gaps
) -> tuple[Floats, tuple[list[str], Integers] | None]:
    name = features[0].rpartition("[")[0]
    if list(features) != feature_names(name, len(features)):
        raise DataError(
            f"{path}: an archive of arrays has no columns named '{short_word(features[0])}', …; "
            "a CSV file has"
        )
    arrays = arrays_of(path, content, [name], target)
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
    numbers = numbers_of(path, name, inputs, gaps)
    return numbers, None if labels is None else words_of(path, target or "", labels)


def _check_once(path: Path, features: Sequence[str], targets: Sequence[str]) -> None:
    """Check that no column is used twice."""
    for target in targets:
        if target in features:
            raise DataError(
                f"{path}: column '{short_word(target)}' is the target (data.target, by default the "
                "last column), so it must not be one of data.features"
            )
    for key, names in (("features", features), ("target", targets)):
        if (double := twice(names)) is not None:
            raise DataError(f"{path}: data.{key} names column '{short_word(double)}' twice")


def _shown(names: Sequence[str]) -> str:
    """Return which columns there are, the first of them if there are many."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"; known here: {', '.join(map(short_word, names[:20]))}{more}"


def _numbers(
    inputs: Floats,
    wanted: Floats,
    features: Sequence[str],
    found: str,
    targets: Sequence[str],
    target: str = "",
) -> Table:
    """Return the table of a regression."""
    column = target or ", ".join(targets)
    return Table(inputs, wanted, tuple(features), (), found, column, tuple(targets))


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
    classes, number = cells.numbered(words)
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{path}: expects at most {MOST_CLASSES} classes, got {len(classes)}; "
            "is the target really a class? data.task: regression predicts numbers"
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
    labels = np.array([number[word] for word in words], np.int64)[codes]
    return Table(inputs, labels, tuple(features), tuple(classes), found, target)
