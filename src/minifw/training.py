"""Training: `fit` takes the steps and records what happened. It knows no files and no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import Dataset
from minifw.errors import ShapeError
from minifw.nn import Buffers, Loss, Network, Optimizer

Floats = NDArray[np.float64]


@dataclass
class History:
    """What training recorded, for each of the epochs in `epochs` one value a seed.

    `train_loss` is in the loss's own scale, the errors are percent of samples whose largest
    output is not their class. A seed that has diverged holds NaN from then on, and its number
    of full epochs in `diverged` (-1 for all others). `seconds` is the time spent in steps,
    evaluation left out; `evaluation_seconds` is the rest.
    """

    epochs: list[int] = field(default_factory=list)
    train_loss: list[Floats] = field(default_factory=list)
    train_error: list[Floats] = field(default_factory=list)
    test_error: list[Floats] = field(default_factory=list)
    diverged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    seconds: float = 0.0
    evaluation_seconds: float = 0.0

    def record(
        self, epoch: int, train_loss: Floats, train_error: Floats, test_error: Floats
    ) -> None:
        """Append one evaluation, with NaN for the seeds that have diverged."""
        gone = self.diverged >= 0
        self.epochs.append(epoch)
        self.train_loss.append(np.where(gone, np.nan, train_loss))
        self.train_error.append(np.where(gone, np.nan, train_error))
        self.test_error.append(np.where(gone, np.nan, test_error))


OnEpoch = Callable[[int, History], None]
"""Called after each epoch with its number, counted from 1, and the history so far."""


def fit(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Dataset,
    *,
    epochs: int,
    eta: float,
    batch_size: int | None = None,
    next_order: Callable[[], Tensor] | None = None,
    eval_every: int = 1,
    on_epoch: OnEpoch | None = None,
) -> History:
    """Train a stack of networks, each on its own data, and return what was recorded.

    Args:
        data: samples `(seeds, n, features)`; the stack is that of the network.
        epochs: passes over the training samples.
        eta: learning rate.
        batch_size: samples in a step; None takes all of them in one (full batch).
        next_order: gives each epoch's order of samples, `(seeds, n)`; without it the order
            stays. The last batch of an epoch holds what is left.
        eval_every: epochs between evaluations; before the first and after the last there is
            always one.
        on_epoch: called after each epoch.

    Training ends early when every seed has diverged.

    """
    if batch_size is not None and batch_size < 1:
        raise ShapeError(f"fit: batch_size must be at least 1, got {batch_size}")
    samples = data.train.labels.shape[-1]
    batch_size = min(batch_size or samples, samples)
    history = History(diverged=np.full(data.train.labels.shape[:-1], -1, np.int64))
    buffers = Buffers()
    _evaluate(network, loss, data, 0, history)
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        inputs, targets = data.train.inputs, data.train.targets
        if next_order is not None:
            inputs, targets = data.train.in_order(next_order())
        sample_dim = data.train.labels.ndim - 1
        for batch, target in zip(
            inputs.split(batch_size, sample_dim), targets.split(batch_size, sample_dim), strict=True
        ):
            with buffers.reuse(batch.shape):
                network.reset_gradient()
                output = network.forward(batch)
                network.accumulate(loss.grad(output, target))
                optimizer.step(eta)
        stepped = time.perf_counter()
        history.seconds += stepped - started
        _note_divergence(network, loss.function(output, target), epoch, history)
        ended = epoch == epochs or bool((history.diverged >= 0).all())
        if epoch % eval_every == 0 or ended:
            _evaluate(network, loss, data, epoch, history)
        history.evaluation_seconds += time.perf_counter() - stepped
        if on_epoch is not None:
            on_epoch(epoch, history)
        if ended:
            break
    return history


def error_percent(output: Tensor, labels: Tensor) -> Floats:
    """Percent of samples whose largest output is not their class, one value a network."""
    wrong = (output.argmax(-1) != labels).sum(-1).double()
    return (wrong * 100 / labels.shape[-1]).numpy(force=True)


def _evaluate(network: Network, loss: Loss, data: Dataset, epoch: int, history: History) -> None:
    train, test = network.forward(data.train.inputs), network.forward(data.test.inputs)
    history.record(
        epoch,
        loss.function(train, data.train.targets).double().numpy(force=True),
        error_percent(train, data.train.labels),
        error_percent(test, data.test.labels),
    )


def _note_divergence(network: Network, last_loss: Tensor, epoch: int, history: History) -> None:
    """Mark the seeds whose last loss or any weight is not finite."""
    values = [last_loss, *(value for _, value, _ in network.parameters())]
    # A sum is finite only if all of its terms are: one number tells that all is well.
    if np.isfinite(sum(float(value.sum()) for value in values)):
        return
    stack = last_loss.shape
    for value in values:
        finite = value.isfinite().reshape(*stack, -1).all(-1).numpy(force=True)
        history.diverged[~finite & (history.diverged < 0)] = epoch
