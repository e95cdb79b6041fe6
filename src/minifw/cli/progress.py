"""How far a command is, on stderr: a bar on a terminal, lines now and then in a pipe or a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minifw.experiment import Progress, ShowProgress


def display(quiet: bool) -> ShowProgress:
    """Return what shows progress: nothing, a bar on a terminal, or a line now and then."""
    return _no_progress if quiet else _bar if sys.stderr.isatty() else _plain_lines


@contextmanager
def _no_progress(label: str, total: int) -> Iterator[Progress]:
    yield lambda done, text: None


@contextmanager
def _plain_lines(label: str, total: int) -> Iterator[Progress]:
    """A line on stderr now and then, for logs and pipes."""
    last = time.monotonic()

    def progress(done: int, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 10 or done == total:
            last = now
            print(f"{label}: {done} of {total}  {text}", file=sys.stderr)

    yield progress


@contextmanager
def _bar(label: str, total: int) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=6),  # all of it fits into 80 columns
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(label, total=total, text="")

        def progress(done: int, text: str) -> None:
            display.update(task, completed=done, text=text)

        yield progress
