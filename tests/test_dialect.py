"""How a text is written is found by looking, and keys say what looking cannot: pandas agrees."""

from __future__ import annotations

import codecs
import csv
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from conftest import Minifw
from minifw.config import loading
from minifw.config.columned import Csv
from minifw.config.packaged import find_config
from minifw.data import encoded
from minifw.data.dialect import Dialect, delimiter_of
from minifw.data.frame import Frame
from minifw.data.frames import read_frame
from minifw.errors import ConfigError, DataError

HERE = Path(__file__).parent / "data"
NUMBERED = tuple(f"column {number}" for number in range(1, 20))


def read(folder: Path, content: str | bytes, **keys: Any) -> Frame:
    path = folder / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_frame(path, Dialect(**keys))


def rows(frame: Frame) -> list[list[Any]]:
    return [list(row) for row in zip(*(c.to_pylist() for c in frame.columns), strict=True)]


def refused(folder: Path, content: str | bytes, **keys: Any) -> str:
    """The line by which a file is refused, without its folder."""
    with pytest.raises(DataError) as raised:
        read(folder, content, **keys)
    assert "\n" not in str(raised.value)
    return str(raised.value).replace(str(folder / "data.csv"), "data.csv")


# ------------------------------------------------------------------------- what is found by looking


DIALECTS: dict[str, tuple[str, Any, Any]] = {
    "commas": ("a,b\n1,2\n3,4\n", "ab", ["12", "34"]),
    "no last newline": ("a,b\n1,2\n3,4", "ab", ["12", "34"]),
    "Windows": ("a,b\r\n1,2\r\n3,4\r\n", "ab", ["12", "34"]),
    "old Macintosh": ("a,b\r1,2\r3,4\r", "ab", ["12", "34"]),
    "semicolons": ("a;b\n1;2\n3;4\n", "ab", ["12", "34"]),
    "tabs": ("a\tb\n1\t2\n3\t4\n", "ab", ["12", "34"]),
    "bars": ("a|b\n1|2\n3|4\n", "ab", ["12", "34"]),
    "spaces": ("a b\n1 2\n3 4\n", "ab", ["12", "34"]),
    "runs of spaces and tabs": ("  a   b\n1 \t 2  \n\t3  4\n", "ab", ["12", "34"]),
    "quoted by spaces": ('a b\n"1 x" 2\n3  "y  4"\n', "ab", [["1 x", "2"], ["3", "y  4"]]),
    "a mark of UTF-8": ("\ufeffa,b\n1,2\n3,4\n", "ab", ["12", "34"]),
    "told to a spreadsheet": ("sep=;\na;b\n1;2\n3;4\n", "ab", ["12", "34"]),
    "empty lines": ("\na,b\n\n1,2\n  \n3,4\n\n", "ab", ["12", "34"]),
    "spaces after commas": ("a, b\n1, 2 \n 3 ,4\n", "ab", ["12", "34"]),
    "quotes after spaces": ('a, "b, c"\n1, "2, 3"\n4,"5"\n', ["a", "b, c"], [["1", "2, 3"], "45"]),
    "doubled quotes": ('a,b\n1,"say ""so"", ok"\n2,""\n', "ab", [["1", 'say "so", ok'], ["2", ""]]),
    "a lone return in late quotes": ('a, "b"\n1, "x\ry"\n', "ab", [["1", "x\ry"]]),
    "spaces that do not break": ("a,b\n\u00a01,2\u00a0\n", "ab", ["12"]),
    "quotes within cells": ('a,b\n1,5" x\n2,a"b"c\n', "ab", [["1", '5" x'], ["2", 'a"b"c']]),
    "line ends in quotes": ('a,b\n1,"x\n\ny"\n2,"\r\n"\n', "ab", [["1", "x\n\ny"], ["2", ""]]),
    "comments": ("# x, y, z\na,b\n1,2\n #no\n3,4\n# end", "ab", ["12", "34"]),
    "comments and quotes": ('# x\na,b\n1,"2\n#3"\n# no\n4,5\n', "ab", [["1", "2\n#3"], "45"]),
    "comments of percent": ("% x\na;b\n1;2\n3;4\n", "ab", ["12", "34"]),
    "a cell that is not available": ("#N/A,2\n3,4\n", 2, [["#N/A", "2"], "34"]),
    "the same, below a comment": ("# x\n3,4\n#N/A,2\n#N/A x\n", 2, ["34", ["#N/A", "2"]]),
    "decimal commas": ("a;b\n0,5;1\n,5;-2,25e3\n", "ab", [["0.5", "1"], [".5", "-2.25e3"]]),
    "decimal commas beside text": ("a;b\n0,5;x,y\n1;z\n", "ab", [["0.5", "x,y"], ["1", "z"]]),
    "decimal commas by tabs": ("0,5\t1\n1,5\t2\n", 2, [["0.5", "1"], ["1.5", "2"]]),
    "both points and commas": ("a;b\n0,5;1.5\nx;2\n", "ab", [["0,5", "1.5"], ["x", "2"]]),
    "commas in a text by bars": ("a|b\nx, y|1\nz, w|2\n", "ab", [["x, y", "1"], ["z, w", "2"]]),
    "no header": ("1,2\n3,4\n", 2, ["12", "34"]),
    "no header, words last": ("1,2,x\n3,4,y\n", 3, ["12x", "34y"]),
    "no header, words that repeat": ("p,x\np,y\ne,x\n", 2, ["px", "py", "ex"]),
    "no header, gaps": ("NA,2\n3,4\n", 2, [["NA", "2"], "34"]),
    "no header, one line": ("1,2", 2, ["12"]),
    "words only": ("c,d\np,x\np,y\ne,x\n", "cd", ["px", "py", "ex"]),
    "one column": ("a\n1\n2\n", "a", ["1", "2"]),
    "one column of texts": ("a\nto be or\nnot to\nbe\n", "a", None),
    "no name over the index": (",a,b\n0,1,2\n1,3,4\n", ["column 1", "a", "b"], ["012", "134"]),
    "no name over R's rows": ("a b\nu 1 2\nv 3 4\n", ["column 1", "a", "b"], ["u12", "v34"]),
    "delimiters at the end": ("a,b,\n1,2,\n3,4,\n", "ab", ["12", "34"]),
    "delimiters at the end of samples": ("a,b\n1,2,\n3,4,\n", "ab", ["12", "34"]),
    "rows of delimiters": ("a,b\n1,2\n,\n3,4\n,\n", "ab", ["12", "34"]),
    "a count of samples": ("2,1,u,v\n1,2\n3,4\n", 2, ["12", "34"]),
    "a count of samples above names": ("2,1\na,b\n1,2\n3,4\n", "ab", ["12", "34"]),
    "a cell longer than a block": (f"a,b\n1,{'x' * 13_000_000}\n3,4\n", "ab", None),
}


