"""What an experiment may be called: its name becomes part of the names of folders."""

from __future__ import annotations

import re

from minifw.errors import short

# Windows cannot make files of these names, whatever their suffix.
_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


def name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a run, which becomes part of a folder's name."""
    if not re.fullmatch(NAME, name):
        return (
            f"must be 1 to 64 letters, digits, - and _, a letter or digit first, got {short(name)}"
        )
    if name.lower() in _RESERVED:
        return f"must not be a name that Windows keeps for itself, got '{name}'"
    return None
