"""Files of text: placeholder until the reader is merged."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from minifw.data.frame import Frame
from minifw.data.reading import read_bytes
from minifw.errors import DataError


def read_delimited(path: Path, dialect: Any = None, expected: str | None = None) -> Frame:
    import pyarrow as pa

    content, found = read_bytes(path, expected)
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig")))
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    if len(rows) < 2:
        raise DataError(
            f"{path}: expects a line of column names and then samples, got {len(rows)} line(s)"
        )
    columns = [pa.array(column) for column in zip(*(row for _, row in rows[1:]), strict=True)]
    lines = [line for line, _ in rows[1:]]
    return Frame(path, tuple(rows[0][1]), tuple(columns), found, lambda row: f"{path}:{lines[row]}")
