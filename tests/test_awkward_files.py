"""Files as spreadsheets, databases and R write them, and what is said of those that cannot be read."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from conftest import Minifw
from minifw.config import loading
from minifw.data.dialect import Dialect
from minifw.data.facts import is_different
from minifw.data.frame import Frame
from minifw.data.frames import read_frame
from minifw.data.kinds import column_of
from minifw.errors import DataError
from minifw.experiment.plan import plan as make_plan
from tables_of import table_at


def write(text: str | bytes, path: str = "a.csv") -> Path:
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Path(path)


def rows(count: int = 12, more: str = "") -> str:
    return "".join(f"{row / 8},{row % 5},{'AB'[row % 2]}{more}\n" for row in range(count))


def fault(text: str | bytes, dialect: Dialect | None = None) -> str:
    with pytest.raises(DataError) as found:
        read_frame(write(text), dialect)
    (line,) = found.value.lines
    return line


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_of_a_database_and_errors_of_a_spreadsheet_have_gaps() -> None:
    table = table_at(write("a,b,y\n1,\\N,u\n#DIV/0!,2,v\n3,#REF!,u\n"), missing="mean")
    np.testing.assert_array_equal(np.isnan(table.inputs), [[0, 1], [1, 0], [0, 1]])


def test_an_error_of_a_spreadsheet_is_no_comment() -> None:
    """Each row is there, also where lines that begin with # are comments."""
    table = table_at(write("# made\na,b,y\n1,5,u\n#VALUE!,2,v\n# late\n3,4,u\n"), missing="mean")
    assert table.inputs.shape == (3, 2)


@pytest.mark.parametrize("more", [",", ",,,"])
def test_last_columns_without_names_or_values_are_none(more: str) -> None:
    frame = read_frame(write(f"a,b,y{more}\n{rows(more=more)},,{more}\n"))
    assert frame.names == ("a", "b", "y")
    assert frame.rows == 12


def test_names_of_one_row_less_than_columns_are_told() -> None:
    frame = read_frame(write("a,y\n" + "".join(f"{n},{n / 8},{'AB'[n % 2]}\n" for n in range(9))))
    assert frame.names == ("column 1", "a", "y")
    assert [note for note in frame.notes if "2 names for 3 columns" in note]


def test_a_comment_in_the_middle_is_answered_with_its_key() -> None:
    text = f"a,b,y\n{rows()}# new sensor\n{rows()}"
    assert 'a.csv:14: expects 3 values, as in line 1, got 1; data.comment: "#"' in fault(text)
    assert read_frame(write(text), Dialect(comment="#")).rows == 24
    all_of_them = "#1,2,A\n#2,3,B\n"
    assert "begin with #, which marks comments; data.comment: ''" in fault(all_of_them)
    assert read_frame(write(all_of_them), Dialect(comment="")).rows == 2


def test_quotes_with_backslashes_are_told() -> None:
    line = fault("a,note,y\n" + '1.5,"say \\"hi\\", b",A\n' * 5)
    assert "a.csv:1: expects 4 values, as in line 2, got 3; a quote within quotes must be" in line


def test_what_is_packed_twice_or_no_text_is_not_called_another_encoding() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("b.csv", "é" + rows())
    assert "holds a compressed file" in fault(gzip.compress(buffer.getvalue()))
    assert "is no text" in fault(b"\xf0\xfe\xfd\x81\0\1\2" * 300)


def test_points_between_thousands_are_taken_out_where_the_point_is_a_comma() -> None:
    text = "a;b;y\n1.234,5;0,5;u\n-12.000;1,5;v\n7;2,5;u\n"
    frame = read_frame(write(text), Dialect(decimal=","))
    assert frame.columns[0].to_pylist() == ["1234.5", "-12000", "7"]
    assert "points are taken to separate thousands, as in 1.234,5" in frame.notes[-1]
    text = "a;b;y\n0.125;0,5;u\n1.250;1,5;v\n"  # 0.125 cannot be 125
    frame = read_frame(write(text), Dialect(decimal=","))
    assert frame.columns[0].to_pylist() == ["0.125", "1.250"]


@pytest.mark.parametrize("cell", ["1,234", "$5.20", "12 %", "3 kg", "\u22121.5", "1\u00a0000"])
def test_words_that_look_like_numbers_are_told(cell: str) -> None:
    frame = Frame(
        Path("a.csv"), ("a", "b", "y"),
        (pa.array([cell, f"{cell}", "2"]), pa.array(["1", "2", "3"]), pa.array(["u", "v", "u"])),
        "0" * 64, lambda row: f"a.csv:{row + 2}", True,
    )  # fmt: skip
    from minifw.data.files import table_of
    from minifw.data.roles import Choice

    # Half of the cells are numbers at most, so these are no slips in a column of numbers.
    table = table_of(frame, Choice())
    assert [note for note in table.notes if note.startswith("column 'a' holds words, such as")]
    plain = table_of(frame, Choice(categorical=["a"]))
    assert not [note for note in plain.notes if "holds words" in note]


