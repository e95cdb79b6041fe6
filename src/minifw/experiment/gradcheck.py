"""Compares the gradients of a config's network with finite differences, layer by layer, in float64.

The gradients are those of the loss with respect to each parameter and the input of each layer. One
mistake makes all later gradients of the backward pass wrong. So a layer with a wrong gradient is
also compared alone, with the gradient that it got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from minifw.errors import UsageError
from minifw.experiment.build import build_loss, build_network
from minifw.experiment.plan import Plan
from minifw.nn import Loss, Network
from minifw.nn.diagnosis import Mistakes
from minifw.nn.differences import Comparison, compare
from minifw.nn.module import as_tuple
from minifw.nn.registry import LayerDeclaration, declaration_of
from minifw.nn.wired import table


@dataclass(frozen=True)
class Row:
    """One gradient: by a layer's parameter or input, or by the network's output.

    `layer` is the position in the network, None for the loss; `of` is a parameter's name, "input"
    (with several, "input 1") or "output".
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
        UsageError: there are fewer training samples, or their results are not finite.

    """
    if samples > plan.sizes.train:
        raise UsageError(
            f"--samples: must be at most the {plan.sizes.train} training samples, got {samples}"
        )
    data = plan.draw([seed]).data
    network = build_network(plan.config, [seed], len(data.features))
    inputs, targets = data.train.inputs[:, :samples], data.train.targets[:, :samples]
    loss = build_loss(plan.config, len(data.features))
    return compare_layers(network, loss, inputs, targets, elements, seed)


def compare_layers(
    network: Network, loss: Loss, inputs: Tensor, targets: Tensor, elements: int, seed: int
) -> list[Row]:
    """Return the comparisons for the layers of a network, a stack of one; the loss last."""
    network.train().without_chance()  # differences need the same function each time
    once = _Once(network, loss, inputs, targets, elements, seed)
    return _with_causes([*once.rows()], once.alone)


class _Once:
    """A network and a loss that have been used once.

    `values` are numbered as in `nn.Wired`. Layer k took `given[k]`, copies of its own, gave
    `values[k + 1]`, got the gradient `came[k]` and gave back `back[k]`.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        inputs: Tensor,
        targets: Tensor,
        elements: int,
        seed: int,
    ) -> None:
        self.modules, self.loss, self.targets = list(network), loss, targets
        self.takes, self.ends = table(network)
        self.elements, self.seed = elements, seed
        self.values, calls = [inputs.clone()], []
        self.given: list[list[Tensor]] = []
        network.reset_gradient()
        for position, module in enumerate(self.modules):
            self.given.append([self.values[number].clone() for number in self.takes[position]])
            self.values.append(module.forward(*self.given[-1]).clone())
            calls.append(module.call)
            _check_finite(f"layer {position}, {module!r}", self.values[-1])
        self.output = self.output_of(self.values).clone()
        _check_finite(repr(loss), loss.function(self.output, targets))
        self.of_output = loss.grad(self.output, targets).clone()
        found = [torch.zeros_like(value) for value in self.values]
        widths = [self.values[number].shape[-1] for number in self.ends]
        for number, gradient in zip(
            self.ends, torch.split(self.of_output, widths, -1), strict=True
        ):
            found[number] += gradient
        self.back: dict[int, list[Tensor]] = {}
        for position in reversed(range(len(self.modules))):
            module = self.modules[position].at(calls[position])
            returned = as_tuple(module.backward(found[position + 1].clone()))
            self.back[position] = [gradient.clone() for gradient in returned]
            for number, gradient in zip(self.takes[position], returned, strict=True):
                found[number] += gradient
        self.came = found[1:]
        self.whole = self._of_whole_numbers()

    def _of_whole_numbers(self) -> set[int]:
        """Return the layers whose inputs are whole numbers, which have no differences."""
        positions: set[int] = set()
        values: set[int] = set()
        for position in reversed(range(len(self.modules))):
            said = declaration_of(type(self.modules[position]), LayerDeclaration)
            if said.whole is not None or position + 1 in values:
                positions.add(position)
                values |= {*self.takes[position]}
        return positions

    def output_of(self, values: Sequence[Tensor]) -> Tensor:
        """Return the output of the network: its ends side by side."""
        ends = [values[number] for number in self.ends]
        return ends[0] if len(ends) == 1 else torch.cat(ends, -1)

    def loss_from(self, first: int) -> Tensor:
        """Return the loss, `(1,)`, where the network starts with layer `first`."""
        if first == len(self.modules):
            return self.loss.function(self.output, self.targets)
        values = self.values[: first + 1]
        for position in range(first, len(self.modules)):
            given = [values[number] for number in self.takes[position]]
            given = self.given[first] if position == first else given
            values.append(self.modules[position].forward(*given))
        return self.loss.function(self.output_of(values), self.targets)

    def rows(self) -> Iterator[Row]:
        """Give the comparisons of the loss's gradients, from the first layer to the output."""
        for position, module in enumerate(self.modules):
            tensors = []
            if position not in self.whole:
                given, back = self.given[position], self.back[position]
                tensors = [*zip(self._inputs(position), given, back, strict=True)]
            if module not in self.modules[:position]:  # parameters once, at its first position
                own = module.parameters()
                tensors += [(name, value, gradient.clone()) for name, value, gradient in own]
            for of, tensor, gradient in tensors:
                yield Row(position, repr(module), of, self._of_loss(position, of, tensor, gradient))
        found = self._of_loss(len(self.modules), "output", self.output, self.of_output)
        yield Row(None, repr(self.loss), "output", found)

    def _inputs(self, position: int) -> list[str]:
        """Return the names of a layer's inputs: "input", or "input 1" and so on."""
        count = len(self.takes[position])
        return ["input"] if count == 1 else [f"input {place + 1}" for place in range(count)]

    def alone(self, row: Row) -> Comparison:
        """Compare a layer's gradients for the gradient that it got, which may be wrong."""
        assert row.layer is not None
        module, given = self.modules[row.layer], self.given[row.layer]
        gradient = self.came[row.layer]
        module.reset_gradient()
        module.forward(*given)
        back = [each.clone() for each in as_tuple(module.backward(gradient.clone()))]
        own = {name: (value, grad.clone()) for name, value, grad in module.parameters()}
        own |= dict(zip(self._inputs(row.layer), zip(given, back, strict=True), strict=True))
        tensor, found = own[row.of]
        return self._compare(row.of, tensor, found, lambda: module.forward(*given), gradient)

    def _of_loss(self, first: int, of: str, tensor: Tensor, gradient: Tensor) -> Comparison:
        """Compare a gradient of the loss with differences of the loss from module `first` on."""
        run = partial(self.loss_from, first)
        return self._compare(of, tensor, gradient, run, torch.ones_like(run()))

    def _compare(
        self, of: str, tensor: Tensor, gradient: Tensor, run: Callable[[], Tensor], weight: Tensor
    ) -> Comparison:
        samples, outputs = self.output.shape[-2:]
        found = compare(
            f"the {of}" if of.startswith(("input", "output")) else f"'{of}'",
            tensor,
            gradient,
            lambda: [run()],
            [weight],
            mistakes=lambda: Mistakes(sizes={"samples": samples, "outputs": outputs}),
            at_most=self.elements,
            seed=self.seed,
        )
        worst = replace(found.worst, index=found.worst.index[1:])  # the stack has one network
        return replace(found, worst=worst)


