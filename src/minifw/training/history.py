"""The record of a training: loss and errors over the epochs, and which seeds diverged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from minifw.data import Floats

SERIES = ("train_loss", "train_error", "test_error")
"""The measurements of an evaluation, by their names in a History."""
VALIDATION = "validation_error"
"""Another one, where there are samples for validation."""


@dataclass
class History:
    """What training recorded, for each of the epochs in `epochs` one value a network.

    Attributes:
        epoch: the last one that is done.
        epochs: those after which loss and errors were measured; 0 is before the first.
        train_loss: for each of `epochs` an array with one number a network, in the loss's own
            scale; NaN from where it diverged. Of a single network the array has no dimension.
        train_error: percent of training samples whose largest output is not their class.
        test_error: percent of test samples.
        validation_error: percent of samples for validation; empty where there are none.
        diverged: the epoch in which a network diverged; -1 for all others.
        diverged_layer: the position of the module where the first value that is not finite
            appeared; -1 where that is not known, or nothing diverged.
        seconds: time spent in steps, evaluation left out.
        evaluation_seconds: the rest.
        compiled: whether the steps were compiled.
        not_compiled: why they could not be compiled; None if they were, or were not meant to be.

    """

    epoch: int = 0
    epochs: list[int] = field(default_factory=list)
    train_loss: list[Floats] = field(default_factory=list)
    train_error: list[Floats] = field(default_factory=list)
    test_error: list[Floats] = field(default_factory=list)
    diverged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    diverged_layer: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    compiled: bool = False
    not_compiled: str | None = None
    validation_error: list[Floats] = field(default_factory=list)

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the measurements that there are."""
        return (*SERIES, VALIDATION) if self.validation_error else SERIES

    @classmethod
    def of(cls, stack: tuple[int, ...]) -> History:
        """Return the empty history of a stack of networks."""
        return cls(diverged=np.full(stack, -1), diverged_layer=np.full(stack, -1))

    @classmethod
    def joined(cls, histories: Sequence[History]) -> History:
        """Return the histories of several stacks as the history of one.

        A stack that ended early because all seeds diverged has NaN from there on.
        """
        longest = max(histories, key=lambda history: history.epoch)
        joined = cls(
            epoch=longest.epoch,
            epochs=list(longest.epochs),
            diverged=np.concatenate([history.diverged for history in histories]),
            diverged_layer=np.concatenate([history.diverged_layer for history in histories]),
            seconds=sum(history.seconds for history in histories),
            evaluation_seconds=sum(history.evaluation_seconds for history in histories),
            compiled=longest.compiled,
            not_compiled=longest.not_compiled,
        )
        for name in longest.series:
            columns = []
            for history in histories:
                values = np.stack(getattr(history, name))
                missing = np.full((len(longest.epochs) - len(values), values.shape[1]), np.nan)
                columns.append(np.concatenate([values, missing]))
            setattr(joined, name, list(np.concatenate(columns, 1)))
        return joined

    def lanes(self, networks: Sequence[int]) -> History:
        """Return the history of some networks of the stack."""
        some = list(networks)
        chosen = replace(
            self,
            epochs=list(self.epochs),
            diverged=self.diverged[some],
            diverged_layer=self.diverged_layer[some],
        )
        for name in self.series:
            setattr(chosen, name, [values[some] for values in getattr(self, name)])
        return chosen

    @property
    def all_diverged(self) -> bool:
        """Whether all networks have diverged."""
        return bool((self.diverged >= 0).all())

    def diverge(self, gone: NDArray[np.bool_], epoch: int, seeds: slice = slice(None)) -> list[int]:
        """Record which seeds have diverged by that epoch.

        Return the positions of those that are new; a single network, which has no dimension of
        seeds, counts as one seed.
        """
        if not gone.any():  # the usual case, and this is called in every epoch
            return []
        diverged = np.atleast_1d(self.diverged)[seeds]
        new = gone & ((diverged < 0) | (diverged > epoch))
        diverged[new] = epoch
        return [int(position) for position in np.flatnonzero(new)]

    def record(
        self,
        epoch: int,
        train_loss: Floats,
        train_error: Floats,
        test_error: Floats,
        validation_error: Floats | None = None,
    ) -> None:
        """Append one evaluation, with NaN for the seeds that have diverged by that epoch."""
        gone = (self.diverged >= 0) & (self.diverged <= epoch)
        self.epochs.append(epoch)
        self.train_loss.append(np.where(gone, np.nan, train_loss))
        self.train_error.append(np.where(gone, np.nan, train_error))
        self.test_error.append(np.where(gone, np.nan, test_error))
        if validation_error is not None:
            self.validation_error.append(np.where(gone, np.nan, validation_error))

    def __repr__(self) -> str:
        """Return in one line what training came to: medians over the networks that are left."""
        networks = self.diverged.size
        gone = int((self.diverged >= 0).sum())
        who = f" of {networks} networks" if self.diverged.ndim else ""
        parts = [f"{self.epoch} epoch{'' if self.epoch == 1 else 's'}{who}"]
        if gone:
            parts.append(f"{gone} diverged" if self.diverged.ndim else "diverged")
        if self.epochs and gone < networks:
            loss, train, test, *validation = (
                np.nanmedian(getattr(self, name)[-1]) for name in self.series
            )
            median = "median " if self.diverged.ndim else ""
            parts.append(
                f"{median}loss {loss:.4g}, errors {train:.4g} % training, {test:.4g} % test"
                + "".join(f", {error:.4g} % validation" for error in validation)
            )
        return f"<History: {'; '.join(parts)}>"
