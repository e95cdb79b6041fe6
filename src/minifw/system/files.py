"""Files that are written atomically, and the checksums by which damage is found.

The content of a folder may come from anybody. Below a `root`, paths are opened folder by folder,
and none of them may be a link: nothing outside of the root is read, written or deleted. Only
regular files are read; a pipe or a device could block a command forever.
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
"""The prefix of temporary files; a process that is killed may leave one."""


def publish(target: Path, data: bytes, *, replace: bool = True, root: Path | None = None) -> str:
    """Write `data` to `target` in one step, and return its SHA-256.

    The bytes go to a temporary file in the same folder and reach the disk before the file gets its
    name; then the folder is synced too. A reader sees the old file or the new one. With `replace`
    False the file must not exist. The folders between `root`, by default the target's folder, and
    the target are made; they must not be links.

    Raises:
        UsageError: the file exists and must not be replaced.
        ArtefactError: the path from `root` leads through a link, or through something else that
            is not a folder.
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
            try:  # unlike a rename, a link replaces nothing
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except FileExistsError:
                raise _TakenError from None
        os.fsync(folder)
    finally:
        with suppress(FileNotFoundError):  # it is gone after a rename
            os.unlink(temporary, dir_fd=folder)


def read(root: Path, name: str, limit: int | None = None) -> bytes:
    """Return the content of the file `name` below `root`.

    Raises:
        ArtefactError: it is missing, not a regular file, behind a link, or it holds more
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
        ArtefactError: it is missing and must not be made, or it is not a regular file.
        OSError: it could not be opened.

    """
    where = root / name
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # does not wait on a pipe
    try:
        with _folder(root, name) as (folder, last):
            try:
                # Checked before opening, since opening a device may have effects.
                _check_regular(os.stat(last, dir_fd=folder, follow_symlinks=False), where)
            except FileNotFoundError:
                if not flags & os.O_CREAT:
                    raise
            handle = os.open(last, flags, 0o644, dir_fd=folder)
    except FileNotFoundError:
        raise ArtefactError(f"{where}: this file of the run is missing") from None
    except OSError as fault:
        if fault.errno == errno.ELOOP:  # it became a link after the check
            raise ArtefactError(f"{where}: expects a file, this is a link") from None
        raise
    try:
        _check_regular(os.fstat(handle), where)
    except ArtefactError:
        os.close(handle)
        raise
    return handle


class NotAFileError(OSError):
    """The name belongs to something that is not a regular file; `kind` says to what."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"this is {kind}, not a file", str(path))
        self.kind = kind


def open_input(path: Path) -> BinaryIO:
    """Open a user's file to read its bytes; links are followed.

    Pipes and devices are refused: a reader could wait forever.

    Raises:
        NotAFileError: it is not a regular file.
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
    """Open the folder below `root` that holds `name`; give its handle and the file's own name.

    Each folder of the path is opened relative to the one before, so that none can become a link
    meanwhile.

    Raises:
        ArtefactError: `name` leads out of `root`, or through a link or a file.
        OSError: a folder could not be opened or made.

    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise ArtefactError(f"{root}: '{name}' is not the name of a file in it")
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
    """Return in words what has this mode."""
    kinds = {
        stat.S_IFREG: "a file", stat.S_IFDIR: "a directory", stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "a device")


def checksum(data: bytes) -> str:
    """Return the SHA-256 of these bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_output(path: Path, data: bytes) -> None:
    """Write a file that the user named: links are followed, and the mode is kept.

    A regular file is replaced atomically; a pipe or a device is written to.

    Raises:
        StorageError: it could not be written; an earlier file of that name is intact.

    """
    try:
        target = path.resolve()
        if not target.parent.is_dir():  # a typing error must not make a folder
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
