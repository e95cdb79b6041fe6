"""The steps of an epoch as one list of tensor operations, recorded from `Learner.step`.

`Learner.step` runs once on tensors without values, and its operations are recorded; torch's
`while_loop` repeats them for each batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minifw.nn.buffers import fused
from minifw.training.learner import Learner


def loop(learner: Learner, arguments: list[Tensor]) -> Any:
    """Record the loop over the steps as a graph that changes the state and the output in place."""
    from torch._higher_order_ops.while_loop import while_loop_op
    from torch.fx.experimental.proxy_tensor import make_fx

    *state, inputs, _, targets, _, eta = arguments
    step = _step(learner, [*state, inputs[0, 0], targets[0, 0], eta])
    changed = ",".join(str(1 + position) for position in range(len(state)))

    def turns_from(first: int, done: Tensor, state: list[Tensor], *of_turns: Tensor) -> Tensor:
        """Take the turns for these inputs and targets, after the `first`, which are `done`."""
        last = first + len(of_turns[0])

        def more_to_do(turn: Tensor, *_: Tensor) -> Tensor:
            return turn < last

        def take_turn(turn: Tensor, *arguments: Tensor) -> tuple[Tensor]:
            *state, inputs, targets, eta = arguments
            number: Any = turn.item() - first
            torch._check(number >= 0)
            torch._check(number < len(inputs))
            new = state
            for x, target in zip(inputs.select(0, number), targets.select(0, number), strict=True):
                new = step(*new, x, target, eta)
            for tensor, value in zip(state, new, strict=True):
                tensor.copy_(value)
            return (turn + 1,)

        (done,) = while_loop_op(
            more_to_do, take_turn, (done,), (*state, *of_turns), mutated_arg_indices=changed
        )
        return done

    def steps(*arguments: Tensor) -> list[Tensor]:
        *state, inputs, last_inputs, targets, last_targets, eta = arguments
        done = turns_from(0, torch.zeros((), dtype=torch.int64), state, inputs, targets, eta)
        # A loop as well: Inductor does not know what the first loop changes, and may move code
        # before it that does not depend on the number of turns that it returns.
        if len(last_inputs):
            done = turns_from(len(inputs), done, state, last_inputs, last_targets, eta)
        return [done]

    return make_fx(steps, tracing_mode="fake")(*arguments)


def _step(learner: Learner, arguments: list[Tensor]) -> Any:
    """Record one training step as a function without side effects."""
    from torch.func import functionalize
    from torch.fx.experimental.proxy_tensor import make_fx

    def step(*arguments: Tensor) -> list[Tensor]:
        *state, _, x, target, eta = arguments
        state = [tensor.clone() for tensor in state]
        return [*state, learner.on(state).step(x, target, eta)]

    def baddbmm(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
        # So that `products.h` computes the product. The sum starts from a zero gradient, which
        # Inductor drops.
        return total + torch.bmm(left, right)

    recorded = make_fx(
        functionalize(step),
        decomposition_table={
            torch.ops.aten.baddbmm.default: baddbmm,
            # Inductor knows that the old values need not be read.
            torch.ops.aten._foreach_zero.default: lambda values: [*map(torch.zeros_like, values)],
        },
        tracing_mode="fake",
    )
    with fused():
        return recorded(*arguments)
