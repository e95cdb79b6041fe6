"""A user's file is a regular file that fits into memory, read once; and samples to predict."""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Minifw
from minifw import experiment, runs
from minifw.config import loading, yaml12
from minifw.errors import ArtefactError, ConfigError, DataError, StorageError
from minifw.experiment.plan import plan as make_plan
from minifw.system import machine
from tables_of import arrays_at, asked_at, table_at

LINES = "a,b,y\n1,2,no\n3,4,yes\n5,7,no\n6,9,yes\n"
CONFIG = """\
name: mine
data: {kind: csv, path: points.csv}
network: [{linear: 2}]
loss: mse
train: {eta: 0.1, epochs: 1}
"""


def points(folder: Path, text: str = LINES) -> Path:
    path = folder / "points.csv"
    path.write_text(text)
    return path


def refused(read: Any, *arguments: Any) -> str:
    """The one line by which these are refused."""
    with pytest.raises((DataError, ConfigError, ArtefactError)) as raised:
        read(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# ------------------------------------------------------------------------------- regular files


@pytest.mark.parametrize("written", [False, True])
def test_a_pipe_is_no_data_and_no_config(tmp_path: Path, written: bool) -> None:
    pipe, writer = tmp_path / "pipe", None
    os.mkfifo(pipe)
    if written:  # without a writer, opening it could wait for ever
        writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        os.write(writer, LINES.encode())
    for call in (
        (table_at, pipe),
        (arrays_at, pipe),
        (asked_at, pipe, ["a"]),
    ):
        assert refused(*call) == f"{pipe}: cannot be read as data: this is a pipe, not a file"
    what = "expects a YAML file, this is a pipe"
    assert refused(yaml12.read, pipe) == f"{pipe}: {what}"
    if writer is not None:
        os.close(writer)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_data_and_no_config(device: str) -> None:
    what = "this is a device"
    assert f"cannot be read as data: {what}, not a file" in refused(table_at, Path(device))
    assert what in refused(yaml12.read, Path(device))


def test_a_config_that_the_disk_does_not_give_is_not_another_kind_of_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(path: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(yaml12, "open_input", failing)
    with pytest.raises(StorageError, match=r"^a.yaml: cannot be read: Invalid argument$"):
        yaml12.read(Path("a.yaml"))


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    path, link = points(tmp_path), tmp_path / "link"
    link.symlink_to(path)
    assert table_at(link).features == ("a", "b")


def test_a_file_is_read_once_and_its_checksum_is_of_what_was_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = points(tmp_path), []

    def watched(really: Callable[..., Any]) -> Callable[..., Any]:
        def call(name: Any, *words: Any, **more: Any) -> Any:
            opened.append(name)
            return really(name, *words, **more)

        return call

    for module in (os, io, builtins):
        monkeypatch.setattr(module, "open", watched(module.open))
    (tmp_path / "mine.yaml").write_text(CONFIG)
    config, source = loading.load_with_source(tmp_path / "mine.yaml")
    opened.clear()
    plan = make_plan(config, 1, ["full-batch"], source)
    assert list(map(str, opened)).count(str(path)) == 1
    assert plan.table is not None
    assert plan.table.checksum == hashlib.sha256(LINES.encode()).hexdigest()
    path.unlink()  # nobody needs it any more
    outcome = experiment.start(plan, tmp_path / "runs", no_progress)
    assert runs.load(outcome.run.path).manifest.data_checksum == plan.table.checksum


def no_progress(label: str, total: int) -> Any:
    return nullcontext(lambda done, text: None)


def test_a_file_that_has_changed_is_told_before_it_is_parsed(tmp_path: Path) -> None:
    path = points(tmp_path, "no csv at all")
    assert refused(lambda: table_at(path, expected="0" * 64)) == (
        f"{path}: this data file has changed since the run began"
    )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert "has changed" not in refused(lambda: table_at(path, expected=found))


# -------------------------------------------------------------------------------------- memory


def member(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """An .npy file that says so in its header, and then holds zeros."""
    file = io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(64)


def archive(folder: Path, **members: bytes) -> Path:
    path = folder / "points.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (((10**8, 10**6), "<f8"), ((10**8,), "<i8")),
        (((4, 2), "<f8"), ((10**15,), "|u1")),
        (((4, 2), "<f8"), ((4,), "<U500000000")),
        (((2**63, 2**63), "|i1"), ((4,), "<i8")),
    ],
)
def test_what_an_archive_unfolds_to_is_told_from_its_headers(
    tmp_path: Path, x: tuple[Any, ...], y: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked"))
    monkeypatch.setattr(machine, "available", lambda: 10**9)
    path = archive(tmp_path, x=member(*x), y=member(*y))
    message = refused(arrays_at, path)
    assert f"{path}: unpacking this file needs about" in message
    assert message.endswith("of memory, 1.0 GB are free; fewer samples in it would help")


def test_a_file_beyond_memory_is_not_read(tmp_path: Path) -> None:
    path = points(tmp_path)
    with path.open("r+b") as file:
        file.truncate(2**43)  # a hole, which takes no room on the disk
    for call in (
        (table_at, path),
        (arrays_at, path),
        (asked_at, path, ["x[0]"]),
    ):
        assert f"{path}: reading this file needs about 8.8 TB of memory" in refused(*call)


@pytest.mark.parametrize(
    "content",
    [
        member((-4, 2)), member((4, 2))[:20], member((4,), "|O"), b"", b"\x93NUMPY\x03\x00",
        member((4, 2), "|V8"), member((4, 2)).replace(b"4, 2", b"((((" ), member((4, 0)),
    ],
)  # fmt: skip
def test_arrays_that_are_none(tmp_path: Path, content: bytes) -> None:
    refused(arrays_at, archive(tmp_path, x=content, y=member((4,), "<i8")))
    refused(arrays_at, archive(tmp_path, x=member((4, 2)), y=content))


# -------------------------------------------------------------------------- columns and cells


@pytest.mark.parametrize(
    ("features", "target", "message"),
    [
        (["a", "y"], None, "column 'y' is the target (data.target, by default the last column)"),
        (["y"], "y", "column 'y' is the target"),
        (["a", "b", "a"], None, "data.features names column 'a' twice"),
        (["c", "d"], None, "there is no column 'c'"),
    ],
)
def test_a_column_is_used_once(
    tmp_path: Path, features: list[str], target: str | None, message: str
) -> None:
    assert message in refused(table_at, points(tmp_path), features, target)


def test_an_array_is_used_once(tmp_path: Path) -> None:
    path = tmp_path / "points.npz"
    np.savez(path, x=np.eye(4))
    assert "data.features and data.target both name the array 'x'" in refused(
        arrays_at, path, "x", "x"
    )


def test_a_file_of_classes_alone_has_no_features(tmp_path: Path) -> None:
    path = points(tmp_path, "y\n0\n1\n")
    assert "expects a column beside the target 'y'" in refused(table_at, path)


def test_missing_cells_are_counted_in_the_columns_that_are_used(tmp_path: Path) -> None:
    path = points(tmp_path, "a,b,c,y\n1,2,,no\n3,NA,?,yes\nnan,7,5,no\n6,9,,None\n")
    message = refused(table_at, path, ["a", "b"], "y")
    assert message == (
        f"{path}:3: 3 cells are missing: 'a' (line 4: 'nan'), 'b' (line 3: 'NA'), "
        "'y' (line 5: 'None'); data.missing: drop leaves such rows out, mean or median fills them"
    )
    message = refused(table_at, path, None, "y")
    assert f"{path}:2: 6 cells are missing in 4 rows: 'a' (line 4: 'nan'), 'b'" in message
    assert "'c' (3, the first in line 2: ''), 'y'" in message


def test_long_text_of_a_file_is_cut(tmp_path: Path) -> None:
    for text in (
        "x" * 9000 + ",y\n1,0\n",
        "a,y\n" + "x" * 9000 + ",0\n",
        "a,y\n1," + "9" * 5000 + "\n",
    ):
        assert len(refused(table_at, points(tmp_path, text), ["a"], "y")) < 400


# ------------------------------------------------------------------------------------ predicting


def test_inputs_are_found_by_the_names_of_their_columns(tmp_path: Path) -> None:
    path = points(tmp_path, "y, b ,other,a\nNO,2,text,1\n1.0,4,,3\n?,6,NA,5\n")
    found = asked_at(path, ["a", "b"])
    np.testing.assert_array_equal(found.inputs, [[1, 2], [3, 4], [5, 6]])
    assert found.inputs.dtype == np.float64
    assert found.classes is None
    assert asked_at(path, ["a", "b"], "y").classes == ["NO", "1", None]
    assert asked_at(path, ["a"], "nowhere").classes is None


def test_inputs_of_an_array_have_as_many_columns_as_features(tmp_path: Path) -> None:
    path = tmp_path / "points.npz"
    np.savez(path, x=np.arange(6, dtype=np.int16).reshape(3, 2), y=np.array([b"a", b"b", b"nan"]))
    features = ["x[0]", "x[1]"]
    found = asked_at(path, features)
    np.testing.assert_array_equal(found.inputs, [[0, 1], [2, 3], [4, 5]])
    assert found.inputs.dtype == np.float64
    assert found.classes is None
    assert asked_at(path, features, "y").classes == ["a", "b", None]
    assert asked_at(path, features, "nowhere").classes is None
    assert "expects 'x' of shape (samples, 3), got (3, 2)" in refused(
        asked_at, path, [*features, "x[2]"]
    )
    assert "there is no array 'z'" in refused(asked_at, path, ["z[0]"])


def test_inputs_that_cannot_be_predicted(tmp_path: Path) -> None:
    path = points(tmp_path)
    assert refused(asked_at, path, ["a", "hight", "width"]) == (
        f"{path}: there is no column 'hight', 'width'; known here: a, b, y"
    )
    assert "there is no column 'bb'; did you mean 'b'?" in refused(asked_at, path, ["bb"])
    points(tmp_path, "a,b\n1,\n?,3\n")
    message = refused(asked_at, path, ["a", "b"])
    assert message == (
        f"{path}:2: 2 cells are missing: 'a' (line 3: '?'), 'b' (line 2: ''); "
        "predict needs all values of a sample"
    )
    assert "data.features" not in message  # there is no config
    points(tmp_path, "a,b\n1,x\n")
    message = refused(asked_at, path, ["a", "b"])
    assert message == f"{path}:2: 1 cell is not a number: 'b' (line 2: 'x')"
    points(tmp_path, "a,b\n")
    assert "got 1 line" in refused(asked_at, path, ["a", "b"])


def test_inputs_are_those_that_were_trained_on(tmp_path: Path) -> None:
    """A table's own names lead back to its numbers."""
    path, arrays = points(tmp_path), tmp_path / "points.npz"
    np.savez(arrays, x=np.array([[0.5, 1], [2, 3]]), y=np.array([0, 1]))
    for file, table in (
        (path, table_at(path, ["b", "a"])),
        (arrays, arrays_at(arrays)),
    ):
        found = asked_at(file, table.features, "y")
        np.testing.assert_array_equal(found.inputs, table.inputs)
        assert found.classes == [table.classes[label] for label in table.labels]


def test_what_a_file_is_its_content_tells(tmp_path: Path) -> None:
    path, arrays = tmp_path / "points.npz", tmp_path / "points.csv"
    points(tmp_path).rename(path)
    with arrays.open("wb") as file:
        np.savez(file, x=np.array([[0.5, 1], [2, 3]]))
    assert asked_at(path, ["a"]).inputs.shape[1] == 1
    assert asked_at(arrays, ["x[0]", "x[1]"]).inputs.shape == (2, 2)
    message = refused(asked_at, arrays, ["a", "b"])
    assert message == (
        f"{arrays}: an archive of arrays has no columns named 'a', …; a CSV file has"
    )


def test_the_header_of_an_array_has_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy would read a header of any size first, and 4 GiB of blanks need 4 MB in an archive."""
    monkeypatch.setattr(np.lib.format, "read_array_header_2_0", lambda _: pytest.fail("read"))
    long = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 100
    path = archive(tmp_path, x=long, y=member((4,)))
    message = refused(arrays_at, path)
    assert message.endswith("cannot be read as data: an array with a header of 2147483648 bytes")


def test_what_a_csv_becomes_must_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of two bytes becomes one of six, and a number of eight."""
    path = points(tmp_path, "a,b,y\n" + "1,2,0\n3,4,1\n" * 1000)
    monkeypatch.setattr(machine, "available", lambda: 20_000)
    message = refused(table_at, path)
    assert f"{path}: parsing this file needs about 84.0 kB of memory, 20.0 kB are free" in message
    monkeypatch.setattr(machine, "available", lambda: 90_000)
    assert len(table_at(path).inputs) == 2000


def test_a_command_refuses_a_pipe_in_one_line(minifw: Minifw) -> None:
    os.mkfifo("points.csv")
    os.mkfifo("pipe.yaml")
    Path("mine.yaml").write_text(CONFIG)
    for command in ("validate", "show", "train"):
        for config in ("mine.yaml", "pipe.yaml"):
            answer = minifw(command, config)
            assert answer.code == 2
            assert answer.err.count("\n") == 1
            assert "this is a pipe" in answer.err
