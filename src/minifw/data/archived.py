"""Samples out of a NumPy .npz file, whose arrays are inputs and classes, or numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minifw.data import cells
from minifw.data.archives import arrays_of, feature_names, numbers_of, words_of
from minifw.data.files import Asked, classes_named
from minifw.data.generated import Floats, Integers
from minifw.data.reading import Gaps, read_bytes
from minifw.data.table import Table
from minifw.errors import DataError, short_word


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive of arrays, and not a table that is zipped."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False  # whoever reads it says why


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
        return Table(numbers, wanted, tuple(columns), (), found, target, tuple(targets))
    words, codes = words_of(path, target, labels)
    missing = np.array([cells.missing(word) for word in words])[codes]
    if missing.any():
        row = int(missing.argmax())
        must = f"{path}: {short_word(target)}[{row}] must hold a class"
        gaps.note(must, words[codes[row]], int(missing.sum()))
    gaps.check()
    names = feature_names(features, inputs.shape[1])
    labels, classes = classes_named(path, target, words, codes)
    return Table(numbers, labels, tuple(names), classes, found, target)


def ask_npz(
    path: Path, features: Sequence[str], target: str | None, targets: Sequence[str] = ()
) -> Asked:
    """Return samples of an archive with known features, for a trained network.

    Raises:
        DataError: an array is missing or misshapen, or holds what is no finite number.

    """
    content, found = read_bytes(path, None)
    gaps = Gaps()
    if targets:
        numbers, wanted = _npz_numbers(path, content, features, len(targets), target, gaps)
        gaps.check()
        return Asked(numbers, found, targets=wanted)
    numbers, classes = _npz_inputs(path, content, features, target, gaps)
    gaps.check()
    if classes is None:
        return Asked(numbers, found)
    words, codes = classes
    names = [None if cells.missing(word) else cells.class_name(word) for word in words]
    return Asked(numbers, found, [names[code] for code in codes])


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
