"""Run directories: their files, written atomically, and the lock that one process holds."""

from minifw.runs.arms import ARMS, MODES, Arm, Mode, titled
from minifw.runs.directory import (
    MANIFEST,
    OVER,
    RESULTS,
    STATUSES,
    Entry,
    Files,
    Run,
    create,
    delete,
    entries,
    find,
    folders,
    load,
)

__all__ = [
    "ARMS",
    "MANIFEST",
    "MODES",
    "OVER",
    "RESULTS",
    "STATUSES",
    "Arm",
    "Entry",
    "Files",
    "Mode",
    "Run",
    "comparisons",
    "create",
    "delete",
    "entries",
    "find",
    "folders",
    "load",
    "records",
    "results",
    "studies",
    "titled",
    "variance",
]
