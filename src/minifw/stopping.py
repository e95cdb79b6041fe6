"""SIGINT and SIGTERM: the first asks for an orderly end, another ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minifw.errors import Interrupted


class Stop:
    """What the signals asked for. While `patient`, `check` says so; else it is said at once."""

    asked: int | None = None
    patient = False

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.asked is not None:
            raise Interrupted(self.asked)

    def _handle(self, number: int, frame: object) -> None:
        if self.asked is not None:
            os._exit(128 + number)  # no `finally`, which could take as long as what it interrupts
        self.asked = number
        if not self.patient:
            raise Interrupted(number)


@contextmanager
def on_signals() -> Iterator[Stop]:
    """Within this block, SIGINT and SIGTERM go to the `Stop` that it gives."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals come to the main thread alone
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    usual = {number: signal.signal(number, stop._handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
