"""A stack of networks divided into shards: some seeds each, trained on their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain, pairwise, repeat
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.compile.beside import beside
from minifw.data import Dataset, Floats, Samples
from minifw.nn import Buffers
from minifw.nn.buffers import buffer
from minifw.nn.optimizers import takes_rates
from minifw.training.compiled import Epochs, Outputs, Steps, check_steps
from minifw.training.evaluation import Evaluation, evaluate, finite
from minifw.training.learner import Learner
from minifw.training.steady import drawn_again

Batch = tuple[Tensor, Tensor]
"""Inputs and targets of a step; or, afterwards, output and targets."""

Rates = float | Sequence[float]
"""A learning rate for all networks of the whole stack, or one for each."""


class Shard:
    """Some seeds of a stack.

    Its tensors are views of the stack's tensors, so training a shard trains the stack.
    """

    def __init__(self, learner: Learner, data: Dataset, seeds: slice, buffers: Buffers) -> None:
        self.learner = learner
        self.data, self.train_samples = data, data.train
        self.seeds = seeds
        self.compiled: Epochs | None = None
        self.sound = False  # whether all weights are known to be finite after the epoch
        self.outputs: Outputs | None = None
        self.rows: int | None = None  # samples that are evaluated at a time
        self.start: list[Tensor] = []  # weights and state before the epoch
        self.buffers = buffers  # shared by all shards: valid until the thread's next shard
        self.batches = Buffers()  # of this shard alone

    def train(
        self, order: Tensor | None, batch_size: int, eta: Rates, factors: Floats | None = None
    ) -> Batch:
        """Take all steps of an epoch, in any thread; return output and targets of the last.

        `factors` has one of the learning rate for each step; None: it is the same in all.
        """
        self._keep_start()
        if self.compiled is not None:
            own = None if order is None else order[self.seeds]
            rate = self._rate(eta) if factors is None else self._table(eta, factors)
            output, self.sound = self.compiled.run(own, rate)
            return output, self._last_targets(own, output.shape[-2])
        (whole, whole_targets), cut = self._batches(order, batch_size)
        step, shape = self.learner.step, None
        batches = chain(zip(whole, whole_targets, strict=True), cut)
        for (inputs, targets), rate in zip(batches, self._rates(eta, factors), strict=False):
            if inputs.shape != shape:  # the first batch, or a smaller last one
                shape = inputs.shape
                reused = self.buffers.reuse_in_thread(shape)
            with reused:
                output = step(inputs, targets, rate)
        return output.clone(), targets  # the thread's next shard would overwrite it

    def _rate(self, eta: Rates, seeds: Sequence[int] | None = None) -> float | Tensor:
        """Return the learning rate of this shard's networks, or of some of them.

        It is a number if it is the same for all, else a tensor with one for each.
        """
        if not isinstance(eta, Sequence):
            return eta
        own = eta[self.seeds]
        own = own if seeds is None else [own[seed] for seed in seeds]
        if len(set(own)) == 1:
            return own[0]
        weight = self.learner.weights[0]
        return torch.tensor(own, dtype=torch.float64).to(weight.device, weight.dtype)

    def _table(self, eta: Rates, factors: Floats, seeds: Sequence[int] | None = None) -> Tensor:
        """Return the learning rates of each step, `(steps, 1 or networks)` of float64."""
        own = [eta] if not isinstance(eta, Sequence) else eta[self.seeds]
        own = own if seeds is None or len(own) == 1 else [own[seed] for seed in seeds]
        if len(set(own)) == 1:
            own = own[:1]
        return torch.from_numpy(np.outer(factors, own))

    def _rates(
        self, eta: Rates, factors: Floats | None, seeds: Sequence[int] | None = None
    ) -> Iterable[float | Tensor]:
        """Return the learning rate of each step, as `_rate` does."""
        if factors is None:
            return repeat(self._rate(eta, seeds))
        table = self._table(eta, factors, seeds)
        if table.shape[1] == 1:
            return cast(list[float], table.squeeze(1).tolist())
        weight = self.learner.weights[0]
        return table.to(weight.device, weight.dtype).unbind()

    def _last_targets(self, order: Tensor | None, batch_size: int) -> Tensor:
        """Return the targets of the last batch of an epoch."""
        targets, dim = self.train_samples.targets, len(self.train_samples.stack)
        first = targets.shape[dim] - batch_size
        if order is None:
            return targets.narrow(dim, first, batch_size)
        order = order.narrow(dim, first, batch_size)
        return targets.take_along_dim(
            order.reshape(*order.shape, *[1] * (targets.ndim - dim - 1)), dim
        )

    def finite(self, last: Batch) -> NDArray[np.bool_]:
        """Return for each network whether its loss in the last step and its weights are finite."""
        loss = self.learner.loss.function(*last)
        return finite([loss] if self.sound else [loss, *self.learner.weights], loss.shape)

    def _keep_start(self) -> None:
        """Keep weights and state from before an epoch, for `first_failing`."""
        state = self.learner.state
        # They differ at first, and after momentum was set, which adds to it.
        if [value.shape for value in self.start] != [value.shape for value in state]:
            self.start = [value.clone() for value in state]
        else:
            torch._foreach_copy_(self.start, state)

    def first_failing(
        self,
        seeds: Sequence[int],
        order: Tensor | None,
        batch_size: int,
        eta: Rates,
        factors: Floats | None = None,
    ) -> list[int]:
        """Return for these seeds where the first value that is not finite appeared.

        That is the position of a module of the network, or -1. The epoch is trained again from its
        start with plain steps, whose results are checked in the order of computation.
        """
        rate = self._rate(eta, seeds)
        if isinstance(rate, Tensor) and not takes_rates(self.learner.optimizer):
            alone = [self.first_failing([seed], order, batch_size, eta, factors) for seed in seeds]
            return [position for (position,) in alone]
        found = dict.fromkeys(seeds, -1)
        learner = self.learner.on([self._copied(value, seeds) for value in self.start])
        (inputs, targets), cut = self._batches(order, batch_size)
        batches = chain(zip(inputs, targets, strict=True), cut)
        rates = self._rates(eta, factors, seeds)
        for (batch, target), rate in zip(batches, rates, strict=False):
            learner.step(self._copied(batch, seeds), self._copied(target, seeds), rate)
            for position, values in learner.results():
                fine = values.isfinite().reshape(len(seeds), -1).all(1).tolist()
                for seed, is_fine in zip(seeds, fine, strict=True):
                    if not is_fine and found[seed] < 0:
                        found[seed] = position
            if min(found.values()) >= 0:
                break
        return list(found.values())

    def _copied(self, value: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return a copy of these seeds' entries of a tensor."""
        return value[list(seeds)] if self.train_samples.stack else value.clone()

    def evaluate(self) -> Evaluation:
        """Evaluate the shard's networks, in any thread."""
        learner, data = self.learner, self.data
        outputs = None if self.outputs is None else partial(self.outputs.of, learner)
        return evaluate(
            learner.network, learner.loss, data.train, data.test, self.buffers, outputs,
            data.validation, self.rows,
        )  # fmt: skip

    def _batches(self, order: Tensor | None, batch_size: int) -> tuple[Batch, list[Batch]]:
        """Return the full batches, `(steps, seeds, batch, …)`, and a smaller last one, if any.

        If there is an order, batches are gathered once an epoch, into the same memory.
        """
        samples = self.train_samples
        dim = len(samples.stack)
        count = samples.count
        whole = count - count % batch_size
        cut: list[Batch] = []
        if order is None:
            values = samples.inputs, samples.targets
            inputs, targets = (_by_steps(v.narrow(dim, 0, whole), batch_size, dim) for v in values)
            if whole < count:
                last, target = (v.narrow(dim, whole, count - whole) for v in values)
                cut = [(last, target)]
        else:
            order = order[self.seeds]
            steps = _by_steps(order.narrow(dim, 0, whole), batch_size, dim)
            with self.batches.reuse("an epoch"):
                out = buffer(samples.inputs), buffer(samples.targets)
                inputs, targets = _in_order(samples, steps, out)
            if whole < count:
                cut = [_in_order(samples, order.narrow(dim, whole, count - whole))]
        return (inputs, targets), cut


