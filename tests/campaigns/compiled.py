"""Random networks: compiled steps against the plain way, and against autograd.

    python -m campaigns.compiled [--networks 2000] [--seed 0] [--sanitize]

Each network is a chain of random depth (1 to 4 layers), widths (1 to 70), activations and shared
modules, with a random loss, momentum, batch size, stack, vector length and order of samples. After
20 steps in float64 all weights must be those of the plain way and of autograd, to 1e-12 of the
largest weight; in float32 they must be as near to float64's as the plain way is, or within 2e-4.
Ends with 1 if one network is not. `--sanitize` compiles with the address and undefined-behaviour
sanitizers, which end the process at the first fault.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from minifw import nn
from minifw.compile import plan
from minifw.compile.plan import ONE_LAYOUT_BYTES, Machine
from minifw.compile.program import Program, this_machine
from minifw.training.learner import Learner

STEPS = 20
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 40, 48, 63, 64, 65, 70]
BATCHES = [1, 1, 2, 3, 4, 5, 7, 8, 10, 15, 16, 17, 31, 32, 33, 40, 50, 64, 129, 130, 144, 200]
ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid]


@dataclass
class Case:
    """One random network and how it is trained."""

    widths: list[int]
    activations: list[int | None]
    shared: bool
    """Whether equal layers are one object, and all activations of a kind too."""
    bias: bool
    loss: str
    reduction: str
    momentum: float
    batch: int
    lanes: int
    ordered: bool
    single: bool
    """Whether float32 is compiled, else float64."""
    vector_bytes: int
    panels: bool
    """Whether all weights are kept as only wide ones are."""
    seed: int = field(default=0)

    @classmethod
    def drawn(cls, rng: random.Random) -> Case:
        """Return a random case."""
        widths = [rng.choice(WIDTHS) for _ in range(rng.randint(2, 5))]
        if len(widths) > 3 and rng.random() < 0.4:
            widths[2] = widths[1]
        largest = this_machine().vector_bytes
        return cls(
            widths,
            [rng.choice([0, 0, 1, 2, None]) for _ in widths[2:]],
            rng.random() < 0.4,
            rng.random() < 0.9,
            rng.choice(["mse", "mse", "classes", "probabilities"]),
            rng.choice(["mean", "sample", "sum"]),
            rng.choice([0.0, 0.5, 0.9]),
            rng.choice(BATCHES),
            rng.randint(1, 4),
            rng.random() < 0.5,
            rng.random() < 0.4,
            rng.choice([size for size in (16, 32, 64) if size <= largest]),
            rng.random() < 0.3,
            rng.randrange(2**32),
        )

    def network(self, dtype: torch.dtype) -> nn.Sequential:
        """Return the stack with its initial weights, the same for both dtypes."""
        generator = torch.Generator().manual_seed(self.seed)
        layers: dict[Any, nn.Module] = {}
        modules: list[nn.Module] = []
        pairs = list(zip(self.widths, self.widths[1:], strict=False))
        for place, (a, b) in enumerate(pairs):
            key: Any = (a, b) if self.shared else place
            if key not in layers:
                layer = nn.Linear(a, b, self.bias, stack=(self.lanes,), dtype=dtype)
                for _, value, _ in layer.parameters():
                    drawn = torch.rand(value.shape, generator=generator, dtype=torch.float64)
                    value.copy_((2 * drawn - 1) / a**0.5)
                layers[key] = layer
            modules.append(layers[key])
            if place < len(self.activations) and (kind := self.activations[place]) is not None:
                of_kind = ("activation", kind if self.shared else place)
                modules.append(layers.setdefault(of_kind, ACTIVATIONS[kind]()))
        return nn.Sequential(*modules)

    def make_loss(self) -> nn.Loss:
        """Return the loss."""
        reduction: Any = self.reduction
        return nn.LossMSE(reduction) if self.loss == "mse" else nn.LossCrossEntropy(reduction)

    def samples(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return inputs, targets and the order, in float64."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        shape = (self.lanes, STEPS * self.batch)
        x = torch.randn(*shape, self.widths[0], generator=generator, dtype=torch.float64)
        outputs = self.widths[-1]
        target = torch.randn(*shape, outputs, generator=generator, dtype=torch.float64)
        if self.loss == "classes":
            target = torch.randint(outputs, shape, generator=generator)
        elif self.loss == "probabilities":
            target = target.softmax(-1)
        order = torch.rand(shape, generator=generator).argsort(-1) if self.ordered else None
        return x, target, order

    @property
    def eta(self) -> float:
        """The learning rate: small steps, so that nothing diverges."""
        scale = self.batch * self.widths[-1] if self.reduction == "sum" else 1
        return 0.05 / scale / math.sqrt(sum(self.widths))


def batches(case: Case, x: Tensor, target: Tensor, order: Tensor | None) -> Any:
    """Yield inputs and targets of each step."""
    lanes = torch.arange(case.lanes).unsqueeze(-1)
    for first in range(0, STEPS * case.batch, case.batch):
        at = slice(first, first + case.batch)
        yield (
            (x[:, at], target[:, at])
            if order is None
            else (x[lanes, order[:, at]], target[lanes, order[:, at]])
        )


def plain(case: Case, dtype: torch.dtype) -> list[Tensor]:
    """Return weights, momenta and the last output of minifw's plain steps."""
    network, loss = case.network(dtype), case.make_loss()
    learner = Learner(network, loss, nn.SGD(network, case.momentum))
    x, target, order = typed(case, dtype)
    for batch, wanted in batches(case, x, target, order):
        output = learner.step(batch, wanted, case.eta)
    return [*learner.state, output]


