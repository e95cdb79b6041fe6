"""Predictions of a run's trained networks for new samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from minifw import nn, runs
from minifw.config import heads
from minifw.config.columned import Columned
from minifw.config.model import Config
from minifw.config.wiring import in_words, wiring
from minifw.data import DTYPES, Floats, Integers
from minifw.data.dialect import Dialect
from minifw.data.encoding import Prepared
from minifw.errors import ArtefactError, DataError, UsageError
from minifw.experiment import inputs
from minifw.experiment.build import build_network
from minifw.experiment.inputs import Inputs
from minifw.runs import Run
from minifw.runs.records import PartName
from minifw.training import Checkpoint, one_thread

CHUNK_NUMBERS = 2**22
"""Numbers of the outputs of all seeds that are computed at once."""


@dataclass(frozen=True)
class Networks:
    """Trained networks of a run, with all that they need.

    `left_out` are the requested seeds that diverged. `shift` and `scale` are (seeds, features),
    those of targets (seeds, targets).
    """

    about: Inputs
    seeds: list[int]
    left_out: list[int]
    network: nn.Network
    dtype: torch.dtype
    shift: Floats
    scale: Floats
    target_shift: Floats
    target_scale: Floats
    columns: slice | None = None
    """The outputs that predict classes or targets, if there are others."""
    prepared: Prepared | None = None
    """With what each network fills gaps, and which categories it knows."""
    dialect: Dialect | None = None
    """How a file of text is written, by the run's config."""
    config: Config | None = None
    """What the networks were made by, on the CPU; None of code that is not ours."""

    def normal(self, samples: Floats) -> Tensor:
        """Return samples `(n, features)` as each network takes them, `(seeds, n, features)`."""
        with np.errstate(all="ignore"):
            if self.prepared is not None:
                samples = self.about.coded.applied(samples, self.prepared)
            normal = (samples - self.shift[:, None]) / self.scale[:, None]
        return torch.from_numpy(normal).to(self.dtype)

    def outputs(self, samples: Floats) -> Tensor:
        """Return all outputs, `(seeds, n, …)`, for samples `(n, features)` in the data's units."""
        output: Tensor = self.network.forward(self.normal(samples))
        return output

    def scores(self, output: Tensor) -> Tensor:
        """Return the scores of classes from the outputs `(seeds, n, classes)`."""
        return torch.softmax(output, -1) if self.about.score == "probability" else output

    @property
    def widest(self) -> int:
        """The largest number of inputs or outputs of a layer for one sample."""
        widths = (getattr(module, "out_features", 1) for module in self.network.modules())
        return max(len(self.about.features), self.about.outputs, *widths)


