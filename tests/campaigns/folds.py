"""How often intervals of cross-validation hold the true error, where it can be computed.

    python -m campaigns.folds [--experiments 2000]

Each experiment draws 100 samples of two Gaussian classes, x ~ N(±SHIFT, I) in 10 dimensions, divides
them into folds as minifw does, and learns by least squares from all but one fold. The expected error
of a learner is known: by the formula for its weights, averaged over 20,000 training sets as large as
those of the folds. Prints a table of docs/statistics.md in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from minifw.data.folds import folds
from minifw.statistics.intervals import Interval, interval
from minifw.statistics.overlap import Overlap, corrected
from minifw.statistics.paired import student

Floats = NDArray[np.float64]

SAMPLES, FEATURES = 100, 10
SHIFT = np.full(FEATURES, 0.3)
DIVISIONS = ((10, 1), (10, 2), (10, 10), (5, 1), (5, 4), (2, 10))
"""Folds, and how often the samples are divided."""
ALL, FEW = FEATURES, 4
"""How many features a learner sees; the other arm of comparisons sees few."""

Batch = tuple[Floats, Floats]
"""Inputs `(sets, samples, features + 1)`, of which the last is 1, and labels -1 and 1."""


def samples(rng: np.random.Generator, sets: int, count: int) -> Batch:
    """Return sets of so many samples."""
    labels = rng.choice([-1.0, 1.0], (sets, count))
    inputs = rng.normal(size=(sets, count, FEATURES)) + labels[..., None] * SHIFT
    return np.concatenate([inputs, np.ones((sets, count, 1))], -1), labels


def learned(inputs: Floats, labels: Floats, seen: int) -> Floats:
    """Return weights and bias of least squares on the last features, `(sets, features + 1)`."""
    some = inputs[..., FEATURES - seen :]
    of = np.swapaxes(some, -1, -2)
    weights = np.zeros((len(inputs), FEATURES + 1))
    weights[:, FEATURES - seen :] = np.linalg.solve(of @ some, of @ labels[..., None])[..., 0]
    return weights


def true_error(weights: Floats) -> Floats:
    """Return the error of each classifier, in percent: P(sign(w x + b) is not the class)."""
    w, b = weights[:, :-1], weights[:, -1]
    size = np.linalg.norm(w, axis=1)
    wrong = special.ndtr(-(w @ SHIFT + b) / size) + special.ndtr(-(w @ SHIFT - b) / size)
    return np.asarray(50 * wrong)


def expected(train: int, seen: int) -> float:
    """Return the mean error of learners from so many samples."""
    inputs, labels = samples(np.random.default_rng(1), 20_000, train)
    return float(true_error(learned(inputs, labels, seen)).mean())


def experiment(rng: np.random.Generator, count: int, divisions: int, seen: int) -> Floats:
    """Return the test error of each fold in percent; the folds are those of the generator."""
    (inputs,), (labels,) = samples(rng, 1, SAMPLES)
    parts = [folds(rng, SAMPLES, count) for _ in range(divisions)]
    tested = np.array([part == k for part in parts for k in range(count)])
    rows = np.argsort(tested, axis=1, kind="stable")
    train, test = rows[:, : -SAMPLES // count], rows[:, -SAMPLES // count :]
    weights = learned(inputs[train], labels[train], seen)
    outputs = (inputs[test] @ weights[..., None])[..., 0]
    return np.asarray(100 * (np.sign(outputs) != labels[test]).mean(1))


Method = Callable[[Floats, Overlap], Interval | None]
METHODS: dict[str, Method] = {
    "bootstrap": lambda errors, _: interval(errors, "mean"),
    "Student": lambda errors, _: student(errors, 0.95),
    "corrected": corrected,
}


def coverage(
    count: int, divisions: int, experiments: int, learners: Sequence[int]
) -> dict[str, float]:
    """Return how often each interval holds the mean error, or the difference of two learners."""
    train = SAMPLES - SAMPLES // count
    known = [expected(train, seen) for seen in learners]
    truth = known[0] - sum(known[1:])
    overlap = Overlap((SAMPLES // count) / train, count * divisions)
    held = dict.fromkeys(METHODS, 0)
    for seed in range(experiments):
        # The same samples and folds for each learner, as with the same seeds.
        errors = [experiment(np.random.default_rng(seed), count, divisions, n) for n in learners]
        values = errors[0] - sum(errors[1:])
        for name, method in METHODS.items():
            found = method(np.asarray(values), overlap)
            held[name] += found is not None and found[0] <= truth <= found[1]
    return {name: number / experiments for name, number in held.items()}


def table(experiments: int) -> str:
    """Return the table in Markdown."""
    lines = [f"| 95 % interval holds the true error or difference | {' | '.join(METHODS)} |"]
    lines.append(f"| --- |{' ---: |' * len(METHODS)}")
    for name, learners in (("mean error", [ALL]), ("difference", [ALL, FEW])):
        for count, divisions in DIVISIONS:
            found = coverage(count, divisions, experiments, learners)
            shown = " | ".join(f"{100 * share:.1f} %" for share in found.values())
            of = f"{divisions} division{'s' * (divisions > 1)}"
            lines.append(f"| {name}, {count} folds, {of} | {shown} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=2000)
    print(table(parser.parse_args().experiments))


if __name__ == "__main__":
    main()
