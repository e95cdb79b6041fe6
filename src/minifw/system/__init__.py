"""The machine: whole files or none, signals, processors and memory, prints that never fail.

The door names rooms: nothing is imported before it is used, for signals come first.
"""

__all__ = [
    "environment",
    "files",
    "lock",
    "machine",
    "reading",
    "signals",
    "streams",
]
