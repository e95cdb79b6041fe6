"""Training: `fit` takes the steps and records loss and errors. It uses no files and no terminal."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from minifw.compile import CannotCompileError
from minifw.data import Dataset, Floats, Samples
from minifw.errors import NotCompiledWarning, ShapeError, UsageError
from minifw.nn import Loss, Network, Optimizer
from minifw.nn import Schedule as OfRates
from minifw.nn.module import described, in_mode
from minifw.nn.optimizers import takes_rates
from minifw.training import arguments
from minifw.training.compiled import Outputs, Steps, may_be_divided
from minifw.training.division import Division, one_thread
from minifw.training.epochs import OnEpoch, Trainer, run_epochs, wait_for
from minifw.training.history import History
from minifw.training.learner import Learner
from minifw.training.norms import measure
from minifw.training.part import Part
from minifw.training.placement import Schedule, for_data
from minifw.training.rates import Factors
from minifw.training.rates import factors as factors_of
from minifw.training.shards import Batch, Rates, compile_steps, divide
from minifw.training.steady import numbers
from minifw.training.stopping import EarlyStopping
from minifw.training.workers import Workers


def fit(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Dataset,
    *,
    epochs: int,
    eta: float | Sequence[float] | Tensor,
    batch_size: int | None = None,
    next_order: Callable[[], Tensor] | None = None,
    eval_every: int = 1,
    on_epoch: OnEpoch | None = None,
    schedule: Schedule | None = None,
    rates: OfRates | None = None,
    history: History | None = None,
    stopping: EarlyStopping | None = None,
    norms: bool = False,
) -> History:
    """Train a stack of networks, each on its own data, and return the history.

    The stack has one dimension, the seeds. For a single network `data`, `next_order` and the
    history lack this dimension.

    Args:
        optimizer: an optimizer of this network.
        data: samples `(seeds, n, features)`; the stack is that of the network.
        epochs: total passes over the training samples; 0 only evaluates the network.
        eta: learning rate, above 0; or one for each network of the stack.
        batch_size: samples in a step; None, or more than there are, takes all in one step
            (full batch).
        next_order: returns each epoch's order of samples, `(seeds, n)` of int64; without it the
            order does not change. The last batch of an epoch may be smaller.
        eval_every: epochs between evaluations; there is always one before the first epoch and
            one after the last.
        on_epoch: called after each epoch, with the network in use, as after `network.eval()`. It
            must not change numbers of modules, loss or optimizer (UsageError): for that, call `fit`
            again with `history`.
        schedule: how many seeds are trained at once, on how many threads, and whether compiled;
            by default that of `placement.for_data`, or for a continued training that of `history`.
        rates: how the learning rate changes from step to step, of `epochs` in all; by default it
            does not.
        history: the history of an earlier training, which is continued after its `epoch`.
            Network, optimizer and `next_order` must be in the state of that time. The results are
            bit for bit those of one training without a break.
        stopping: ends each network by its own samples for validation, which `data` must have; a
            network that has stopped changes no more while others go on.
        norms: whether the norms of activations, gradients, weights and updates of each layer are
            recorded too, at each evaluation, in `history.norms`; training goes on as without.

    Training ends early when every seed has diverged or stopped, and when `on_epoch` calls
    `history.stop()`.

    Raises:
        ModuleError, ShapeError, DtypeError: an argument is wrong or does not fit the others;
            nothing has been changed.
        UsageError: the schedule requires compiled steps, and they cannot be compiled. If it does
            not require them, this is a NotCompiledWarning, and in the history's `not_compiled`.

    """
    arguments.check(network, loss, optimizer, data, history)
    batch_size = arguments.batch_size(batch_size, data.train)
    epochs = arguments.whole("epochs", epochs, 0)
    eval_every = arguments.whole("eval_every", eval_every, 1)
    rate = arguments.learning_rate(eta, data.train)
    factors = factors_of(rates, rate, data.train, batch_size, epochs)
    arguments.check_stopping(stopping, data)
    if schedule is None:
        schedule = for_data(
            network, data, batch_size, epochs, "auto" if history is None else history.compiled
        )
    began = history is not None
    history = history or History.of(data.train.stack)
    history.measure = data.measure
    learner = Learner(network, loss, optimizer)
    failed = None
    try:
        stack = _Stack(learner, data, batch_size, rate, schedule, factors, history.epoch)
    except CannotCompileError as fault:
        failed = str(fault)  # the fault itself holds all tensors of the recording
    if failed is not None:
        if schedule.otherwise is None:
            what = f"steps cannot be compiled: {failed}"
            raise UsageError(
                f"{what}; this training began with compiled steps"
                if began
                else f"train.compile: {what}; false trains plainly"
            )
        schedule = replace(schedule.otherwise, not_compiled=failed)
        stack = _Stack(learner, data, batch_size, rate, schedule, factors, history.epoch)
    stack.norms = norms
    history.compiled, history.not_compiled = schedule.compiled, schedule.not_compiled
    if history.not_compiled is not None:
        what = f"steps are not compiled: {history.not_compiled}; training is plain"
        warnings.warn(what, NotCompiledWarning, stacklevel=2)
    on_epoch = _in_use(on_epoch, network)
    watch = stack.is_copied or stopping is not None or history.stops_early
    with stack.workers, in_mode(network, training=True):
        return run_epochs(
            stack,
            epochs,
            next_order=None if next_order is None else lambda: _checked(next_order(), data.train),
            eval_every=eval_every,
            on_epoch=_watched(on_epoch, learner) if watch else on_epoch,
            history=history,
            stopping=stopping,
        )


def _in_use(on_epoch: OnEpoch | None, network: Network) -> OnEpoch | None:
    """Return `on_epoch` as it is, but called with the network in use; training goes on as before.

    What is measured there draws no random numbers, and moves no running mean.
    """
    if on_epoch is None:
        return None

    def in_use(epoch: int, history: History) -> None:
        with in_mode(network, training=False):
            on_epoch(epoch, history)

    return in_use


def _watched(on_epoch: OnEpoch | None, learner: Learner) -> OnEpoch | None:
    """Return `on_epoch` as it is, but for an error if it changes a number of the learner.

    Compiled steps hold such numbers as constants, and parts of a stack have copies of them. Tensors
    of the optimizer's state may change in place, but not become others.
    """
    if on_epoch is None:
        return None
    optimizer = learner.optimizer
    begun, kept = numbers(learner), dict(optimizer.state)

    def watched(epoch: int, history: History) -> None:
        on_epoch(epoch, history)
        now, state = numbers(learner), optimizer.state
        changed = [name for name in begun | now if begun.get(name) != now.get(name)]
        changed += [
            f"{type(optimizer).__name__}.state['{name}']"
            for name in kept | state
            if kept.get(name) is not state.get(name)
        ]
        for name in changed:
            raise UsageError(
                f"fit: on_epoch changed {name}, but training keeps the value with which it "
                "began; to go on with another one, call fit again with history=…"
            )

    return watched


def _checked(order: object, samples: Samples) -> Tensor:
    """Return an epoch's order, checked, on the device of the samples."""
    shape = samples.shape
    if not isinstance(order, Tensor) or order.dtype != torch.int64 or order.shape != shape:
        raise ShapeError(
            f"fit: next_order must give an order of shape {shape}, one position of "
            f"int64 for each training sample, got {described(order)}"
        )
    return order.to(samples.inputs.device)


