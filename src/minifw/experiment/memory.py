"""Estimates the memory of a run before anything is drawn, and which key to change if too much.

The estimate counts numbers, from sizes alone; a test compares it with measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minifw.config import heads
from minifw.config.generated import Generated
from minifw.config.model import Config
from minifw.config.source import KeyPath, Source
from minifw.config.wiring import Wiring, wiring
from minifw.errors import ModuleError
from minifw.system.machine import available, gigabytes
from minifw.training import Division
from minifw.training.placement import PLAINLY, Compiling, Schedule, StepSizes, scheduled

# What samples, weights and orders of a group of seeds, which are trained at once, may hold. Larger
# groups would not be faster: from some dozens of seeds on, the time per seed is constant.
GROUP_BYTES = 2 * 2**30
# Bytes of a number of the history: in the arrays, in metrics.jsonl and while figures are drawn.
RECORD_BYTES = 60


@dataclass(frozen=True)
class Sizes:
    """The sizes that decide the memory of a run in one mode.

    `layers` are the outputs of each layer, by position; 0 for an activation, whose results are
    counted with those of the layer before. `parameters` are the trained numbers of each layer.
    """

    seeds: int
    train: int
    test: int
    features: int
    classes: int
    layers: tuple[int, ...]
    parameters: tuple[int, ...]
    batch: int | None
    evaluations: int
    number: int
    """Bytes of a number."""
    one_hot: bool
    from_file: bool
    remembered: int
    """Tensors that the optimiser keeps for each parameter."""
    ensemble: bool
    """Whether PyTorch trains all seeds at once too, without reused memory."""
    trained: int
    """Trained networks of each seed that are kept to the end: one for each arm and mode."""
    group_bytes: int
    """What a group of seeds may hold."""
    targets: int = 0
    """Numbers that the targets of a sample are, if there are several heads."""
    validation: int = 0
    """Samples for validation, which are not among those of `train`."""
    threads: int = 1
    """The number of threads; each has a shard of the stack and its own memory."""
    stops: bool = False
    """Whether seeds stop early."""
    records: bool = False
    """Whether a step is recorded, to be compiled."""
    encoded: bool = False
    """Whether each seed fills gaps of a table, or has its own categories."""

    @property
    def step(self) -> StepSizes:
        """The sizes of a step of one network."""
        return StepSizes(tuple(filter(None, self.layers)), sum(self.parameters), self.number)

    @property
    def batch_size(self) -> int:
        """Samples in a step."""
        return self.batch or self.train

    @property
    def largest(self) -> int:
        """Samples that are evaluated at once."""
        return self.step.rows_at_once(self._largest_part)

    @property
    def _largest_part(self) -> int:
        return max(self.train, self.test, self.validation)

    @property
    def samples(self) -> int:
        """All samples of a seed."""
        return self.train + self.test + self.validation

    def schedule(self, seeds: int, compiling: Compiling = PLAINLY) -> Schedule:
        """Return how this many seeds are trained and evaluated."""
        largest = self._largest_part
        return scheduled(self.step, seeds, self.batch_size, largest, self.threads, compiling)

    def bytes(self) -> int:
        """Return the estimated peak memory of the run in bytes, without the program itself."""
        size = self.group_size()
        most = max(self._at_work(size), size * self._ensemble() + self._left(size))
        training = size * self._training() + most
        group = max(size * self._samples() + self._draw(), training)
        # Weights of finished parts, and of an arm's groups as one stack at the end.
        stacks = self.trained + (size < self.seeds)
        kept = (stacks * self.seeds - size) * self._weights()
        series = 6 if self.validation else 4
        records = series * self.evaluations * self.trained * self.seeds * RECORD_BYTES
        return int(self._table() + group + kept + records)

    def group_size(self) -> int:
        """Return the number of seeds in a group; groups have about the same size."""
        most = self.most_at_once
        groups = -(-self.seeds // most)
        return -(-self.seeds // groups)

    @property
    def most_at_once(self) -> int:
        """The number of seeds that fit into a group."""
        return max(1, self.group_bytes // (self._training() + self._ensemble()))

    def _table(self) -> int:
        return self.samples * 8 * (self.features + 1) if self.from_file else 0

    def _samples(self) -> int:
        target = self.number * (self.targets or self.classes) if self.one_hot else 8
        return self.samples * (self.number * self.features + target + 8)

    def _weights(self) -> int:
        return self.step.weights * self.number

    def _draw(self) -> int:
        """Return the bytes for drawing, one seed after another, besides the samples."""
        # Draws are float64, and normalising makes two copies; filling makes one more, and notes
        # for each number whether it was missing.
        copies = 4.25 if self.encoded else 3
        return int(self.samples * 8 * (copies * self.features + 1))

    def _training(self) -> int:
        """Return the bytes that training takes for each seed of a group, besides its steps."""
        # Weights, gradients, the weights before the epoch; a checkpoint's copy and its bytes
        # twice. Momentum adds up to five; 7.5 copies in all were the most that was measured.
        # Each further tensor that an optimiser remembers is counted as momentum is.
        copies = 6 + 2 * self.remembered
        if self.ensemble:
            copies += 3  # PyTorch's networks, and weights that wait for evaluation
        if self.stops:
            copies *= 2  # the best weights, and the part of the stack that is left
        order = self.train * (self.number * (self.features + self.classes) + 16)
        # The samples of that part are copied too.
        samples = 2 * self._samples() if self.stops else self._samples()
        return samples + copies * self._weights() + (order if self.batch else 0)

    def _at_work(self, seeds: int) -> float:
        """Return the bytes of the steps and evaluations of a group that run at the same time."""
        return max(self._plainly(seeds), self._recording() if self.records else 0)

    def _recording(self) -> float:
        """Return the bytes of recording a step and an evaluation, to compile them."""
        return self.step.recording_bytes(self.batch_size, self.largest, self.features)

    def _plainly(self, seeds: int) -> float:
        """Return the bytes of plain steps and evaluations that run at the same time."""
        plan = self.schedule(seeds)
        training = _at_once(seeds, plan.training) * self.step.step_bytes(self.batch_size)
        evaluated = _at_once(seeds, plan.evaluation)
        evaluating = evaluated * self.step.forward_bytes(self.largest)
        beside = evaluated * self.step.forward_bytes(self._also_evaluated())
        return self._either(training, evaluating) + beside

    def _also_evaluated(self) -> int:
        """Return of how many samples the results are kept beside those of the largest part.

        Parts of the same size share their memory. That of training and test samples alone is within
        what is reckoned with; a third part would not be.
        """
        sizes = (self.train, self.test, self.validation)
        parts = {self.step.rows_at_once(size) for size in sizes}
        return sum(parts) - self.largest if self.validation else 0

    def _ensemble(self) -> int:
        """Return the bytes of PyTorch's step for each seed if it trains all seeds at once."""
        return 2 * self._step() if self.ensemble else 0  # without reused memory

    def _left(self, seeds: int) -> int:
        """Return the bytes that the C library keeps for later threads after our threads end."""
        if not self.ensemble:
            return 0
        size, workers = _division(seeds, self.schedule(seeds).training)
        return (workers - 1) * size * self._step()

    def _step(self) -> int:
        """Return the bytes of a step and an evaluation for each seed."""
        step = self.step
        return int(self._either(step.step_bytes(self.batch_size), step.forward_bytes(self.largest)))

    def _either(self, training: float, evaluating: float) -> float:
        """Return the bytes of both; with the same samples they reuse the same memory."""
        return training + evaluating if self.batch else max(training, evaluating)


