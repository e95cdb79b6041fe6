"""The files of a run that its weights need: names, and the normalisation of inputs.

A network of the run takes `(inputs - shift) / scale`, features in their order, and gives one score
for each class; or, of regression, one number for each target: `output * target_scale +
target_shift` is in the target's own unit.

    inputs.json                  names of features and classes in their order, kind of score; where
                                 words are one-hot or gaps are filled, the columns of the features
    normalization.safetensors    shift and scale, float64 of (seeds, features); of regression
                                 target_shift and target_scale, (seeds, targets); with columns
                                 fill, float64, and known, bool, of (seeds, features)
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
import safetensors.numpy
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from minifw.config import heads, loading
from minifw.config.code import Code
from minifw.config.model import Config, word_of
from minifw.data import Floats
from minifw.data.cells import LONGEST
from minifw.data.encoding import Coded, Encoding, Fill, Prepared
from minifw.data.kinds import Kind
from minifw.errors import ArtefactError, short
from minifw.experiment.plan import Plan
from minifw.runs import Run, records
from minifw.statistics.measure import Measure

INPUTS = "inputs.json"
NORMALIZATION = "normalization.safetensors"
Score = Literal["probability", "output"]
MOVED = ("shift", "scale", "target_shift", "target_scale")
"""The numbers of a normalisation, in the order in which `read_normalization` returns them."""
PREPARED = ("fill", "known")
"""Those of features that are made of columns, as in `minifw.data.encoding.Prepared`."""


def _names(classes: list[str]) -> list[str]:
    """Check names as in a data file, since a run may come from anybody."""
    if not all(name.isprintable() and 0 < len(name) <= LONGEST for name in classes):
        raise ValueError(f"classes: must be printable text of at most {LONGEST} characters")
    return _different(classes)


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("features, classes: must be different from one another")
    return names


class ColumnRecord(BaseModel):
    """A column, what it holds, and its words if they are one-hot."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str
    kind: Kind
    categories: Annotated[list[str], AfterValidator(_different)] = []


class EncodingRecord(BaseModel):
    """How columns became features: see `minifw.data.encoding.Encoding`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    columns: Annotated[list[ColumnRecord], Field(min_length=1)]
    fill: Fill | None = None

    @classmethod
    def of(cls, encoding: Encoding) -> Self:
        """Return the record of an encoding."""
        columns = [
            ColumnRecord(name=c.name, kind=c.kind, categories=list(c.categories))
            for c in encoding.columns
        ]
        return cls(columns=columns, fill=encoding.fill)

    @property
    def encoding(self) -> Encoding:
        """The encoding."""
        columns = (Coded(c.name, c.kind, tuple(c.categories)) for c in self.columns)
        return Encoding(tuple(columns), self.fill)


class Inputs(BaseModel):
    """The inputs of a run's networks, and the meaning of their outputs.

    `kind` is that of the data, `target` its column or array of classes (None for generated data). A
    `score` is the softmax of the outputs, a probability, or the output itself. Of regression there
    are no classes, but `targets`, and their `unit` if it was named. `encoding` says how columns
    became features, if they are not the same, and `unnamed` is the number of columns of a data
    file that gives them no names.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: str
    features: Annotated[list[str], Field(min_length=1), AfterValidator(_different)]
    target: str | None
    classes: Annotated[list[str], AfterValidator(_names)]
    seeds: Annotated[list[int], Field(min_length=1)]
    score: Score
    targets: Annotated[list[str], AfterValidator(_different)] = []
    unit: str = ""
    encoding: EncodingRecord | None = None
    unnamed: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.encoding and self.encoding.encoding.features != self.features:
            raise ValueError("encoding: must give the features")
        if (len(self.classes) < 2 and not self.targets) or (self.classes and self.targets):
            raise ValueError("classes: must be at least two, or none where there are targets")
        return self

    @property
    def outputs(self) -> int:
        """The number of classes, or of targets."""
        return len(self.targets or self.classes)

    @property
    def measure(self) -> Measure:
        """How errors are measured."""
        return Measure(tuple(self.targets), self.unit)

    @property
    def coded(self) -> Encoding:
        """How columns become features."""
        if self.encoding is not None:
            return self.encoding.encoding
        return Encoding(tuple(Coded(name, "number") for name in self.features))

    def content(self) -> dict[str, Any]:
        """Return what is written as JSON; of classification without the keys of regression."""
        without = set() if self.targets else {"targets", "unit"}
        without |= {key for key in ("encoding", "unnamed") if getattr(self, key) is None}
        return self.model_dump(exclude=without)


