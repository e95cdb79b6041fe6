"""A run directory: what is in it, written atomically and held by one process."""

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
