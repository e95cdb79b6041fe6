"""Training: `fit` takes the steps and records what happened. It knows no files and no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.data.dataset import Dataset, Samples
from minifw.errors import ShapeError, UsageError
from minifw.nn import Buffers, Loss, Network, Optimizer, Sequential
from minifw.nn.buffers import buffer
from minifw.nn.module import Call, described
from minifw.training import arguments, compiled
from minifw.training.evaluation import Evaluation, evaluate, finite
from minifw.training.history import Floats, History
from minifw.training.placement import Schedule, for_data

Batch = tuple[Tensor, Tensor]
"""Inputs and targets of a step, or, afterwards, output and targets."""


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
    schedule: Schedule | None = None,
    history: History | None = None,
) -> History:
    """Train a stack of networks, each on its own data, and return what was recorded.

    The stack has one dimension, the seeds. A single network has none, in `data`, `next_order` and
    what is recorded.

    Args:
        optimizer: that of this very network.
        data: samples `(seeds, n, features)`; the stack is that of the network.
        epochs: passes over the training samples, in all; 0 only evaluates the network as it is.
        eta: learning rate, above 0.
        batch_size: samples in a step; None, or more than there are, takes all of them in one
            (full batch).
        next_order: gives each epoch's order of samples, `(seeds, n)` of int64; without it the
            order stays. The last batch of an epoch holds what is left.
        eval_every: epochs between evaluations; before the first and after the last there is
            always one.
        on_epoch: called after each epoch.
        schedule: how many seeds go through at once, on how many threads, and whether compiled;
            without it what `schedule.for_data` finds best, as for a config without `train.compile`
            (and as `history` says, where training goes on).
        history: that of an earlier training to go on with, after its `epoch`. Network,
            optimizer and `next_order` must be as they were then; what is returned, and what they
            hold in the end, is bit for bit what one training without a break gives.

    Training ends early when every seed has diverged.

    Raises:
        ModuleError, ShapeError, DtypeError: an argument is wrong, or does not fit the others;
            nothing has been changed then.
        UsageError: the schedule asks for compiled steps, and they cannot be had.

    """
    arguments.check(network, loss, optimizer, data, history)
    samples = data.train.labels.shape[-1]
    batch_size = samples if batch_size is None else arguments.whole("batch_size", batch_size, 1)
    batch_size = min(batch_size, samples)
    epochs, eval_every = (
        arguments.whole("epochs", epochs, 0),
        arguments.whole("eval_every", eval_every, 1),
    )
    eta = arguments.learning_rate(eta, data.train.inputs.dtype)
    if schedule is None:
        schedule = for_data(
            network, data, batch_size, epochs, "auto" if history is None else history.compiled
        )
    history = history or History.of(tuple(data.train.labels.shape[:-1]))
    parts = _parts(network, loss, optimizer, data, schedule.training.seeds)
    if schedule.compiled:
        try:
            _compile(parts, batch_size, schedule.training.threads or torch.get_num_threads())
        except UsageError:
            if schedule.otherwise is None:
                raise
            schedule = schedule.otherwise
            parts = _parts(network, loss, optimizer, data, schedule.training.seeds)
    history.compiled = schedule.compiled
    evaluation = schedule.evaluation or schedule.training
    evaluated = parts
    if evaluation.seeds != schedule.training.seeds:
        evaluated = _parts(network, loss, optimizer, data, evaluation.seeds)
    threads = schedule.training.threads or torch.get_num_threads()
    evaluators = evaluation.threads or torch.get_num_threads()
    if schedule.compiled:  # in one thread; torch's own would keep a processor busy for nothing
        threads = min(threads, len(parts))
    with _workers(max(threads, evaluators)) as run:
        evaluate_all = partial(_evaluate, evaluated, history, run, evaluators)
        if not history.epochs:
            evaluate_all()
        while history.epoch < epochs and not history.all_diverged:
            history.epoch += 1
            order = None
            if next_order is not None:
                with _timed(data, history, "seconds"):
                    order = _checked_order(next_order(), data.train.labels)
            with _timed(data, history, "seconds"):
                work = [partial(part.train, order, batch_size, eta) for part in parts]
                last = run(work, threads)
            with _timed(data, history, "evaluation_seconds"):
                for part, batch in zip(parts, last, strict=True):
                    if new := history.diverge(~part.finite(batch), history.epoch, part.seeds):
                        layers = part.first_failing(new, order, batch_size, eta)
                        np.atleast_1d(history.diverged_layer)[part.seeds][new] = layers
            ended = history.epoch == epochs or history.all_diverged
            if history.epoch % eval_every == 0 or ended:
                with _timed(data, history, "evaluation_seconds"):
                    evaluate_all()
            if on_epoch is not None:
                on_epoch(history.epoch, history)
    return history


def _checked_order(order: object, labels: Tensor) -> Tensor:
    """Return an epoch's order on the device of the samples."""
    if not isinstance(order, Tensor) or order.dtype != torch.int64 or order.shape != labels.shape:
        raise ShapeError(
            f"fit: next_order must give an order of shape {tuple(labels.shape)}, one position of "
            f"int64 for each training sample, got {described(order)}"
        )
    return order.to(labels.device)


