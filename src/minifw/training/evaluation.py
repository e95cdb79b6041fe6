"""Evaluation of networks: loss, errors, and whether all values are finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import Floats, Samples
from minifw.nn import Buffers, Loss, Network
from minifw.nn.module import in_mode

Evaluation = tuple[Floats, ...]
"""For each network its training loss, training error and test error in percent.

The error on the samples for validation comes last, if there are any.
"""


def evaluate(
    network: Network,
    loss: Loss,
    train: Samples,
    test: Samples,
    buffers: Buffers,
    compiled: Callable[[Samples], Tensor] | None = None,
    validation: Samples | None = None,
) -> Evaluation:
    """Return loss and errors of the networks of a stack; intermediate results reuse memory.

    `compiled`, if given, computes the networks' outputs.
    """

    def output(samples: Samples) -> Tensor:
        if compiled is not None:
            return compiled(samples)
        # A step of such a network, with samples of this shape, computes other results.
        shape = samples.inputs.shape
        key = ("evaluation", shape) if network.states() else shape
        with in_mode(network, training=False), buffers.reuse_in_thread(key):
            output: Tensor = network.forward(samples.inputs)
        return output

    of_train = output(train)  # overwritten by the test output if both have the same shape
    losses = loss.function(of_train, train.targets).double().numpy(force=True)
    train_error = error_percent(of_train, train.labels)
    others = [test] if validation is None else [test, validation]
    errors = [error_percent(output(samples), samples.labels) for samples in others]
    return losses, train_error, *errors


def error_percent(output: Tensor, labels: Tensor) -> Floats:
    """Return the percentage of samples whose largest output is not their class, per network."""
    largest = output.max(-1).indices  # argmax gives the same but is slower
    wrong = (largest != labels).sum(-1).double()
    return (wrong * 100 / labels.shape[-1]).numpy(force=True)


def finite(values: Sequence[Tensor], stack: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return for each network of a stack whether all of its values are finite."""
    # A sum is finite only if all of its terms are, so one number usually decides.
    if math.isfinite(sum(float(value.sum()) for value in values)):
        return np.ones(stack, bool)
    fine = [value.isfinite().reshape(*stack, -1).all(-1).numpy(force=True) for value in values]
    together: NDArray[np.bool_] = np.logical_and.reduce(fine)
    return together
