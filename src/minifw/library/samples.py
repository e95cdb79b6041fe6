"""New samples for a run's networks, as a program gives them: an array, columns, or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minifw.data import Floats, arrays
from minifw.data.asked import asked_of
from minifw.data.frame import Frame, RowPlaces
from minifw.errors import DataError, short_word
from minifw.experiment import asking
from minifw.experiment.prediction import Networks


def samples(where: str, x: Any, networks: Networks) -> Floats:
    """Return samples `(n, features)` in the data's units, as the networks' `normal` takes them.

    Args:
        where: what is called, for messages.
        x: an array `(n, features)`; columns by their names, as a DataFrame has them, of words too;
            or the path of a file. Gaps are allowed where the run fills them.
        networks: those of the run.

    Raises:
        DataError: there is another number of features, a column is missing, or a value is none
            that can be used.

    """
    about = networks.about
    if isinstance(x, str | os.PathLike):
        return asking.read(Path(x), networks).inputs
    encoding = about.coded
    columns = {str(name) for name in getattr(x, "columns", x if isinstance(x, Mapping) else ())}
    if columns & {column.name for column in encoding.columns} or isinstance(x, Mapping):
        wanted = [column.name for column in encoding.columns if column.name in columns]
        return asked_of(_frame(where, x, wanted), encoding, None).inputs
    found = arrays.numbers(where, "x", x, gaps=encoding.fill is not None)
    features = about.features
    if found.ndim != 2 or found.shape[1] != len(features) or not found.size:
        shown = ", ".join(map(short_word, features[:5])) + (", …" if len(features) > 5 else "")
        raise DataError(
            f"{where}: x must be (samples, {len(features)}), with columns for {shown}, "
            f"got {found.shape}"
        )
    return found


def _frame(where: str, x: Any, names: list[str]) -> Frame:
    """Return columns by their names as those of a file."""
    import pyarrow as pa

    found = []
    for name in names:
        try:
            column = pa.array(x[name], from_pandas=True)
            if isinstance(column, pa.ChunkedArray):
                column = column.combine_chunks()
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
            if not (is_number or pa.types.is_boolean(column.type)):
                column = column.cast(pa.string())
        except (pa.ArrowException, TypeError, ValueError) as fault:
            what = str(fault).partition("\n")[0]
            raise DataError(f"{where}: x: column '{short_word(name)}': {what}") from None
        found.append(column)
    if len({len(column) for column in found}) > 1:
        raise DataError(f"{where}: x must have columns of the same length")
    path = Path(f"{where}: x")
    return Frame(path, tuple(names), tuple(found), "", RowPlaces(path))
