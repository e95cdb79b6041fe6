"""Run directories: their names, the files in them, who holds one, and how it stands with it.

    RUNS_DIR/<UTC stamp>-<name>-<short id>/
        manifest.json     status, seeds, versions, how far each part is, a checksum of each file
        config.yaml       the resolved config, to be run again as it is
        env.json          versions, processor, threads, git commit, command line
        checkpoints/      of each part (an arm in a mode), safetensors
        results.json      final errors, times and parity: what the tables are made of
        metrics.jsonl     one line for each evaluation of each arm
        decision.npz      one network's decision over the plane, where there are two features
        tables/           table1, table2, table3 in .md, .csv, .tex, .json
        plots/            .svg and .png
        lock              who is at work on it; gone when the run is over

A file counts once the manifest names it with its checksum, so the manifest is what makes several
files change together: until it is published, a reader sees the state before.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minifw.errors import ArtefactError, StorageError, UsageError, near_miss
from minifw.files import TEMPORARY, checksum, publish
from minifw.lock import LOCK, hold, holder

MANIFEST = "manifest.json"
FORMAT = 1
"""The layout of a run directory; a run of a later one is refused."""

OVER = ("complete", "diverged")
STATUSES = (*OVER, "running", "interrupted", "failed", "crashed", "damaged")


class Run:
    """One run directory. Files are written whole or not at all."""

    def __init__(self, path: Path, manifest: dict[str, Any] | None = None) -> None:
        self.path = path
        self.manifest: dict[str, Any] = manifest or {"format": FORMAT, "parts": {}, "files": {}}

    def write(self, name: str, content: str | bytes) -> None:
        """Publish the file `name`, a path inside the run, in one step.

        Raises:
            StorageError: it could not be written; an earlier file of that name is intact.

        """
        # A path may hold bytes that are no UTF-8; in text they are seen as `\udcff`.
        data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
        self.manifest["files"][name] = publish(self.path / name, data)

    def write_json(self, name: str, content: Any) -> None:
        """Publish `content` as JSON; NaN and infinity are refused, they are not JSON."""
        self.write(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def read(self, name: str) -> bytes:
        """Return the content of a file of the run, as it was written.

        Raises:
            ArtefactError: there is no such file, or its checksum is not the manifest's.
            StorageError: it could not be read.

        """
        data = _bytes(self.path / name)
        known = self.manifest["files"].get(name)
        if known is None:
            raise ArtefactError(f"{self.path / name}: the manifest does not name this file")
        if checksum(data) != known:
            raise ArtefactError(
                f"{self.path / name}: damaged: its SHA-256 must be {known[:12]}…, "
                f"got {checksum(data)[:12]}…"
            )
        return data

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file of the run."""
        try:
            return json.loads(self.read(name))
        except ValueError as fault:
            raise ArtefactError(f"{self.path / name}: not valid JSON: {fault}") from None

    def remove(self, name: str) -> None:
        """Delete a file that the manifest on disk no longer names."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as fault:
            raise StorageError(f"{self.path / name}: cannot be deleted: {fault.strerror}") from None

    def commit(self, **changes: Any) -> None:
        """Change the manifest and publish it: what was written since the last time counts now."""
        self.manifest |= changes
        content = {"checksum": _checksum(self.manifest), **self.manifest}
        publish(self.path / MANIFEST, (json.dumps(content, indent=2) + "\n").encode())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run, so that no other process works on it; a run that is over has no lock.

        Raises:
            UsageError: another process holds it.

        """
        with hold(self.path):
            yield
            # While it is still held: nobody can have taken hold of the name in between.
            if self.manifest.get("status") in OVER:
                self.remove(LOCK)

    def clean(self) -> None:
        """Delete what a process that was killed had written but not brought into the manifest.

        Only by who holds the run. These are temporary files and checkpoints of the run's own
        parts; what anybody else put into the directory stays.
        """
        parts = {
            f"{arm}-{mode}" for arm in self.manifest["arms"] for mode in self.manifest["modes"]
        }
        for name in self.strangers():
            folder, file = os.path.split(name)
            own = folder == "checkpoints" and file.partition(".")[0] in parts
            if own or file.startswith(TEMPORARY):
                self.remove(name)

    @property
    def status(self) -> str:
        """How it stands with the run: one of STATUSES."""
        status = str(self.manifest.get("status", "running"))
        if status == "running" and holder(self.path) is None:
            return "crashed"
        return status

    def faults(self) -> list[str]:
        """Return what is wrong with the files, a line each: missing, damaged, or not known."""
        faults = []
        for name in self.manifest["files"]:
            try:
                self.read(name)
            except ArtefactError as fault:
                faults.append(str(fault))
        return faults

    def strangers(self) -> list[str]:
        """Return the files in the directory that the manifest does not name."""
        known = {MANIFEST, LOCK, *self.manifest["files"]}
        found = (file for file in self.path.rglob("*") if not file.is_dir() or file.is_symlink())
        names = (str(file.relative_to(self.path)) for file in found)
        return sorted(name for name in names if name not in known)


