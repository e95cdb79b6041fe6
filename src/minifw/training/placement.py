"""How a stack of networks goes through the machine: seeds at once, threads, compiled or not.

All rules depend on sizes alone, never on a clock, so that a run can be repeated bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch

from minifw.data.dataset import Dataset
from minifw.nn import Linear, Network
from minifw.training import compiled
from minifw.training.division import Division, divided, equal_parts

# What a plain part of a stack, or the evaluation of any part, may hold at once. Only memory counts
# here, for the time of a seed is the same within a few percent for 5 to 20 seeds a part, and larger
# for fewer.
PLAIN_BYTES = 2**30

# One network alone has torch's threads from here on. Each operation ends with a wait for the last
# of them: with two busy programs a processor, 1000 samples took 8 times as long at width 128 as on
# one thread, and still 5 times at 512, where two idle processors gain the most.
ALONE_FROM = 262_144

# What a compiled part may hold. With 1 MB a seed (1000 samples, width 25) parts of 2, 5, 10 seeds
# took 1.53, 1.48 and 1.61 ms a step of 20 seeds on two cores with 2 MB of cache each; but each part
# costs about 0.1 ms an epoch: 2.51, 2.25 and 3.17 ms where an epoch is one step.
PART_BYTES = 8 * 2**20

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


def for_data(
    network: Network,
    data: Dataset,
    batch_size: int | None,
    epochs: int,
    compile: Literal["auto", True, False],  # noqa: A002, the name of the config's key
) -> Schedule:
    """Return what `choose` finds for `epochs` passes over the training samples of `data`.

    `batch_size` is that of `fit`: None, or more than there are, takes all samples in one step.
    """
    *stack, samples = data.train.labels.shape
    batch_size = samples if batch_size is None else min(batch_size, samples)
    return choose(
        network,
        math.prod(stack),
        batch_size,
        max(samples, data.test.labels.shape[-1]),
        epochs * -(-samples // batch_size),
        compile,
    )


def choose(
    network: Network,
    seeds: int,
    batch_size: int,
    samples: int,
    steps: int,
    compile: Literal["auto", True, False],  # noqa: A002, the name of the config's key
) -> Schedule:
    """Return how to train `seeds` networks for `steps` steps of `batch_size` samples each.

    `samples` is how many go through at once in an evaluation.

    Raises:
        UsageError: `compile` is True and there is no C++ compiler.

    """
    if compile is True:
        compiled.require_compiler()
    on_cpu = all(value.is_cpu for _, value, _ in network.parameters())
    threads = torch.get_num_threads() if on_cpu else 1
    in_memory = seeds_in_memory(network, seeds, samples)
    plain = Schedule(
        training=_divided(network, seeds, batch_size, in_memory, threads),
        evaluation=_divided(network, seeds, samples, in_memory, threads),
    )
    pays = steps >= COMPILE_FROM and on_cpu and compiled.compiler() is not None
    if compile is False or (compile == "auto" and not pays):
        return plain
    in_cache = max(1, PART_BYTES // _bytes_a_seed(network, seeds, batch_size))
    size = equal_parts(seeds, min(in_cache, max(1, in_memory // threads)), threads)
    return replace(
        plain,
        training=Division(size, min(threads, seeds)),
        compiled=True,
        otherwise=plain if compile == "auto" else None,
    )


def _divided(network: Network, seeds: int, rows: int, in_memory: int, threads: int) -> Division:
    """Return how to divide the stack for `rows` samples of each network.

    A stack is divided, and its threads are Python's. Only one network that is alone gets those of
    torch, which share every single operation.
    """
    results = rows * max(_widths(network), default=1)
    if seeds == 1:  # nothing to divide but the operations
        return Division(1, threads if results >= ALONE_FROM else 1)
    return divided(seeds, results, in_memory, threads)


def seeds_in_memory(network: Network, seeds: int, samples: int, most: int = PLAIN_BYTES) -> int:
    """Return how many networks of this stack hold the results of a step in `most` bytes."""
    return max(1, most // _bytes_a_seed(network, seeds, samples))


def _bytes_a_seed(network: Network, seeds: int, rows: int) -> int:
    """Return about how much memory a step takes in each network of the stack.

    That is weights, gradients and the step; and for each row (a sample) the result of every
    layer, of its activation, and the gradients of both.
    """
    values = [value for _, value, _ in network.parameters()]
    width = sum(_widths(network))
    size = max((value.element_size() for value in values), default=4)
    weights = sum(value.numel() for value in values) // seeds
    return max(1, size * (3 * weights + 4 * rows * width))


def _widths(network: Network) -> list[int]:
    return [module.out_features for module in network.modules() if isinstance(module, Linear)]
