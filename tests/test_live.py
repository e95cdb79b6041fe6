"""Curves in the terminal: what they show, in any terminal, and that training does not notice."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from minifw.cli import live
from minifw.cli.curves import ASCII, PRETTY, Curve, Scale, beside, legend, marks_for, panel
from minifw.experiment.arms import Follower
from minifw.statistics.measure import Measure
from minifw.training import History

SMALL = (
    "simplenet", "--seeds", "3", "--set", "data.train=40", "--set", "data.test=40",
    "--set", "train.epochs=20",
)  # fmt: skip
CONTROL = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


def plainly(text: str, number: int) -> str:
    return text


# ----------------------------------------------------------------------------------- the picture


def curve_of(*rows: list[float], every: int = 1) -> Curve:
    return Curve.of([every * k for k in range(len(rows))], [np.array(row) for row in rows])


def test_a_curve_has_median_and_quartiles_of_the_networks_that_are_left() -> None:
    found = curve_of([1.0, 2.0, 3.0, 4.0, 5.0], [np.nan, 7.0, np.nan, 9.0, np.nan], [np.nan] * 5)
    assert found.epochs.tolist() == [0, 1]  # after 2 no network is left
    assert (found.low.tolist(), found.median.tolist()) == ([2.0, 7.5], [3.0, 8.0])
    assert found.high.tolist() == [4.0, 8.5]


def test_a_panel_is_drawn_to_scale_and_arms_differ_in_their_marks() -> None:
    falling = curve_of([20.0, 30.0, 40.0], [10.0, 15.0, 20.0], [0.0, 0.0, 0.0], every=5)
    level = curve_of([30.0], [30.0], [30.0], every=5)
    lines = panel("test error, %", [falling, level], 10, (19, 12), PRETTY, plainly)
    assert lines == [
        "test error, %      ",
        "    35 │░          ",
        "       │●◆◆◆◆◆◆◆◆◆◆",
        "       │░●░░       ",
        "       │ ░●●░      ",
        "  17.5 │   ░●░     ",
        "       │    ░●●    ",
        "       │      ░●░  ",
        "       │        ●● ",
        "     0 │          ●",
        "       └───────────",
        "        0        10",
    ]
    both = panel("", [level, level], 10, (19, 5), PRETTY, plainly)
    assert both[1].endswith("●◆●◆●◆●◆●◆●")  # two arms in one place take turns
    assert legend(["minifw sgd", "PyTorch sgd"], 60, PRETTY, plainly) == [
        "● ░ minifw sgd   ◆ ▒ PyTorch sgd"
    ]
    assert len(set(PRETTY.medians + PRETTY.bands)) == len(set(ASCII.medians + ASCII.bands)) == 8


def test_a_panel_is_not_drawn_beyond_what_was_measured() -> None:
    lines = panel("", [curve_of([8.0], [8.0])], 4, (28, 5), PRETTY, plainly)
    assert lines[1] == "     8 │●●●●●" + " " * 15
    empty = panel("", [Curve.of([], [])], 4, (28, 5), PRETTY, plainly)
    assert {line[8:].strip() for line in empty[1:-2]} == {""}


def test_errors_of_very_different_sizes_are_on_a_logarithmic_axis() -> None:
    assert Scale.of([curve_of([50.0], [2.0], [0.0])]) == Scale(0.0, 50.0, False)
    scale = Scale.of([curve_of([50.0], [0.5], [0.0])])
    assert scale == Scale(0.5, 50.0, True)
    assert np.allclose(scale.place(np.array([50.0, 5.0, 0.5, 0.0])), [1, 0.5, 0, 0])
    assert np.isclose(scale.value(0.5), 5.0)
    assert Scale.of([]) == Scale.of([curve_of([0.0])]) == Scale(0.0, 1.0, False)


def test_marks_are_characters_of_the_encoding() -> None:
    assert marks_for("utf-8") is PRETTY
    assert marks_for("ascii") is marks_for("latin-1") is marks_for("no-such") is ASCII
    "".join(vars(ASCII).values()).encode("ascii")


def test_two_panels_stand_below_each_other_where_there_is_no_room() -> None:
    assert beside([["a", "b"], ["c", "d"]], 80) == ["a  c", "b  d"]
    assert beside([["a", "b"], ["c", "d"]], 40) == ["a", "b", "c", "d"]


# ----------------------------------------------------------------------------- a terminal to test


class Terminal(io.StringIO):
    """What a terminal shows: it knows what the display uses, and fails on anything else."""

    encoding = "utf-8"  # type: ignore[assignment]

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        super().__init__()
        self.columns, self.rows = columns, rows
        self.lines = [""]  # of the whole scrollback, the cursor is in `self.row`
        self.row = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        at = 0
        while at < len(text):
            if found := CONTROL.match(text, at):
                self._control(found[1], found[2])
                at = found.end()
                continue
            if text[at] == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif text[at] != "\r":
                assert text[at].isprintable()
                self.lines[self.row] += text[at]
                assert len(self.lines[self.row]) < self.columns, self.lines[self.row]
            at += 1
        return len(text)

    def _control(self, numbers: str, letter: str) -> None:
        if letter == "A":
            self.row = max(self.row - int(numbers), len(self.lines) - self.rows, 0)
        elif letter == "J" and numbers == "":
            self.lines[self.row :] = [""]
        elif letter == "J":
            assert numbers == "2"
            self.lines = [""] * len(self.lines)
        elif letter == "H":
            self.row = max(0, len(self.lines) - self.rows)
        else:
            assert letter == "m", letter

    @property
    def shown(self) -> list[str]:
        return self.lines[:-1] if self.lines[-1] == "" else self.lines


class Sized(live.Screen):
    """A screen whose size is that of its Terminal."""

    def size(self) -> tuple[int, int]:
        return self.stream.columns, self.stream.rows


def shown_on(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> live.Live:
    monkeypatch.setenv("NO_COLOR", "1")
    display = live.Live(terminal)
    display.screen = Sized(terminal)
    return display


def history_of(evaluations: int, seeds: int = 4, measure: Measure | None = None) -> History:
    """A history whose errors fall: seed k has 40 / epoch + k."""
    history = History.of((seeds,))
    history.measure = measure or history.measure
    for epoch in range(evaluations):
        error = 40 / (1 + epoch) + np.arange(seeds)
        history.record(epoch, error, error, error + 1, error)
        history.epoch = epoch
    return history


def drawn(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, measure: Measure | None) -> None:
    display = shown_on(terminal, monkeypatch)
    with display("minifw sgd", 10) as progress:
        assert isinstance(progress, Follower)
        progress.follow([history_of(10, measure=measure)])
        progress(9, "loss 0.5 train 4.0 % test 5.0 %")


@pytest.mark.parametrize("columns", [30, 40, 63, 64, 80, 132])
@pytest.mark.parametrize("rows", [3, 8, 24, 50])
def test_a_frame_fits_into_any_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    terminal = Terminal(columns, rows)
    drawn(terminal, monkeypatch, Measure(("price",), "thousand dollars"))  # it asserts the width
    assert 0 < len(terminal.shown) < rows
    if (columns, rows) == (132, 50):
        assert any("test RMSE, thousand dollars" in line for line in terminal.shown)


def test_a_frame_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    drawn(terminal, monkeypatch, None)
    first, titles, *_, names, key, text = terminal.shown
    assert first.startswith("minifw sgd  epoch 9 of 10  ━━━")
    assert titles.split("  ")[4].strip() == "training error, %"
    assert names == "● ░ minifw sgd"
    assert key == "one mark: median of 4 seeds; shaded: their middle half"
    assert text == "loss 0.5 train 4.0 % test 5.0 %"
