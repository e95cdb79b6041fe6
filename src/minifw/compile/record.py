"""Records one training step as values: it runs on numbers made for it, and is translated meanwhile.

The step runs on a stack of two lanes, so that the dimension of lanes can be told from all others:
it is dimension 0 of every tensor that depends on what a lane is given. Of that dimension a lane has
its share, which is nearly always 1. What does not depend on a lane, such as the constants that a
module makes, is not recorded but taken as it is. Then the step runs again with three lanes and
other numbers: where it is recorded otherwise, it depends on them in a way that values cannot say.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from minifw.compile.recorder import Recorder, place_of
from minifw.compile.values import (
    UNKNOWN,
    CannotCompileError,
    Named,
    Recording,
    Step,
    Value,
)
from minifw.compile.views import matrix
from minifw.nn.buffers import fused

STACKS = (2, 3)
"""Lanes of the two stacks on which a step is recorded."""
DIFFERENT = 4099  # a prime, so that rows of any usual length differ


def record(
    step: Step,
    state: Sequence[Tensor],
    inputs: Tensor,
    targets: Tensor,
    batch: int,
    named: Named = lambda thing: None,
) -> Recording:
    """Run a step on numbers made for it, and return what it computes.

    Args:
        step: the step.
        state: the tensors that a step changes, `(lanes, …)`; only shapes and dtypes are used.
        inputs: `(lanes, samples, …)`; only shape and dtype are used.
        targets: `(lanes, samples, …)`, of int64 if they are classes; only shape and dtype are used.
        batch: samples in a step.
        named: names what is at work.

    Raises:
        CannotCompileError: what cannot be recorded, with the module and the line it is in.

    """
    first, again = (_recorded(step, state, inputs, targets, batch, named, n) for n in STACKS)
    _check_same(first, again)
    return first


def _recorded(
    step: Step,
    state: Sequence[Tensor],
    inputs: Tensor,
    targets: Tensor,
    batch: int,
    named: Named,
    lanes: int,
) -> Recording:
    dtype = state[0].dtype if state else inputs.dtype
    recorder = Recorder(dtype, lanes, named)
    of_state = [_numbers((lanes, *value.shape[1:]), value.dtype) for value in state]
    x = _numbers((lanes, batch, *inputs.shape[2:]), inputs.dtype)
    target = _numbers((lanes, batch, *targets.shape[2:]), targets.dtype)
    eta = torch.full((), 0.01 + 0.001 * lanes, dtype=dtype)
    before = [
        recorder.given(tensor, "state", matrix(tensor.shape[1:]), position)
        for position, tensor in enumerate(of_state)
    ]
    given_x = recorder.given(x, "x", (batch, prod(x.shape[2:])))
    given_target = recorder.given(target, "target", (batch, prod(target.shape[2:])))
    given_eta = recorder.given(eta, "eta", (1, 1), lanes=False)
    with recorder.listening(), fused():
        output = step([*of_state], x, target, eta)
    after = [
        recorder.result(tensor, value.shape) for tensor, value in zip(of_state, before, strict=True)
    ]
    outputs = [recorder.result(output, (batch, output.numel() // (lanes * batch)))]
    return Recording(
        _alive(recorder.values, [*after, *outputs]), before, after, given_x, given_target,
        given_eta, outputs, dtype == torch.float64, targets.dtype == torch.int64,
    )  # fmt: skip


def _numbers(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return numbers from 0.2 to 0.8, others for each stack; classes are 0.

    Each is different from those near it: DIFFERENT ones are repeated, which takes little time.
    """
    if not dtype.is_floating_point:
        return torch.zeros(*shape, dtype=dtype)
    count = torch.arange(min(DIFFERENT, prod(shape)), dtype=torch.float64) + 1000 * shape[0]
    numbers = (0.2 + 0.6 * torch.frac(0.618034 * count)).to(dtype)
    made = torch.empty(prod(shape), dtype=dtype)  # of its own memory, which tells the lanes
    whole = len(made) - len(made) % max(1, len(numbers))
    made[:whole].view(-1, max(1, len(numbers))).copy_(numbers)
    made[whole:].copy_(numbers[: len(made) - whole])
    return made.reshape(*shape)


def _alive(values: Sequence[Value], results: Sequence[Value]) -> list[Value]:
    """Return the values that the results need."""
    found, todo = set[Value](), [*results]
    while todo:
        value = todo.pop()
        if value not in found:
            found.add(value)
            todo += value.sources
    return [value for value in values if value in found]


def _check_same(first: Recording, again: Recording) -> None:
    """Raise unless both are the same: a step may not depend on single numbers, or change."""
    places = [{v: n for n, v in enumerate(one.values)} for one in (first, again)]

    def key(value: Value, place: dict[Value, int]) -> object:
        return (
            value.op, value.shape, str(value.numbers), value.position,
            [(place[one], view) for one, view in value.operands],
            [(place[piece.value], piece[1:]) for piece in value.pieces],
        )  # fmt: skip

    origin = UNKNOWN
    for a, b in zip(first.values, again.values, strict=False):
        if key(a, places[0]) != key(b, places[1]):
            origin = a.origin
            break
    else:
        if len(first.values) == len(again.values):
            return
    raise CannotCompileError(
        f"steps are not all the same{place_of(origin)}: something depends on numbers that only "
        "plain training knows, or is drawn or counted outside the state"
    )
