"""Curves in the terminal: what they show, in any terminal, and that training does not notice."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Minifw
from minifw import runs
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

    encoding = "utf-8"

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
        assert isinstance(self.stream, Terminal)
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
        error = 40 / (1 + epoch) + np.arange(seeds, dtype=np.float64)
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


# ------------------------------------------------------------------------ as a terminal shows it


def test_a_frame_takes_the_place_of_the_last_and_messages_stay_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    terminal.write("$ minifw train\n")
    monkeypatch.setattr(live, "PAUSE", 60.0)  # only the last frame of each arm is drawn
    monkeypatch.setattr(sys, "stderr", terminal)
    display = shown_on(terminal, monkeypatch)
    for label in ("minifw full-batch", "minifw sgd"):
        with display(label, 10) as progress:
            progress.follow([history_of(10)])  # type: ignore[attr-defined]
            progress(10, "")
            print(f"a message of {label}", file=sys.stderr)
        assert sys.stderr is terminal
    assert terminal.shown[0] == "$ minifw train"
    assert terminal.shown[1:3] == ["a message of minifw full-batch", "a message of minifw sgd"]
    assert terminal.shown[3].startswith("minifw sgd  epoch 10 of 10")
    assert "● ░ minifw full-batch   ◆ ▒ minifw sgd" in terminal.shown
    assert sum("epoch 10 of 10" in line for line in terminal.shown) == 1


def test_after_a_change_of_its_size_a_terminal_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(100, 30)
    screen = Sized(terminal)
    screen.show(["x" * 90] * 20)
    terminal.columns = 50
    screen.show(["y" * 40] * 5)
    assert [line for line in terminal.shown if line] == ["y" * 40] * 5


def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert live.Live(plain).paint("a", 0) == "\x1b[36ma\x1b[0m"
    assert shown_on(plain, monkeypatch).paint("a", 0) == "a"


def test_time_left_is_what_the_rest_takes_at_this_rate() -> None:
    arm = live._Arm("minifw sgd", 100)
    assert arm.left(50.0) == ""
    arm.began, arm.done = (10.0, 1), 11
    assert arm.left(20.0) == "1:29 left"  # 10 epochs in 10 s: 89 more
    assert live._clock(3725) == "1:02:05"


def test_the_curve_of_an_arm_is_of_all_its_histories_and_of_its_last_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arm = live._Arm("PyTorch sgd", 30)
    assert len(arm.curve("test_error").epochs) == 0
    whole, half = history_of(10, seeds=1), history_of(5, seeds=1)
    half.test_error = [error + 10 for error in half.test_error]
    arm.histories = [whole, half]  # the second seed is still trained
    found = arm.curve("test_error")
    assert found.epochs.tolist() == list(range(10))
    assert found.median[0] == whole.test_error[0][0] + 5
    assert found.median[9] == whole.test_error[9][0]
    monkeypatch.setattr(live, "MOST", 3)
    assert arm.curve("test_error").epochs.tolist() == [0, 3, 6, 9]


class Stalled(Terminal):
    """A terminal that takes nothing, as after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.goes_on = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.waiting.set()
        self.goes_on.wait(60)
        return len(text)


