"""The benchmark's arms: one problem, and the frameworks that train its networks.

Every peer is coded as its users would code it. All start from the same weights, take the same
batches in the same order, and compute the same loss and updates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from minifw import nn, reference
from minifw.compile.compilers import find_compiler, why_none
from minifw.config import loading
from minifw.config.model import Config
from minifw.data import BatchOrder, Samples
from minifw.experiment import Experiment, build, plan
from minifw.training import History, Trainer, placement, run_epochs
from minifw.training.fit import fit


@dataclass(frozen=True)
class Regime:
    """The size of a problem: seeds, samples in a batch, and features in a hidden layer."""

    seeds: int
    batch: int
    width: int = 25
    depth: int = 3

    def __str__(self) -> str:
        return f"{self.seeds} x {self.batch} x {self.width}"

    @property
    def steps(self) -> int:
        """Steps in an epoch: enough to make the cost of its call small.

        With larger steps there are fewer, since each amplifies the arms' differences in rounding.
        """
        return max(10, min(1000, 250_000 // (self.batch * self.width)))

    @property
    def network(self) -> str:
        """The name of the network, in results and messages."""
        return "SimpleNet"

    def problem(self, base: Path) -> Problem:
        """Return SimpleNet's problem in this size, of the config at `base`."""
        return problem(base, self)

    @property
    def arms(self) -> dict[str, Callable[[Problem], Arm]]:
        """The arms that can train it."""
        return ARMS

    @property
    def flops(self) -> int:
        """Additions and multiplications in the matrix products of a step, of all seeds.

        For each sample each weight counts two operations forward, two for its own gradient and,
        except in the first layer, two for the gradient of the layer's input.
        """
        first, hidden, last = 2 * self.width, self.width**2, 2 * self.width
        weights = first + (self.depth - 1) * hidden + last
        return self.seeds * self.batch * (6 * weights - 2 * first)


@dataclass(frozen=True)
class Problem:
    """The problem of all arms: config, data, and an order of samples for every epoch."""

    regime: Regime
    experiment: Experiment
    order: Tensor

    @property
    def config(self) -> Config:
        return self.experiment.config

    @property
    def train(self) -> Samples:
        return self.experiment.data.train

    def network(self) -> nn.Network:
        """Return the stack with its initial weights."""
        return self.experiment.network()


def simplenet(base: Path, *overrides: str) -> Config:
    """Return the config at `base` with the report's settings, even if the file was changed."""
    fixed = (
        "seed=0", "data={kind: disk}", "loss={kind: mse, reduction: sample}", "optimizer=sgd",
        "init=pytorch", "dtype=float32", "device=cpu", "train.eta=0.01", "train.mode=sgd",
    )  # fmt: skip
    return loading.load(base, [*fixed, *overrides])


def problem(base: Path, regime: Regime) -> Problem:
    """Return SimpleNet's problem in this size, with batches and plain SGD."""
    hidden = f"{{linear: {regime.width}}}, relu, " * regime.depth
    config = simplenet(
        base,
        f"seeds={regime.seeds}",
        f"data.train={regime.steps * regime.batch}",
        "data.test=1",
        f"network=[{hidden} {{linear: 2}}]",
        f"train.batch_size={regime.batch}",
    )
    built = plan.build(config, 1, ["sgd"])
    order = BatchOrder(built.seeds, regime.steps * regime.batch)()
    return Problem(regime, built, order)


# ------------------------------------------------------------------------------------------ arms


class Arm(Protocol):
    """One way to train the networks of a problem; a new arm has their initial weights."""

    def train(self, epochs: int) -> tuple[float, float]:
        """Continue training; return the seconds in steps, and the number of epochs of all seeds.

        An arm that trains one seed after another trains `epochs` epochs of one seed each.
        """
        ...

    def weights(self) -> list[Tensor]:
        """Return weight and bias of each layer in turn, stacked over seeds."""
        ...


class Peer(Trainer):
    """An arm that is counted and timed by minifw's loop over epochs."""

    share = 1.0
    """How many epochs of all seeds one of its epochs counts."""

    def __init__(self, given: Problem) -> None:
        self.given = given

    def train(self, epochs: int) -> tuple[float, float]:
        order = self.given.order
        history = run_epochs(self, epochs, next_order=lambda: order, history=History.of(()))
        return history.seconds, epochs * self.share


class Minifw:
    """minifw, called as by `minifw train`."""

    def __init__(self, given: Problem, *, compile: bool) -> None:  # noqa: A002
        self.given = given
        self.why_plain: str | None = None  # why steps could not be compiled
        self.network = given.network()
        self.schedule = placement.for_data(
            self.network, given.experiment.data, given.regime.batch, 1, compile
        )

    def train(self, epochs: int) -> tuple[float, float]:
        config = self.given.config
        history = fit(
            self.network,
            build.build_loss(config),
            build.build_optimizer(config, self.network),
            self.given.experiment.data,
            epochs=epochs,
            eta=config.train.eta,
            batch_size=self.given.regime.batch,
            next_order=lambda: self.given.order,
            eval_every=epochs,
            schedule=self.schedule,
        )
        self.why_plain = history.not_compiled
        return history.seconds, epochs

    def weights(self) -> list[Tensor]:
        return [*self.network.state_dict().values()]


