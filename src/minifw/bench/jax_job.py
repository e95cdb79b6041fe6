"""A whole job in JAX, as its users would write it: what `minifw bench --jobs` times beside minifw.

It is a program of its own, run as a process, and needs nothing of minifw: the disk, SimpleNet for
every seed, training, errors every few epochs, a figure, and a JSON file with all of it. Seeds are
vmapped, an epoch is one jitted scan over the batches, and its order is drawn anew.

    python jax_job.py --seeds 20 --batch 40 --epochs 1000 --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SIZES = (2, 25, 25, 25, 2)
RADIUS = 1 / math.sqrt(2 * math.pi)
ETA = 0.01


def draw_samples(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
    """Return points of the unit square, and whether each is inside the disk: 0 or 1."""
    points = rng.uniform(0, 1, (count, 2))
    return points, (((points - 0.5) ** 2).sum(1) <= RADIUS**2).astype(int)


def draw_layers(rng: np.random.Generator) -> list[tuple[Any, Any]]:
    """Return initial weights and biases, U(-a, a) with a = 1/√inputs."""
    return [
        (rng.uniform(-a, a, (outputs, inputs)), rng.uniform(-a, a, outputs))
        for inputs, outputs in pairwise(SIZES)
        for a in [1 / math.sqrt(inputs)]
    ]


def forward(layers: Any, x: Any) -> Any:
    """Return the outputs of one network for samples `(n, 2)`."""
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = jax.nn.relu(x @ w.T + b)
    return x @ weight.T + bias


def loss(layers: Any, x: Any, target: Any) -> Any:
    """Return the squared error, summed over the outputs, as the mean of the samples."""
    return jnp.sum((forward(layers, x) - target) ** 2) / len(x)


def step(layers: Any, batch: Any) -> Any:
    """Take a step of plain SGD."""
    gradients = jax.grad(loss)(layers, *batch)
    return jax.tree.map(lambda value, g: value - ETA * g, layers, gradients), None


def epoch(layers: Any, x: Any, targets: Any, order: Any) -> Any:
    """Take all steps of an epoch; `order` is `(steps, batch)`."""
    return jax.lax.scan(step, layers, (x[order], targets[order]))[0]


def full_batch(layers: Any, x: Any, targets: Any) -> Any:
    """Take the only step of an epoch."""
    return step(layers, (x, targets))[0]


def measure(layers: Any, train: Any, test: Any) -> Any:
    """Return training loss, and the errors on training and test samples in percent."""

    def error(x: Any, labels: Any) -> Any:
        return 100 * jnp.mean(jnp.argmax(forward(layers, x), -1) != labels)

    x, targets, labels = train
    return loss(layers, x, targets), error(x, labels), error(*test)


def main() -> None:
    """Train, and write errors.png and results.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000, help="for training, and for testing")
    parser.add_argument("--batch", type=int, help="samples in a step; all without it")
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--eval-every", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()

    generators = [np.random.default_rng(seed) for seed in range(given.seeds)]
    xs, ys, tests, test_ys, networks = [], [], [], [], []
    for rng in generators:
        x, y = draw_samples(rng, given.samples)
        test, test_y = draw_samples(rng, given.samples)
        mean, std = x.mean(0), x.std(0)
        xs.append((x - mean) / std)
        tests.append((test - mean) / std)
        ys.append(y)
        test_ys.append(test_y)
        networks.append(draw_layers(rng))
    layers = jax.tree.map(lambda *of: jnp.array(np.stack(of), jnp.float32), *networks)
    samples, labels = jnp.array(np.stack(xs), jnp.float32), jnp.array(np.stack(ys))
    targets = jax.nn.one_hot(labels, 2)
    train = samples, targets, labels
    held_out = jnp.array(np.stack(tests), jnp.float32), jnp.array(np.stack(test_ys))

    train_epoch = jax.jit(jax.vmap(full_batch if given.batch is None else epoch))
    evaluate = jax.jit(jax.vmap(measure))
    shuffle = np.random.default_rng(given.seeds)
    order = np.tile(np.arange(given.samples, dtype=np.int32), (given.seeds, 1))
    measured = [(0, *map(np.asarray, evaluate(layers, train, held_out)))]
    for number in range(1, given.epochs + 1):
        if given.batch is None:
            layers = train_epoch(layers, samples, targets)
        else:
            shuffle.permuted(order, axis=1, out=order)
            batches = order.reshape(given.seeds, -1, given.batch)
            layers = train_epoch(layers, samples, targets, batches)
        if number % given.eval_every == 0 or number == given.epochs:
            measured.append((number, *map(np.asarray, evaluate(layers, train, held_out))))

    series = (np.array(values) for values in zip(*measured, strict=True))
    epochs, losses, train_error, test_error = series
    given.out.mkdir(parents=True, exist_ok=True)
    results = {
        "epochs": epochs.tolist(),
        "train_loss": losses.tolist(),
        "train_error": train_error.tolist(),
        "test_error": test_error.tolist(),
        "final": {
            name: float(getattr(np, name)(test_error[-1]))
            for name in ("min", "median", "mean", "max")
        },
    }
    (given.out / "results.json").write_text(json.dumps(results))

    from matplotlib import pyplot

    for name, errors in (("training", train_error), ("test", test_error)):
        low, middle, high = np.percentile(errors, [25, 50, 75], axis=1)
        (line,) = pyplot.plot(epochs, middle, label=name)
        pyplot.fill_between(epochs, low, high, color=line.get_color(), alpha=0.2)
    pyplot.xlabel("epoch")
    pyplot.ylabel("error, %")
    pyplot.legend()
    pyplot.savefig(given.out / "errors.png", dpi=150)


if __name__ == "__main__":
    main()
