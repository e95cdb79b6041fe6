"""Run directories: their names, files, locks and status.

    RUNS_DIR/<UTC stamp>-<name>-<short id>/
        manifest.json     status, seeds, versions, progress of each part, a checksum of each file
        config.yaml       the resolved config, to be run again as it is
        env.json          versions, processor, threads, git commit, command line
        checkpoints/      of each part (an arm in a mode), safetensors
        results.json      final errors, times and parity, from which the tables are made
        metrics.jsonl     one line for each evaluation of each arm
        decision.npz      one network's decision over the plane, where there are two features
        norms.npz         with train.record, how large gradients and others of each layer were
        tensorboard/      with train.tensorboard, event files
        predicted.npz     of regression, one network's predictions of the test samples
        tables/           table1 to table4 in .md, .csv, .tex, .json
        plots/            .svg and .png
        report.html       the run as one page, if it was asked for
        lock              the process that works on it; deleted when the run is finished

A file is valid once the manifest names it with its checksum. So several files change together:
until the manifest is published, a reader sees the previous state. A run may come from anybody:
`records.py` checks its manifest, and `files.py` never leaves the directory.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minifw.errors import (
    ArtefactError,
    StorageError,
    UsageError,
    did_you_mean,
)
from minifw.runs import records
from minifw.runs.records import Manifest, PartName
from minifw.runs.results import Listed, Results
from minifw.system import files
from minifw.system.files import TEMPORARY, checksum, publish
from minifw.system.lock import LOCK, hold, holder

MANIFEST = "manifest.json"
RESULTS = "results.json"

OVER = ("complete", "diverged")
STATUSES = (
    *OVER, "running", "interrupted", "failed", "crashed", "empty", "damaged", "unreadable", "older",
)  # fmt: skip
"""An `empty` run has no manifest yet. In a `damaged` run the manifest or results.json is wrong, in
an `unreadable` one the permission to read them is missing. An `older` run has a format from before
those that are read."""

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_-]+-[0-9a-f]{6}")
"""The name of a run's directory, as made by `create`."""


