"""Every error that minifw raises on purpose, and the exit code each one ends a command with.

    MinifwError                  1  anything minifw raises itself
    ├── ModuleError              1  a module, loss or network was used wrongly (also a ValueError)
    │   ├── ShapeError           1    a shape, stack or length does not fit
    │   ├── DtypeError           1    the wrong kind of number, or no tensor at all
    │   ├── OrderError           1    backward before forward, say
    │   └── StateError           1    a state dict that does not belong to this module
    ├── UsageError               2  a wrong argument, option or file name
    │   ├── ConfigError          2    faults in a config, all of them at once
    │   └── DataError            2    a user's data file that cannot be used
    ├── DivergedError            3  every seed diverged
    ├── ArtefactError            4  a run directory or file that is corrupt or foreign
    ├── CheckError               5  two things that must be equal are not
    └── StorageError             6  the disk is full, or permission is missing

    Interrupted              128 + n  signal n: 130 SIGINT, 143 SIGTERM, 129 SIGHUP, 138 SIGUSR1
                                      on Linux; no Exception, so that no `except Exception` in a
                                      library swallows it

A message is one line per fault: where, what must hold, what came. What a line quotes of a user's
file, options or paths is made harmless here, in one place: no line can break, forge another, or
move the cursor, whoever raises it. Commands print `lines` as they are.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MAX_LINE = 1000
"""Characters of one line of an error; what is longer is cut in its middle."""


class MinifwError(Exception):
    """Base of all errors of minifw; `exit_code` is what a command ends with.

    Each argument is one fault and becomes one of `lines`, by `one_line`; str(error) joins them.
    """

    exit_code = 1

    def __init__(self, *faults: object) -> None:
        super().__init__(*faults)
        self.lines = tuple(map(one_line, faults))

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ModuleError(MinifwError, ValueError):
    """A module of the framework was used in a way that it cannot serve."""


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
    """A data file of the user's that is missing, unreadable or does not hold what was asked."""


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
    """A file of a run directory, or of the installation, that is corrupt, missing or foreign."""

    exit_code = 4


class CheckError(MinifwError):
    """A check that was asked for failed: two results that must be the same differ."""

    exit_code = 5


class StorageError(MinifwError):
    """Reading or writing failed: disk full, no permission, an input/output error."""

    exit_code = 6


class Interrupted(BaseException):
    """A signal asked for the end; `exit_code` is 128 and its number, as shells count."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.exit_code = 128 + signal


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'epochs'?` where a known word is close to `word`, else what is known."""
    choices = sorted(known)
    # Looking for near misses takes the product of both lengths: no name is as long as that.
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
    return _cut(harmless(_cut(str(text))))  # cut first, since a user's text may be megabytes long


def _cut(text: str) -> str:
    """Return the text without its middle where it is long: where and what to do stay."""
    if len(text) <= MAX_LINE:
        return text
    return f"{text[: MAX_LINE * 2 // 3]} … {text[3 - MAX_LINE // 3 :]}"


def harmless(text: object) -> str:
    """Return the text with all that is not printable escaped: no message moves the cursor.

    Control characters, line breaks, marks of direction or without width, and lone surrogates
    become `\\x1b`. What is harmless already comes back as it is.
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
        value = value[:100]  # what is cut off below anyway
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]}…{text[-1]}"