class _Stack(Trainer):
    """A stack of networks trained by minifw: in shards, on threads, compiled or not."""

    def __init__(
        self,
        learner: Learner,
        data: Dataset,
        batch_size: int,
        eta: Rates,
        schedule: Schedule,
        factors: Factors,
        epoch: int,
    ) -> None:
        self.learner, self.data = learner, data
        self.samples, self.batch_size, self.eta = data.train, batch_size, eta
        self.epoch, self.factors_of = epoch, factors
        self.factors: Floats | None = None  # of the learning rate in each step of this epoch
        self.training = schedule.training
        self.evaluation = schedule.evaluation or schedule.training
        self.threads = self.training.threads or torch.get_num_threads()
        self.evaluators = self.evaluation.threads or torch.get_num_threads()
        self.rows = schedule.rows
        if self.rows is not None and not may_be_divided(learner, data.train):
            self.rows = None
        self.code: tuple[Steps, Outputs] | None = None
        if schedule.compiled:
            self.code = compile_steps(learner, data, batch_size, self.rows)
        self.part: Part | None = None
        self._divide(learner, data, eta)
        if schedule.compiled:
            # Small tensors: torch's own threads would only keep a processor busy.
            self.threads = min(self.threads, len(self.shards))
        self.workers = Workers(max(self.threads, self.evaluators))
        self.norms = False  # whether norms are recorded
        self.order: Tensor | None = None
        self.last: list[Batch] = []  # output and targets of each shard's latest step

    def _divide(self, learner: Learner, data: Dataset, eta: Rates) -> None:
        """Divide the networks that are trained into shards."""
        training, evaluation = self.training.seeds, self.evaluation.seeds
        apart = self.code is None and not takes_rates(learner.optimizer)
        with in_mode(learner.network, training=True):  # so are the shards' networks
            self.shards = divide(learner, data, training, eta if apart else None)
            self.evaluated = self.shards
            if evaluation != training:
                self.evaluated = divide(learner, data, evaluation)
        for shard in self.evaluated:
            shard.rows = self.rows
        if self.code is not None:
            steps, outputs = self.code
            for shard in self.shards:
                shard.compiled = steps.on(shard.learner, shard.train_samples)
            for shard in self.evaluated:
                shard.outputs = outputs

    @property
    def is_copied(self) -> bool:
        """Whether the steps are taken with copies of the learner's numbers."""
        return len(self.shards) > 1 or self.shards[0].compiled is not None

    def train_epoch(self, order: Tensor | None) -> None:
        self.epoch += 1
        eta, self.factors = self.eta, self.factors_of(self.epoch)
        if self.part is not None:
            self.part.begin()
            order, eta = self.part.order(order), self.part.rates(eta)
        self.order = order
        work = [
            partial(shard.train, order, self.batch_size, eta, self.factors) for shard in self.shards
        ]
        self.last = self.workers.call(work, self.threads)
        if self.part is not None:
            self.part.end()

    def find_diverged(self, history: History, now: bool) -> None:
        """Check the loss of the latest step and the weights, after each epoch.

        Torch's own threads would wait for each other at every small sum, on busy processors for
        milliseconds.
        """
        part = self.part
        eta = self.eta if part is None else part.rates(self.eta)
        for shard, last in zip(self.shards, self.last, strict=True):
            with one_thread():
                gone = ~shard.finite(last)
            seeds = shard.seeds if part is None else part.networks[shard.seeds]
            if new := history.diverge(gone, history.epoch, seeds):
                layers = shard.first_failing(new, self.order, self.batch_size, eta, self.factors)
                known = np.atleast_1d(history.diverged_layer)
                known[np.arange(len(known))[seeds][new]] = layers

    def evaluate(self, history: History, last: bool) -> None:
        work = [shard.evaluate for shard in self.evaluated]
        shards = self.workers.call(work, self.evaluators)
        values = [_joined(each) for each in zip(*shards, strict=True)]
        if self.part is not None:
            values = [self.part.spread(each) for each in values]
        history.record(history.epoch, *values)
        if self.norms:
            history.note(measure(self.learner, self.data.train, self._rate()))

    def _rate(self) -> Rates:
        """Return the learning rate of the latest step, or before all of the first."""
        factors = self.factors if self.epoch else self.factors_of(1)
        factor = 1.0 if factors is None else float(factors[-1 if self.epoch else 0])
        if isinstance(self.eta, Sequence):
            return [factor * rate for rate in self.eta]
        return factor * self.eta

    def tensors(self) -> dict[str, Tensor]:
        return self.learner.network.tensors()

    def leave(self, history: History) -> None:
        several, evaluated = len(self.shards) > 1, len(self.evaluated) > 1
        self.shards, self.evaluated, self.last = [], [], []  # frees memory for the others' samples
        self.part = part = Part(self.learner, np.flatnonzero(~history.ended))
        left = len(part.networks)
        if several:  # all threads go on
            self.training = _smaller(self.training, left, self.threads)
        if evaluated:
            self.evaluation = _smaller(self.evaluation, left, self.evaluators)
        self._divide(part.learner, self.data.of(part.networks.tolist()), part.rates(self.eta))
        # A single shard would get torch's own threads, whose results are other ones.
        if several:
            self.threads = min(self.threads, len(self.shards))
        if evaluated:
            self.evaluators = min(self.evaluators, len(self.evaluated))

    def wait(self) -> None:
        wait_for(self.samples)


def _smaller(division: Division, networks: int, threads: int) -> Division:
    """Return how fewer networks are divided, so that as many threads as before have work."""
    return Division(min(division.seeds or networks, -(-networks // threads)), division.threads)


def _joined(values: Sequence[Floats]) -> Floats:
    """Join the shards' arrays for the stack (a single network has no dimension to join along)."""
    return values[0] if len(values) == 1 else np.concatenate(values)
