"""Who is at work on a directory: a lock that ends with its process, for readers to look at."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from minifw.errors import StorageError, UsageError

LOCK = "lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the folder: no other process can, and whoever looks sees that this one is at work.

    The lock itself is the kernel's, which takes it back from a process that dies. Process id
    and start time are in the file for those who only look; afterwards it is empty.

    Raises:
        UsageError: another process holds it.
        StorageError: the file cannot be written.

    """
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as fault:
        raise StorageError(f"{path}: cannot be written: {fault.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_myself()).encode(), 0)
        except OSError as fault:
            if fault.errno in (errno.EWOULDBLOCK, errno.EACCES):
                who = (holder(folder) or {}).get("pid", "unknown")
                raise UsageError(f"{folder}: process {who} is at work on this run") from None
            raise StorageError(f"{path}: cannot be locked: {fault.strerror}") from None
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _myself() -> dict[str, Any]:
    try:
        started = psutil.Process().create_time()
    except (psutil.Error, OSError):  # there is no /proc, say; the lock holds without
        started = 0.0
    return {"pid": os.getpid(), "started": started, "host": _host()}


def _host() -> str:
    try:
        return socket.gethostname()
    except OSError:
        return ""


def holder(folder: Path) -> dict[str, Any] | None:
    """Return what the lock says of the process at work, None if there is none (any more).

    A process id is used again after a while, so the start time must be the same too. Of another
    machine's processes nothing can be seen: they count as being at work.
    """
    try:
        holder = json.loads((folder / LOCK).read_bytes())
        pid, started, host = int(holder["pid"]), float(holder["started"]), holder["host"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if host != _host():
        return dict(holder)
    try:
        same = abs(psutil.Process(pid).create_time() - started) < 2
    except psutil.Error:
        return None
    return dict(holder) if same else None
