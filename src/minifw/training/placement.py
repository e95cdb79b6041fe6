"""How a stack of networks is trained on the machine: seeds at once, threads, compiled or not.

All rules depend on sizes alone, not on measured times, so that a run can be repeated bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from minifw.data import Dataset, Samples
from minifw.nn import Network
from minifw.training import arguments, compiled
from minifw.training.division import Division, divided, equal_shards

# What a plain shard of a stack, or an evaluation, may hold at once. It only bounds memory: the time
# per seed hardly depends on it (docs/performance.md).
PLAIN_BYTES = 2**30

# A single network uses torch's threads from this many results of a layer on. Every operation waits
# for the slowest thread, which is very slow on busy processors (docs/performance.md).
ALONE_FROM = 262_144

# What a compiled shard may hold. Smaller shards fit the cache better, but each has a cost in every
# epoch (docs/performance.md).
SHARD_BYTES = 8 * 2**20

# From this many steps on, compiling saves more time than it takes (docs/performance.md).
COMPILE_FROM = 50_000


UNDIVIDED = Division()


@dataclass(frozen=True)
class Schedule:
    """How `fit` divides and executes the steps; results depend on it only by rounding.

    An evaluation takes more samples than a step of SGD, so it has its own division (None: the
    same). If compiling fails, `otherwise` is used instead; None makes it an error.
    """

    training: Division = UNDIVIDED
    evaluation: Division | None = None
    compiled: bool = False
    otherwise: Schedule | None = None


@dataclass(frozen=True)
class StepSizes:
    """The sizes that decide the memory of a step of one network of a stack.

    `outputs` are the results of each layer for one sample (those of an activation are counted with
    its layer), `weights` is the number of all weights, `number` the bytes of a number.
    """

    outputs: tuple[int, ...]
    weights: int
    number: int

    @classmethod
    def of(cls, network: Network, samples: Samples) -> StepSizes:
        """Return the sizes of a network's step, measured with one sample.

        Any modules are allowed; those with parameters count as layers.
        """
        *stack, _ = samples.labels.shape
        seeds = math.prod(stack)
        network.forward(samples.inputs.narrow(len(stack), 0, 1))
        values = [value for _, value, _ in network.parameters()]
        return cls(
            tuple(value.numel() // seeds for value in _results_of_layers(network)),
            sum(value.numel() for value in values) // seeds,
            max((value.element_size() for value in values), default=4),
        )

    def results(self, rows: int) -> int:
        """Return the number of results of the largest layer for this many samples."""
        return rows * max(self.outputs, default=1)

    def forward_bytes(self, rows: int) -> int:
        """Return the bytes of the results of all layers and their activations."""
        return 2 * self.number * rows * sum(self.outputs)

    def step_bytes(self, rows: int) -> int:
        """Return the bytes of these results and their gradients."""
        return 2 * self.forward_bytes(rows)

    def networks_in(self, most: int, rows: int) -> int:
        """Return how many networks fit in `most` bytes, with a step of `rows` samples."""
        a_network = 3 * self.number * self.weights + self.step_bytes(rows)
        return max(1, most // max(1, a_network))


class Compiling(NamedTuple):
    """Whether steps are compiled, and whether plain steps are used if that fails."""

    compiled: bool
    or_plain: bool = False


PLAINLY = Compiling(False)

Wish = Literal["auto", True, False]
"""A config's `train.compile`."""


def steps_in(epochs: int, samples: int, batch_size: int) -> int:
    """Return how many steps a training takes; the last batch of an epoch may be cut short."""
    return epochs * -(-samples // batch_size)


def decide(wish: Wish, steps: int, on_cpu: bool) -> Compiling:
    """Decide whether a training with this many steps is compiled.

    Raises:
        UsageError: the wish is True and there is no C++ compiler.

    """
    if wish is True:
        compiled.require_compiler()
        return Compiling(True)
    if wish == "auto" and steps >= COMPILE_FROM and on_cpu and compiled.compiler() is not None:
        return Compiling(True, or_plain=True)
    return PLAINLY


def for_data(
    network: Network,
    data: Dataset,
    batch_size: int | None,
    epochs: int,
    compile: Wish,  # noqa: A002, the name of the config's key
) -> Schedule:
    """Return how to train a stack for `epochs` passes over the training samples of `data`.

    `batch_size` is that of `fit`: None, or more than there are, takes all samples in one step.

    Raises:
        UsageError: `compile` is True and there is no C++ compiler.

    """
    *stack, samples = data.train.labels.shape
    batch_size = arguments.batch_size(batch_size, data.train)
    on_cpu = data.train.inputs.is_cpu
    return scheduled(
        StepSizes.of(network, data.train),
        math.prod(stack),
        batch_size,
        max(samples, data.test.labels.shape[-1]),
        torch.get_num_threads() if on_cpu else 1,
        decide(compile, steps_in(epochs, samples, batch_size), on_cpu),
    )


def scheduled(
    sizes: StepSizes,
    seeds: int,
    batch_size: int,
    samples: int,
    threads: int,
    compiling: Compiling = PLAINLY,
) -> Schedule:
    """Return how `seeds` networks take steps of `batch_size` on at most `threads` threads.

    `samples` is the number of samples that are evaluated at once.
    """
    in_memory = sizes.networks_in(PLAIN_BYTES, samples)
    plain = Schedule(
        training=_divided(sizes, seeds, batch_size, in_memory, threads),
        evaluation=_divided(sizes, seeds, samples, in_memory, threads),
    )
    if not compiling.compiled:
        return plain
    in_cache = sizes.networks_in(SHARD_BYTES, batch_size)
    size = equal_shards(seeds, min(in_cache, max(1, in_memory // threads)), threads)
    return replace(
        plain,
        training=Division(size, min(threads, seeds)),
        compiled=True,
        otherwise=plain if compiling.or_plain else None,
    )


def _divided(sizes: StepSizes, seeds: int, rows: int, in_memory: int, threads: int) -> Division:
    """Return how to divide the stack for `rows` samples of each network.

    A stack is divided among Python's threads. Only a single network uses torch's threads, which
    divide every single operation.
    """
    results = sizes.results(rows)
    if seeds == 1:  # only the operations can be divided
        return Division(1, threads if results >= ALONE_FROM else 1)
    return divided(seeds, results, in_memory, threads)


def _results_of_layers(network: Network) -> Iterator[Tensor]:
    """Yield the results of each module with parameters in the latest `forward`."""
    modules = [*network]
    inner: set[int] = set()
    for position, value in network.results():
        module = modules[position]
        if isinstance(module, Network):
            if position not in inner:
                yield from _results_of_layers(module)
            inner.add(position)
        elif module.parameters():
            yield value
