"""What commands share: their options, and how a config is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from minifw.errors import UsageError, near_miss

PACKAGED = Path(__file__).parent / "configs"

ConfigName = Annotated[
    str, typer.Argument(help="A YAML file, or the name of a packaged config.", metavar="CONFIG")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable."),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        metavar="N",
        help="How many seeds to run; default: the config's, else 1 (compare: 20).",
        show_default=False,
    ),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Where runs are kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="CPU threads; default: as many as torch takes.",
        show_default=False,
    ),
]


def find_config(name: str) -> Path:
    """Return the path of a config: a file, else the packaged config of that name."""
    path = Path(name)
    bare = path.name == name and not path.suffix
    try:
        there = path.exists()
    except OSError:  # a name longer than any file's, say
        there = False
    if there or not bare:
        return path
    packaged = {file.stem: file for file in PACKAGED.glob("*.yaml")}
    if name not in packaged:
        raise UsageError(
            f"{name}: there is no such file or packaged config{near_miss(name, packaged)}"
        )
    return packaged[name]


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on a line; NaN and infinity are refused, they are not JSON."""
    print(json.dumps(content, allow_nan=False))
