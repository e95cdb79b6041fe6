"""The results of jobs as files in a run's directory, each of which checks itself.

Jobs may be done on several machines with one shared folder, so no other file lists them: what has
its name and its checksum is whole, and anything else is done again.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from minifw.errors import ArtefactError, StorageError
from minifw.runs import Files
from minifw.study.jobs import Job, Result
from minifw.system import files
from minifw.system.files import TEMPORARY

_DIGEST = hashlib.sha256().digest_size


class Store:
    """The finished jobs of a study, and what interrupted ones have left."""

    def __init__(self, run: Files) -> None:
        self.run = run

    def get(self, name: str) -> Result | None:
        """Return the result of the job of this name, None if there is no whole file of it."""
        return self._read(_file(name), keep=True)

    def of(self, job: Job) -> Result | None:
        """Return the stored result of a job; a file of other networks with its name is none."""
        return _of(job, self.get(job.id))

    def names(self) -> list[str]:
        """Return the names of the finished jobs that the manifest lists."""
        ends = (name.removeprefix("jobs/").removesuffix(".job") for name in self.run.known)
        return sorted(name for name in ends if _file(name) in self.run.known)

    def there(self) -> list[str]:
        """Return the names of the jobs of which there is a file, whole or not."""
        folder = self.run.path / "jobs"
        return sorted(path.stem for path in folder.glob("*.job"))

    def put(self, name: str, result: Result) -> None:
        """Keep the result of a job; the same job may come again."""
        self._write(_file(name), result)
        self.run.remove(_partial(name))

    def get_partial(self, job: Job) -> Result | None:
        """Return what an interrupted run of the job has left, None if there is nothing."""
        return _of(job, self._read(_partial(job.id)))

    def put_partial(self, name: str, state: Result) -> None:
        """Keep the state of a job that is not finished."""
        file = _partial(name)
        files.publish(self.run.path / file, _signed(file, state), root=self.run.path)

    def clean(self) -> None:
        """Delete what unfinished jobs and killed processes have left, when all jobs are done."""
        for path in [*(self.run.path / "jobs").iterdir()]:
            if path.name.startswith(TEMPORARY) or path.suffix == ".partial":
                self.run.remove(f"jobs/{path.name}")

    def _write(self, file: str, result: Result) -> None:
        content = _signed(file, result)
        if self.run.known.get(file) != files.checksum(content):  # else a worker has written it
            self.run.write(file, content)

    def _read(self, file: str, *, keep: bool = False) -> Result | None:
        with suppress(ArtefactError, StorageError):
            content = files.read(self.run.path, file)
            body, digest = content[:-_DIGEST], content[-_DIGEST:]
            if _digest(file, body) == digest:
                if keep:  # another process may have written it
                    self.run.known[file] = files.checksum(content)
                return Result.from_bytes(body, str(self.run.path / file))
        return None


def _of(job: Job, result: Result | None) -> Result | None:
    return result if result is not None and job.gave(result) else None


def _file(name: str) -> str:
    return f"jobs/{name}.job"


def _partial(name: str) -> str:
    return f"jobs/{name}.partial"


def _signed(file: str, result: Result) -> bytes:
    """Return the content of a file: the result, and the SHA-256 of the file's name and that."""
    body = result.to_bytes()
    return body + _digest(file, body)


def _digest(file: str, body: bytes) -> bytes:
    return hashlib.sha256(file.encode() + b"\n" + body).digest()
