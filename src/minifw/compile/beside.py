"""Compiling in a thread beside this one, which ends with its compiler if this one is interrupted.

Signals come to the main thread only; a compiler that another thread waits for would go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import TypeVar

Result = TypeVar("Result")

_compilers: dict[int, subprocess.Popen[bytes]] = {}
"""The compiler that a thread waits for."""
_ending: set[int] = set()
"""Threads that shall wait for none."""


@contextmanager
def beside(make: Callable[[], Result]) -> Iterator[Future[Result]]:
    """Call a function in another thread during this block, which waits for it at its end."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(make())
        except BaseException as fault:
            future.set_exception(fault)

    thread = threading.Thread(target=work)
    thread.start()
    number = thread.ident
    assert number is not None
    try:
        yield future
        wait([future])
    except BaseException:
        _ending.add(number)
        if (process := _compilers.get(number)) is not None:
            kill(process)
        raise
    finally:
        wait([future])  # Thread.join, once interrupted, does not wait a second time
        _ending.discard(number)


@contextmanager
def ending_with_thread(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Within this block, this thread waits for a process."""
    number = threading.get_ident()
    _compilers[number] = process
    try:
        if number in _ending:
            kill(process)
        yield
    finally:
        del _compilers[number]


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has started; it was begun with a group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
