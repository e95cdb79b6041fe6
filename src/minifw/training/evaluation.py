"""Evaluation of networks: loss, errors, and whether all values are finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import Floats, Samples
from minifw.nn import Buffers, Graph, Loss, Network
from minifw.nn.module import in_mode

Evaluation = tuple[Floats, ...]
"""For each network its training loss, training error, test error and test loss; see `errors_of`.

Error and loss of the samples for validation come last, if there are any.
"""


def evaluate(
    network: Network,
    loss: Loss,
    train: Samples,
    test: Samples,
    buffers: Buffers,
    compiled: Callable[[Samples], Tensor] | None = None,
    validation: Samples | None = None,
    rows: int | None = None,
) -> Evaluation:
    """Return loss and errors of the networks of a stack; intermediate results reuse memory.

    `compiled`, if given, computes the networks' outputs; else they are computed of so many `rows`,
    samples of each network, at a time (None: of all).
    """
    differs = _differs_in_use(network)

    def output(samples: Samples) -> Tensor:
        if compiled is not None:
            return compiled(samples)
        return in_parts(forward, samples, rows)

    def forward(inputs: Tensor) -> Tensor:
        # A step with samples of this shape may compute other results.
        key = ("evaluation", inputs.shape) if differs else inputs.shape
        with in_mode(network, training=False), buffers.reuse_in_thread(key):
            output: Tensor = network.forward(inputs)
        return output

    def measured(samples: Samples) -> tuple[Floats, Floats]:
        given = output(samples)  # overwritten by the next output if both have the same shape
        losses = loss.function(given, samples.targets).double().numpy(force=True)
        return errors_of(given, samples), losses

    error, losses = measured(train)
    others = [test] if validation is None else [test, validation]
    return losses, error, *(value for samples in others for value in measured(samples))


def in_parts(
    forward: Callable[[Tensor], Tensor], samples: Samples, rows: int | None = None
) -> Tensor:
    """Return `forward` of all inputs, computed of so many samples at a time; None: of all."""
    if rows is None or samples.count <= rows:
        return forward(samples.inputs)
    # Each result is copied before the next one overwrites it.
    dim = len(samples.stack)
    parts = [forward(some).clone() for some in samples.inputs.split(rows, dim)]
    return torch.cat(parts, dim)


def may_be_divided(network: Network, inputs: Tensor, dim: int) -> bool:
    """Whether the outputs of some samples at a time are those of all at once; four are tried.

    Args:
        network: the network.
        inputs: its inputs.
        dim: which dimension is that of the samples.

    """
    x = inputs.narrow(dim, 0, min(4, inputs.shape[dim]))
    try:
        with in_mode(network, training=False):
            together = network.forward(x).clone()
            apart = [network.forward(some).clone() for some in x.split(2, dim)]
        return torch.allclose(together, torch.cat(apart, dim), 1e-3, 1e-5, equal_nan=True)
    except Exception:  # a user's module may not take few samples, say
        return False


def _differs_in_use(network: Network) -> bool:
    """Return whether a network's modules may compute other results in use than in training.

    Those that do have states, such as running means, or are graphs whose `connect` asks for the
    mode, which is not known of a user's.
    """
    graphs = (module for module in network.modules() if isinstance(module, Graph))
    return bool(network.states()) or any(
        not type(graph).connect.__module__.startswith("minifw.nn.") for graph in graphs
    )


def errors_of(output: Tensor, samples: Samples) -> Floats:
    """Return the error of each network, `(…)`, from its outputs `(…, samples, outputs)`.

    That is the percentage of samples whose largest output is not their class; or, of regression,
    the root of the mean squared difference over samples and targets, in the targets' own unit.
    """
    if samples.labels is None:
        squares = _differences(output, samples).square()
        return squares.mean((-2, -1)).sqrt().numpy(force=True)
    largest = samples.measured(output).max(-1).indices  # argmax gives the same but is slower
    wrong = (largest != samples.labels).sum(-1).double()
    return (wrong * 100 / samples.count).numpy(force=True)


def fits_of(output: Tensor, samples: Samples) -> dict[str, Floats]:
    """Return how well each network's outputs fit numbers, `(…)` each.

    Returns:
        r2: the coefficient of determination, 1 - Σ (output - target)² / Σ (target - mean)² over
            the samples, as scikit-learn's; of several targets their mean.
        mae: the mean absolute difference over samples and targets, in the targets' own unit.
        target_rmse: the root mean squared error of each target alone, `(…, targets)`.

    """
    differences = _differences(output, samples)
    targets = samples.in_own_unit(samples.measured(samples.targets))
    spread = (targets - targets.mean(-2, keepdim=True)).square().sum(-2)
    of_targets = 1 - differences.square().sum(-2) / spread
    values = {
        "r2": of_targets.mean(-1),
        "mae": differences.abs().mean((-2, -1)),
        "target_rmse": differences.square().mean(-2).sqrt(),
    }
    return {name: value.numpy(force=True) for name, value in values.items()}


def _differences(output: Tensor, samples: Samples) -> Tensor:
    """Return outputs minus targets in the targets' own unit, in float64."""
    found, targets = (samples.measured(values).double() for values in (output, samples.targets))
    return samples.in_own_unit(found - targets)


def finite(values: Sequence[Tensor], stack: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return for each network of a stack whether all of its values are finite."""
    # A sum is finite only if all of its terms are, so one number usually decides.
    if math.isfinite(sum(float(value.sum()) for value in values)):
        return np.ones(stack, bool)
    fine = [value.isfinite().reshape(*stack, -1).all(-1).numpy(force=True) for value in values]
    together: NDArray[np.bool_] = np.logical_and.reduce(fine)
    return together