@dataclass(frozen=True)
class Prediction:
    """The predictions of networks for n samples.

    `votes` (n, classes) counts the networks that choose a class, `chosen` (n,) is the class with
    the most votes; with equal votes, the one with the larger mean score. `scores` and `spread`
    (n, classes) are mean and standard deviation of the scores over the networks; `each` (seeds, n)
    is the class that each network chose.
    """

    chosen: Integers
    votes: Integers
    scores: Floats
    spread: Floats
    each: Integers

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join the predictions for consecutive groups of samples."""
        return cls(
            np.concatenate([part.chosen for part in parts]),
            np.concatenate([part.votes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.spread for part in parts]),
            np.concatenate([part.each for part in parts], 1),
        )


def load(run: Run, mode: str | None, seed: int | None, *, allow_code: bool = False) -> Networks:
    """Return the networks that minifw trained in a run: of one seed, or of all.

    Raises:
        UsageError: the run is not over, has no such mode or seed, or all networks diverged.
        ArtefactError: a file of the run is missing, damaged, or does not fit the others.

    """
    where = run.path
    if (status := run.status()) not in runs.OVER:
        raise UsageError(f"{where}: this run is {status}; minifw resume {where} completes it")
    if (kind := run.manifest.kind) != "train":
        best = f"{where}/best.yaml" if "best.yaml" in run.known else "CONFIG"
        raise UsageError(
            f"{where}: a run of minifw {kind} keeps no networks; minifw train {best} trains some"
        )
    if inputs.NORMALIZATION not in run.known:
        raise ArtefactError(
            f"{where}: made by a minifw that kept neither normalisation nor names of columns; "
            f"minifw train {where}/config.yaml makes it anew"
        )
    modes = run.manifest.modes
    if mode is None and len(modes) > 1:
        raise UsageError(f"--mode: this run has several, choose one of {', '.join(modes)}")
    if mode is not None and mode not in modes:
        raise UsageError(f"--mode: must be one of {', '.join(modes)}, got '{mode}'")
    about = inputs.read(run)
    # The data file may be gone; the run keeps everything that is needed of it.
    config = inputs.config_of(run, allow_code)
    config = config.model_copy(update={"device": "cpu"})
    score = heads.main(config.loss).declaration.score
    if about.seeds != run.manifest.seeds or about.score != score:
        raise ArtefactError(
            f"{where}/{inputs.INPUTS}: seeds and score: must be those of the run and its loss"
        )
    checkpoint = _weights(run, mode or modes[0], config, about)
    diverged = checkpoint.history.diverged
    moved = inputs.read_normalization(run, about)
    prepared = inputs.read_prepared(run, about)
    if seed is not None and seed not in about.seeds:
        raise UsageError(
            f"--seed: must be {about.seeds[0]} to {about.seeds[-1]}, as in this run, got {seed}"
        )
    asked = [place for place, known in enumerate(about.seeds) if seed in (None, known)]
    places = [place for place in asked if diverged[place] < 0]
    if not places:
        who = "all of its seeds" if seed is None else f"seed {seed}"
        raise UsageError(f"{where}: {who} diverged; there is no network to ask")
    left_out = [about.seeds[place] for place in asked if diverged[place] >= 0]
    seeds = [about.seeds[place] for place in places]
    weights = {name: value[places] for name, value in checkpoint.weights.items()}
    return networks_of(
        config, about, seeds, weights, [numbers[places] for numbers in moved],
        prepared and prepared.of(places), left_out, f"{where}/{inputs.INPUTS}",
    )  # fmt: skip


def networks_of(
    config: Config,
    about: Inputs,
    seeds: list[int],
    weights: Mapping[str, Tensor],
    moved: Sequence[Floats],
    prepared: Prepared | None,
    left_out: list[int],
    where: str,
) -> Networks:
    """Return networks with trained weights, ready to be asked.

    Args:
        config: what they are made by, on the CPU.
        about: their inputs and outputs.
        seeds: one for each network.
        weights: their parameters and states, `(seeds, …)`.
        moved: shift and scale, of inputs and of targets, `(seeds, …)`.
        prepared: with what each fills gaps.
        left_out: seeds of which there is no network.
        where: what `about` was read from, for messages.

    Raises:
        ArtefactError: the outputs are not those that `about` names.
        StateError: the weights are not those of the config's network.

    """
    network = build_network(config, seeds, len(about.features))
    shapes = wiring(config).outputs(len(about.features))
    columns = heads.columns(config.loss, shapes)
    shape = shapes[0] if columns is None else (columns.stop - columns.start,)
    if shape != (about.outputs,):
        key = "targets" if about.targets else "classes"
        raise ArtefactError(
            f"{where}: {key}: must be {in_words(shape)}, one for each output, got {about.outputs}"
        )
    network.load_state_dict(weights)
    network.eval()
    shift, scale, target_shift, target_scale = moved
    return Networks(
        about,
        seeds,
        left_out,
        network,
        DTYPES[config.dtype],
        shift,
        scale,
        target_shift,
        target_scale,
        columns=columns,
        prepared=prepared,
        dialect=dialect_of(config, about),
        config=config,
    )


def dialect_of(config: Config, about: Inputs) -> Dialect | None:
    """Return how a file of new samples is written, of which targets may be unknown."""
    if not isinstance(config.data, Columned):
        return None
    dialect = config.data.dialect
    if about.unnamed is not None and dialect.header is None:
        # Looks may deceive in a file of few rows, or of words alone.
        dialect = replace(dialect, header=False)
    if dialect.names is None:
        return dialect
    known = {about.target, *about.targets}
    return replace(dialect, fewer=[name for name in dialect.names if name not in known])


def _weights(run: Run, mode: str, config: Config, about: Inputs) -> Checkpoint:
    """Return the weights of all seeds, group after group, each checked against its network."""
    parts = run.manifest.parts
    names = sorted(map(PartName.parse, parts))
    groups = [str(name) for name in names if (name.arm, name.mode) == ("minifw", mode)]
    found: list[Checkpoint] = []
    left = about.seeds
    for name in groups:
        file = parts[name].file
        checkpoint = Checkpoint.from_bytes(run.read(file), str(run.path / file))
        count = len(checkpoint.history.diverged)
        if 0 < count <= len(left):
            network = build_network(config, left[:count], len(about.features))
            checkpoint.check(network, config.train.epochs, True, str(run.path / file))
            found.append(checkpoint)
        left = left[count:]
    if left or len(found) < len(groups):
        raise ArtefactError(f"{run.path}: its weights of {mode} are not those of all its seeds")
    return Checkpoint.joined(found)


def predict(networks: Networks, samples: Floats) -> Prediction:
    """Return the networks' predictions for samples `(n, features)` in the data's units.

    Raises:
        DataError: a number is too large for the networks' dtype.

    """
    return Prediction.joined([*map(partial(_voted, networks), outputs_of(networks, samples))])


def outputs_of(networks: Networks, samples: Floats) -> Iterator[Tensor]:
    """Yield the networks' outputs `(seeds, n, outputs)` for some samples after the other.

    Raises:
        DataError: a number is too large for the networks' dtype.

    """
    # Samples that are computed together, so that no layer has more results than this.
    together = max(1, CHUNK_NUMBERS // (len(networks.seeds) * networks.widest))
    with one_thread():
        for first in range(0, len(samples), together):
            yield _of_some(networks, samples[first : first + together], first)


def _of_some(networks: Networks, samples: Floats, first: int) -> Tensor:
    """Return the outputs for these samples, the first of which has the number `first`."""
    output = networks.outputs(samples)
    fine = (
        output.isfinite().all(-1).all(0).numpy()
    )  # an input beyond the dtype gives outputs that are not finite
    if not fine.all():
        row = first + int(fine.argmin()) + 1
        raise DataError(f"sample {row}: its numbers are too large for networks of {networks.dtype}")
    scored: Tensor = output[..., networks.columns or slice(None)]
    return scored


def _voted(networks: Networks, output: Tensor) -> Prediction:
    """Return the predictions of classes from outputs."""
    output = networks.scores(output)
    each = output.max(-1).indices.numpy()
    values = output.double().numpy()
    votes = np.stack([(each == number).sum(0) for number in range(values.shape[-1])], -1)
    scores = values.mean(0)
    spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(scores)
    return Prediction(choose_classes(votes, scores), votes, scores, spread, each)


def choose_classes(votes: Integers, scores: Floats) -> Integers:
    """Return the class with the most votes; with equal votes, the one with the largest score."""
    best: Integers = np.where(votes == votes.max(-1, keepdims=True), scores, -np.inf).argmax(-1)
    return best


@dataclass(frozen=True)
class Compared:
    """The predictions compared with the classes in the file.

    `samples` is the number of samples with a class in the file, `different` the number of those
    with another prediction, and `unknown` the classes for which the networks have no output.
    """

    samples: int
    different: int
    unknown: list[str]


def compare(prediction: Prediction, networks: Networks, known: Sequence[str | None]) -> Compared:
    """Return the comparison with the known classes, where None is an unknown class."""
    classes = networks.about.classes
    pairs = [
        (classes[choice], name)
        for choice, name in zip(prediction.chosen.tolist(), known, strict=True)
        if name is not None
    ]
    different = sum(choice != name for choice, name in pairs)
    return Compared(len(pairs), different, sorted({name for _, name in pairs} - {*classes}))


def lines(prediction: Prediction, networks: Networks, every_seed: bool) -> Iterator[dict[str, Any]]:
    """Yield the table's row for each sample, by the names of the columns."""
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
    """Return values, or means of values, of float32 networks to six digits, by column."""
    pairs = zip(classes, values.tolist(), strict=True)
    return {f"{word} {name}": float(f"{value:.6g}") for name, value in pairs}
