"""Curves in the terminal while a config is trained: `--live`.

The training thread only hands over what there is to see. A thread of its own draws, at most some
times a second and for at most a fiftieth of the time, so that neither drawing nor a slow terminal
holds up training. The cursor is never hidden: a process that is killed leaves a clean terminal.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import numpy as np

from minifw.cli.curves import WIDE, Curve, beside, legend, marks_for, panel
from minifw.errors import UsageError, harmless, one_line
from minifw.library.progress import plain_lines

if TYPE_CHECKING:
    from minifw.experiment import Progress, ShowProgress
    from minifw.training import History

PAUSE = 0.25
"""Seconds between two frames, at least."""
SHARE = 0.02
"""The part of the time that drawing may take."""
PATIENCE = 2.0
"""Seconds that the end of training waits for a terminal that takes nothing."""
MOST = 200
"""Evaluations of an arm that are drawn, at most."""
LOWEST = 4
"""Rows of a panel without room for more: title, one row, axis, epochs."""
COLORS = (36, 33, 35, 32)
"""Of the arms: cyan, yellow, magenta, green."""


def curves(quiet: bool) -> ShowProgress:
    """Return the display of a command with `--live`: curves, or lines where there is no terminal.

    Raises:
        UsageError: they are to be shown quietly.

    """
    if quiet:
        raise UsageError("--live: cannot be combined with --quiet, which shows no progress")
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Live(sys.stderr)
    what = "minifw: --live: needs a terminal on stderr; here progress is a line now and then"
    print(what, file=sys.stderr)
    return plain_lines


def refuse(what: str) -> NoReturn:
    """Raise a UsageError: there are no curves of a study while it runs.

    It trains networks in jobs, maybe on other machines, and sees them when they are done.
    """
    raise UsageError(
        f"--live: shows one config while it is trained, not a {what}; without it there is a bar"
    )


@dataclass
class _Arm:
    """One arm in one mode: what has been measured so far, and how far it is."""

    name: str
    total: int
    done: int = 0
    text: str = ""
    histories: Sequence[History] = ()
    began: tuple[float, int] | None = None  # when the first epoch here was done, and which it was
    curves: dict[str, Curve] = field(default_factory=dict)  # of an arm that is over

    def curve(self, name: str) -> Curve:
        """Return median and quartiles of a measurement, over all networks so far."""
        if name in self.curves:
            return self.curves[name]
        longest: Sequence[int] = max((h.epochs for h in self.histories), key=len, default=())
        count = min([len(getattr(h, name)) for h in self.histories if h.epochs is longest] or [0])
        if not count:
            return Curve.of([], [])
        rows = sorted({*range(0, count, max(1, count // MOST)), count - 1})

        values = []
        for row in rows:  # a history that ended early has fewer rows
            series = [getattr(h, name) for h in self.histories]
            values.append(np.concatenate([np.atleast_1d(s[row]) for s in series if row < len(s)]))
        return Curve.of([longest[row] for row in rows], values)

    def left(self, now: float) -> str:
        """Return how long this arm will take, in words."""
        if self.began is None or self.done <= self.began[1]:
            return ""
        since, first = self.began
        return _clock((now - since) / (self.done - first) * (self.total - self.done)) + " left"


class Live:
    """Shows all arms of a run, one after another, in the same place of the terminal."""

    def __init__(self, stream: TextIO | Any) -> None:
        self.screen = Screen(stream)
        self.marks = marks_for(getattr(stream, "encoding", None) or "ascii")
        self.colors = "NO_COLOR" not in os.environ
        self.arms: dict[str, _Arm] = {}
        self.now: _Arm | None = None

    @contextmanager
    def __call__(self, label: str, total: int) -> Iterator[Progress]:
        name = label.partition(" group-")[0]
        arm = self.arms[name] = self.now = _Arm(name, total)
        title = label

        class Follower:
            """What the training thread calls: it hands over, and draws nothing."""

            def __call__(self, done: int, text: str) -> None:
                arm.done, arm.text = done, text
                if done and arm.began is None:
                    arm.began = time.monotonic(), done

            def follow(self, histories: Sequence[History]) -> None:
                arm.histories = histories

        drawing = _Drawing(lambda: self.frame(title), self.screen)
        with drawing:
            yield Follower()
        with suppress(Exception):  # the curves are kept, the networks' histories are not
            arm.curves = {each: arm.curve(each) for each in ("train_error", "test_error")}
            arm.histories = ()

    def frame(self, title: str) -> list[str]:
        """Return the lines of the display as it is now, for the terminal's present size."""
        columns, rows = self.screen.size()
        width, arm = columns - 1, self.now
        assert arm is not None
        left = arm.left(time.monotonic())
        of = "epoch" if not title.startswith("PyTorch") else "epoch of all seeds"
        head = f"{title}  {of} {arm.done} of {arm.total}  {left}".rstrip()
        names = [*self.arms]
        networks = sum(h.diverged.size for h in arm.histories)
        said = [
            *legend(names, width, self.marks, self.paint),
            f"one mark: median of {networks} seed{'' if networks == 1 else 's'}; "
            "shaded: their middle half"[: width - 2],
            one_line(harmless(arm.text))[:width],
        ]
        count, gap = (2, 2) if width >= WIDE else (1, 0)
        room = rows - len(said) - 3
        tall = room if count == 2 else room // 2
        lines = [self.bar(head, arm, width)]
        if tall >= LOWEST:
            measure = next((h.measure for h in arm.histories), None)
            what, unit = ("error", ", %") if measure is None else (measure.name, measure.head)
            size = ((width - gap) // count, min(tall, 14))
            lines += beside(
                [
                    panel(
                        f"{' ' * 8}{words} {what}{unit}",
                        [each.curve(name) for each in self.arms.values()],
                        self.last(arm),
                        size,
                        self.marks,
                        self.paint,
                    )
                    for words, name in (("training", "train_error"), ("test", "test_error"))
                ],
                width,
            )
        return [*lines, *(line[:width] if line in said[-2:] else line for line in said)][: rows - 1]

    def last(self, arm: _Arm) -> int:
        """Return the last epoch of any arm; PyTorch counts those of all seeds together."""
        ends = [each.total for each in self.arms.values() if not each.name.startswith("PyTorch")]
        known = [int(c.epochs[-1]) for a in self.arms.values() for c in a.curves.values()
                 if len(c.epochs)]  # fmt: skip
        return max([*ends, *known] or [arm.total])

    def bar(self, head: str, arm: _Arm, width: int) -> str:
        """Return the first line: how far training is."""
        head = head[:width]
        room = width - len(head) - 2
        if room < 5:
            return head
        full = round(room * arm.done / max(1, arm.total))
        return f"{head}  {self.marks.bar * full}{self.marks.rest * (room - full)}"

    def paint(self, text: str, number: int) -> str:
        """Return text in the colour of an arm, unless colours are not wanted."""
        return f"\x1b[{COLORS[number % len(COLORS)]}m{text}\x1b[0m" if self.colors else text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Screen:
    """Lines of a terminal that are written again and again, in the same place."""

    def __init__(self, stream: TextIO | Any) -> None:
        self.stream = stream
        self._lines = 0
        self._size: tuple[int, int] | None = None

    def size(self) -> tuple[int, int]:
        """Return columns and rows of the terminal."""
        with suppress(OSError, ValueError):
            found = os.get_terminal_size(self.stream.fileno())
            if found.columns > 0 and found.lines > 0:
                return found.columns, found.lines
        return 80, 24

    def show(self, lines: Sequence[str], above: str = "") -> None:
        """Write a frame in place of the last one; `above` is text that stays, before it."""
        size = self.size()
        if self._lines and size != self._size:
            back = "\x1b[2J\x1b[H"  # lines were broken elsewhere: nobody knows where the frame is
        else:
            back = f"\r\x1b[{self._lines}A\x1b[J" if self._lines else "\r"
        if above and not above.endswith("\n"):
            above += "\n"
        self.stream.write(back + above + "".join(f"{line}\n" for line in lines))
        self.stream.flush()
        self._lines, self._size = len(lines), size


class _Drawing:
    """Draws frames in a thread of its own, within a `with` block, and once more at its end.

    What the program writes to its terminal meanwhile appears above the frame.
    """

    def __init__(self, frame: Any, screen: Screen) -> None:
        self._frame, self._screen = frame, screen
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="minifw live")
        self._said = Said(screen.stream)

    def __enter__(self) -> None:
        self._usual = sys.stdout, sys.stderr
        if _is_terminal(sys.stdout):
            sys.stdout = self._said
        sys.stderr = self._said
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        sys.stdout, sys.stderr = self._usual
        self._over.set()
        self._thread.join(PATIENCE)
        if not self._thread.is_alive():  # else the terminal takes nothing
            self._draw()

    def _run(self) -> None:
        pause = PAUSE
        while not self._over.wait(pause):
            started = time.thread_time()
            if not self._draw():
                return
            pause = max(PAUSE, (time.thread_time() - started) / SHARE)

    def _draw(self) -> bool:
        """Draw a frame; return whether that is possible at all."""
        try:
            self._screen.show(self._frame(), self._said.taken())
        except Exception:  # curves are an extra: training goes on without them
            return False
        return True


class Said(io.TextIOBase):
    """Text that was written while the display has the terminal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def taken(self) -> str:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return "".join(parts)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False