class Files:
    """Files in a folder, each written atomically; `known` has their checksums."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, str] = {}

    @property
    def known(self) -> dict[str, str]:
        """The SHA-256 of each file, by its path in the folder."""
        return self._known

    def write(self, name: str, content: str | bytes) -> None:
        """Publish the file `name`, a path inside the folder, in one step.

        Raises:
            StorageError: it could not be written; an earlier file of that name is intact.
            ArtefactError: the way to it leads through a link.

        """
        # A path may hold bytes that are not UTF-8; in text they appear as `\udcff`.
        data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
        self.known[name] = publish(self.path / name, data, root=self.path)

    def write_json(self, name: str, content: Any) -> None:
        """Publish `content` as JSON; NaN and infinity, which JSON does not have, are refused."""
        self.write(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def read(self, name: str) -> bytes:
        """Return the content of a file of the folder, as it was written.

        Raises:
            ArtefactError: there is no such file, it is a link or no regular file, or its checksum
                is not the one known.
            StorageError: it could not be read.

        """
        where = self.path / name
        known = self.known.get(name)
        if known is None:
            raise ArtefactError(f"{where}: the manifest does not name this file")
        data = files.read(self.path, name)
        if checksum(data) != known:
            raise ArtefactError(
                f"{where}: damaged: its SHA-256 must be {known[:12]}…, got {checksum(data)[:12]}…"
            )
        return data

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file of the folder."""
        return records.parse(self.read(name), str(self.path / name))

    def read_text(self, name: str) -> str:
        """Return the content of a text file of the folder."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as fault:
            raise ArtefactError(f"{self.path / name}: not UTF-8: {fault}") from None

    def remove(self, name: str) -> None:
        """Delete a file of the folder, or the link of that name."""
        files.remove(self.path, name)


class Run(Files):
    """One run directory, and its manifest as an object."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        super().__init__(path)
        self.manifest = manifest

    @property
    def known(self) -> dict[str, str]:
        return self.manifest.files

    def commit(self, **changes: Any) -> None:
        """Change the manifest and publish it: files written since the last time are now valid."""
        for key, value in changes.items():
            setattr(self.manifest, key, value)
        publish(self.path / MANIFEST, self.manifest.to_bytes(), root=self.path)

    def reload(self) -> None:
        """Read the manifest again, after the run is held and no other process can change it."""
        self.manifest = load(self.path).manifest

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run's lock, so that no other process works on it; a finished run has no lock.

        Raises:
            UsageError: another process holds it.

        """
        with hold(self.path):
            yield
            # Deleted while it is held, so that no other process can have locked it in between.
            if self.manifest.status in OVER:
                self.remove(LOCK)

    def clean(self) -> None:
        """Delete files that a killed process had written but not recorded in the manifest.

        The caller must hold the run. These are temporary files and checkpoints of the run's parts;
        other files in the directory are kept.
        """
        for name in self.strangers():
            part = PartName.of_file(name)
            own = part is not None and self.manifest.has(part)
            if own or Path(name).name.startswith(TEMPORARY):
                self.remove(name)

    def status(self) -> str:
        """Return the status of the run, one of STATUSES; this looks at its lock."""
        status = self.manifest.status
        if status == "running" and holder(self.path) is None:
            return "crashed"
        return status

    def results(self) -> Results:
        """Return the results of a finished run.

        Raises:
            ArtefactError: results.json is missing, damaged, or holds something else.
            StorageError: it could not be read.

        """
        return records.checked(Results, self.read_json(RESULTS), str(self.path / RESULTS))

    def listed(self) -> Listed:
        """Return the results that lists show; without modes if the run is not finished.

        Raises: as `results`.
        """
        if RESULTS not in self.known:
            return Listed(modes={})
        return records.checked(Listed, self.read_json(RESULTS), str(self.path / RESULTS))

    def faults(self) -> list[str]:
        """Return what is wrong with the files that the manifest names, one line for each.

        Raises:
            StorageError: one could not be read.

        """
        faults = []
        for name in self.known:
            try:
                self.read(name)
            except ArtefactError as fault:
                faults.append(str(fault))
        return faults

    def strangers(self) -> list[str]:
        """Return the files and links in the directory that the manifest does not name."""
        known = {MANIFEST, LOCK, *self.known}
        found = []
        for folder, inner, names in os.walk(self.path):  # it follows no links
            links = [name for name in inner if Path(folder, name).is_symlink()]
            found += [str(Path(folder, name).relative_to(self.path)) for name in names + links]
        return sorted(name for name in found if name not in known)


# --------------------------------------------------------------------------------- making, finding


def create(runs_dir: Path, manifest: Manifest) -> Run:
    """Make a new, empty run directory in `runs_dir`.

    Raises:
        StorageError: it cannot be made.

    """
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
    except FileExistsError as fault:  # neither a folder nor a link to one
        what = "a link that leads nowhere" if Path(fault.filename).is_symlink() else "a file"
        raise StorageError(f"{fault.filename}: expects a directory, this is {what}") from None
    except OSError as fault:
        raise StorageError(f"{runs_dir}: cannot be made: {fault.strerror}") from None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    while True:
        path = runs_dir / f"{stamp}-{manifest.name}-{secrets.token_hex(3)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue  # another run began in the same second
        except OSError as fault:
            raise StorageError(f"{path}: cannot be made: {fault.strerror}") from None
        return Run(path, manifest)


def load(path: Path) -> Run:
    """Return the run in this directory.

    Raises:
        ArtefactError: it has no manifest, or one that is damaged or not minifw's.
        StorageError: it could not be read.

    """
    if not _there(path / MANIFEST) and _there(path / LOCK):
        if holder(path) is not None:
            raise ArtefactError(f"{path}: this run is just starting")
        raise ArtefactError(
            f"{path}: this run ended before training began, nothing can be resumed; "
            f"`minifw runs rm {path}` deletes it"
        )
    data = files.read(path, MANIFEST, records.MAX_BYTES)
    return Run(path, Manifest.from_bytes(data, str(path / MANIFEST)))


_SHOWN = 3
"""How many runs a message names of those that a word may mean."""


def find(runs_dir: Path, text: str) -> Path:
    """Return the run directory for `text`: a path, a run's name, or a part of a name.

    Raises:
        UsageError: there is no such run, or there are several.
        StorageError: there is no permission to read the directory.

    """
    path = Path(text)
    try:
        if text and path.is_dir():
            return path
    except PermissionError as fault:
        raise StorageError(f"{path}: cannot be read: {fault.strerror}") from None
    except OSError:
        pass  # not a path, such as a word that is too long
    names = [entry.name for entry in folders(runs_dir)]
    found = [text] if text in names else [name for name in names if text and text in name]
    if len(found) == 1:
        return runs_dir / found[0]
    if found:
        newest = ", ".join(found[: -_SHOWN - 1 : -1])
        which = "newest first" if len(found) <= _SHOWN else f"the newest {_SHOWN}"
        raise UsageError(f"{text}: {len(found)} runs in {runs_dir} are named so; {which}: {newest}")
    near = did_you_mean(text, names) if len(names) <= 10 else ""
    raise UsageError(f"{text}: there is no such run, in {runs_dir} or as a path{near}")


def folders(runs_dir: Path) -> list[Path]:
    """Return the run directories in `runs_dir`, oldest first; none if it does not exist.

    Directories without permission to read them are included.
    """
    try:
        inside = sorted(runs_dir.iterdir())
    except FileNotFoundError:
        return []
    except OSError as fault:
        raise StorageError(f"{runs_dir}: cannot be read: {fault.strerror}") from None
    return [path for path in inside if path.is_dir() and not path.is_symlink() and _may_be(path)]


def _may_be(path: Path) -> bool:
    """Whether this directory may be a run."""
    try:
        return _is_run(path)
    except StorageError:
        return True


@dataclass(frozen=True)
class Entry:
    """A row of a list of runs: what can be read of a run, and its status.

    `run` is None if the manifest cannot be read, `results` if the results cannot be read.
    """

    path: Path
    status: str
    run: Run | None = None
    results: Listed | None = None


def entries(runs_dir: Path) -> list[Entry]:
    """Return all runs in `runs_dir`, oldest first, in any state."""
    return [_entry(path) for path in folders(runs_dir)]


def _entry(path: Path) -> Entry:
    run = None
    try:
        run = load(path)
        return Entry(path, run.status(), run, run.listed())
    except StorageError:
        return Entry(path, "unreadable", run)
    except ArtefactError:
        with suppress(StorageError):
            if not _there(path / MANIFEST):
                # It was killed before its first manifest, or is just starting.
                return Entry(path, "empty" if holder(path) is None else "running")
        return Entry(path, "older" if run is None and _older(path) else "damaged", run)


def _older(path: Path) -> bool:
    """Whether the manifest of a run that cannot be loaded is of an older format."""
    with suppress(ArtefactError, StorageError):
        data = files.read(path, MANIFEST, records.MAX_BYTES)
        return records.older(records.parse(data, str(path)))
    return False


def delete(path: Path) -> None:
    """Delete a run directory and everything in it, but nothing that a link in it points to.

    Raises:
        UsageError: it is a link, not a run, or a process works on it.
        StorageError: something could not be deleted.

    """
    if path.is_symlink():
        raise UsageError(f"{path}: this is a link; delete the directory that it points to by name")
    if not _is_run(path):
        raise UsageError(f"{path}: not a run directory: it has neither {MANIFEST} nor {LOCK}")
    if not _NAME.fullmatch(path.absolute().name):
        try:  # other programs have a manifest.json too
            load(path)
        except ArtefactError as fault:
            raise UsageError(f"{path}: not a run, by its name and its manifest: {fault}") from None
    with ExitStack() as stack:
        with suppress(ArtefactError):  # it is not a lock, so no process holds it
            stack.enter_context(hold(path))
        try:
            shutil.rmtree(path)  # a link in it is deleted, not followed
        except OSError as fault:
            name = Path(fault.filename or path).name
            what = f"cannot be deleted: {name}: {fault.strerror}"
            raise StorageError(f"{path}: {what}") from None


def refuse_inside(path: Path, option: str) -> None:
    """Refuse a file, or a folder, that a user wants to be written into any run.

    Raises:
        UsageError: it is a run's directory, or inside one.

    """
    target = path.resolve()
    for folder in (target, *target.parents):
        with suppress(ArtefactError, StorageError):
            if not _is_run(folder):
                continue
            if not _NAME.fullmatch(folder.name):
                load(folder)  # other programs have a manifest.json too
            raise UsageError(
                f"{option}: '{path}' is inside a run, whose files must not change; name one outside"
            )


def _is_run(path: Path) -> bool:
    return _there(path / MANIFEST) or _there(path / LOCK)


def _there(path: Path) -> bool:
    """Whether anything has this name, even a broken link."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as fault:
        raise StorageError(f"{path}: cannot be read: {fault.strerror}") from None
    return True
