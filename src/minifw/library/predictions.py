"""What the networks of a run say of new samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minifw.data import Floats


@dataclass(frozen=True)
class Prediction:
    """The predictions of a run's networks for n samples.

    Attributes:
        classes: the predicted class of each sample, `(n,)` of text: the class with the most votes;
            with equal votes, the one with the largest mean score.
        votes: how many networks chose each class, `(n, classes)`.
        scores: mean score of each class over the networks, `(n, classes)`: a probability after
            training with cross-entropy, otherwise the network's output.
        spread: standard deviation of the scores over the networks (n - 1), `(n, classes)`.
        each: the class that each network chose, `(seeds, n)` of text.
        names: the names of the classes, in the order of the columns above.
        seeds: the seeds whose networks voted; those that diverged are left out.

    """

    classes: NDArray[np.str_]
    votes: NDArray[np.int64]
    scores: Floats
    spread: Floats
    each: NDArray[np.str_] = field(repr=False)
    names: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Estimate:
    """The predictions of a run's networks by regression for n samples, in the targets' own unit.

    Attributes:
        values: the mean over the networks, `(n, targets)`.
        spread: its standard deviation over the networks (n - 1), `(n, targets)`.
        each: what each network says, `(seeds, n, targets)`.
        names: the names of the targets.
        seeds: the seeds whose networks were asked; those that diverged are left out.

    """

    values: Floats
    spread: Floats
    each: Floats = field(repr=False)
    names: tuple[str, ...]
    seeds: tuple[int, ...]
