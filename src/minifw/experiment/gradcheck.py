"""The gradients of a config's network beside finite differences, layer by layer, in float64.

Those of the loss, by each parameter and by the input of each layer. One mistake makes all gradients
wrong that come after it on the way back; so where one is wrong, its layer is compared alone, with
the gradient that it got.
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
    """One gradient: of a layer's parameter or input, or of the loss by the network's output.

    `layer` is the position in the network, None for the loss; `of` is a parameter's name, "input"
    or "output".
    """

    layer: int | None
    module: str
    of: str
    comparison: Comparison
    follows: bool = False
    """Whether it is wrong only since this layer got a wrong gradient from the next one."""

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
        seed: draws data and weights, and chooses what is compared.
        samples: how many go through the network.
        elements: of each tensor so many numbers are compared at most.

    Raises:
        UsageError: there are not that many samples, or they come to numbers that are not finite.

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
    for position, module in enumerate(modules):
        module.reset_gradient()
        values.append(module.forward(values[-1]).clone())
        calls.append(module.call)
        _check_finite(f"layer {position}, {module!r}", values[-1])
    _check_finite(repr(loss), loss.function(values[-1], targets))
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
        worst = replace(found.worst, index=found.worst.index[1:])  # there is one network
        return replace(found, worst=worst)

    def loss_from(first: int) -> Tensor:
        """Return the loss, where the network starts with module `first`."""
        x = values[first]
        for module in modules[first:]:
            x = module.forward(x)
        return loss.function(x, targets)

    rows = []
    for position, module in enumerate(modules):
        tensors = [("input", values[position], gradients[position])]
        if module not in modules[:position]:  # its parameters belong to its first place
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
        """Compare what a layer makes of the gradient that it got, right or wrong."""
        assert row.layer is not None
        module, x, gradient = modules[row.layer], values[row.layer], gradients[row.layer + 1]
        module.reset_gradient()
        module.forward(x)
        back = module.backward(gradient.clone()).clone()
        own = {name: (value, grad.clone()) for name, value, grad in module.parameters()}
        tensor, found = (x, back) if row.of == "input" else own[row.of]
        return one(row.of, tensor, found, lambda: module.forward(x), gradient)

    return _with_causes(rows, alone)


def _check_finite(where: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise UsageError(
            f"{where}: gives numbers that are not finite for these samples, so that no gradient "
            "can be compared; --seed or --samples takes others"
        )


def _with_causes(rows: list[Row], alone: Callable[[Row], Comparison]) -> list[Row]:
    """Return the rows, the wrong ones divided into mistakes and what follows from those.

    A mistake has the numbers of its layer alone.
    """
    wrong = [row for row in rows if not row.comparison.ok]
    own = {id(row): row.comparison if row.layer is None else alone(row) for row in wrong}
    mistakes = {place: found for place, found in own.items() if not found.ok}
    for row in rows:  # beside the loss a small gradient is lost in rounding, alone it is not
        if row.comparison.ok and row.comparison.hidden and row.layer is not None:
            found = alone(row)
            if not found.ok:
                mistakes[id(row)] = found
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
