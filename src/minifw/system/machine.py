"""The processors and memory that this process may use, also in a container.

Three things limit them: the affinity of the process, its resource limits, and its control group
(Linux, cgroup v1 and v2), which containers and job schedulers use. The limits of a group apply to
all groups in it, so all enclosing groups are read too.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil

from minifw.errors import UsageError


def processors() -> int:
    """Return how many processors this process may use, at least 1.

    A quota of 1.5 processors counts as 2.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has no affinity
        count = os.cpu_count() or 1
    return max(1, math.ceil(min(count, _least(_processors_of, "cpu"))))


def check_threads(name: str, threads: int) -> None:
    """Raise a UsageError, which begins with `name`, if this process may not use so many CPUs."""
    if threads > (most := processors()):
        raise UsageError(
            f"{name}: must be at most the {most} CPU(s) that this process may use, got {threads}"
        )


def available() -> int:
    """Return how many more bytes this process may use: free ones, within its limits."""
    try:
        free: int = psutil.virtual_memory().available
    except (psutil.Error, OSError):  # such as without /proc
        free = _free_pages()
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            taken = 0
            with suppress(psutil.Error, OSError):
                taken = psutil.Process().memory_info().vms
            free = min(free, limit - taken)
    return max(0, int(min(free, _least(_memory_of, "memory"))))


def _free_pages() -> int:
    """Return the free bytes as the C library tells them; infinity if it does not."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


# ---------------------------------------------------------------------------------- control groups


def _least(limit_of: Callable[[Path], float], controller: str) -> float:
    """Return the smallest limit of the groups that this process is in, infinity without one."""
    return min((limit_of(folder) for folder in control_groups(controller)), default=math.inf)


def control_groups(controller: str, proc: Path = Path("/proc/self")) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, for one controller.

    `cgroup` names the group below a hierarchy's root, `mountinfo` the mount points of hierarchies.
    In a container the two may not fit each other; then the mounted folder is its own group.
    """
    try:
        groups = [line.split(":", 2) for line in _text(proc / "cgroup").split("\n")]
        mounts = [line.split(" ") for line in _text(proc / "mountinfo").split("\n")]
    except OSError:
        return
    for group in groups:
        if len(group) != 3 or not (group[1] == "" or controller in group[1].split(",")):
            continue
        for mount in mounts:
            if "-" not in mount or len(mount) < 10:
                continue
            kind, options = mount[mount.index("-") + 1], mount[-1].split(",")
            fits = kind == "cgroup2" if group[1] == "" else kind == "cgroup"
            if fits and (group[1] == "" or controller in options):
                yield from _upwards(Path(_unescaped(mount[4])), _unescaped(mount[3]), group[2])


def _upwards(mounted: Path, root: str, group: str) -> Iterator[Path]:
    """Yield the group's folder below the place where `root` is mounted, and all above it."""
    try:
        below = PurePosixPath(group).relative_to(root)
    except ValueError:
        below = PurePosixPath()
    folder = mounted / below if ".." not in below.parts else mounted
    while folder != mounted:
        yield folder
        folder = folder.parent
    yield mounted


def _unescaped(path: str) -> str:
    """Return a path of mountinfo, which writes a space as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path)


def _processors_of(folder: Path) -> float:
    """Return how many processors a group may use: its quota divided by its period."""
    both = _words(folder / "cpu.max")  # version 2: `max 100000` or `150000 100000`
    if not both:
        both = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
    try:
        quota, period = map(float, both)
    except ValueError:
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def _memory_of(folder: Path) -> float:
    """Return how many more bytes a group may use.

    Inactive pages of files count as free, since the kernel gives them back when needed.
    """
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            (most,), (taken,) = (map(int, _words(folder / name)) for name in (limit, used))
        except ValueError:  # no such file, or `max`
            continue
        if most < 0:
            continue
        words = _words(folder / "memory.stat")
        kept = dict(zip(words[::2], words[1::2], strict=False)).get(cache, "")
        return max(0, most - taken + (int(kept) if kept.isdecimal() else 0))
    return math.inf


def _words(file: Path) -> list[str]:
    try:
        return _text(file).split()
    except OSError:
        return []


def _text(file: Path) -> str:
    """Return the text of a file; bytes of names that are not UTF-8 are kept."""
    return os.fsdecode(file.read_bytes())


def gigabytes(count: float) -> str:
    """Return a number of bytes for a message."""
    unit, size = next(
        (unit, size)
        for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
        if count >= size or unit == "kB"
    )
    return f"{count / size:.{1 if count < 100 * size else 0}f} {unit}"
