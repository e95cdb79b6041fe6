"""The parts that every page ends with: config, environment, the command, files."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import Any

from minifw.config import loading, yaml12
from minifw.config.code import Code
from minifw.config.model import Config
from minifw.config.source import KeyPath, Source
from minifw.errors import MinifwError, UsageError, harmless
from minifw.experiment import inputs
from minifw.page.document import Facts, Listing, Paragraph, Piece, Section
from minifw.runs import Run, records
from minifw.runs.studies import STUDY, Study

CONFIG, ENVIRONMENT, PAGE = "config.yaml", "env.json", "report.html"
AGAIN = "This repeats it, from the folder that the run is in"
ASKED = "The command that made it"
LINES = 400
"""Lines of a config in the page, at most."""
FILES = 400
"""Files in the page, at most."""


def config_of(run: Run, allow_code: bool = False) -> Config | None:
    """Return the run's config; None if it would run a user's code, which is not allowed."""
    try:
        return inputs.config_of(run, allow_code)
    except UsageError:
        return None


def endings(run: Run, config: Config | None, prefix: str = "") -> tuple[Section, ...]:
    """Return the sections with which the page of a run ends; `prefix` sets off their places."""
    pieces: list[Piece] = [_config(run, config)]
    if extra := _study(run):
        pieces.append(extra)
    return (
        Section(f"{prefix}config", "Config", tuple(pieces)),
        Section(f"{prefix}environment", "Environment", (*_environment(run), *_command(run))),
        Section(f"{prefix}files", "Files", (_files(run),)),
    )


def versions(run: Run) -> dict[str, str]:
    """Return the versions with which a run was made."""
    return dict(run.manifest.versions)


# ------------------------------------------------------------------------------------ config


def _config(run: Run, config: Config | None) -> Listing:
    """Return the config with all keys; set off is what differs from the defaults, or has none."""
    text = run.read_text(CONFIG)
    lines = text.splitlines()
    marked: set[int] = set()
    title = "The config with all keys"
    if config is not None:
        source = Source(CONFIG)
        with suppress(MinifwError):
            yaml12.check_size(len(text.encode()), CONFIG)
            yaml12.parse(text, source)
        for path in _leaves(config.model_dump(mode="json", exclude_defaults=True), ()):
            place = source.keys.get(path) or source.places.get(path)
            if place is not None and place.line:
                marked.add(place.line - 1)
        title += "; marked are those that differ from their default, or that have none"
    if len(lines) > LINES:
        title += f"; the first {LINES} of {len(lines)} lines"
    shown = tuple(sorted(line for line in marked if line < LINES))
    return Listing(title, "\n".join(lines[:LINES]), shown)


def _leaves(value: Any, path: KeyPath) -> list[KeyPath]:
    """Return the paths of the values of nested mappings and lists."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list | tuple):
        inner = list(enumerate(value))
    else:
        return [path]
    return [leaf for key, each in inner for leaf in _leaves(each, (*path, key))]


def _study(run: Run) -> Piece | None:
    if run.manifest.kind == "train":
        return None
    return Paragraph("What each cell of the study sets beside this is in study.json.")


# ------------------------------------------------------------------------ where, and once more


def _environment(run: Run) -> list[Piece]:
    content = run.read_json(ENVIRONMENT) if ENVIRONMENT in run.known else {}
    found = content if isinstance(content, dict) else {}
    manifest = run.manifest
    pairs = [(name, version) for name, version in manifest.versions.items()]
    for key, name in (("platform", "platform"), ("processor", "processor"), ("cpus", "processors")):
        if found.get(key) is not None:
            pairs.append((name, str(found[key])))
    pairs.append(("threads", str(manifest.threads)))
    git = found.get("git")
    if isinstance(git, dict):
        pairs += [(f"git {key}", str(value)) for key, value in git.items() if value is not None]
    pairs += [("started", manifest.started), ("finished", manifest.finished or "–")]
    pairs += [("resumed", moment) for moment in manifest.resumed]
    if manifest.data_checksum is not None:
        pairs.append(("SHA-256 of the data", manifest.data_checksum))
    return [Facts("Where it ran", tuple((harmless(k), harmless(v)) for k, v in pairs))]


def _command(run: Run) -> list[Piece]:
    """Return how the run was asked for, and the command that repeats it from its own config."""
    content = run.read_json(ENVIRONMENT) if ENVIRONMENT in run.known else {}
    words = content.get("command_line") if isinstance(content, dict) else None
    pieces: list[Piece] = []
    again = _again(run)
    if again is not None:
        pieces.append(Listing(AGAIN, again))
    if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
        called = " ".join(shlex.quote(harmless(word)) for word in words)
        pieces.append(Listing(ASKED, called))
    return pieces


def _again(run: Run) -> str | None:
    """Return the command that repeats a run of train, or of a comparison with PyTorch."""
    manifest = run.manifest
    if manifest.kind != "train":
        return None
    file = shlex.quote(harmless(f"{run.path.name}/{CONFIG}"))
    threads = f" --threads {manifest.threads}"
    if len(manifest.modes) == 1 and len(manifest.arms) == 1:
        return f"minifw train {file}{threads}"
    other = {"pytorch": "loop", "vmap": "vmap"}[manifest.arms[1]] if manifest.arms[1:] else "none"
    return f"minifw compare {file} --reference {other}{threads}"


def _files(run: Run) -> Facts:
    """Return the files of a run with their checksums; the page cannot have its own."""
    known = [(name, checksum) for name, checksum in run.known.items() if name != PAGE]
    title = "SHA-256 of each file, as in manifest.json"
    if len(known) > FILES:
        title += f"; the first {FILES} of {len(known):,}"
    return Facts(title, tuple(sorted(known)[:FILES]))


def config_of_cell(run: Run, number: int, allow_code: bool = False) -> Config | None:
    """Return the config of a cell of a study; None if it would run a user's code.

    Raises:
        ArtefactError: the study has no such cell, or its config is damaged.

    """
    where = str(run.path / STUDY)
    study = records.checked(Study, run.read_json(STUDY), where)
    code = Code(allow_code, lambda name: run.read(name) if name in run.known else None)
    try:
        return loading.of_run(study.cells[number].config, run.path / STUDY, code)
    except UsageError:
        return None