def divide(
    learner: Learner, data: Dataset, size: int | None, eta: Rates | None = None
) -> list[Shard]:
    """Divide the stack into shards of `size` seeds; None: one shard, or a single network.

    If learning rates are given, each shard has a single one.
    """
    seeds, buffers = data.train.shape[0], Buffers()
    cuts = {*range(0, seeds, size or seeds), seeds}
    if isinstance(eta, Sequence):
        cuts |= {k for k in range(1, seeds) if eta[k] != eta[k - 1]}
    if len(data.train.stack) != 1 or len(cuts) == 2:
        return [Shard(learner, data, slice(None), buffers)]
    state = learner.state
    shards = []
    for first, after in pairwise(sorted(cuts)):
        some = slice(first, after)
        own = learner.on([value[some] for value in state])
        shards.append(Shard(own, data.of(some), some, buffers))
    return shards


def compile_steps(
    learner: Learner, data: Dataset, batch_size: int, rows: int | None = None
) -> tuple[Steps, Outputs]:
    """Compile steps and evaluation of a whole stack, for all shards of it.

    Raises:
        CannotCompileError: they cannot be compiled.

    """
    with drawn_again():  # plainly too, if steps turn out not to be compiled
        check_steps(learner, data.train)
        # The C compiler is a process of its own.
        with beside(lambda: Outputs(learner, *data.parts.values(), rows=rows)) as evaluation:
            steps = Steps(learner, data.train, batch_size)
    return steps, evaluation.result()


def _by_steps(values: Tensor, batch_size: int, dim: int) -> Tensor:
    """Return `(…, n, …)`, n samples along `dim`, as `(n / batch, …, batch, …)`."""
    steps: Tensor = values.unflatten(dim, (-1, batch_size))
    return steps.movedim(dim, 0)


def _in_order(
    samples: Samples, order: Tensor, out: tuple[Tensor | None, Tensor | None] = (None, None)
) -> Batch:
    """Return the samples in an order as `Samples.in_order` does, or those of a single network."""
    if samples.stack:
        return samples.in_order(order, out)
    inputs, targets = samples.repeated(1).in_order(order.unsqueeze(-2), out)
    return inputs.squeeze(order.ndim - 1), targets.squeeze(order.ndim - 1)