def write(run: Run, plan: Plan) -> None:
    """Write inputs.json, when a run starts."""
    run.write_json(INPUTS, _inputs(plan).content())


def _inputs(plan: Plan) -> Inputs:
    encoding = None if plan.table is None else plan.table.encoding
    return Inputs(
        kind=word_of(plan.config.data),
        features=list(plan.features),
        target=None if plan.table is None else plan.table.target,
        classes=list(plan.classes),
        seeds=plan.seeds,
        score=heads.main(plan.config.loss).declaration.score,
        targets=list(plan.measure.targets),
        unit=plan.measure.unit,
        encoding=None if encoding is None else EncodingRecord.of(encoding),
        unnamed=None if plan.table is None else plan.table.unnamed,
    )


def config_of(run: Run, allow_code: bool) -> Config:
    """Return the config of a run, with the Python files that the run keeps.

    Raises:
        UsageError: it would run code without permission.
        ArtefactError: a file is missing, damaged, or was not written by minifw.

    """
    code = Code(allow_code, lambda name: run.read(name) if name in run.known else None)
    return loading.of_run(run.read_text("config.yaml"), run.path / "config.yaml", code)


def check(run: Run, plan: Plan) -> None:
    """Raise an ArtefactError if the plan reads other columns or classes than the run began with.

    Even from the same data file: another version of minifw may read cells differently.
    """
    if INPUTS not in run.known:  # written by an earlier minifw
        write(run, plan)
        return
    where = run.path / INPUTS
    known, now = read(run), _inputs(plan)
    began = known.model_dump()
    for key, value in now.model_dump().items():
        if began[key] != value:
            raise ArtefactError(
                f"{where}: {key}: this minifw reads {short(value)} from the data, the run began "
                f"with {short(began[key])}; minifw train makes a new run"
            )


def write_normalization(
    run: Run, moved: dict[str, Floats], prepared: Prepared | None = None
) -> None:
    """Write the normalisation of each seed's inputs and targets, by the names in MOVED."""
    some: dict[str, Any] = {name: moved[name] for name in sorted(MOVED) if moved[name].size}
    if prepared is not None:
        some |= {"fill": prepared.fill, "known": prepared.known}
    run.write(NORMALIZATION, safetensors.numpy.save(some))


def read(run: Run) -> Inputs:
    """Read inputs.json of a run.

    Raises:
        ArtefactError: the run has no such file, or it is damaged or not minifw's.

    """
    return records.checked(Inputs, run.read_json(INPUTS), str(run.path / INPUTS))


def read_normalization(run: Run, about: Inputs) -> list[Floats]:
    """Return shift and scale of each seed, `(seeds, features)`, and of targets, `(seeds, targets)`.

    Raises:
        ArtefactError: the file is missing, damaged, or does not fit the seeds and features.

    """
    where = run.path / NORMALIZATION
    needed = MOVED if about.targets else MOVED[:2]
    try:
        arrays = safetensors.numpy.load(run.read(NORMALIZATION))
        found = [arrays[name] for name in needed]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise ArtefactError(f"{where}: does not hold {' and '.join(needed)}: {fault}") from None
    for name, values in zip(needed, found, strict=True):
        columns = about.targets if name.startswith("target") else about.features
        shape = (len(about.seeds), len(columns))
        if values.shape != shape or values.dtype != np.float64 or not np.isfinite(values).all():
            raise ArtefactError(
                f"{where}: '{name}' must be finite float64 of shape {shape}, "
                f"got {values.dtype} of {values.shape}"
            )
        if name.endswith("scale") and not (values > 0).all():
            raise ArtefactError(f"{where}: '{name}' must be above 0")
    empty = np.zeros((len(about.seeds), 0))
    return found if about.targets else [*found, empty, empty]


def read_prepared(run: Run, about: Inputs) -> Prepared | None:
    """Return with what each seed fills gaps, and which categories it knows.

    Raises:
        ArtefactError: the file does not fit the seeds and features.

    """
    if about.encoding is None:
        return None
    where = run.path / NORMALIZATION
    shape = (len(about.seeds), len(about.features))
    try:
        arrays = safetensors.numpy.load(run.read(NORMALIZATION))
        fill, known = (arrays[name] for name in PREPARED)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise ArtefactError(f"{where}: does not hold {' and '.join(PREPARED)}: {fault}") from None
    if (fill.shape, known.shape) != (shape, shape) or known.dtype != np.bool_:
        raise ArtefactError(f"{where}: 'fill' and 'known' must be of shape {shape}")
    if fill.dtype != np.float64 or not np.isfinite(fill).all():
        raise ArtefactError(f"{where}: 'fill' must be finite float64")
    return Prepared(fill, known)
