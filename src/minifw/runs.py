"""Run directories: their names, the files in them, and how each file gets there whole.

    RUNS_DIR/<UTC stamp>-<name>-<short id>/
        config.yaml       the resolved config, to be run again as it is
        results.json      final errors, times and parity: what the tables are made of
        metrics.jsonl     one line for each evaluation of each arm
        decision.npz      one network's decision over the plane, where there are two features
        checkpoints/      final weights of each arm, safetensors
        tables/           table1, table2, table3 in .md, .csv, .tex, .json
        plots/            .svg and .png
        manifest.json     written last: status, seeds, versions, and a checksum of each file

A directory without a manifest is a run that did not end.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minifw.errors import ArtefactError, StorageError

MANIFEST = "manifest.json"


class Run:
    """One run directory. Files are written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: str | bytes) -> None:
        """Publish the file `name`, a path inside the run, in one step.

        Raises:
            StorageError: it could not be written; an earlier file of that name is intact.

        """
        data = content.encode() if isinstance(content, str) else content
        target = self.path / name
        temporary = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            os.replace(temporary, target)
            _sync_folder(target.parent)
        except OSError as fault:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise StorageError(f"{target}: cannot be written: {fault.strerror}") from None

    def write_json(self, name: str, content: Any) -> None:
        """Publish `content` as JSON; NaN and infinity are refused, they are not JSON."""
        self.write(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def read(self, name: str) -> bytes:
        """Return the content of a file of the run.

        Raises:
            ArtefactError: there is no such file.
            StorageError: it could not be read.

        """
        target = self.path / name
        try:
            return target.read_bytes()
        except FileNotFoundError:
            raise ArtefactError(f"{target}: this file of the run is missing") from None
        except OSError as fault:
            raise StorageError(f"{target}: cannot be read: {fault.strerror}") from None

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file of the run."""
        try:
            return json.loads(self.read(name))
        except ValueError as fault:
            raise ArtefactError(f"{self.path / name}: not valid JSON: {fault}") from None

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, with a checksum of every file there is; the run is complete."""
        files = {
            str(file.relative_to(self.path)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(self.path.rglob("*"))
            if file.is_file() and file.name != MANIFEST
        }
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_json(MANIFEST, {**manifest, "finished": finished, "files": files})


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


def environment() -> dict[str, Any]:
    """Return versions, processor and command line: what another machine may do differently."""
    import platform
    from importlib.metadata import version

    names = ("minifw", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "command_line": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
