"""Commands of minifw in processes of their own, forked from one that has imported everything.

Starting Python and importing torch takes two seconds and touches no file of a run; without that
a campaign can kill ten times as many. No operation of torch may have run in the parent: a fork
would not have its threads.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

import torch  # noqa: F401, so that no child has to

from minifw.cli import main
from minifw.experiment import checkpointer
from minifw.study import executors
from minifw.system.files import checksum

# As many checkpoints as can be written, for as many ways to be cut off.
checkpointer.SHARE = executors.SHARE = 1e9


def start(folder: Path, *words: object) -> int:
    """Begin `minifw words` in the folder; return its process id. Its output goes to `output`."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.chdir(folder)
        output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["minifw", *map(str, words)]
        main.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 98
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(process: int) -> int:
    """Return the exit code of a process, minus the signal if one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run_of(folder: Path) -> Path:
    """Return the only run in the folder."""
    (path,) = (folder / "runs").iterdir()
    return path


def hashes(path: Path) -> dict[str, str]:
    """Return the checksums of all that a run computed; times and names are left out."""
    files: dict[str, str] = json.loads((path / "manifest.json").read_text())["files"]
    found = {
        name: digest
        for name, digest in files.items()
        if name.startswith(("checkpoints/", "tables/cells"))
        or name in ("metrics.jsonl", "config.yaml")
    }
    if "metrics.csv" in files:  # each line has the run's name
        lines = (path / "metrics.csv").read_bytes().replace(path.name.encode(), b"")
        found["metrics.csv"] = checksum(lines)
    return found
