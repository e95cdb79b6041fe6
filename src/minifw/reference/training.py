"""Training of PyTorch's arms, by the same loop over epochs and with the same history as minifw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw import nn as ours
from minifw.data import BatchOrder, Dataset, Floats
from minifw.reference.arms import Ensemble, Loop, State
from minifw.training import (
    STOPPING,
    Checkpoint,
    EarlyStopping,
    Evaluation,
    History,
    Trainer,
    errors_of,
    evaluate,
    finite,
    in_parts,
    may_be_divided,
    run_epochs,
    wait_for,
)
from minifw.training.placement import StepSizes
from minifw.training.rates import Factors, by_epoch

# Evaluating single small networks is slow. So weights of several epochs are collected until their
# evaluation takes this many bytes, and evaluated as a stack (docs/decisions.md).
AT_ONCE_BYTES = 20 * 2**20
# How many epochs' losses are checked together, and how many seeds are joined at once.
WAITING = 64

T = TypeVar("T", bound=np.generic)
OnSeed = Callable[[int, Callable[[], Checkpoint]], None]


def fit(
    network: ours.Network,
    loss: ours.Loss,
    optimizer: ours.Optimizer,
    data: Dataset,
    seeds: Sequence[int],
    *,
    epochs: int,
    eta: float,
    rates: ours.Schedule | None = None,
    batch_size: int | None,
    eval_every: int,
    at_once: bool = False,
    on_epoch: Callable[[int, int, History], None] = lambda position, epoch, history: None,
    on_seed: OnSeed | None = None,
    done: Checkpoint | None = None,
    stopping: EarlyStopping | None = None,
) -> Checkpoint:
    """Train a twin of each network of the stack, in PyTorch, one after another or `at_once`.

    The other arguments are those of `minifw.fit`. With a `batch_size` each seed has its own order
    of batches. `on_epoch` is called with the position of the seed (0 for all at once), the number
    of the epoch, and the history of this seed. If seeds are trained one after another, `on_seed` is
    called after each with the number of finished seeds and a function that returns them; a later
    call with that as `done` continues with the next seed.
    """
    samples = data.train.count
    rows = max(part.count for part in data.parts.values())
    sizes = StepSizes.of(network, data.train)
    at_a_time = sizes.rows_at_once(rows)
    if at_a_time < rows and not may_be_divided(network, data.train.inputs, len(data.train.stack)):
        at_a_time = rows
    most = sizes.networks_in(AT_ONCE_BYTES, at_a_time)
    snapshots = _Snapshots(network, loss, most // len(seeds) if at_once else most, at_a_time)

    def trained(arm: Loop | Ensemble, position: int, which: int | slice) -> Checkpoint:
        drawn = BatchOrder(list(seeds) if at_once else [seeds[position]], samples)
        own = slice(None) if at_once else 0
        batch = min(batch_size or samples, samples)
        factors = by_epoch(rates, samples, batch, epochs)
        twins = _Twins(arm, snapshots, some := data.of(which), batch, eta, factors)
        history = run_epochs(
            twins,
            epochs,
            next_order=None if batch_size is None else lambda: drawn()[own],
            eval_every=eval_every,
            on_epoch=lambda epoch, history: on_epoch(position, epoch, history),
            history=replace(History.of(some.train.stack), measure=data.measure),
            stopping=stopping,
        )
        weights = {name: value.clone().cpu() for name, value in twins.tensors().items()}
        history.best, history.last = {}, {}
        return Checkpoint(weights, history)

    if at_once:
        return trained(Ensemble(network, len(seeds), loss, eta, optimizer), 0, slice(None))
    stacks = [] if done is None else [done]
    for position in range(0 if done is None else len(done.history.diverged), len(seeds)):
        arm = Loop(network, position, loss, eta, optimizer)
        stacks.append(_as_stack(trained(arm, position, position)))
        if len(stacks) == WAITING:  # thousands of arrays of one number take much memory
            stacks = [Checkpoint.joined(stacks)]
        if on_seed is not None:
            on_seed(position + 1, partial(Checkpoint.joined, list(stacks)))
    return Checkpoint.joined(stacks)


class _Twins(Trainer):
    """Networks trained by one of PyTorch's arms."""

    def __init__(
        self,
        arm: Loop | Ensemble,
        snapshots: _Snapshots,
        data: Dataset,
        batch_size: int,
        eta: float,
        factors: Factors,
    ) -> None:
        self.arm, self.snapshots, self.batch_size = arm, snapshots, batch_size
        self.eta, self.factors, self.epoch = eta, factors, 0
        self.data, self.train = data, data.train
        self.unseen: list[Tensor] = []  # losses of the latest epochs, not checked yet
        self.networks: NDArray[np.int64] | None = None  # those of a stack that are left; None: all
        self.whole: State = arm.weights
        self.ahead = False  # whether steps have been taken that `whole` does not have

    def train_epoch(self, order: Tensor | None) -> None:
        if order is not None:
            order = order if self.networks is None else order[self.networks]
            order = order.to(self.train.inputs.device)
        self.ahead = True
        self.epoch += 1
        factors = self.factors(self.epoch)
        rates = None if factors is None else (self.eta * factors).tolist()
        self.unseen.append(self.arm.train(self.train, order, self.batch_size, rates))

    def find_diverged(self, history: History, now: bool) -> None:
        """Check the losses of several epochs together.

        Weights that are not finite while the loss is finite are found by the evaluation.
        """
        if not now and len(self.unseen) < WAITING:
            return
        losses = torch.stack(self.unseen)
        self.unseen.clear()
        if math.isfinite(losses.sum()):
            return
        first = history.epoch - len(losses) + 1
        for epoch, of_epoch in enumerate(losses, first):
            history.diverge(self._spread(~finite([of_epoch], of_epoch.shape), False), epoch)
            if history.all_ended:
                history.epoch = epoch
                return

    def evaluate(self, history: History, last: bool) -> None:
        """Evaluate the weights after this epoch, now or together with those of later epochs.

        The last weights, whose errors are in the tables, are evaluated by PyTorch itself.
        """
        now = last or self.snapshots.most <= 1
        if not now:
            self.snapshots.add(history.epoch, self.arm.weights)
        if now or len(self.snapshots.weights) == self.snapshots.most:
            self.snapshots.evaluate(self.data, history)
        if now:
            gone, values = _evaluate(self.arm, self.data, self.snapshots.rows)
            spread = [self._spread(each, np.nan) for each in values]
            _record(history, history.epoch, self._spread(gone, False), *spread)

    def tensors(self) -> State:
        """Return the weights of all networks, those of a stack that have ended among them."""
        if self.networks is not None and self.ahead:
            for name, value in self.arm.weights.items():
                self.whole[name][self.networks] = value
            self.ahead = False  # `whole` may get best weights now
        return self.whole

    def leave(self, history: History) -> None:
        """Train the networks that are left as a smaller stack; a single network is no stack."""
        assert isinstance(self.arm, Ensemble)
        known = np.arange(history.stopped.size) if self.networks is None else self.networks
        if self.networks is None:
            self.whole = {name: value.clone() for name, value in self.arm.weights.items()}
        self.tensors()
        left = np.flatnonzero(~history.ended[known])
        self.arm.keep(left.tolist())
        self.data = self.data.of(left.tolist())
        self.train, self.networks = self.data.train, known[left]

    def _spread(self, values: NDArray[T], fill: object) -> NDArray[T]:
        """Return what was found of the networks that are left for the whole stack."""
        if self.networks is None:
            return values
        count = len(next(iter(self.whole.values())))
        whole = np.full(count, fill, values.dtype)
        whole[self.networks] = values
        return whole

    def wait(self) -> None:
        wait_for(self.train)


