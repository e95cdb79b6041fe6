"""How a stack of networks goes through the machine: seeds at once, threads, compiled or not.

All rules depend on sizes alone, never on a clock, so that a run can be repeated bit for bit.
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

# What a plain shard of a stack, or the evaluation of any, may hold at once. Only memory counts
# here, for the time of a seed is the same within a few percent for 5 to 20 seeds a shard, and
# larger for fewer.
PLAIN_BYTES = 2**30

# One network alone has torch's threads from here on. Each operation ends with a wait for the last
# of them: with two busy programs a processor, 1000 samples took 8 times as long at width 128 as on
# one thread, and still 5 times at 512, where two idle processors gain the most.
ALONE_FROM = 262_144

# What a compiled shard may hold. With 1 MB a seed (1000 samples, width 25) shards of 2, 5, 10 seeds
# took 1.53, 1.48 and 1.61 ms a step of 20 seeds on two cores with 2 MB of cache each; but each
# shard costs about 0.1 ms an epoch: 2.51, 2.25 and 3.17 ms where an epoch is one step.
SHARD_BYTES = 8 * 2**20

# Compiling takes about 12 s and saves 0.1 to 0.2 ms a step: from so many steps on it pays.
COMPILE_FROM = 50_000


WHOLE = Division()


@dataclass(frozen=True)
class Schedule:
    """What `fit` does besides its formulas; it changes rounding at most.

    An evaluation is larger than a step of SGD, so its division is another (None: the same).
    Where compiling fails, `otherwise` is what is done instead; None makes it an error.
    """

    training: Division = WHOLE
    evaluation: Division | None = None
    compiled: bool = False
    otherwise: Schedule | None = None


@dataclass(frozen=True)
class StepSizes:
    """What a step of one network of a stack takes: all that its memory depends on.

    `outputs` are the results of each layer for one sample (an activation's are counted with its
    layer's), `weights` the numbers of all parameters, `number` the bytes of a number.
    """

    outputs: tuple[int, ...]
    weights: int
    number: int

    @classmethod
    def of(cls, network: Network, samples: Samples) -> StepSizes:
        """Return the sizes of a network's step, seen as one of the samples goes through the stack.

        The modules may be any; a layer is one with parameters.
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
        """Return how many numbers the largest layer gives for so many samples."""
        return rows * max(self.outputs, default=1)

    def forward_bytes(self, rows: int) -> int:
        """Return what the results of all layers and of their activations take."""
        return 2 * self.number * rows * sum(self.outputs)

    def step_bytes(self, rows: int) -> int:
        """Return what these results and the gradients of each take."""
        return 2 * self.forward_bytes(rows)

    def networks_in(self, most: int, rows: int) -> int:
        """Return how many networks `most` bytes hold, with gradients and a step of so many rows."""
        a_network = 3 * self.number * self.weights + self.step_bytes(rows)
        return max(1, most // max(1, a_network))


class Compiling(NamedTuple):
    """Whether steps are compiled, and whether plain ones are taken where that fails."""

    compiled: bool
    or_plain: bool = False


PLAINLY = Compiling(False)

Wish = Literal["auto", True, False]
"""A config's `train.compile`."""


def steps_in(epochs: int, samples: int, batch_size: int) -> int:
    """Return how many steps a training takes; the last batch of an epoch may be cut short."""
    return epochs * -(-samples // batch_size)


def decide(wish: Wish, steps: int, on_cpu: bool) -> Compiling:
    """Decide whether so many steps are compiled.

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
    """Return how `seeds` networks go through steps of `batch_size` on at most so many threads.

    `samples` is how many go through at once in an evaluation.
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

    A stack is divided, and its threads are Python's. Only one network that is alone gets those of
    torch, which share every single operation.
    """
    results = sizes.results(rows)
    if seeds == 1:  # nothing to divide but the operations
        return Division(1, threads if results >= ALONE_FROM else 1)
    return divided(seeds, results, in_memory, threads)


def _results_of_layers(network: Network) -> Iterator[Tensor]:
    """Give what each module with parameters computed in the latest `forward`, inner ones too."""
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