class PyTorch(Peer):
    """A plain PyTorch loop, one network after another: each epoch trains the next network."""

    def __init__(self, given: Problem) -> None:
        super().__init__(given)
        self.share = 1 / given.regime.seeds
        network, loss = given.network(), build.build_loss(given.config)
        eta, optimizer = given.config.train.eta, build.build_optimizer(given.config, network)
        self.loops = [
            reference.Loop(network, seed, loss, eta, optimizer)
            for seed in range(given.regime.seeds)
        ]
        self.samples = [given.train.of(seed) for seed in range(given.regime.seeds)]
        self.next = 0

    def train_epoch(self, order: Tensor | None) -> None:
        seed = self.next
        own = None if order is None else order[seed]
        self.loops[seed].train(self.samples[seed], own, self.given.regime.batch)
        self.next = (seed + 1) % len(self.loops)

    def weights(self) -> list[Tensor]:
        states = [loop.weights for loop in self.loops]
        return [torch.stack([state[name] for state in states]) for name in states[0]]


class Vmap(Peer):
    """PyTorch with torch.func: all networks at once."""

    def __init__(self, given: Problem) -> None:
        super().__init__(given)
        loss, train = build.build_loss(given.config), given.config.train
        network = given.network()
        optimizer = build.build_optimizer(given.config, network)
        self.ensemble = reference.Ensemble(network, given.regime.seeds, loss, train.eta, optimizer)

    def train_epoch(self, order: Tensor | None) -> None:
        self.ensemble.train(self.given.train, order, self.given.regime.batch)

    def weights(self) -> list[Tensor]:
        return [*self.ensemble.weights.values()]


class Jax(Peer):
    """JAX, as its users train an ensemble: a scan over batches, vmapped over seeds, jitted."""

    def __init__(self, given: Problem) -> None:
        super().__init__(given)
        import jax
        import jax.numpy as jnp

        eta, batch = given.config.train.eta, given.regime.batch
        steps = given.regime.steps

        def step(layers: Any, samples: Any) -> Any:
            gradients = jax.grad(self.loss)(layers, *samples)
            return jax.tree.map(lambda value, g: value - eta * g, layers, gradients), None

        def epoch(layers: Any, inputs: Any, targets: Any, order: Any) -> Any:
            batches = (
                values[order].reshape(steps, batch, *values.shape[1:])
                for values in (inputs, targets)
            )
            return jax.lax.scan(step, layers, tuple(batches))[0]

        self.block = jax.block_until_ready
        self.epoch = jax.jit(jax.vmap(epoch))
        values = [jnp.array(value.numpy()) for _, value, _ in given.network().parameters()]
        self.layers = list(zip(values[::2], values[1::2], strict=True))
        train, order = given.train, given.order.int()
        self.arguments = [
            jnp.array(values.numpy()) for values in (train.inputs, train.targets, order)
        ]

    def forward(self, layers: Any, x: Any) -> Any:
        """Return the outputs of one network for samples `(n, features)`."""
        import jax

        *hidden, (weight, bias) = layers
        for w, b in hidden:
            x = jax.nn.relu(x @ w.T + b)
        return x @ weight.T + bias

    def loss(self, layers: Any, x: Any, target: Any) -> Any:
        """Return the loss of one network."""
        import jax.numpy as jnp

        return jnp.sum((self.forward(layers, x) - target) ** 2) / len(x)

    def train_epoch(self, order: Tensor | None) -> None:
        self.layers = self.epoch(self.layers, *self.arguments)  # the order is one of them

    def wait(self) -> None:
        self.block(self.layers)

    def weights(self) -> list[Tensor]:
        import numpy as np

        return [torch.from_numpy(np.array(value)) for layer in self.layers for value in layer]


ARMS: dict[str, Callable[[Problem], Arm]] = {
    "minifw": partial(Minifw, compile=True),
    "minifw, plain": partial(Minifw, compile=False),
    "PyTorch": PyTorch,
    "PyTorch vmap": Vmap,
    "JAX": Jax,
}


def present() -> tuple[list[str], dict[str, str]]:
    """Return the arms that can run here, and the reason for each that cannot."""
    missing = {}
    if find_compiler() is None:
        missing["minifw"] = f"it needs a C compiler, and {why_none()}"
    if find_spec("jax") is None:
        missing["JAX"] = "it is not installed (`pip install jax`, the extra `bench`)"
    return [name for name in ARMS if name not in missing], missing
