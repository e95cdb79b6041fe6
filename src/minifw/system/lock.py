"""A lock on a directory that ends with its process and that readers can see."""

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

from minifw.errors import ArtefactError, MinifwError, StorageError, UsageError
from minifw.system import files

LOCK = "lock"
MAX_BYTES = 4096


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Lock the folder for this process, visibly for others.

    The lock is the kernel's, which releases it if the process dies. For readers the file has the
    process id and start time; it is emptied afterwards.

    Raises:
        UsageError: another process holds it.
        ArtefactError: the lock's name belongs to something that is not a file of this folder.
        StorageError: the file cannot be written.

    """
    path = folder / LOCK
    try:
        handle = files.open_regular(folder, LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as fault:
        raise StorageError(f"{path}: cannot be written: {fault.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink > 1:
                # It is written in place: whoever has the other name would lose its content.
                raise ArtefactError(
                    f"{path}: this file has a second name (a hard link) elsewhere; delete it"
                )
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
            # A process that is just being started has the handle too, until its own program runs.
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _myself() -> dict[str, Any]:
    try:
        started = psutil.Process().create_time()
    except (psutil.Error, OSError):  # such as without /proc; the lock works without it
        started = 0.0
    return {"pid": os.getpid(), "started": started, "host": _host()}


def _host() -> str:
    try:
        return socket.gethostname()
    except OSError:
        return ""


def holder(folder: Path) -> dict[str, Any] | None:
    """Return `pid`, `started` and `host` of the process that holds the lock, None if none does.

    Process ids are reused, so the start time must be the same too. Processes of another machine
    cannot be seen; they count as running.
    """
    try:
        said = json.loads(files.read(folder, LOCK, MAX_BYTES))
        pid, started, host = said["pid"], said["started"], said["host"]
    except (MinifwError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not (isinstance(pid, int) and isinstance(started, float) and isinstance(host, str)):
        return None
    found = {"pid": pid, "started": started, "host": host}
    if host != _host():
        return found
    try:
        same = abs(psutil.Process(pid).create_time() - started) < 2
    except (psutil.Error, ValueError, OverflowError):  # no such process, or an impossible id
        return None
    return found if same else None
