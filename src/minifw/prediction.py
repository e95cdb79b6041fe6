"""Trained networks put to use: what a run keeps for that, and what its seeds say of new samples.

Beside the weights a run keeps how the inputs were normalised and what the columns and outputs
stand for. A network of the run takes `(inputs - shift) / scale`, features in their order, and gives
one score for each class.

    inputs.json                  names of features and classes in their order, what a score is
    normalization.safetensors    shift and scale, float64 of (seeds, features)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from minifw import loading, nn, records
from minifw.building import DTYPES, Plan, build_network
from minifw.checkpoints import Checkpoint
from minifw.errors import ArtefactError, DataError, StateError, UsageError, harmless, near_miss
from minifw.places import short
from minifw.runs import Run

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

INPUTS = "inputs.json"
NORMALIZATION = "normalization.safetensors"
Score = Literal["probability", "output"]
SCORES: dict[str, Score] = {"mse": "output", "cross-entropy": "probability"}
CHUNK_NUMBERS = 2**22
"""How many numbers of all seeds' outputs there are at once."""


class Inputs(BaseModel):
    """What goes into the networks of a run, and what their outputs stand for.

    `kind` is that of the data, `target` its column or array of classes (None where data is
    generated). A `score` is the softmax of the outputs, a probability, or the output as it is.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: str
    features: Annotated[list[str], Field(min_length=1)]
    target: str | None
    classes: Annotated[list[str], Field(min_length=2)]
    seeds: Annotated[list[int], Field(min_length=1)]
    score: Score


def write_inputs(run: Run, plan: Plan) -> None:
    """Keep what the columns and outputs of a run stand for, from its start on."""
    run.write_json(INPUTS, _inputs(plan).model_dump())


def _inputs(plan: Plan) -> Inputs:
    return Inputs(
        kind=plan.config.data.kind,
        features=list(plan.features),
        target=None if plan.table is None else plan.table.target,
        classes=list(plan.classes),
        seeds=plan.seeds,
        score=SCORES[plan.config.loss.kind],
    )


def check_inputs(run: Run, plan: Plan) -> None:
    """Raise an ArtefactError if the plan reads columns or classes otherwise than the run began.

    The data file may be the same, and how its cells are read may have changed with minifw.
    """
    if INPUTS not in run.known:  # of an earlier minifw
        write_inputs(run, plan)
        return
    where = harmless(run.path / INPUTS)
    known, now = records.checked(Inputs, run.read_json(INPUTS), where), _inputs(plan)
    for key, value in now.model_dump().items():
        if getattr(known, key) != value:
            raise ArtefactError(
                f"{where}: {key}: this minifw reads {short(value)} from the data, the run began "
                f"with {short(getattr(known, key))}; minifw train makes a new run"
            )


def write_normalization(run: Run, shift: Floats, scale: Floats) -> None:
    """Keep how the inputs of each seed were normalised; both arrays are (seeds, features)."""
    run.write(NORMALIZATION, safetensors.numpy.save({"scale": scale, "shift": shift}))


@dataclass(frozen=True)
class Networks:
    """Some of the trained networks of a run, with all that they need.

    `left_out` are the seeds among those asked for that had diverged. `shift` and `scale` are
    (seeds, features).
    """

    about: Inputs
    seeds: list[int]
    left_out: list[int]
    network: nn.Sequential
    dtype: torch.dtype
    shift: Floats
    scale: Floats


@dataclass(frozen=True)
class Prediction:
    """What networks say of n samples.

    `votes` (n, classes) counts the networks that choose a class, `chosen` (n,) is the class with
    the most votes, and of two the one with the larger mean score. `scores` and `spread`
    (n, classes) are mean and standard deviation of the scores over the networks; `each` (seeds, n)
    is every network's own choice.
    """

    chosen: Integers
    votes: Integers
    scores: Floats
    spread: Floats
    each: Integers


def load(run: Run, mode: str | None, seed: int | None) -> Networks:
    """Return the networks that minifw trained in a run: of one seed, or of all.

    Raises:
        UsageError: the run is not over, or has no such mode or seed, or none that did not diverge.
        ArtefactError: a file of the run is missing, damaged, or does not fit the others.

    """
    where = harmless(run.path)
    if run.status not in ("complete", "diverged"):
        raise UsageError(
            f"{where}: this run is {run.status}; minifw resume {where} goes on with it"
        )
    if NORMALIZATION not in run.known:
        raise ArtefactError(
            f"{where}: made by a minifw that kept neither normalisation nor names of columns; "
            f"minifw train {where}/config.yaml makes it anew"
        )
    modes = run.manifest.modes
    if mode is None and len(modes) > 1:
        raise UsageError(f"--mode: this run has several, choose one of {', '.join(modes)}")
    if mode is not None and mode not in modes:
        raise UsageError(f"--mode: must be one of {', '.join(modes)}, got '{mode}'")
    about = records.checked(Inputs, run.read_json(INPUTS), f"{where}/{INPUTS}")
    checkpoint = _weights(run, mode or modes[0])
    if about.seeds != run.manifest.seeds or len(checkpoint.history.diverged) != len(about.seeds):
        raise ArtefactError(f"{where}/{INPUTS}: seeds: must be those of the run and its weights")
    # Its path may be gone; what is needed of the data is in the run.
    run.read("config.yaml")
    config = loading.load(run.path / "config.yaml")
    shift, scale = _normalization(run, about)
    if seed is not None and seed not in about.seeds:
        known = map(str, about.seeds[:1000])
        raise UsageError(f"--seed: this run has no seed {seed}{near_miss(seed, known)}")
    asked = about.seeds if seed is None else [seed]
    diverged = dict(zip(about.seeds, checkpoint.history.diverged.tolist(), strict=True))
    left = [number for number in asked if diverged[number] < 0]
    if not left:
        who = "all of its seeds" if seed is None else f"seed {seed}"
        raise UsageError(f"{where}: {who} diverged; there is no network to ask")
    places = [about.seeds.index(number) for number in left]
    config = config.model_copy(update={"device": "cpu"})
    network = build_network(config, left, len(about.features))
    outputs = [module.out_features for module in network if isinstance(module, nn.Linear)][-1]
    if outputs != len(about.classes):
        raise ArtefactError(
            f"{where}/{INPUTS}: classes: must be {outputs}, one for each output, "
            f"got {len(about.classes)}"
        )
    some = {name: value[places] for name, value in checkpoint.weights.items()}
    try:
        network.load_state_dict(some)
    except StateError as fault:
        raise ArtefactError(f"{where}: the weights are not those of its config: {fault}") from None
    gone = [number for number in asked if diverged[number] >= 0]
    return Networks(about, left, gone, network, DTYPES[config.dtype], shift[places], scale[places])


def _weights(run: Run, mode: str) -> Checkpoint:
    """Return the weights of all seeds, group after group."""
    parts = run.manifest.parts
    groups = [name for name in parts if name.partition(".")[0] == f"minifw-{mode}"]
    # `minifw-sgd.group-10-of-12` comes after `minifw-sgd.group-2-of-12`.
    groups.sort(key=lambda name: (len(name), name))
    if not groups:
        raise ArtefactError(f"{harmless(run.path)}: its manifest names no weights of {mode}")
    return Checkpoint.joined(
        [
            Checkpoint.from_bytes(run.read(parts[name].file), harmless(run.path / parts[name].file))
            for name in groups
        ]
    )


def _normalization(run: Run, about: Inputs) -> tuple[Floats, Floats]:
    where = harmless(run.path / NORMALIZATION)
    try:
        arrays = safetensors.numpy.load(run.read(NORMALIZATION))
        shift, scale = arrays["shift"], arrays["scale"]
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise ArtefactError(f"{where}: does not hold shift and scale: {harmless(fault)}") from None
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


def predict(networks: Networks, inputs: Floats) -> Prediction:
    """Return what the networks say of the inputs, `(n, features)` as they come.

    Raises:
        DataError: a number is too large for the networks' dtype.

    """
    parts = [_of_rows(networks, rows, first) for first, rows in _chunks(networks, inputs)]
    joined = [np.concatenate(values) for values in zip(*(part[:4] for part in parts), strict=True)]
    chosen, votes, scores, spread = joined
    return Prediction(chosen, votes, scores, spread, np.concatenate([p[4] for p in parts], 1))


def _chunks(networks: Networks, inputs: Floats) -> Iterator[tuple[int, Floats]]:
    widest = max(len(networks.about.classes), len(networks.about.features), _widest(networks))
    rows = max(1, CHUNK_NUMBERS // (len(networks.seeds) * widest))
    for first in range(0, len(inputs), rows):
        yield first, inputs[first : first + rows]


def _widest(networks: Networks) -> int:
    layers = (module for module in networks.network if isinstance(module, nn.Linear))
    return max(layer.out_features for layer in layers)


def _of_rows(networks: Networks, rows: Floats, first: int) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):
        normal = (rows - networks.shift[:, None]) / networks.scale[:, None]
    x = torch.from_numpy(normal).to(networks.dtype)
    if not bool(x.isfinite().all()):
        row = int(np.flatnonzero(~x.isfinite().all(-1).all(0).numpy())[0])
        raise DataError(f"sample {first + row + 1}: inputs are too large for {networks.dtype}")
    output = networks.network.forward(x)
    if networks.about.score == "probability":
        output = torch.softmax(output, -1)
    each = output.max(-1).indices.numpy()  # (seeds, rows)
    values = output.double().numpy()
    count = values.shape[-1]
    votes = np.stack([(each == number).sum(0) for number in range(count)], -1)
    scores = values.mean(0)
    spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(scores)
    # Of those with the most votes, the largest mean score.
    best = np.where(votes == votes.max(-1, keepdims=True), scores, -np.inf).argmax(-1)
    return best, votes, scores, spread, each


def rows(prediction: Prediction, networks: Networks, every_seed: bool) -> Iterator[dict[str, Any]]:
    """Yield what is said of each sample, by the names of the columns of a table."""
    classes, several = networks.about.classes, len(networks.seeds) > 1
    for row, number in enumerate(prediction.chosen.tolist()):
        line: dict[str, Any] = {"row": row + 1, "class": classes[number]}
        if several:
            line["votes"] = int(prediction.votes[row, number])
        line |= _named("score", classes, prediction.scores[row])
        if several:
            line |= _named("spread", classes, prediction.spread[row])
        if every_seed:
            choices = prediction.each[:, row].tolist()
            for seed, choice in zip(networks.seeds, choices, strict=True):
                line[f"seed {seed}"] = classes[choice]
        yield line


def _named(word: str, classes: Sequence[str], values: Floats) -> dict[str, float]:
    """Return values of float32 networks, or means of such, to the six digits that they have."""
    pairs = zip(classes, values.tolist(), strict=True)
    return {f"{word} {name}": float(f"{value:.6g}") for name, value in pairs}
