"""LeNet, a convolutional network for images of 28 x 28 pixels: a step of it beside its peers.

The pixels are random numbers, for only time is measured. JAX's arm is written as its users would
write it, as the others are.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minifw.bench import arms
from minifw.bench.arms import Arm, Jax, Minifw, Problem, PyTorch, Regime
from minifw.config import loading
from minifw.data import BatchOrder
from minifw.errors import NotCompiledWarning
from minifw.experiment import plan

LAYERS = """[{unflatten: [1, 28, 28]},
    {conv2d: 6, kernel_size: 5, padding: 2}, relu, {max-pool2d: 2},
    {conv2d: 16, kernel_size: 5}, relu, {max-pool2d: 2},
    flatten, {linear: 120}, relu, {linear: 84}, relu, {linear: 10}]"""

# Weights, and how often each counts for a sample: a convolution's at each place of its output.
_USES = [(25 * 6, 28 * 28), (25 * 6 * 16, 100), (400 * 120, 1), (120 * 84, 1), (84 * 10, 1)]


@dataclass(frozen=True)
class LeNet(Regime):
    """LeNet in this many seeds and samples in a batch."""

    def __str__(self) -> str:
        return f"LeNet {self.seeds} x {self.batch}"

    @property
    def network(self) -> str:
        return "LeNet"

    @property
    def steps(self) -> int:
        return 5

    @property
    def flops(self) -> int:
        weights = [count * places for count, places in _USES]
        return self.seeds * self.batch * (6 * sum(weights) - 2 * weights[0])

    @property
    def arms(self) -> dict[str, Callable[[Problem], Arm]]:
        return ARMS

    def problem(self, base: Path) -> Problem:
        """Return the problem in this size, with cross-entropy and plain SGD."""
        samples = self.steps * self.batch
        rng = np.random.default_rng(0)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "images.npz"
            labels = np.arange(samples + 10) % 10
            np.savez(file, x=rng.standard_normal((samples + 10, 784)), y=labels)
            config = loading.load(
                base,
                [
                    f"seeds={self.seeds}", "seed=0", f"network={LAYERS}", "init=pytorch",
                    f"data={{kind: npz, path: {file}, train: {samples}, test: 10}}",
                    "loss=cross-entropy", "optimizer=sgd", "dtype=float32", "device=cpu",
                    "train.eta=0.01", "train.mode=sgd", f"train.batch_size={self.batch}",
                ],
            )  # fmt: skip
            built = plan.build(config, self.seeds, ["sgd"])
        return Problem(self, built, BatchOrder(built.seeds, samples)())


class JaxLeNet(Jax):
    """JAX's arm for LeNet."""

    def forward(self, layers: Any, x: Any) -> Any:
        import jax
        import jax.numpy as jnp

        first, second, *hidden, (weight, bias) = layers
        x = x.reshape(-1, 1, 28, 28)
        for (w, b), padding in ((first, "SAME"), (second, "VALID")):
            x = jax.lax.conv_general_dilated(x, w, (1, 1), padding)
            x = jax.nn.relu(x + b[:, None, None])
            window = (1, 1, 2, 2)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
        x = x.reshape(len(x), -1)
        for w, b in hidden:
            x = jax.nn.relu(x @ w.T + b)
        return x @ weight.T + bias

    def loss(self, layers: Any, x: Any, target: Any) -> Any:
        import jax
        import jax.numpy as jnp

        logs = jax.nn.log_softmax(self.forward(layers, x))
        return -jnp.take_along_axis(logs, target[:, None], 1).mean()


ARMS: dict[str, Callable[[Problem], Arm]] = {
    "minifw": partial(Minifw, compile=True),
    "minifw, plain": partial(Minifw, compile=False),
    "PyTorch": PyTorch,
    "JAX": JaxLeNet,
}
REGIMES = [LeNet(1, 64), LeNet(10, 64)]


def present(base: Path) -> tuple[list[str], dict[str, str]]:
    """Return the arms that can run here, and the reason for each that cannot."""
    names, missing = arms.present()
    missing = {name: why for name, why in missing.items() if name in ARMS}
    names = [name for name in names if name in ARMS]
    if "minifw" in names:
        tried = Minifw(LeNet(1, 2).problem(base), compile=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotCompiledWarning)
            tried.train(1)
        if tried.why_plain is not None:
            names.remove("minifw")
            missing["minifw"] = tried.why_plain
    return names, missing
