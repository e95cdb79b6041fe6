"""Lists the tensor operations of a block, as torch performs them: all that is not public of torch.

Other files of this package use what torch documents. Where a version of torch has no such mode, or
one that behaves otherwise, nothing is compiled and training is plain.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minifw.compile.values import UNKNOWN, CannotCompileError, Named, Origin
from minifw.compile.views import in_memory


class Call(NamedTuple):
    """One operation."""

    name: str
    """As `add`; for a list of tensors `_foreach_add`; without the underscore of `add_`."""
    overload: str
    """Which of the functions of this name, as `Tensor`."""
    arguments: tuple[Any, ...]
    """All in the order of the declaration, with defaults, without `out`."""
    result: Any
    """A tensor, a list or tuple of them, or something else; None if tensors are changed."""
    changed: tuple[Any, ...]
    """The tensors, or lists of tensors, that will be written to."""
    is_random: bool
    is_metadata: bool
    """Whether it changes only the shape that a tensor is seen in, as `unsqueeze_`."""
    origin: Origin


Listener = Callable[[Call], None]
"""Is told of each operation: before it changes tensors, or after it has made new ones."""


class _Declaration(NamedTuple):
    name: str
    overload: str
    arguments: tuple[tuple[str, Any], ...]
    """Name and default of each."""
    changed: tuple[str, ...]
    is_random: bool
    is_metadata: bool


_declarations: dict[Any, _Declaration] = {}


def _declaration(function: Any) -> _Declaration:
    if function not in _declarations:
        schema = function._schema
        name = schema.name.removeprefix("aten::")
        changed = tuple(
            one.name for one in schema.arguments if one.alias_info and one.alias_info.is_write
        )
        if changed and name.endswith("_"):
            name = name[:-1]
        arguments = tuple(
            (one.name, one.default_value)
            for one in schema.arguments
            if not (one.is_out or one.name == "out")
        )
        tags = set(function.tags)
        _declarations[function] = _Declaration(
            name if schema.name.startswith("aten::") else schema.name,
            schema.overload_name or "default", arguments, changed,
            torch.Tag.nondeterministic_seeded in tags, torch.Tag.inplace_view in tags,
        )  # fmt: skip
    return _declarations[function]


def _call(
    function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, origin: Origin
) -> Call:
    declared = _declaration(function)
    given = {name: value for (name, _), value in zip(declared.arguments, args, strict=False)}
    given |= kwargs
    return Call(
        declared.name, declared.overload,
        tuple(given.get(name, default) for name, default in declared.arguments),
        result,
        tuple(given[name] for name in declared.changed if name in given),
        declared.is_random, declared.is_metadata, origin,
    )  # fmt: skip


def _in_order(result: Any, args: Sequence[Any]) -> Any:
    """Return new tensors with the numbers of a network side by side, without gaps.

    torch keeps the order in memory of an operand, such as that of a transposed matrix. The numbers
    are the same.
    """
    if isinstance(result, (list, tuple)):
        return type(result)(_in_order(one, args) for one in result)
    if not isinstance(result, Tensor) or result.is_contiguous():
        return result
    if in_memory(result.shape, result.stride()) is not None:
        return result
    address = result.untyped_storage().data_ptr()
    for given in args:
        if isinstance(given, Tensor) and given.untyped_storage().data_ptr() == address:
            return result  # a view
    return result.contiguous()


def origin(frame: Any, named: Named) -> Origin:
    """Return the innermost line of a module's, loss's or optimizer's method, from a frame on."""
    while frame is not None:
        code = frame.f_code
        if code.co_varnames[:1] == ("self",):
            thing = frame.f_locals.get("self")
            name = named(thing)
            if name is not None:
                line = linecache.getline(code.co_filename, frame.f_lineno).strip()
                return Origin(f"{name}.{code.co_name}", line, _formula(type(thing)))
        frame = frame.f_back
    return UNKNOWN


def _formula(kind: type) -> str:
    """Return the first sentence of a class's docstring if it has a formula, else nothing."""
    sentence = (kind.__doc__ or "").strip().partition("\n")[0].partition(". ")[0]
    return sentence.rstrip(".") if any(sign in sentence for sign in ("=", "<-", "·")) else ""


@contextmanager
def told(listener: Listener, named: Named) -> Iterator[None]:
    """Within this block, tell the listener of each operation.

    Raises:
        CannotCompileError: this torch has no such mode.

    """
    mode = _mode(listener, named)
    with mode:
        yield


def _mode(listener: Listener, named: Named) -> Any:
    why = f"this torch ({torch.__version__}) records no operations"
    try:
        from torch.utils._python_dispatch import TorchDispatchMode
    except ImportError:
        raise CannotCompileError(why) from None

    class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # else torch imports all of torch._dynamo, which takes seconds

        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            where = origin(sys._getframe(1), named)
            if _declaration(function).changed:
                listener(_call(function, args, kwargs, None, where))
                return function(*args, **kwargs)
            result = _in_order(function(*args, **kwargs), args)
            listener(_call(function, args, kwargs, result, where))
            return result

    return Mode()  # type: ignore[no-untyped-call]
