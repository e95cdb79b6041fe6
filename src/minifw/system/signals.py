"""Signals that ask for an orderly end; whoever insists gets one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from minifw.errors import Interrupted

# A terminal that closes sends SIGHUP more than once, and a batch system warns with SIGUSR1
# before its SIGTERM: only who repeats one of these two wants no orderly end.
_INSISTING = (signal.SIGINT, signal.SIGTERM)
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows has the first two
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

_LATER = 0.02  # seconds from one look to the next whether an import is over


class Stop:
    """What the signals asked for. While `patient`, `check` says so; else it is said at once.

    During an import it is said after it: a module that is imported by half makes faults of its own,
    and importlib swallows what is raised in some of its functions. Elsewhere, too, a library may
    swallow what a handler raises, so that `check` says it again.

    The process ends with the code of the first signal. Only a second SIGINT or SIGTERM, of either
    kind, ends it at once, and then with its own code.
    """

    asked: int | None = None
    """The first signal that came; of two during one call into C, that with the smaller number."""
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
                os._exit(128 + number)  # no `finally`, which could take as long as what it stops
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
            return  # `check` says it
        if _importing(frame):
            signal.setitimer(signal.ITIMER_REAL, _LATER)
        else:
            self.check()


def _importing(frame: FrameType | None) -> bool:
    """Return whether an import is under way in this frame."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


_open: Stop | None = None


@contextmanager
def on_signals(patient: bool = False) -> Iterator[Stop]:
    """Within this block SIGINT, SIGTERM, SIGHUP and SIGUSR1 go to the `Stop` that it gives.

    A block within another has the same `Stop`, and its own patience. SIGALRM is used as well.

    One that was ignored when the process began stays so: `nohup` ignores SIGHUP, and a shell
    without job control SIGINT for what it starts in the background.
    """
    global _open
    if threading.current_thread() is not threading.main_thread():
        yield Stop()  # signals come to the main thread alone
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
        if handler in (signal.SIG_IGN, None):  # None: it belongs to a program around this one
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