class _Part:
    """Some seeds of a stack, trained on their own; their numbers are those of the stack itself."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        optimizer: Optimizer,
        train: Samples,
        test: Samples,
        seeds: slice,
        buffers: Buffers,
    ) -> None:
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.train_samples, self.test_samples = train, test
        self.seeds = seeds
        self.epoch: compiled.Epoch | None = None
        self.start: list[Tensor] = []  # weights and state before the epoch
        self.buffers = buffers  # of all parts: what is in it counts until the thread's next part
        self.batches = Buffers()  # of this part alone

    def train(self, order: Tensor | None, batch_size: int, eta: float) -> Batch:
        """Take all steps of an epoch, in any thread; return output and targets of the last."""
        self._keep_start()
        (inputs, targets), rest = self._batches(order, batch_size)
        if self.epoch is not None:
            rate = torch.tensor(eta, dtype=inputs.dtype)
            last = self.epoch.run(self.network, self.optimizer, inputs, targets, rate), targets[-1]
        else:
            rest = [*zip(inputs, targets, strict=True), *rest]
        for batch, target in rest:
            last = self._step(batch, target, eta), target
        if rest:  # the thread's next part would write over it
            last = last[0].clone(), last[1]
        return last

    def _step(self, inputs: Tensor, target: Tensor, eta: float) -> Tensor:
        with self.buffers.reuse_in_thread(inputs.shape):
            self.network.reset_gradient()
            output: Tensor = self.network.forward(inputs)
            self.network.accumulate(self.loss.grad(output, target))
            self.optimizer.step(eta)
        return output

    def finite(self, last: Batch) -> NDArray[np.bool_]:
        """Return for each network whether its loss in the last step and its weights are finite."""
        loss = self.loss.function(*last)
        return finite([loss, *(value for _, value, _ in self.network.parameters())], loss.shape)

    def _keep_start(self) -> None:
        """Keep weights and state as they are before an epoch, for `first_failing`."""
        values = [value for _, value, _ in self.network.parameters()]
        values += self.optimizer.state.values()
        if len(self.start) == len(values):  # momentum may begin between two epochs
            torch._foreach_copy_(self.start, values)
        else:
            self.start = [value.clone() for value in values]

    def first_failing(
        self, seeds: Sequence[int], order: Tensor | None, batch_size: int, eta: float
    ) -> list[int]:
        """Return for these seeds of the part where the first value that is not finite appeared.

        That is the position of a module of the network: the epoch is trained once more from its
        start, plainly, and all values of each step are looked at in the order they come up.
        """
        found = dict.fromkeys(seeds, -1)
        if not isinstance(self.network, Sequential):
            return list(found.values())
        start = [self._copied(value, seeds) for value in self.start]
        weights = len(self.network.parameters())
        network = self.network.with_parameters(start[:weights])
        state = dict(zip(self.optimizer.state, start[weights:], strict=True))
        optimizer = self.optimizer.with_state(network, state)
        (inputs, targets), rest = self._batches(order, batch_size)
        for batch, target in [*zip(inputs, targets, strict=True), *rest]:
            batch, target = self._copied(batch, seeds), self._copied(target, seeds)
            step = _values_of_step(network, self.loss, optimizer, batch, target, eta)
            for position, values in step:
                finite = values.isfinite().reshape(len(seeds), -1).all(1).tolist()
                for seed, fine in zip(seeds, finite, strict=True):
                    if not fine and found[seed] < 0:
                        found[seed] = position
            if min(found.values()) >= 0:
                break
        return list(found.values())

    def _copied(self, value: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return a copy of what these seeds of the part have of a tensor."""
        return value[list(seeds)] if self.train_samples.labels.ndim > 1 else value.clone()

    def evaluate(self) -> Evaluation:
        """Evaluate the part's networks, in any thread."""
        samples = self.train_samples, self.test_samples
        return evaluate(self.network, self.loss, *samples, self.buffers)

    def _batches(self, order: Tensor | None, batch_size: int) -> tuple[Batch, list[Batch]]:
        """Return all batches but a cut last one, `(steps, seeds, batch, …)`, and that one, if any.

        Batches in an order of their own are gathered once an epoch, into the same memory.
        """
        samples = self.train_samples
        dim = samples.labels.ndim - 1
        count = samples.labels.shape[dim]
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


def _in_order(
    samples: Samples, order: Tensor, out: tuple[Tensor | None, Tensor | None] = (None, None)
) -> Batch:
    """Return the samples in an order as `Samples.in_order` does, or those of a single network."""
    if samples.labels.ndim > 1:
        return samples.in_order(order, out)
    inputs, targets = samples.repeated(1).in_order(order.unsqueeze(-2), out)
    return inputs.squeeze(order.ndim - 1), targets.squeeze(order.ndim - 1)


