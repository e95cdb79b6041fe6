"""How far the reading of a large file is: on a terminal only, and never in the way."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from minifw.data.frames import read_frame
from minifw.system import reading


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def table(folder: Path) -> Path:
    path = folder / "a.csv"
    path.write_text("x,y\n" + "1.5,0\n2.5,1\n" * 50_000)
    return path


def test_reading_is_shown_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path)
    monkeypatch.setattr(reading, "LARGE", 1000)
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with reading.shown():
        frame = read_frame(path)
    assert frame.rows == 100_000
    said = shown.getvalue()
    assert said.startswith("\rminifw: reading a.csv: ")
    assert "100 %" in said
    assert said.endswith(" \r")  # the line is clean again
    assert "\n" not in said


def test_nothing_is_shown_in_a_pipe_or_of_a_small_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path)
    monkeypatch.setattr(sys, "stderr", shown := Terminal())
    with reading.shown():
        read_frame(path)  # below LARGE
    monkeypatch.setattr(reading, "LARGE", 1000)
    read_frame(path)  # outside of a command
    assert shown.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with reading.shown():
        read_frame(path)
    assert pipe.getvalue() == ""


def test_a_closed_terminal_does_not_end_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path)
    monkeypatch.setattr(reading, "LARGE", 1000)
    monkeypatch.setattr(sys, "stderr", closed := Terminal())
    with reading.shown():
        closed.close()
        assert read_frame(path).rows == 100_000
