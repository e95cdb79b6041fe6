"""Text as Markdown and LaTeX take it, whatever signs a user's words have."""

from __future__ import annotations

import re
from collections.abc import Iterable

from minifw.errors import harmless

# Characters with a meaning in Markdown, since a caption holds a user's words. An underscore within
# a word has none.
MARKUP = re.compile(r"[\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w)")


def markdown(text: str) -> str:
    """Return a text escaped for Markdown."""
    return MARKUP.sub(r"\\\g<0>", harmless(text))


# ----------------------------------------------------------------------------------- LaTeX

_TEX = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
        '"': r"{\ttfamily\symbol{34}}",  # the straight quote in every font encoding
        "‐": "-", "‑": "-", "‒": "--", "–": "--", "—": "---", "−": r"\ensuremath{-}",
        "×": r"\ensuremath{\times}", "µ": r"\ensuremath{\mu}", "…": r"\ldots{}",
        "‘": "`", "’": "'", "“": "``", "”": "''",
    }
    | {"⁻": r"\textsuperscript{\ensuremath{-}}", "⁰": r"\textsuperscript{0}"}
    | {sign: rf"\textsuperscript{{{n}}}" for n, sign in enumerate("⁴⁵⁶⁷⁸⁹", 4)}
)  # fmt: skip

_NOT_IN_OT1 = set("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")  # LaTeX's default encoding
OTHER_LETTERS = "% the letters in this caption need XeLaTeX or LuaLaTeX, and a font that has them"


def tex(text: str) -> str:
    """Return a user's text escaped for LaTeX."""
    # Two of these in a row would become a ligature.
    apart = re.sub(r"(?<=[-`',])(?=[-`',])|(?<=[?!])(?=`)", "\0", harmless(text))
    return apart.translate(_TEX).replace("\0", "{}")


def has_other_letters(texts: Iterable[str]) -> bool:
    """Return whether a text has letters that pdfLaTeX does not have by default."""
    left = set("".join(texts).translate(_TEX))
    return bool(left & _NOT_IN_OT1) or any(ord(sign) > 0x17F for sign in left)
