"""The commands about existing runs: `minifw runs ls | show | diff | verify | merge | rm`."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import (
    AllowCode,
    Json,
    OneRun,
    RunsDir,
    SomeRuns,
    help_alone,
    print_json,
    statuses,
)
from minifw.cli.planning import import_torch
from minifw.cli.terminal import print_rows, print_table, print_wrapped
from minifw.errors import (
    ArtefactError,
    ConfigError,
    MinifwError,
    StorageError,
    UsageError,
    did_you_mean,
    harmless,
)

if TYPE_CHECKING:
    from minifw.report.tables import Table
    from minifw.runs import Entry, Run
    from minifw.runs.results import Listed

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _runs(context: typer.Context) -> None:
    """List, look at, check, merge and delete runs."""
    help_alone(context)


@app.command()
def ls(
    runs_dir: RunsDir = Path("runs"),
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="WHICH",
            help="Only runs with this status.",
            autocompletion=statuses,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="TEXT", help="Only runs whose name contains this."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List runs, oldest first, with status and test error.

    The error is the median over seeds in percent, for full batch and for SGD, or of regression the
    RMSE; a study such as a sweep has its kind there.

    \b
    Examples:
      minifw runs ls
      minifw runs ls --status crashed
    """
    from minifw import runs

    if status is not None and status not in runs.STATUSES:
        raise UsageError(
            f"--status: must be one of {', '.join(runs.STATUSES)}, got '{status}'"
            f"{did_you_mean(status, runs.STATUSES)}"
        )
    lines = [
        line
        for line in (_line(entry) for entry in runs.entries(runs_dir))
        if status in (None, line["status"]) and (name or "") in line["run"]
    ]
    if as_json:
        print_json({"runs": lines})
        return
    if not lines:
        print(f"minifw: no such runs in {harmless(runs_dir)}", file=sys.stderr)
        return
    rows = [
        (
            line["run"],
            line["status"],
            " / ".join(_error(error, line) for error in line["test_error"].values())
            or (line["kind"] if line["kind"] not in (None, "train") else "–"),
            _age(line["started"]),
        )
        for line in lines
    ]
    print_rows(("run", "status", "test error", "age"), rows, right=(2, 3))
    empty = [harmless(line["run_dir"]) for line in lines if line["status"] == "empty"]
    if empty:
        print(
            f"minifw: {len(empty)} of them ended before training began, nothing can be resumed; "
            f"`minifw runs rm {' '.join(empty[:3])}{' …' if empty[3:] else ''}` deletes them",
            file=sys.stderr,
        )


@app.command()
def show(run: OneRun, runs_dir: RunsDir = Path("runs"), as_json: Json = False) -> None:
    """Show one run: status, environment, config and tables."""
    from minifw import runs
    from minifw.runs.studies import CELLS

    found = runs.load(runs.find(runs_dir, run))
    manifest, environment = found.manifest, _json(found, "env.json")
    study = manifest.kind != "train"
    results = _json(found, CELLS if study else runs.RESULTS)
    config = found.read_text("config.yaml")
    if as_json:
        print_json(
            {
                "run_dir": str(found.path),
                "manifest": manifest.content() | {"status": found.status()},
                "env": environment,
                "config": _flat_config(found),
                "results": results,
            }
        )
        return
    shown = [] if results is None else _tables(found)
    print(f"{harmless(found.path)}\n\nstatus    {found.status()}")
    if manifest.error is not None:
        print(f"error     {harmless(manifest.error)}")
    print(f"started   {manifest.started}")
    if manifest.finished is not None:
        print(f"finished  {manifest.finished}")
    for moment in manifest.resumed:
        print(f"resumed   {moment}")
    seeds = manifest.seeds
    print(f"seeds     {seeds[0]} to {seeds[-1]}\nthreads   {manifest.threads}")
    for name, part in manifest.parts.items():
        state = "finished" if part.finished else f"checkpoint of epoch {part.epoch}"
        how = ", compiled" if part.compiled else ""
        if part.not_compiled is not None:
            how = f", not compiled: {part.not_compiled}"
        what = f"{name}: {state}, {part.seconds:.1f} s of training{how}"
        print_wrapped(f"part      {harmless(what)}", indent=10)
    for key in ("processor", "platform", "git", "command_line"):
        value = (environment or {}).get(key)
        text = " ".join(map(str, value)) if isinstance(value, list) else value
        print_wrapped(f"{key.split('_')[0]:9} {harmless(_shown(text))}", indent=10)
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    print_wrapped(f"versions  {harmless(versions)}", indent=10)
    _print_text(config)
    for table in shown:
        print()
        print_table(table)


