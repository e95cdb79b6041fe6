"""What a file is, by its first bytes, and what reads it."""

from __future__ import annotations

import io
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

from minifw.data.unpacked import unpacked
from minifw.errors import DataError

Kind = Literal["csv", "parquet", "arff", "npy", "npz", "idx"]
"""The kinds of data that are files, as in `data.kind`."""

BINARY: dict[bytes, tuple[str, Kind]] = {
    b"PAR1": ("a Parquet file", "parquet"),
    b"\x93NUMPY": ("a NumPy array", "npy"),
    b"\x00\x00\x08": ("an IDX file, as of MNIST,", "idx"),
}
FOREIGN: dict[bytes, str] = {
    b"\xd0\xcf\x11\xe0": "a workbook of a spreadsheet; save the sheet as CSV",
    b"\x89HDF": "an HDF5 file; pandas can write its table as CSV or Parquet",
    b"ARROW1": "an Arrow file; pandas can write it as Parquet",
    b"SQLite format 3": "a database; write a table of it as CSV",
    b"MATLAB 5.0": "a MATLAB file; SciPy can load it, and NumPy save its arrays as NPZ",
    b"\x80\x03": "a pickle, which may run any program; pandas can write a table as CSV or Parquet",
    b"\x80\x04": "a pickle, which may run any program; pandas can write a table as CSV or Parquet",
    b"\x80\x05": "a pickle, which may run any program; pandas can write a table as CSV or Parquet",
    b"%PDF": "a PDF file; data are read from CSV, Parquet, ARFF, NPY and NPZ",
    b"7z\xbc\xaf": "an archive of 7-Zip; unpack it, and give the path of one file",
    b"Rar!": "an archive of RAR; unpack it, and give the path of one file",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard; unpack it, or use gzip",
}
_ARFF = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|%[^\n]*\n)*+@relation\b", re.IGNORECASE)
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*+<(?:!doctype|html|\?xml|head|svg)", re.IGNORECASE)
_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*+(?:\{\s*"|\[\s*[\[{])')


def kind_of(content: bytes) -> Kind:
    """Return the kind that reads a file; a text that is none of the others is `csv`.

    A compressed file is to be unpacked first, unless it is an archive of arrays.
    """
    if _archived(content, ".npy"):
        return "npz"
    if _ARFF.match(content):
        return "arff"
    return next((kind for start, (_, kind) in BINARY.items() if content.startswith(start)), "csv")


def opened(path: Path, content: bytes) -> tuple[Kind, bytes]:
    """Return the kind that reads a file, and its content, unpacked if it is compressed.

    Raises:
        DataError: it is none that can be read here; or it is compressed, and damaged or too large.

    """
    if (kind := kind_of(content)) != "csv":
        return kind, content
    check_text(path, content)
    content = unpacked(path, content)
    return kind_of(content), content


def check_text(path: Path, content: bytes) -> None:
    """Raise a DataError that says what a file is and what reads it, if it is no text of cells."""
    what = ""
    if (kind := kind_of(content)) != "csv":
        names = {"npz": "an archive of NumPy arrays", "arff": "an ARFF file"}
        name = names.get(kind) or next(name for name, known in BINARY.values() if known == kind)
        what = f"{name}; data.kind: {kind} reads it"
    elif _archived(content, "workbook.xml") or _archived(content, "content.xml"):
        what = FOREIGN[b"\xd0\xcf\x11\xe0"]
    elif _PAGE.match(content):
        what = "a web page or XML, no table; is it the file that was to be downloaded?"
    elif _JSON.match(content):
        what = "JSON; pandas can write it as CSV or Parquet"
    else:
        what = next((what for start, what in FOREIGN.items() if content.startswith(start)), "")
    if what:
        raise DataError(f"{path}: is {what}")


def _archived(content: bytes, ending: str) -> bool:
    """Return whether this is a zip archive in which a name ends so."""
    if content.startswith(b"PK\x03\x04"):
        with suppress(Exception):  # a damaged archive may raise anything
            names = zipfile.ZipFile(io.BytesIO(content)).namelist()
            return any(name.endswith(ending) for name in names)
    return False