def _division(seeds: int, division: Division | None) -> tuple[int, int]:
    """Return how many seeds are trained together, and on how many threads."""
    assert division is not None
    return min(seeds, division.seeds or seeds), min(seeds, division.threads or 1)


def _at_once(seeds: int, division: Division | None) -> float:
    """Return for how many seeds results are in memory at once.

    The last shard may have fewer seeds, and has its own memory.
    """
    size, workers = _division(seeds, division)
    return workers * size + min(seeds % size, size / 2)


def sizes(
    config: Config,
    mode: str,
    seeds: int,
    features: int,
    classes: int,
    train: int,
    test: int,
    validation: int = 0,
    *,
    ensemble: bool = False,
    trained: int = 1,
    threads: int = 1,
    encoded: bool = False,
) -> Sizes:
    """Return the sizes of a run of this config on this many threads."""
    steps = config.train
    layers, parameters = _network(wiring(config), features)
    return Sizes(
        seeds=seeds,
        train=train,
        test=test,
        validation=validation,
        features=features,
        classes=classes,
        layers=layers,
        parameters=parameters,
        batch=steps.batch_size if mode == "sgd" else None,
        evaluations=steps.epochs // steps.eval_every + 2,
        number=8 if config.dtype == "float64" else 4,
        one_hot=heads.one_hot(config.loss),
        targets=sum(classes if head.predicts else features for head in heads.heads(config.loss)),
        from_file=not isinstance(config.data, Generated),
        remembered=config.optimizer.remembers,
        stops=steps.early_stopping is not None,
        ensemble=ensemble,
        trained=trained,
        group_bytes=GROUP_BYTES,
        threads=threads,
        encoded=encoded,
    )


