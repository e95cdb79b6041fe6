"""Early stopping: each network of a stack ends when its validation samples say so.

The best weights of each are kept, and put back at its end (Prechelt 1998, "Early stopping - but
when?", in Neural Networks: Tricks of the Trade). The rule sees a network's own evaluations alone,
so that a network of a stack ends as it does alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.errors import UsageError
from minifw.training.history import History

Monitor = Literal["loss", "error"]
Restored = Literal["best", "last"]
Networks = NDArray[np.bool_]
"""For each network of a stack whether it is meant; without a dimension for a single network."""


@dataclass(frozen=True)
class EarlyStopping:
    """When a network has learned enough: it did not get better for `patience` evaluations.

    Attributes:
        patience: evaluations in a row without a new best, after which a network stops.
        min_delta: by how much a value must be below the best to be a new best, in the loss's own
            scale or the error's unit; at least 0.
        monitor: which value of the validation samples is watched.
        restore: the weights a network ends with, those of its best evaluation or its last ones.

    Raises:
        UsageError: a value is not as above.

    """

    patience: int = 20
    min_delta: float = 0.0
    monitor: Monitor = "loss"
    restore: Restored = "best"

    def __post_init__(self) -> None:
        patience, delta = self.patience, self.min_delta
        whole = isinstance(patience, Integral) and not isinstance(patience, bool)
        real = isinstance(delta, Real) and not isinstance(delta, bool)
        for name, must, fits in (
            ("patience", "a whole number of at least 1", whole and patience >= 1),
            ("min_delta", "a finite number of at least 0", real and 0 <= delta < math.inf),
            ("monitor", "loss or error", self.monitor in get_args(Monitor)),
            ("restore", "best or last", self.restore in get_args(Restored)),
        ):
            if not fits:
                what = f"{name} must be {must}, got {getattr(self, name)!r}"
                raise UsageError(f"EarlyStopping: {what}")

    @property
    def series(self) -> str:
        """The name of the watched measurements in a history."""
        return f"validation_{self.monitor}"

    def judge(self, history: History) -> tuple[Networks, Networks]:
        """Return after an evaluation which networks are at their best, and which stop now.

        Only those that are still trained are judged. A value that is not a number is no best one.
        """
        epochs, left = history.epochs, ~history.ended
        now = getattr(history, self.series)[-1]
        best = history.at(self.series, history.best_epoch)
        with np.errstate(invalid="ignore"):
            lower = (now < best - self.min_delta) | (np.isnan(best) & ~np.isnan(now))
        better = left & ((history.best_epoch < 0) | lower)
        since = len(epochs) - 1 - np.searchsorted(epochs, history.best_epoch)
        return better, left & ~better & (since >= self.patience)

    def follow(self, history: History, tensors: Mapping[str, Tensor]) -> bool:
        """Keep what is best after an evaluation, and end the networks that stop.

        `tensors` has what a network consists of, as its weights, by name, each with the stack
        first. Return whether a network has stopped.
        """
        better, stops = self.judge(history)
        if better.any():
            history.best_epoch[better] = history.epochs[-1]
            if self.restore == "best":
                _keep(history.best, tensors, better)
        if not stops.any():
            return False
        history.stopped[stops] = history.epochs[-1]
        self._restore(history, tensors, stops)
        return True

    def finish(self, history: History, tensors: Mapping[str, Tensor]) -> None:
        """At the end of training, give networks that did not stop their best weights.

        Their last ones are kept in the history, from which training may continue.
        """
        worse = ~history.ended & (history.best_epoch < history.epochs[-1])
        if self.restore == "best" and worse.any():
            history.last = {name: value.detach().clone() for name, value in tensors.items()}
            self._restore(history, tensors, worse)

    def _restore(self, history: History, tensors: Mapping[str, Tensor], some: Networks) -> None:
        best = self.restore == "best"
        history.kept[some] = history.best_epoch[some] if best else history.epochs[-1]
        if best:
            copy_networks(tensors, history.best, some)


def continue_from_last(history: History, tensors: Mapping[str, Tensor]) -> None:
    """Give networks that did not stop their last weights again, to go on from these."""
    going = ~history.ended
    copy_networks(tensors, history.last, going)
    history.kept[going] = -1
    history.last = {}


def _keep(best: dict[str, Tensor], tensors: Mapping[str, Tensor], some: Networks) -> None:
    if not best:
        best |= {name: value.detach().clone() for name, value in tensors.items()}
    else:
        copy_networks(best, tensors, some)


def copy_networks(to: Mapping[str, Tensor], of: Mapping[str, Tensor], some: Networks) -> None:
    """Copy the numbers of some networks of a stack from one set of tensors to another, by name."""
    mask = torch.from_numpy(np.asarray(some))
    with torch.no_grad():
        for name, value in to.items():
            if some.all():
                value.copy_(of[name])
            else:
                own = mask.to(value.device)
                value[own] = of[name][own].to(value.device)
