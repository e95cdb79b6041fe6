"""Experiments: each arm is trained, and what it leaves becomes a run directory.

An *arm* is one framework over all seeds; in one mode it is a *part* of a run. `train` runs one
part; `compare` runs both frameworks in both modes. `building.py` has checked everything before a
run directory exists, but for numbers that are too large once they are drawn: there only those of
the first group. A part is kept as it goes, so that a run which was cut short can go on. More seeds
than memory likes are drawn and trained in groups, each with parts of its own.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from minifw import data as points
from minifw import nn, reference, runs
from minifw.config import loading
from minifw.errors import (
    ArtefactError,
    DivergedError,
    Interrupted,
    StorageError,
    UsageError,
    harmless,
)
from minifw.experiment import inputs
from minifw.experiment import results as outcomes
from minifw.experiment.plan import Experiment, Plan, build_loss, build_network
from minifw.experiment.plan import plan as make_plan
from minifw.experiment.recorder import NOTHING, Keeper, Part
from minifw.report import plots, tables
from minifw.runs.directory import Run
from minifw.runs.records import FORMAT, Manifest, PartName
from minifw.system.environment import environment
from minifw.system.signals import Stop, on_signals
from minifw.training import compiled, placement
from minifw.training.checkpoint import Checkpoint
from minifw.training.division import one_thread
from minifw.training.history import History
from minifw.training.loop import fit

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


def run_minifw(
    experiment: Experiment, mode: str, progress: Progress, keeper: Keeper = NOTHING
) -> Checkpoint:
    """Train all seeds at once with minifw."""
    config, data = experiment.config, experiment.data
    network = build_network(config, experiment.seeds, len(data.features))
    optimizer = nn.SGD(network, config.optimizer.momentum)
    batch_size, order = None, None
    if mode == "sgd":
        batch_size = config.train.batch_size
        order = points.BatchOrder(experiment.seeds, data.train.labels.shape[1])
    start, way, history = keeper.last, config.train.compile, None
    if start is not None:
        history = start.restore(network, optimizer, order, keeper.where)
        way = history.compiled  # or the sums would be rounded in another order

    latest = ""

    def on_epoch(epoch: int, history: History) -> None:
        nonlocal latest
        if history.epochs[-1] == epoch:
            latest = _how_it_goes(history)
        progress(epoch, latest)
        keeper.offer(
            epoch % config.train.checkpoint_every == 0,
            epoch,
            lambda: Checkpoint.of(network, history, optimizer, order),
        )

    plan = placement.for_data(network, data, batch_size, config.train.epochs, way)
    if plan.compiled:
        progress(0, "compiling, unless it has been before")
    history = fit(
        network,
        build_loss(config),
        optimizer,
        data,
        epochs=config.train.epochs,
        eta=config.train.eta,
        batch_size=batch_size,
        next_order=order,
        eval_every=config.train.eval_every,
        on_epoch=on_epoch,
        schedule=plan,
        history=history,
    )
    return Checkpoint.of(network, history, optimizer, order)


def run_pytorch(
    experiment: Experiment,
    mode: str,
    progress: Progress,
    keeper: Keeper = NOTHING,
    *,
    at_once: bool = False,
) -> Checkpoint:
    """Train the PyTorch twins of the same networks, one seed after another or `at_once`."""
    config, data = experiment.config, experiment.data
    epochs, seeds = config.train.epochs, experiment.seeds

    def on_epoch(position: int, epoch: int) -> None:
        text = "all seeds" if at_once else f"seed {position + 1} of {len(seeds)}"
        progress(position * epochs + epoch, text)
        keeper.check()

    return reference.fit(
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
        on_seed=partial(keeper.offer, True),
        done=keeper.last,
    )


ARMS: dict[str, Callable[..., Checkpoint]] = {
    "minifw": run_minifw,
    "pytorch": run_pytorch,
    "vmap": partial(run_pytorch, at_once=True),
}


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
    plan: Plan,
    arms: Sequence[str],
    modes: Sequence[str],
    runs_dir: Path,
    show_progress: ShowProgress,
) -> Outcome:
    """Train the arms in the modes, and leave a complete run directory.

    Raises:
        Interrupted: a signal came; what was trained is kept, and `resume` goes on from there.
        StorageError: something could not be written.

    """
    if len(arms) > 1 and plan.config.train.compile == "auto":
        # Plainly both frameworks round in the same order; compiled sums come in another.
        plan = _with_compile(plan, False)
    config, groups = plan.config, plan.groups
    # Samples and networks that memory has no place for fail here, before there is a directory.
    drawn = [plan.draw(groups[0])]
    build_network(config, groups[0], plan.sizes.features)
    surroundings = environment() | {"threads": torch.get_num_threads()}
    with on_signals(patient=True) as stop:  # until there is something to go on with
        stop.check()
        manifest = Manifest.model_validate(
            {
                "format": FORMAT,
                "status": "running",
                "name": config.name,
                "seeds": plan.seeds,
                "together": plan.together,
                "modes": list(modes),
                "arms": list(arms),
                "threads": surroundings["threads"],
                "versions": surroundings["versions"],
                "data_checksum": None if plan.table is None else plan.table.checksum,
                "started": _now(),
                "parts": {},
                "files": {},
            }
        )
        run = runs.create(runs_dir, manifest)
        with run.held():
            run.write(
                "config.yaml",
                "# Resolved by minifw; to run it again: minifw train THIS_FILE\n"
                f"{loading.dump(config)}",
            )
            run.write_json("env.json", surroundings)
            inputs.write(run, plan)
            run.commit(status="running")
            return _train(run, plan, drawn, show_progress, stop)


def resume(path: Path, show_progress: ShowProgress) -> Outcome:
    """Go on with a run that was cut short, from its last checkpoints to where it would have ended.

    Raises:
        UsageError: there is nothing to go on with, or another process is at it.
        ArtefactError: a file of the run, or its data file, is not what it was.
        Interrupted, StorageError: as for `run`.

    """
    run = runs.load(path)
    with on_signals() as stop, run.held():
        run.reload()
        manifest = run.manifest
        if manifest.status in runs.OVER:
            raise UsageError(f"{path}: this run is {manifest.status}; nothing is left to do")
        run.clean()
        config = loading.of_run(run.read_text("config.yaml"), path / "config.yaml")
        parts = manifest.parts.values()
        # What began with `auto` goes on as it began, or its sums would be rounded otherwise.
        if config.train.compile is True or any(p.compiled and not p.finished for p in parts):
            compiled.require_compiler(str(path))
        seeds = len(manifest.seeds)
        plan = make_plan(
            config,
            seeds,
            manifest.modes,
            arms=manifest.arms,
            data_checksum=manifest.data_checksum,
        )
        lacks_batches = "sgd" in manifest.modes and config.train.batch_size is None
        if plan.seeds != manifest.seeds or lacks_batches:
            raise ArtefactError(
                f"{path}: its manifest has other seeds or modes than its config.yaml"
            )
        inputs.check(run, plan)
        plan = replace(plan, together=manifest.together or seeds)
        stop.patient = True  # or the run would be left as one that crashed
        stop.check()
        run.commit(status="running", error=None, resumed=[*manifest.resumed, _now()])
        return _train(run, plan, [], show_progress, stop)


def _train(
    run: Run, plan: Plan, drawn: list[Experiment], show_progress: ShowProgress, stop: Stop
) -> Outcome:
    """Train all parts that are not finished, and complete the directory, or say what came.

    `drawn` may hold the first group; it is taken out, so that it makes place for the next.
    """
    arms, modes = run.manifest.arms, run.manifest.modes
    groups = plan.groups
    try:
        stop.patient = False
        stop.check()
        trained: Trained = {mode: {arm: [] for arm in arms} for mode in modes}
        observed = []
        for number, seeds in enumerate(groups, 1):
            if number > 1:
                gc.collect()  # what PyTorch imports as it trains holds the samples in circles
            experiment = drawn.pop() if drawn else plan.draw(seeds)
            _train_group(run, experiment, (number, len(groups)), trained, show_progress, stop)
            observed.append(outcomes.observe(experiment, modes, parity=len(arms) > 1))
            del experiment  # or it would be held while the next group is drawn
        return _complete(run, plan, observed, trained)
    except Interrupted as fault:
        run.commit(status="interrupted")
        fault.add_note(f"to go on: minifw resume {harmless(run.path)}")
        raise
    except Exception as fault:
        with suppress(StorageError):  # what went wrong first is what counts
            run.commit(status="failed", error=str(fault) or type(fault).__name__)
        raise


Trained = dict[str, dict[str, list[Checkpoint]]]
"""What each arm has left in each mode, for one group of seeds after another."""


def _train_group(
    run: Run,
    experiment: Experiment,
    number: tuple[int, int],
    trained: Trained,
    show_progress: ShowProgress,
    stop: Stop,
) -> None:
    """Train what is not finished of a group's parts; `number` says which, and of how many."""
    epochs = experiment.config.train.epochs
    for mode, arms in trained.items():
        for arm, groups in arms.items():
            name = PartName(arm, mode, *number)
            with Part(run, name, stop) as part:
                if (kept := part.last) is not None:
                    network = build_network(
                        experiment.config, experiment.seeds, len(experiment.data.features)
                    )
                    kept.check(network, epochs, part.finished, part.where)
                if not part.finished:
                    total = epochs * (len(experiment.seeds) if arm == "pytorch" else 1)
                    label = f"{tables.ARMS[arm]} {mode} {name.group}".rstrip()
                    with show_progress(label, total) as progress:
                        part.finish(ARMS[arm](experiment, mode, progress, part))
                checkpoint = part.last
                assert checkpoint is not None
                # What only a training that goes on needs would stay for all groups.
                groups.append(replace(checkpoint, optimizer={}, generators=None))


