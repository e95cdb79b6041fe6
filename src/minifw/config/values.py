"""A config from Python values, checked in the same way as a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minifw.config import axes, loading, yaml12
from minifw.config.code import Code
from minifw.config.model import Config
from minifw.config.source import KeyPath, Source
from minifw.errors import ConfigError, UsageError
from minifw.nn import Loss, Module, Optimizer


def of_values(
    values: Mapping[str, Any], overrides: Mapping[str, Any], *, allow_code: bool = False
) -> tuple[Config, Source]:
    """Validate a mapping with the keys of a YAML file, as `loading` validates a file.

    Messages call it `config`. Paths in it are relative to the current folder.

    Raises:
        ConfigError: with all faults, one line each.

    """
    return parsed(values, allow_code=allow_code).config(assignments(overrides))


def parsed(values: Mapping[str, Any], *, allow_code: bool = False) -> loading.Parsed:
    """Return a mapping as a text that was parsed; see `of_values`."""
    code = Code(allow_code)
    source = Source("config", lines=False, option="overrides", code=code.files)
    text = yaml12.dump(_plain(values, (), source))
    if source.faults:
        raise source.error()
    yaml12.check_size(len(text.encode()), source.name)
    return loading.Parsed(text, Path(source.name), code, source)


def check_overrides(overrides: object) -> None:
    """Raise a UsageError unless these are values by their dotted keys."""
    what = "overrides must be a mapping of dotted keys, as {'train.epochs': 5}"
    if not isinstance(overrides, Mapping):
        raise UsageError(f"train: {what}, got {type(overrides).__name__}")
    for key in overrides:
        if not isinstance(key, str) or "=" in key:
            raise UsageError(f"train: {what}, got the key {key!r}")


def explained(error: ConfigError, overrides: Mapping[str, Any]) -> ConfigError:
    """Return the error; where overrides replaced whole sections, a line more says so."""
    lines = [
        f"overrides: '{key}' replaces the whole section; {{'{key}.{inner}': …}} changes one key"
        for key, value in overrides.items()
        if isinstance(value, Mapping)
        and any(f": {key}{end}" in fault for fault in error.faults for end in (".", ":"))
        for inner in [*value][:1]
    ]
    return ConfigError([*error.faults, *lines])


def assignments(overrides: Mapping[str, Any]) -> list[str]:
    """Return overrides, values by their dotted keys, in the form that `load_with_source` takes.

    Raises:
        ConfigError: YAML has no such value.

    """
    source = Source("overrides")
    given = _plain(overrides, (), source)
    if source.faults:
        raise source.error()
    return [f"{key}={axes.in_one_line(value)}" for key, value in given.items()]


def plain(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a mapping in YAML's types; `name` is that of the argument, for messages.

    Raises:
        ConfigError: YAML has no such value.

    """
    source = Source(name, lines=False)
    made: dict[str, Any] = _plain(value, (), source)
    if source.faults:
        raise source.error()
    return made


def _plain(value: Any, path: KeyPath, source: Source) -> Any:
    """Return a Python value in YAML's types, and note a fault for each value of another type."""
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
        value = value.item()  # a number of NumPy or torch
    if callable(getattr(value, "tolist", None)) and getattr(value, "ndim", None) == 1:
        return _plain(value.tolist(), path, source)  # an array of them, as of numpy.logspace
    if value is None or isinstance(value, bool | int | float | str):
        return value
    made = value if isinstance(value, type) else type(value)
    got = f"the class {made.__name__}" if made is value else made.__name__
    more = ""
    if made is value or issubclass(made, Module | Loss | Optimizer):
        more = (
            "; a config names a class in words, as 'relu', or one of your own as {'python': "
            f"'file.{made.__name__}'}}; minifw.fit takes networks and losses themselves"
        )
    source.add(path, f"must be a value that YAML has, got {got}{more}")
    return None
