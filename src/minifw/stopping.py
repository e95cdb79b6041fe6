"""Signals that ask for an orderly end; whoever insists gets one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minifw.errors import Interrupted

# A terminal that closes sends SIGHUP more than once, and a batch system warns with SIGUSR1
# before its SIGTERM: only who repeats one of these two wants no orderly end.
_INSISTING = (signal.SIGINT, signal.SIGTERM)
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows has the first two
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


class Stop:
    """What the signals asked for. While `patient`, `check` says so; else it is said at once."""

    asked: int | None = None
    """The first signal that came."""
    patient = False
    _insisted = False

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.asked is not None:
            raise Interrupted(self.asked)

    def _handle(self, number: int, frame: object) -> None:
        if number in _INSISTING:
            if self._insisted:
                os._exit(128 + number)  # no `finally`, which could take as long as what it stops
            self._insisted = True
        if self.asked is not None:
            return
        self.asked = number
        if not self.patient:
            raise Interrupted(number)


@contextmanager
def on_signals() -> Iterator[Stop]:
    """Within this block SIGINT, SIGTERM, SIGHUP and SIGUSR1 go to the `Stop` that it gives.

    One that was ignored when the process began stays so: `nohup` ignores SIGHUP, and a shell
    without job control SIGINT for what it starts in the background.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals come to the main thread alone
        return
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in [*usual.items()]:
        if handler in (signal.SIG_IGN, None):  # None: it belongs to a program around this one
            del usual[number]
    for number in usual:
        signal.signal(number, stop._handle)
    try:
        yield stop
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
