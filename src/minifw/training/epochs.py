"""The loop over epochs, for everything that trains: minifw, PyTorch, and the benchmark's arms.

A `Trainer` holds what differs: how an epoch is trained, how diverged networks are found, and how
networks are evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from minifw.data import Samples
from minifw.training.history import History
from minifw.training.stopping import EarlyStopping, continue_from_last

OnEpoch = Callable[[int, History], None]
"""Called after each epoch with its number, counted from 1, and the history so far."""


class Trainer:
    """One way to train networks, an epoch at a time.

    A subclass defines `train_epoch`. The other methods do nothing by default: nothing diverges,
    nothing is evaluated, and no device is waited for.
    """

    def train_epoch(self, order: Tensor | None) -> None:
        """Take all steps of an epoch, in this order of samples `(…, n)`; None: the given order."""
        raise NotImplementedError(f"{type(self).__name__} does not define train_epoch")

    def find_diverged(self, history: History, now: bool) -> None:
        """Record in `history` which networks have diverged up to its `epoch`.

        If this is slow, it may be postponed until it is needed `now`, before an evaluation. If all
        networks turn out to have diverged in an earlier epoch, `history.epoch` becomes that epoch.
        """

    def evaluate(self, history: History, last: bool) -> None:
        """Record loss and errors after the history's `epoch`; `last`: it is the last evaluation.

        Before the last, evaluations may be postponed if all are recorded in their order.
        """

    def tensors(self) -> Mapping[str, Tensor]:
        """Return by name what the networks consist of, such as weights, the stack first.

        Early stopping keeps copies of these, and puts them back.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define tensors")

    def leave(self, history: History) -> None:
        """Take no more steps with the networks that have ended, which must not change."""
        raise NotImplementedError(f"{type(self).__name__} does not define leave")

    def wait(self) -> None:
        """Wait for the device if it works asynchronously."""


def run_epochs(
    trainer: Trainer,
    epochs: int,
    *,
    next_order: Callable[[], Tensor] | None = None,
    eval_every: int = 1,
    on_epoch: OnEpoch | None = None,
    history: History,
    stopping: EarlyStopping | None = None,
) -> History:
    """Train up to `epochs` epochs in total, beginning after the history's `epoch`; return it.

    Networks are evaluated before the first epoch, after each `eval_every`, and after the last.
    Training ends early when all have diverged or stopped, or when `history.stop` was called.

    Args:
        trainer: trains, finds diverged networks, and evaluates.
        epochs: the total number, including those in the history.
        next_order: returns each epoch's order of samples; without it the order does not change.
        eval_every: epochs between evaluations.
        on_epoch: called after each epoch.
        history: the record, to which this adds.
        stopping: when a network stops before the others.

    """
    history.stops_now = False
    early = stopping is not None or history.stops_early
    gone = 0  # networks that are trained no more

    @contextmanager
    def timed(clock: str) -> Iterator[None]:
        """Add the time of this block to `seconds` or `evaluation_seconds` of the history."""
        trainer.wait()
        started = time.perf_counter()
        yield
        trainer.wait()
        setattr(history, clock, getattr(history, clock) + time.perf_counter() - started)

    def evaluate(last: bool) -> None:
        """Evaluate; with early stopping at once, since it decides how training goes on."""
        trainer.evaluate(history, last=last or stopping is not None)
        if stopping is not None:
            stopping.follow(history, trainer.tensors())

    def leave() -> None:
        """Take networks that have ended out of training, if others go on."""
        nonlocal gone
        if early and gone < (now := int(history.ended.sum())):
            gone = now
            if not history.all_ended:
                trainer.leave(history)

    if history.last:
        continue_from_last(history, trainer.tensors())
    if not history.epochs:
        with timed("evaluation_seconds"):
            evaluate(last=history.epoch >= epochs)
    leave()
    while history.epoch < epochs and not history.all_ended and not history.stops_now:
        epoch = history.epoch = history.epoch + 1
        with timed("seconds"):
            trainer.train_epoch(None if next_order is None else next_order())
        with timed("evaluation_seconds"):
            due = epoch == epochs or epoch % eval_every == 0
            trainer.find_diverged(history, now=due)
            ended = epoch == epochs or history.all_ended
            if due or ended:
                evaluate(last=ended)
            leave()
        if on_epoch is not None:
            on_epoch(epoch, history)
    if history.stops_now and history.epochs[-1] != history.epoch:
        with timed("evaluation_seconds"):
            trainer.find_diverged(history, now=True)
            evaluate(last=True)
    if stopping is not None:
        stopping.finish(history, trainer.tensors())
    return history


def wait_for(samples: Samples) -> None:
    """Wait until the GPU that holds these samples, if any, has finished its work."""
    if samples.inputs.is_cuda:
        torch.cuda.synchronize()
