"""Signals that ask for an orderly end; a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from minifw.errors import Interrupted

# Only these end the process at once when repeated: a closing terminal sends SIGHUP more than once,
# and a batch system sends SIGUSR1 as a warning before its SIGTERM.
_INSISTING = (signal.SIGINT, signal.SIGTERM)
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows has the first two
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

_LATER = 0.02  # seconds between checks whether an import has finished


class Stop:
    """A request by a signal to end. While `patient`, `check` raises it; else the handler does.

    During an import it is raised afterwards: a partly imported module causes other errors, and
    importlib swallows exceptions in some of its functions. Other libraries may swallow an exception
    from a handler too; then `check` raises it again.

    The process ends with the code of the first signal. A second SIGINT or SIGTERM ends it at once,
    with the code of the second.
    """

    asked: int | None = None
    """The first signal; of two during one call into C, the one with the smaller number."""
    _insisted = False
    _to_be_said = False

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self.asked is not None:
            self._to_be_said = False
            raise Interrupted(self.asked)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in _INSISTING:
            if self._insisted:
                os._exit(128 + number)  # without `finally` blocks, which could take long
            self._insisted = True
        if self.asked is None:
            self.asked = number
            self._to_be_said = True
            self._say(frame)

    def _handle_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._to_be_said:
            self._say(frame)

    def _say(self, frame: FrameType | None) -> None:
        if self.patient:
            return  # `check` raises it
        if _importing(frame):
            signal.setitimer(signal.ITIMER_REAL, _LATER)
        else:
            self.check()


def _importing(frame: FrameType | None) -> bool:
    """Return whether this frame is within an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


_open: Stop | None = None


@contextmanager
def on_signals(patient: bool = False) -> Iterator[Stop]:
    """Within this block SIGINT, SIGTERM, SIGHUP and SIGUSR1 go to the `Stop` that it gives.

    A nested block has the same `Stop`, with its own `patient`. SIGALRM is used as well.

    A signal that was ignored when the process began remains ignored: `nohup` ignores SIGHUP, and a
    shell without job control ignores SIGINT for background jobs.
    """
    global _open
    if threading.current_thread() is not threading.main_thread():
        yield Stop()  # only the main thread gets signals
        return
    if _open is not None:
        outside, _open.patient = _open.patient, patient
        try:
            yield _open
        finally:
            _open.patient = outside
        return
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in [*usual.items()]:
        if handler in (signal.SIG_IGN, None):  # None: set by a program that embeds Python
            del usual[number]
    stop = Stop(patient=True)
    alarm = getattr(signal, "SIGALRM", None)  # Windows has none
    try:
        if alarm is not None:
            usual[alarm] = signal.signal(alarm, stop._handle_alarm)
        for number in usual:
            if number != alarm:
                signal.signal(number, stop._handle)
        _open = stop
        stop.patient = patient
        yield stop
    finally:
        stop.patient = True
        _open = None
        if alarm is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in usual.items():
            signal.signal(number, handler)
