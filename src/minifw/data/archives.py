"""Samples out of a NumPy .npz file, an archive of arrays."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minifw.data.generated import Integers
from minifw.data.reading import check_memory, suggestion, unreadable
from minifw.errors import DataError, short_word

MOST_HEADER = 10_000
"""Bytes of the header of an array, at most, as in NumPy."""


def arrays_of(
    path: Path, content: bytes, names: Sequence[str], optional: str | None = None
) -> dict[str, NDArray[Any]]:
    """Return the arrays with these names, and the optional one if it exists.

    Shape and dtype are read from the headers: nothing is unpacked before all are known to fit.
    """
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(content)) as archive:
            warnings.simplefilter("ignore")  # about files from old versions of NumPy
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            for name in names:
                if name not in members:
                    raise DataError(
                        f"{path}: there is no array '{short_word(name)}'{suggestion(name, members)}"
                    )
            wanted = [*names, *([optional] if optional in members else [])]
            needed = 0
            for name in wanted:
                with archive.open(members[name]) as file:
                    needed += bytes_needed(f"{path}: array '{short_word(name)}'", file)
            check_memory(f"{path}: unpacking this file", needed)
            arrays = {}
            for name in wanted:
                with archive.open(members[name]) as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except DataError:
        raise
    except Exception as fault:  # a foreign file may raise anything in the zip and npy readers
        raise unreadable(path, fault) from None


def shapes_of(path: Path, content: bytes) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays by their names, from their headers.

    Raises:
        DataError: it is no archive of arrays, or a damaged one.

    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    readers[2, 0] = np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(content)) as archive:
            warnings.simplefilter("ignore")  # about files from old versions of NumPy
            shapes = {}
            for member in archive.infolist():
                with archive.open(member) as file:
                    bytes_needed(str(path), file)
                    file.seek(0)
                    shape, *_ = readers[np.lib.format.read_magic(file)](file)
                shapes[member.filename.removesuffix(".npy")] = tuple(shape)
            return shapes
    except DataError:
        raise
    except Exception as fault:  # a foreign file may raise anything in the zip and npy readers
        raise unreadable(path, fault) from None


def bytes_needed(where: str, file: IO[bytes]) -> int:
    """Return the bytes of an array and its float64 copy, from its header."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"an array of format {version[0]}.{version[1]}")
    start = file.tell()
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    if length > MOST_HEADER:  # NumPy would allocate this before its own check
        raise ValueError(f"an array with a header of {length} bytes")
    file.seek(start)
    shape, _, dtype = read(file)
    if dtype.hasobject:  # only pickle reads them, and it may run any program
        raise DataError(f"{where} cannot be read as data: it holds Python objects")
    return math.prod(shape) * (dtype.itemsize + 8)


def check_numbers(path: Path, name: str, values: NDArray[Any]) -> None:
    """Raise a DataError if an array of inputs holds no numbers."""
    if values.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: '{short_word(name)}' must hold finite real numbers only, got {values.dtype}"
        )


def words_of(path: Path, name: str, values: NDArray[Any]) -> tuple[list[str], Integers]:
    """Return the different values of an array of classes as cells, and each sample's index."""
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
    except ValueError:  # such as UnicodeDecodeError
        raise DataError(f"{path}: '{shown}' must hold text, got bytes that are not UTF-8") from None


def feature_names(name: str, columns: int) -> list[str]:
    """Return names for the features of an array."""
    return [f"{name}[{column}]" for column in range(columns)]