def _complete(
    run: Run, plan: Plan, observed: Sequence[outcomes.Observed], of_groups: Trained
) -> Outcome:
    """Write what follows from the trained arms; the run is over with that."""
    trained: dict[str, dict[str, Checkpoint]] = {mode: {} for mode in of_groups}
    for mode, arms in of_groups.items():
        for arm, groups in arms.items():
            trained[mode][arm] = Checkpoint.joined(groups)
            groups.clear()  # or all would be held twice
    shift, scale = (
        np.concatenate([getattr(group, name) for group in observed]) for name in ("shift", "scale")
    )
    inputs.write_normalization(run, shift, scale)
    run.write("metrics.jsonl", "".join(outcomes.metrics(trained)))
    results = outcomes.results(plan, observed, trained)
    run.write_json("results.json", results)
    if plan.sizes.features == 2:
        with one_thread():
            run.write("decision.npz", outcomes.decision(plan, trained))
    else:
        run.known.pop("decision.npz", None)  # figures are made only of what is written here
    made = tables.write_tables(run)
    plots.write_plots(run)
    everything_diverged = all(arms["minifw"].history.all_diverged for arms in trained.values())
    run.commit(status="diverged" if everything_diverged else "complete", finished=_now())
    return Outcome(run, results, made)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _with_compile(plan: Plan, value: bool) -> Plan:
    train = plan.config.train.model_copy(update={"compile": value})
    return replace(plan, config=plan.config.model_copy(update={"train": train}))


def check_converged(outcome: Outcome) -> None:
    """Raise a DivergedError if no seed of minifw came through in any mode."""
    arms = [modes["minifw"] for modes in outcome.results["modes"].values()]
    gone = [
        (epoch, layer)
        for arm in arms
        for epoch, layer in zip(arm["diverged_epoch"], arm["diverged_layer"], strict=True)
    ]
    if any(epoch is None for epoch, _ in gone):
        return
    epoch, layer = min(gone, key=lambda pair: pair[0])
    where = "" if layer is None else f", where the first value that is not finite is of {layer}"
    raise DivergedError(
        f"{outcome.run.path}: all {len(gone)} networks diverged, the first in epoch {epoch}"
        f"{where}; a smaller train.eta may help"
    )
