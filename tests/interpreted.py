"""What a recorded step computes, for each lane in turn: the meaning of `values`, in torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minifw.compile.values import Operand, Recording, Value
from minifw.nn import random

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "floor": torch.floor,
    "trunc": torch.trunc, "sqrt": torch.sqrt, "reciprocal": torch.reciprocal, "exp": torch.exp,
    "log": torch.log, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "erf": torch.erf, "not": torch.logical_not,
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "maximum": torch.maximum, "minimum": torch.minimum, "lt": torch.lt, "le": torch.le,
    "gt": torch.gt, "ge": torch.ge, "eq": torch.eq, "ne": torch.ne, "and": torch.logical_and,
    "or": torch.logical_or, "where": torch.where,
    "sum_rows": lambda a: a.sum(0, keepdim=True), "sum_columns": lambda a: a.sum(1, keepdim=True),
    "max_rows": lambda a: a.amax(0, keepdim=True), "max_columns": lambda a: a.amax(1, keepdim=True),
    "min_rows": lambda a: a.amin(0, keepdim=True), "min_columns": lambda a: a.amin(1, keepdim=True),
    "product": torch.matmul,
}  # fmt: skip
ELEMENTWISE = {
    name for name in FUNCTIONS if name != "product" and not name.endswith(("rows", "columns"))
}
MASKS = {"not", "and", "or"}


def run(
    recording: Recording, state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return the new state, with the shapes of the old, and the output `(lanes, …)`."""
    lanes = [
        _lane(recording, [v[k] for v in state], x[k], target[k], eta[k] if eta.ndim else eta)
        for k in range(len(x))
    ]
    after = [
        torch.stack(each).reshape(value.shape)
        for each, value in zip(zip(*(state for state, _ in lanes), strict=True), state, strict=True)
    ]
    return after, torch.stack([output for _, output in lanes])


def _lane(
    recording: Recording, state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor
) -> tuple[list[Tensor], Tensor]:
    known: dict[Value, Tensor] = {}
    given = zip(recording.before, state, strict=True)
    for value, tensor in [*given, (recording.x, x), (recording.target, target),
                          (recording.eta, eta)]:  # fmt: skip
        known[value] = tensor.reshape(value.shape).to(eta.dtype)
    for value in recording.values:
        if value not in known:
            known[value] = _value(value, known, eta.dtype)
        assert tuple(known[value].shape) == value.shape, value
        assert (known[value].dtype == torch.bool) == value.is_mask, value
    return [known[value] for value in recording.after], known[recording.outputs[0]]


def _value(value: Value, known: dict[Value, Tensor], dtype: torch.dtype) -> Tensor:
    if value.op in ("constant", "table"):
        return torch.tensor(value.numbers, dtype=dtype).reshape(value.shape)
    if value.op == "copy":
        result = torch.zeros(value.shape[0] * value.shape[1], dtype=dtype)
        for piece in value.pieces:
            assert not piece.value.is_mask
            assert piece.value.op not in ("constant", "eta")
            index = _index(piece.sizes, piece.start, piece.strides)
            to = _index(piece.sizes, piece.to_start, piece.to_strides)
            assert len(set(to.flatten().tolist())) == to.numel()
            result[to.flatten()] = known[piece.value].flatten()[index.flatten()]
        return result.reshape(value.shape)
    if value.op == "random":
        ((stream, view),) = value.operands
        assert view == "stream"
        return random.uniform(known[stream], value.shape)[0]
    if value.op in ELEMENTWISE:
        seen = [_seen(operand, known, value.shape) for operand in value.operands]
        masks = [tensor.dtype == torch.bool for tensor in seen]
        wanted = [value.op in MASKS or (value.op == "where" and n == 0) for n in range(len(seen))]
        assert masks == wanted, (value, value.operands)
    else:  # these read matrices
        assert all(operand.view in ("whole", "transposed") for operand in value.operands)
        assert not any(operand.value.is_mask for operand in value.operands)
        seen = [known[one] if view == "whole" else known[one].T for one, view in value.operands]
    return FUNCTIONS[value.op](*seen)


def _seen(operand: Operand, known: dict[Value, Tensor], shape: tuple[int, int]) -> Tensor:
    value, view = operand
    tensor = known[value]
    rows, columns = shape
    expected = {
        "whole": shape, "transposed": (columns, rows), "row": (1, columns), "column": (rows, 1),
        "number": (1, 1),
    }[view]  # fmt: skip
    assert value.shape == expected, (operand, shape)
    return (tensor.T if view == "transposed" else tensor).expand(shape)


def _index(sizes: Sequence[int], start: int, strides: Sequence[int]) -> Tensor:
    index = torch.full(tuple(sizes), start)
    for dimension, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        shape = [1] * len(sizes)
        shape[dimension] = size
        index = index + stride * torch.arange(size).reshape(shape)
    assert int(index.min()) >= 0
    return index
