"""What a compressed file holds: gzip, zip, bzip2 and xz, found by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import IO

from minifw.data.reading import check_memory, unreadable
from minifw.errors import DataError, short_word

STEP = 1 << 24
"""Bytes that are unpacked at a time; a few bytes can become as much as the memory holds."""

FAULTS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def unpacked(path: Path, content: bytes) -> bytes:
    """Return what the file holds, itself if it is not compressed.

    Raises:
        DataError: it is damaged, has several members, or what it holds is beyond memory.

    """
    try:
        if content.startswith(b"\x1f\x8b"):
            return _all(path, gzip.GzipFile(fileobj=io.BytesIO(content)))
        if content.startswith(b"BZh"):
            return _all(path, bz2.BZ2File(io.BytesIO(content)))
        if content.startswith(b"\xfd7zXZ\x00"):
            return _all(path, lzma.LZMAFile(io.BytesIO(content)))
        if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _of_zip(path, content)
    except FAULTS as fault:
        raise unreadable(path, fault) from None
    return content


def _of_zip(path: Path, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # macOS adds members that describe the others.
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not member.filename.startswith("__MACOSX/")
        ]
        if len(members) != 1:
            names = ", ".join(short_word(member.filename) for member in members[:5])
            raise DataError(
                f"{path}: expects an archive of one file, got {len(members)}{names and ': '}{names}"
                f"{', …' if len(members) > 5 else ''}; unpack it, and give the path of one"
            )
        try:
            with archive.open(members[0]) as file:
                return _all(path, file)
        except (RuntimeError, NotImplementedError) as fault:  # encrypted, or an unknown method
            raise unreadable(path, fault) from None


def _all(path: Path, file: IO[bytes] | gzip.GzipFile) -> bytes:
    """Return the bytes of a file that may have any number of them."""
    buffer = io.BytesIO()
    while part := file.read(STEP):
        buffer.write(part)
        # The buffer grows by copying, and what is read from it is as large again.
        check_memory(f"{path}: unpacking this file", 2 * buffer.tell())
    return buffer.getvalue()
