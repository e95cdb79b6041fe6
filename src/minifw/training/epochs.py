"""The loop over epochs, for everything that trains: minifw, PyTorch, and what a benchmark times.

What differs is a `Trainer`: how an epoch is trained, who is seen to diverge, how all are evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from minifw.data import Samples
from minifw.training.history import History

OnEpoch = Callable[[int, History], None]
"""Called after each epoch with its number, counted from 1, and the history so far."""


class Trainer:
    """One way to train networks, an epoch at a time.

    A subclass trains; what else it leaves undefined is not done: nothing diverges, nothing is
    evaluated, nobody is waited for.
    """

    def train_epoch(self, order: Tensor | None) -> None:
        """Take all steps of an epoch, in this order of samples `(…, n)`; None: as they stand."""
        raise NotImplementedError(f"{type(self).__name__} does not define train_epoch")

    def find_diverged(self, history: History, now: bool) -> None:
        """Note in `history` which networks have diverged up to its `epoch`.

        Where this takes long it may wait until it is needed `now`, before an evaluation. If it then
        turns out that all had diverged in an earlier epoch, the history's `epoch` becomes that one.
        """

    def evaluate(self, history: History, last: bool) -> None:
        """Record how good the networks are after the history's `epoch`; `last`: no other follows.

        Before the last it may wait for epochs to come, if all of them are recorded in their order.
        """

    def wait(self) -> None:
        """Return once all that was started is done, where a device works on by itself."""


def run_epochs(
    trainer: Trainer,
    epochs: int,
    *,
    next_order: Callable[[], Tensor] | None = None,
    eval_every: int = 1,
    on_epoch: OnEpoch | None = None,
    history: History,
) -> History:
    """Train up to so many epochs after the history's `epoch`, and return the history.

    Networks are evaluated before the first epoch, after each `eval_every`, and after the last.
    Training ends early when all have diverged.

    Args:
        trainer: what trains.
        epochs: how many there are in all, those that the history knows included.
        next_order: gives each epoch's order of samples; without it the order stays.
        eval_every: epochs between evaluations.
        on_epoch: called after each epoch.
        history: is added to.

    """

    @contextmanager
    def timed(clock: str) -> Iterator[None]:
        """Add what this block takes to one of the history's two clocks."""
        trainer.wait()
        started = time.perf_counter()
        yield
        trainer.wait()
        setattr(history, clock, getattr(history, clock) + time.perf_counter() - started)

    if not history.epochs:
        with timed("evaluation_seconds"):
            trainer.evaluate(history, last=history.epoch >= epochs)
    while history.epoch < epochs and not history.all_diverged:
        epoch = history.epoch = history.epoch + 1
        with timed("seconds"):
            trainer.train_epoch(None if next_order is None else next_order())
        with timed("evaluation_seconds"):
            due = epoch == epochs or epoch % eval_every == 0
            trainer.find_diverged(history, now=due)
            ended = epoch == epochs or history.all_diverged
            if due or ended:
                trainer.evaluate(history, last=ended)
        if on_epoch is not None:
            on_epoch(epoch, history)
    return history


def wait_for(samples: Samples) -> None:
    """Return once the GPU that holds these samples, if one does, has done all it was given."""
    if samples.inputs.is_cuda:
        torch.cuda.synchronize()
