"""Which functions say what torch's operations are in terms of values, by name.

A function takes the recorder, the tensor that torch makes (of which shape and dtype may be used)
and all arguments in the order of torch's declaration. It returns the result as a `Part`, with the
dimensions of torch's result, of which that of lanes is a lane's share. The functions stand in
`elementwise.py`, `dimensions.py` and `shapes.py`, and are made of those in `grammar.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from minifw.compile.dispatch import Call

Translate = Callable[..., Any]

LIKE = (
    "zeros_like", "ones_like", "empty_like", "new_zeros", "new_ones", "new_empty",
    "new_empty_strided", "full_like", "new_full",
)  # fmt: skip
"""Operations that use the shape of their argument alone."""

TABLE: dict[str, Translate] = {}


def translation(call: Call) -> Translate | None:
    """Return the function for an operation, None if there is none."""
    name = call.name.removeprefix("_foreach_")
    return TABLE.get(f"{name}.{call.overload}") or TABLE.get(name)


Function = TypeVar("Function", bound=Translate)


def named(*names: str) -> Callable[[Function], Function]:
    """Declare a function for these names."""

    def put(function: Function) -> Function:
        for name in names:
            assert name not in TABLE, f"{name} is declared twice"
            TABLE[name] = function
        return function

    return put
