"""Run directories: their files, written atomically, and the lock that one process holds."""

from minifw.runs.directory import (
    MANIFEST,
    OVER,
    STATUSES,
    Run,
    create,
    delete,
    entries,
    find,
    folders,
    load,
)

__all__ = [
    "MANIFEST",
    "OVER",
    "STATUSES",
    "Run",
    "create",
    "delete",
    "entries",
    "find",
    "folders",
    "load",
]
