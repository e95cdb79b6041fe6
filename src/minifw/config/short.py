"""Short forms: a word, `linear: 25`, `{conv2d: 16, kernel_size: 3, name: first}`, `add: [a, b]`."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeGuard

from pydantic_core import PydanticCustomError

from minifw.errors import did_you_mean
from minifw.nn import registry
from minifw.nn.registry import Declaration, LayerDeclaration

GROUP = "minifw.layers"
USE = "use"
"""The kind of a layer that is one of the others again."""


@cache
def installed() -> dict[str, EntryPoint]:
    """Return the layers of installed packages by their kinds; none is loaded."""
    own = registry.kinds(LayerDeclaration)
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in own}


def bare_word(value: object) -> object:
    """`mse` is short for `{kind: mse}`."""
    return {"kind": value} if isinstance(value, str) else value


def sgd_by_default(value: object) -> object:
    """`{momentum: 0.9}` is short for `{kind: sgd, momentum: 0.9}`, `adam` for `{kind: adam}`."""
    if isinstance(value, dict) and not {"kind", "python"} & {*value}:
        return {"kind": "sgd", **value}
    return bare_word(value)


def is_one_key(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a section is written as one key, `linear: 25`."""
    return isinstance(value, dict) and len(value) == 1 and not {"kind", "python"} & {*value}


def kind_key(value: object) -> str | None:
    """Return the key of a layer's mapping that is its kind, `linear` in `{linear: 25, name: a}`.

    It is the only key, or the only one that is a kind, or that nearly is one. None for all else.
    """
    if is_one_key(value):
        return next(iter(value))
    if not isinstance(value, dict) or {"kind", "python"} & {*value}:
        return None
    kinds = {*registry.kinds(LayerDeclaration), *installed(), USE}
    found = [key for key in value if key in kinds]
    if not found and (key := next(iter(value), None)) is not None:
        found = [key] if did_you_mean(key, kinds).startswith("; did") else []
    return found[0] if len(found) == 1 else None


def bare_layer(value: object, declared: Declaration | None = None) -> object:
    """`relu`, `{linear: 25}`, `{linear: {…}}` and `{linear: 25, …}` are short for `{kind: …}`."""
    kind = kind_key(value)
    if kind is None or not isinstance(value, dict):
        return bare_word(value)
    rest, more = value[kind], {key: each for key, each in value.items() if key != kind}
    inner = rest if isinstance(rest, dict) else {short_key(kind, declared): rest}
    if rest is None and more:
        inner = {}  # `relu:` with other keys below it
    if twice := inner.keys() & more.keys():
        raise PydanticCustomError("twice", "{key} is given twice", {"key": f"'{min(twice)}'"})
    return {"kind": kind, **inner, **more}


def keys_in_short(kind: str, rest: object, declared: Declaration | None = None) -> dict[str, Any]:
    """Return the keys that `kind: rest` stands for."""
    return rest if isinstance(rest, dict) else {short_key(kind, declared): rest}


def short_key(kind: str, declared: Declaration | None = None) -> str:
    """Return the key that `kind: value` sets; "value", an unknown key, if there is none."""
    if kind == USE:
        return "layer"
    declared = declared or registry.kinds(LayerDeclaration).get(kind)
    if declared is None:
        return "value"
    if not declared.short and isinstance(declared, LayerDeclaration) and declared.several:
        return "from"
    return declared.short or "value"


def two_kinds(value: object) -> Collection[str]:
    """Return the kinds that a layer's mapping has as its keys, if they are more than one."""
    kinds = {*registry.kinds(LayerDeclaration), *installed(), USE}
    found = [key for key in value if key in kinds] if isinstance(value, dict) else []
    return found if len(found) > 1 else ()
