"""A config from a program's own values, checked as the text of a file is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minifw.config import loading, yaml12
from minifw.config.model import Config
from minifw.config.source import KeyPath, Source


def of_values(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[Config, Source]:
    """Validate what a program gives, a mapping with the keys of a YAML file.

    Messages call it `config`. A path in it is meant from the current folder.

    Raises:
        ConfigError: with all faults, one line each.

    """
    source = Source("config", lines=False, option="overrides")
    text = yaml12.dump(_plain(values, (), source))
    if source.faults:
        raise source.error()
    yaml12.check_size(len(text.encode()), source.name)
    return loading.of_text(text, Path(source.name), assignments(overrides), source)


def assignments(overrides: Mapping[str, Any]) -> list[str]:
    """Return a program's overrides, values by their dotted keys, as `load_with_source` takes them.

    Raises:
        ConfigError: a value is none that YAML has.

    """
    source = Source("overrides")
    given = _plain(overrides, (), source)
    if source.faults:
        raise source.error()
    return [f"{key}={_in_one_line(value)}" for key, value in given.items()]


def _in_one_line(value: Any) -> str:
    """Return a value as YAML in one line; behind a bare word its writer puts the document's end."""
    return yaml12.dump(value, flow=True).removesuffix("...\n").strip()


def _plain(value: Any, path: KeyPath, source: Source) -> Any:
    """Return a program's value with YAML's types alone, and note what has none of those."""
    if len(path) > yaml12.MAX_DEPTH:
        source.add(path, f"nested more than {yaml12.MAX_DEPTH} deep")
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, (*path, str(key)), source) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, (*path, number), source) for number, inner in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        value = value.item()  # a number of NumPy's or torch's
    if value is None or isinstance(value, bool | int | float | str):
        return value
    source.add(path, f"must be what YAML has, got {type(value).__name__}")
    return None
