"""The files of a run that its weights need: names, and the normalisation of inputs.

A network of the run takes `(inputs - shift) / scale`, features in their order, and gives one score
for each class.

    inputs.json                  names of features and classes in their order, kind of score
    normalization.safetensors    shift and scale, float64 of (seeds, features)
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import safetensors.numpy
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from minifw.config import heads, loading
from minifw.config.code import Code
from minifw.config.model import Config, word_of
from minifw.data import Floats
from minifw.data.cells import LONGEST
from minifw.errors import ArtefactError, short
from minifw.experiment.plan import Plan
from minifw.runs import Run, records

INPUTS = "inputs.json"
NORMALIZATION = "normalization.safetensors"
Score = Literal["probability", "output"]


def _names(classes: list[str]) -> list[str]:
    """Check names as in a data file, since a run may come from anybody."""
    if not all(name.isprintable() and 0 < len(name) <= LONGEST for name in classes):
        raise ValueError(f"classes: must be printable text of at most {LONGEST} characters")
    return _different(classes)


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("features, classes: must be different from one another")
    return names


class Inputs(BaseModel):
    """The inputs of a run's networks, and the meaning of their outputs.

    `kind` is that of the data, `target` its column or array of classes (None for generated data). A
    `score` is the softmax of the outputs, a probability, or the output itself.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: str
    features: Annotated[list[str], Field(min_length=1), AfterValidator(_different)]
    target: str | None
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(_names)]
    seeds: Annotated[list[int], Field(min_length=1)]
    score: Score


def write(run: Run, plan: Plan) -> None:
    """Write inputs.json, when a run starts."""
    run.write_json(INPUTS, _inputs(plan).model_dump())


def _inputs(plan: Plan) -> Inputs:
    return Inputs(
        kind=word_of(plan.config.data),
        features=list(plan.features),
        target=None if plan.table is None else plan.table.target,
        classes=list(plan.classes),
        seeds=plan.seeds,
        score=heads.main(plan.config.loss).declaration.score,
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
    for key, value in now.model_dump().items():
        if getattr(known, key) != value:
            raise ArtefactError(
                f"{where}: {key}: this minifw reads {short(value)} from the data, the run began "
                f"with {short(getattr(known, key))}; minifw train makes a new run"
            )


def write_normalization(run: Run, shift: Floats, scale: Floats) -> None:
    """Write the normalisation of each seed's inputs; both arrays are (seeds, features)."""
    run.write(NORMALIZATION, safetensors.numpy.save({"scale": scale, "shift": shift}))


def read(run: Run) -> Inputs:
    """Read inputs.json of a run.

    Raises:
        ArtefactError: the run has no such file, or it is damaged or not minifw's.

    """
    return records.checked(Inputs, run.read_json(INPUTS), str(run.path / INPUTS))


def read_normalization(run: Run, about: Inputs) -> tuple[Floats, Floats]:
    """Return shift and scale of each seed, `(seeds, features)`.

    Raises:
        ArtefactError: the file is missing, damaged, or does not fit the seeds and features.

    """
    where = run.path / NORMALIZATION
    try:
        arrays = safetensors.numpy.load(run.read(NORMALIZATION))
        shift, scale = arrays["shift"], arrays["scale"]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise ArtefactError(f"{where}: does not hold shift and scale: {fault}") from None
    shape = (len(about.seeds), len(about.features))
    for name, values in (("shift", shift), ("scale", scale)):
        if values.shape != shape or values.dtype != np.float64 or not np.isfinite(values).all():
            raise ArtefactError(
                f"{where}: '{name}' must be finite float64 of shape {shape}, "
                f"got {values.dtype} of {values.shape}"
            )
    if not (scale > 0).all():
        raise ArtefactError(f"{where}: 'scale' must be above 0")
    return shift, scale
