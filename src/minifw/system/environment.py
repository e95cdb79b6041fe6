"""What a result may depend on besides its config: versions, processor, the state of the code.

None of this is needed to train. Values that a machine does not tell are left empty.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Return versions, processor and command line."""
    packages = {name: installed_version(name) for name in ("torch", "numpy")}
    return {
        "versions": {"python": platform.python_version(), "minifw": own_version(), **packages},
        "platform": _platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "git": _git(),
        "command_line": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def own_version() -> str:
    """Return the version of this code.

    What is installed may be an older link to it, whose metadata are as they were then.
    """
    return str(sys.modules["minifw"].__version__)


def installed_version(package: str) -> str:
    """Return the installed version; code that is not installed has none."""
    try:
        return metadata.version(package) or "unknown"
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))


def _platform() -> str:
    try:
        return platform.platform()
    except OSError:  # it reads the Python executable to find the version of the C library
        return f"{platform.system()}-{platform.release()}-{platform.machine()}"


def cpu_info() -> dict[str, str]:
    """Return Linux's information on the first processor, by key; empty elsewhere.

    That on all of them takes Linux milliseconds to write on a large machine.
    """
    known: dict[str, str] = {}
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if not line.strip():
                break
            known[key.strip()] = value.strip()
    return known


def _processor() -> str:
    """Return the processor's name, and its family and model, since clouds shorten the name."""
    known = cpu_info()
    try:
        return f"{known['model name']} (family {known['cpu family']}, model {known['model']})"
    except KeyError:  # not Linux, or not an x86
        return platform.processor()


def _git() -> dict[str, Any] | None:
    """Return commit and state of the repository that the command ran in, None without one."""

    def git(*words: str) -> bytes:  # names of files are bytes in an unknown encoding
        # Without optional locks: reading must not write, nor disturb another git process.
        done = subprocess.run(
            ["git", "--no-optional-locks", *words],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD").decode("ascii")
        return {"commit": commit, "dirty": bool(git("status", "--porcelain"))}
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def leave_lost_folder() -> bool:
    """Change the working directory if it has been deleted; return whether it has.

    Libraries need an existing one: without it MKL ends the process at its first product. The new
    one is Linux's folder of this process's threads: it has no user's files and no file can be made
    in it, so that relative paths still fail.
    """
    try:
        Path.cwd()
    except OSError:
        with suppress(OSError):
            os.chdir("/proc/self/task")
        return True
    return False


@contextmanager
def quiet_matplotlib() -> Iterator[None]:
    """Within this block Matplotlib does not warn of a home folder that it cannot write to.

    It uses a temporary folder instead, which is deleted at the end of the block, since minifw's
    processes end without Python's own clean-up.
    """
    log = logging.getLogger("matplotlib")
    level, before = log.level, os.environ.get("MPLCONFIGDIR")
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        made = os.environ.get("MPLCONFIGDIR", "")
        if made != before and Path(made).name.startswith("matplotlib-"):
            shutil.rmtree(made, ignore_errors=True)
            del os.environ["MPLCONFIGDIR"]
            if before is not None:
                os.environ["MPLCONFIGDIR"] = before
