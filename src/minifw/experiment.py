"""Experiments: each arm is trained, and what it leaves becomes a run directory.

An *arm* is one framework in one mode over all seeds. `train` runs one arm; `compare` runs both
frameworks in both modes. `building.py` has checked everything before a run directory exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from minifw import comparison, nn, plots, reference, runs, schedule, tables
from minifw import config as configs
from minifw import data as points
from minifw.building import Experiment, build_loss, build_network
from minifw.comparison import Arm
from minifw.errors import DivergedError
from minifw.runs import Run
from minifw.training import History, fit

MODES = ("full-batch", "sgd")


class Progress(Protocol):
    """Told how far an arm is. `text` is a short description of how it goes."""

    def __call__(self, done: int, text: str) -> None: ...


ShowProgress = Callable[[str, int], AbstractContextManager[Progress]]
"""Opens the display of one arm: its label, and how many epochs there will be."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: its directory, results as written to results.json, tables, and messages."""

    run: Run
    results: dict[str, Any]
    tables: list[tables.Table]


# ------------------------------------------------------------------------------------ single arms


def run_minifw(experiment: Experiment, mode: str, progress: Progress) -> Arm:
    """Train all seeds at once with minifw."""
    config, data = experiment.config, experiment.data
    network = build_network(config, experiment.seeds, len(data.features))
    samples = data.train.labels.shape[1]
    batch_size, next_order = None, None
    if mode == "sgd":
        batch_size, next_order = (
            config.train.batch_size,
            points.batch_order(experiment.seeds, samples),
        )

    latest = ""

    def on_epoch(epoch: int, history: History) -> None:
        nonlocal latest
        if history.epochs[-1] == epoch:
            latest = _how_it_goes(history)
        progress(epoch, latest)

    whole = batch_size or samples
    plan = schedule.choose(
        network,
        len(experiment.seeds),
        whole,
        max(samples, data.test.labels.shape[1]),
        config.train.epochs * -(-samples // whole),
        config.train.compile,
    )
    if plan.compiled:
        progress(0, "compiling, unless it has been before")
    history = fit(
        network,
        build_loss(config),
        nn.SGD(network, config.optimizer.momentum),
        data,
        epochs=config.train.epochs,
        eta=config.train.eta,
        batch_size=batch_size,
        next_order=next_order,
        eval_every=config.train.eval_every,
        on_epoch=on_epoch,
        schedule=plan,
    )
    return Arm(history, _on_cpu(network.state_dict()))


def run_pytorch(
    experiment: Experiment, mode: str, progress: Progress, *, at_once: bool = False
) -> Arm:
    """Train the PyTorch twins of the same networks, one seed after another or `at_once`."""
    config, data = experiment.config, experiment.data
    epochs, seeds = config.train.epochs, experiment.seeds

    def on_epoch(position: int, epoch: int) -> None:
        text = "all seeds" if at_once else f"seed {position + 1} of {len(seeds)}"
        progress(position * epochs + epoch, text)

    result = reference.fit(
        build_network(config, seeds, len(data.features)),
        build_loss(config),
        config.optimizer.momentum,
        data,
        seeds,
        epochs=epochs,
        eta=config.train.eta,
        batch_size=config.train.batch_size if mode == "sgd" else None,
        eval_every=config.train.eval_every,
        at_once=at_once,
        on_epoch=on_epoch,
    )
    return Arm(result.history, _on_cpu(result.state))


ARMS: dict[str, Callable[[Experiment, str, Progress], Arm]] = {
    "minifw": run_minifw,
    "pytorch": run_pytorch,
    "vmap": partial(run_pytorch, at_once=True),
}


def _on_cpu(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}


def _how_it_goes(history: History) -> str:
    """Return the latest loss and errors, median over the seeds that are left."""
    left = history.diverged < 0
    if not left.any():
        return "all seeds diverged"
    loss, train, test = (
        float(np.median(values[-1][left]))
        for values in (history.train_loss, history.train_error, history.test_error)
    )
    gone = int((~left).sum())
    diverged = f" {gone} diverged" if gone else ""
    return f"loss {loss:.4f} train {train:.1f} % test {test:.1f} %{diverged}"


# ---------------------------------------------------------------------------------------- a run


def run(
    experiment: Experiment,
    arms: Sequence[str],
    modes: Sequence[str],
    runs_dir: Path,
    show_progress: ShowProgress,
) -> Outcome:
    """Train the arms in the modes, and leave a complete run directory.

    Raises:
        DivergedError: no seed of minifw is left in any mode; the run directory is complete.
        StorageError: something could not be written.

    """
    started = datetime.now(UTC)
    if len(arms) > 1 and experiment.config.train.compile == "auto":
        # Plainly both frameworks round in the same order; compiled sums come in another.
        experiment = _with_compile(experiment, False)
    config = experiment.config
    # A network that memory has no place for fails here, before there is a directory.
    build_network(config, experiment.seeds, len(experiment.data.features))
    run = runs.create(runs_dir, config.name)
    run.write(
        "config.yaml",
        f"# Resolved by minifw; to run it again: minifw train THIS_FILE\n{configs.dump(config)}",
    )
    trained: dict[str, dict[str, Arm]] = {}
    for mode in modes:
        for arm in arms:
            epochs = config.train.epochs * (len(experiment.seeds) if arm == "pytorch" else 1)
            with show_progress(f"{tables.ARMS[arm]} {mode}", epochs) as progress:
                trained.setdefault(mode, {})[arm] = ARMS[arm](experiment, mode, progress)
            state = {name: value.contiguous() for name, value in trained[mode][arm].state.items()}
            run.write(f"checkpoints/{arm}-{mode}.safetensors", safetensors.torch.save(state))
    run.write("metrics.jsonl", "".join(comparison.metrics(trained)))
    results = comparison.results(experiment, trained)
    run.write_json("results.json", results)
    if len(experiment.data.features) == 2:
        run.write("decision.npz", comparison.decision(experiment, trained))
    made = tables.write_tables(run)
    plots.write_plots(run)
    everything_diverged = all(
        error is None for mode in modes for error in results["modes"][mode]["minifw"]["test_error"]
    )
    run.finish(
        {
            "status": "diverged" if everything_diverged else "complete",
            "name": config.name,
            "seeds": experiment.seeds,
            "modes": list(modes),
            "arms": list(arms),
            "threads": torch.get_num_threads(),
            "started": started.isoformat(timespec="seconds"),
            **runs.environment(),
        }
    )
    return Outcome(run, results, made)


def _with_compile(experiment: Experiment, value: bool) -> Experiment:
    train = experiment.config.train.model_copy(update={"compile": value})
    config = experiment.config.model_copy(update={"train": train})
    return replace(experiment, config=config)


def check_converged(outcome: Outcome) -> None:
    """Raise a DivergedError if no seed of minifw came through in any mode."""
    epochs = [
        epoch
        for arms in outcome.results["modes"].values()
        for epoch in arms["minifw"]["diverged_epoch"]
    ]
    if None not in epochs:
        raise DivergedError(
            f"{outcome.run.path}: all {len(epochs)} networks diverged, the last in epoch "
            f"{max(epochs)}; a smaller train.eta may help"
        )
