"""The commands about runs that are there: `minifw runs ls | show | diff | verify | rm`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.errors import ArtefactError, UsageError, harmless, near_miss
from minifw.options import Json, RunsDir, print_json

if TYPE_CHECKING:
    from minifw.runs import Entry, Run

app = typer.Typer(
    no_args_is_help=True, help="List, look at, check and delete runs.", rich_markup_mode=None
)

OneRun = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's directory, its name, or a part of that.")
]
SomeRuns = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="Directories, names, or parts of names.")
]


@app.command()
def ls(
    runs_dir: RunsDir = Path("runs"),
    status: Annotated[
        str | None, typer.Option("--status", metavar="WHICH", help="Only runs of this status.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Only runs with this in the name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List runs, oldest first: status, median test error in percent (full batch, SGD), and age.

    \b
    Examples:
      minifw runs ls
      minifw runs ls --status crashed
    """
    from minifw import runs

    if status is not None and status not in runs.STATUSES:
        raise UsageError(
            f"--status: must be one of {', '.join(runs.STATUSES)}, got '{harmless(status)}'"
            f"{near_miss(status, runs.STATUSES)}"
        )
    lines = [
        _line(entry)
        for entry in runs.entries(runs_dir)
        if status in (None, entry.status) and (name or "") in entry.path.name
    ]
    if as_json:
        print_json({"runs": lines})
        return
    if not lines:
        print(f"minifw: no such runs in {harmless(runs_dir)}", file=sys.stderr)
        return
    width = max(len(line["run"]) for line in lines)
    print(f"{'run':{width}}  {'status':11}  {'test error':>14}  {'age':>5}")
    for line in lines:
        errors = " / ".join(_percent(error) for error in line["test_error"].values()) or "–"
        age = _age(line["started"])
        print(f"{harmless(line['run']):{width}}  {line['status']:11}  {errors:>14}  {age:>5}")


@app.command()
def show(run: OneRun, runs_dir: RunsDir = Path("runs"), as_json: Json = False) -> None:
    """Show one run in full: status, parts, environment, config and tables."""
    from minifw import runs

    found = runs.load(runs.find(runs_dir, run))
    manifest, environment = found.manifest, _json(found, "env.json")
    results, config = _json(found, "results.json"), found.read("config.yaml").decode()
    if as_json:
        print_json(
            {
                "run_dir": str(found.path),
                "manifest": manifest | {"status": found.status},
                "env": environment,
                "config": _flat_config(found),
                "results": results,
            }
        )
        return
    print(f"{harmless(found.path)}\n\nstatus    {found.status}")
    if "error" in manifest:
        print(f"error     {harmless(manifest['error'])}")
    for key in ("started", "finished"):
        if key in manifest:
            print(f"{key:9} {manifest[key]}")
    for moment in manifest.get("resumed", []):
        print(f"resumed   {moment}")
    seeds = manifest["seeds"]
    print(f"seeds     {seeds[0]} to {seeds[-1]}\nthreads   {manifest['threads']}")
    for name, part in manifest["parts"].items():
        state = "finished" if part["finished"] else f"checkpoint of epoch {part['epoch']}"
        print(f"part      {name}: {state}, {part['seconds']:.1f} s of training")
    for key in ("processor", "platform", "git", "command_line"):
        value = (environment or {}).get(key)
        text = " ".join(value) if isinstance(value, list) else value
        print(f"{key.split('_')[0]:9} {harmless(_shown(text))}")
    print("versions  " + ", ".join(f"{name} {v}" for name, v in manifest["versions"].items()))
    print(f"\n{config.rstrip()}")
    for name in manifest["files"]:
        if name.startswith("tables/") and name.endswith(".md"):
            print(f"\n{found.read(name).decode().rstrip()}")