@pytest.mark.parametrize("kind", DIALECTS)
def test_a_dialect_is_found_by_looking(tmp_path: Path, kind: str) -> None:
    content, names, expected = DIALECTS[kind]
    frame = read(tmp_path, content)
    assert frame.names == (NUMBERED[:names] if isinstance(names, int) else tuple(names))
    assert frame.named is not isinstance(names, int)
    if expected is not None:
        assert rows(frame) == [[*row] for row in expected]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("New York,Los Angeles\nSan Jose,Las Vegas\n", ","),
        ("a, b c, d\ne, f g, h\n", ","),
        ("3 rooms,4 beds\n4 rooms,5 beds\n", ","),
        ("x;3 rooms, big\ny;4 rooms, small\n", ";"),
        ("Smith, John;3\nDoe, Jane;4\n", ";"),
        ("Smith, John\t3\nDoe, Jane\t4\n", "\t"),
        ("1;a,b\n2;c,d\n", ";"),
        ("0,001;good\n0,002;bad\n", ";"),
        ("0,001 good\n0,002 bad\n", " "),
        ("5.1 3.5 1,2\n5.2 3.6 1,3\n", " "),
        ("2020-01-01 10:00:00,1.5\n2020-01-01 10:00:01,2.5\n", ","),
        ("2020-01-01 10:00:00;1,5\n2020-01-01 10:00:01;2,5\n", ";"),
        ("5.1,3.5,Iris setosa\n4.9,3.0,Iris setosa\n", ","),
        ("a,b;c\n1;2\n3;4\n", ";"),
        ("x, y|1\n2|2\n3|4\n", "|"),
    ],
)
def test_where_several_divide_the_rows_numbers_decide(text: str, delimiter: str) -> None:
    assert delimiter_of(text.encode(), 0, "") == delimiter


