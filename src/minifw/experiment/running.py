"""A run from its plan to its results: arm by arm in each mode, with checkpoints.

An *arm* is one framework over all seeds. A *part* of a run is one arm in one mode. `train` trains
one part; `compare` trains both frameworks in both modes. If all seeds do not fit in memory, they
are drawn and trained in groups, each with its own parts. A plan has checked everything before a run
directory exists, except whether drawn numbers are too large, which is checked for the first group
only. Each part writes checkpoints, so that an interrupted run can be resumed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from minifw import reference, runs
from minifw.config import loading
from minifw.data.encoding import Prepared
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
from minifw.experiment.arms import TRAIN, ShowProgress
from minifw.experiment.build import build_loss, build_optimizer
from minifw.experiment.checkpointer import Checkpointer
from minifw.experiment.decision import decision
from minifw.experiment.events import Events
from minifw.experiment.plan import Experiment, Plan, lacks_batches
from minifw.experiment.plan import plan as make_plan
from minifw.experiment.predicted import predicted
from minifw.experiment.results import Trained
from minifw.report import plots, tables
from minifw.runs import ARMS, RESULTS, Arm, Mode, Run
from minifw.runs.norms import NORMS
from minifw.runs.records import FORMAT, Manifest, PartName
from minifw.runs.results import Results
from minifw.system.environment import environment
from minifw.system.signals import Stop, on_signals
from minifw.training import Checkpoint, one_thread


@dataclass(frozen=True)
class Outcome:
    """A finished run: its directory, the content of results.json, and its tables."""

    run: Run
    results: Results
    tables: list[tables.Table]


WritePlots = Callable[[Run], None]
"""Draws and writes the figures of a run."""


def start(
    plan: Plan,
    runs_dir: Path,
    show_progress: ShowProgress,
    write_plots: WritePlots = plots.write_plots,
) -> Outcome:
    """Train the plan's arms in its modes, and leave a complete run directory.

    Raises:
        Interrupted: a signal came; the last checkpoints are kept, and `resume` continues from them.
        StorageError: something could not be written.

    """
    if plan.config.sweep is not None:
        name = harmless(plan.source.name)
        how = f"minifw sweep {name} trains its cells, and --set sweep=null"
        if plan.source.option != "--set":  # a program, not a command
            how = "minifw.sweep trains its cells, and overrides={'sweep': None}"
        raise UsageError(f"{name}: has a section `sweep`: {how} trains the config without it")
    # If samples and networks do not fit in memory, this fails before there is a directory.
    drawn = [plan.draw(plan.groups[0])]
    network = drawn[0].prepare()
    if len(plan.arms) > 1:
        loss = build_loss(plan.config, len(plan.features))
        optimizer = build_optimizer(plan.config, network)
        for place, what in reference.check(network, loss, optimizer, len(plan.features)):
            plan.source.add(place, what)
        if plan.source.faults:
            raise plan.source.error()
    surroundings = environment() | {"threads": torch.get_num_threads()}
    with on_signals(patient=True) as stop:  # until the run can be resumed
        stop.check()
        manifest = Manifest.model_validate(
            {
                "format": FORMAT,
                "status": "running",
                "name": plan.config.name,
                "seeds": plan.seeds,
                "together": plan.group_size,
                "margin": plan.margin,
                "modes": list(plan.modes),
                "arms": list(plan.arms),
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
            code = plan.source.code
            run.write(
                "config.yaml",
                "# Resolved by minifw; to run it again: minifw train THIS_FILE"
                f"{' --allow-code' if code else ''}\n{loading.dump(plan.config)}",
            )
            for name, content in code.items():
                run.write(name, content)
            run.write_json("env.json", surroundings)
            inputs.write(run, plan)
            run.commit(status="running")
            return _train(run, plan, drawn, show_progress, write_plots, stop)


def resume(path: Path, show_progress: ShowProgress, *, allow_code: bool = False) -> Outcome:
    """Resume an interrupted run from its last checkpoints, and complete it.

    Raises:
        UsageError: the run is finished, cannot be resumed, or another process works on it.
        ArtefactError: a file of the run, or its data file, has changed.
        Interrupted, StorageError: as for `start`.

    """
    run = runs.load(path)
    with on_signals() as stop, run.held():
        run.reload()
        manifest = run.manifest
        if manifest.status in runs.OVER:
            raise UsageError(f"{path}: this run is {manifest.status}; nothing is left to do")
        run.clean()
        config = inputs.config_of(run, allow_code)
        seeds, modes = manifest.seeds, manifest.modes
        other = f"{path}: its manifest has other seeds or modes than its config.yaml"
        if lacks_batches(config, modes):
            raise ArtefactError(other)
        plan = make_plan(config, len(seeds), modes, arms=manifest.arms, begun=run)
        if plan.seeds != seeds:
            raise ArtefactError(other)
        inputs.check(run, plan)
        stop.patient = True  # or the run would look like one that crashed
        stop.check()
        run.commit(status="running", error=None, resumed=[*manifest.resumed, _now()])
        return _train(run, plan, [], show_progress, plots.write_plots, stop)


def _train(
    run: Run,
    plan: Plan,
    drawn: list[Experiment],
    show_progress: ShowProgress,
    write_plots: WritePlots,
    stop: Stop,
) -> Outcome:
    """Train all parts that are not finished, and complete the directory; or record the error.

    `drawn` holds the first group or nothing; later it holds one group at a time.
    """
    groups = plan.groups
    try:
        stop.patient = False
        stop.check()
        trained: OfGroups = {mode: {arm: [] for arm in plan.arms} for mode in plan.modes}
        observed = []
        events = Events(run, plan.config.train.tensorboard)
        for number, seeds in enumerate(groups, 1):
            if number > 1:
                drawn.clear()  # frees memory for the next group
                gc.collect()  # modules that PyTorch imports late refer to the samples in cycles
            if not drawn:
                drawn.append(plan.draw(seeds))
            _train_group(run, drawn[0], (number, len(groups)), trained, show_progress, stop, events)
            latest: Trained = {
                mode: {arm: parts[-1] for arm, parts in arms.items()}
                for mode, arms in trained.items()
            }
            observed.append(outcomes.observe(drawn[0], latest))
        return _complete(run, drawn[0], observed, trained, write_plots, events)
    except Interrupted as fault:
        run.commit(status="interrupted")
        allow = " --allow-code" if any(name.endswith(".py") for name in run.known) else ""
        fault.add_note(f"to continue: minifw resume {harmless(run.path)}{allow}")
        raise
    except Exception as fault:
        with suppress(StorageError):  # the first error is the one to report
            run.commit(status="failed", error=str(fault) or type(fault).__name__)
        raise


OfGroups = dict[Mode, dict[Arm, list[Checkpoint]]]
"""The checkpoint of each arm in each mode, for each group of seeds."""


def _train_group(
    run: Run,
    experiment: Experiment,
    number: tuple[int, int],
    trained: OfGroups,
    show_progress: ShowProgress,
    stop: Stop,
    events: Events,
) -> None:
    """Train a group's unfinished parts; `number` is that of the group, and of all groups."""
    epochs = experiment.config.train.epochs
    for mode, arms in trained.items():
        for arm, groups in arms.items():
            name = PartName(arm, mode, *number)
            with Checkpointer(run, name, stop) as checkpointer:
                if (kept := checkpointer.load()) is not None:
                    done, where = checkpointer.finished, checkpointer.where
                    validation = experiment.data.validation is not None
                    kept.check(experiment.prepare(), epochs, done, where, validation)
                if not checkpointer.finished:
                    total = epochs * (len(experiment.seeds) if arm == "pytorch" else 1)
                    label = f"{ARMS[arm]} {mode} {name.group}".rstrip()
                    with show_progress(label, total) as progress:
                        watch = events.watching(name, experiment.seeds, progress)
                        checkpointer.finish(TRAIN[arm](experiment, mode, watch, checkpointer))
                checkpoint = checkpointer.load()
                assert checkpoint is not None
                # Drop what only an unfinished training needs; it would be held for all groups.
                groups.append(replace(checkpoint, optimizer={}, generators=None))