def test_a_terminal_that_takes_nothing_does_not_hold_up_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "PAUSE", 0.001)
    monkeypatch.setattr(live, "PATIENCE", 0.01)
    terminal, usual = Stalled(), (sys.stdout, sys.stderr)
    display = shown_on(terminal, monkeypatch)
    with display("minifw sgd", 1000) as progress:
        assert terminal.waiting.wait(60)
        for epoch in range(1000):  # with a call that waits this would never end
            progress.follow([history_of(2)])  # type: ignore[attr-defined]
            progress(epoch, "")
        print("said", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == usual
    terminal.goes_on.set()


def test_a_fault_of_drawing_ends_drawing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*parts: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(live, "PAUSE", 0.001)
    monkeypatch.setattr(live, "panel", broken)
    terminal = Terminal()
    with shown_on(terminal, monkeypatch)("minifw sgd", 2) as progress:
        progress.follow([history_of(2)])  # type: ignore[attr-defined]
        time.sleep(0.02)
        progress(1, "")
    assert terminal.shown == []


# ------------------------------------------------------------------------------------ a command


def in_terminal(
    words: tuple[str, ...], folder: Path, act: Callable[[int, bytes], bool] = lambda pid, text: True
) -> tuple[int, str]:
    """Run a command in a terminal of 80 columns; `act` is called until it returns True."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        more = {"TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
        os.execvpe(sys.executable, [sys.executable, "-m", "minifw", *words], os.environ | more)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    text, over = b"", False
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        text += part
        over = over or act(pid, text)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode()


def the_run(folder: Path) -> runs.Run:
    (path,) = (folder / "runs").iterdir()
    return runs.load(path)


def test_live_changes_no_bit_of_a_run_and_ends_with_curves(tmp_path: Path) -> None:
    for name in ("live", "usual"):
        (tmp_path / name).mkdir()
    code, text = in_terminal(("train", *SMALL, "--live"), tmp_path / "live")
    usual = subprocess.run(
        [sys.executable, "-m", "minifw", "train", *SMALL, "--quiet"],
        cwd=tmp_path / "usual", check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert code == 0
    assert "\x1b[?25l" not in text  # a hidden cursor would remain hidden after a kill
    assert "median of 3 seeds; shaded: their middle half" in text
    assert "minifw full-batch  epoch 20 of 20" in text
    assert text.replace("\r", "").splitlines()[-4] == usual.stdout.splitlines()[-4]
    with_curves, without = the_run(tmp_path / "live"), the_run(tmp_path / "usual")
    same = ("checkpoints/minifw-full-batch.safetensors", "metrics.jsonl")
    assert [with_curves.known[name] for name in same] == [without.known[name] for name in same]
    results = [
        re.sub(r'"(evaluation_)?seconds": [0-9.e-]+', "", run.read_text("results.json"))
        for run in (with_curves, without)
    ]
    assert results[0] == results[1]
    assert with_curves.known.keys() == without.known.keys()


def test_an_interrupt_leaves_a_clean_terminal_and_a_run_to_resume(tmp_path: Path) -> None:
    def interrupt(pid: int, text: bytes) -> bool:
        if b"epoch" not in text:
            return False
        os.kill(pid, signal.SIGINT)
        return True

    words = ("train", *SMALL, "--set", "train.epochs=1000000", "--live")
    code, text = in_terminal(words, tmp_path, interrupt)
    assert code == 130
    terminal = Terminal(200)  # what the command itself writes below may be longer
    terminal.write(text.replace("\r", ""))
    message = terminal.shown[-1]
    assert message.startswith("minifw: interrupted; to continue: minifw resume runs/")
    assert terminal.shown[0].startswith("minifw full-batch  epoch ")
    assert sum("of 1000000" in line for line in terminal.shown) == 1
    assert the_run(tmp_path).status() == "interrupted"


def test_in_a_pipe_there_are_lines(minifw: Minifw) -> None:
    answer = minifw("train", *SMALL, "--live")
    assert answer.code == 0
    first, last = answer.err.splitlines()
    assert first == (
        "minifw: --live: needs a terminal on stderr; here progress is a line now and then"
    )
    assert last.startswith("minifw full-batch: 20 of 20  loss")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", *SMALL, "--live", "--quiet"),
         "--live: cannot be combined with --quiet, which shows no progress\n"),
        (("compare", "simplenet", "half-plane", "--live"),
         "--live: shows one config while it is trained, not a comparison of configs or runs; "
         "without it there is a bar\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(
    minifw: Minifw, words: tuple[str, ...], message: str
) -> None:
    answer = minifw(*words)
    assert (answer.code, answer.out, answer.err) == (2, "", message)
    assert not Path("runs").exists()


# --------------------------------------------------------------------------------- TensorBoard


def events_in(run: runs.Run) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """All event files as TensorBoard's own reader reads them: folder, name, steps and values."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for path in sorted((run.path / "tensorboard").rglob("events.*")):
        reader = accumulator.EventAccumulator(str(path.parent), size_guidance={"scalars": 0})
        reader.Reload()
        found[str(path.parent.relative_to(run.path / "tensorboard"))] = {
            name: [(event.step, event.value) for event in reader.Scalars(name)]
            for name in reader.Tags()["scalars"]
        }
    return found


def check_events(run: runs.Run) -> None:
    """Compare the event files with metrics.jsonl."""
    found = events_in(run)
    lines = [json.loads(line) for line in run.read_text("metrics.jsonl").splitlines()]
    parts = {f"{line['arm']}-{line['mode']}" for line in lines}
    shown = [f"seed-{seed}" for seed in run.manifest.seeds[:20]]
    shown += ["median", "lower-quartile", "upper-quartile"]
    assert set(found) == {f"{part}/{name}" for part in parts for name in shown}
    for part in parts:
        mine = [line for line in lines if f"{line['arm']}-{line['mode']}" == part]
        steps = [line["epoch"] for line in mine]
        for name in ("train_loss", "train_error", "test_error", "test_loss"):
            values = np.array([line[name] for line in mine], np.float64)
            wanted = {f"seed-{seed}": values[:, k] for k, seed in enumerate(run.manifest.seeds)}
            wanted["median"] = np.nanmedian(values, 1)
            wanted["lower-quartile"] = np.nanpercentile(values, 25, 1)
            for folder in found:
                if folder.startswith(f"{part}/") and (key := folder.split("/")[1]) in wanted:
                    left = ~np.isnan(wanted[key])
                    read = found[folder][name]
                    assert [step for step, _ in read] == list(np.array(steps)[left])
                    np.testing.assert_allclose(
                        [value for _, value in read], wanted[key][left], rtol=1e-6
                    )
    assert (run.faults(), run.strangers()) == ([], [])
    assert any(name.startswith("tensorboard/") for name in run.known)


BOARD = ("--set", "train.tensorboard=true", "--set", "train.batch_size=20", "--quiet")


def test_event_files_hold_what_metrics_hold_of_all_arms(minifw: Minifw, tmp_path: Path) -> None:
    answer = minifw("compare", *SMALL, *BOARD)
    assert answer.code == 0, answer.err
    check_events(the_run(tmp_path))


def test_event_files_are_there_while_it_trains_and_a_resumed_run_repeats_no_step(
    minifw: Minifw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minifw.experiment.events.PAUSE", 0.0)
    seen: list[dict[str, dict[str, list[tuple[int, float]]]]] = []

    def stopping(quiet: bool) -> Any:
        from contextlib import nullcontext

        def progress(done: int, text: str) -> None:
            if done == 15:
                seen.append(events_in(the_run(tmp_path)))
                os.kill(os.getpid(), signal.SIGUSR1)

        return lambda label, total: nullcontext(progress)

    with monkeypatch.context() as patch:
        patch.setattr("minifw.cli.training.display", stopping)
        words = ("--set", "train.eval_every=2")
        assert minifw("train", *SMALL, *BOARD[:2], *words).code == 138
    run = the_run(tmp_path)
    assert [step for step, _ in seen[0]["minifw-full-batch/median"]["test_error"]] == [
        0, 2, 4, 6, 8, 10, 12, 14,
    ]  # fmt: skip
    assert (run.status(), run.faults()) == ("interrupted", [])
    assert minifw("resume", str(run.path), "--quiet").code == 0
    check_events(the_run(tmp_path))


def test_groups_of_seeds_have_one_median_at_the_end(
    minifw: Minifw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minifw.experiment.memory.Sizes.group_size", lambda sizes: 2)
    assert minifw("train", *SMALL, *BOARD).code == 0
    check_events(the_run(tmp_path))


def test_a_run_goes_on_without_event_files(
    minifw: Minifw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*more: object, **others: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minifw.experiment.events._encoded", full)
    answer = minifw("train", *SMALL, *BOARD)
    run = the_run(tmp_path)
    assert (answer.code, run.status(), run.faults()) == (0, "complete", [])
    (line,) = answer.err.splitlines()
    assert line.startswith("minifw: runs/")
    assert line.endswith("/tensorboard: no event files: [Errno 28] No space left on device")


def test_without_tensorboard_a_config_that_wants_it_is_refused(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minifw.experiment.needs.find_spec", lambda name: None)
    answer = minifw("train", *SMALL, *BOARD)
    assert answer.code == 2
    assert answer.err == (
        "--set train.tensorboard=true: train.tensorboard: needs TensorBoard, which is not installed: pip install "
        '"minifw[tensorboard]"; false trains without\n'
    )
    assert not Path("runs").exists()