def noted(frame: Frame) -> str:
    return " | ".join(frame.notes)


def test_what_was_noticed_is_told(tmp_path: Path) -> None:
    assert noted(read(tmp_path, "a,b\n1,2\n3,4\n")) == ""
    assert noted(read(tmp_path, "2,1,u,v\n1,2\n3,4\n")) == (
        "line 1 (2, 1, u, v), which counts the samples, is left out"
    )
    years = "2007,2008\n" + "".join(f"{n},{n + 1}\n" for n in range(9))
    assert noted(read(tmp_path, years)) == (
        "line 1 is taken as a sample, though it looks like names: 2007, 2008; "
        "data.header: true makes it names"
    )
    assert read(tmp_path, years).rows == 10
    assert read(tmp_path, years, header=True).names == ("2007", "2008")
    of_words = "land,2007,2008\n" + "".join(f"x{n % 2},{n},{n + 1}\n" for n in range(9))
    assert "looks like names: land, 2007, 2008;" in noted(read(tmp_path, of_words))
    numbered = "0,1,2,3\n" + "3,1,2,7\n0,0,1,4\n"
    assert "looks like names: 0, 1, 2, 3;" in noted(read(tmp_path, numbered))
    for usual in ("1,2\n" + years[10:], "5,3,2,3\n" + "3,1,2,7\n0,0,1,4\n"):
        assert noted(read(tmp_path, usual)) == ""
    assert noted(read(tmp_path, ",a\n0,1\n")) == (
        "line 1 has no name for column 1; data.exclude can leave it out"
    )
    assert noted(read(tmp_path, "a,b,\n1,2,\n")) == ""
    assert noted(read(tmp_path, "a,b\n1,2\n,\n,\n")) == "2 rows without any value left out"
    assert noted(read(tmp_path, "a;b\n0,5;1.5\nx;2\n")) == (
        "numbers with a comma are taken as text, since others have a point; see data.decimal"
    )
    assert noted(read(tmp_path, "# hi\n# a b\n1 2\n3 4\n")) == (
        "lines that begin with # are left out as comments | the last comment may name the "
        "columns: data.names: [a, b] takes these"
    )


def test_points_beside_decimal_commas_separate_thousands(tmp_path: Path) -> None:
    """Else 1.154 would be a little more than one, beside 987."""
    frame = read(tmp_path, "a;b;c\n0,5;987;1.234,5\n1,5;1.154;2,5\n")
    assert rows(frame) == [["0.5", "987", "1234.5"], ["1.5", "1154", "2.5"]]
    assert noted(frame) == (
        "points are taken to separate thousands, as in 1.154, since decimals have a comma: "
        "'b' 1, 'c' 1"
    )
    # Also where new samples happen to have no comma, as the key says it.
    alone = read(tmp_path, "a;b\n1.154;1\n987;2\n", decimal=",")
    assert rows(alone) == [["1154", "1"], ["987", "2"]]
    # But not in a column in which some points are those of decimals, and not without any comma.
    mixed = read(tmp_path, "a;b\n0,5;1.154\n1;1.5\n", decimal=",")
    assert rows(mixed) == [["0.5", "1.154"], ["1", "1.5"]]
    assert rows(read(tmp_path, "a;b\n5;1.154\n1;1.500\n")) == [["5", "1.154"], ["1", "1.500"]]


