"""Progress of training: a bar on a terminal or in a notebook, occasional lines elsewhere.

Progress is an extra: if it cannot be shown, training continues without it.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from minifw.errors import one_line

if TYPE_CHECKING:
    from minifw.experiment import Progress, ShowProgress


def display(quiet: bool) -> ShowProgress:
    """Return a command's progress on stderr: none, a bar on a terminal, or lines."""
    return _no_progress if quiet else _bar if sys.stderr.isatty() else plain_lines


def for_program(wanted: bool | None) -> ShowProgress:
    """Return the progress of a call from Python; None: a bar on a terminal or in a notebook."""
    if wanted is False:
        return _no_progress
    if _notebook() is not None:
        return _notebook_bar
    if sys.stderr is not None and sys.stderr.isatty():
        return _bar
    return plain_lines if wanted else _no_progress


def say(text: str) -> None:
    """Say something at once, in a line on stderr."""
    print(one_line(f"minifw: {text}"), file=sys.stderr)


@contextmanager
def _no_progress(label: str, total: int) -> Iterator[Progress]:
    yield lambda done, text: None


@contextmanager
def plain_lines(label: str, total: int) -> Iterator[Progress]:
    """Print an occasional line on stderr, for logs and pipes."""
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
        BarColumn(bar_width=6),  # the line fits into 80 columns
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(label, total=total, text="")

        def progress(done: int, text: str) -> None:
            display.update(task, completed=done, text=text)

        yield progress


def _notebook() -> Any:
    """Return `IPython.display` if this is a notebook, else None.

    A notebook has imported IPython. Rich's own display in notebooks would need ipywidgets.
    """
    with suppress(Exception):
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        if getattr(shell, "kernel", None) is not None:
            from IPython import display as displays

            return displays
    return None


SECONDS = 0.1
"""Seconds between two updates of a notebook's bar; each is a message to the browser."""


@contextmanager
def _notebook_bar(label: str, total: int) -> Iterator[Progress]:
    displays = _notebook()
    handle: Any = None
    last = 0.0

    def progress(done: int, text: str) -> None:
        nonlocal handle, last
        now = time.monotonic()
        if now - last < SECONDS and done < total:
            return
        last = now
        words = f"{label}: {done} of {total}  {text}"
        bar = f'<progress value="{done}" max="{total}"></progress>'
        shown = {"text/plain": words, "text/html": f"{bar} {html.escape(words)}"}
        with suppress(Exception):
            if handle is None:
                handle = displays.display(shown, raw=True, display_id=True)
            else:
                handle.update(shown, raw=True)

    yield progress
