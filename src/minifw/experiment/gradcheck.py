"""The gradients of a config's network beside finite differences, layer by layer, in float64.

Besides those of parameters, the gradient at each layer's input is compared: what is right there and
wrong one layer further down shows in which layer the mistake is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from minifw.errors import UsageError
from minifw.experiment.plan import Plan, build_loss, build_network
from minifw.nn import Loss, Module
from minifw.nn.differences import Comparison, compare
from minifw.nn.module import as_tuple


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
    """Whether it is wrong by what came from the layers above, so not by this layer's fault."""

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
        UsageError: there are not that many samples.

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
        gradients.append(as_tuple(module.backward(gradients[-1].clone()))[0].clone())
    gradients.reverse()

    def one(name: str, tensor: Tensor, gradient: Tensor, first: int) -> Comparison:
        """Compare a gradient, where the network starts with module `first`."""

        def value() -> list[Tensor]:
            x = values[first]
            for module in modules[first:]:
                x = module.forward(x)
            return [loss.function(x, targets)]

        samples, outputs = values[-1].shape[-2:]
        found = compare(
            name,
            tensor,
            gradient,
            value,
            [inputs.new_ones(inputs.shape[:-2])],
            sizes={"samples": samples, "inputs": values[first].shape[-1], "outputs": outputs},
            at_most=elements,
            seed=seed,
        )
        worst = found.worst._replace(index=found.worst.index[1:])  # there is one network
        return replace(found, worst=worst)

    last = len(modules)
    rows = [Row(None, repr(loss), "output", one("the output", values[last], gradients[last], last))]
    arrived = rows[0].comparison.ok  # whether what came from above is right
    for position in reversed(range(last)):
        module = modules[position]
        if module in modules[:position]:  # its parameters belong to its first place
            parameters = []
        else:
            parameters = [
                (f"'{name}'", name, value, gradient.clone())
                for name, value, gradient in module.parameters()
            ]
        of_layer = []
        for name, of, tensor, gradient in [
            ("the input", "input", values[position], gradients[position]),
            *parameters,
        ]:
            found = one(name, tensor, gradient, position)
            follows = not arrived and not found.ok
            of_layer.append(Row(position, repr(module), of, found, follows))
        arrived = of_layer[0].comparison.ok
        rows = [*of_layer, *rows]
    return rows