def _network(wired: Wiring, features: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return `layers` and `parameters` of a network for this many features."""
    layers, parameters = [], []
    shapes = wired.shapes(features)
    for position, size in enumerate(wired.sizes(features)):
        inputs = wired.taken(position, shapes)
        layers.append(size.outputs if size.parameters or [size.shape] != inputs else 0)
        parameters.append(size.parameters)
    return tuple(layers), tuple(parameters)


def fitted(size: Sizes) -> Sizes:
    """Return these sizes with groups of seeds that fit into free memory, if possible."""
    free = available()
    smaller = size
    while smaller.bytes() > free and smaller.group_size() > 1:
        smaller = replace(smaller, group_bytes=smaller.group_bytes // 2)
    return smaller if smaller.bytes() <= free else size


def check(config: Config, source: Source, size: Sizes) -> None:
    """Note a fault at the most important key if the run would not fit into memory."""
    needed, free = size.bytes(), available()
    if needed <= free:
        return
    path, words = _greatest(config, size)
    what = f"needs about {gigabytes(needed)} of memory, {gigabytes(free)} are free"
    source.add(path, f"{what}; {words} would help")


def _greatest(config: Config, size: Sizes) -> tuple[KeyPath, str]:
    """Return the key that would save the most memory if minimal, and the advice for it."""
    changes: dict[KeyPath, tuple[Sizes, str]] = {
        ("seeds",): (replace(size, seeds=1), "fewer seeds"),
        ("data", "train"): (
            replace(size, train=1, validation=0, batch=size.batch and 1),
            "fewer samples",
        ),
        ("data", "test"): (replace(size, test=1), "fewer samples"),
        ("train", "eval_every"): (replace(size, evaluations=2), "fewer evaluations"),
        ("train", "batch_size"): (replace(size, batch=size.batch and 1), "smaller batches"),
    }
    if not isinstance(config.data, Generated):
        # Samples of a file that are not for training are by default for testing.
        least = replace(size, train=1, validation=0, test=1)
        changes[("data", "train")] = (least, "fewer samples")
    for position, layer in enumerate(config.network):
        if hasattr(layer, "out_features"):
            narrow = layer.model_copy(update={"out_features": 1})
            network = [*config.network[:position], narrow, *config.network[position + 1 :]]
            narrower_config = config.model_copy(update={"network": tuple(network)})
            try:
                layers, parameters = _network(wiring(narrower_config), size.features)
            except ModuleError:  # another layer needs its width, as a sum does
                continue
            path = ("network", position, "out_features")
            narrower = replace(size, layers=layers, parameters=parameters)
            changes[path] = (narrower, "a narrower layer")
    need: Callable[[KeyPath], int] = lambda path: changes[path][0].bytes()  # noqa: E731
    best = min(changes, key=need)
    return best, changes[best][1]
