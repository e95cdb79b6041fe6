"""Compiled steps of a learner: its own step, recorded once, for all networks of a stack."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor

from minifw.compile import CannotCompileError, Program
from minifw.compile.beside import beside
from minifw.data import Samples
from minifw.nn import Network
from minifw.nn.module import in_mode
from minifw.training import evaluation
from minifw.training.arguments import places
from minifw.training.learner import Learner
from minifw.training.steady import check_steady

IMAGES = 64
"""Samples that a network with convolutions evaluates at a time."""
FEW = 8
"""Samples of the steps that are tried before one is recorded."""


class Steps:
    """The steps of an epoch, compiled for one kind of network, loss and optimizer, and for sizes.

    They may be called in several threads at the same time, for any part of a stack.

    Args:
        learner: only its formulas and shapes are used.
        samples: only their sizes and dtypes are used.
        batch_size: samples in a step, at most as many as there are; if the last batch of an epoch
            is smaller, its step is compiled too.
        build: whether the C is compiled at once, else when it is first needed.

    Attributes:
        programs: the step of whole batches, and that of the smaller last one, if any.

    Raises:
        CannotCompileError: why they cannot be compiled, in one line.

    """

    def __init__(
        self, learner: Learner, samples: Samples, batch_size: int, *, build: bool = True
    ) -> None:
        if not samples.inputs.is_cpu:
            raise CannotCompileError(f"the samples are on {samples.inputs.device.type}, not cpu")
        self._batch_size = batch_size
        cut = samples.count % batch_size
        make = partial(_program, learner, samples, build)
        if cut:
            with beside(lambda: make(cut)) as smaller:  # the C compiler is a process of its own
                self.programs = [make(batch_size)]
            self.programs.append(smaller.result())
        else:
            self.programs = [make(batch_size)]

    def on(self, learner: Learner, samples: Samples) -> Epochs:
        """Return the steps of this learner on these samples.

        Args:
            learner: as for the constructor, of some or all networks of the stack.
            samples: of these networks.

        """
        return Epochs(self.programs, learner, samples, self._batch_size)


class Epochs:
    """The steps of a learner on its samples: `run` takes those of an epoch."""

    def __init__(
        self, programs: Sequence[Program], learner: Learner, samples: Samples, batch_size: int
    ) -> None:
        state, inputs, targets = lanes_of(learner, samples)
        self._samples, self._lanes, self._batch_size = samples, len(inputs), batch_size
        self._dtype = state[0].dtype
        # What could not be viewed as lanes is copied before and after.
        self._copies = [
            (value, lanes)
            for value, lanes in zip(learner.state, state, strict=True)
            if lanes.data_ptr() != value.data_ptr()
        ]
        whole = inputs.shape[1] - inputs.shape[1] % batch_size
        bound = [program.on(state, inputs, targets) for program in programs]
        self._bound = [*zip(bound, (0, whole), strict=False)]

    def run(self, order: Tensor | None, eta: float | Tensor) -> tuple[Tensor, bool]:
        """Take all steps of an epoch, in place.

        Return the output of the last one, `(…, batch, classes)`, and whether all weights, and all
        that the optimizer remembers, are finite.

        Args:
            order: `(…, n)`, the order in which samples are taken; None: as they stand.
            eta: learning rate, a number, one for each network, or one for each step, for all
                networks `(steps, 1)` or for each `(steps, networks)`.

        Raises:
            ShapeError: a position in the order is out of range.

        """
        stack = self._samples.stack
        if order is not None:
            self._samples.check_order(order)  # beyond the samples is memory of others
            order = order.reshape(self._lanes, -1)
        rate = torch.as_tensor(eta, dtype=self._dtype)
        finite = torch.empty(self._lanes, dtype=self._dtype)
        for value, lanes in self._copies:
            lanes.copy_(value.reshape(lanes.shape))
        for bound, first in self._bound:
            own = rate[first // self._batch_size :] if rate.ndim == 2 else rate
            output = bound.run(order, own, first, finite=finite)
        for value, lanes in self._copies:
            value.copy_(lanes.view(value.shape))
        return output.unflatten(0, stack) if stack else output[0], not finite.any()


class Outputs:
    """The outputs of a network for all samples at once, compiled; for evaluation.

    They may be computed in several threads at the same time, for any part of a stack.

    Args:
        learner: only its formulas and shapes are used.
        parts: only their sizes and dtypes are used; parts of a size share the code.
        rows: samples of each network at a time, if outputs may be found so; None: all.

    Attributes:
        programs: by the number of samples that each takes at a time.

    Raises:
        CannotCompileError: why they cannot be compiled, in one line.

    """

    def __init__(self, learner: Learner, *parts: Samples, rows: int | None = None) -> None:
        if _has_images(learner, parts[0]):
            rows = IMAGES
        divided = rows is not None and may_be_divided(learner, parts[0])
        self._most = rows if rows and divided else max(samples.count for samples in parts)
        sizes = {min(samples.count, self._most): samples for samples in parts}
        self.programs = {
            count: _program(learner, samples, True, count, train=False)
            for count, samples in sizes.items()
        }

    def of(self, learner: Learner, samples: Samples) -> Tensor:
        """Return the outputs of some or all networks of the stack, `(…, n, classes)`."""
        stack = samples.stack
        state, inputs, targets = lanes_of(learner, samples)
        count = min(samples.count, self._most)
        bound = self.programs[count].on(state, inputs, targets)
        eta = torch.zeros((), dtype=state[0].dtype)
        last = samples.count - count  # the last ones may overlap those before
        outputs = [bound.run(None, eta, first, 1) for first in range(0, last, count)]
        end = bound.run(None, eta, last, 1)
        if outputs:
            end = torch.cat([*outputs, end[:, count * len(outputs) - last :]], 1)
        return end.unflatten(0, stack) if stack else end[0]


def _has_images(learner: Learner, samples: Samples) -> bool:
    """Whether there are convolutions, whose results take much memory, slow to go through."""
    dimensions = len(samples.stack)
    return any(value.ndim - dimensions >= 3 for _, value, _ in learner.network.parameters())


def may_be_divided(learner: Learner, samples: Samples) -> bool:
    """Whether the outputs of some samples at a time are those of all at once."""
    state, inputs, _ = lanes_of(learner, samples)
    alone = learner.on([value[:1].clone() for value in state]).network
    return evaluation.may_be_divided(alone, inputs[:1], 1)


def check_steps(learner: Learner, samples: Samples) -> None:
    """Raise a CannotCompileError if a step changes what is not in the state, such as a counter."""
    state, inputs, targets = lanes_of(learner, samples)
    try:
        alone = learner.on([value[:1].clone() for value in state])
        with suppress(Exception):  # not everything can be copied, a lock for instance
            alone = copy.deepcopy(alone)  # else its generators would be the learner's own
        check_steady(alone, inputs[:1, :FEW].clone(), targets[:1, :FEW].clone())
    except CannotCompileError:
        raise
    except Exception as fault:  # a user's module may not take few samples, say
        raise CannotCompileError(f"{type(fault).__name__}: {fault}".splitlines()[0]) from fault


def _program(
    learner: Learner, samples: Samples, build: bool, batch_size: int, *, train: bool = True
) -> Program:
    """Return the step of batches of this size, or only its outputs."""
    state, inputs, targets = lanes_of(learner, samples)
    names = _Names()

    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        twin = learner.on(state)
        names.of(twin)
        with in_mode(twin.network, train):
            output: Tensor = twin.step(x, target, eta) if train else twin.network.forward(x)
        return output

    try:
        program = Program(step, state, inputs, targets, batch_size, names)
        if build:
            program.library  # noqa: B018, this compiles it
    except CannotCompileError:
        raise
    except Exception as fault:  # a user's module may not take a stack of two, say
        raise CannotCompileError(f"{type(fault).__name__}: {fault}".splitlines()[0]) from fault
    return program


class _Names:
    """The names of a learner's modules, as `2 Linear(25, 25)`, its loss and its optimizer."""

    def __init__(self) -> None:
        self._named: dict[int, tuple[str, object]] = {}  # by id; the object itself keeps its id

    def of(self, learner: Learner) -> None:
        """From now on, give names to what this learner consists of."""
        named: list[tuple[str, object]] = [(type(learner.network).__name__, learner.network)]
        for place, module in places(learner.network):
            name = type(module).__name__ if isinstance(module, Network) else repr(module)
            named.append((f"{place} {name}", module))
        named += [(repr(thing), thing) for thing in (learner.loss, learner.optimizer)]
        for name, thing in named:
            self._named.setdefault(id(thing), (name, thing))

    def __call__(self, thing: object) -> str | None:
        return self._named.get(id(thing), (None, None))[0]


def lanes_of(learner: Learner, samples: Samples) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return state, inputs and targets with one dimension for the stack, `(networks, …)`.

    They are views if possible. A single network is a stack of one.
    """
    stack = samples.stack
    for value in learner.state:
        if value.shape[: len(stack)] != stack:
            what = f"a tensor {tuple(value.shape)}, which is not one for each of {tuple(stack)}"
            raise CannotCompileError(f"{learner.optimizer} keeps {what} networks")

    def lanes(value: Tensor) -> Tensor:
        return value.reshape(math.prod(stack), *value.shape[len(stack) :])

    return [*map(lanes, learner.state)], lanes(samples.inputs), lanes(samples.targets)
