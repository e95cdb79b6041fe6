"""Which columns of a file are for what, as the keys of `data` say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from minifw.data.encoding import Fill
from minifw.data.frame import Frame
from minifw.data.reading import no_column, twice
from minifw.errors import DataError, short_word

Names = Sequence[str | int]
Missing = Literal["error", "drop", "mean", "median"]


@dataclass(frozen=True)
class Choice:
    """Which columns of a file are used, and how: the keys of `data`.

    Columns are given by their names, or by their numbers from 1. None are the defaults: the last
    column is the target, and all others are features.
    """

    features: Names | None = None
    target: str | int | Names | None = None
    exclude: Names = ()
    categorical: Literal["auto"] | Names = "auto"
    missing: Missing = "error"
    group: str | int | None = None
    regression: bool = False

    @property
    def fill(self) -> Fill | None:
        """With what gaps are filled."""
        return self.missing if self.missing in ("mean", "median") else None


@dataclass(frozen=True)
class Roles:
    """The columns of a file by what they are for.

    `words` are those features that are to be one-hot whatever they hold.
    """

    features: list[str]
    targets: list[str]
    words: list[str]
    group: str | None


def roles_of(frame: Frame, choice: Choice) -> Roles:
    """Return which columns are for what.

    Raises:
        DataError: there is no such column, or one has two purposes; a line for each fault.

    """
    faults: list[str] = []
    excluded = _named(frame, "exclude", choice.exclude, faults)
    group = _named(frame, "group", [] if choice.group is None else [choice.group], faults)
    asked = [choice.target] if isinstance(choice.target, str | int) else choice.target
    targets = None if asked is None else _named(frame, "target", asked, faults)
    given = choice.features
    features = None if given is None else _named(frame, "features", given, faults)
    words = _named(
        frame, "categorical", [] if choice.categorical == "auto" else choice.categorical, faults
    )
    if faults:
        raise DataError(*faults)
    free = [name for name in frame.names if name not in {*excluded, *group}]
    targets = free[-1:] if targets is None else targets
    if features is None:
        features = [name for name in free if name not in targets]
    if not targets or not features:
        missing = f" '{short_word(targets[0])}'" if targets else ""
        # A text of one column may be of several, with something uncommon between them.
        is_text = len(frame.names) == 1 and str(frame.columns[0].type) == "string"
        key = "; data.delimiter says what separates columns" if is_text else ""
        raise DataError(f"{frame.path}: expects a column beside the target{missing}{key}")
    _check_once(frame, features, targets, excluded, group, words)
    return Roles(features, targets, words, group[0] if group else None)


def _named(frame: Frame, key: str, asked: Names, faults: list[str]) -> list[str]:
    """Return the names of columns that are given by their names, or by their numbers from 1.

    Those that are not there are noted in `faults`.
    """
    names, found = frame.names, []
    for each in asked:
        if isinstance(each, int) and not 1 <= each <= len(names):
            what = f"data.{key}: columns have numbers from 1 to {len(names)}, got {each}"
            faults.append(f"{frame.path}: {what}")
            continue
        found.append(names[each - 1] if isinstance(each, int) else each)
    if absent := [name for name in found if name not in {*names}]:
        faults.append(f"{frame.path}: data.{key}: {no_column(absent, names)}")
    if (double := twice(found)) is not None:
        faults.append(f"{frame.path}: data.{key} names column '{short_word(double)}' twice")
    return found


def _check_once(
    frame: Frame,
    features: Sequence[str],
    targets: Sequence[str],
    excluded: Sequence[str],
    group: Sequence[str],
    words: Sequence[str],
) -> None:
    """Raise a DataError if a column has two purposes, or none where it must have one."""
    faults = []
    for name in [name for name in targets if name in features]:
        faults.append(
            f"{frame.path}: column '{short_word(name)}' is the target (data.target, by default "
            "the last column), so it must not be one of data.features"
        )
    for key, chosen in (("features", features), ("target", targets)):
        for other, taken in (("exclude", excluded), ("group", group)):
            for name in [name for name in chosen if name in taken]:
                where = f"{frame.path}: column '{short_word(name)}'"
                faults.append(f"{where} is named by both data.{key} and data.{other}")
    for name in [name for name in words if name not in features]:
        where = f"{frame.path}: column '{short_word(name)}'"
        faults.append(f"{where} is named by data.categorical, but is none of the features")
    if faults:
        raise DataError(*faults)
