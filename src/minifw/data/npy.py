"""The columns of a NumPy .npy file: an array of two dimensions, or of records with names."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minifw.data.archives import bytes_needed
from minifw.data.frame import Frame, RowPlaces
from minifw.data.reading import check_memory, twice, unreadable
from minifw.errors import DataError, short_word

if TYPE_CHECKING:
    import pyarrow as pa


def frame_of_array(path: Path, content: bytes, checksum: str) -> Frame:
    """Return the columns of an array, `(samples, columns)`, or of records, `(samples,)`.

    Raises:
        DataError: it is none, is damaged, or has another shape.

    """
    array = _array(path, content)
    names = array.dtype.names
    if array.ndim == 1 and names is not None:
        columns = {name.strip(): array[name] for name in names}
        if (double := twice([name.strip() for name in names])) is not None:
            raise DataError(
                f"{path}: column names must differ, '{short_word(double)}' is there twice"
            )
    elif array.ndim == 2 and names is None:
        columns = {f"column {number}": values for number, values in enumerate(array.T, 1)}
    else:
        raise DataError(
            f"{path}: expects an array of 2 dimensions, (samples, columns), got shape "
            f"{short_word(str(array.shape))}; data.kind: npz takes arrays of inputs and targets"
        )
    if not columns or not len(array):
        raise DataError(f"{path}: expects samples and columns, got shape {array.shape}")
    found = [numpy_column(path, name, values) for name, values in columns.items()]
    place = RowPlaces(path)
    return Frame(path, tuple(columns), tuple(found), checksum, place, names is not None)


def _array(path: Path, content: bytes) -> NDArray[Any]:
    """Return the array of a file, after its header has told that it fits into memory."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files from old versions of NumPy
            needed = bytes_needed(f"{path}: the array", io.BytesIO(content))
            check_memory(f"{path}: unpacking this file", needed)
            array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            return array
    except DataError:
        raise
    except Exception as fault:  # a foreign file may raise anything in NumPy's reader
        raise unreadable(path, fault) from None


def numpy_column(path: Path, name: str, values: NDArray[Any]) -> pa.Array:
    """Return a column as numbers, truth values or text."""
    import pyarrow as pa

    kind = values.dtype.kind
    if values.ndim != 1 or kind not in "fiubUS":
        raise DataError(
            f"{path}: '{short_word(name)}' must hold real numbers, truth values or text, "
            f"got {short_word(str(values.dtype))}"
        )
    if kind in "US":
        words = values
        if kind == "S":
            try:
                words = np.char.decode(values, "utf-8")
            except UnicodeDecodeError:
                raise DataError(
                    f"{path}: '{short_word(name)}' must hold text, got bytes that are not UTF-8"
                ) from None
        try:
            return pa.array(np.char.strip(words).tolist(), pa.string())
        except UnicodeEncodeError:  # lone surrogates
            raise DataError(f"{path}: '{short_word(name)}' must hold text, got no text") from None
    if kind == "b":
        return pa.array(np.ascontiguousarray(values), pa.bool_())
    if kind in "iu" and (kind == "i" or values.dtype.itemsize < 8):
        return pa.array(np.ascontiguousarray(values, np.int64))
    with np.errstate(all="ignore"):
        return pa.array(np.ascontiguousarray(values, np.float64), from_pandas=True)  # NaN is null
