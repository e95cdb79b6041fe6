"""How a stack of networks is trained on the machine: seeds at once, threads, compiled or not.

All rules depend on sizes alone, not on measured times, so that a run can be repeated bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from minifw.compile.compilers import find_compiler, require_compiler, why_none
from minifw.data import Dataset, Samples
from minifw.nn import Network
from minifw.nn.module import in_mode
from minifw.training import arguments, cost
from minifw.training.cost import Work
from minifw.training.division import Division, divided

# What a plain shard of a stack, or an evaluation, may hold at once. It only bounds memory: the time
# per seed hardly depends on it (docs/decisions.md).
PLAIN_BYTES = 2**30

# What an evaluation may hold of one network: of more samples, some are evaluated at a time. The
# number of seeds is not in it, so that a seed of a stack is evaluated as it is alone.
EVALUATION_BYTES = 2**28

# A single network uses torch's threads from this many results of a layer on. Every operation waits
# for the slowest thread, which is very slow on busy processors (docs/decisions.md).
ALONE_FROM = 262_144

TOO_FEW = "too few steps for it to save time"
TOO_LARGE = "recording a step on all these samples would take more than 1 GiB of memory"

UNDIVIDED = Division()


@dataclass(frozen=True)
class Schedule:
    """How `fit` divides and executes the steps; results depend on it only by rounding.

    An evaluation takes more samples than a step of SGD, so it has its own division (None: the
    same); `rows` are the samples that it takes at a time, None: all. If compiling fails,
    `otherwise` is used instead; None makes it an error. `not_compiled` is why steps are not
    compiled although that would save time, None if that is not so.
    """

    training: Division = UNDIVIDED
    evaluation: Division | None = None
    rows: int | None = None
    compiled: bool = False
    otherwise: Schedule | None = None
    not_compiled: str | None = None


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
        *stack, _ = samples.shape
        seeds = math.prod(stack)
        with in_mode(network, training=False):
            network.forward(samples.inputs.narrow(len(stack), 0, 1))
        values = [value for _, value, _ in network.parameters()]
        return cls(
            tuple(value.numel() // seeds for value in _results_of_layers(network)),
            sum(value.numel() for value in values) // seeds,
            max((value.element_size() for value in values), default=4),
        )

    @property
    def modules(self) -> int:
        """The number of modules. Those without parameters are not known: one after each layer."""
        return max(1, 2 * len(self.outputs) - 1)

    def operations(self, rows: int) -> int:
        """Return the additions and multiplications of matrix products in a step."""
        return 6 * self.weights * rows  # a product forward, and two backward

    def results(self, rows: int) -> int:
        """Return the number of results of the largest layer for this many samples."""
        return rows * max(self.outputs, default=1)

    def forward_bytes(self, rows: int) -> int:
        """Return the bytes of the results of all layers and their activations."""
        return 2 * self.number * rows * sum(self.outputs)

    def step_bytes(self, rows: int) -> int:
        """Return the bytes of these results and their gradients."""
        return 2 * self.forward_bytes(rows)

    def recording_bytes(self, rows: int, evaluated: int, features: int) -> int:
        """Return the bytes of recording a step, and beside it an evaluation, on three networks."""
        inputs = self.number * features * (rows + evaluated)
        return 3 * (inputs + self.step_bytes(rows) + self.forward_bytes(evaluated))

    def rows_at_once(self, samples: int) -> int:
        """Return how many of `samples` of a network are evaluated at a time."""
        return max(1, min(samples, EVALUATION_BYTES // max(1, self.forward_bytes(1))))

    def networks_in(self, most: int, rows: int) -> int:
        """Return how many networks fit in `most` bytes, with a step of `rows` samples."""
        a_network = 3 * self.number * self.weights + self.step_bytes(rows)
        return max(1, most // max(1, a_network))


class Compiling(NamedTuple):
    """Whether steps are compiled, and whether plain steps are used if that fails.

    `why` says why not; it `is_fault` if compiling would save time and is not possible here.
    """

    compiled: bool
    or_plain: bool = False
    why: str = ""
    is_fault: bool = False


PLAINLY = Compiling(False)

Wish = Literal["auto", True, False]
"""A config's `train.compile`."""