def test_a_file_of_which_no_column_is_left_says_why(minifw: Minifw) -> None:
    write("amount,y\n" + "".join(f'"{n},{n:03}",{"AB"[n % 2]}\n' for n in range(1, 40)))
    for command in (["data", "a.csv"], ["init", "a", "--data", "a.csv"]):
        answer = minifw(*command)
        assert answer.code == 2
        assert "no column is left to be a feature" in answer.err
        assert "such as '1,001' (numbers are digits with a point only)" in answer.err


def test_a_first_row_of_words_is_answered_with_the_lines_to_skip() -> None:
    text = f"Report,,\n,,\na,b,y\n{rows()}"
    with pytest.raises(DataError, match=r"a\.csv:3: .*data\.skip: 2 takes the names from line 3"):
        table_at(write(text))
    assert read_frame(write(text), Dialect(skip=2)).names == ("a", "b", "y")


def test_numbers_too_large_to_count_are_no_ids() -> None:
    values = [str(1.5e300 * n) for n in range(1, 40)]
    assert not is_different(column_of("a", pa.array(values)))
    assert is_different(column_of("a", pa.array([str(10**18 + 999 * n) for n in range(40)])))


def test_one_column_is_answered_with_the_delimiter(minifw: Minifw) -> None:
    write("a:b:y\n" + rows().replace(",", ":"))
    assert "data.delimiter says what separates columns" in minifw("data", "a.csv").err
    answer = minifw("data", "a.csv", "--set", "data.delimiter=:")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("mark", ["#", "%", ",", ":", "|", "'", '"', "*", "&", "!", "-", "@", "`"])
def test_a_mark_is_text_on_the_command_line(mark: str) -> None:
    """YAML takes some of them for a comment, for text in several lines, or for nothing at all."""
    from minifw.config import yaml12
    from minifw.config.source import Source

    raw: dict[str, object] = {"data": {}}
    source = Source("a.yaml")
    yaml12.override(raw, f"data.mark={mark}", source)
    assert (raw, source.faults) == ({"data": {"mark": mark}}, [])
    yaml12.override(raw, "data.mark=~", source)
    assert raw == {"data": {"mark": None}}


def test_rows_without_a_group_are_one_group_and_told() -> None:
    path = write("g,a,y\n1,1,u\n01,2,v\n,3,u\nNA,4,v\n?,5,u\nb,6,v\n")
    table = table_at(path, group="g")
    assert table.groups is not None
    _, codes = np.unique(table.groups, return_inverse=True)
    assert len({*codes[:2]}) == 1
    assert len({*codes[2:5]}) == 1
    assert len(np.unique(codes)) == 3
    assert [note for note in table.notes if note.startswith("3 rows have no value in data.group")]


def test_a_division_that_cannot_be_is_told_by_all_commands(minifw: Minifw) -> None:
    write("a,b,y\n1,2,A\n2,3,B\n")
    for command in (["data", "a.csv"], ["init", "a", "--data", "a.csv"]):
        assert minifw(*command).err.startswith("a.csv: data.train: expects at least 1 training")
    write(f"a,b,y\n{rows()}")
    Path("c.yaml").write_text(
        "name: c\ndata: {kind: csv, path: a.csv, split: stratified, train: 0.9}\n"
        "network: [{linear: 2}]\nloss: cross-entropy\ntrain: {eta: 0.1, epochs: 1, batch_size: 4}\n"
    )
    for word in ("data", "validate", "show", "train"):
        answer = minifw(word, "c.yaml")
        assert answer.code == 2
        assert "stratified needs a sample of each class in every part" in answer.err
    config, source = loading.load_with_source(Path("c.yaml"), ["data.train=0.5"])
    assert make_plan(config, 1, ["sgd"], source).sizes.test == 6


def test_gaps_that_predict_fills_are_told(minifw: Minifw) -> None:
    write("a,w,y\n" + "".join(f"{n / 8},{'uv'[n % 3 % 2]},{'AB'[n % 2]}\n" for n in range(16)))
    Path("c.yaml").write_text(
        "name: c\ndata: {kind: csv, path: a.csv, missing: mean}\n"
        "network: [{linear: 2}]\nloss: cross-entropy\ntrain: {eta: 0.1, epochs: 1, batch_size: 4}\n"
    )
    assert minifw("train", "c.yaml", "--seeds", 2).code == 0
    write("a,w\n1,u\n,v\nNA,\n", "new.csv")
    answer = minifw("predict", next(Path("runs").iterdir()), "new.csv")
    assert answer.code == 0, answer.err
    said = "missing values are filled as in the run, by its training samples: 'a' 2, 'w' 1"
    assert said in answer.err
