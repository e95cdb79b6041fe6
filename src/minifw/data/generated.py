"""Generated points and their classes or numbers, each with its declaration for configs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from minifw.nn import Key
from minifw.nn.registry import data

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Points = tuple[Floats, Integers | Floats]
"""Inputs `(samples, features)` and the class of each, `(samples,)` of int64, counted from 0.

Of regression, in place of classes, numbers `(samples, targets)`.
"""


@data(
    "disk",
    about="points of a square, inside or outside of a disk",
    section="Uniform points of the unit square; class 1 inside the disk.",
    outline=lambda keys: {"disk": [*keys["center"], keys["radius"]]},
)
def disk(
    rng: np.random.Generator,
    samples: int,
    center: Annotated[tuple[float, float], Key("x and y of its centre")] = (0.5, 0.5),
    radius: Annotated[
        float, Key("radius; 1/sqrt(2 pi) makes both classes equally likely", gt=0)
    ] = 0.3989422804014327,
) -> Points:
    """Uniform points of the unit square; class 1 within `radius` of `center`, else 0."""
    inputs = rng.uniform(0, 1, (samples, 2))
    inside = ((inputs - np.asarray(center)) ** 2).sum(1) <= radius**2
    return inputs, inside.astype(np.int64)


@data(
    "half-plane",
    about="points of a square, class 1 where x > y",
    section="Uniform points of the unit square; class 1 where x > y.",
    outline=lambda keys: {"line": [[0.0, 0.0], [1.0, 1.0]]},
)
def half_plane(rng: np.random.Generator, samples: int) -> Points:
    """Uniform points of the unit square; class 1 where x > y, else 0."""
    inputs = rng.uniform(0, 1, (samples, 2))
    return inputs, (inputs[:, 0] > inputs[:, 1]).astype(np.int64)


@data(
    "moons",
    about="two half circles that interlock",
    section="Two half circles that interlock; `noise` is the standard deviation around them.",
)
def moons(
    rng: np.random.Generator,
    samples: int,
    noise: Annotated[float, Key("standard deviation around them", ge=0)] = 0.1,
) -> Points:
    """Two half circles that interlock, as in scikit-learn's make_moons, plus N(0, noise²)."""
    labels = rng.integers(0, 2, samples)
    angle = rng.uniform(0, math.pi, samples)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    inputs = np.where(labels[:, None] == 0, upper, lower)
    return inputs + rng.normal(0, noise, inputs.shape), labels


@data(
    "spirals",
    about="spirals that wind around the origin, one for each class",
    section="Spirals that wind `turns` times around the origin, one for each class.",
    classes="classes",
)
def spirals(
    rng: np.random.Generator,
    samples: int,
    noise: Annotated[float, Key("standard deviation around them", ge=0)] = 0.02,
    turns: Annotated[float, Key("how often a spiral winds around the origin", gt=0)] = 1.0,
    classes: Annotated[int, Key("number of spirals, one for each class", ge=2, le=100)] = 2,
) -> Points:
    """Spirals that wind `turns` times around the origin, one for each class, plus N(0, noise²)."""
    labels = rng.integers(0, classes, samples)
    # The square root spreads the points evenly over the area, not along the radius.
    radius = np.sqrt(rng.uniform(0, 1, samples))
    angle = 2 * math.pi * (turns * radius + labels / classes)
    inputs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return inputs + rng.normal(0, noise, inputs.shape), labels


@data(
    "circles",
    about="two circles, one inside the other",
    section="Two circles around the origin; `noise` is the standard deviation around them.",
)
def circles(
    rng: np.random.Generator,
    samples: int,
    noise: Annotated[float, Key("standard deviation around them", ge=0)] = 0.1,
    factor: Annotated[
        float, Key("radius of the inner circle, of class 1; the outer one has 1", gt=0, lt=1)
    ] = 0.5,
) -> Points:
    """Circles of radius 1 and `factor`, as in scikit-learn's make_circles, plus N(0, noise²)."""
    labels = rng.integers(0, 2, samples)
    radius, angle = np.where(labels == 0, 1.0, factor), rng.uniform(0, 2 * math.pi, samples)
    inputs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return inputs + rng.normal(0, noise, inputs.shape), labels


@data(
    "blobs",
    about="Gaussian clouds of points, one for each class",
    section="Gaussian clouds of points, one for each class, as likely as the others.",
    features="features",
    classes="classes",
)
def blobs(
    rng: np.random.Generator,
    samples: int,
    classes: Annotated[int, Key("number of clouds, one for each class", ge=2, le=100)] = 3,
    features: Annotated[int, Key("number of features", ge=1, le=1000)] = 2,
    spread: Annotated[float, Key("standard deviation of each cloud", ge=0)] = 3.0,
    center_seed: Annotated[
        int, Key("seed of the centres, which all seeds share", ge=0, le=2**32)
    ] = 0,
) -> Points:
    """N(centre, spread²) for each class; centres are uniform in [-10, 10]^features.

    The centres are those of scikit-learn's make_blobs, whose spread is 1.
    """
    centers = np.random.default_rng(center_seed).uniform(-10, 10, (classes, features))
    labels = rng.integers(0, classes, samples)
    return centers[labels] + rng.normal(0, spread, (samples, features)), labels


def _between_cells(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lines between cells; no number ends each of them."""
    gap, lines = [math.nan, math.nan], []
    for k in range(1, keys["cells"]):
        place = k / keys["cells"]
        lines += [[place, 0.0], [place, 1.0], gap, [0.0, place], [1.0, place], gap]
    return {"line": lines}


@data(
    "checkerboard",
    about="points of a square, on a checkerboard",
    section="Uniform points of the unit square; class 1 on every other of `cells` x `cells` cells.",
    outline=_between_cells,
)
def checkerboard(
    rng: np.random.Generator,
    samples: int,
    cells: Annotated[int, Key("cells along a side", ge=2, le=50)] = 4,
) -> Points:
    """Uniform points of the unit square; the class is (⌊cells x⌋ + ⌊cells y⌋) mod 2."""
    inputs = rng.uniform(0, 1, (samples, 2))
    return inputs, np.floor(cells * inputs).astype(np.int64).sum(1) % 2


@data(
    "sine",
    about="points of a sine curve, whose height is to be predicted (regression)",
    section="A sine curve over `periods` periods; `noise` is the standard deviation around it.",
    features=("x",),
    targets=("y",),
)
def sine(
    rng: np.random.Generator,
    samples: int,
    noise: Annotated[float, Key("standard deviation around it", ge=0)] = 0.1,
    periods: Annotated[float, Key("how many periods x goes through", gt=0)] = 1.0,
) -> Points:
    """Uniform x from 0 to 1, and y = sin(2 pi periods x) + N(0, noise²), `(samples, 1)`."""
    inputs = rng.uniform(0, 1, (samples, 1))
    return inputs, np.sin(2 * math.pi * periods * inputs) + rng.normal(0, noise, inputs.shape)
