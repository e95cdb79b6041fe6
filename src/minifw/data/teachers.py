"""Data that a fixed random network has made: a teacher, whose answers a student is to learn."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np

from minifw.data.generated import Floats, Points
from minifw.nn import Key
from minifw.nn.registry import data

Inputs = Annotated[int, Key("number of features, each N(0, 1)", ge=1, le=1000)]
Hidden = Annotated[int, Key("hidden neurons of the teacher", ge=1, le=10_000)]
TeacherSeed = Annotated[
    int, Key("seed of the teacher's weights, which all seeds share", ge=0, le=2**32)
]
STANDARD = 10_000
"""Inputs by which a teacher's outputs are shifted and scaled."""


class Teacher(NamedTuple):
    """A network with one hidden layer: `(max(0, x Wᵀ + b) Vᵀ - shift) / scale`.

    Weights are N(0, 2 / inputs) and N(0, 2 / hidden), as He et al. 2015 initialise them, biases
    N(0, 1). Shift and scale give each output mean 0 and standard deviation 1 over `STANDARD`
    Gaussian inputs; of classes the shift is then such that all are about as frequent there.
    """

    weight: Floats
    bias: Floats
    out: Floats
    shift: Floats
    scale: Floats

    @classmethod
    def of(cls, inputs: int, hidden: int, outputs: int, seed: int, classes: bool) -> Teacher:
        """Return the teacher of this seed; its parts are `(hidden, inputs)`, `(hidden,)`, …."""
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        weight = rng.normal(0, np.sqrt(2 / inputs), (hidden, inputs))
        bias = rng.normal(0, 1, hidden)
        out = rng.normal(0, np.sqrt(2 / hidden), (outputs, hidden))
        plain = cls(weight, bias, out, np.zeros(outputs), np.ones(outputs))
        said = plain(rng.normal(0, 1, (STANDARD, inputs)))
        shift, scale = said.mean(0), said.std(0)
        scale = np.where(scale > 0, scale, 1)  # a teacher of few neurons may be constant
        if classes:
            shift = shift + scale * _thresholds((said - shift) / scale)
        return plain._replace(shift=shift, scale=scale)

    def __call__(self, inputs: Floats) -> Floats:
        """Return its outputs, `(samples, outputs)`."""
        hidden = np.maximum(0, inputs @ self.weight.T + self.bias)
        made: Floats = (hidden @ self.out.T - self.shift) / self.scale
        return made


def _thresholds(outputs: Floats) -> Floats:
    """Return what to subtract from the outputs, `(n, classes)`, to make each as often the largest.

    By steps down the gradient of mean(max(outputs - t)) + mean(t), which is convex: for each class,
    how often it is the largest, minus 1 / classes.
    """
    samples, count = outputs.shape
    thresholds = np.zeros(count)
    for step in 3 / (1 + np.arange(200) / 10):
        often = np.bincount((outputs - thresholds).argmax(1), minlength=count)
        thresholds += step * (often / samples - 1 / count)
    return thresholds


known = lru_cache(maxsize=16)(Teacher.of)


@data(
    "teacher",
    about="Gaussian points, which a random network divides into classes",
    section="Points of N(0, 1); the class is the largest output of a random network, the teacher.",
    features="inputs",
    classes="classes",
)
def teacher(
    rng: np.random.Generator,
    samples: int,
    inputs: Inputs = 2,
    hidden: Hidden = 10,
    classes: Annotated[int, Key("number of classes, the teacher's outputs", ge=2, le=100)] = 2,
    teacher_seed: TeacherSeed = 0,
) -> Points:
    """Points of N(0, 1), `(samples, inputs)`; the class is the largest output of a `Teacher`."""
    points = rng.normal(0, 1, (samples, inputs))
    return points, known(inputs, hidden, classes, teacher_seed, True)(points).argmax(1)


@data(
    "teacher-regression",
    about="Gaussian points, and the outputs of a random network (regression)",
    section="Points of N(0, 1); the targets are the outputs of a random network, the teacher.",
    features="inputs",
    targets="targets",
)
def teacher_regression(
    rng: np.random.Generator,
    samples: int,
    inputs: Inputs = 2,
    hidden: Hidden = 10,
    targets: Annotated[int, Key("number of targets, the teacher's outputs", ge=1, le=100)] = 1,
    noise: Annotated[float, Key("standard deviation around its outputs", ge=0)] = 0.0,
    teacher_seed: TeacherSeed = 0,
) -> Points:
    """Points of N(0, 1), and the outputs of a `Teacher` plus N(0, noise²), `(samples, targets)`.

    Without noise each target has mean 0 and standard deviation 1, as nearly as can be.
    """
    points = rng.normal(0, 1, (samples, inputs))
    answers = known(inputs, hidden, targets, teacher_seed, False)(points)
    return points, answers + rng.normal(0, noise, answers.shape)