def _complete(
    run: Run,
    last: Experiment,
    observed: Sequence[outcomes.Observed],
    of_groups: OfGroups,
    write_plots: WritePlots,
    events: Events,
) -> Outcome:
    """Write the results of the trained arms, and mark the run as finished.

    `last` is the last group of seeds, which is still in memory.
    """
    plan = last.plan
    trained: Trained = {mode: {} for mode in of_groups}
    for mode, arms in of_groups.items():
        for arm, groups in arms.items():
            trained[mode][arm] = Checkpoint.joined(groups)
            groups.clear()  # otherwise all would be in memory twice
    moved = {
        name: np.concatenate([getattr(group, name) for group in observed]) for name in inputs.MOVED
    }
    prepared = [group.prepared for group in observed if group.prepared is not None]
    inputs.write_normalization(run, moved, Prepared.joined(prepared) if prepared else None)
    run.write("metrics.jsonl", "".join(outcomes.metrics(trained)))
    results = outcomes.results(plan, observed, trained)
    run.write_json(RESULTS, results.content())
    if plan.measure.targets:
        with one_thread():
            run.write("predicted.npz", predicted(last, trained))
    elif _have_plane(plan):
        with one_thread():
            run.write("decision.npz", decision(last, trained))
    else:
        run.known.pop("decision.npz", None)  # no figure of an old file
    if (norms := outcomes.norms(last, trained)) is not None:
        run.write(NORMS, norms)
    else:
        run.known.pop(NORMS, None)
    events.finish(trained, plan.seeds)
    made = tables.write_tables(run)
    write_plots(run)
    everything_diverged = all(arms["minifw"].history.all_diverged for arms in trained.values())
    run.commit(status="diverged" if everything_diverged else "complete", finished=_now())
    return Outcome(run, results, made)


def _have_plane(plan: Plan) -> bool:
    """Return whether the features are the two coordinates of a plane."""
    # Between whole numbers, or words, there is nothing to decide, and a gap has no place.
    tokens = any(layer.declaration.whole is not None for layer in plan.config.network)
    return plan.sizes.features == 2 and not tokens and (plan.table is None or plan.table.is_numeric)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_converged(outcome: Outcome) -> None:
    """Raise a DivergedError if all of minifw's seeds diverged in all modes."""
    arms = [modes["minifw"] for modes in outcome.results.modes.values()]
    gone = [
        (epoch, layer)
        for arm in arms
        for epoch, layer in zip(arm.diverged_epoch, arm.diverged_layer, strict=True)
    ]
    epochs = [epoch for epoch, _ in gone if epoch is not None]
    if len(epochs) < len(gone):
        return
    epoch, layer = min(gone, key=lambda pair: pair[0] or 0)
    where = "" if layer is None else f", where the first value that is not finite is in {layer}"
    raise DivergedError(
        f"{outcome.run.path}: all {len(gone)} networks diverged, the first in epoch {epoch}"
        f"{where}; a smaller train.eta may help"
    )
