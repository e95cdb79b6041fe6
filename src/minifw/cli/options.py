"""The options that commands share, and the shell's completion of their values."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, get_args

import typer

from minifw.config.packaged import PACKAGED
from minifw.errors import UsageError, short

Task = Literal["classification", "regression"]

# ------------------------------------------------------------------ what the shell completes


def configs_like(incomplete: str) -> list[str]:
    """Return packaged configs and YAML files of this folder whose names begin with this."""
    names = [*(file.stem for file in PACKAGED.glob("*.yaml")), *map(str, Path().glob("*.yaml"))]
    return sorted(name for name in names if name.startswith(incomplete))


def runs_like(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of runs that begin with this, in the folder of `--runs-dir`."""
    from minifw import runs

    folder = Path(context.params.get("runs_dir") or "runs")
    names = (path.name for path in runs.folders(folder))
    return [name for name in names if name.startswith(incomplete)]


def configs_or_runs_like(context: typer.Context, incomplete: str) -> list[str]:
    """Return the configs and the runs whose names begin with this."""
    return [*configs_like(incomplete), *runs_like(context, incomplete)]


def statuses(incomplete: str) -> list[str]:
    """Return the statuses of runs that begin with this."""
    from minifw import runs

    return [status for status in runs.STATUSES if status.startswith(incomplete)]


# ----------------------------------------------------------------------------------- options

ConfigName = Annotated[
    str,
    typer.Argument(
        help="A YAML file, or the name of a packaged config.",
        metavar="CONFIG",
        autocompletion=configs_like,
    ),
]
OneRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's directory, its name, or a part of its name.",
        autocompletion=runs_like,
    ),
]
OneMode = Annotated[
    str | None,
    typer.Option("--mode", metavar="MODE", help="full-batch or sgd, if the run has both."),
]
SomeRuns = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN…",
        help="Runs: directories, names, or parts of names.",
        autocompletion=runs_like,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config. Repeatable."),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="The column to predict, by name or number. Default: the last. Repeatable.",
        show_default=False,
    ),
]
AskedTask = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="classification or regression. Default: by what the target holds.",
        show_default=False,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        metavar="N",
        help="Number of seeds. Default: the config's, else 1.",
        show_default=False,
    ),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Folder of the runs.")]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code", help="Allow Python files that the config names (`python: mine.Layer`)."
    ),
]

_for_json: list[TextIO] = []  # stdout itself, while all else that is printed goes to stderr


def _json_alone(context: typer.Context, wanted: bool) -> bool:
    """Keep stdout for the object alone: what a user's own code prints goes to stderr."""
    if wanted:
        _for_json.append(sys.stdout)
        context.call_on_close(_for_json.clear)
        context.with_resource(redirect_stdout(sys.stderr))
    return wanted


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object instead of text.", callback=_json_alone),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Live = Annotated[
    bool, typer.Option("--live", help="Curves in the terminal while it trains: median, quartiles.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="CPU threads. Default: torch's own number.",
        show_default=False,
    ),
]


def task_of(given: str | None) -> Task | None:
    """Return the task that is asked for.

    Raises:
        UsageError: there is no such task.

    """
    for task in get_args(Task):
        if given in (None, task):
            return task if given else None
    raise UsageError(f"--task: must be classification or regression, got {short(given)}")


def help_alone(context: typer.Context) -> None:
    """Print the help of a group of commands that is called without one; the exit code is 2.

    Typer would print it as an error message.
    """
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on a line; NaN and infinity are refused, they are not JSON."""
    print(json.dumps(content, allow_nan=False), file=_for_json[-1] if _for_json else None)
