"""Training of one arm in one mode: a group of seeds by minifw or by PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np

from minifw import reference
from minifw.data import BatchOrder
from minifw.experiment.build import build_loss, build_optimizer, build_stopping
from minifw.experiment.checkpointer import NONE, NoCheckpoints
from minifw.experiment.plan import Experiment
from minifw.runs import Arm, Mode
from minifw.statistics.measure import Measure
from minifw.training import SERIES, Checkpoint, History
from minifw.training.fit import fit


class Progress(Protocol):
    """Called with the progress of an arm; `text` is its present loss and errors."""

    def __call__(self, done: int, text: str) -> None: ...


@runtime_checkable
class Follower(Protocol):
    """A progress display that shows curves too: it is called before the progress of each epoch."""

    def follow(self, histories: Sequence[History]) -> None:
        """Take what was recorded, of all seeds or of one after another; it still grows."""


ShowProgress = Callable[[str, int], AbstractContextManager[Progress]]
"""Opens the progress display of one arm, from its label and number of epochs."""


def train_minifw(
    experiment: Experiment, mode: Mode, progress: Progress, checkpointer: NoCheckpoints = NONE
) -> Checkpoint:
    """Train all seeds at once with minifw."""
    config, data = experiment.config, experiment.data
    network = experiment.network()
    optimizer = build_optimizer(config, network)
    batch_size, order = experiment.plan.batch_size(mode), None
    if batch_size is not None:
        order = BatchOrder(experiment.seeds, data.train.count)
    start, history = checkpointer.load(), None
    if start is not None:
        history = start.restore(network, optimizer, order, checkpointer.where)

    latest = ""

    def on_epoch(epoch: int, history: History) -> None:
        nonlocal latest
        if history.epochs[-1] == epoch:
            latest = _how_it_goes(history, data.measure)
        if isinstance(progress, Follower):
            progress.follow([history])
        progress(epoch, latest)
        checkpointer.offer(
            epoch % config.train.checkpoint_every == 0,
            epoch,
            lambda: Checkpoint.of(network, history, optimizer, order),
        )

    schedule = experiment.plan.schedule(mode, len(experiment.seeds))
    if schedule.compiled:
        progress(0, "compiling, unless it is cached")
    history = fit(
        network,
        build_loss(config, len(experiment.data.features)),
        optimizer,
        data,
        epochs=config.train.epochs,
        eta=config.train.eta,
        rates=config.train.schedule.make(),
        batch_size=batch_size,
        next_order=order,
        eval_every=config.train.eval_every,
        on_epoch=on_epoch,
        schedule=schedule,
        history=history,
        stopping=build_stopping(config),
        norms=config.train.record == "gradients",
    )
    history.best, history.last = {}, {}  # nothing continues from here
    return Checkpoint.of(network, history, optimizer, order)


def train_pytorch(
    experiment: Experiment,
    mode: Mode,
    progress: Progress,
    checkpointer: NoCheckpoints = NONE,
    *,
    at_once: bool = False,
) -> Checkpoint:
    """Train the PyTorch twins of the same networks, one seed after another or `at_once`."""
    config, data = experiment.config, experiment.data
    epochs, seeds = config.train.epochs, experiment.seeds

    histories: list[History] = []

    def on_epoch(position: int, epoch: int, history: History) -> None:
        if not histories or histories[-1] is not history:
            histories.append(history)
        if isinstance(progress, Follower):
            progress.follow(histories)
        text = "all seeds" if at_once else f"seed {position + 1} of {len(seeds)}"
        progress(position * epochs + epoch, text)
        checkpointer.check()

    network = experiment.network()
    return reference.fit(
        network,
        build_loss(config, len(experiment.data.features)),
        build_optimizer(config, network),
        data,
        seeds,
        epochs=epochs,
        eta=config.train.eta,
        rates=config.train.schedule.make(),
        batch_size=experiment.plan.batch_size(mode),
        eval_every=config.train.eval_every,
        at_once=at_once,
        on_epoch=on_epoch,
        on_seed=partial(checkpointer.offer, True),
        done=checkpointer.load(),
        stopping=build_stopping(config),
    )


TRAIN: dict[Arm, Callable[..., Checkpoint]] = {
    "minifw": train_minifw,
    "pytorch": train_pytorch,
    "vmap": partial(train_pytorch, at_once=True),
}


def _how_it_goes(history: History, measure: Measure) -> str:
    """Return the latest loss and errors, as the median over the seeds that have not diverged."""
    left = history.diverged < 0
    if not left.any():
        return "all seeds diverged"
    loss, train, test = (float(np.median(history.final(name)[left])) for name in SERIES[:3])
    errors = history.validation_error and history.final("validation_error")[left]
    gone, stopped = int((~left).sum()), int((history.stopped >= 0).sum())
    diverged = f" {stopped} stopped" if stopped else ""
    diverged += f" {gone} diverged" if gone else ""
    kept = f" validation {measure.brief(float(np.median(errors)))}" if len(errors) else ""
    shown = f"train {measure.brief(train)} test {measure.brief(test)}"
    return f"loss {loss:.4f} {shown}{kept}{diverged}"
