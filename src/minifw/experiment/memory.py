"""How much memory a run will need, before anything is drawn, and which key to change if too much.

The estimate counts numbers, from sizes alone. How near it is to what runs take stands in
docs/decisions.md; a test holds some sizes to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minifw.config.model import Config, Generated
from minifw.config.source import KeyPath, Source
from minifw.system.machine import available, gigabytes
from minifw.training.division import divided
from minifw.training.placement import PLAIN_BYTES

# What the samples, weights and order of the seeds that are trained together may hold. It is enough
# for 30,000 seeds of `simplenet`; from some dozens on, a seed takes the same time.
GROUP_BYTES = 2 * 2**30
# A number of the history, in the arrays, in metrics.jsonl and in what makes the figures.
RECORD_BYTES = 60


@dataclass(frozen=True)
class Sizes:
    """All that the need of memory depends on. `layers` are the outputs of each layer, by place."""

    seeds: int
    train: int
    test: int
    features: int
    classes: int
    layers: tuple[int, ...]
    batch: int | None
    evaluations: int
    number: int
    """Bytes of a number."""
    one_hot: bool
    from_file: bool
    momentum: bool
    ensemble: bool
    """Whether PyTorch trains all seeds at once too, none of its results in reused memory."""
    trained: int
    """How many trained networks of each seed are kept to the end: one of each arm in each mode."""
    group_bytes: int
    """What the seeds that are trained together may hold."""
    threads: int = 1
    """How many there may be; each has a part of the stack, and memory of its own."""

    def weights(self) -> int:
        """Return how many numbers the weights of one network are."""
        count, inputs = 0, self.features
        for outputs in self.layers:
            if outputs:
                count += (inputs + 1) * outputs
                inputs = outputs
        return count

    def bytes(self) -> int:
        """Return about how much memory the run takes at its highest, beside the program."""
        together = self.together()
        most = max(self._parts(together), together * self._ensemble() + self._left(together))
        training = together * self._training() + most
        group = max(together * self._samples() + self._draw(), training)
        # Weights of what was trained before; of groups, those of a part as one stack in the end.
        stacks = self.trained + (together < self.seeds)
        kept = (stacks * self.seeds - together) * self.weights() * self.number
        records = 3 * self.evaluations * self.trained * self.seeds * RECORD_BYTES
        return int(self._table() + group + kept + records)

    def together(self) -> int:
        """Return how many seeds are drawn and trained together: groups of about the same size."""
        most = max(1, self.group_bytes // (self._training() + self._ensemble()))
        groups = -(-self.seeds // most)
        return -(-self.seeds // groups)

    def _table(self) -> int:
        return (self.train + self.test) * 8 * (self.features + 1) if self.from_file else 0

    def _samples(self) -> int:
        target = self.number * self.classes if self.one_hot else 8
        return (self.train + self.test) * (self.number * self.features + target + 8)

    def _draw(self) -> int:
        """Return what drawing takes beside the samples, one seed after another."""
        # Draws are float64; shifting and scaling them makes two copies.
        return (self.train + self.test) * 8 * (3 * self.features + 1)

    def _training(self) -> int:
        """Return what training takes in each seed of a group, beside the parts of the stack."""
        # Weights, gradients, the weights before the epoch; and of a checkpoint, a copy and its
        # bytes twice. Momentum would add five, all at one moment; 7.5 in all were the most seen.
        copies = 8 if self.momentum else 6
        if self.ensemble:
            copies += 3  # PyTorch's networks beside ours, and weights that are to be evaluated
        weights = copies * self.weights() * self.number
        order = self.train * (self.number * (self.features + self.classes) + 16)
        return self._samples() + weights + (order if self.batch else 0)

    def _parts(self, together: int) -> float:
        """Return what the parts of a group take: those at work at once, others after them."""
        width, rows = self._width(), max(self.train, self.test)
        size, workers = self._divided(together, self.batch or self.train)
        training = _at_once(together, size, workers) * 4 * width * (self.batch or self.train)
        size, workers = self._divided(together, rows)
        evaluating = _at_once(together, size, workers) * 2 * width * rows
        return training + evaluating if self.batch else max(training, evaluating)

    def _divided(self, together: int, rows: int) -> tuple[int, int]:
        """Return the seeds of a part and the number of threads, as `schedule.choose` does."""
        most = max(1, PLAIN_BYTES // max(1, 4 * self._width() * max(self.train, self.test)))
        size, workers = divided(together, rows * max(self.layers, default=0), most, self.threads)
        return min(together, size or together), workers or 1

    def _ensemble(self) -> int:
        """Return what a step of PyTorch takes in each seed if it trains all seeds at once."""
        return 2 * self._step() if self.ensemble else 0  # nothing is reused

    def _left(self, together: int) -> int:
        """Return what our threads leave: the C library keeps their memory for threads to come."""
        size, workers = self._divided(together, self.batch or self.train)
        return (workers - 1) * size * self._step() if self.ensemble else 0

    def _width(self) -> int:
        return self.number * sum(self.layers)

    def _step(self) -> int:
        """Return what a step and an evaluation take in each seed."""
        # Results and gradients of every layer and activation; an evaluation has no gradients.
        width, rows = self._width(), max(self.train, self.test)
        training, evaluating = 4 * width * (self.batch or self.train), 2 * width * rows
        return training + evaluating if self.batch else max(training, evaluating)


def _at_once(together: int, size: int, workers: int) -> float:
    """Return how many seeds' results there are at once in parts of this size, on so many threads.

    The last part is smaller, and has memory of its own.
    """
    return workers * size + min(together % size, size / 2)


def sizes(
    config: Config,
    mode: str,
    seeds: int,
    features: int,
    classes: int,
    train: int,
    test: int,
    *,
    ensemble: bool = False,
    trained: int = 1,
    threads: int = 1,
) -> Sizes:
    """Return the sizes of a run of this config, on so many threads."""
    steps = config.train
    return Sizes(
        seeds=seeds,
        train=train,
        test=test,
        features=features,
        classes=classes,
        layers=tuple(getattr(layer, "out_features", 0) for layer in config.network),
        batch=steps.batch_size if mode == "sgd" else None,
        evaluations=steps.epochs // steps.eval_every + 2,
        number=8 if config.dtype == "float64" else 4,
        one_hot=config.loss.kind == "mse",
        from_file=not isinstance(config.data, Generated),
        momentum=config.optimizer.momentum > 0,
        ensemble=ensemble,
        trained=trained,
        group_bytes=GROUP_BYTES,
        threads=threads,
    )


def fitted(size: Sizes) -> Sizes:
    """Return these sizes with groups of seeds that fit into what is free, if there are any."""
    free = available()
    smaller = size
    while smaller.bytes() > free and smaller.together() > 1:
        smaller = replace(smaller, group_bytes=smaller.group_bytes // 2)
    return smaller if smaller.bytes() <= free else size


def check(config: Config, source: Source, size: Sizes) -> None:
    """Note a fault at the key that matters most if the run would not fit."""
    needed, free = size.bytes(), available()
    if needed <= free:
        return
    path, words = _greatest(config, size)
    what = f"needs about {gigabytes(needed)} of memory, {gigabytes(free)} are free"
    source.add(path, f"{what}; {words} would help")


def _greatest(config: Config, size: Sizes) -> tuple[KeyPath, str]:
    """Return the key that would save most if it were as small as it can be, and what to do."""
    changes: dict[KeyPath, tuple[Sizes, str]] = {
        ("seeds",): (replace(size, seeds=1), "fewer seeds"),
        ("data", "train"): (replace(size, train=1, batch=size.batch and 1), "fewer samples"),
        ("data", "test"): (replace(size, test=1), "fewer samples"),
        ("train", "eval_every"): (replace(size, evaluations=2), "fewer evaluations"),
        ("train", "batch_size"): (replace(size, batch=size.batch and 1), "smaller batches"),
    }
    if not isinstance(config.data, Generated):
        # All samples of a file that are not for training are for testing.
        changes[("data", "train")] = (replace(size, train=1, test=1), "fewer samples")
    for position, outputs in enumerate(size.layers):
        layers = (*size.layers[:position], min(1, outputs), *size.layers[position + 1 :])
        path = ("network", position, "out_features")
        changes[path] = (replace(size, layers=layers), "a narrower layer")
    need: Callable[[KeyPath], int] = lambda path: changes[path][0].bytes()  # noqa: E731
    best = min(changes, key=need)
    return best, changes[best][1]
