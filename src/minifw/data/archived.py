"""The arrays of a NumPy .npz file as columns: inputs, and classes or numbers.

Column j of array `x` is called `x[j]`, a number of an image `x[0,3,5]` (see `images.py`). What is
made of columns is the same for every file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minifw.data.archives import arrays_of, check_numbers, feature_names, words_of
from minifw.data.frame import Frame, RowPlaces
from minifw.data.images import check_size, image_names, image_of, image_shape
from minifw.data.reading import read_bytes
from minifw.errors import DataError, short_word
from minifw.system.files import open_input

if TYPE_CHECKING:
    import pyarrow as pa


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive of arrays, and not a table that is zipped."""
    try:
        with open_input(path) as file, zipfile.ZipFile(file) as archive:
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
) -> Frame:
    """Return the columns of array `features` (samples, features) and of `target` (samples,).

    Images, (samples, channels, height, width) or without the channels, are rows of their numbers.
    By `regression` the target may be (samples, targets) too, of numbers. `expected` is the
    checksum that the file must have.

    Raises:
        DataError: an array is missing, misshapen, too large for the memory that is free, needs
            pickle to be read, or is of a type that cannot be used.
        ArtefactError: the file is not the expected one.

    """
    if features == target:
        name = short_word(target)
        raise DataError(f"{path}: data.features and data.target both name the array '{name}'")
    content, found = read_bytes(path, expected)
    arrays = arrays_of(path, content, [features, target])
    inputs, labels = arrays[features], arrays[target]
    if (
        inputs.ndim not in (2, 3, 4)
        or labels.shape[:1] != inputs.shape[:1]
        or not (labels.ndim == 1 or (regression and labels.ndim == 2))
        or not inputs.size * labels.size
    ):
        or_more = " or (samples, targets)" if regression else ""
        raise DataError(
            f"{path}: expects '{short_word(features)}' of shape (samples, features), or of images "
            f"(samples, channels, height, width), and '{short_word(target)}' (samples,){or_more}, "
            f"got {inputs.shape} and {labels.shape}"
        )
    columns = _numbers(path, features, inputs)
    if regression:
        return _frame(path, columns | _numbers(path, target, labels), found)
    return _frame(path, columns | {target: _classes(path, target, labels)}, found)


def ask_npz(
    path: Path, features: Sequence[str], target: str | None, targets: Sequence[str] = ()
) -> Frame:
    """Return the columns of an archive that are called like a network's features and target.

    Raises:
        DataError: an array is missing or misshapen.

    """
    content, found = read_bytes(path, None)
    name = features[0].rpartition("[")[0]
    image = image_of(features)
    if image is None and list(features) != feature_names(name, len(features)):
        raise DataError(
            f"{path}: an archive of arrays has no columns named '{short_word(features[0])}', …; "
            "a CSV file has"
        )
    arrays = arrays_of(path, content, [name], target)
    inputs, labels = arrays[name], arrays.get(target or "")
    wanted_shape = (len(features),) if image is None else image
    given = inputs.shape[1:] if image is None else image_shape(inputs.shape)
    if inputs.ndim < 2 or given != wanted_shape or not inputs.size:
        shown = ", ".join(map(str, wanted_shape))
        raise DataError(
            f"{path}: expects '{short_word(name)}' of shape (samples, {shown}), got {inputs.shape}"
        )
    columns = _numbers(path, name, inputs)
    if labels is None or target is None or (targets and labels.dtype.kind not in "fiu"):
        return _frame(path, columns, found)
    shape = (len(inputs), len(targets)) if len(targets) > 1 else (len(inputs),)
    if labels.shape not in (shape, (*shape, 1)[:2] if targets else shape):
        raise DataError(
            f"{path}: expects '{short_word(target)}' of shape {shape}, got {labels.shape}"
        )
    if targets:
        wanted = _numbers(path, target, labels)
        return _frame(path, columns | dict(zip(targets, wanted.values(), strict=True)), found)
    return _frame(path, columns | {target: _classes(path, target, labels)}, found)


def _frame(path: Path, columns: dict[str, pa.Array], found: str) -> Frame:
    return Frame(path, tuple(columns), tuple(columns.values()), found, RowPlaces(path))


def _numbers(path: Path, name: str, values: NDArray[Any]) -> dict[str, pa.Array]:
    """Return the columns of an array of numbers by their names."""
    import pyarrow as pa

    check_numbers(path, name, values)
    image = image_shape(values.shape)
    if image is not None:
        check_size(f"{path}: array '{short_word(name)}'", image)
        names = image_names(name, image)
    else:
        names = [name] if values.ndim == 1 else feature_names(name, values.shape[1])
    with np.errstate(all="ignore"):
        exact = values.dtype.itemsize <= 8 and values.dtype.kind != "f"
        rows = np.ascontiguousarray(values.reshape(len(values), -1).T, None if exact else float)
    return dict(zip(names, map(pa.array, rows.astype(rows.dtype.newbyteorder("="))), strict=True))


def _classes(path: Path, name: str, values: NDArray[Any]) -> pa.Array:
    """Return classes of any type as cells of text."""
    import pyarrow as pa

    words, codes = words_of(path, name, values)
    return pa.array(words, pa.string()).take(pa.array(codes))