def _check_finite(where: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise UsageError(
            f"{where}: gives numbers that are not finite for these samples, so that no gradient "
            "can be compared; --seed or --samples takes others"
        )


def _all_before_kinks(rows: list[Row]) -> bool:
    """Return whether each wrong gradient passed a later layer that is on a kink.

    What such a layer gives back is one of many right gradients: each of equal maxima may have it.
    """
    kinks = [row.layer for row in rows if row.comparison.kinks and row.layer is not None]
    last = max(kinks, default=-1)
    return all(row.comparison.ok or (row.layer is not None and row.layer < last) for row in rows)


def _on_kinks(found: Comparison) -> Comparison:
    """Return a comparison whose wrong numbers count as on a kink."""
    if found.ok:
        return found
    worst = replace(found.worst, kind="kink")
    return replace(found, wrong=0, kinks=found.kinks + found.wrong, worst=worst, suspicion="")


def _with_causes(rows: list[Row], alone: Callable[[Row], Comparison]) -> list[Row]:
    """Return the rows, with wrong gradients divided into mistakes and their consequences.

    A mistake shows the numbers of its layer alone.
    """
    wrong = [row for row in rows if not row.comparison.ok]
    own = {id(row): row.comparison if row.layer is None else alone(row) for row in wrong}
    mistakes = {place: found for place, found in own.items() if not found.ok}
    for row in rows:  # beside the loss a small gradient is lost in rounding, alone it is not
        if row.comparison.ok and row.comparison.hidden and row.layer is not None:
            found = alone(row)
            if not found.ok:
                mistakes[id(row)] = found
    if wrong and not mistakes and _all_before_kinks(rows):
        return [replace(row, comparison=_on_kinks(row.comparison)) for row in rows]
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
