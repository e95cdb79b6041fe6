"""Files of columns other than plain text: compressed, Parquet, ARFF, NPY, and those of none."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import hashlib
import io
import lzma
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from minifw.data import unpacked
from minifw.data.frame import Frame
from minifw.data.frames import read_frame
from minifw.errors import ArtefactError, DataError
from minifw.system import machine

TEXT = b"a,b\n1,x\n2,y\n"


def read(folder: Path, content: bytes, name: str = "data", **more: Any) -> Frame:
    path = folder / name
    path.write_bytes(content)
    return read_frame(path, **more)


def refused(folder: Path, content: bytes, name: str = "data") -> str:
    """The line by which a file is refused, without its folder."""
    with pytest.raises(DataError) as raised:
        read(folder, content, name)
    assert "\n" not in str(raised.value)
    return str(raised.value).replace(f"{folder}/", "")


def columns(frame: Frame) -> dict[str, list[Any]]:
    return {n: c.to_pylist() for n, c in zip(frame.names, frame.columns, strict=True)}


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(
                zipfile.ZipInfo(name.replace("__", "/")), content, zipfile.ZIP_DEFLATED
            )
    return file.getvalue()


# ------------------------------------------------------------------------------------ compressed


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, None])
def test_what_is_compressed_is_found_by_its_bytes(
    tmp_path: Path, pack: Callable[[bytes], bytes] | None
) -> None:
    content = zipped(**{"data.csv": TEXT}) if pack is None else pack(TEXT)
    frame = read(tmp_path, content, "data.txt")
    assert columns(frame) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert frame.checksum == hashlib.sha256(content).hexdigest()
    assert frame.where(1) == f"{tmp_path / 'data.txt'}:3"


def test_compressed_files_with_types_are_read(tmp_path: Path) -> None:
    table = io.BytesIO()
    parquet.write_table(pa.table({"a": [1, 2]}), table)
    assert columns(read(tmp_path, gzip.compress(table.getvalue()))) == {"a": [1, 2]}
    array = np.ones((2, 1))
    assert columns(read(tmp_path, zipped(a=array_of(array)))) == {"column 1": [1, 1]}


def test_two_parts_of_gzip_are_one_text(tmp_path: Path) -> None:
    frame = read(tmp_path, gzip.compress(TEXT[:9], mtime=0) + gzip.compress(TEXT[9:], mtime=0))
    assert columns(frame)["a"] == ["1", "2"]


def test_folders_and_remarks_in_a_zip_are_no_members(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/data.csv", TEXT)
        archive.writestr("__MACOSX/folder/._data.csv", b"?")
    assert columns(read(tmp_path, file.getvalue()))["b"] == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(a=TEXT, b=TEXT), "data: expects an archive of one file, got 2: a, b; unpack it, and give the path of one"),
        (zipped(), "data: expects an archive of one file, got 0; unpack it, and give the path of one"),
        (gzip.compress(TEXT, mtime=0)[:-9], "data: cannot be read as data: Compressed file ended before the end-of-stream marker was reached"),
        (gzip.compress(TEXT, mtime=0)[:-4] + b"0000", "data: cannot be read as data: Incorrect length of data produced"),
        (b"PK\3\4" + bytes(40), "data: cannot be read as data: File is not a zip file"),
        (bz2.compress(TEXT)[:-4], "data: cannot be read as data: Compressed file ended before the end-of-stream marker was reached"),
        (b"\xfd7zXZ\0" + bytes(20), "data: cannot be read as data: Corrupt input data"),
    ],
)  # fmt: skip
def test_damaged_archives_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    assert refused(tmp_path, content) == message


def test_a_locked_archive_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(a=TEXT))
    content[6] |= 1  # the bit that says so, in both heads
    content[content.index(b"PK\1\2") + 8] |= 1
    assert "password required" in refused(tmp_path, bytes(content))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, None])
def test_what_would_unfold_beyond_memory_is_refused_while_it_unfolds(
    tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "STEP", 1 << 20)
    zeros = bytes(20_000_000)
    content = zipped(a=zeros) if pack is None else pack(zeros)
    assert len(content) < 100_000
    monkeypatch.setattr(machine, "available", lambda: 3_000_000)
    message = refused(tmp_path, content)
    # After the second step, not after all.
    assert message.startswith("data: unpacking this file needs about 4.2 MB of memory, 3.0 MB")


# --------------------------------------------------------------------------------------- Parquet


def parquet_of(**given: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(given), file)
    return file.getvalue()


def test_types_of_parquet_become_numbers_truth_or_text(tmp_path: Path) -> None:
    day = datetime.date(2026, 11, 26)
    content = parquet_of(
        whole=pa.array([1, None], pa.int16()), huge=pa.array([2**64 - 1, 0], pa.uint64()),
        real=pa.array([1.5, float("nan")], pa.float32()), money=[decimal.Decimal("1.25"), None],
        word=[" x", None], coded=pa.array(["u", "v"]).dictionary_encode(), truth=[True, None],
        day=[day, None], moment=[datetime.datetime(2026, 11, 26, 3), None],
        never=pa.nulls(2), large=pa.array(["p", "q"], pa.large_string()),
    )  # fmt: skip
    frame = read(tmp_path, content, "a.parquet")
    assert columns(frame) == {
        "whole": [1, None], "huge": [2.0**64, 0], "real": [1.5, None], "money": [1.25, None],
        "word": ["x", None], "coded": ["u", "v"], "truth": [True, None],
        "day": ["2026-11-26", None], "moment": ["2026-11-26 03:00:00", None],
        "never": [None, None], "large": ["p", "q"],
    }  # fmt: skip
    types = [str(column.type) for column in frame.columns]
    assert types == ["int64", *["double"] * 3, *["string"] * 2, "bool", *["string"] * 4]
    assert frame.where(1) == f"{tmp_path / 'a.parquet'}: row 2"
    assert frame.checksum == hashlib.sha256(content).hexdigest()
    assert frame.named


def test_times_at_midnight_are_dates(tmp_path: Path) -> None:
    """So pandas writes a column of dates; with one other time all keep theirs."""
    days = [datetime.datetime(2026, 11, day) for day in (25, 26)]
    content = parquet_of(
        day=[*days, None], time=[*days, datetime.datetime(2026, 11, 27, 3, 0, 0, 500000)]
    )
    assert columns(read(tmp_path, content)) == {
        "day": ["2026-11-25", "2026-11-26", None],
        "time": ["2026-11-25 00:00:00", "2026-11-26 00:00:00", "2026-11-27 03:00:00.500000"],
    }


def test_a_table_of_pandas_is_read_without_its_index(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.5, 2.5, 3.5], "k": pd.Categorical(["x", "y", "x"])})
    file = io.BytesIO()
    table.iloc[[2, 0, 1]].to_parquet(file)
    frame = read(tmp_path, file.getvalue())
    assert columns(frame) == {"a": [3.5, 1.5, 2.5], "k": ["x", "x", "y"]}
    assert frame.notes == ("the index of pandas is left out",)


def test_parts_of_a_parquet_file_are_one(tmp_path: Path) -> None:
    file = io.BytesIO()
    table = pa.table({"a": list(range(10)), "b": [str(n) for n in range(10)]})
    parquet.write_table(table, file, row_group_size=3)
    frame = read(tmp_path, file.getvalue())
    assert columns(frame) == table.to_pydict()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (parquet_of(a=[1], b=[[1]]), "a.parquet: column 'b' must hold numbers, truth values, words or times, got list<element: int64>; write a file without it"),
        (parquet_of(a=[{"c": 1}]), "a.parquet: column 'a' must hold numbers, truth values, words or times, got struct<c: int64>; write a file without it"),
        (parquet_of(a=[b"x"]), "a.parquet: column 'a' must hold numbers, truth values, words or times, got binary; write a file without it"),
        (parquet_of(a=pa.array([], pa.int64())), "a.parquet: expects columns and samples, got 1 columns and 0 rows"),
        (parquet_of(), "a.parquet: expects columns and samples, got 0 columns and 0 rows"),
    ],
)  # fmt: skip
def test_parquet_without_samples_or_of_lists_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert refused(tmp_path, content, "a.parquet") == message


def test_damaged_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    content = parquet_of(a=list(range(100)), b=["x"] * 100)
    cuts = [content[:size] for size in range(4, len(content), 40)]
    turned = [content[:k] + bytes([content[k] ^ 255]) + content[k + 1 :]
              for k in range(4, len(content), 40)]  # fmt: skip
    for damaged in (*cuts, content[:-8] + b"\xff\xff\xff\x7fPAR1"):
        assert refused(tmp_path, damaged).startswith("data: cannot be read as data: ")
    for damaged in turned:  # some of it may still be a file
        with suppress(DataError):
            read(tmp_path, damaged)


def test_what_parquet_unfolds_to_must_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = parquet_of(a=np.zeros(1_000_000))
    assert len(content) < 10_000
    monkeypatch.setattr(machine, "available", lambda: 1_000_000)
    assert "unpacking this file needs about 8.0 MB of memory" in refused(tmp_path, content)


# ------------------------------------------------------------------------------------------ ARFF

ARFF = """% of a station
@RELATION 'two words'
@ATTRIBUTE 'sepal length' NUMERIC
@attribute kind {x, 'y z', "it's"}
@attribute note string
@attribute day date "yyyy-MM-dd"

