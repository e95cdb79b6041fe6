"""Schedules of the learning rate: a factor of eta for each step of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from minifw.errors import ModuleError
from minifw.nn.module import described
from minifw.nn.registry import Key, schedule

__all__ = ["Constant", "Cosine", "OneCycle", "Schedule", "StepDecay", "WarmUp"]

Numbers = NDArray[np.float64]


class Schedule:
    """How the learning rate changes: in step n it is eta times the n-th of `factors`.

    It is a formula, so a training that is continued goes on as one without a break:

        class InverseRoot(Schedule):
            def factors(self, steps, total, epoch):
                return 1 / np.sqrt(1 + steps / epoch)

    """

    is_constant: ClassVar[bool] = False
    """Whether all factors are 1, so that they need not be asked for."""

    def factors(self, steps: Numbers, total: int, epoch: int) -> Numbers:
        """Return the factor of each of these steps, `(n,)`: finite, and at least 0.

        Args:
            steps: their numbers, counted from 0 at the beginning of the training, `(n,)`.
            total: the steps of the whole training, all epochs.
            epoch: the steps of an epoch.

        """
        raise NotImplementedError(f"{type(self).__name__} does not define factors")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _check(owner: Schedule, name: str, value: object, must: str, fits: bool) -> None:
    if not fits:
        raise ModuleError(f"{type(owner).__name__}: {name} must be {must}, got {value!r}")


def _is_real(value: object) -> bool:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return is_number and math.isfinite(float(value))  # type: ignore[arg-type]


@schedule("constant", about="the same learning rate in all steps")
class Constant(Schedule):
    """Constant: 1, in each step."""

    is_constant = True

    def factors(self, steps: Numbers, total: int, epoch: int) -> Numbers:
        return np.ones_like(steps)


@schedule("step", about="the learning rate times a factor, after every so many epochs")
class StepDecay(Schedule):
    """StepDecay: f^⌊e / every⌋ in epoch e, counted from 0; f is `factor`.

    Source: the formula of torch.optim.lr_scheduler.StepLR.

    Raises:
        ModuleError: every is no whole number of at least 1, or factor not above 0 and finite.

    """

    def __init__(
        self,
        every: Annotated[int, Key("epochs after which the learning rate changes", ge=1)],
        factor: Annotated[float, Key("the learning rate is multiplied by it then", gt=0)] = 0.1,
    ) -> None:
        whole = isinstance(every, int) and not isinstance(every, bool) and every >= 1
        _check(self, "every", every, "a whole number of epochs of at least 1", whole)
        _check(self, "factor", factor, "above 0 and finite", _is_real(factor) and factor > 0)
        self.every, self.factor = every, factor

    def factors(self, steps: Numbers, total: int, epoch: int) -> Numbers:
        return np.power(float(self.factor), steps // epoch // self.every)

    def __repr__(self) -> str:
        return f"StepDecay(every={self.every}, factor={self.factor})"


@schedule("cosine", about="the learning rate falls along half a cosine to the end of training")
class Cosine(Schedule):
    """Cosine: f + (1 - f) (1 + cos(π n / N)) / 2 in step n of N; f is `final`.

    Source: Loshchilov and Hutter, 2017, arXiv:1608.03983, without restarts; the formula of
    torch.optim.lr_scheduler.CosineAnnealingLR with T_max = N.

    Raises:
        ModuleError: final is below 0 or above 1.

    """

    def __init__(
        self, final: Annotated[float, Key("what is left of it at the end", ge=0, le=1)] = 0.0
    ) -> None:
        _check(
            self, "final", final, "at least 0 and at most 1", _is_real(final) and 0 <= final <= 1
        )
        self.final = final

    def factors(self, steps: Numbers, total: int, epoch: int) -> Numbers:
        return self.final + (1 - self.final) * _falling(steps / total)

    def __repr__(self) -> str:
        return f"Cosine(final={self.final})"


def _falling(share: Numbers) -> Numbers:
    """Return half a cosine, from 1 at 0 to 0 at 1."""
    return (1 + np.cos(np.pi * share)) / 2


@schedule("one-cycle", about="the learning rate rises to its peak, then falls to almost nothing")
class OneCycle(Schedule):
    """OneCycle: half a cosine up from 1/start to 1 at p N of N steps, then one down.

    It ends at 1/(start · final). p is `peak`, and eta is the learning rate at the peak. Source:
    Smith and Topin, 2018, arXiv:1708.07120; the formula of torch.optim.lr_scheduler.OneCycleLR,
    without its cycle of momentum.

    Raises:
        ModuleError: peak is not in (0, 1), or start or final below 1.

    """

    def __init__(
        self,
        peak: Annotated[float, Key("where the peak is, as a share of all steps", gt=0, lt=1)] = 0.3,
        start: Annotated[float, Key("the peak is so many times the first rate", ge=1)] = 25.0,
        final: Annotated[float, Key("the first rate is so many times the last", ge=1)] = 1e4,
    ) -> None:
        _check(self, "peak", peak, "above 0 and below 1", _is_real(peak) and 0 < peak < 1)
        for name, value in (("start", start), ("final", final)):
            _check(self, name, value, "at least 1 and finite", _is_real(value) and value >= 1)
        self.peak, self.start, self.final = peak, start, final

    def factors(self, steps: Numbers, total: int, epoch: int) -> Numbers:
        first, last = 1 / self.start, 1 / (self.start * self.final)
        top = self.peak * total - 1  # PyTorch counts so: the peak is the last step of the rise
        up = 1 + (first - 1) * _falling(steps / max(top, 1e-9))
        down = last + (1 - last) * _falling((steps - top) / max(total - 1 - top, 1e-9))
        return np.where(steps <= top, up, down)

    def __repr__(self) -> str:
        return f"OneCycle(peak={self.peak}, start={self.start}, final={self.final})"


@schedule("warm-up", about="the learning rate rises for some epochs, then follows another schedule")
class WarmUp(Schedule):
    """WarmUp: (n + 1) / W in step n of the first W, then `then` for what is left of the training.

    W are the steps of `epochs` epochs; without `then` the learning rate is constant afterwards.
    Source: Goyal et al., 2017, arXiv:1706.02677; the formula of
    torch.optim.lr_scheduler.LinearLR with start_factor = 1/W and total_iters = W - 1.

    Raises:
        ModuleError: epochs is not above 0 and finite, or `then` no schedule.

    """

    def __init__(
        self,
        epochs: Annotated[float, Key("epochs, or a part of one, in which it rises", gt=0)] = 5,
        then: Schedule | None = None,
    ) -> None:
        _check(self, "epochs", epochs, "above 0 and finite", _is_real(epochs) and epochs > 0)
        if then is not None and not isinstance(then, Schedule):
            raise ModuleError(f"WarmUp: then must be a Schedule, got {described(then)}")
        self.epochs, self.then = epochs, then or Constant()

    def factors(self, steps: Numbers, total: int, epoch: int) -> Numbers:
        rise = max(1, round(min(self.epochs * epoch, total)))
        found = np.minimum((steps + 1) / rise, 1.0)
        late = steps >= rise
        if late.any():
            found[late] = self.then.factors(steps[late] - rise, max(1, total - rise), epoch)
        return found

    def __repr__(self) -> str:
        return f"WarmUp(epochs={self.epochs}, then={self.then})"


def factors_of(schedule: Schedule, steps: Sequence[int] | range, total: int, epoch: int) -> Numbers:
    """Return the factors of these steps.

    Raises:
        ModuleError: they are not one number of at least 0 for each step.

    """
    numbers = np.array(steps, dtype=np.float64)
    found: Any = schedule.factors(numbers.copy(), total, epoch)
    if not isinstance(found, np.ndarray) or found.shape != numbers.shape:
        came = f"shape {found.shape}" if isinstance(found, np.ndarray) else described(found)
        raise ModuleError(
            f"{schedule}.factors: must return an array of {numbers.shape}, one number for each "
            f"step, got {came}"
        )
    values = found.astype(np.float64)
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        place = int(wrong.argmax())
        raise ModuleError(
            f"{schedule}.factors: must be finite and at least 0, got {values[place]} in step "
            f"{steps[place]}"
        )
    return values
