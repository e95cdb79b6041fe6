"""Translates torch's operations to values, while a step performs them.

Tensors are told apart by their memory (`Memory`): a view needs no value of its own, it is a `Part`
of one. An operation in place gives its memory another value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from minifw.compile import dimensions, elementwise, shapes  # noqa: F401, they fill the vocabulary
from minifw.compile.dispatch import Call, origin, told
from minifw.compile.grammar import MIXES
from minifw.compile.values import (
    UNKNOWN,
    CannotCompileError,
    Named,
    Operand,
    Origin,
    Piece,
    Shape,
    Value,
)
from minifw.compile.views import (
    Part,
    dense,
    in_memory,
    matrix,
    merged,
    narrowed,
    transposed,
    view_as,
    whole,
)
from minifw.compile.vocabulary import LIKE, Translate, translation
from minifw.nn import random

MAX_TABLE = 4096
"""Numbers of a constant tensor, which all become part of the text."""

TAKES_NUMBERS = (
    "numpy", "tolist", "__array__", "__dlpack__", "__repr__", "__format__", "__reduce_ex__",
    "data_ptr", "set_",
)  # fmt: skip
"""Functions of a tensor that take its numbers without any operation of torch."""


def place_of(origin: Origin) -> str:
    """Return the words of a message that name a module and its line; empty if neither is known."""
    return "" if origin == UNKNOWN else f" in {origin.module}: {origin.line}"


@dataclass(eq=False)
class Memory:
    """What the memory of some tensors holds: now `value`, the numbers of a lane in their order.

    `value` is None for numbers that depend on nothing that a lane is given: the tensors have them.
    """

    value: Value | None
    lanes: bool
    dtype: torch.dtype
    sizes: tuple[int, ...]
    """Of the tensor that was made with it."""


class Recorder:
    """Translates operations to values, while they are performed."""

    def __init__(self, dtype: torch.dtype, stack: int, named: Named) -> None:
        self.dtype = dtype
        self.stack = stack
        """How many lanes there are."""
        self.values: list[Value] = []
        self.lanes = False
        """Whether the result of the present operation has a dimension of lanes."""
        self.order: tuple[int, ...] = ()
        """The order in memory of its dimensions, if it is the only result."""
        self.named = named
        self._known: dict[object, Value] = {}
        self._memory: dict[int, Memory] = {}
        self._unusable: dict[int, str] = {}
        self._kept: list[object] = []  # so that no memory is used again for other tensors
        self._fault: CannotCompileError | None = None
        self._call: Call | None = None

    # ------------------------------------------------------------------------------- the step

    def given(
        self, tensor: Tensor, op: str, shape: Shape, position: int = 0, *, lanes: bool = True
    ) -> Value:
        """Return the value of a tensor that the step is given."""
        is_class = op == "target" and tensor.dtype == torch.int64
        if tensor.dtype != self.dtype and not is_class:
            what = "a tensor of the optimizer's state" if op == "state" else f"the {op}"
            raise CannotCompileError(
                f"{what} is of {tensor.dtype}, the weights of {self.dtype}; compiled steps need "
                f"one dtype, as with torch.zeros(…, dtype={self.dtype})"
            )
        value = Value(op, shape, position=position)
        self.values.append(value)
        self._remember(tensor, value, lanes)
        self._kept.append(tensor)
        return value

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within this block, record what is done.

        Raises:
            CannotCompileError: something cannot be recorded, or the step raises.

        """
        try:
            with told(self._listen, self.named), _NoNumbers(self):
                yield
        except CannotCompileError:
            raise
        except Exception as fault:
            if self._fault is None:
                line = next(iter(str(fault).splitlines()), "")
                raise CannotCompileError(f"{type(fault).__name__}: {line}") from fault
        if self._fault is not None:  # the step has caught it
            raise self._fault
        self._call = None

    def result(self, tensor: Tensor, shape: Shape) -> Value:
        """Return what a tensor holds after the step, as a value of this shape."""
        self.lanes = True
        part = self.read(tensor, tensor.ndim)
        return self.operand(part, shape, ("whole",)).value

    def refuse(self, why: str = "") -> CannotCompileError:
        """Return the error that names the present operation, its module and its line."""
        if self._call is None:
            return CannotCompileError(why)
        name = self._call.name if ":" in self._call.name else f"aten.{self._call.name}"
        if not why and self._call.name in ("_local_scalar_dense", "equal"):
            why = "its numbers become Python's, which compiled steps cannot follow"
        told = f"{name}{place_of(self._call.origin)}"
        return CannotCompileError(f"{told} ({why})" if why else f"there is no C for {told}")

    def _listen(self, call: Call) -> None:
        if self._fault is not None:
            raise self._fault
        self._kept.append(call)
        self._call = call
        try:
            self._translate(call)
        except CannotCompileError as fault:
            self._fault = fault
            raise

    def _translate(self, call: Call) -> None:
        if call.is_metadata and call.name not in ("set", "resize", "resize_as"):
            return
        if call.is_random:
            raise self.refuse("random numbers")
        results = _tensors(call.changed or call.result)
        involved = [*_tensors(call.arguments), *(results if call.changed else ())]
        if call.name in LIKE or not any(map(self.is_recorded, involved)):
            self._note_constants(call, results)
            return
        if not call.changed and results and all(_address(t) in self._memory for t in results):
            return  # views
        translate = translation(call)
        if translate is None:
            raise self.refuse()
        if call.name.startswith("_foreach_"):
            lists = [_repeated(one, len(results)) for one in call.arguments]
            for tensor, arguments in zip(results, zip(*lists, strict=True), strict=True):
                self._one(translate, call, tensor, arguments)
        elif len(results) == 1:
            self._one(translate, call, results[0], call.arguments)
        else:
            self.lanes = self._has_lanes(call.arguments, None)
            parts = translate(self, results, *call.arguments)
            for tensor, part in zip(results, parts, strict=True):
                self._write(tensor, part, is_new=not call.changed)

    def _one(self, translate: Translate, call: Call, tensor: Tensor, arguments: Any) -> None:
        if any(t.numel() == 0 for t in (tensor, *_tensors(arguments))):
            raise self.refuse("an empty tensor")
        of_lanes = (*arguments, tensor) if call.changed else arguments
        self.lanes = self._has_lanes(of_lanes, tensor)
        self.order = in_memory(tensor.shape, tensor.stride()) or ()
        self._write(tensor, translate(self, tensor, *arguments), is_new=not call.changed)
        self.order = ()

    def _note_constants(self, call: Call, results: Sequence[Tensor]) -> None:
        """Note tensors whose numbers depend on nothing that a lane is given."""
        given = {_address(tensor) for tensor in _tensors(call.arguments)}
        for tensor in results:
            if not call.changed:
                if _address(tensor) in given:  # a view, perhaps of what is not the step's own
                    continue
                if call.name.removeprefix("new_").startswith("empty"):
                    tensor.zero_()  # so that it holds the same numbers every time
                self._memory.setdefault(
                    _address(tensor), Memory(None, False, tensor.dtype, tuple(tensor.shape))
                )
            elif _address(tensor) not in self._memory:
                raise self.refuse("it changes a tensor that is not part of the state")

    def is_recorded(self, tensor: Tensor) -> bool:
        """Whether the numbers of a tensor depend on what a lane is given."""
        memory = self._memory.get(_address(tensor))
        return memory is not None and memory.value is not None

    def _has_lanes(self, arguments: Any, result: Tensor | None) -> bool:
        tensors = _tensors(arguments)
        recorded = [self._memory[_address(t)] for t in tensors if self.is_recorded(t)]
        if any(memory.lanes for memory in recorded):
            return True
        # Only a number for all lanes, as eta, with constants that are the same for all lanes.
        return result is not None and any(
            t.ndim == result.ndim and self._of_a_lane(t) is not None
            for t in tensors
            if not self.is_recorded(t)
        )

    # --------------------------------------------------------------------------------- tensors

    def _remember(self, tensor: Tensor, value: Value | None, lanes: bool) -> None:
        memory = Memory(value, lanes, tensor.dtype, tuple(tensor.shape))
        self._memory[_address(tensor)] = memory

    def read(self, thing: Any, ndim: int | None = None) -> Part:
        """Return the numbers of a tensor, or a number, for one lane.

        If it is broadcast to a tensor of `ndim` dimensions, of which the first is that of lanes, a
        constant must be the same for all lanes.
        """
        if not isinstance(thing, Tensor):
            return self.number(thing)
        if not self.is_recorded(thing):
            if self.lanes and ndim == thing.ndim > 0 and thing.shape[0] > 1:
                of_lane = self._of_a_lane(thing)
                if of_lane is None:
                    raise self.refuse("a constant differs between the networks of the stack")
                thing = of_lane
            return self._constant(thing)
        part = self._part(thing)
        if part.lanes and ndim is not None and ndim != thing.ndim:
            raise self.refuse(MIXES)
        return part

    def _of_a_lane(self, tensor: Tensor) -> Tensor | None:
        """Return a lane's share of a tensor of constants, None if the shares differ."""
        if tensor.ndim == 0 or tensor.shape[0] % self.stack or tensor.numel() == 0:
            return None
        shares = tensor.tensor_split(self.stack)
        first = shares[0]
        same = [bool(((first == one) | (first != first) & (one != one)).all()) for one in shares]
        return first if all(same) else None

    def _part(self, tensor: Tensor) -> Part:
        """Return a recorded tensor as a part of its value."""
        memory = self._memory[_address(tensor)]
        assert memory.value is not None
        if why := self._unusable.get(_address(tensor)):
            raise self.refuse(why)
        if tensor.dtype != memory.dtype:
            raise self.refuse(f"numbers of {memory.dtype} seen as {tensor.dtype}")
        sizes, strides, start = self._geometry(tensor, memory.lanes)
        return Part(memory.value, sizes, strides, start, memory.lanes)

    def _geometry(
        self, tensor: Tensor, lanes: bool
    ) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Return sizes, strides and start of a tensor within the memory of one lane."""
        sizes, strides = [*tensor.shape], [*tensor.stride()]
        start = int(tensor.storage_offset())
        if lanes:
            count = _count(tensor) // self.stack
            if not sizes or strides[0] * sizes[0] != count * self.stack or sizes[0] % self.stack:
                raise self.refuse(MIXES)
            sizes[0] //= self.stack
            last = start + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
            if last >= count:
                raise self.refuse(MIXES)
        return tuple(sizes), tuple(strides), start

    def _constant(self, tensor: Tensor) -> Part:
        """Return a tensor that depends on nothing that a lane is given, as numbers."""
        sizes = tuple(tensor.shape)
        if tensor.is_complex() or tensor.numel() == 0:
            raise self.refuse(f"a tensor of {tuple(tensor.shape)}, {tensor.dtype}")
        first = tensor[(0,) * tensor.ndim]
        if bool((tensor == first).all()):
            return self.number(first.item())._replace(sizes=sizes, strides=(0,) * len(sizes))
        for dimension, stride in enumerate(tensor.stride()):
            if stride == 0:
                tensor = tensor.narrow(dimension, 0, 1)
        if tensor.numel() > MAX_TABLE:
            raise self.refuse(f"a constant tensor of more than {MAX_TABLE} numbers")
        numbers = [float(number) for number in tensor.flatten().tolist()]
        value = self.value("table", matrix(tensor.shape), numbers=numbers)
        strides = [
            0 if n == 1 else s for n, s in zip(tensor.shape, dense(tensor.shape), strict=True)
        ]
        return Part(value, sizes, tuple(strides))

    def _write(self, tensor: Tensor, part: Part, *, is_new: bool) -> None:
        """Give a tensor, new or changed in place, these numbers, which are broadcast to it."""
        if tensor.dtype.is_floating_point and tensor.dtype != self.dtype:
            raise self.refuse(f"numbers of {tensor.dtype}, not of {self.dtype}")
        if tensor.dtype not in (self.dtype, torch.bool, torch.int64, torch.int32):
            raise self.refuse(f"numbers of {tensor.dtype}")
        part = self.as_mask(part) if tensor.dtype == torch.bool else self.as_numbers(part)
        if is_new:
            self._remember(tensor, None, self.lanes)
        memory = self._memory.get(_address(tensor))
        if memory is None:
            raise self.refuse("it changes a tensor that is not part of the state")
        if memory.value is not None and memory.lanes and not self.lanes:
            raise self.refuse(MIXES)
        sizes, strides, start = self._geometry(tensor, self.lanes)
        fitting = part.expanded(sizes)
        if fitting is None or (part.lanes and len(part.sizes) != len(sizes)):
            raise self.refuse(MIXES)
        count = _count(tensor) // (self.stack if self.lanes else 1)
        order = in_memory(sizes, strides)
        if start == 0 and prod(sizes) == count and order is not None:
            is_constant = part.value.op == "constant"
            memory.value = None if is_constant else self.everything(fitting.permuted(order))
            memory.lanes = self.lanes
            return
        pieces = [] if prod(sizes) == count else self._old(tensor, memory)
        source = self.with_memory(fitting)
        pieces.append(Piece(source.value, sizes, source.start, source.strides, start, strides))
        made = [*memory.sizes]
        if self.lanes:
            made[0] //= self.stack
        memory.value = self.value("copy", matrix(made), pieces=pieces)
        memory.lanes = self.lanes

    def _old(self, tensor: Tensor, memory: Memory) -> list[Piece]:
        """Return the numbers before a part of them is changed, as pieces: none if they are 0."""
        value = memory.value
        if value is None:
            made = tensor.as_strided((_count(tensor),), (1,), 0)
            if self.lanes:
                share = self._of_a_lane(made)
                if share is None:
                    raise self.refuse("a constant differs between the networks of the stack")
                made = share
            part = self._constant(made)
            if part.value.numbers == (0.0,):
                return []
            part = self.with_memory(part)
            return [Piece(part.value, part.sizes, part.start, part.strides, 0, (1,))]
        if value.op == "copy":
            return [*value.pieces]
        value = self.as_numbers(Part(value, (prod(value.shape),), (1,))).value
        count = prod(value.shape)
        return [Piece(value, (count,), 0, (1,), 0, (1,))]

    def forbid(self, tensor: Tensor, why: str) -> None:
        """Refuse whatever reads this tensor."""
        self._unusable[_address(tensor)] = why

    def uniform(self, streams: Tensor, shape: Sequence[int], origin: Origin) -> Tensor:
        """Return a new tensor that stands for random numbers, as `nn.random.uniform` does."""
        made = torch.zeros(*streams.shape[:-1], *shape, dtype=streams.dtype)
        if not self.is_recorded(streams):
            return made
        self._call = Call("uniform", "default", (), made, (), False, False, origin)
        self.lanes = True
        part = self.read(streams)
        if not part.lanes or part.sizes != (1, random.NUMBERS):
            raise self.refuse(MIXES)
        sizes = (1, *shape)
        operand = Operand(self.everything(part), "stream")
        value = self.value("random", matrix(sizes), [operand])
        self._write(made, Part(value, sizes, dense(sizes), 0, True), is_new=True)
        return made

    # ------------------------------------------------------------------------------------- values

    def value(
        self,
        op: str,
        shape: Shape,
        operands: Sequence[Operand] = (),
        pieces: Sequence[Piece] = (),
        numbers: Sequence[float] = (),
    ) -> Value:
        """Return a value; for the same operation the same one."""
        pieces = [merged(piece) for piece in pieces]
        key = (op, shape, *operands, *pieces, str(numbers))
        if key not in self._known:
            origin = UNKNOWN if self._call is None else self._call.origin
            value = Value(op, shape, tuple(operands), tuple(pieces), tuple(numbers), 0, origin)
            self._known[key] = value
            self.values.append(value)
        return self._known[key]

    def number(self, number: float) -> Part:
        """Return a constant."""
        if not isinstance(number, (int, float)):
            raise self.refuse(f"{number!r}")
        return Part(self.value("constant", (1, 1), numbers=[float(number)]), (), ())

    def operand(self, part: Part, shape: Shape, views: Sequence[str] | None = None) -> Operand:
        """Return how a value of this shape reads a part; if one of `views` does not do, a copy."""
        view = view_as(part, shape)
        if view is not None and (views is None or view in views):
            return Operand(part.value, view)
        if part.value.is_mask:  # what is copied are numbers
            numbers, view = self.operand(self.as_numbers(part), shape, views)
            return Operand(self.as_mask(whole(numbers, numbers.shape)).value, view)
        if part.strides and not any(part.strides) and view is None:  # one number of many
            one = Part(part.value, (1, 1), (1, 1), part.start)
            return self.operand(whole(self._copied(one, (1, 1)), (1, 1)), shape, views)
        if view is not None:
            operands = [Operand(part.value, view), Operand(self.number(1).value, "number")]
            return Operand(self.value("mul", shape, operands))
        if views is None and (narrow := narrowed(part, shape)) is not None:
            small, small_shape = narrow
            return Operand(
                self._copied(small, small_shape), "row" if small_shape[0] == 1 else "column"
            )
        if (turned := transposed(part, shape)) is not None and (
            views is None or "transposed" in views
        ):
            return Operand(self.operand(turned, shape[::-1], ("whole",)).value, "transposed")
        return Operand(self._copied(part, shape))

    def _copied(self, part: Part, shape: Shape) -> Value:
        part = self.with_memory(self.as_numbers(part))
        if part.value.op == "copy" and part.is_everything:  # in other rows
            return self.value("copy", shape, pieces=part.value.pieces)
        piece = Piece(part.value, part.sizes, part.start, part.strides, 0, dense(part.sizes))
        return self.value("copy", shape, pieces=[piece])

    def with_memory(self, part: Part) -> Part:
        """Return the part of a value that has memory, from which it can be copied."""
        part = self.as_numbers(part)
        if part.value.op == "constant":
            return part._replace(value=self.value("table", (1, 1), numbers=part.value.numbers))
        if part.value.op == "eta":
            return part._replace(value=self.operand(whole(part.value, ()), (1, 1), ()).value)
        return part

    def everything(self, part: Part) -> Value:
        """Return a value of which a part is all numbers in their order."""
        if part.is_everything and part.value.op != "constant":
            return part.value
        return self.operand(part, matrix(part.sizes), ("whole",)).value

    def as_numbers(self, part: Part) -> Part:
        """Return 1 and 0 for the truth values of a mask."""
        if not part.value.is_mask:
            return part
        one, zero = self.number(1).value, self.number(0).value
        operands = [Operand(part.value), Operand(one, "number"), Operand(zero, "number")]
        return part._replace(value=self.value("where", part.value.shape, operands))

    def as_mask(self, part: Part) -> Part:
        """Return which numbers are not 0."""
        if part.value.is_mask:
            return part
        operands = [Operand(part.value), Operand(self.number(0).value, "number")]
        return part._replace(value=self.value("ne", part.value.shape, operands))


class _NoNumbers(TorchFunctionMode):
    """Refuses to give a step numbers that are recorded, which it would take for constants."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is random.uniform:
            streams, shape = args
            line = origin(sys._getframe(1), self._recorder.named)
            return self._recorder.uniform(streams, shape, line)
        name = getattr(function, "__name__", "")
        if name in TAKES_NUMBERS:
            tensor = args[0] if args else None
            if isinstance(tensor, Tensor) and self._recorder.is_recorded(tensor):
                where = place_of(origin(sys._getframe(1), self._recorder.named))
                raise CannotCompileError(f"Tensor.{name} takes numbers out of a step{where}")
        return function(*args, **(kwargs or {}))


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _count(tensor: Tensor) -> int:
    """Return how many numbers the memory of a tensor holds."""
    return tensor.untyped_storage().nbytes() // tensor.element_size()


def _tensors(thing: Any) -> list[Tensor]:
    """Return the tensors among arguments or results."""
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, (list, tuple)):
        return [tensor for one in thing for tensor in _tensors(one)]
    return []


def _repeated(thing: Any, count: int) -> Sequence[Any]:
    """Return one argument for each tensor of a list."""
    return thing if isinstance(thing, (list, tuple)) else [thing] * count
