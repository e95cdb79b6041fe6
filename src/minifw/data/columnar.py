"""The columns of a Parquet file, which has types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from minifw.data.frame import Frame, RowPlaces
from minifw.data.reading import check_memory, twice, unreadable
from minifw.errors import DataError, short_word

if TYPE_CHECKING:
    import pyarrow as pa

INDEX = "__index_level_"
"""How pandas begins the name of a column that holds an index without a name."""


def frame_of_parquet(path: Path, content: bytes, checksum: str) -> Frame:
    """Return the columns of the content of a Parquet file.

    Whole numbers become int64, other numbers float64, and dates and times text; null stays null.

    Raises:
        DataError: it is none, or a column holds lists or bytes.

    """
    import pyarrow as pa
    from pyarrow import parquet

    notes = []
    try:
        file = parquet.ParquetFile(pa.BufferReader(content))
        groups = [file.metadata.row_group(each) for each in range(file.metadata.num_row_groups)]
        # Dictionaries and runs unfold to far more than the file says of itself.
        cells = file.metadata.num_rows * file.metadata.num_columns
        unfolded = sum(group.total_byte_size for group in groups)
        check_memory(f"{path}: unpacking this file", unfolded + 8 * cells)
        table = file.read()
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise unreadable(path, fault) from None
    if index := [name for name in table.column_names if name.startswith(INDEX)]:
        notes.append("the index of pandas is left out")
        table = table.drop_columns(index)
    if not table.num_columns or not table.num_rows:
        raise DataError(
            f"{path}: expects columns and samples, got {table.num_columns} columns and "
            f"{table.num_rows} rows"
        )
    if (double := twice(table.column_names)) is not None:
        raise DataError(f"{path}: column names must differ, '{short_word(double)}' is there twice")
    columns = [arrow_column(path, name, table.column(name)) for name in table.column_names]
    names = tuple(table.column_names)
    return Frame(path, names, tuple(columns), checksum, RowPlaces(path), True, tuple(notes))


def arrow_column(path: Path, name: str, values: Any) -> pa.Array:
    """Return a column as numbers, truth values or text."""
    import pyarrow as pa
    from pyarrow import compute

    types = pa.types
    values = values.combine_chunks()
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if types.is_boolean(kind):
        return values
    try:
        if types.is_integer(kind):
            return _whole_numbers(values)
        if types.is_floating(kind) or types.is_decimal(kind):
            numbers = compute.cast(values, pa.float64(), safe=False)
            return compute.if_else(compute.is_nan(numbers), None, numbers)
        if str(kind) in ("string", "large_string", "string_view", "null"):
            return compute.utf8_trim_whitespace(compute.cast(values, pa.string()))
        if types.is_temporal(kind):
            return _without_midnight(compute.cast(values, pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    raise DataError(
        f"{path}: column '{short_word(name)}' must hold numbers, truth values, words or times, "
        f"got {short_word(str(kind))}; write a file without it"
    )


def _without_midnight(times: pa.Array) -> pa.Array:
    """Return times as text: without a fraction of nothing, and dates alone if all are midnights."""
    from pyarrow import compute

    times = compute.replace_substring_regex(times, r"(:\d\d)\.0+(Z?)$", r"\1\2")
    midnight = r" 00:00:00Z?$"
    if compute.all(compute.match_substring_regex(times, midnight)).as_py():
        times = compute.replace_substring_regex(times, midnight, "")
    return times


def _whole_numbers(values: pa.Array) -> pa.Array:
    """Return whole numbers as int64, float64 if one is too large."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        return compute.cast(values, pa.int64())
    except pa.ArrowInvalid:
        return compute.cast(values, pa.float64(), safe=False)
