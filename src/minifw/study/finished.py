"""Finished runs as arms of a comparison: nothing is trained, and no code of theirs is run.

A run of `train` is one arm; a comparison with PyTorch has one for each framework in each mode, such
as `sgd` (minifw's) and `sgd:pytorch`; a sweep, or a comparison of configs, one for each cell. They
are compared over the seeds that all have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minifw import runs
from minifw.config import yaml12
from minifw.config.source import Source
from minifw.errors import ArtefactError, UsageError, did_you_mean, short_word
from minifw.runs import Arm, Mode, Run
from minifw.runs.results import Results
from minifw.runs.studies import CELLS, STUDY, CellResults, results_of
from minifw.statistics.measure import ERROR, Measure
from minifw.study import comparison
from minifw.study.running import read
from minifw.study.words import Chosen

MOST = 20
"""Arms of a comparison of runs, at most."""

BEST = "best"
"""The arm of a sweep that has the smallest validation error."""


@dataclass(frozen=True)
class Place:
    """Where the measurements of an arm are: its mode and framework, or its cell's number."""

    mode: Mode
    arm: Arm | None = None
    cell: int = 0


@dataclass(frozen=True)
class Finished:
    """One arm of a finished run: its results, and its config as the run keeps it."""

    run: Run
    key: str
    results: CellResults
    config: dict[str, Any]
    place: Place
    only: bool = False
    """Whether its run has no other arm."""

    checksum: str | None = None
    """That of its data file, None for generated data."""

    measure: Measure = ERROR

    @property
    def data(self) -> str:
        """What its samples are drawn from, as text."""
        return comparison.data_of(self.config, self.checksum)


def arms_of(run: Run) -> list[Finished]:
    """Return all arms of a finished run.

    Raises:
        UsageError: it is not finished, or its seeds are crossed or a part of those of a study.
        ArtefactError: a file is missing, damaged, or not minifw's.

    """
    if run.status() not in runs.OVER:
        raise UsageError(
            f"{run.path}: this run is {run.status()}; minifw resume {run.path} completes it"
        )
    found = [*(_of_train(run) if run.manifest.kind == "train" else _of_study(run))]
    for each in found:
        lists = [len(v) for _, v in each.results if isinstance(v, list)]
        if {*lists} != {len(each.results.seeds)} or len({*each.results.seeds}) < lists[0]:
            raise ArtefactError(f"{run.path}: {each.key}: has not one number for each seed")
    return found


def _of_train(run: Run) -> Iterator[Finished]:
    results, config = run.results(), _config(run.read_text("config.yaml"), run, "config.yaml")
    for mode, arms in results.modes.items():
        for arm in arms:
            key = mode if arm == "minifw" else f"{mode}:{arm}"
            yield Finished(
                run,
                key,
                _cell(results, mode, arm),
                config | {"train": config["train"] | {"mode": mode}},
                Place(mode, arm),
                len(results.modes) == len(arms) == 1,
                run.manifest.data_checksum,
                results.measured,
            )


def _cell(results: Results, mode: Mode, arm: Arm) -> CellResults:
    mine = results.modes[mode][arm]
    return CellResults(
        name=mode,
        set={},
        seeds=results.seeds,
        epochs=results.epochs,
        test_error=mine.test_error,
        validation_error=mine.validation_error,
        train_error=mine.train_error,
        train_loss=mine.train_loss,
        diverged_epoch=mine.diverged_epoch,
        diverged_layer=mine.diverged_layer,
        compiled=mine.compiled,
        not_compiled=mine.not_compiled,
        stopped_epoch=mine.stopped_epoch,
        best_epoch=mine.best_epoch,
        cross_validation=results.data.cross_validation,
    )


def _of_study(run: Run) -> Iterator[Finished]:
    study = read(run)
    if study.crossing is not None:
        raise UsageError(f"{run.path}: a study of variance crosses its seeds; it has no pairs")
    if study.part is not None:
        k, n = study.part
        raise UsageError(f"{run.path}: is part {k}/{n} of a study; minifw runs merge joins them")
    results = results_of(run)
    if [cell.name for cell in results.cells] != [cell.name for cell in study.cells]:
        raise ArtefactError(f"{run.path / CELLS}: has other cells than {STUDY}")
    for number, (cell, asked) in enumerate(zip(results.cells, study.cells, strict=True)):
        config = _config(asked.config, run, STUDY)
        place = Place(config["train"]["mode"], None, number)
        yield Finished(
            run, cell.name, cell, config, place, checksum=asked.checksum, measure=results.measured
        )


