"""Random graphs: the hand-written gradients, walked back over records, against autograd's.

    python -m campaigns.graphs [--graphs 1000] [--seed 0]

Each graph has 1 to 3 inputs, 1 to 3 outputs and 1 to 15 calls: layers that are shared between
calls, activations, networks, operators on variables, slices, and modules with several outputs, of
which some lead nowhere. It is written as a `Graph`, run twice, the second time from its record, and
as a network with `forward`. In float64 all outputs and gradients must be those of autograd, to
1e-12 of the largest. Ends with 1 if one graph is not.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cases import Residual, SplitAdd, linear, normal
from minifw import nn
from minifw.nn.module import as_tuple

WIDTH = 4
MOST = 1e-12


class Formula(NamedTuple):
    """One kind of call: what it does to variables, and to tensors that autograd follows."""

    inputs: int
    ours: Callable[..., Any]
    theirs: Callable[..., Any]


def formulas(
    stack: tuple[int, ...],
) -> tuple[list[nn.Module], list[Formula], dict[int, Tensor]]:
    """Return the modules of a graph, what can be called in it, and the leaves of autograd.

    These are by the id of our parameter.
    """
    layers = [linear(WIDTH, WIDTH, stack) for _ in range(2)]
    tanh, split, block, silu = nn.Tanh(), SplitAdd(), Residual(stack), nn.SiLU()
    modules = [*layers, tanh, split, block, silu]
    trained = nn.Sequential(*layers, block).parameters()
    of = {id(value): value.clone().requires_grad_() for _, value, _ in trained}

    def affine(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
        def formula(x: Tensor) -> Tensor:
            assert layer.bias is not None
            return x @ of[id(layer.weight)].mT + of[id(layer.bias)].unsqueeze(-2)

        return formula

    def residual(x: Tensor) -> Tensor:
        return x + affine(block.inner)(x).tanh()

    def pieces(a: Any, b: Any) -> Any:
        return nn.Concat(-1)(a[..., :3], b[..., 1:2])

    found = [
        *(Formula(1, layer, affine(layer)) for layer in layers),
        Formula(1, tanh, torch.tanh),
        Formula(1, silu, torch.nn.functional.silu),
        Formula(1, block, residual),
        Formula(1, lambda x: x * 0.5 - 0.25, lambda x: x * 0.5 - 0.25),
        Formula(1, lambda x: 1 - x, lambda x: 1 - x),
        Formula(2, lambda a, b: a + b, lambda a, b: a + b),
        Formula(2, lambda a, b: a - b, lambda a, b: a - b),
        Formula(2, lambda a, b: a * b, lambda a, b: a * b),
        Formula(2, pieces, lambda a, b: torch.cat([a[..., :3], b[..., 1:2]], -1)),
        Formula(2, split, lambda a, b: (a + b, a * b)),
        Formula(3, nn.Add(), lambda a, b, c: a + b + c),
    ]
    return modules, found, of


class Drawing(NamedTuple):
    """A random graph: its calls, each a formula and the values that it takes, and its ends."""

    inputs: int
    calls: list[tuple[int, tuple[int, ...]]]
    ends: tuple[int, ...]

    def act(self, formulas: Sequence[Callable[..., Any]], values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the results of these calls."""
        known = [*values]
        for number, sources in self.calls:
            result = formulas[number](*(known[source] for source in sources))
            known.append(result)
            if isinstance(result, tuple):
                known.pop()
                known += result
        return tuple(known[end] for end in self.ends)


def draw(rng: random.Random, known: Sequence[Formula]) -> Drawing:
    """Draw the calls of a graph."""
    inputs = rng.randint(1, 3)
    values = inputs
    calls = []
    for _ in range(rng.randint(1, 15)):
        number = rng.randrange(len(known))
        # Late values more often, so that graphs are deep.
        sources = tuple(
            max(rng.randrange(values), rng.randrange(values)) for _ in range(known[number].inputs)
        )
        calls.append((number, sources))
        values += 2 if isinstance(known[number].ours, SplitAdd) else 1
    ends = tuple(rng.randrange(values) for _ in range(rng.randint(1, 3)))
    return Drawing(inputs, calls, ends)


def worst(seed: int) -> float:
    """Return the largest error of outputs and gradients of a random graph, of the largest value."""
    rng = random.Random(seed)
    stack = rng.choice([(), (3,)])
    torch.manual_seed(seed)
    modules, known, of = formulas(stack)
    drawing = draw(rng, known)
    ours = [formula.ours for formula in known]

    class Kept(nn.Graph):
        def connect(self, *x: Any) -> Any:
            return drawing.act(ours, x)

    class Live(nn.Network):
        def forward(self, *x: Any) -> Any:
            return drawing.act(ours, x)

    x = [normal(*stack, 5, WIDTH, seed=place) for place in range(drawing.inputs)]
    theirs_x = [value.clone().requires_grad_() for value in x]
    expected = drawing.act([formula.theirs for formula in known], theirs_x)
    gradients = [normal(*value.shape, seed=9 + k) for k, value in enumerate(expected)]
    total: Any = sum((a * b).sum() for a, b in zip(expected, gradients, strict=True))
    total.backward()
    error = 0.0
    for make in (Kept, Live):
        network = make(*modules)
        for _ in range(2):  # the second time a graph is run from its record
            network.reset_gradient()
            outputs = as_tuple(network.forward(*x))
            returned = as_tuple(network.backward(*gradients))
            pairs = [(a, b.detach()) for a, b in zip(outputs, expected, strict=True)]
            pairs += [(a, _grad(b)) for a, b in zip(returned, theirs_x, strict=True)]
            pairs += [(g, _grad(of[id(value)])) for _, value, g in network.parameters()]
            for found, right in pairs:
                scale = max(1.0, float(right.abs().max()))
                error = max(error, float((found - right).abs().max()) / scale)
    return error


def _grad(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def main(arguments: Sequence[str] | None = None) -> int:
    """Check so many graphs; return 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    errors = {seed: worst(seed) for seed in range(options.seed, options.seed + options.graphs)}
    wrong = [seed for seed, error in errors.items() if not error <= MOST]
    print(f"{len(errors)} graphs, {len(wrong)} wrong, largest error {max(errors.values()):.1e}")
    for seed in wrong[:10]:
        print(f"seed {seed}: {errors[seed]:.1e}")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
