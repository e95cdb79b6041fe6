"""The record of a training: loss and errors over the epochs, and which seeds diverged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import Floats
from minifw.statistics.measure import ERROR, Measure

SERIES = ("train_loss", "train_error", "test_error", "test_loss")
"""The measurements of an evaluation, by their names in a History."""
VALIDATION = ("validation_error", "validation_loss")
"""More of them, where there are samples for validation."""
NORMS = ("activation", "gradient", "weight", "update", "dead")
"""The kinds of norms of layers, where they are recorded."""
STOPPING = ("stopped", "best_epoch", "kept")
"""What early stopping notes of each network."""


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass
class History:
    """What training recorded, for each of the epochs in `epochs` one value a network.

    Attributes:
        epoch: the last one that is done.
        epochs: those after which loss and errors were measured; 0 is before the first.
        train_loss: for each of `epochs` an array with one number a network, in the loss's own
            scale; NaN from where it diverged. Of a single network the array has no dimension.
        train_error: percent of training samples whose largest output is not their class; of
            regression the root mean squared error, in the targets' own unit.
        test_error: the same of test samples.
        test_loss: the loss of the test samples.
        validation_error: the same of samples for validation; empty where there are none.
        validation_loss: their loss.
        diverged: the epoch in which a network diverged; -1 for all others.
        diverged_layer: the position of the module where the first value that is not finite
            appeared; -1 where that is not known, or nothing diverged.
        seconds: time spent in steps, evaluation left out.
        evaluation_seconds: the rest.
        compiled: whether the steps were compiled.
        not_compiled: why they could not be compiled; None if they were, or were not meant to be.
        stopped: the epoch after which early stopping ended a network; -1 for all others. What is
            measured later is that of the weights it ended with.
        best_epoch: that of the best evaluation so far; -1 without early stopping.
        kept: the epoch of the weights with which a network ended; -1 if these are its last ones.
        best: by name, the weights of the best evaluation of each network, while training goes on.
        last: by name, the last weights of networks that ended with their best ones although they
            did not stop: training continues from these.
        norms: by kind, for each of `epochs` `(…, layers)`, where these were recorded; after a
            network has stopped, those of the weights that it kept (`minifw.training.norms`).

    """

    epoch: int = 0
    epochs: list[int] = field(default_factory=list)
    train_loss: list[Floats] = field(default_factory=list)
    train_error: list[Floats] = field(default_factory=list)
    test_error: list[Floats] = field(default_factory=list)
    diverged: NDArray[np.int64] = field(default_factory=_none)
    diverged_layer: NDArray[np.int64] = field(default_factory=_none)
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    compiled: bool = False
    not_compiled: str | None = None
    validation_error: list[Floats] = field(default_factory=list)
    test_loss: list[Floats] = field(default_factory=list)
    validation_loss: list[Floats] = field(default_factory=list)
    stopped: NDArray[np.int64] = field(default_factory=_none)
    best_epoch: NDArray[np.int64] = field(default_factory=_none)
    kept: NDArray[np.int64] = field(default_factory=_none)
    best: dict[str, Tensor] = field(default_factory=dict, repr=False)
    last: dict[str, Tensor] = field(default_factory=dict, repr=False)
    norms: dict[str, list[Floats]] = field(default_factory=dict, repr=False)
    stops_now: bool = False
    """Whether `stop` was called in this epoch."""
    measure: Measure = ERROR
    """How errors are measured."""

    def __post_init__(self) -> None:
        for name in STOPPING:
            if getattr(self, name).shape != self.diverged.shape:
                setattr(self, name, np.full(self.diverged.shape, -1))

    @property
    def series(self) -> tuple[str, ...]:
        """The names of the measurements that there are."""
        known = (*SERIES, *VALIDATION)
        return tuple(name for name in known if getattr(self, name)) if self.epochs else SERIES

    @property
    def stops_early(self) -> bool:
        """Whether networks are trained with early stopping."""
        return bool((self.best_epoch >= 0).any())

    @classmethod
    def of(cls, stack: tuple[int, ...]) -> History:
        """Return the empty history of a stack of networks."""
        return cls(diverged=np.full(stack, -1), diverged_layer=np.full(stack, -1))

    def stop(self) -> None:
        """End training after this epoch, with an evaluation; for use in `on_epoch`.

        `fit` with this history continues.
        """
        self.stops_now = True

    def at(self, name: str, epochs: NDArray[np.int64]) -> Floats:
        """Return of each network what was measured after its own one of `epochs`.

        -1, or one at which nothing was measured, stands for the latest.
        """
        values = getattr(self, name)
        rows = {epoch: row for row, epoch in enumerate(self.epochs)}
        found = [
            np.atleast_1d(values[rows.get(int(epoch), -1)])[k]
            for k, epoch in enumerate(np.atleast_1d(epochs))
        ]
        return np.array(found, np.float64).reshape(epochs.shape)

    def norms_at(self, kind: str, epochs: NDArray[np.int64]) -> Floats:
        """Return of each network the norms of a kind after its own one of `epochs`, as `at`."""
        rows = {epoch: row for row, epoch in enumerate(self.epochs)}
        values = np.stack(self.norms[kind]).reshape(len(self.norms[kind]), epochs.size, -1)
        found = [values[rows.get(int(epoch), -1), k] for k, epoch in enumerate(epochs.flat)]
        return np.array(found, np.float64).reshape(*epochs.shape, values.shape[-1])

    def final_norms(self, kind: str) -> Floats:
        """Return the norms of the weights with which the networks ended, as `final` does."""
        left = self.diverged < 0
        return self.norms_at(kind, np.where(left, self.kept, -1))

    def note(self, norms: Mapping[str, Floats]) -> None:
        """Append the norms of the latest evaluation, by kind, `(…, layers)` each; as `record`."""
        gone = (self.diverged >= 0) & (self.diverged <= self.epochs[-1])
        stopped = self.stopped >= 0
        for kind, measured in norms.items():
            if stopped.any():
                measured = np.where(stopped[..., None], self.final_norms(kind), measured)
            series = self.norms.setdefault(kind, [])
            series.append(np.where(gone[..., None], np.nan, measured))

    def final(self, name: str) -> Floats:
        """Return what was measured of the weights with which the networks ended."""
        latest: Floats = getattr(self, name)[-1]
        kept = (self.kept >= 0) & (self.diverged < 0)
        return np.where(kept, self.at(name, self.kept), latest) if kept.any() else latest

    @classmethod
    def joined(cls, histories: Sequence[History]) -> History:
        """Return the histories of several stacks as the history of one, without their weights.

        A stack that ended early has there on what it ended with: NaN for seeds that diverged.
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
        for name in STOPPING:
            of_all = [getattr(history, name) for history in histories]
            setattr(joined, name, np.concatenate(of_all))
        for name in longest.series:
            columns = []
            for history in histories:
                values = np.stack(getattr(history, name))
                after = np.where(history.stopped >= 0, history.final(name), np.nan)
                missing = [after] * (len(longest.epochs) - len(values))
                columns.append(np.stack([*values, *missing]))
            setattr(joined, name, list(np.concatenate(columns, 1)))
        for kind in longest.norms:
            columns = []
            for history in histories:
                values = np.stack(history.norms[kind])
                after = np.where((history.stopped >= 0)[:, None], history.final_norms(kind), np.nan)
                columns.append(np.stack([*values, *[after] * (len(longest.epochs) - len(values))]))
            joined.norms[kind] = list(np.concatenate(columns, 1))
        return joined

    def lanes(self, networks: Sequence[int]) -> History:
        """Return the history of some networks of the stack."""
        some = list(networks)
        chosen = replace(
            self,
            epochs=list(self.epochs),
            diverged=self.diverged[some],
            diverged_layer=self.diverged_layer[some],
            **{name: getattr(self, name)[some] for name in STOPPING},
            best={name: value[some] for name, value in self.best.items()},
            last={name: value[some] for name, value in self.last.items()},
            norms={kind: [each[some] for each in values] for kind, values in self.norms.items()},
        )
        for name in self.series:
            setattr(chosen, name, [values[some] for values in getattr(self, name)])
        return chosen

    def copy(self) -> History:
        """Return a copy, which does not change with this history."""
        copied = replace(
            self,
            epochs=list(self.epochs),
            diverged=self.diverged.copy(),
            diverged_layer=self.diverged_layer.copy(),
            best={name: value.clone().cpu() for name, value in self.best.items()},
            last={name: value.clone().cpu() for name, value in self.last.items()},
            norms={kind: list(values) for kind, values in self.norms.items()},
        )
        for name in STOPPING:
            setattr(copied, name, getattr(self, name).copy())
        for name in (*SERIES, *VALIDATION):
            setattr(copied, name, list(getattr(self, name)))
        return copied

    @property
    def all_diverged(self) -> bool:
        """Whether all networks have diverged."""
        return bool((self.diverged >= 0).all())

    @property
    def all_ended(self) -> bool:
        """Whether no network is trained any more."""
        return bool(self.ended.all())

    @property
    def ended(self) -> NDArray[np.bool_]:
        """For each network whether it is trained no more: it has diverged, or stopped early."""
        ended: NDArray[np.bool_] = (self.diverged >= 0) | (self.stopped >= 0)
        return ended

    def diverge(
        self,
        gone: NDArray[np.bool_],
        epoch: int,
        seeds: slice | NDArray[np.int64] = slice(None),
    ) -> list[int]:
        """Record which seeds have diverged by that epoch.

        Return the positions of those that are new; a single network, which has no dimension of
        seeds, counts as one seed.
        """
        if not gone.any():  # the usual case, and this is called in every epoch
            return []
        diverged = np.atleast_1d(self.diverged)
        new = gone & ((diverged[seeds] < 0) | (diverged[seeds] > epoch))
        diverged[seeds] = np.where(new, epoch, diverged[seeds])
        return [int(position) for position in np.flatnonzero(new)]

    def record(self, epoch: int, *values: Floats) -> None:
        """Append one evaluation, in the order of SERIES and VALIDATION.

        Seeds that have diverged by that epoch get NaN, and those that have stopped what was
        measured of the weights that they keep.
        """
        gone = (self.diverged >= 0) & (self.diverged <= epoch)
        stopped = self.stopped >= 0
        self.epochs.append(epoch)
        for name, measured in zip((*SERIES, *VALIDATION), values, strict=False):
            series = getattr(self, name)
            if stopped.any():
                measured = np.where(stopped, self.final(name), measured)
            series.append(np.where(gone, np.nan, measured))

    def __repr__(self) -> str:
        """Return in one line what training came to: medians over the networks that are left."""
        networks = self.diverged.size
        gone = int((self.diverged >= 0).sum())
        who = f" of {networks} networks" if self.diverged.ndim else ""
        parts = [f"{self.epoch} epoch{'' if self.epoch == 1 else 's'}{who}"]
        if gone:
            parts.append(f"{gone} diverged" if self.diverged.ndim else "diverged")
        if stopped := int((self.stopped >= 0).sum()):
            parts.append(f"{stopped} stopped early" if self.diverged.ndim else "stopped early")
        if self.epochs and gone < networks:
            loss, train, test = (np.nanmedian(self.final(name)) for name in SERIES[:3])
            validation = [np.nanmedian(self.final(n)) for n in VALIDATION[:1] if getattr(self, n)]
            median, unit = "median " if self.diverged.ndim else "", self.measure.behind
            parts.append(
                f"{median}loss {loss:.4g}, {self.measure.errors} {train:.4g}{unit} training, "
                f"{test:.4g}{unit} test"
                + "".join(f", {error:.4g}{unit} validation" for error in validation)
            )
        return f"<History: {'; '.join(parts)}>"