def steps_in(epochs: int, samples: int, batch_size: int) -> int:
    """Return how many steps a training takes; the last batch of an epoch may be cut short."""
    return epochs * -(-samples // batch_size)


def work(
    sizes: StepSizes,
    seeds: int,
    batch_size: int,
    epochs: int,
    samples: int,
    threads: int,
    *,
    features: int = 0,
    evaluated: int = 0,
) -> Work:
    """Return the sizes that decide whether steps are compiled.

    `samples` are for training, `evaluated` the most that are evaluated at once.
    """
    plain = _divided(sizes, seeds, batch_size, seeds, threads)
    return Work(
        steps=steps_in(epochs, samples, batch_size),
        networks=seeds,
        modules=sizes.modules,
        different=len(set(pairwise((0, *sizes.outputs)))),
        operations=sizes.operations(batch_size),
        threads=compiled_threads(sizes, seeds, batch_size, samples, threads),
        plain_threads=plain.threads or threads,
        recording=sizes.recording_bytes(batch_size, evaluated, features),
    )


def why_plain(to_do: Work) -> str:
    """Return why sizes speak against compiling; empty if they do not."""
    if not to_do.saves_time:
        return TOO_FEW
    return TOO_LARGE if to_do.recording > PLAIN_BYTES else ""


def decide(wish: Wish, against: str, on_cpu: bool) -> Compiling:
    """Decide whether a training's steps are compiled; `against` is what sizes say against it.

    Raises:
        UsageError: the wish is True and there is no C compiler.

    """
    if wish is True:
        require_compiler()
        return Compiling(True)
    if wish is False:
        return Compiling(False, why="train.compile: false")
    if not on_cpu:
        return Compiling(False, why="only for device: cpu")
    if against:
        return Compiling(False, why=against)
    if find_compiler() is None:
        why = f"compiling needs a C compiler, and {why_none()}"
        return Compiling(False, why=why, is_fault=True)
    return Compiling(True, or_plain=True)


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
        UsageError: `compile` is True and there is no C compiler.

    """
    *stack, samples = data.train.shape
    batch_size = arguments.batch_size(batch_size, data.train)
    on_cpu = data.train.inputs.is_cpu
    sizes, seeds = StepSizes.of(network, data.train), math.prod(stack)
    threads = torch.get_num_threads() if on_cpu else 1
    largest = max(part.count for part in data.parts.values())
    evaluated = sizes.rows_at_once(largest)
    features = data.train.inputs.shape[-1]
    to_do = work(
        sizes, seeds, batch_size, epochs, samples, threads, features=features, evaluated=evaluated
    )
    compiling = decide(compile, why_plain(to_do), on_cpu)
    return scheduled(sizes, seeds, batch_size, largest, threads, compiling)


def scheduled(
    sizes: StepSizes,
    seeds: int,
    batch_size: int,
    samples: int,
    threads: int,
    compiling: Compiling = PLAINLY,
) -> Schedule:
    """Return how `seeds` networks take steps of `batch_size` on at most `threads` threads.

    `samples` is the number of samples of the largest part that is evaluated.
    """
    rows = sizes.rows_at_once(samples)
    in_memory = sizes.networks_in(PLAIN_BYTES, rows)
    plain = Schedule(
        training=_divided(sizes, seeds, batch_size, in_memory, threads),
        evaluation=_divided(sizes, seeds, rows, in_memory, threads),
        rows=rows if rows < samples else None,
    )
    if not compiling.compiled:
        return replace(plain, not_compiled=compiling.why if compiling.is_fault else None)
    # Each thread has an equal part of the seeds: compiled steps need memory for one network only.
    threads = compiled_threads(sizes, seeds, batch_size, samples, threads)
    return replace(
        plain,
        training=Division(-(-seeds // threads), threads),
        compiled=True,
        otherwise=plain if compiling.or_plain else None,
    )


def compiled_threads(
    sizes: StepSizes, seeds: int, batch_size: int, samples: int, threads: int
) -> int:
    """Return on how many threads compiled steps are worth it, with so many samples in an epoch."""
    a_step = cost.compiled(sizes.modules, sizes.operations(batch_size))
    seconds = seeds * a_step * -(-samples // batch_size)
    return max(1, min(threads, seeds, int(seconds / cost.WORTH_A_THREAD)))


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
