"""Compares the gradients of a config's network with finite differences, layer by layer, in float64.

The gradients are those of the loss with respect to each parameter and the input of each layer. One
mistake makes all later gradients of the backward pass wrong. So a layer with a wrong gradient is
also compared alone, with the gradient that it got.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from minifw.errors import UsageError
from minifw.experiment.build import build_loss, build_network
from minifw.experiment.plan import Plan
from minifw.nn import Loss, Module
from minifw.nn.differences import Comparison, compare


@dataclass(frozen=True)
class Row:
    """One gradient: by a layer's parameter or input, or by the network's output.

    `layer` is the position in the network, None for the loss; `of` is a parameter's name, "input"
    or "output".
    """

    layer: int | None
    module: str
    of: str
    comparison: Comparison
    follows: bool = False
    """Whether it is wrong only because the layer got a wrong gradient from the next layer."""

    @property
    def where(self) -> str:
        """The layer in words."""
        return self.module if self.layer is None else f"layer {self.layer}, {self.module}"

    @property
    def kind(self) -> str:
        """The class of the layer or loss."""
        return self.module.partition("(")[0]


def check(plan: Plan, seed: int, samples: int, elements: int) -> list[Row]:
    """Return the comparisons for the first training samples of one seed, the loss last.

    Args:
        plan: of a config with dtype float64, on the CPU.
        seed: seed of data, weights and the choice of numbers to compare.
        samples: the number of training samples.
        elements: how many numbers of each tensor are compared, at most.

    Raises:
        UsageError: there are fewer training samples.

    """
    if samples > plan.sizes.train:
        raise UsageError(
            f"--samples: must be at most the {plan.sizes.train} training samples, got {samples}"
        )
    data = plan.draw([seed]).data
    network = build_network(plan.config, [seed], len(data.features))
    inputs, targets = data.train.inputs[:, :samples], data.train.targets[:, :samples]
    loss = build_loss(plan.config)
    return compare_layers(list(network), loss, inputs, targets, elements, seed)


def compare_layers(
    modules: Sequence[Module],
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    elements: int,
    seed: int,
) -> list[Row]:
    """Return the comparisons for a chain of modules, a stack of one network; the loss last."""
    values, calls = [inputs.clone()], []
    for module in modules:
        module.reset_gradient()
        values.append(module.forward(values[-1]).clone())
        calls.append(module.call)
    gradients = [loss.grad(values[-1], targets).clone()]
    for module, call in zip(reversed(modules), reversed(calls), strict=True):
        module.call = call
        gradients.append(module.backward(gradients[-1].clone()).clone())
    gradients.reverse()
    samples, outputs = values[-1].shape[-2:]

    def one(
        of: str, tensor: Tensor, gradient: Tensor, run: Callable[[], Tensor], weight: Tensor
    ) -> Comparison:
        found = compare(
            f"the {of}" if of in ("input", "output") else f"'{of}'",
            tensor,
            gradient,
            lambda: [run()],
            [weight],
            sizes={"samples": samples, "outputs": outputs},
            at_most=elements,
            seed=seed,
        )
        worst = replace(found.worst, index=found.worst.index[1:])  # the stack has one network
        return replace(found, worst=worst)

    def loss_from(first: int) -> Tensor:
        """Return the loss of the network that begins with module `first`."""
        x = values[first]
        for module in modules[first:]:
            x = module.forward(x)
        return loss.function(x, targets)

    rows = []
    for position, module in enumerate(modules):
        tensors = [("input", values[position], gradients[position])]
        if module not in modules[:position]:  # its parameters are compared at its first position
            tensors += [(name, value, grad.clone()) for name, value, grad in module.parameters()]
        for of, tensor, gradient in tensors:
            run = partial(loss_from, position)
            found = one(of, tensor, gradient, run, torch.ones_like(run()))
            rows.append(Row(position, repr(module), of, found))
    value = loss.function(values[-1], targets)
    found = one("output", values[-1], gradients[-1], partial(loss_from, len(modules)),
                torch.ones_like(value))  # fmt: skip
    rows.append(Row(None, repr(loss), "output", found))

    def alone(row: Row) -> Comparison:
        """Compare a layer's gradients for the gradient that it got, which may be wrong."""
        assert row.layer is not None
        module, x, gradient = modules[row.layer], values[row.layer], gradients[row.layer + 1]
        module.reset_gradient()
        module.forward(x)
        back = module.backward(gradient.clone()).clone()
        own = {name: (value, grad.clone()) for name, value, grad in module.parameters()}
        tensor, found = (x, back) if row.of == "input" else own[row.of]
        return one(row.of, tensor, found, lambda: module.forward(x), gradient)

    return _with_causes(rows, alone)


def _with_causes(rows: list[Row], alone: Callable[[Row], Comparison]) -> list[Row]:
    """Return the rows, with wrong gradients divided into mistakes and their consequences.

    A mistake shows the numbers of its layer alone.
    """
    wrong = [row for row in rows if not row.comparison.ok]
    own = {id(row): row.comparison if row.layer is None else alone(row) for row in wrong}
    mistakes = {place: found for place, found in own.items() if not found.ok}
    if wrong and not mistakes:
        why = "alone each layer is right: what backward needs must belong to its call"
        mistakes[id(wrong[-1])] = replace(wrong[-1].comparison, suspicion=why)
    return [
        replace(
            row,
            comparison=mistakes.get(id(row), row.comparison),
            follows=id(row) in own and id(row) not in mistakes,
        )
        for row in rows
    ]
