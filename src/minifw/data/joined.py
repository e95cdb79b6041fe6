"""Two files as one: that to learn from, and after its rows those of one to be tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minifw.data.frame import Frame
from minifw.data.reading import no_column, read_bytes
from minifw.errors import ArtefactError, DataError

if TYPE_CHECKING:
    import pyarrow as pa


def joined(frame: Frame, tests: Frame, needed: Sequence[str]) -> Frame:
    """Return the rows of both files, in the columns of the first; those of `tests` come last.

    Columns are found by name, or by place where neither file names them; the second file may lack
    those that are not `needed`, and all others that it has are ignored.

    Raises:
        DataError: a column is missing, or both are the same file.

    """
    if frame.checksum == tests.checksum:
        raise DataError(
            f"{tests.path}: data.test_path: has the content of data.path, so that all tests would "
            "be of training samples"
        )
    if not frame.named and not tests.named and len(frame.names) != len(tests.names):
        raise DataError(
            f"{tests.path}: data.test_path: expects {len(frame.names)} columns, as {frame.path} "
            f"has, got {len(tests.names)}: they have no names, and are known by their places"
        )
    if frame.named != tests.named:
        one, other = (frame, tests) if frame.named else (tests, frame)
        raise DataError(
            f"{tests.path}: data.test_path: must have the columns of {frame.path}, but {one.path} "
            f"has a line of names and {other.path} has none; data.header says it of both"
        )
    own = dict(zip(tests.names, tests.columns, strict=True))
    if absent := [name for name in needed if name not in own]:
        raise DataError(f"{tests.path}: data.test_path: {no_column(absent, tests.names)}")
    columns = [
        _after(column, own.get(name), tests.rows)
        for name, column in zip(frame.names, frame.columns, strict=True)
    ]
    rows = frame.rows
    return Frame(
        frame.path,
        frame.names,
        tuple(columns),
        checksum_of(frame.checksum, tests.checksum),
        lambda row: frame.where(row) if row < rows else tests.where(row - rows),
        frame.named,
        tuple(dict.fromkeys([*frame.notes, *tests.notes])),
    )


def checksum_of(first: str, second: str) -> str:
    """Return one checksum for two files."""
    return hashlib.sha256(f"{first} {second}".encode()).hexdigest()


def check_unchanged(first: Path, second: Path, expected: str) -> None:
    """Raise an ArtefactError if two files have not the expected checksum."""
    if checksum_of(*(read_bytes(each, None)[1] for each in (first, second))) != expected:
        raise ArtefactError(
            f"{first}, {second}: one of these data files has changed since the run began"
        )


def _after(first: pa.Array, second: pa.Array | None, rows: int) -> pa.Array:
    """Return one column after the other; of `rows` gaps where there is no second."""
    import pyarrow as pa

    if second is None:
        second = pa.nulls(rows, first.type)
    if first.type != second.type:  # such as whole numbers in one file only
        is_text = pa.types.is_string(first.type) or pa.types.is_string(second.type)
        common = pa.string() if is_text else pa.float64()
        first, second = (values.cast(common, safe=False) for values in (first, second))
    return pa.concat_arrays([first, second])