def test_numbers_with_commas_and_numbers_with_points(tmp_path: Path) -> None:
    """A column of numbers must not become words because another one has points."""
    text = "pH;T\n" + "".join(f"7,{n};{n}.5\n" for n in range(10, 30))
    with pytest.raises(DataError) as raised:
        read(tmp_path, text)
    assert str(raised.value).endswith(
        ": numbers have a comma, '7,10' in column 'pH', and a point, '10.5' in column 'T'; "
        "data.decimal: ',' takes both as numbers, '.' takes those with a comma as text"
    )
    assert rows(read(tmp_path, text, decimal=","))[0] == ["7.10", "10.5"]
    assert rows(read(tmp_path, text, decimal="."))[0] == ["7,10", "10.5"]


# -------------------------------------------------------------------------------- what keys say


KEYS: dict[str, tuple[str | bytes, dict[str, Any], Any, Any]] = {
    "a delimiter": ("a:b\n1:2\n", {"delimiter": ":"}, "ab", ["12"]),
    "a comma, though spaces fit": ("a b,c d\n1,2\n", {"delimiter": ","}, ["a b", "c d"], ["12"]),
    "a point": ("a;b\n0,5;1\n", {"decimal": "."}, "ab", [["0,5", "1"]]),
    "a decimal comma": ("a;b\n0,5;1.5\n", {"decimal": ","}, "ab", [["0.5", "1.5"]]),
    "a decimal comma in quotes": ('a,b\n"0,5",1\n', {"decimal": ","}, "ab", [["0.5", "1"]]),
    "names of numbers": ("1,2\n3,4\n", {"header": True}, "12", ["34"]),
    "a sample of words": ("a,b\n1,2\n", {"header": False}, 2, ["ab", "12"]),
    "names": ("1,2\n3,4\n", {"names": ["u", "v"]}, "uv", ["12", "34"]),
    "other names": ("a,b\n3,4\n", {"names": ["u", "v"]}, "uv", ["34"]),
    "other names of numbers": ("1,2\n3,4\n", {"names": ["u", "v"], "header": True}, "uv", ["34"]),
    "names above words": ("a,b\n1,2\n", {"names": ["u", "v"], "header": False}, "uv", ["ab", "12"]),
    "names that differ": ("a,a\n3,4\n", {"names": ["u", "v"]}, "uv", ["34"]),
    "fewer names": ("1\n3\n", {"names": ["u", "v"], "fewer": ["u"]}, "u", ["1", "3"]),
    "lines to skip": ("Data;of\n2020\na,b\n1,2\n", {"skip": 2}, "ab", ["12"]),
    "lines to skip, of Windows": ("Data\r\na,b\r\n1,2\r\n", {"skip": 1}, "ab", ["12"]),
    "a comment": ("a,b\n1,2\n! no\n3,4\n", {"comment": "!"}, "ab", ["12", "34"]),
    "long comments": ("// x\na,b\n1,2\n", {"comment": "//"}, "ab", ["12"]),
    "no comment": ("#a,b\n1,2\n", {"comment": ""}, ["#a", "b"], ["12"]),
    "Latin-1": ("ä,b\nß,2\n".encode("latin-1"), {"encoding": "latin-1"}, "äb", ["ß2"]),
    "of Windows": ("a,b\n“,€\n".encode("cp1252"), {"encoding": "windows-1252"}, "ab", ["“€"]),
    "two bytes a character": ("a,ß\n1,2\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, "aß", ["12"]),
    "a mark, said": ("a,ß\n1,2\n".encode("utf-8-sig"), {"encoding": "utf-8"}, "aß", ["12"]),
    "marked": (codecs.BOM_UTF16_BE + "a,ß\n1,2\n".encode("utf-16-be"), {}, "aß", ["12"]),
    "marked, little end first": ("a,ß\n1,2\n".encode("utf-16"), {}, "aß", ["12"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_keys_say_how_a_text_is_written(tmp_path: Path, kind: str) -> None:
    content, keys, names, expected = KEYS[kind]
    frame = read(tmp_path, content, **keys)
    assert frame.names == (NUMBERED[:names] if isinstance(names, int) else tuple(names))
    assert rows(frame) == [[*row] for row in expected]


# ----------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("content", "keys", "message"),
    [
        ("", {}, "data.csv: expects a line of column names and then samples, got 0 line(s)"),
        ("# a\n\n", {}, "data.csv: expects a line of column names and then samples, got 0 line(s)"),
        ("a,b\n", {}, "data.csv: expects a line of column names and then samples, got 1 line(s)"),
        ("a,b\n", {"skip": 1}, "data.csv: expects a line of column names and then samples, got 0 line(s) after the 1 lines of data.skip"),
        ("a,b\n,\n ,\n", {}, "data.csv: expects samples, got lines without any value"),
        ("a,b\n1,2\n3\n4,5,6\n", {}, "data.csv:3: expects 2 values, as in line 1, got 1, the first of 2 such rows"),
        ('a,b\n1,"2\n\n3"\n\n4,5,6\n', {}, "data.csv:6: expects 2 values, as in line 1, got 3"),
        ("# x\na,b\n1,2\n# y\n3\n", {}, "data.csv:5: expects 2 values, as in line 2, got 1"),
        ("a b\n1 2\n3 4 5\n", {}, "data.csv:3: expects 2 values, as in line 1, got 3"),
        ("a,b\n   \n1,2\n3\n", {}, "data.csv:4: expects 2 values, as in line 1, got 1"),
        ('a,b\n1,"x\n2,y\n', {}, "data.csv:2: a cell begins with a quote, which is never closed"),
        ('a\n1\n"\n', {}, "data.csv:3: a cell begins with a quote, which is never closed"),
        ("a;b\n1;2\n", {"delimiter": ","}, "data.csv:1: has one column by data.delimiter: ','; ';' would give 2"),
        ("Title\na,b\n1,2\n3,4\n", {}, "data.csv:1: has 1 cell(s) with a comma between them, the lines after it 2; data.skip: 1 leaves it out"),
        ("a,b,c,d\n1,2\n3,4\n", {}, "data.csv:1: has 4 cell(s) with a comma between them, the lines after it 2; data.skip: 1 leaves it out"),
        ("a,2008\n1,2\n3,4\n", {}, "data.csv:1: is neither names nor a sample by its looks: 'a, 2008'; data.header: true or false says which, data.skip: 1 leaves it out"),
        ("a,a\n1,2\n", {}, "data.csv:1: column names must differ, 'a' is there twice; data.names gives others"),
        ("a,b\n1,2\n", {"names": ["x", "x"]}, "data.csv:1: column names must differ, 'x' is there twice; data.names gives others"),
        ("a,b\n1,2\n", {"names": ["x"]}, "data.csv:1: expects a name in data.names for each column, which are 2, got 1"),
        (b"a,b\n1,\xfc\n", {}, "data.csv:2: is not UTF-8 text; data.encoding: latin-1 reads it"),
        (b"a,b\n1,\x93\n", {}, "data.csv:2: is not UTF-8 text; data.encoding: cp1252 reads it"),
        (b"a,b\n1,\x81\n", {}, "data.csv:2: is not UTF-8 text; data.encoding: latin-1 reads it"),
        (b"a,b\n1,\xc3\xa4\n", {"encoding": "ascii"}, "data.csv:2: is not ascii text; data.encoding: utf-8 reads it"),
        (b"a,b\n1,\xc3", {}, "data.csv:2: is not UTF-8 text; data.encoding: latin-1 reads it"),
        ("a,ü\n1,2".encode("utf-16-le"), {}, "data.csv:1: is not UTF-8 text; data.encoding: utf-16-le may read it"),
        ("a,b\n1,2".encode("utf-16-be"), {}, "data.csv:1: is no text, it holds a NUL byte; data.encoding: utf-16-be may read it"),
        (b"a,b\n1,\0\n", {}, "data.csv:2: is no text, it holds a NUL byte"),
        ("a,b\n1,2\n", {"encoding": "latn"}, "data.csv: data.encoding: expects an encoding that Python knows, such as latin-1, cp1252 or utf-16, got 'latn'"),
    ],
)  # fmt: skip
def test_a_fault_has_its_line_and_its_key(
    tmp_path: Path, content: str | bytes, keys: dict[str, Any], message: str
) -> None:
    assert refused(tmp_path, content, **keys) == message


@pytest.mark.parametrize("step", range(1, 8))
def test_a_byte_that_is_no_text_is_found_in_any_part(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded, "STEP", step)
    message = "is not UTF-8 text; data.encoding: latin-1 reads it"
    for before in ("a,b\n1,2\n", "a,ß\n€,2\n"):
        for wrong in (b"\xe2\x82\n1,2\n", b"x\xff\n", b"\xe2"):
            content = before.encode() + wrong
            said = refused(tmp_path, content).replace("cp1252", "latin-1")
            assert said == f"data.csv:3: {message}"


def test_a_fault_far_behind_the_first_block_has_its_line(tmp_path: Path) -> None:
    many = "a,b\n" + "1,2\n" * 2_000_000
    assert refused(tmp_path, many + "3\n") == (
        "data.csv:2000002: expects 2 values, as in line 1, got 1"
    )
    frame = read(tmp_path, many + "3,4\n")
    assert frame.rows == 2_000_001
    assert frame.where(2_000_000).endswith("data.csv:2000002")


def test_text_of_a_file_cannot_break_a_message(tmp_path: Path) -> None:
    evil = "\x1b[2J\u202e"
    for content in (f"{evil}{'x' * 99},2\n1,2\n", f"{evil},{evil}\n1,2\n", f"2{evil},3\n1,2\n"):
        assert refused(tmp_path, content).isprintable()
    counts = read(tmp_path, f"2,1,{evil}\n1,2\n3,4\n")
    assert noted(counts).isprintable()
    assert "counts" in noted(counts)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a,b\n1,2\n3,4\n", [2, 3]),
        ("a,b\n\n1,2\n\n3,4\n", [3, 5]),
        ("# x\na,b\n1,2\n# y\n3,4", [3, 5]),
        ('a,b\n1,"x\n\ny"\n3,4\n', [2, 5]),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", [2, 4]),
        ("a,b\r1,2\r\r3,4\r", [2, 4]),
        ("a,b\n1,2\n  \n3,4\n,\n5,6\n", [2, 4, 6]),
        ("a b\n 1  2\n\n3 4\n", [2, 4]),
        ('a b\n "1"  2\n# 3\n3 4\n', [2, 3, 4]),
        ("a\n1\n\n \n2\n", [2, 5]),
    ],
)
def test_each_row_knows_its_line(tmp_path: Path, content: str, lines: list[int]) -> None:
    frame = read(tmp_path, content)
    where = [frame.where(row) for row in range(frame.rows)]
    assert where == [f"{tmp_path / 'data.csv'}:{line}" for line in lines]


# -------------------------------------------------------------------------- files as people have


PANDAS: dict[str, dict[str, Any]] = {
    "birds-missing.csv": {}, "census-question.csv": {"header": None},
    "count-line.csv": {"header": None, "skiprows": 1},
    "decimal-comma.csv": {"sep": ";", "encoding": "utf-8-sig"}, "groups.csv": {},
    "instrument.tsv": {"sep": "\t", "comment": "#"}, "latin1.csv": {"encoding": "latin-1"},
    "notes-noheader.txt": {"header": None}, "passengers.csv": {},
    "pixels.csv.gz": {"header": None}, "quality-semicolon.csv": {"sep": ";"},
    "signal-noheader.csv": {"header": None}, "yield.csv": {},
}  # fmt: skip


@pytest.mark.parametrize("name", PANDAS)
def test_files_with_the_habits_of_real_ones_are_read_as_pandas_is_told_to(name: str) -> None:
    dialect = Dialect(encoding="latin-1" if name == "latin1.csv" else None)
    frame = read_frame(HERE / name, dialect)
    told = pd.read_csv(
        HERE / name, dtype=str, keep_default_na=False, skipinitialspace=True, **PANDAS[name]
    )
    named = PANDAS[name].get("header", 0) == 0
    assert frame.named is named
    assert frame.names == (tuple(told.columns) if named else NUMBERED[: told.shape[1]])
    cells_told = told.to_numpy().tolist()
    if name == "decimal-comma.csv":
        cells_told = [[cell.replace(",", ".") for cell in row] for row in cells_told]
    assert rows(frame) == cells_told


def test_all_files_are_looked_at() -> None:
    assert {path.name for path in HERE.iterdir()} == {*PANDAS}


# -------------------------------------------------------------------------------- any table


WORDS = st.text(
    st.sampled_from(list("abz019.-+eE_ äß€\"';:|#%\n\r\t,")), max_size=8
)  # fmt: skip


@st.composite
def written(draw: st.DrawFn) -> tuple[list[str] | None, list[list[str]], bytes, Dialect]:
    """Names and cells of a table, as some program has written it, and the keys that say how."""
    width = draw(st.integers(2, 4))  # of one, other delimiters are looked for
    delimiter = draw(st.sampled_from([",", ";", "\t", "|", ":"]))
    table = draw(st.lists(st.lists(WORDS, min_size=width, max_size=width), min_size=1, max_size=8))
    names = draw(st.none() | st.lists(WORDS.filter(str.strip), min_size=width, max_size=width,
                                      unique_by=str.strip))  # fmt: skip
    quoting: Any = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    text = io.StringIO()
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([*([] if names is None else [names]), *table])
    content = text.getvalue()
    if draw(st.booleans()):
        content = content.removesuffix(end)
    if quoting == csv.QUOTE_MINIMAL:  # which leaves a carriage return without quotes
        assume("\r" not in content.replace("\r\n", "\n"))
    assume("\r" not in content or "\n" in content)  # line ends of an old Macintosh become \\n
    encoding = draw(st.sampled_from([None, "utf-8-sig", "utf-16", "cp1252"]))
    said = encoding if encoding == "cp1252" else None
    dialect = Dialect(delimiter, ".", names is not None, None, said, "")
    return names, table, content.encode(encoding or "utf-8"), dialect


@settings(max_examples=150, deadline=None)
@given(written())
def test_any_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[list[str] | None, list[list[str]], bytes, Dialect],
) -> None:
    names, table, content, dialect = case
    path = tmp_path_factory.mktemp("any") / "data.csv"
    path.write_bytes(content)
    stripped = [[cell.strip() for cell in row] for row in table]
    kept = [row for row in stripped if any(row)]
    if not kept:
        with pytest.raises(DataError, match=r"expects (a line of column names|samples)"):
            read_frame(path, dialect)
        return
    if names is None and len(kept[0]) > 1 and not any(row[-1] for row in kept):
        kept = [row[:-1] for row in kept]  # as if each row ended with a delimiter
    frame = read_frame(path, dialect)
    if names is not None:
        assert [*frame.names] == [name.strip() for name in names]
    assert rows(frame) == kept
    shutil.rmtree(path.parent)


