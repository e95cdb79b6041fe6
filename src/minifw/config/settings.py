"""A user's settings for all configs: `minifw/settings.yaml` in $XDG_CONFIG_HOME.

allow_code: true      configs may run Python files that stand beside them
"""

from __future__ import annotations

import os
from pathlib import Path

from minifw.config import yaml12
from minifw.config.source import Source, kind_of
from minifw.errors import did_you_mean

KEYS = ("allow_code",)


def path() -> Path | None:
    """Return the path of the settings, in $XDG_CONFIG_HOME or ~/.config; None without a home."""
    try:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:
        return None
    return folder / "minifw" / "settings.yaml" if folder.is_absolute() else None


def allow_code() -> bool:
    """Return whether the user's settings allow every config to run code.

    Raises:
        ConfigError: the file exists and holds an unknown key or a wrong value.

    """
    file = path()
    if file is None or not file.is_file():
        return False
    source = Source(str(file))
    raw = yaml12.parse(yaml12.read(file), source)
    if not isinstance(raw, dict):
        if raw is not None and not source.faults:
            source.add((), f"expects `key: value` lines, got {kind_of(raw)}")
        raw = {}
    for key, value in raw.items():
        if key not in KEYS:
            source.add((key,), f"unknown key{did_you_mean(key, KEYS)}", of_key=True)
        elif not isinstance(value, bool):
            source.add((key,), f"must be true or false, got {kind_of(value)}")
    if source.faults:
        raise source.error()
    return bool(raw.get("allow_code", False))
