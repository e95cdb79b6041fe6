"""Finished runs as arms of a comparison: nothing is trained, and no code of theirs is run.

A run of `train` is one arm; a comparison with PyTorch has one for each framework in each mode, such
as `sgd` (minifw's) and `sgd:pytorch`; a sweep, or a comparison of configs, one for each cell. They
are compared over the seeds that all have.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minifw import runs
from minifw.config import yaml12
from minifw.config.source import Source
from minifw.errors import ArtefactError, UsageError, did_you_mean, short_word
from minifw.runs import Arm, Mode, Run, records
from minifw.runs.records import FORMAT, Manifest
from minifw.runs.results import Results
from minifw.runs.studies import CELLS, STUDY, Cell, CellResults, Study, StudyResults
from minifw.study import comparison
from minifw.study.results import METRICS
from minifw.study.running import read
from minifw.study.words import Chosen
from minifw.system.environment import environment
from minifw.system.signals import on_signals

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

    @property
    def data(self) -> str:
        """What samples are drawn from: two arms with the same text have the same for a seed."""
        data = self.config.get("data")
        if isinstance(data, dict):
            data = {key: value for key, value in data.items() if key != "path"}
        return json.dumps([data, self.run.manifest.data_checksum], sort_keys=True)


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
    )


def _of_study(run: Run) -> Iterator[Finished]:
    study = read(run)
    if study.crossing is not None:
        raise UsageError(f"{run.path}: a study of variance crosses its seeds; it has no pairs")
    if study.part is not None:
        k, n = study.part
        raise UsageError(f"{run.path}: is part {k}/{n} of a study; minifw runs merge joins them")
    results = comparison.results_of(run)
    if [cell.name for cell in results.cells] != [cell.name for cell in study.cells]:
        raise ArtefactError(f"{run.path / CELLS}: has other cells than {STUDY}")
    for number, (cell, asked) in enumerate(zip(results.cells, study.cells, strict=True)):
        config = _config(asked.config, run, STUDY)
        yield Finished(run, cell.name, cell, config, Place(config["train"]["mode"], None, number))


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
        best = comparison.results_of(run).outcome.get(BEST)
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


# -------------------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class Paired:
    """A comparison of finished runs: what is asked, what was found, and its arms."""

    study: Study
    results: StudyResults
    arms: list[Finished]


def compare(chosen: Sequence[Chosen], margin: float | None = None) -> Paired:
    """Compare finished runs over the seeds that all have; nothing is written.

    Raises:
        UsageError: there are no such arms, they share no seed, or a run is not finished.
        ArtefactError: a file of a run is missing, damaged, or not minifw's.

    """
    arms, notes = choose(chosen)
    names = named(arms)
    seeds = _shared(arms, names)
    for name, arm in zip(names, arms, strict=True):
        left = [seed for seed in arm.results.seeds if seed not in {*seeds}]
        if left:
            notes.append(f"of {name}, {_counted(left)} are left out: not all arms have them")
    if len({arm.data for arm in arms}) > 1:
        notes.append("their data differ, so a seed has other samples in one arm than in another")
    if len({arm.run.manifest.versions.get("minifw") for arm in arms}) > 1:
        notes.append("they were trained by different versions of minifw")
    cells = [_of_seeds(arm, name, seeds) for name, arm in zip(names, arms, strict=True)]
    first = arms[0].run.manifest
    options = comparison.options(
        [(name, arm.config) for name, arm in zip(names, arms, strict=True)], margin, notes
    )
    study = Study(
        kind="compare",
        cells=[
            Cell(name=name, set={}, config=yaml12.dump(arm.config))
            for name, arm in zip(names, arms, strict=True)
        ],
        seeds=seeds,
        threads=first.threads,
        options=options
        | {comparison.RUNS: [f"{arm.run.path.absolute()}:{arm.key}" for arm in arms]},
    )
    results = StudyResults(
        kind="compare", name=first.name, about=_about(arms[0].run), dtype=_dtype(arms[0]),
        cells=cells, outcome=comparison.compared(cells, study).model_dump(),
    )  # fmt: skip
    return Paired(study, results, arms)


def _shared(arms: Sequence[Finished], names: Sequence[str]) -> list[int]:
    shared = set(arms[0].results.seeds).intersection(*(arm.results.seeds for arm in arms[1:]))
    if not shared:
        said = "; ".join(
            f"{short_word(name)} has {_counted(arm.results.seeds)}"
            for name, arm in zip(names[:4], arms[:4], strict=True)
        )
        raise UsageError(
            f"compare: these arms share no seed, so nothing can be paired: {said}; "
            "minifw compare CONFIG CONFIG trains configs with the same seeds"
        )
    return sorted(shared)


def _counted(seeds: Sequence[int]) -> str:
    """Return seeds as text, such as `3 seeds (0 to 1, 5)`."""
    spans: list[list[int]] = []
    for seed in sorted(seeds):
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    shown = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in spans[:5])
    more = ", …" if len(spans) > 5 else ""
    return f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'} ({shown}{more})"


def _of_seeds(arm: Finished, name: str, seeds: Sequence[int]) -> CellResults:
    """Return the results of an arm for some of its seeds."""
    places = {seed: place for place, seed in enumerate(arm.results.seeds)}
    lists = {
        key: [value[places[seed]] for seed in seeds]
        for key, value in arm.results
        if isinstance(value, list)
    }
    return arm.results.model_copy(update={"name": name, "set": {}, **lists})


def _about(run: Run) -> str:
    results = run.results() if run.manifest.kind == "train" else comparison.results_of(run)
    return results.about


def _dtype(arm: Finished) -> Any:
    return arm.config.get("dtype", "float32")


def keep(paired: Paired, runs_dir: Path) -> Run:
    """Leave a run directory of a comparison of finished runs, complete at once."""
    first, now = paired.arms[0].run.manifest, datetime.now(UTC).isoformat(timespec="seconds")
    surroundings = environment() | {"threads": first.threads}
    study, results = paired.study, paired.results
    with on_signals(patient=True) as stop:  # what is begun here is over soon
        stop.check()
        manifest = Manifest.model_validate(
            {
                "format": FORMAT,
                "status": "running",
                "kind": "compare",
                "name": first.name,
                "seeds": study.seeds,
                "modes": list(dict.fromkeys(arm.place.mode for arm in paired.arms)),
                "arms": ["minifw"],
                "threads": first.threads,
                "versions": surroundings["versions"],
                "data_checksum": first.data_checksum,
                "started": now,
                "parts": {},
                "files": {},
            }
        )
        run = runs.create(runs_dir, manifest)
        with run.held():
            run.write("config.yaml", study.cells[0].config)
            run.write_json("env.json", surroundings)
            run.write_json(STUDY, study.model_dump(mode="json"))
            run.write_json(CELLS, results.model_dump(mode="json"))
            run.write("metrics.csv", _metrics(run, paired))
            comparison.write(run, results)
            gone = all(error is None for cell in results.cells for error in cell.test_error)
            run.commit(status="diverged" if gone else "complete", finished=now)
    return run


def _metrics(run: Run, paired: Paired) -> str:
    """Return the measurements of all arms, as a study has them: run, cell, seed, and so on."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "cell", "seed", "epoch", "metric", "value"])
    for number, arm in enumerate(paired.arms):
        of_seeds: dict[int, list[tuple[str, Any, Any]]] = {}
        for seed, epoch, metric, value in _measured(arm):
            of_seeds.setdefault(seed, []).append((metric, epoch, value))
        for seed in paired.study.seeds:
            lines = sorted(of_seeds.get(seed, []), key=lambda line: METRICS.index(line[0]))
            for metric, epoch, value in lines:
                shown = "" if value is None else value
                writer.writerow([run.path.name, number, seed, epoch, metric, shown])
    return text.getvalue()


def _measured(arm: Finished) -> Iterator[tuple[int, Any, str, Any]]:
    """Yield seed, epoch, metric and value of an arm's measurements, as its run has them."""
    run, place = arm.run, arm.place
    if run.manifest.kind != "train":
        for row in csv.DictReader(io.StringIO(run.read_text("metrics.csv"))):
            if row["cell"] == str(place.cell):
                yield int(row["seed"]), row["epoch"], row["metric"], row["value"]
        return
    where = f"{run.path}/metrics.jsonl"
    for number, text in enumerate(run.read_text("metrics.jsonl").splitlines(), 1):
        line = records.parse(text.encode(), f"{where}:{number}")
        if (line.get("mode"), line.get("arm")) == (place.mode, place.arm):
            for metric in METRICS:
                values = line.get(metric) or []
                for seed, value in zip(arm.results.seeds, values, strict=False):
                    yield seed, line["epoch"], metric, value