def _config(text: str, run: Run, file: str) -> dict[str, Any]:
    """Return a config's keys and values; it is not checked, so its Python files are not run."""
    source = Source(str(run.path / file))
    yaml12.check_size(len(text.encode()), source.name)
    raw = yaml12.parse(text, source)
    train = raw.get("train") if isinstance(raw, dict) else None
    if source.faults or not isinstance(train, dict) or train.get("mode") not in runs.MODES:
        raise ArtefactError(f"{source.name}: is not a config that minifw writes")
    return dict(raw)


# ------------------------------------------------------------------------------ which arms


def choose(chosen: Sequence[Chosen]) -> tuple[list[Finished], list[str]]:
    """Return the arms that were chosen, and lines about what was left out.

    Raises: as `arms_of`, and a UsageError for an arm that is not there, or chosen twice.
    """
    loaded: dict[Path, list[Finished]] = {}
    found: list[Finished] = []
    notes = []
    for one in chosen:
        path = one.path.resolve()
        if path not in loaded:
            loaded[path] = arms_of(runs.load(one.path))
        own = loaded[path]
        if one.arm is not None:
            own = [_named(own, one)]
        elif short := [arm for arm in own if _stopped(arm)]:
            own = [arm for arm in own if arm not in short]
            notes.append(f"{one.word}: {len(short)} cells were stopped early and are left out")
        for arm in own:
            if any(arm is other for other in found):
                raise UsageError(f"compare: {one.word}: this arm is given twice: {arm.key}")
            found.append(arm)
    if len(found) < 2:
        only = f"{chosen[0].word} has one arm" if found else f"{chosen[0].word} has no arm"
        raise UsageError(f"compare: {only}; expects another run or config to compare it with")
    if len(found) > MOST:
        raise UsageError(
            f"compare: expects at most {MOST} arms of runs, got {len(found)}; "
            f"{chosen[0].word}:ARM chooses one, as {chosen[0].word}:{short_word(found[0].key)}"
        )
    return found, notes


def _stopped(arm: Finished) -> bool:
    epochs = arm.config["train"].get("epochs")
    gone = all(error is None for error in arm.results.test_error)  # it may have ended early
    return bool(arm.results.epochs != epochs) and not gone


def _named(arms: Sequence[Finished], one: Chosen) -> Finished:
    """Return the arm of a run with the chosen name."""
    run = arms[0].run
    for arm in arms:
        if arm.key == one.arm:
            if _stopped(arm):
                raise UsageError(
                    f"{one.word}: was stopped after {arm.results.epochs} epochs; it cannot be "
                    "compared with what was trained to its end"
                )
            return arm
    if one.arm == BEST and run.manifest.kind == "sweep":
        best = results_of(run).outcome.get(BEST)
        place = best.get("cell") if isinstance(best, dict) else None
        if isinstance(place, int) and 0 <= place < len(arms):
            return arms[place]
        raise UsageError(f"{one.word}: this sweep has no best cell")
    keys = [arm.key for arm in arms]
    raise UsageError(f"{one.word}: {run.path} has no arm '{one.arm}'{did_you_mean(one.arm, keys)}")


def named(arms: Sequence[Finished]) -> list[str]:
    """Return a name for each arm: that of its config, its own, or both; all are different."""
    paths = list(dict.fromkeys(arm.run.path.resolve() for arm in arms))
    if len(paths) == 1:
        return [arm.key for arm in arms]
    configs = {arm.run.path.resolve(): arm.run.manifest.name for arm in arms}
    labels = {
        path: name
        if [*configs.values()].count(name) == 1
        else f"{name}-{path.name.rpartition('-')[2]}"
        for path, name in configs.items()
    }
    if len({*labels.values()}) < len(labels):  # folders that have been renamed
        labels = {path: str(path) for path in labels}
    return [
        label if arm.only else f"{label}:{arm.key}"
        for arm in arms
        for label in [labels[arm.run.path.resolve()]]
    ]
