"""A file of columns, read by what it is."""

from __future__ import annotations

from pathlib import Path

from minifw.data.arff import frame_of_arff
from minifw.data.columnar import frame_of_parquet
from minifw.data.delimited import Progress, frame_of_text
from minifw.data.dialect import Dialect
from minifw.data.formats import opened
from minifw.data.frame import Frame
from minifw.data.npy import frame_of_array
from minifw.data.reading import read_bytes
from minifw.system.reading import progress_of


def read_frame(
    path: Path,
    dialect: Dialect | None = None,
    expected: str | None = None,
    progress: Progress | None = None,
) -> Frame:
    """Return the columns of a file: text of any dialect, ARFF, Parquet or NPY.

    Raises:
        DataError: it cannot be read; in one line with the place, and the key that mends it.
        ArtefactError: it has changed: its checksum is not the expected one.

    """
    content, checksum = read_bytes(path, expected)
    progress = progress or progress_of(path, len(content))
    kind, content = opened(path, content)
    match kind:
        case "parquet":
            return frame_of_parquet(path, content, checksum)
        case "npy":
            return frame_of_array(path, content, checksum)
        case "arff":
            return frame_of_arff(path, content, checksum, progress)
    return frame_of_text(path, content, checksum, dialect or Dialect(), progress)
