"""The parts of a study, done apart as by a job array, put together as one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from minifw import runs
from minifw.errors import ArtefactError, UsageError
from minifw.runs import Run
from minifw.runs.studies import STUDY, Study
from minifw.study.lanes import Lane
from minifw.study.rounds import Found, Kind, Note
from minifw.study.running import Outcome, complete, read, replan
from minifw.study.store import Store


def merge(
    paths: Sequence[Path],
    kinds: Mapping[str, Kind],
    runs_dir: Path,
    note: Note = lambda text: None,
    *,
    allow_code: bool = False,
) -> Outcome:
    """Return a run with the results of all parts of a study; the parts are left as they are.

    Its tables have the bytes that they would have if the study had not been divided. `note` says
    where that may not be so, since parts were trained with other versions.

    Raises:
        UsageError: a part is missing, comes twice or is not finished, or they are not parts of one
            study.

    """
    if not paths:
        raise UsageError("runs merge: expects the runs of all parts")
    parts: dict[int, Run] = {}
    whole, counted = None, 0
    for path in paths:
        run = runs.load(path)
        study, (number, count) = _part(run)
        if whole is None:
            whole, counted = study, count
        if other := _difference(whole, counted, study, count):
            raise UsageError(f"{path}: is not a part of the same study as {paths[0]}: {other}")
        if number in parts:
            raise UsageError(f"{path}: is part {number}/{count}, as is {parts[number].path}")
        parts[number] = run
    assert whole is not None
    if missing := [n for n in range(1, counted + 1) if n not in parts]:
        shown = ", ".join(f"{n}/{counted}" for n in missing[:10]) + " …" * (len(missing) > 10)
        raise UsageError(f"runs merge: of {counted} parts these are missing: {shown}")
    in_order = [parts[number] for number in sorted(parts)]
    for part in in_order:
        if other := _versions(in_order[0], part):
            note(f"{part.path}: was trained with {other}; last bits may differ")
    return _joined(in_order, whole, kinds, runs_dir, allow_code)


def _versions(first: Run, other: Run) -> str:
    """Return in words which versions of another part differ from those of the first."""
    mine, theirs = first.manifest.versions, other.manifest.versions
    differ = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    return ", ".join(
        f"{name} {theirs.get(name, 'unknown')}, not {mine.get(name, 'unknown')}" for name in differ
    )


def _difference(whole: Study, parts: int, study: Study, count: int) -> str | None:
    """Return in words what keeps a part from being one of the same study, None if nothing does."""
    if parts != count:
        return f"of {count} parts, not of {parts}"
    if [cell.config for cell in whole.cells] != [cell.config for cell in study.cells]:
        return "other cells"
    for mine, theirs in zip(whole.cells, study.cells, strict=True):
        if mine.checksum != theirs.checksum:
            return f"another data file of {mine.name}"
    if whole.seeds != study.seeds:
        return "other seeds"
    if whole.threads != study.threads:
        return f"--threads {study.threads}, not {whole.threads}"
    return None if whole == study else "other options"


def _part(run: Run) -> tuple[Study, tuple[int, int]]:
    """Return the study that a run is a part of, and which part of how many."""
    manifest = run.manifest
    study = read(run) if manifest.kind != "train" else None
    if study is None or study.part is None:
        what = "give only runs of minifw sweep --part K/N, which may have a --runs-dir of their own"
        raise UsageError(f"{run.path}: is not a part of a study; {what}")
    if manifest.status not in runs.OVER:
        raise UsageError(
            f"{run.path}: part {study.part[0]}/{study.part[1]} is {run.status()}; "
            f"minifw resume {run.path} does the rest"
        )
    return study.model_copy(update={"part": None}), study.part


def _joined(
    parts: Sequence[Run], study: Study, kinds: Mapping[str, Kind], runs_dir: Path, allow_code: bool
) -> Outcome:
    first = parts[0]
    plan = replan(first, study, allow_code)
    found = Found(lambda text: None)
    found.expect(plan)
    for part in parts[1:]:
        for name in plan.code:
            if part.known.get(name) != first.known.get(name):
                same = f"is not a part of the same study as {first.path}"
                raise UsageError(f"{part.path}: {same}: another {name}")
    known = {*plan.lanes}
    results = {}  # all are read before anything is written
    for number, part in enumerate(parts, 1):
        kept = Store(part)
        for name in kept.names():
            result = kept.get(name)
            if result is None:
                raise ArtefactError(f"{part.path}: the job {name} is missing or damaged")
            new = f"part-{number}.{name}"
            results[new] = result
            lanes = [Lane(*lane) for lane in result.about["lanes"]]
            if not known.issuperset(lanes) or len(lanes) != len(result.history.diverged):
                raise ArtefactError(f"{part.path}: the job {name} has networks of another study")
            found.add(new, lanes, result)
    if missing := [lane for lane in plan.lanes if lane not in found.latest]:
        raise ArtefactError(f"{first.path}: {len(missing)} networks are in no part")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = first.manifest.model_copy(
        update={"status": "running", "started": now, "finished": None, "resumed": [], "files": {}}
    )
    run = runs.create(runs_dir, manifest)
    with run.held():
        for name in ("config.yaml", "env.json", *plan.code):
            run.write(name, first.read(name))
        run.write_json(STUDY, study.model_dump(mode="json"))
        run.commit()
        store = Store(run)
        for name, result in results.items():
            store.put(name, result)
        return complete(run, plan, kinds[study.kind], found)