def typed(case: Case, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the samples in a dtype; classes stay classes."""
    x, target, order = case.samples()
    return x.to(dtype), target if target.dtype == torch.int64 else target.to(dtype), order


def by_autograd(case: Case) -> list[Tensor]:
    """Return the same with the derivative of the loss by autograd."""
    network, loss = case.network(torch.float64), case.make_loss()
    values = [value.clone().requires_grad_() for _, value, _ in network.parameters()]
    momenta = [torch.zeros_like(value) for value in values]
    twin = network.with_parameters(values)
    for batch, wanted in batches(case, *typed(case, torch.float64)):
        output: Tensor = twin.forward(batch)
        gradients = torch.autograd.grad(loss.function(output, wanted).sum(), values)
        with torch.no_grad():
            for value, momentum, gradient in zip(values, momenta, gradients, strict=True):
                momentum.mul_(case.momentum).add_(gradient)
                value.sub_(case.eta * momentum)
    found = [*values, *(momenta if case.momentum else []), output]
    return [value.detach() for value in found]


def compiled(case: Case, dtype: torch.dtype, sanitize: bool = False) -> list[Tensor]:
    """Return the same of compiled steps."""
    network, loss = case.network(dtype), case.make_loss()
    learner = Learner(network, loss, nn.SGD(network, case.momentum))
    x, target, order = typed(case, dtype)
    plan.ONE_LAYOUT_BYTES = 1 if case.panels else ONE_LAYOUT_BYTES
    registers = 32 if case.vector_bytes == 64 else 16
    program = Program(
        lambda state, x, target, eta: learner.on(state).step(x, target, eta),
        learner.state, x, target, case.batch,
        machine=Machine(case.vector_bytes, registers), sanitize=sanitize,
    )  # fmt: skip
    eta = torch.tensor(case.eta, dtype=dtype)
    half = STEPS // 2  # two calls, as two epochs
    program.run(learner.state, x, target, order, eta, steps=half)
    return [
        *learner.state,
        program.run(learner.state, x, target, order, eta, half * case.batch, STEPS - half),
    ]


def apart(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference in units of the largest number."""
    most = max(float(value.abs().max()) for value in expected)
    differences = (
        float((a.double() - b.double()).abs().max()) for a, b in zip(found, expected, strict=True)
    )
    worst = 0.0
    for difference in differences:
        worst = max(worst, difference if difference == difference else float("inf"))
    return worst / most


def fault(case: Case, sanitize: bool = False) -> str:
    """Return what is wrong with a case, empty if nothing."""
    exact = plain(case, torch.float64)
    if not apart(exact, auto := by_autograd(case)) < 1e-12:
        return f"plain and autograd: {apart(exact, auto):.1e}"
    if case.single:
        found = apart(compiled(case, torch.float32, sanitize), exact)
        usual = apart(plain(case, torch.float32), exact)
        return "" if found < max(2 * usual, 2e-4) else f"float32: {found:.1e}, plainly {usual:.1e}"
    found = apart(compiled(case, torch.float64, sanitize), exact)
    return "" if found < 1e-12 else f"float64: {found:.1e}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sanitize", action="store_true")
    arguments = parser.parse_args()
    if arguments.sanitize and "LD_PRELOAD" not in os.environ:
        return sanitized(sys.argv[1:])
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    faults = 0
    for number in range(arguments.networks):
        case = Case.drawn(rng)
        if said := fault(case, arguments.sanitize):
            faults += 1
            print(f"network {number}: {said}: {case}")
    print(f"{arguments.networks} networks, {faults} of them wrong")
    return int(faults > 0)


def sanitized(words: list[str]) -> int:
    """Run this program again with the sanitizers' library, which must be loaded first."""
    found = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = os.environ | {
        "LD_PRELOAD": found.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    command = [sys.executable, "-m", "campaigns.compiled", *words]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
