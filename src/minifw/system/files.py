"""Files that are there whole or not at all, and the checksums by which damage is seen.

What stands in a folder may have come from anybody. Below a `root`, names are walked folder by
folder, and none of them may be a link: nothing is read, written or deleted outside of it. What is
read is a regular file; a pipe or a device could hold a command for ever.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from minifw.errors import ArtefactError, StorageError, UsageError

TEMPORARY = ".minifw-"
"""How the names of temporary files begin; a process that was killed may leave one."""


def publish(target: Path, data: bytes, *, replace: bool = True, root: Path | None = None) -> str:
    """Write `data` to `target` in one step, and return its SHA-256.

    The bytes go to a temporary file in the same folder and reach the disk before the file takes
    its name; then the folder does. Whoever reads sees the old file or the new one. With `replace`
    False it takes the name only if there is no file that has it. The folders between `root`, the
    target's own folder by default, and the target are made, and must be no links.

    Raises:
        UsageError: there is such a file, and it is not to be replaced.
        ArtefactError: the way from `root` leads through a link, or through what is no folder.
        StorageError: it could not be written; an earlier file of that name is intact.

    """
    root = target.parent if root is None else root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _folder(root, str(target.relative_to(root)), make=True) as (folder, name):
            _write(folder, name, data, replace)
    except _TakenError:
        raise UsageError(f"{target}: is there already, and is not overwritten") from None
    except OSError as fault:
        raise StorageError(f"{target}: cannot be written: {fault.strerror}") from None
    return checksum(data)


class _TakenError(Exception):
    """There is a file of that name."""


def _write(folder: int, name: str, data: bytes, replace: bool) -> None:
    """Write a file into an open folder."""
    temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, new, 0o666, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            try:  # unlike a rename, this replaces nothing
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except FileExistsError:
                raise _TakenError from None
        os.fsync(folder)
    finally:
        with suppress(FileNotFoundError):  # as after a rename
            os.unlink(temporary, dir_fd=folder)


def read(root: Path, name: str, limit: int | None = None) -> bytes:
    """Return the content of the file `name` below `root`.

    Raises:
        ArtefactError: there is none, it is no regular file, a link leads to it, or it holds more
            than `limit` bytes.
        StorageError: it could not be read.

    """
    try:
        with os.fdopen(open_regular(root, name, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if limit is not None and size > limit:
                raise ArtefactError(f"{root / name}: must hold at most {limit} bytes, got {size}")
            return file.read(size)
    except OSError as fault:
        raise StorageError(f"{root / name}: cannot be read: {fault.strerror}") from None


def remove(root: Path, name: str) -> None:
    """Delete the file `name` below `root`; a link of that name is deleted, not what it leads to.

    Raises:
        ArtefactError: the way to it leads through a link.
        StorageError: it could not be deleted.

    """
    try:
        with _folder(root, name) as (folder, last), suppress(FileNotFoundError):
            os.unlink(last, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as fault:
        what = f"cannot be deleted: {fault.strerror}"
        raise StorageError(f"{root / name}: {what}") from None


def open_regular(root: Path, name: str, flags: int) -> int:
    """Open the regular file `name` below `root`, and return its handle.

    Raises:
        ArtefactError: there is none and none is to be made, or it is something else.
        OSError: it could not be opened.

    """
    where = root / name
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a reader does not wait
    try:
        with _folder(root, name) as (folder, last):
            try:
                # Before it is opened, for to open a device may do something.
                _check_regular(os.stat(last, dir_fd=folder, follow_symlinks=False), where)
            except FileNotFoundError:
                if not flags & os.O_CREAT:
                    raise
            handle = os.open(last, flags, 0o644, dir_fd=folder)
    except FileNotFoundError:
        raise ArtefactError(f"{where}: this file of the run is missing") from None
    except OSError as fault:
        if fault.errno == errno.ELOOP:  # a link came between the look and the opening
            raise ArtefactError(f"{where}: expects a file, this is a link") from None
        raise
    try:
        _check_regular(os.fstat(handle), where)
    except ArtefactError:
        os.close(handle)
        raise
    return handle


class NotAFileError(OSError):
    """There is something of that name that is no regular file; `kind` says in words what."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"this is {kind}, not a file", str(path))
        self.kind = kind


def open_input(path: Path) -> BinaryIO:
    """Open a file of the user's to read its bytes, be it through links.

    A pipe could keep its reader waiting, and a device never end.

    Raises:
        NotAFileError: it is no regular file.
        OSError: it cannot be opened.

    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise NotAFileError(path, _kind(mode))
        return open(handle, "rb")  # noqa: PTH123, a handle is no path
    except BaseException:
        os.close(handle)
        raise


@contextmanager
def _folder(root: Path, name: str, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder below `root` that holds `name`; give its handle, and the last part of `name`.

    Each folder on the way is opened in the one before, so that none can become a link meanwhile.

    Raises:
        ArtefactError: `name` leads out of `root`, or through a link or a file.
        OSError: a folder could not be opened or made.

    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ArtefactError(f"{root}: '{name}' is no name of a file in it")
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for depth, part in enumerate(path.parts[:-1], 1):
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=handle)
            found = os.stat(part, dir_fd=handle, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                where = root.joinpath(*path.parts[:depth])
                raise ArtefactError(f"{where}: expects a directory, this is {_kind(found.st_mode)}")
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle, path.parts[-1]
    finally:
        os.close(handle)


def _check_regular(found: os.stat_result, where: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ArtefactError(f"{where}: expects a file, this is {_kind(found.st_mode)}")


def _kind(mode: int) -> str:
    """Return in words what it is that has this mode."""
    kinds = {
        stat.S_IFREG: "a file", stat.S_IFDIR: "a directory", stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "a device")


def checksum(data: bytes) -> str:
    """Return the SHA-256 of these bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_output(path: Path, data: bytes) -> None:
    """Write a file that the user named, where they want it: a link is followed, a mode is kept.

    A regular file is replaced as a whole; into a pipe or a device the bytes are written.

    Raises:
        StorageError: it could not be written; an earlier file of that name is intact.

    """
    try:
        target = path.resolve()
        if not target.parent.is_dir():  # a typing error is not to become a folder
            raise FileNotFoundError(errno.ENOENT, "there is no such directory")
        before = target.stat() if target.exists() else None
        if before is not None and not stat.S_ISREG(before.st_mode):
            target.write_bytes(data)
            return
        publish(target, data)
        if before is not None:
            target.chmod(stat.S_IMODE(before.st_mode))
    except OSError as fault:
        raise StorageError(f"{path}: cannot be written: {fault.strerror}") from None
