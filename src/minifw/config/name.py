"""The rules for an experiment's name, which becomes part of the names of folders."""

from __future__ import annotations

import re

from minifw.errors import short

# Windows cannot make files with these names, with or without a suffix.
_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


def name_fault(name: str) -> str | None:
    """Return what is wrong with an experiment's name, None if nothing is."""
    if not re.fullmatch(NAME, name):
        return (
            f"must be 1 to 64 letters, digits, - and _, a letter or digit first, got {short(name)}"
        )
    if name.lower() in _RESERVED:
        return f"must not be a name that Windows reserves, got '{name}'"
    return None