class _Snapshots:
    """Weights of up to `most` past epochs, to be evaluated together by minifw.

    So many `rows`, samples of each network, are evaluated at a time.
    """

    def __init__(self, network: ours.Network, loss: ours.Loss, most: int, rows: int) -> None:
        self.network, self.loss, self.most, self.rows = network, loss, most, rows
        self.buffers = ours.Buffers()
        self.weights: dict[int, State] = {}  # by epoch

    def add(self, epoch: int, weights: State) -> None:
        self.weights[epoch] = {name: value.clone() for name, value in weights.items()}

    def evaluate(self, data: Dataset, history: History) -> None:
        """Record their loss and errors, and drop them."""
        if not self.weights:
            return
        count = len(self.weights)
        parts = {name: part.repeated(count) for name, part in data.parts.items()}
        one = next(iter(self.weights.values()))
        stacked = {
            name: torch.stack([weights[name] for weights in self.weights.values()]) for name in one
        }
        parameters = [stacked[name] for name, _, _ in self.network.parameters()]
        # Evaluation draws nothing, so PyTorch has no such state: any number will do.
        stack = parameters[0].shape[: -self.network.parameters()[0].value[0].ndim or None]
        states = [
            stacked[name] if name in stacked else value.new_zeros(*stack, *value.shape[1:])
            for name, value in self.network.states()
        ]
        values = evaluate(
            self.network.with_parameters(parameters, states),
            self.loss,
            parts["train"],
            parts["test"],
            self.buffers,
            None,
            parts.get("validation"),
            self.rows,
        )
        gone = ~finite([*stacked.values()], values[0].shape)
        for epoch, *of_epoch in zip(self.weights, gone, *values, strict=True):
            _record(history, epoch, *of_epoch)
        self.weights.clear()


@torch.no_grad()
def _evaluate(
    arm: Loop | Ensemble, data: Dataset, rows: int
) -> tuple[NDArray[np.bool_], Evaluation]:
    """Return which networks have diverged, and loss and errors, computed by PyTorch alone."""
    found: list[Floats] = []
    for samples in data.parts.values():
        output = in_parts(arm.output, samples, rows)
        losses: Tensor = arm.losses(output, samples.targets)
        found += [errors_of(output, samples), losses.double().numpy(force=True)]
    error, loss, *others = found
    gone = ~finite([*arm.weights.values()], loss.shape)
    return gone, (loss, error, *others)


def _record(
    history: History,
    epoch: int,
    gone: NDArray[np.bool_],
    *values: Floats,
) -> None:
    history.diverge(gone, max(epoch, 1))  # values that were never finite count as epoch 1
    history.record(epoch, *values)


def _as_stack(single: Checkpoint) -> Checkpoint:
    """Return the checkpoint of a single network as that of a stack of one."""
    history = single.history
    for name in history.series:
        setattr(history, name, [value.reshape(1) for value in getattr(history, name)])
    for name in ("diverged", "diverged_layer", *STOPPING):
        setattr(history, name, getattr(history, name).reshape(1))
    return Checkpoint({name: value.unsqueeze(0) for name, value in single.weights.items()}, history)
