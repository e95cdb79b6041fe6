"""Comparisons of finished runs: over the seeds that all have, with a run directory of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minifw import runs
from minifw.config import yaml12
from minifw.errors import UsageError, short_word
from minifw.runs import Run, records
from minifw.runs.records import FORMAT, Manifest
from minifw.runs.results import of_measure
from minifw.runs.studies import CELLS, STUDY, Cell, CellResults, Study, StudyResults, results_of
from minifw.study import comparison
from minifw.study.finished import Finished, choose, named
from minifw.study.results import METRICS
from minifw.study.words import Chosen
from minifw.system.environment import environment
from minifw.system.signals import on_signals


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
    comparison.check_measures({n: a.measure for n, a in zip(names, arms, strict=True)})
    if len({arm.data for arm in arms}) > 1:
        notes.append(comparison.OTHER_DATA)
    elif arms[0].checksum is not None:
        notes.append(comparison.ONE_FILE)
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
            Cell(name=name, set={}, config=yaml12.dump(arm.config), checksum=arm.checksum)
            for name, arm in zip(names, arms, strict=True)
        ],
        seeds=seeds,
        threads=first.threads,
        options=options
        | {comparison.RUNS: [f"{arm.run.path.absolute()}:{arm.key}" for arm in arms]},
    )
    results = StudyResults(
        kind="compare", name=first.name, about=_about(arms[0].run), dtype=_dtype(arms[0]),
        cells=cells, outcome=comparison.compared(cells, study, arms[0].measure).model_dump(),
        **of_measure(arms[0].measure),
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
    results = run.results() if run.manifest.kind == "train" else results_of(run)
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
            status = "diverged" if results.all_diverged else "complete"
            run.commit(status=status, finished=now)
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
