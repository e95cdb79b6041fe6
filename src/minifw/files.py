"""Files that are there whole or not at all, and the checksums by which damage is seen."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from minifw.errors import StorageError, UsageError


def publish(target: Path, data: bytes, *, replace: bool = True) -> str:
    """Write `data` to `target` in one step, and return its SHA-256.

    The bytes go to a temporary file in the same folder and reach the disk before the file takes
    its name; then the folder does. Whoever reads sees the old file or the new one. With `replace`
    False it takes the name only if there is no file that has it.

    Raises:
        UsageError: there is such a file, and it is not to be replaced.
        StorageError: it could not be written; an earlier file of that name is intact.

    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        if replace:
            os.replace(temporary, target)
            temporary = None
        else:
            os.link(temporary, target)  # unlike a rename, this replaces nothing
        _sync_folder(target.parent)
    except FileExistsError:
        raise UsageError(f"{target}: is there already, and is not overwritten") from None
    except OSError as fault:
        raise StorageError(f"{target}: cannot be written: {fault.strerror}") from None
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return checksum(data)


TEMPORARY = ".minifw-"
"""How the names of temporary files begin; a process that was killed may leave one."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read its bytes, if it is an ordinary file: no device, pipe, or directory.

    A pipe could keep its reader waiting, and a device never end.

    Raises:
        OSError: it cannot be opened, or is another kind of file; `strerror` says so in words.

    """
    # Opening a pipe waits for its writer unless told not to; what was opened is what is looked at.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            kind = "pipe" if stat.S_ISFIFO(mode) else "device"
            raise OSError(errno.EINVAL, f"Is a {kind}, not a regular file")
        return open(handle, "rb")  # noqa: PTH123, a handle is no path
    except BaseException:
        os.close(handle)
        raise


def checksum(data: bytes) -> str:
    """Return the SHA-256 of these bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
