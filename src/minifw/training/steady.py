"""Whether all steps of a learner are the same: what a step changes must be in the learner's state.

Compiled steps are recorded from one step. A counter in a module, or a generator of random numbers,
would stand still in them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Number

import numpy as np
import torch
from torch import Tensor

from minifw.compile import CannotCompileError
from minifw.nn import Module
from minifw.nn.held import NOT_HELD
from minifw.training.arguments import places
from minifw.training.learner import Learner

ATTEMPTS = 10
"""Other threads of this process, such as a cluster's, may draw random numbers between two steps: a
step does so only if it always seems to."""
_OF_PYTHON, _OF_NUMPY = (f"{name}'s generator of random numbers" for name in ("Python", "NumPy"))
_OF_ALL_THREADS = {_OF_PYTHON, _OF_NUMPY}


def check_steady(learner: Learner, inputs: Tensor, targets: Tensor) -> None:
    """Take two steps of learning rate 0, and compare what is held beside tensors.

    Args:
        learner: a learner that nobody else uses; what it remembers is changed.
        inputs: `(networks, batch, …)`, any samples.
        targets: of these samples.

    Raises:
        CannotCompileError: what the second step has changed.

    """
    for attempt in range(ATTEMPTS):
        with drawn_again():
            learner.step(inputs, targets, 0.0)
            before = _held(learner)
            learner.step(inputs, targets, 0.0)
            after = _held(learner)
        changed = [name for name in after if after[name] != before.get(name)]
        if not changed:
            return
        if attempt == ATTEMPTS - 1 or not _OF_ALL_THREADS.issuperset(changed):
            raise CannotCompileError(f"a step changes {changed[0]}, which is not in the state")


def numbers(learner: Learner) -> dict[str, object]:
    """Return by name the numbers and text that modules, loss and optimizer have as attributes."""
    return {
        name: value for name, value in _attributes(learner) if isinstance(value, (int, float, str))
    }


def _attributes(learner: Learner) -> Iterator[tuple[str, object]]:
    """Yield the attributes of modules, loss and optimizer, as `5 Tanh.slope` or `SGD.momentum`."""
    modules = [(f"{place} {type(m).__name__}", m) for place, m in places(learner.network)]
    things = [(type(t).__name__, t) for t in (learner.network, learner.loss, learner.optimizer)]
    for name, thing in [*modules, *things]:
        for key, value in vars(thing).items():
            if key not in NOT_HELD:
                yield f"{name}.{key}", value


@contextmanager
def drawn_again() -> Iterator[None]:
    """After this block, Python, NumPy and torch draw the random numbers that they would have."""
    of_python, of_numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)


def _held(learner: Learner) -> dict[str, object]:
    """Return by name the numbers, text and generators that a learner holds."""
    found: dict[str, object] = {
        _OF_PYTHON: random.getstate(),
        _OF_NUMPY: repr(np.random.get_state(legacy=False)),
    }
    seen: set[int] = set()

    def enter(name: str, value: object) -> None:
        if (plain := _plain(value)) is not None:
            found[name] = plain
            return
        if isinstance(value, (Tensor, Module, type)) or callable(value) or id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, (list, tuple, deque, set, frozenset)):
            found[f"the length of {name}"] = len(value)
            inside = [(f"{name}[{n}]", item) for n, item in enumerate(value)]
        elif isinstance(value, dict):
            found[f"the length of {name}"] = len(value)
            inside = [(f"{name}[{key!r}]", item) for key, item in value.items()]
        else:
            inside = [
                (f"{name}.{key}", item) for key, item in getattr(value, "__dict__", {}).items()
            ]
        for place, item in inside:
            enter(place, item)

    for name, value in _attributes(learner):
        enter(name, value)
    return found


def _plain(value: object) -> object:
    """Return what can be compared of a number, a text or a generator; None for anything else."""
    if isinstance(value, (Number, str, bytes)):
        return repr(value)
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False))
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, torch.Generator):
        return value.get_state().tolist()
    return repr(value) if type(value).__module__ == "itertools" else None
