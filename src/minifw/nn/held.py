"""Finds all objects that a module holds, in its attributes and in their containers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import partial
from types import FunctionType, MemberDescriptorType, MethodType
from typing import Any

OF_CALLS = ("call", "_records")
"""Attributes of a module that belong to its calls."""

NOT_HELD = (*OF_CALLS, "_parameters")
"""Attributes of a module that belong to its calls, or repeat other attributes."""


def contents(module: Any, kind: type) -> Iterator[tuple[str, Any, bool]]:
    """Yield everything that a module holds: (name of the attribute, value, whether it is a leaf).

    The search enters lists, tuples, dicts, sets and deques; dataclasses; modules (`kind`), with
    their slots and class attributes; closures, `functools.partial` and bound methods. Any other
    object is a leaf, and so is a network that contains the module. Each object is yielded once,
    before its contents.
    """
    seen = {id(module)}
    to_do = _attributes(module)[::-1]
    while to_do:
        place, value = to_do.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        is_around = isinstance(value, kind) and any(m is module for m in value.modules())  # type: ignore[attr-defined]
        inside = None if is_around else _inside(value, kind)
        yield place, value, inside is None
        to_do += [(place, item) for item in reversed(inside or [])]


def _inside(value: Any, kind: type) -> list[Any] | None:
    """Return the contents of a value, None for a leaf."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return [*value]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, FunctionType):
        return [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
    if isinstance(value, kind) or (is_dataclass(value) and not isinstance(value, type)):
        return [item for _, item in _attributes(value)]
    return None


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Return the attributes of an object by name: instance, slots and class attributes."""
    own = getattr(value, "__dict__", {})
    found = [(name, item) for name, item in own.items() if name not in NOT_HELD]
    for owner in type(value).__mro__:
        for name, item in vars(owner).items():
            if isinstance(item, MemberDescriptorType):  # a slot
                item = getattr(value, name, None)
            found.append((name, item))
    return found


def _is_filled(cell: Any) -> bool:
    """Return whether a variable of a closure has a value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