# --------------------------------------------------------------------------------- making, finding


def create(runs_dir: Path, name: str) -> Run:
    """Make a new run directory for `name` below `runs_dir`, whatever else is there.

    Raises:
        StorageError: it cannot be made.

    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    while True:
        path = runs_dir / f"{stamp}-{name}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if runs_dir.exists() and not runs_dir.is_dir():
                raise StorageError(f"{runs_dir}: expects a directory, this is a file") from None
        except OSError as fault:
            raise StorageError(f"{path}: cannot be made: {fault.strerror}") from None
        else:
            return Run(path)


def load(path: Path) -> Run:
    """Return the run in this directory.

    Raises:
        ArtefactError: it has no manifest, or one that is damaged or not minifw's.

    """
    where = path / MANIFEST
    try:
        manifest = json.loads(_bytes(where))
    except ValueError as fault:
        raise ArtefactError(f"{where}: damaged: not valid JSON: {fault}") from None
    if not isinstance(manifest, dict) or "files" not in manifest or "parts" not in manifest:
        raise ArtefactError(f"{where}: not the manifest of a run of this minifw")
    if manifest.get("format") != FORMAT:
        raise ArtefactError(
            f"{where}: this minifw knows format {FORMAT}, got {manifest.get('format')!r}"
        )
    if manifest.pop("checksum", None) != _checksum(manifest):
        raise ArtefactError(f"{where}: damaged: it is not what its own checksum says")
    return Run(path, manifest)


def find(runs_dir: Path, text: str) -> Path:
    """Return the run directory that `text` means: a path, a run's name, or a part of one name.

    Raises:
        UsageError: there is none, or there are several.

    """
    path = Path(text)
    with suppress(OSError):  # a name longer than any directory's, say
        if text and path.is_dir():
            return path
    names = [entry.name for entry in folders(runs_dir)]
    found = [text] if text in names else [name for name in names if text and text in name]
    if len(found) == 1:
        return runs_dir / found[0]
    if found:
        raise UsageError(f"{text}: {len(found)} runs in {runs_dir} are named so, as {found[-1]}")
    near = near_miss(text, names) if len(names) <= 10 else ""
    raise UsageError(f"{text}: there is no such run, in {runs_dir} or as a path{near}")


def folders(runs_dir: Path) -> list[Path]:
    """Return the run directories below `runs_dir`, oldest first; none if it does not exist."""
    try:
        if not runs_dir.exists():
            return []
        return sorted(
            path
            for path in runs_dir.iterdir()
            if path.is_dir() and not path.is_symlink() and _is_run(path)
        )
    except OSError as fault:
        raise StorageError(f"{runs_dir}: cannot be read: {fault.strerror}") from None


@dataclass(frozen=True)
class Entry:
    """A line of a list of runs. `run` is None where the manifest is missing or damaged."""

    path: Path
    status: str
    run: Run | None


def entries(runs_dir: Path) -> list[Entry]:
    """Return all runs below `runs_dir`, oldest first, whatever their state."""
    found = []
    for path in folders(runs_dir):
        try:
            run = load(path)
        except ArtefactError:
            status = "damaged"
            if not (path / MANIFEST).exists():
                # It was killed, or is about to begin, before its first manifest.
                status = "crashed" if holder(path) is None else "running"
            found.append(Entry(path, status, None))
        else:
            found.append(Entry(path, run.status, run))
    return found


def delete(path: Path) -> None:
    """Delete a run directory with all that is in it, and nothing that a link in it points to.

    Raises:
        UsageError: it is a link, not a run, or a process is at work on it.
        StorageError: something could not be deleted.

    """
    if path.is_symlink():
        raise UsageError(f"{path}: this is a link; delete the directory that it points to by name")
    if not _is_run(path):
        raise UsageError(f"{path}: not a run directory: it has neither {MANIFEST} nor {LOCK}")
    with Run(path).held():
        try:
            shutil.rmtree(path)  # a link in it is deleted, not followed
        except OSError as fault:
            raise StorageError(
                f"{fault.filename or path}: cannot be deleted: {fault.strerror}"
            ) from None


def _is_run(path: Path) -> bool:
    return (path / MANIFEST).is_file() or (path / LOCK).is_file()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtefactError(f"{path}: this file of the run is missing") from None
    except OSError as fault:
        raise StorageError(f"{path}: cannot be read: {fault.strerror}") from None


def _checksum(manifest: dict[str, Any]) -> str:
    return checksum(json.dumps(manifest, sort_keys=True).encode())
