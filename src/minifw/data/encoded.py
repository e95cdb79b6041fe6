"""The text of a file as UTF-8, whatever encoding it is written in."""

from __future__ import annotations

import codecs
from pathlib import Path

from minifw.errors import DataError, short

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
STEP = 1 << 24
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"PK\x03\x04", b"PK\x05\x06")
"""How compressed files begin."""


def as_utf8(path: Path, content: bytes, encoding: str | None) -> bytes:
    """Return the text as UTF-8, without a mark at its start, and with line ends that have `\\n`.

    The encoding is UTF-8, or UTF-16 where its mark says so, unless one is given.

    Raises:
        DataError: it is another encoding; with the line, and the one that reads it.

    """
    name = _known(path, encoding) if encoding is not None else "utf-8"
    marked = next((known for mark, known in BOMS if content.startswith(mark)), None)
    if encoding is None and marked is not None:
        name = marked
    if name in ("utf-8", "utf-8-sig", "ascii"):
        content = content.removeprefix(codecs.BOM_UTF8)
        if not content.isascii() and (place := _fault(content, name)) is not None:
            raise _not_text(path, content, place, name)
    else:
        try:
            text = content.decode(name)
        except UnicodeDecodeError as fault:
            raise _not_text(path, content, fault.start, name) from None
        content = text.removeprefix("\ufeff").encode(errors="replace")
    if (place := content.find(b"\0")) >= 0:
        near = _wide(content) if encoding is None else None
        instead = f"; data.encoding: {near} may read it" if near else ""
        line = content.count(b"\n", 0, place) + 1
        raise DataError(f"{path}:{line}: is no text, it holds a NUL byte{instead}")
    if b"\r" in content and b"\n" not in content:  # of a Macintosh
        content = content.replace(b"\r", b"\n")
    return content


def is_known(encoding: str) -> bool:
    """Return whether Python has such an encoding of text."""
    try:
        "".encode(encoding)
        codecs.lookup(encoding)
    except (LookupError, ValueError):
        return False
    return True


def _known(path: Path, encoding: str) -> str:
    """Return the name by which Python knows an encoding of text."""
    if is_known(encoding):
        return codecs.lookup(encoding).name
    raise DataError(
        f"{path}: data.encoding: expects an encoding that Python knows, such as latin-1, "
        f"cp1252 or utf-16, got {short(encoding)}"
    )


def _wide(content: bytes) -> str | None:
    """Return the encoding of two bytes a character that a text seems to have, without a mark."""
    begin = content[:1000]
    if begin.count(b"\0") * 4 <= len(begin):
        return None
    return "utf-16-be" if begin[:1] == b"\0" else "utf-16-le"


def _fault(content: bytes, name: str) -> int | None:
    """Return the place of the first byte that is not of the encoding; no copy of all is made."""
    decoder = codecs.getincrementaldecoder(name)()
    for start in range(0, len(content), STEP):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(content[start : start + STEP], final=start + STEP >= len(content))
        except UnicodeDecodeError as fault:
            return start - pending + fault.start
    return None


def _not_text(path: Path, content: bytes, place: int, name: str) -> DataError:
    """Return the error for a byte that is not of the encoding, with one that reads all."""
    line = content.count(b"\n", 0, place) + 1
    said = name.upper() if name.startswith("utf") else name
    if any(content.startswith(start) for start in PACKED):
        what = "holds a compressed file; unpack it, and give the path of what is in it"
        return DataError(f"{path}: {what}")
    if near := _wide(content):
        return DataError(f"{path}:{line}: is not {said} text; data.encoding: {near} may read it")
    if b"\0" in content:
        return DataError(f"{path}:{line}: is no text, nor a kind of file that is known here")
    if (other := encoding_of(content, name)) is not None:
        return DataError(f"{path}:{line}: is not {said} text; data.encoding: {other} reads it")
    return DataError(f"{path}:{line}: is not {said} text; see data.encoding")


def encoding_of(content: bytes, name: str = "utf-8") -> str | None:
    """Return an encoding other than `name` that reads a text, None if there is none."""
    # cp1252 has letters and quotes where latin-1 has control characters, which no text needs.
    others = ["cp1252", "latin-1"] if any(0x80 <= byte < 0xA0 for byte in content) else ["latin-1"]
    if name != "utf-8":
        others = ["utf-8", *others]
    for other in others:
        try:
            content.decode(other)
        except UnicodeDecodeError:
            continue
        if codecs.lookup(other).name != name:
            return other
    return None
