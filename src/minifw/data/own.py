"""What a user's own function returns as a table: columns, or inputs and targets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minifw.data import arrays
from minifw.data.archives import feature_names
from minifw.data.columnar import arrow_column
from minifw.data.frame import Frame, RowPlaces
from minifw.data.images import check_size, image_names, image_shape
from minifw.data.npy import numpy_column
from minifw.data.reading import twice
from minifw.data.table import Table
from minifw.errors import DataError, short_word

if TYPE_CHECKING:
    import pyarrow as pa

TAKES = (
    "must return a table of columns (of pandas, polars or pyarrow, or a mapping of names to "
    "arrays), or two values: inputs (samples, features) and a target for each"
)


def frame_of(where: str, returned: object) -> tuple[Frame, list[str]]:
    """Return the columns of what a function returned, and the names of its targets.

    Of a table these are not known: the list is empty, and the last column is the target by default.
    A frame has no checksum yet, see `checked`.

    Raises:
        DataError: it is something else, or does not fit; the message begins with `where`.

    """
    path = Path(where)
    if isinstance(returned, tuple | list) and len(returned) == 2:
        inputs, targets = returned
        columns = _columns(path, inputs, "x")
        wanted = _columns(path, targets, "y")
        rows = [len(next(iter(part.values()), ())) for part in (columns, wanted)]
        if not all(rows) or rows[0] != rows[1]:
            raise DataError(
                f"{where}: {TAKES}; got {rows[0]} rows of inputs and {rows[1]} of targets"
            )
        names = [*columns, *wanted]
        _check_once(path, names)
        columns |= wanted
    elif _is_table(returned):
        columns, wanted = _columns(path, returned, "x"), {}
        if not columns or not len(next(iter(columns.values()))):
            raise DataError(f"{where}: {TAKES}; got a table without columns or rows")
    else:
        several = isinstance(returned, tuple | list)
        came = f"{len(returned)} values" if several else type(returned).__name__  # type: ignore[arg-type]
        raise DataError(f"{where}: {TAKES}; got {came}")
    frame = Frame(path, tuple(columns), tuple(columns.values()), "", RowPlaces(path))
    return frame, [*wanted]


def checked(table: Table) -> Table:
    """Return the table with the SHA-256 of its samples and names."""
    names = [table.features, table.classes, table.target, table.tests]
    found = hashlib.sha256(json.dumps(names).encode())
    for values in (table.inputs, table.labels, table.groups):
        if values is not None:
            found.update(np.ascontiguousarray(values).data)
    return replace(table, checksum=found.hexdigest())


def _check_once(path: Path, names: Sequence[str]) -> None:
    if (double := twice(names)) is not None:
        raise DataError(f"{path}: column names must differ, '{short_word(double)}' is there twice")


def _is_table(values: object) -> bool:
    return isinstance(values, Mapping) or hasattr(values, "columns")


def _columns(path: Path, values: object, name: str) -> dict[str, pa.Array]:
    """Return the columns of a table, or of an array whose columns are called after `name`."""
    if _is_table(values):
        return _of_table(path, values)
    if isinstance(called := getattr(values, "name", None), str):
        name = called  # of a Series
    found = arrays.array(str(path), name, values)
    if image := image_shape(found.shape):
        check_size(f"{path}: {name}", image)
        names: Sequence[str] = image_names(name, image)
    elif found.ndim in (1, 2):
        names = [name] if found.ndim == 1 else feature_names(name, found.shape[1])
    else:
        raise DataError(
            f"{path}: {name} must be of shape (samples, columns), or of images (samples, channels, "
            f"height, width), got {found.shape}"
        )
    rows = found.reshape(len(found), len(names)) if found.size else found.reshape(0, len(names))
    return {each: _column(path, each, column) for each, column in zip(names, rows.T, strict=True)}


def _of_table(path: Path, values: Any) -> dict[str, pa.Array]:
    """Return the columns of a table of pandas, polars or pyarrow, or of a mapping."""
    import pyarrow as pa

    if isinstance(values, Mapping):
        parts = {
            str(name): _columns(path, arrays.array(str(path), str(name), each), str(name))
            for name, each in values.items()
        }
        several = [name for name, part in parts.items() if [*part] != [name]]
        lengths = {name: len(part[name]) for name, part in parts.items() if name not in several}
        if several or len({*lengths.values()}) > 1:
            what = (
                several[0]
                if several
                else next(
                    name for name, count in lengths.items() if count != next(iter(lengths.values()))
                )
            )
            raise DataError(
                f"{path}: column '{short_word(what)}' must have one value for each sample"
            )
        return {name: part[name] for name, part in parts.items()}
    try:
        if hasattr(values, "to_arrow"):
            table = values.to_arrow()
        elif hasattr(values, "column_names"):
            table = values
        else:
            values = values.set_axis([str(name) for name in values.columns], axis=1)
            table = pa.Table.from_pandas(values, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as fault:
        what = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise DataError(f"{path}: returned a table that cannot be read: {what}") from None
    names = [*map(str, table.column_names)]
    _check_once(path, names)
    return {name: arrow_column(path, name, table.column(place)) for place, name in enumerate(names)}


def _column(path: Path, name: str, values: NDArray[Any]) -> pa.Array:
    """Return a column of an array, which may hold text as objects."""
    if values.dtype.kind == "O":
        import pyarrow as pa

        try:
            made = pa.array(values.tolist(), from_pandas=True)
        except (pa.ArrowException, OverflowError):
            raise DataError(
                f"{path}: '{short_word(name)}' must hold numbers, truth values or text, all of one "
                "kind"
            ) from None
        return arrow_column(path, name, pa.chunked_array([made]))
    return numpy_column(path, name, values)
