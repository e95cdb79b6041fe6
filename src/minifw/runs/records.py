"""The manifest of a run as a typed object, read from JSON that may come from anybody.

A run may come from anybody, and so may its checksums. Here its text becomes an object, and whatever
minifw never writes is refused in one line: a path out of the run, an unknown word, a number out of
its bounds, NaN, very deep nesting.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from minifw.config.source import dotted, kind_of
from minifw.errors import ArtefactError, short
from minifw.runs.arms import ARMS, MODES, Arm, Mode
from minifw.runs.fields import Count, Margin, Seconds
from minifw.system.files import checksum

FORMAT = 1
"""The layout of a run directory; a run of a later one is refused."""

MAX_BYTES = 64 << 20
"""Bytes of a manifest, at most; one of 100,000 seeds in one group holds 2 MB."""
MAX_DEPTH = 20
"""Depth of nested lists and objects, in any JSON file of a run."""

Written = Literal["complete", "diverged", "running", "interrupted", "failed"]


def _moment(text: str) -> str:
    datetime.fromisoformat(text)  # a ValueError for a 13th month
    return text


Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}$", max_length=255
    ),
]
"""The path of a file, relative to the run. No name in it begins with a point, so none is `..`."""
Checksum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00$"),
    AfterValidator(_moment),
]


_PART = re.compile(
    rf"({'|'.join(ARMS)})-({'|'.join(MODES)})"
    r"(?:\.group-([1-9][0-9]{0,8})-of-([2-9]|[1-9][0-9]{1,8}))?"
)
_CHECKPOINT = re.compile(r"checkpoints/(.+?)(?:\.at-[0-9]+)?\.safetensors")


class PartName(NamedTuple):
    """A part of a run: one arm in one mode, for all seeds or for one of several groups of seeds.

    As text it is `minifw-sgd`, or `minifw-sgd.group-2-of-3`. Names sort by arm, mode and group.
    """

    arm: Arm
    mode: Mode
    number: int = 1
    groups: int = 1

    @property
    def group(self) -> str:
        """The group as text; empty if there is only one."""
        return "" if self.groups == 1 else f"group-{self.number}-of-{self.groups}"

    def __str__(self) -> str:
        return f"{self.arm}-{self.mode}{self.group and '.'}{self.group}"

    def file(self, at: int | None = None) -> str:
        """Return the path of its checkpoint of epoch or seed `at`, or of the last one."""
        return f"checkpoints/{self}{'' if at is None else f'.at-{at}'}.safetensors"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the part with this text.

        Raises:
            ValueError: there is none.

        """
        found = _PART.fullmatch(text)
        if found is None:
            raise ValueError(f"{short(text)} is not a part of a run")
        return cls(
            cast(Arm, found[1]), cast(Mode, found[2]), int(found[3] or 1), int(found[4] or 1)
        )

    @classmethod
    def of_file(cls, file: str) -> Self | None:
        """Return the part whose checkpoint has this file name, None if there is none."""
        if found := _CHECKPOINT.fullmatch(file):
            with suppress(ValueError):
                return cls.parse(found[1])
        return None


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class PartRecord(_Record):
    """The progress of a part of a run, and the file of its checkpoint.

    `seconds`, `evaluation_seconds`, `compiled` and `not_compiled` are those of its `History`.
    """

    file: Name
    epoch: Count
    finished: bool
    seconds: Annotated[float, Field(ge=1e-9, le=1e12, allow_inf_nan=False)]  # it is a divisor
    evaluation_seconds: Seconds
    compiled: bool
    not_compiled: str | None = None