@app.command()
def diff(
    left: OneRun, right: OneRun, runs_dir: RunsDir = Path("runs"), as_json: Json = False
) -> None:
    """Put two runs side by side: the keys of their configs that differ, and their results."""
    from minifw import runs

    pair = [runs.load(runs.find(runs_dir, text)) for text in (left, right)]
    rows = {}
    for part, tables in (
        ("config", [_flat_config(run) for run in pair]),
        ("results", [_flat_results(run) for run in pair]),
    ):
        keys = dict.fromkeys([*tables[0], *tables[1]])
        values = {key: [table.get(key) for table in tables] for key in keys}
        # Of results all are shown: that two are equal is worth seeing.
        rows[part] = {k: v for k, v in values.items() if part == "results" or v[0] != v[1]}
    if as_json:
        print_json({"runs": [str(run.path) for run in pair], **rows})
        return
    shown = [("", [run.path.name for run in pair])]
    shown += [
        (key, [_shown(v) for v in values]) for part in rows.values() for key, values in part.items()
    ]
    if not rows["config"]:
        print("the two configs are equal", file=sys.stderr)
    widths = [max(len(key) for key, _ in shown), max(len(values[0]) for _, values in shown)]
    for key, (a, b) in shown:
        print(f"{harmless(key):{widths[0]}}  {harmless(a):{widths[1]}}  {harmless(b)}".rstrip())


@app.command()
def verify(some: SomeRuns, runs_dir: RunsDir = Path("runs"), as_json: Json = False) -> None:
    """Check every file of runs against its checksum; exit code 4 if one is missing or damaged."""
    from minifw import runs

    answers: dict[str, list[str]] = {}
    for text in some:
        path = runs.find(runs_dir, text)
        try:
            run = runs.load(path)
            answers[str(path)] = run.faults()
        except ArtefactError as fault:
            answers[str(path)] = [str(fault)]
            continue
        for name in run.strangers():
            print(
                f"{harmless(path / name)}: not of this run, as its manifest says", file=sys.stderr
            )
        if not answers[str(path)] and not as_json:
            print(f"{harmless(path)}: all {len(run.manifest['files'])} files are as written")
    if as_json:
        print_json({"faults": answers})
    faults = [fault for found in answers.values() for fault in found]
    if faults:
        raise ArtefactError(*faults)


@app.command()
def rm(
    some: SomeRuns,
    runs_dir: RunsDir = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete runs, with all that is in them; what a link in them points to stays."""
    from minifw import runs

    paths = list(dict.fromkeys(runs.find(runs_dir, text) for text in some))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("runs rm: nobody can be asked here; --yes deletes without a question")
        for path in paths:
            print(harmless(path), file=sys.stderr)
        if not typer.confirm(f"delete {len(paths)} run(s)?", err=True):
            return
    for path in paths:
        runs.delete(path)
        print(f"{harmless(path)}: deleted")


def _line(entry: Entry) -> dict[str, Any]:
    run, status = entry.run, entry.status
    errors: dict[str, float | None] = {}
    if run is not None:
        try:
            results = _json(run, "results.json") or {"modes": {}}
            errors = {
                mode: arms["minifw"]["summary"]["median"] for mode, arms in results["modes"].items()
            }
        except ArtefactError:
            status = "damaged"
    return {
        "run": entry.path.name,
        "run_dir": str(entry.path),
        "status": status,
        "config": run.manifest["name"] if run else None,
        "seeds": len(run.manifest["seeds"]) if run else None,
        "test_error": errors,
        "started": run.manifest["started"] if run else None,
    }


def _json(run: Run, name: str) -> dict[str, Any] | None:
    """Return the content of a JSON file of the run, None if it has not got so far."""
    if name not in run.manifest["files"]:
        return None
    content: dict[str, Any] = run.read_json(name)
    return content


def _flat_config(run: Run) -> dict[str, Any]:
    from minifw import yaml12
    from minifw.places import Source

    name = "config.yaml"
    return _flat(yaml12.parse(run.read(name).decode(), Source(str(run.path / name))), "")


def _flat_results(run: Run) -> dict[str, Any]:
    results = _json(run, "results.json") or {"modes": {}}
    flat: dict[str, Any] = {"status": run.status}
    for mode, arms in results["modes"].items():
        for arm, outcome in arms.items():
            for row, value in outcome["summary"].items():
                flat[f"{mode} {arm}: {row} test error, %"] = value
            flat[f"{mode} {arm}: training, s"] = outcome["seconds"]
    return flat


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


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _age(started: str | None) -> str:
    """Return how long ago that was, in its largest unit."""
    if started is None:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
