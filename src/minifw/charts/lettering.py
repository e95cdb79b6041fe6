"""Text in a picture: how wide it is about, shortened and broken to fit, and safe as markup.

No font is at hand where a page is made, so widths are those of common sans-serif fonts, rounded up.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable

from minifw.errors import harmless

WIDTHS = {
    **dict.fromkeys("iljI|'!.,:; ", 0.34), **dict.fromkeys("trf()[]{}/\\\"-·", 0.43),
    **dict.fromkeys("=<>+×−–w", 0.84), **dict.fromkeys("mMW@%—…", 1.0),
    **dict.fromkeys("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", 0.42),
}  # fmt: skip
"""Of some letters, as shares of the size: those of DejaVu Sans, which is wider than most."""


def width(text: str, size: float) -> float:
    """Return about how wide a text is in letters of this size, in the same unit."""
    return size * sum(map(_ems, text))


def _ems(sign: str) -> float:
    if sign in WIDTHS:
        return WIDTHS[sign]
    if unicodedata.combining(sign):
        return 0.0
    if unicodedata.east_asian_width(sign) in "WF":
        return 1.02
    return 0.73 if sign.isupper() else 0.635


def fitted(text: str, room: float, size: float) -> str:
    """Return a text, harmless, cut in its middle where it is too wide.

    Long names are most often alike at the beginning, so that their end says which one is meant.
    """
    text = harmless(text)
    if width(text, size) <= room:
        return text
    for half in range(min(len(text) // 2, 60), 0, -1):
        short = f"{text[:half].rstrip()}…{text[-half:].lstrip()}"
        if width(short, size) <= room:
            return short
    return "…"


def broken(text: str, room: float, size: float, lines: int = 2) -> list[str]:
    """Return a text as so many lines at most, broken between words; the last one is shortened."""
    found: list[str] = []
    words = harmless(" ".join(text.split())).split(" ")
    while words and len(found) < lines - 1:
        count = 1
        while count < len(words) and width(" ".join(words[: count + 1]), size) <= room:
            count += 1
        found.append(fitted(" ".join(words[:count]), room, size))
        words = words[count:]
    rest = " ".join(words)
    return [*found, fitted(rest, room, size)] if rest else [line for line in found if line]


def escaped(text: str) -> str:
    """Return a text as the content of an element or of a quoted attribute."""
    return html.escape(harmless(text))


def number(value: float) -> str:
    """Return a coordinate with one decimal, in as few characters as there may be."""
    text = f"{value:.1f}".removesuffix(".0")
    text = text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text
    return "0" if text in ("-0", "") else text


def joined(values: Iterable[float]) -> str:
    """Return coordinates one after the other; a sign parts as well as a space."""
    return " ".join(map(number, values)).replace(" -", "-")
