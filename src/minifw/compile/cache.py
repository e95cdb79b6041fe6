"""Compiled libraries, kept for later runs: given back is only what this user wrote, unchanged.

A library is one file, which ends with a checksum of its name and its content; so there is no state
between two files, and a library that was cut short, damaged or renamed is as good as none. Opening
a library runs it: file and folder must be this user's, and no one else may be able to write to
them. A file appears under its name when it is complete; processes that keep the same library at
the same time replace one by the other.

That nothing can be kept is never an error: `keep` says why.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minifw.system.files import TEMPORARY

MAX_BYTES = 64 << 20
MAX_FILES = 500
SUFFIX = ".so"
_SEAL = hashlib.sha256().digest_size
_LEFT = 3600  # seconds after which a temporary file is that of a process that was killed


def cache_dir() -> Path | None:
    """Return the folder of compiled libraries: `minifw` in $XDG_CACHE_HOME or ~/.cache.

    None if there is none, since the user has no home, as in some containers.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minifw"
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # required by the standard of $XDG_CACHE_HOME


def find(name: str) -> bytes | None:
    """Return the library that is kept under this name; None if there is none to be trusted."""
    try:
        with _folder() as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(f"{name}{SUFFIX}", flags, dir_fd=folder)
            with os.fdopen(handle, "rb") as file:
                found = os.fstat(handle)
                _check_mine(found)
                if not stat.S_ISREG(found.st_mode):
                    return None
                data = file.read()
                with suppress(OSError):  # on a disk that can only be read
                    os.utime(handle)  # the least recently used are deleted first
    except OSError:
        return None
    content, seal = data[:-_SEAL], data[-_SEAL:]
    return content if _seal(name, content) == seal else None


def keep(name: str, content: bytes) -> str:
    """Keep a library under this name; return why it could not be kept, empty if it is."""
    try:
        with _folder(make=True) as folder:
            _write(folder, f"{name}{SUFFIX}", content + _seal(name, content))
            with suppress(OSError):
                _shrink(folder)
    except OSError as fault:
        return f"{cache_dir() or 'no full path to a folder'}: {fault.strerror}"
    return ""


def _seal(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + content).digest()


@contextmanager
def _folder(make: bool = False) -> Iterator[int]:
    """Give the open folder, so that it stays the one that was checked.

    Raises:
        OSError: there is none, or others could have written to it.

    """
    path = cache_dir()
    if path is None:
        given = os.environ.get("XDG_CACHE_HOME")
        raise FileNotFoundError(0, f"XDG_CACHE_HOME is '{given}'" if given else "no home folder")
    if path.is_symlink():
        raise NotADirectoryError(0, "it is a link; XDG_CACHE_HOME names another folder")
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(0o700)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_mine(os.fstat(handle))
        yield handle
    finally:
        os.close(handle)


def _check_mine(found: os.stat_result) -> None:
    """Raise an OSError unless only this user can write here."""
    if found.st_uid != os.geteuid():
        raise PermissionError(0, "belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(0, "others may write to it; `chmod go-w` lets it be used")


def _write(folder: int, name: str, data: bytes) -> None:
    """Write a file into the folder in one step.

    It need not have reached the disk: what a power failure leaves of it is not trusted.
    """
    temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, new, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _shrink(folder: int) -> None:
    """Delete the least recently used libraries beyond the bounds, and what killed processes left.

    Whoever has opened one keeps it. The newest stays, whatever its size.
    """
    found: list[tuple[float, int, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process was faster
                of_entry = entry.stat(follow_symlinks=False)
                if entry.name.startswith(TEMPORARY) and of_entry.st_mtime < time.time() - _LEFT:
                    os.unlink(entry.name, dir_fd=folder)
                elif entry.name.endswith(SUFFIX):
                    found.append((of_entry.st_mtime, of_entry.st_size, entry.name))
    used = 0
    for place, (_, size, name) in enumerate(sorted(found, reverse=True)):
        used += size
        if place and (place >= MAX_FILES or used > MAX_BYTES):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
