"""How large activations, gradients, weights and updates of each layer are: norms, while training.

They are those of one step of the learner itself, on copies of all that a step changes, so training
does not notice. Each is a root mean square (RMS), √(Σ vᵢ² / n): unlike a sum it does not grow with
a layer's width, so layers can be compared.

Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
networks, AISTATS 2010, which looks at activations and gradients of each layer in this way.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from minifw.data import Floats, Samples
from minifw.nn import ActivationFunction
from minifw.nn.module import in_mode
from minifw.nn.optimizers import takes_rates
from minifw.training.division import one_thread
from minifw.training.history import NORMS
from minifw.training.learner import Learner
from minifw.training.placement import StepSizes
from minifw.training.shards import Rates
from minifw.training.steady import drawn_again

SAMPLES = 1000
"""Of these many samples, the first ones of the training samples, or of all if there are fewer."""
BYTES = 64 * 2**20
"""Of the results of networks that are measured at once, about."""

Norms = Mapping[str, Floats]
"""By its kind, `(…, layers)`: a number for each network and each module at the top."""


def measure(learner: Learner, samples: Samples, eta: Rates) -> Norms:
    """Return the norms of a step that each network would take now, at this learning rate.

    The samples are the same each time, and the step is as in training: dropout drops, and the
    optimizer goes on from what it remembers. Nothing of the learner changes.

    Returns:
        activation: RMS of a layer's results, over the samples.
        gradient: RMS of the loss's gradient by a layer's parameters, NaN without any.
        weight: RMS of these parameters.
        update: RMS of their change in this step.
        dead: of an activation function, the share of units, or channels, that are 0 for all
            samples; NaN of others.

    """
    stack, count = samples.stack, min(SAMPLES, samples.count)
    inputs, targets = (v.narrow(len(stack), 0, count) for v in (samples.inputs, samples.targets))
    if not stack:
        return _of_networks(_copied(learner, None), inputs, targets, eta, ())
    with drawn_again():  # and of a copy: a module may draw with a generator of its own
        alone = _copied(learner, slice(1)).network
        most = StepSizes.of(alone, samples.of(slice(1))).networks_in(BYTES, count)
    if isinstance(eta, Sequence) and not takes_rates(learner.optimizer):
        most = 1
    cuts = [*range(0, stack[0], most), stack[0]]
    parts = []
    for some in (slice(first, after) for first, after in pairwise(cuts)):
        own = eta[some] if isinstance(eta, Sequence) else eta
        step = _copied(learner, some), inputs[some], targets[some], own
        parts.append(_of_networks(*step, inputs[some].shape[:1]))
    return {kind: np.concatenate([part[kind] for part in parts]) for kind in NORMS}


def _copied(learner: Learner, some: slice | None) -> Learner:
    """Return a learner of some networks that shares nothing with the whole one."""
    own = learner.on([value.clone() if some is None else value[some].clone()
                      for value in learner.state])  # fmt: skip
    with suppress(Exception):  # not everything can be copied, a lock for instance
        return copy.deepcopy(own)
    return own


def _of_networks(
    learner: Learner, inputs: Tensor, targets: Tensor, eta: Rates, stack: tuple[int, ...]
) -> Norms:
    """Take the step of networks that nobody else uses, and return its norms."""
    network = learner.network
    rate: float | Tensor
    if isinstance(eta, Sequence):
        rates = torch.tensor(eta, dtype=torch.float64).to(learner.weights[0])
        rate = eta[0] if len(set(eta)) == 1 else rates
    else:
        rate = eta
    before = [value.clone() for value in learner.weights]
    with in_mode(network, training=True), one_thread(), drawn_again():
        learner.step(inputs, targets, rate)
    layers = [*network]
    found = {kind: _Sums(stack, len(layers)) for kind in NORMS}
    for position, result in network.results():
        found["activation"].add(position, result)
        if isinstance(layers[position], ActivationFunction):
            # Samples stand first, then units, or channels with the places of an image.
            zero = (
                (result == 0)
                .movedim(len(stack) + 1, len(stack))
                .reshape(*stack, result.shape[len(stack) + 1], -1)
            )
            found["dead"].count(position, zero.all(-1))
    for (name, value, gradient), old in zip(network.parameters(), before, strict=True):
        position = int(name.partition(".")[0])
        found["gradient"].add(position, gradient)
        found["weight"].add(position, old)
        found["update"].add(position, value - old)
    return {kind: sums.means if kind == "dead" else np.sqrt(sums.means)
            for kind, sums in found.items()}  # fmt: skip


class _Sums:
    """Sums of squares of each layer, and of how many numbers."""

    def __init__(self, stack: tuple[int, ...], layers: int) -> None:
        self.squares = np.zeros((*stack, layers))
        self.counts = np.zeros(layers)
        self.stack = stack

    def add(self, layer: int, values: Tensor) -> None:
        """Add a tensor of a layer, `(…, any)`."""
        rows = values.reshape(*self.stack, -1)
        with one_thread():  # each network's sum is as it would be alone
            norms = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float64)
        self.squares[..., layer] += norms.square().numpy(force=True)
        self.counts[layer] += rows.shape[-1]

    def count(self, layer: int, which: Tensor) -> None:
        """Add 1 for each unit `(…, units)` that is true, 0 for the others."""
        self.squares[..., layer] += which.sum(-1).numpy(force=True)
        self.counts[layer] += which.shape[-1]

    @property
    def means(self) -> Floats:
        """The mean square of each layer, NaN where there is nothing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Floats = self.squares / self.counts
        return means