@DATA
1.5, x, "a, b", 2026-11-26
% between
2e-3,'y z','say "so"', ?

?, ?, 'it\\'s', ?
-1,"it's",plain,2026-11-27
"""


def test_arff_is_read_by_its_head(tmp_path: Path) -> None:
    frame = read(tmp_path, ARFF.encode(), "a.arff")
    assert columns(frame) == {
        "sepal length": ["1.5", "2e-3", "?", "-1"],
        "kind": ["x", "y z", "?", "it's"],
        "note": ["a, b", 'say "so"', "it's", "plain"],
        "day": ["2026-11-26", "?", "?", "2026-11-27"],
    }
    assert [frame.where(row).rpartition(":")[2] for row in range(4)] == ["9", "11", "13", "14"]
    assert frame.named
    packed = read(tmp_path, gzip.compress(ARFF.replace("\n", "\r\n").encode()), "a.arff.gz")
    assert columns(packed) == columns(frame)


@pytest.mark.parametrize(
    ("quote", "cells"),
    [("'", ["a, b", 'c"', "it''s"]), ('"', ["a, b", "c'", 'say ""so""'])],
)
def test_arff_of_either_quote_and_of_tabs(tmp_path: Path, quote: str, cells: list[str]) -> None:
    cells = ["d\te", *cells]
    for between in (",", ", ", "\t"):
        lines = [f"{number}{between}{quote}{cell}{quote}" for number, cell in enumerate(cells)]
        text = "@relation r\n@attribute a numeric\n@attribute b string\n@data\n" + "\n".join(lines)
        frame = read(tmp_path, text.encode())
        wanted = [cell.replace(quote * 2, quote) for cell in cells]
        assert columns(frame) == {"a": ["0", "1", "2", "3"], "b": wanted}


HEAD = "@relation r\n@attribute a numeric\n@attribute b {u,v}\n@data\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}{{0 1, 1 u}}\n", "data:5: sparse ARFF, in braces, is not read; write a dense file"),
        (f"{HEAD}1,u\nx,v\ny,v\n", "data:6: column 'a' is declared as numeric, got 'x', the first of 2 such cells"),
        (f"{HEAD}1,u\n2,V\n", "data:6: column 'b' is declared as one of the words in { }, got 'V'"),
        (f"{HEAD}1,u\n2\n", "data:6: expects 2 values, as in line 4, got 1"),
        (f"{HEAD}% no\n\n", "data: expects samples below @data, got none"),
        ("@relation r\n@attribute a relational\n@data\n", "data:2: column 'a' must be numeric, real, integer, string, date or {words}, got 'relational'"),
        ("@relation r\n@attribute a\n@data\n", "data:2: column 'a' must be numeric, real, integer, string, date or {words}, got ''"),
        ("@relation r\n@data\n1\n", "data:2: expects lines of @attribute before @data"),
        ("@relation r\n@attribute a real\n", "data: expects a line @data, as this is the head of an ARFF file"),
        ("@relation r\na,b\n", "data:2: expects @relation, @attribute or @data in the head of an ARFF file, got 'a,b'"),
        (f"{HEAD}1,u\n".replace("b {", "a {"), "data: column names must differ, 'a' is there twice"),
    ],
)  # fmt: skip
def test_faults_of_arff_have_their_line(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text.encode()) == message


# ------------------------------------------------------------------------------------------- NPY


def array_of(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["<f8", ">f4", "<i8", ">i2", "|u1", "<u8", "|b1", "<f2"])
def test_an_array_is_columns_without_names(tmp_path: Path, kind: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], kind)
    for order in ("C", "F"):
        frame = read(tmp_path, array_of(np.asarray(array, order=order)), "a.npy")
        assert columns(frame) == {"column 1": [0, 1], "column 2": [1, 0], "column 3": [1, 1]}
        assert not frame.named
        assert frame.where(0) == f"{tmp_path / 'a.npy'}: row 1"
    wanted = {"f": "double", "u": "int64", "i": "int64", "b": "bool"}[kind[1]]
    assert str(frame.columns[0].type) == ("double" if kind == "<u8" else wanted)


def test_records_have_names_and_gaps_are_null(tmp_path: Path) -> None:
    kinds = [("i", "<i4"), ("f", "<f8"), ("w", "<U3"), ("s", "S4"), ("t", "?")]
    array = np.array([(1, np.nan, " x", "ß".encode(), True), (2, 2.5, "", b"z", False)], kinds)
    frame = read(tmp_path, array_of(array))
    assert columns(frame) == {
        "i": [1, 2], "f": [None, 2.5], "w": ["x", ""], "s": ["ß", "z"], "t": [True, False],
    }  # fmt: skip
    assert frame.named


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.ones(3), "expects an array of 2 dimensions, (samples, columns), got shape (3,); data.kind: npz takes arrays of inputs and targets"),
        (np.ones((2, 2, 2)), "expects an array of 2 dimensions, (samples, columns), got shape (2, 2, 2); data.kind: npz takes arrays of inputs and targets"),
        (np.ones((0, 2)), "expects samples and columns, got shape (0, 2)"),
        (np.ones((2, 0)), "expects samples and columns, got shape (2, 0)"),
        (np.ones((2, 2), complex), "'column 1' must hold real numbers, truth values or text, got complex128"),
        (np.zeros((2, 2), "datetime64[s]"), "'column 1' must hold real numbers, truth values or text, got datetime64[s]"),
        (np.zeros(2, [("a", "f8", 3)]), "'a' must hold real numbers, truth values or text, got float64"),
        (np.array([[b"\xff"]]), "'column 1' must hold text, got bytes that are not UTF-8"),
        (np.zeros(2, [("a", "f8"), (" a", "f8")]), "column names must differ, 'a' is there twice"),
        (np.array([[{}]], object), "the array cannot be read as data: it holds Python objects"),
    ],
)  # fmt: skip
def test_arrays_of_other_shapes_or_kinds_are_refused(tmp_path: Path, array: Any, what: str) -> None:
    assert refused(tmp_path, array_of(array), "a.npy") == f"a.npy: {what}"


def test_an_array_beyond_memory_is_told_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)}
    np.lib.format.write_array_header_1_0(file, header)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked"))
    assert "unpacking this file needs about 16.0 TB" in refused(tmp_path, file.getvalue())


def test_damaged_arrays_are_refused_in_one_line(tmp_path: Path) -> None:
    content = array_of(np.ones((4, 2)))
    for size in range(6, len(content), 7):
        assert refused(tmp_path, content[:size]).startswith("data: cannot be read as data: ")


# ----------------------------------------------------------------------------------- other files


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>", "a web page or XML, no table; is it the file that was to be downloaded?"),
        (b'\xef\xbb\xbf <?xml version="1.0"?>', "a web page or XML, no table; is it the file that was to be downloaded?"),
        (b'[{"a": 1}]', "JSON; pandas can write it as CSV or Parquet"),
        (b'{"a": [1]}', "JSON; pandas can write it as CSV or Parquet"),
        (pickle.dumps([1]), "a pickle, which may run any program; pandas can write a table as CSV or Parquet"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "an HDF5 file; pandas can write its table as CSV or Parquet"),
        (zipped(**{"xl__workbook.xml": b"<"}), "a workbook of a spreadsheet; save the sheet as CSV"),
        (zipped(**{"content.xml": b"<"}), "a workbook of a spreadsheet; save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(9), "a workbook of a spreadsheet; save the sheet as CSV"),
        (b"SQLite format 3\0", "a database; write a table of it as CSV"),
        (zipped(**{"x.npy": array_of(np.ones(3))}), "an archive of NumPy arrays; data.kind: npz reads it"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(16), mtime=0), "an IDX file, as of MNIST,; data.kind: idx reads it"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_what_it_is(tmp_path: Path, content: bytes, what: str) -> None:
    assert refused(tmp_path, content) == f"data: is {what}"


def test_a_file_that_has_changed_is_told_before_it_is_parsed(tmp_path: Path) -> None:
    for content in (TEXT, b"PAR1", b"\x93NUMPY", b"@relation", b"PK\3\4", b"\xff\xff"):
        with pytest.raises(ArtefactError, match="has changed since the run began"):
            read(tmp_path, content, expected="0" * 64)
    assert read(tmp_path, TEXT, expected=hashlib.sha256(TEXT).hexdigest()).rows == 2


def test_progress_is_told_as_a_share(tmp_path: Path) -> None:
    shares: list[float] = []
    frame = read(tmp_path, b"a,b\n" + b"1,2\n" * 3_000_000, progress=shares.append)
    assert frame.rows == 3_000_000
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    assert shares[-1] == 1
