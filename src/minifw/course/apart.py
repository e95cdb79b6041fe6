"""Grades each file in a process of its own, so that none can harm another, nor this program.

One helper process (`python -m minifw.course.apart`) imports torch once and forks for each file. The
fork has a limit of time, memory and output; an endless loop ends with the line where it was.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO, Any, NoReturn

from minifw.course.exercise import Exercise
from minifw.course.grading import Grade, TimeUp, grade
from minifw.course.syllabus import Course
from minifw.errors import MinifwError, UsageError, WorkerError, harmless, short

PATIENCE, GRACE = 3.0, 10.0
"""So many times the limit, and so many seconds, may pass on the clock, for a machine may be busy
with other things: the limit is one of computing. Then the file is killed, if it is not over."""
MEMORY = 1 << 30
"""Bytes that a file may ask for, above what torch takes."""
OUTPUT = 1 << 24
"""Bytes that a file may print, or write into a file."""


def grades(course: Course, exercises: Sequence[Exercise]) -> Iterator[Grade]:
    """Yield the grade of each of these exercises of a course, as soon as it is known.

    Raises:
        UsageError: a teacher's exercise cannot be run.
        WorkerError: the helper process was lost.

    """
    jobs = [
        [str(exercise.path), str(course.file(exercise)), course.time_limit]
        for exercise in exercises
    ]
    # -P: no file of the learner's folder is taken for a module of Python's.
    helper = subprocess.Popen(
        [sys.executable, "-P", "-m", "minifw.course.apart"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    assert helper.stdin is not None
    assert helper.stdout is not None
    try:
        with suppress(BrokenPipeError):
            helper.stdin.write(json.dumps(jobs).encode())
            helper.stdin.close()
        for exercise in exercises:
            line = helper.stdout.readline()
            if not line:
                raise WorkerError("minifw course: the process that grades was lost; try again")
            answer = json.loads(line)
            if "unusable" in answer:
                raise UsageError(*answer["unusable"])
            yield Grade(
                exercise.name, answer["state"], tuple(answer["faults"]), tuple(answer["notes"])
            )
    finally:
        helper.terminate()  # it ends what it has forked
        helper.wait()
        helper.stdout.close()


def main() -> None:
    """Be the helper process: read jobs from standard input, write one grade a line."""
    import torch

    from minifw.nn import checks  # noqa: F401  so that the forks need not import it

    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for exercise, file, limit in json.load(sys.stdin):
        print(json.dumps(_grade_apart(Path(exercise), Path(file), limit)), flush=True)


def _grade_apart(exercise: Path, file: Path, limit: float) -> dict[str, Any]:
    """Fork, grade there, and return the grade as JSON."""
    out, into = os.pipe()
    with tempfile.TemporaryFile() as printed:
        child = os.fork()
        if not child:
            os.close(out)
            _in_the_fork(exercise, file, limit, into, printed)
        os.close(into)
        try:
            answer = _read(out, time.monotonic() + GRACE + PATIENCE * limit)
        finally:
            os.close(out)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        if answer is None:
            what = f"did not end, nor let itself be stopped after {limit:g} s: an endless loop?"
            return _lost(file, what)
        try:
            found: dict[str, Any] = json.loads(answer)
        except ValueError:
            return _lost(file, f"the process was ended by the file ({_how(status)})")
        return found | {"notes": [*found.get("notes", ()), *_what_was(printed, file)]}


def _in_the_fork(exercise: Path, file: Path, limit: float, into: int, out: IO[bytes]) -> NoReturn:
    """Grade, write the grade into the pipe, and exit."""
    try:
        os.setpgid(0, 0)  # what the file starts ends with it
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(out.fileno(), 1)
        os.dup2(nothing, 2)
        _bound()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGPROF, _time_up(limit))
        signal.setitimer(signal.ITIMER_PROF, limit)
        try:
            answer = grade(Exercise.read(exercise), file).as_json()
        except MinifwError as fault:
            answer = {"unusable": [*fault.lines]}
        except (TimeUp, MemoryError) as fault:  # while a fault of the file was being told
            signal.setitimer(signal.ITIMER_PROF, 0)
            answer = _lost(file, str(fault) or "MemoryError")
        signal.setitimer(signal.ITIMER_PROF, 0)
        with suppress(Exception):
            sys.stdout.flush()
        os.write(into, json.dumps(answer).encode())
    finally:
        os._exit(0)


def _time_up(limit: float) -> Any:
    def stop(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.5)  # again, if the file catches this one
        raise TimeUp(f"did not end within {limit:g} s: an endless loop?")

    return stop


def _bound() -> None:
    """Limit the memory and the output of this process, where the system can."""
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _read(pipe: int, until: float) -> bytes | None:
    """Return what comes until the pipe is closed; None if that is too late."""
    found = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            part = os.read(pipe, 1 << 16)
            if not part:
                return found
            found += part
    return None


def _lost(file: Path, what: str) -> dict[str, Any]:
    return {"state": "wrong", "faults": [f"{harmless(file.name)}: {what}"], "notes": []}


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _what_was(printed: IO[bytes], file: Path) -> list[str]:
    """Return a line about what the file printed, if it printed anything."""
    printed.seek(0)
    text = printed.read(OUTPUT).decode("utf-8", "replace")
    if not text.strip():
        return []
    lines = text.splitlines()
    first = next(line for line in lines if line.strip())
    count = f"{len(lines)} line{'s' * (len(lines) > 1)}"
    return [f"{harmless(file.name)}: printed {count}, the first {short(first)}"]


if __name__ == "__main__":
    main()
