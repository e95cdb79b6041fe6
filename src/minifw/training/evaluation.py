"""How good networks are: loss, errors, and whether all of their values are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import Floats, Samples
from minifw.nn import Buffers, Loss, Network

Evaluation = tuple[Floats, Floats, Floats]
"""Each network's loss, its error in percent in training, and in test."""


def evaluate(
    network: Network, loss: Loss, train: Samples, test: Samples, buffers: Buffers
) -> Evaluation:
    """Return how good the networks of a stack are; results go into reused memory."""

    def output(inputs: Tensor) -> Tensor:
        with buffers.reuse_in_thread(inputs.shape):
            output: Tensor = network.forward(inputs)
        return output

    of_train = output(train.inputs)  # overwritten by that of test, where both have one shape
    losses = loss.function(of_train, train.targets).double().numpy(force=True)
    train_error = error_percent(of_train, train.labels)
    return losses, train_error, error_percent(output(test.inputs), test.labels)


def error_percent(output: Tensor, labels: Tensor) -> Floats:
    """Percent of samples whose largest output is not their class, one value a network."""
    largest = output.max(-1).indices  # argmax gives the same, and takes longer
    wrong = (largest != labels).sum(-1).double()
    return (wrong * 100 / labels.shape[-1]).numpy(force=True)


def finite(values: Sequence[Tensor], stack: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return for each network of a stack whether all of its values are finite."""
    # A sum is finite only if all of its terms are: one number tells that all is well.
    if math.isfinite(sum(float(value.sum()) for value in values)):
        return np.ones(stack, bool)
    fine = [value.isfinite().reshape(*stack, -1).all(-1).numpy(force=True) for value in values]
    together: NDArray[np.bool_] = np.logical_and.reduce(fine)
    return together
