"""Every error that minifw raises on purpose, and the exit code that a command ends with.

    MinifwError                  1  anything minifw raises itself
    ├── ModuleError              1  a module, loss or network was used wrongly (also a ValueError)
    │   ├── ShapeError           1    a shape, stack or length does not fit
    │   ├── DtypeError           1    the wrong dtype, or not a tensor
    │   ├── OrderError           1    calls in the wrong order, as backward before forward
    │   └── StateError           1    a state dict that does not belong to this module
    ├── UsageError               2  a wrong argument, option or file name
    │   ├── ConfigError          2    faults in a config, all of them at once
    │   └── DataError            2    a user's data file that cannot be used
    ├── DivergedError            3  every seed diverged
    ├── ArtefactError            4  a run directory or file that is damaged or not minifw's
    ├── CheckError               5  two results that must be equal are not
    ├── StorageError             6  the disk is full, or permission is missing
    └── WorkerError              7  a job whose workers end again and again, or a lost cluster

    Interrupted              128 + n  signal n: 130 SIGINT, 143 SIGTERM, 129 SIGHUP, 138 SIGUSR1
                                      on Linux; no Exception, so that no `except Exception` in a
                                      library swallows it
    NotCompiledWarning              no error: training is slower than it could be

A message is one line per fault: where, what must hold, what was given. Text that a line quotes
from a user's file, options or paths is escaped here, in one place, so that it cannot break the
line, imitate another one, or move the cursor. Commands print `lines` as they are.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MAX_LINE = 1000
"""Characters of one line of an error; a longer one is cut in its middle."""


class MinifwError(Exception):
    """Base of all errors of minifw; `exit_code` is that of a command that raises it.

    Each argument is one fault and becomes one of `lines`, by `one_line`; str(error) joins them.
    """

    exit_code = 1

    def __init__(self, *faults: object) -> None:
        super().__init__(*faults)
        self.lines = tuple(map(one_line, faults))

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ModuleError(MinifwError, ValueError):
    """A module, loss, optimiser or network was used wrongly."""


class ShapeError(ModuleError):
    """A tensor's shape, or its stack of networks, does not fit."""


class DtypeError(ModuleError, TypeError):
    """A value of the wrong dtype or type."""


class OrderError(ModuleError):
    """Calls in the wrong order, such as `backward` before `forward`."""


class StateError(ModuleError):
    """A state dict whose names, shapes or dtypes are not those of the module."""


class UsageError(MinifwError):
    """The user asked for something that cannot be done as asked."""

    exit_code = 2


class ConfigError(UsageError):
    """All faults of one config. `faults` holds one line for each."""

    def __init__(self, faults: Iterable[str]) -> None:
        super().__init__(*faults)

    @property
    def faults(self) -> tuple[str, ...]:
        return self.lines


class DataError(UsageError):
    """A user's data is missing, unreadable or does not hold what was asked for."""


class DivergedError(MinifwError):
    """No seed was left with finite loss and weights.

    Attributes:
        history: what `minifw.fit` had recorded until then, a `History`; None where a run has it.

    """

    exit_code = 3

    def __init__(self, *faults: object, history: Any = None) -> None:
        super().__init__(*faults)
        self.history = history


class ArtefactError(MinifwError):
    """A file of a run directory or of the installation is damaged, missing or not minifw's."""

    exit_code = 4


class CheckError(MinifwError):
    """A check failed: two results that must be equal differ."""

    exit_code = 5


class StorageError(MinifwError):
    """Reading or writing failed: disk full, no permission, an input/output error."""

    exit_code = 6


class WorkerError(MinifwError):
    """A job was lost with its workers again and again, or the cluster itself was lost."""

    exit_code = 7


class NotCompiledWarning(UserWarning):
    """Training is slower than it could be, since its steps cannot be compiled; why is said."""


class Interrupted(BaseException):
    """A signal asked to end; `exit_code` is 128 plus its number, as in shells."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.exit_code = 128 + signal


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean 'epochs'?` where a known word is close, else a list of the known."""
    choices = sorted(known)
    # The search for close words takes the product of both lengths, so very long words are cut.
    sought, near = str(word), [choice for choice in choices if len(choice) <= 100][:1000]
    close = difflib.get_close_matches(sought, near, n=1, cutoff=0.6) if len(sought) <= 100 else []
    if close:
        return f"; did you mean '{close[0]}'?"
    if not choices:
        return ""
    more = f" and {len(choices) - 20} more" if len(choices) > 20 else ""
    return f"; known here: {', '.join(choices[:20])}{more}"


def one_line(text: object) -> str:
    """Return the text as one harmless line of at most MAX_LINE characters."""
    return _cut(
        harmless(_cut(str(text)))
    )  # cut before escaping, since a user's text may have megabytes


def _cut(text: str) -> str:
    """Return a long text without its middle, so that the place and the advice remain."""
    if len(text) <= MAX_LINE:
        return text
    return f"{text[: MAX_LINE * 2 // 3]} … {text[3 - MAX_LINE // 3 :]}"


def harmless(text: object) -> str:
    """Return the text with all that is not printable escaped, so that it cannot move the cursor.

    Control characters, line breaks, direction marks, characters without width and lone surrogates
    become escapes such as `\\x1b`. Printable text is returned unchanged.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def short_word(text: str) -> str:
    """Return the word, harmless, and of at most 40 characters."""
    return harmless(text if len(text) <= 40 else f"{text[:39]}…")


def short(value: object) -> str:
    """Return the value as text of at most 40 characters."""
    if isinstance(value, str) and len(value) > 100:
        value = value[:100]  # more is cut off below anyway
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]}…{text[-1]}"
