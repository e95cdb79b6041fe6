"""MNIST's files: arrays of images and of their classes, for training and for testing.

An IDX file begins with two bytes of 0, one that tells the type of its numbers and one that tells
how many dimensions there are. The sizes follow, of four bytes each, then the numbers; the highest
byte of a number comes first (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten
digits", 1998).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minifw.data.asked import Asked
from minifw.data.files import classes_named
from minifw.data.images import check_size, image_names, image_of, image_shape
from minifw.data.reading import read_bytes, unreadable
from minifw.data.table import Table
from minifw.data.unpacked import unpacked
from minifw.errors import ArtefactError, DataError, short_word
from minifw.system.files import checksum, open_input

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
"""NumPy's names for the types of numbers, without the order of their bytes."""

USUAL = "train-images-idx3-ubyte"
TESTS = ("t10k", "test")
"""What test files have in their names instead of `train`."""


class Files(NamedTuple):
    """The files of a folder: images and classes for training, and for testing if there are any."""

    train: tuple[Path, Path]
    test: tuple[Path, Path] | None


def array_of(path: Path, content: bytes) -> NDArray[Any]:
    """Return the array of an IDX file, which may be compressed.

    Raises:
        DataError: it is none, or is cut off.

    """
    content = unpacked(path, content)
    if len(content) < 4 or content[:2] != b"\0\0":
        begin = content[:4].hex(" ") or "nothing"
        raise DataError(f"{path}: is no IDX file: it must begin with 00 00, got {begin}")
    if content[2] not in TYPES:
        codes = ", ".join(f"{code:02x}" for code in TYPES)
        raise DataError(
            f"{path}: is no IDX file: its third byte must be a type of numbers, {codes}, "
            f"got {content[2]:02x}"
        )
    dtype, dimensions = np.dtype(f">{TYPES[content[2]]}"), content[3]
    start = 4 + 4 * dimensions
    if not dimensions:
        raise DataError(f"{path}: expects an array of one or more dimensions, got 0")
    if len(content) < start:
        raise DataError(
            f"{path}: is cut off: {dimensions} sizes take {start} bytes, it has {len(content)}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    needed = start + math.prod(shape) * dtype.itemsize
    if len(content) != needed:
        what = "is cut off" if len(content) < needed else "has bytes after its end"
        raise DataError(
            f"{path}: {what}: {'x'.join(map(str, shape))} numbers take {needed} bytes, it has "
            f"{len(content)}; is the file whole?"
        )
    return (
        np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    )


def read_idx(
    folder: Path,
    images: str | None = None,
    labels: str | None = None,
    *,
    tested: bool = True,
    expected: str | None = None,
) -> Table:
    """Return the samples of MNIST's files, those of its test files last.

    Inputs are rows, as in `images.py`, of the type that the files have: bytes stay bytes, an
    eighth of what float64 would take.

    Args:
        folder: where the files are.
        images: name of the file of images for training, if it is not the only one.
        labels: name of the file of their classes, if it is not like that of the images.
        tested: whether the test files are read; without them all samples are divided.
        expected: the checksum that all files together must have.

    Raises:
        DataError: a file is missing, damaged, or does not fit the others.
        ArtefactError: the files are not the expected ones.

    """
    files = files_of(folder, images, labels)
    parts = [files.train, *([files.test] if files.test is not None and tested else [])]
    read = [[read_bytes(path, None) for path in pair] for pair in parts]
    found = checksum(" ".join(sum_ for pair in read for _, sum_ in pair).encode())
    if expected not in (None, found):
        raise ArtefactError(f"{folder}: these data files have changed since the run began")
    samples, classes = [], []
    for pair, contents in zip(parts, read, strict=True):
        inputs, labelled = (
            array_of(path, content) for path, (content, _) in zip(pair, contents, strict=True)
        )
        _check_pair(pair, inputs, labelled)
        samples.append(inputs)
        classes.append(labelled)
    first = samples[0]
    image = image_shape(first.shape)
    assert image is not None
    if len(parts) == 2 and image_shape(samples[1].shape) != image:
        raise DataError(
            f"{parts[1][0]}: expects images as in {parts[0][0].name}, {_by(first.shape[1:])}, got "
            f"{_by(samples[1].shape[1:])}"
        )
    rows = [each.reshape(len(each), -1) for each in samples]
    different, codes = np.unique(np.concatenate(classes), return_inverse=True)
    labels_of, names = classes_named(
        parts[0][1], "labels", [str(each) for each in different.tolist()], codes.astype(np.int64)
    )
    return Table(
        np.concatenate(rows),
        labels_of,
        tuple(image_names("x", image)),
        names,
        found,
        "labels",
        tests=len(rows[1]) if len(rows) == 2 else 0,
    )


def ask_idx(path: Path, features: Sequence[str]) -> Asked:
    """Return the images of a file, and their classes if a file of these is beside it.

    Raises:
        DataError: it is damaged, or holds other images.

    """
    content, found = read_bytes(path, None)
    inputs = array_of(path, content)
    known, image = image_of(features), image_shape(inputs.shape)
    if image is None or known != image:
        wanted = "rows of columns" if known is None else f"images of {_by(known)}"
        raise DataError(f"{path}: the run learnt from {wanted}, this file has {_by(inputs.shape)}")
    rows = np.asarray(inputs.reshape(len(inputs), -1), np.float64)
    beside = _named_alike(path, _of_labels(path.name))
    if beside is None or beside == path:
        return Asked(rows, found)
    labels = array_of(beside, read_bytes(beside, None)[0])
    _check_pair((path, beside), inputs, labels)
    return Asked(rows, found, [str(each) for each in labels.tolist()])


def is_idx(path: Path) -> bool:
    """Return whether a file seems to be an IDX file, by its first bytes."""
    begin = b""
    with suppress(OSError, ValueError), open_input(path) as file:  # whoever reads it says why
        begin = file.read(2)
    return begin == b"\0\0" or (begin == b"\x1f\x8b" and "idx" in path.name)


# ------------------------------------------------------------------------------ which file is what


def files_of(folder: Path, images: str | None, labels: str | None) -> Files:
    """Return the files of a folder, by the names that MNIST and others of its kind have.

    `train` is in the names of files for training, `t10k` or `test` stands there in others; `images`
    and `labels` tell what is in them. Each may end in `.gz`.

    Raises:
        DataError: there are none, or several.

    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (OSError, ValueError) as fault:
        if isinstance(fault, NotADirectoryError):
            raise DataError(
                f"{folder}: is a file; data.path names the folder that it is in, data.images the "
                "file of images"
            ) from None
        if isinstance(fault, FileNotFoundError):
            raise DataError(
                f"{folder}: there is no such folder; --set data.path=FOLDER names one that holds "
                f"MNIST's files, {USUAL} (or .gz) and three more"
            ) from None
        raise unreadable(folder, fault) from None
    train = folder / images if images is not None else _only(folder, names)
    if not train.is_file():
        raise DataError(f"{train}: there is no such file; data.images names one of the folder")
    beside = folder / labels if labels is not None else _named_alike(train, _of_labels(train.name))
    if beside is None or not beside.is_file() or beside == train:
        wanted = labels or _of_labels(train.name)
        raise DataError(
            f"{folder}: there is no file of classes '{short_word(wanted)}'; data.labels names it"
        )
    for word in TESTS:
        like_train, like_beside = (each.name.replace("train", word) for each in (train, beside))
        test, of_test = _named_alike(train, like_train), _named_alike(beside, like_beside)
        if test is not None and of_test is not None and {test, of_test}.isdisjoint({train, beside}):
            return Files((train, beside), (test, of_test))
    return Files((train, beside), None)


def _only(folder: Path, names: Sequence[str]) -> Path:
    """Return the file of images for training; a compressed one only if no other has its name."""
    found = [name for name in names if "train" in name and "images" in name and "idx" in name]
    found = [name for name in found if name.removesuffix(".gz") == name or name[:-3] not in found]
    if len(found) == 1:
        return folder / found[0]
    if not found:
        raise DataError(
            f"{folder}: there is no file of images such as {USUAL} (or .gz); data.images names one"
        )
    shown = ", ".join(map(short_word, found[:5])) + (", …" if len(found) > 5 else "")
    raise DataError(
        f"{folder}: there are {len(found)} files of images for training: {shown}; data.images "
        "names one"
    )


def _of_labels(images: str) -> str:
    """Return what the file of classes is called that belongs to one of images."""
    return images.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")


def _named_alike(path: Path, name: str) -> Path | None:
    """Return the file of this name in the folder of another, compressed or not."""
    plain = name.removesuffix(".gz")
    places = [path.with_name(each) for each in (name, plain, f"{plain}.gz")]
    return next((place for place in places if place.is_file()), None)


def _check_pair(pair: tuple[Path, Path], images: NDArray[Any], labels: NDArray[Any]) -> None:
    """Raise a DataError unless these are images, and a class for each."""
    of_images, of_labels = pair
    image = image_shape(images.shape)
    if image is None or not len(images):
        raise DataError(
            f"{of_images}: expects images, (samples, height, width), got {_by(images.shape)}"
        )
    check_size(str(of_images), image)
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError(f"{of_images}: must hold finite numbers only")
    if labels.ndim != 1 or labels.dtype.kind == "f":
        raise DataError(
            f"{of_labels}: expects a whole number for each sample, the class, got {labels.dtype} "
            f"of {_by(labels.shape)}"
        )
    if len(labels) != len(images):
        raise DataError(
            f"{of_labels}: expects a class for each of the {len(images)} images of "
            f"{of_images.name}, got {len(labels)}"
        )


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


__all__ = ["Files", "array_of", "ask_idx", "files_of", "is_idx", "read_idx"]
