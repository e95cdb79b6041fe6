"""The scores of trained networks on the test samples, some seeds at a time.

They are those of the weights that each seed ended with; formulas are in `statistics/scores.py` and
`training/evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from minifw.config import heads
from minifw.data import Floats, Integers, Samples
from minifw.experiment.build import build_network
from minifw.experiment.plan import Experiment
from minifw.nn.module import in_mode
from minifw.runs.scores import CONFUSION_CLASSES, CONFUSION_NUMBERS, CalibrationRecord, ScoreRecord
from minifw.statistics import scores
from minifw.training import Checkpoint, fits_of, in_parts, may_be_divided, one_thread

AT_ONCE = 2**16
"""Numbers of outputs that are scored together, as far as whole networks allow."""

BYTES = 2**24
"""Memory for the networks whose outputs are found together: that of training is still held."""


@dataclass(frozen=True)
class Scored:
    """The scores of a group of seeds, one figure a seed, NaN for one that diverged.

    `counts` are sums over the seeds that did not; `of_seeds` has the counts of each if they are
    few. `bins` are `(seeds, 3, BINS)`: samples, right ones and the sum of their probabilities.
    """

    figures: dict[str, Floats]
    counts: Integers | None
    of_seeds: Integers | None
    bins: Floats | None


def scored(experiment: Experiment, trained: Checkpoint) -> Scored:
    """Return the scores of classifiers on the test samples of these seeds."""
    link = heads.main(experiment.config.loss).declaration.link
    classes = len(experiment.plan.classes)
    gone = trained.history.diverged >= 0
    keeps = classes <= CONFUSION_CLASSES
    few = len(experiment.plan.seeds) * classes**2 <= CONFUSION_NUMBERS
    counts = np.zeros((classes, classes), np.int64)
    bins: list[Floats] = []  # of each seed: a sum depends on the order of its terms
    of_seeds: list[Integers] = []
    figures: dict[str, list[Floats]] = {}
    first = 0
    for test, output in _outputs(experiment, trained):
        found = test.measured(output)
        chosen = found.max(-1).indices  # as `errors_of` chooses
        outputs, labels = found.numpy(force=True), test.class_numbers.numpy(force=True)
        with np.errstate(invalid="ignore", over="ignore"):  # networks that diverged
            part = scores.score(outputs, labels, chosen.numpy(force=True), link)
        fine = ~gone[first : first + len(part.auc)]
        first += len(fine)
        of_seed = {"balanced_error": part.balanced_error, "auc": part.auc}
        if part.log_loss is not None and part.calibration is not None:
            of_seed |= {"log_loss": part.log_loss, "calibration_error": part.calibration.error}
            found_bins = part.calibration
            each = (found_bins.count, found_bins.right, found_bins.confidence)
            bins.append(np.where(fine[:, None, None], np.stack(each, 1), 0))
        for name, values in of_seed.items():
            figures.setdefault(name, []).append(np.where(fine, values, np.nan))
        part.confusion[~fine] = 0
        if few:
            of_seeds.append(part.confusion)
        counts += part.confusion.sum(0)
    return Scored(
        {name: np.concatenate(values) for name, values in figures.items()},
        counts if keeps else None,
        np.concatenate(of_seeds) if few and keeps else None,
        np.concatenate(bins) if bins else None,
    )


def fitted(experiment: Experiment, trained: Checkpoint) -> dict[str, Floats]:
    """Return how well networks of a regression fit the test samples; see `fits_of`."""
    parts = [fits_of(output, test) for test, output in _outputs(experiment, trained)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for values in found.values():
        values[trained.history.diverged >= 0] = np.nan
    return found


def _outputs(experiment: Experiment, trained: Checkpoint) -> Iterator[tuple[Samples, Tensor]]:
    """Yield the test samples of some seeds with their networks' outputs, group after group."""
    test = experiment.data.test
    step = replace(experiment.plan.sizes.step, number=8)
    rows = step.rows_at_once(test.count)
    classes = len(experiment.plan.classes)
    scored_numbers = classes * max(test.count, classes)
    size = min(
        max(1, AT_ONCE // max(1, scored_numbers)),
        step.networks_in(BYTES, rows),
    )
    features = len(experiment.data.features)
    for first in range(0, len(experiment.seeds), size):
        some = slice(first, first + size)
        network = build_network(experiment.config, experiment.seeds[some], features)
        weights = {n: v[some].to(test.inputs.device) for n, v in trained.weights.items()}
        # PyTorch's arm has no streams of random numbers, which nothing draws from here.
        network.load_state_dict(network.tensors() | weights)
        mine = test.of(some)
        with in_mode(network, training=False), one_thread():
            divided = may_be_divided(network, mine.inputs, len(mine.stack))
            yield mine, in_parts(network.forward, mine, rows if divided else None)


def record(groups: Sequence[Scored]) -> ScoreRecord:
    """Return the scores of all groups of seeds as results.json has them."""
    figures: dict[str, Any] = {
        name: numbers(np.concatenate([group.figures[name] for group in groups]))
        for name in groups[0].figures
    }
    counts = [group.counts for group in groups if group.counts is not None]
    of_seeds = [group.of_seeds for group in groups if group.of_seeds is not None]
    bins = [group.bins for group in groups if group.bins is not None]
    if counts:
        figures["confusion"] = np.sum(counts, 0).tolist()
    if of_seeds:
        figures["confusion_of_seeds"] = np.concatenate(of_seeds).tolist()
    if bins:
        count, right, confidence = np.concatenate(bins).sum(0)
        means = confidence / np.where(count > 0, count, np.nan)
        figures["calibration"] = CalibrationRecord(
            count=count.astype(int).tolist(),
            right=right.astype(int).tolist(),
            confidence=numbers(means),
        )
    return ScoreRecord(**figures)


def numbers(values: Any) -> list[float | None]:
    """Return floats, with None for those that are not finite, which JSON cannot hold."""
    return [float(value) if np.isfinite(value) else None for value in values]