def _tables(run: Run) -> list[Table]:
    """Return the tables made from a run's results, which may come from anybody."""
    from minifw.cli import studies
    from minifw.report import tables

    if run.manifest.kind != "train":
        return studies.tables(run)
    return list(tables.of_results(run.results()).values())


@app.command()
def diff(
    left: OneRun, right: OneRun, runs_dir: RunsDir = Path("runs"), as_json: Json = False
) -> None:
    """Compare two runs: the keys that differ, and all results."""
    from minifw import runs

    pair = [runs.load(runs.find(runs_dir, text)) for text in (left, right)]
    rows = {}
    for part, flat in (
        ("config", [_flat_config(run) for run in pair]),
        ("results", [_flat_results(run) for run in pair]),
    ):
        keys = dict.fromkeys([*flat[0], *flat[1]])
        values = {key: [of_run.get(key) for of_run in flat] for key in keys}
        # All results are shown: that two are equal is worth seeing.
        rows[part] = {k: v for k, v in values.items() if part == "results" or v[0] != v[1]}
    if as_json:
        print_json({"runs": [str(run.path) for run in pair], **rows})
        return
    shown = [(key, *map(_shown, values)) for part in rows.values() for key, values in part.items()]
    if not rows["config"]:
        print("the two configs are equal", file=sys.stderr)
    print_rows(("", *(run.path.name for run in pair)), shown)


@app.command()
def verify(some: SomeRuns, runs_dir: RunsDir = Path("runs"), as_json: Json = False) -> None:
    """Check every file of runs against its checksum.

    The exit code is 4 if one is missing or damaged.
    """
    from minifw import runs

    answers: dict[str, list[str]] = {}
    faults: list[MinifwError] = []
    for path in dict.fromkeys(runs.find(runs_dir, text) for text in some):
        found: list[MinifwError] = []
        try:
            run = runs.load(path)
            for name in run.strangers():
                print(
                    f"{harmless(path / name)}: not named in this run's manifest",
                    file=sys.stderr,
                )
            found += map(ArtefactError, run.faults())
            if not found and not as_json:
                print(f"{harmless(path)}: all {len(run.known)} files are as written")
        except (ArtefactError, StorageError) as fault:
            found.append(fault)  # the other runs are still checked
        answers[str(path)] = [str(fault) for fault in found]
        faults += found
    if as_json:
        print_json({"faults": answers})
    _raise_all(faults)