def _values_of_step(
    network: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    inputs: Tensor,
    target: Tensor,
    eta: float,
) -> Iterator[tuple[int, Tensor]]:
    """Take a step, and give all that it computes, each with the position of its module."""
    network.reset_gradient()
    output: Tensor = network.forward(inputs)
    calls: list[Call | None] = network.call.saved if network.call else []
    for position, (call, following) in enumerate(pairwise(calls)):
        # A module may have kept only its inputs, or nothing; what it gave is what the next took.
        outputs = (call and call.outputs) or (following and following.inputs) or ()
        for values in outputs:
            yield position, values
    yield len(network) - 1, output
    network.accumulate(loss.grad(output, target))
    for name, _, gradient in reversed(network.parameters()):
        yield int(name.partition(".")[0]), gradient
    optimizer.step(eta)
    for name, value, _ in network.parameters():
        yield int(name.partition(".")[0]), value


def _parts(
    network: Network, loss: Loss, optimizer: Optimizer, data: Dataset, size: int | None
) -> list[_Part]:
    """Divide the stack, `size` seeds a part: each part's tensors are views of the whole's."""
    seeds, buffers = len(data.train.labels), Buffers()
    size = size or seeds
    if data.train.labels.ndim != 2 or size >= seeds:
        return [_Part(network, loss, optimizer, data.train, data.test, slice(None), buffers)]
    values = [value for _, value, _ in network.parameters()]
    parts = []
    for first in range(0, seeds, size):
        some = slice(first, min(first + size, seeds))
        own = network.with_parameters(value[some] for value in values)
        state = {name: value[some] for name, value in optimizer.state.items()}
        acting = optimizer.with_state(own, state)
        train, test = data.train.of(some), data.test.of(some)
        parts.append(_Part(own, loss, acting, train, test, some, buffers))
    return parts


def _compile(parts: Sequence[_Part], batch_size: int, threads: int) -> None:
    """Give all parts the compiled loop of the first, which has the most seeds."""
    first = parts[0]
    samples = first.train_samples
    if samples.labels.ndim != 2:
        raise UsageError(
            "train.compile: true: compiled steps are for a stack of seeds in one dimension, "
            f"got networks {tuple(samples.labels.shape[:-1])}; false trains these"
        )
    whole = samples.labels.shape[1] - samples.labels.shape[1] % batch_size
    epoch = compiled.Epoch(
        first.network, first.loss, first.optimizer,
        _by_steps(samples.inputs[:, :whole], batch_size),
        _by_steps(samples.targets[:, :whole], batch_size),
        threads,
    )  # fmt: skip
    for part in parts:
        part.epoch = epoch


def _by_steps(values: Tensor, batch_size: int, dim: int = 1) -> Tensor:
    """Return `(…, n, …)`, n samples along `dim`, as `(n / batch, …, batch, …)`."""
    steps: Tensor = values.unflatten(dim, (-1, batch_size))
    return steps.movedim(dim, 0)


Run = Callable[[Sequence[Callable[[], Any]], int], list[Any]]
"""Calls all the functions on so many threads, and returns what they return."""


@contextmanager
def _workers(most: int) -> Iterator[Run]:
    """Share functions among at most so many threads of Python's.

    A function that is alone has as many of torch's instead. Those keep a processor busy for
    milliseconds after their work, and all who wait for them as well.
    """
    usual = torch.get_num_threads()

    def run(work: Sequence[Callable[[], Any]], threads: int) -> list[Any]:
        helpers = min(threads, len(work)) - 1
        results: list[Any] = [None] * len(work)
        left = iter(enumerate(work))

        def take() -> None:
            for position, function in left:
                results[position] = function()

        torch.set_num_threads(1 if helpers else threads)
        try:
            others = [pool.submit(take) for pool in pools[:helpers]]
            take()
            for other in others:
                other.result()
        finally:
            torch.set_num_threads(usual)
        return results

    # The first helpers are always the same threads, so no other one needs memory for its results.
    # Each has a setting of its own; it starts when it gets work.
    with ExitStack() as stack:
        pools = [
            stack.enter_context(
                ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
            )
            for _ in range(most - 1)
        ]
        yield run


@contextmanager
def _timed(data: Dataset, history: History, name: str) -> Iterator[None]:
    """Add what this block takes to `history`, under one of its two clocks."""
    started = clock(data.train)
    yield
    setattr(history, name, getattr(history, name) + clock(data.train) - started)


def clock(samples: Samples) -> float:
    """Return the time in seconds, once all that was started is done."""
    if samples.inputs.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter()


def _evaluate(parts: Sequence[_Part], history: History, run: Run, threads: int) -> None:
    values = run([part.evaluate for part in parts], threads)
    history.record(history.epoch, *map(_joined, zip(*values, strict=True)))


def _joined(values: Sequence[Floats]) -> Floats:
    """Return one array for the whole stack (a single network has no dimension to join along)."""
    return values[0] if len(values) == 1 else np.concatenate(values)