@st.composite
def usual(draw: st.DrawFn) -> tuple[list[str] | None, list[list[str]], str]:
    """Names, cells and text of a table of numbers with a class, of which no key says how."""
    width = draw(st.integers(1, 4))
    number = st.floats(-1e6, 1e6).map("{:.3f}".format)
    classes = draw(st.sampled_from([["0", "1", "2"], ["good", "bad"], ["it's", "so-so"]]))
    row = st.tuples(*[number] * width, st.sampled_from(classes)).map(list)
    table = draw(st.lists(row, min_size=4, max_size=12))
    names = draw(st.none() | st.just([*"abcd"[:width], "kind"]))
    delimiter = draw(st.sampled_from([",", ", ", ";", "\t", "|", " ", "   "]))
    lines = table if names is None else [names, *table]
    comma = draw(st.booleans()) and "," not in delimiter
    quote = '"' if draw(st.booleans()) else ""
    text = [delimiter.join(f"{quote}{c}{quote}" for c in line) for line in lines]
    text = [line.replace(".", ",") for line in text] if comma else text
    above = draw(st.sampled_from(["", "# station; 4,5\n", "% a\n%\n"]))
    mark, end = draw(st.sampled_from(["", "\ufeff"])), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return names, table, mark + (above + "\n".join(text) + "\n").replace("\n", end)