@app.command()
def merge(
    some: SomeRuns,
    runs_dir: RunsDir = Path("runs"),
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Put the parts of a study together as a new run.

    Its tables have the bytes that they would have if the study had not been divided. The parts are
    left as they are.

    \b
    Examples:
      minifw sweep mine.yaml --part 1/2 --runs-dir parts   on one machine
      minifw sweep mine.yaml --part 2/2 --runs-dir parts   on another one
      minifw runs merge parts/*
    """
    import_torch()
    from minifw import runs
    from minifw.cli import studies
    from minifw.library.progress import say
    from minifw.study import kinds, merging

    paths = list(dict.fromkeys(runs.find(runs_dir, text) for text in some))
    outcome = merging.merge(paths, kinds.KINDS, runs_dir, say, allow_code=allow_code)
    studies.report(outcome, as_json)


@app.command()
def rm(
    some: SomeRuns,
    runs_dir: RunsDir = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete runs and everything in them.

    A link in a run is deleted; what it points to is kept.
    """
    from minifw import runs

    paths = list(dict.fromkeys(runs.find(runs_dir, text) for text in some))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("runs rm: no terminal to ask on; --yes deletes without asking")
        for path in paths:
            print(harmless(path), file=sys.stderr)
        if not typer.confirm(f"delete {len(paths)} run(s)?", err=True):
            return
    faults: list[MinifwError] = []
    for path in paths:
        try:
            runs.delete(path)
        except (UsageError, ArtefactError, StorageError) as fault:
            faults.append(fault)  # the others are still deleted
        else:
            print(f"{harmless(path)}: deleted")
    _raise_all(faults)


def _raise_all(faults: list[MinifwError]) -> None:
    """Raise all of these as one error, a line each, with the largest of their exit codes."""
    if faults:
        kind = max((type(fault) for fault in faults), key=lambda kind: kind.exit_code)
        raise kind(*(line for fault in faults for line in fault.lines))


def _line(entry: Entry) -> dict[str, Any]:
    """Return a run's row in a list of runs."""
    modes = {} if entry.results is None else entry.results.modes
    manifest = None if entry.run is None else entry.run.manifest
    return {
        "run": entry.path.name,
        "run_dir": str(entry.path),
        "status": entry.status,
        "kind": None if manifest is None else manifest.kind,
        "config": None if manifest is None else manifest.name,
        "seeds": None if manifest is None else len(manifest.seeds),
        "test_error": {mode: arms["minifw"].summary.median for mode, arms in modes.items()},
        "started": None if manifest is None else manifest.started,
        **_measured(entry.results),
    }


def _measured(listed: Listed | None) -> dict[str, Any]:
    """Return how the errors of a run are measured, if it is a regression."""
    if listed is None or listed.measure == "error":
        return {}
    return {"measure": listed.measure, "unit": listed.unit}


def _json(run: Run, name: str) -> dict[str, Any] | None:
    """Return the content of a JSON file of the run, None if the run has not written it yet."""
    if name not in run.known:
        return None
    content = run.read_json(name)
    if not isinstance(content, dict):
        raise ArtefactError(f"{run.path / name}: must hold a JSON object")
    return content


def _flat_config(run: Run) -> dict[str, Any]:
    from minifw.config import yaml12
    from minifw.config.source import Source

    name = "config.yaml"
    source = Source(str(run.path / name))
    try:
        flat = _flat(yaml12.parse(run.read_text(name), source), "")
        if source.faults:
            raise source.error()
    except ConfigError as fault:
        raise ArtefactError(fault.faults[0]) from None
    for key, value in flat.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ArtefactError(f"{source.name}: {key}: must be a finite number")
    return flat


def _flat_results(run: Run) -> dict[str, Any]:
    from minifw.runs.studies import CELLS, results_of

    flat: dict[str, Any] = {"status": run.status()}
    if CELLS in run.known:
        found = results_of(run)
        word = f"test {found.measured.name}{found.measured.head}"
        for cell in found.cells:
            left = [error for error in cell.test_error if error is not None]
            flat[f"{cell.name}: median {word}"] = median(left) if left else None
    listed = run.listed()
    word = f"test {listed.measured.name}{listed.measured.head}"
    for mode, arms in listed.modes.items():
        for arm, outcome in arms.items():
            for row in ("min", "median", "mean", "max"):  # an old run has no others
                value = getattr(outcome.summary, row)
                flat[f"{mode} {arm}: {row} {word}"] = value
            flat[f"{mode} {arm}: training, s"] = outcome.seconds
    return flat


def _print_text(text: str) -> None:
    """Print a text of the run after an empty line, with control characters escaped."""
    print()
    for line in text.rstrip().split("\n"):
        print(harmless(line))


def _flat(value: Any, path: str) -> dict[str, Any]:
    """Return nested mappings and lists as one mapping with dotted keys."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = {str(position): item for position, item in enumerate(value)}.items()
    else:
        return {path: value}
    flat: dict[str, Any] = {}
    for key, item in inner:
        flat |= _flat(item, f"{path}.{key}" if path else str(key))
    return flat


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def _error(value: float | None, line: dict[str, Any]) -> str:
    from minifw.statistics.measure import digits

    if value is None:
        return "–"
    if line.get("measure") is None:
        return f"{value:.2f}"
    unit = f" {harmless(line['unit'])}" if line["unit"] else ""
    return f"{digits(value)}{unit}"


def _age(started: str | None) -> str:
    """Return how long ago that was, in its largest unit."""
    if started is None:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
