"""Let the n-th write, fsync or rename of a run fail, for every n: the last good state must stay.

    python -m campaigns.faults [--every 1]

A training is run once for each call of the disk that it makes, and that call fails, as on a full
disk. The command must end with exit code 6 and one line that names the path; the directory must
hold the state before or after the failed step, readable and undamaged; and once the disk works
again, `resume` must end with the checksums of a run without a fault. `--every 5` tries each fifth.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaigns._processes import hashes, run_of, start, wait
from minifw import runs
from minifw.system import files

SMALL = ("simplenet-sgd", "-q", "--seeds", 2, "--set", "train.epochs=6", "--set", "data.train=80")
COMMANDS = {
    "train": ("train", *SMALL, "--set", "train.checkpoint_every=2"),
    "sweep": ("sweep", *SMALL, "--over", "train.eta=0.1,0.2", "--over", "network.0.linear=5,6"),
}


class Disk:
    """Counts calls of the disk, and fails one of them."""

    def __init__(self, failing: int | None) -> None:
        self.failing, self.calls = failing, 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments, **options)

        return wrapped


class _Files:
    """The module `os` as files.py sees it, with a disk that may fail."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.fsync, self.replace = disk.wrap(os.fsync), disk.wrap(os.replace)

    def fdopen(self, handle: int, mode: str) -> Any:
        if mode == "rb":
            return os.fdopen(handle, mode)
        file: Any = os.fdopen(handle, mode, buffering=0)
        disk = self._disk

        class File:
            write = staticmethod(disk.wrap(file.write))
            flush, fileno = file.flush, file.fileno

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *exception: object) -> None:
                file.close()

        return File()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def train(name: str, folder: Path, failing: int | None) -> tuple[int, int]:
    """Do a command with one failing call; return exit code and number of calls."""
    disk = Disk(failing)
    vars(files)["os"] = _Files(disk)
    counter = folder / "calls"
    # The child counts; it says how many at its end.
    leave = os._exit

    def counted(code: int) -> None:
        counter.write_text(str(disk.calls))
        leave(code)

    os._exit = counted  # type: ignore[assignment]
    try:
        code = wait(start(folder, *COMMANDS[name]))
    finally:
        vars(files)["os"], os._exit = os, leave
    return code, int(counter.read_text())


def fault_of(command: str, failing: int, expected: dict[str, str]) -> list[str] | None:
    """Return what is wrong after that call has failed, and after the run went on.

    None if the run did not get to that call: the fewer checkpoints are kept, the fewer calls.
    """
    with tempfile.TemporaryDirectory(prefix="minifw-faults-") as name:
        folder = Path(name)
        code, calls = train(command, folder, failing)
        if code == 0 and calls < failing:
            return None
        output = (folder / "output").read_text()
        path = run_of(folder)
        if code != 6 or "Traceback" in output or str(path.relative_to(folder)) not in output:
            return [f"exit code {code}: {output}"]
        if not (path / runs.MANIFEST).exists():
            return []  # it failed before the run had begun: nothing was there, nothing is lost
        run = runs.load(path)
        if run.status() not in ("failed", "crashed"):
            return [f"status {run.status()}"]
        # A file that was published anew while the manifest was not is either old or new.
        part = run.manifest.parts.get("minifw-sgd")
        if part is not None:
            run.read(part.file)
        code = wait(start(folder, "resume", path.relative_to(folder), "-q"))
        if code:
            return [f"resume ended with {code}: {(folder / 'output').read_text()}"]
        run = runs.load(path)
        wrong = run.faults() + [f"{name}: left over" for name in run.strangers()]
        return wrong if hashes(path) == expected else [*wrong, "other results than without a fault"]


def main() -> int:
    """Run the campaign; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    return max([_try(command, given.every) for command in COMMANDS])


def _try(command: str, every: int) -> bool:
    """Let calls of a command fail; return whether anything is wrong."""
    with tempfile.TemporaryDirectory(prefix="minifw-faults-") as name:
        code, calls = train(command, Path(name), None)
        if code:
            sys.exit(f"{command} ended with {code}: {(Path(name) / 'output').read_text()}")
        expected = hashes(run_of(Path(name)))
    tried = range(1, calls + 1, every)
    found = {failing: fault_of(command, failing, expected) for failing in tried}
    reached = {failing: wrong for failing, wrong in found.items() if wrong is not None}
    wrong = {failing: lines for failing, lines in reached.items() if lines}
    print(
        f"{command}: {len(reached)} of the {calls} writes, fsyncs and renames of a run made to "
        f"fail, one a run: {len(reached) - len(wrong)} left the state before or after, and went on "
        f"to equal checksums ({len(tried) - len(reached)} runs had fewer calls)"
    )
    for failing, lines in wrong.items():
        print(f"call {failing}: {'; '.join(lines)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