class Manifest(_Record):
    """The status of a run, and the checksum of each of its files.

    `together` is the number of seeds that are drawn and trained at once; runs of versions without
    groups lack it. `margin` is that of a comparison with PyTorch, in percentage points, where it is
    not the usual one. `kind` is that of a study, else train. `parts` are keyed by name, `files` by
    path in the run.
    """

    format: Literal[1]
    status: Written
    kind: Literal["train", "sweep", "compare", "variance"] = "train"
    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    seeds: Annotated[list[Count], Field(min_length=1), FailFast()]
    together: Annotated[int, Field(ge=1, le=2**53)] | None = None
    margin: Margin | None = None
    modes: Annotated[list[Mode], Field(min_length=1, max_length=2), FailFast()]
    arms: Annotated[list[Arm], Field(min_length=1, max_length=2), FailFast()]
    threads: Annotated[int, Field(ge=1, le=2**15)]
    versions: dict[str, str]
    data_checksum: Checksum | None
    started: Moment
    finished: Moment | None = None
    resumed: Annotated[list[Moment], FailFast()] = []
    error: str | None = None
    parts: dict[str, PartRecord]
    files: dict[Name, Checksum]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Check that each part has an arm and a mode of this run, and its own file."""
        if self.arms[0] != "minifw" or len(set(self.arms)) < len(self.arms):
            raise ValueError("arms: must be minifw, alone or with one other")
        if len(set(self.modes)) < len(self.modes):
            raise ValueError("modes: must be different")
        for name, record in self.parts.items():
            part = None
            with suppress(ValueError):
                part = PartName.parse(name)
            if part is None or not self.has(part):
                raise ValueError(f"parts: {short(name)} is not a part of this run")
            if PartName.of_file(record.file) != part or record.file not in self.files:
                raise ValueError(
                    f"parts: {short(record.file)} is not a checkpoint of {short(name)}"
                )
        return self

    def has(self, part: PartName) -> bool:
        """Whether the run has the arm and the mode of this part."""
        return part.arm in self.arms and part.mode in self.modes

    def content(self) -> dict[str, Any]:
        """Return what is written: all keys except those without a value yet."""
        return self.model_dump(exclude_defaults=True)

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        content = self.content()
        whole = {"checksum": _checksum(content), **content}
        return (json.dumps(whole, indent=2, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Self:
        """Return the manifest in these bytes; `where` is their source, for messages.

        Raises:
            ArtefactError: they are not a manifest, or one that this minifw cannot have written.

        """
        content = parse(data, where)
        if older(content):
            again = (
                f"minifw train {where.removesuffix('manifest.json')}config.yaml makes the run anew"
            )
            raise ArtefactError(
                f"{where}: a run of a minifw before format {FORMAT}, which kept nothing to go on "
                f"from or to predict with; {again}"
            )
        if not isinstance(content, dict) or not {"files", "parts"} <= content.keys():
            raise ArtefactError(f"{where}: not the manifest of a run of this minifw")
        if (known := content.get("format")) != FORMAT:
            newer = isinstance(known, int) and known > FORMAT
            hint = "; a newer minifw made this run: pip install --upgrade minifw" if newer else ""
            raise ArtefactError(
                f"{where}: this minifw knows format {FORMAT}, got {_came(known)}{hint}"
            )
        if content.pop("checksum", None) != _checksum(content):
            raise ArtefactError(f"{where}: damaged: it is not what its own checksum says")
        return checked(cls, content, where)


def older(content: Any) -> bool:
    """Whether this is the manifest of a run from before formats had numbers; it has no `parts`."""
    first = {"status", "name", "seeds", "modes", "arms", "versions", "files"}
    return (
        isinstance(content, dict)
        and first <= content.keys()
        and not ({"format", "parts", "checksum"} & content.keys())
    )


# ------------------------------------------------------------------------------- text to objects


def parse(data: bytes, where: str) -> Any:
    """Return the value of this JSON text; `where` is its source, for messages.

    Raises:
        ArtefactError: it is not JSON, holds a number that is not finite, or is nested too deeply.

    """
    try:
        value = json.loads(data, parse_constant=_refuse, parse_float=_finite)
        shallow = _shallow(value)
    except RecursionError:
        shallow = False
    except ValueError as fault:
        raise ArtefactError(f"{where}: damaged: not valid JSON: {fault}") from None
    if not shallow:
        raise ArtefactError(f"{where}: must be nested at most {MAX_DEPTH} deep")
    return value


Model = TypeVar("Model", bound=BaseModel)


def checked(kind: type[Model], value: Any, where: str) -> Model:
    """Return `value`, from `parse`, as an object of this type.

    Raises:
        ArtefactError: it does not fit; one line names the first key that is wrong.

    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    first = faults[0]
    came = _came(first["input"])
    what = {
        "string_pattern_mismatch": f"is not a value that minifw writes here, got {came}",
        "missing": "this key is missing",
        "extra_forbidden": "this minifw does not know this key",
        "value_error": first["msg"].removeprefix("Value error, "),
    }.get(first["type"])
    if what is None:
        must = first["msg"].replace("Input should", "must").replace(" should ", " must ")
        what = f"{must}, got {came}"
    key = f"{dotted(first['loc'])}: " if first["loc"] else ""
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    # Keys have been added since runs have a format, never taken away.
    age = "; if an older minifw made this run, train its config.yaml anew"
    hint = age if first["type"] == "missing" else ""
    raise ArtefactError(f"{where}: {key}{what}{more}{hint}") from None


def _came(value: Any) -> str:
    return kind_of(value) if isinstance(value, dict | list) else short(value)


def _shallow(value: Any) -> bool:
    """Whether the value is nested at most MAX_DEPTH deep; without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner = [outer.values() if isinstance(outer, dict) else outer
                 for outer in level if isinstance(outer, dict | list)]  # fmt: skip
        level = [value for values in inner for value in values]
        if not level:
            return True
    return False


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{short(text)} is too large a number")
    return value


def _checksum(content: dict[str, Any]) -> str:
    return checksum(json.dumps(content, sort_keys=True).encode())