@settings(max_examples=150, deadline=None)
@given(usual())
def test_no_key_is_needed_for_numbers_and_a_class(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[list[str] | None, list[list[str]], str],
) -> None:
    names, table, text = case
    folder = tmp_path_factory.mktemp("usual")
    frame = read(folder, text)
    assert rows(frame) == table
    assert frame.names == (NUMBERED[: len(table[0])] if names is None else tuple(names))
    assert frame.named is (names is not None)
    shutil.rmtree(folder)


# ----------------------------------------------------------------------------- keys of a config


def test_keys_of_a_config_are_those_of_a_dialect() -> None:
    keys = (
        "delimiter: tab, decimal: ',', header: true, names: [u, v], encoding: cp1252, "
        "comment: '!', skip: 3"
    )
    config = loading.load(find_config("simplenet"), [f"data={{kind: csv, path: a.csv, {keys}}}"])
    assert isinstance(config.data, Csv)
    expected = Dialect("\t", ",", True, ["u", "v"], "cp1252", "!", 3)
    assert config.data.dialect == expected
    for text, delimiter in (("space", " "), ("';'", ";"), ('"\\t"', "\t")):
        change = f"data={{kind: csv, path: a.csv, delimiter: {text}}}"
        section = loading.load(find_config("simplenet"), [change]).data
        assert isinstance(section, Csv)
        assert section.dialect == Dialect(delimiter)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("delimiter: abc", "data.delimiter: must be a character that no cell holds, tab or space, got 'abc'"),
        ("delimiter: '1'", "data.delimiter: must be a character that no cell holds, tab or space, got '1'"),
        ("delimiter: '\"'", "data.delimiter: must be a character that no cell holds, tab or space, got '\"'"),
        ("decimal: x", "data.decimal: must be '.' or ',', got 'x'"),
        ("encoding: latn", "data.encoding: must be an encoding that Python knows, such as latin-1 or cp1252, got 'latn'"),
        ("encoding: base64", "data.encoding: must be an encoding that Python knows, such as latin-1 or cp1252, got 'base64'"),
        ("skip: -1", "data.skip: must be at least 0, got -1"),
        ("names: []", "data.names: must have at least 1 item(s), got 0"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_the_config(key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        loading.load(find_config("simplenet"), [f"data={{kind: csv, path: a.csv, {key}}}"])


def test_new_samples_are_read_by_the_keys_of_the_run(minifw: Minifw) -> None:
    """Names and decimal commas are not in the file; it may lack the last column, the target."""
    rows = [f"{n},5;{-n},25;{'ab'[n % 2]}" for n in range(20)]
    Path("d.csv").write_text("\n".join(rows))
    Path("new.csv").write_text("\n".join(row.rpartition(";")[0] for row in rows[:3]))
    keys = "names: [u, v, kind], delimiter: ';', decimal: ',', header: false"
    trained = minifw("train", "simplenet", "--set", f"data={{kind: csv, path: d.csv, {keys}}}",
                     "--seeds", 1, "--set", "train.epochs=1", "--json")  # fmt: skip
    run = trained.json["run_dir"]
    both = [minifw("predict", run, file, "--json").json["rows"] for file in ("d.csv", "new.csv")]
    assert [row["class"] for row in both[0][:3]] == [row["class"] for row in both[1]]
    Path("other.csv").write_text("1\n2\n")
    answer = minifw("predict", run, "other.csv")
    assert answer.code == 2
    assert "data.delimiter" in answer.err or "expects a name in data.names" in answer.err
