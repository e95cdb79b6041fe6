"""The learning rate of each step: eta times the factors of a schedule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minifw.data import Floats, Samples
from minifw.errors import DtypeError, ModuleError
from minifw.nn import Schedule
from minifw.nn.schedules import factors_of

TRIED = 64
"""Epochs whose factors are looked at before training begins, so that no mistake ends it midway."""

Factors = Callable[[int], Floats | None]
"""Returns one factor for each step of an epoch, counted from 1; None if all are 1."""


class _Over(Schedule):
    """A schedule over so many epochs, of which only the first are trained now."""

    def __init__(self, schedule: Schedule, epochs: int) -> None:
        self.schedule, self.epochs = schedule, epochs

    def factors(self, steps: Floats, total: int, epoch: int) -> Floats:
        return self.schedule.factors(steps, self.epochs * epoch, epoch)


def over(schedule: Schedule, epochs: int) -> Schedule:
    """Return a schedule over so many epochs, of which only the first may be trained now."""
    return schedule if schedule.is_constant else _Over(schedule, epochs)


def steps_of_epoch(samples: int, batch_size: int) -> int:
    """Return how many steps an epoch has, of which the last may be of fewer samples."""
    return -(-samples // batch_size)


def by_epoch(schedule: Schedule | None, samples: int, batch_size: int, epochs: int) -> Factors:
    """Return the factors of each epoch of a training of so many epochs."""
    if schedule is None or schedule.is_constant:
        return lambda epoch: None
    steps = steps_of_epoch(samples, batch_size)

    def factors(epoch: int) -> Floats:
        first = (epoch - 1) * steps
        return factors_of(schedule, range(first, first + steps), epochs * steps, steps)

    return factors


def factors(
    rates: object, eta: float | tuple[float, ...], data: Samples, batch_size: int, epochs: int
) -> Factors:
    """Return the factors of each epoch, after checking the schedule `rates` on some of them.

    Raises:
        DtypeError: `rates` is no schedule.
        ModuleError: a factor is below 0, or eta times it is not finite in the dtype of the samples.

    """
    if rates is not None and not isinstance(rates, Schedule):
        raise DtypeError(
            f"fit: rates must be a Schedule, such as nn.Cosine(), got {type(rates).__name__}"
        )
    made = by_epoch(rates, data.count, batch_size, epochs)
    most = max(eta) if isinstance(eta, tuple) else eta
    dtype = str(data.inputs.dtype).removeprefix("torch.")
    largest = float(np.finfo(dtype).max)
    for epoch in np.unique(np.linspace(1, max(epochs, 1), TRIED, dtype=np.int64)).tolist():
        found = made(epoch)
        if found is None:
            break
        if (highest := float(found.max())) * most > largest:
            raise ModuleError(
                f"fit: {rates} times eta must be finite in {dtype}, got {highest:g} times {most:g} "
                f"in epoch {epoch}"
            )
    return made
