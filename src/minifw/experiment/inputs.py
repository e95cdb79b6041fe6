"""What a run keeps so that its weights can be used: names, and how inputs were normalised.

A network of the run takes `(inputs - shift) / scale`, features in their order, and gives one score
for each class.

    inputs.json                  names of features and classes in their order, what a score is
    normalization.safetensors    shift and scale, float64 of (seeds, features)
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import safetensors.numpy
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from minifw.config import loading
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
    """Check what every data file is asked for: a run may be anybody's."""
    if not all(name.isprintable() and 0 < len(name) <= LONGEST for name in classes):
        raise ValueError(f"classes: must be printable text of at most {LONGEST} characters")
    return _different(classes)


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("features, classes: must be different from one another")
    return names


class Inputs(BaseModel):
    """What goes into the networks of a run, and what their outputs stand for.

    `kind` is that of the data, `target` its column or array of classes (None where data is
    generated). A `score` is the softmax of the outputs, a probability, or the output as it is.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: str
    features: Annotated[list[str], Field(min_length=1), AfterValidator(_different)]
    target: str | None
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(_names)]
    seeds: Annotated[list[int], Field(min_length=1)]
    score: Score


def write(run: Run, plan: Plan) -> None:
    """Keep what the columns and outputs of a run stand for, from its start on."""
    run.write_json(INPUTS, _inputs(plan).model_dump())


def _inputs(plan: Plan) -> Inputs:
    return Inputs(
        kind=word_of(plan.config.data),
        features=list(plan.features),
        target=None if plan.table is None else plan.table.target,
        classes=list(plan.classes),
        seeds=plan.seeds,
        score=plan.config.loss.declaration.score,
    )


def config_of(run: Run, allow_code: bool) -> Config:
    """Return the config of a run, with the Python files that the run keeps.

    Raises:
        UsageError: it would run code, and may not.
        ArtefactError: a file is missing, damaged, or holds what no minifw writes.

    """
    code = Code(allow_code, lambda name: run.read(name) if name in run.known else None)
    return loading.of_run(run.read_text("config.yaml"), run.path / "config.yaml", code)


def check(run: Run, plan: Plan) -> None:
    """Raise an ArtefactError if the plan reads columns or classes otherwise than the run began.

    The data file may be the same, and how its cells are read may have changed with minifw.
    """
    if INPUTS not in run.known:  # of an earlier minifw
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
    """Keep how the inputs of each seed were normalised; both arrays are (seeds, features)."""
    run.write(NORMALIZATION, safetensors.numpy.save({"scale": scale, "shift": shift}))


def read(run: Run) -> Inputs:
    """Return what the columns and outputs of a run stand for.

    Raises:
        ArtefactError: the run does not keep it, or its file is damaged or not minifw's.

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
