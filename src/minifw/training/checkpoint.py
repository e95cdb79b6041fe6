"""Checkpoints: the state from which a training continues as if without a break, as bytes.

The format is safetensors, which holds numbers and no code. The weights have their own names
(`0.weight`), everything else has names with a slash:

    state/epoch             the last finished epoch
    state/generators        (seeds, 6), of the generators that draw the order of batches
    optimizer/<name>        the optimiser's state
    history/<name>          of each evaluation, and of each seed that diverged; validation_error
                            and validation_loss only where there are samples for validation,
                            stopped, best_epoch and kept only with early stopping
    norms/<kind>            of each evaluation, (evaluations, seeds, layers), with train.record
    best/<weight>           of each seed's best evaluation, with early stopping
    last/<weight>           the last ones of seeds that ended with their best ones

Times are not included, so equal trainings give equal bytes. Safetensors has no checksum; the run's
manifest holds one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import BatchOrder
from minifw.errors import ArtefactError, StateError
from minifw.nn import Network, Optimizer
from minifw.training.history import NORMS, SERIES, STOPPING, VALIDATION, History

_NEWER = ("test_loss", "validation_loss")
"""What checkpoints of an earlier minifw have not measured."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights and history of a stack of networks, and the rest of the state unless finished."""

    weights: dict[str, Tensor]
    history: History
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    generators: NDArray[np.uint64] | None = None

    @classmethod
    def of(
        cls, network: Network, history: History, optimizer: Optimizer, order: BatchOrder | None
    ) -> Checkpoint:
        """Return a copy of the present state of training."""
        return cls(
            {name: value.cpu() for name, value in network.state_dict().items()},
            history.copy(),
            {name: value.clone().cpu() for name, value in optimizer.state.items()},
            None if order is None else order.state,
        )

    @classmethod
    def joined(cls, groups: Sequence[Checkpoint]) -> Checkpoint:
        """Return several stacks as one: their weights and histories, and states where all have."""
        if len(groups) == 1:
            return groups[0]
        states = [group.generators for group in groups]
        history = History.joined([group.history for group in groups])
        if all(group.history.best for group in groups):
            history.best = _joined([group.history.best for group in groups])
        if any(group.history.last for group in groups):
            history.last = _joined([group.history.last or group.weights for group in groups])
        return cls(
            _joined([group.weights for group in groups]),
            history,
            _joined([group.optimizer for group in groups]),
            None if any(state is None for state in states) else np.concatenate(states),  # type: ignore[arg-type]
        )

    def lanes(self, positions: Sequence[int]) -> Checkpoint:
        """Return the checkpoint of some networks of the stack."""
        some = list(positions)
        return Checkpoint(
            {name: value[some] for name, value in self.weights.items()},
            self.history.lanes(some),
            {name: value[some] for name, value in self.optimizer.items()},
            None if self.generators is None else self.generators[some],
        )

    def to_bytes(self) -> bytes:
        """Return the content of a file."""
        history = self.history
        tensors = {
            "state/epoch": torch.tensor(history.epoch),
            "history/epochs": torch.tensor(history.epochs, dtype=torch.int64),
            "history/diverged": torch.from_numpy(history.diverged),
            "history/diverged_layer": torch.from_numpy(history.diverged_layer),
        }
        for name in history.series:
            tensors[f"history/{name}"] = torch.from_numpy(np.array(getattr(history, name)))
        if self.generators is not None:
            tensors["state/generators"] = torch.from_numpy(self.generators.view(np.int64))
        if history.stops_early:
            for name in STOPPING:
                tensors[f"history/{name}"] = torch.from_numpy(getattr(history, name))
        for kind, norms in history.norms.items():
            tensors[f"norms/{kind}"] = torch.from_numpy(np.stack(norms))
        for kind, values in (("optimizer", self.optimizer), *_kept(history)):
            tensors |= {f"{kind}/{name}": value for name, value in values.items()}
        tensors |= self.weights
        # Sorted, since safetensors keeps the order of tensors of equal size.
        ordered = {name: tensors[name].contiguous() for name in sorted(tensors)}
        content: bytes = safetensors.torch.save(ordered)
        return content

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Checkpoint:
        """Return the checkpoint in these bytes; `where` is their source, for messages.

        Raises:
            ArtefactError: they are not a checkpoint, or tensors are missing or unknown.

        """
        try:
            tensors = safetensors.torch.load(content)
        except Exception as fault:  # the file may come from anybody, with any fault
            raise ArtefactError(f"{where}: not a checkpoint: {fault}") from None

        def take(name: str, dtype: torch.dtype, shape: Sequence[int | None]) -> Any:
            """Return the array, which must have this dtype and shape (None is any size)."""
            value = tensors.pop(name, None)
            if value is None:
                raise ArtefactError(f"{where}: not a checkpoint of minifw: it lacks '{name}'")
            fits = len(value.shape) == len(shape) and all(
                size in (None, came) for size, came in zip(shape, value.shape, strict=True)
            )
            if value.dtype != dtype or not fits:
                raise ArtefactError(
                    f"{where}: '{name}' must hold {dtype} of shape {_shape(shape)}, "
                    f"got {value.dtype} of {_shape(value.shape)}"
                )
            return value.numpy()

        diverged = take("history/diverged", torch.int64, [None])
        seeds = diverged.shape
        epochs = take("history/epochs", torch.int64, [None])
        history = History(
            epoch=int(take("state/epoch", torch.int64, [])),
            epochs=epochs.tolist(),
            diverged=diverged,
            diverged_layer=take("history/diverged_layer", torch.int64, seeds),
        )
        shape = (len(epochs), *seeds) if len(epochs) else (0,)
        known = (*SERIES, *VALIDATION) if f"history/{VALIDATION[0]}" in tensors else SERIES
        for name in known:
            if name in _NEWER and f"history/{name}" not in tensors:
                setattr(history, name, list(np.full(shape, np.nan)))
            else:
                setattr(history, name, list(take(f"history/{name}", torch.float64, shape)))
        if "history/best_epoch" in tensors:
            for name in STOPPING:
                setattr(history, name, take(f"history/{name}", torch.int64, seeds))
        for kind in NORMS:
            if f"norms/{kind}" in tensors:
                history.norms[kind] = list(
                    take(f"norms/{kind}", torch.float64, [len(epochs), *seeds, None])
                )
        rows = None
        if "state/generators" in tensors:
            rows = take("state/generators", torch.int64, [None, 6]).view(np.uint64)
        optimizer: dict[str, Tensor] = {}
        for kind, values in (("optimizer", optimizer), *_kept(history)):
            for name in [name for name in tensors if name.startswith(f"{kind}/")]:
                values[name.removeprefix(f"{kind}/")] = tensors.pop(name)
        unknown = [name for name in tensors if "/" in name]
        if unknown:
            raise ArtefactError(f"{where}: this minifw does not know '{unknown[0]}' in it")
        return cls(tensors, history, optimizer, rows)

    def check(
        self,
        network: Network,
        epochs: int,
        finished: bool,
        where: str,
        validation: bool | None = None,
    ) -> None:
        """Check that this belongs to a training of that network for this number of epochs.

        If it is not `finished`, it may hold fewer seeds, which were trained one by one.
        `validation`: whether the training has samples for validation; None: either will do.

        Raises:
            ArtefactError: it belongs to another training.

        """
        history = self.history
        own = network.tensors()
        seeds, stack = len(history.diverged), len(next(iter(own.values())))
        fits = _shapes(self.weights) == {
            name: (torch.Size([seeds, *value.shape[1:]]), value.dtype)
            for name, value in own.items()
        }
        fits &= seeds == stack if finished else 0 < seeds <= stack
        known = history.epochs
        fits &= known[:1] == [0] and all(a < b for a, b in pairwise(known))
        fits &= bool(known) and known[-1] <= history.epoch <= epochs
        if fits and finished:
            ended = history.epoch == epochs or history.all_ended
            fits = ended and known[-1] == history.epoch
        layers = len([*network]) if isinstance(network, Iterable) else 1
        fits &= bool((history.diverged_layer < layers).all())
        if validation is not None:
            fits &= bool(history.validation_error) == validation
        fits &= _fits_stopping(history, self.weights)
        fits &= all(values[0].shape[-1] == layers for values in history.norms.values())
        if not fits:
            raise ArtefactError(f"{where}: not the checkpoint of a training with this config")

    def restore(
        self, network: Network, optimizer: Optimizer, order: BatchOrder | None, where: str
    ) -> History:
        """Restore weights and states; return the history, from which `fit` continues.

        Raises:
            ArtefactError: it is the checkpoint of another network, optimiser or mode.

        """
        generators = () if order is None else order.state.shape
        fits = (() if self.generators is None else self.generators.shape) == generators and _shapes(
            self.optimizer
        ) == _shapes(optimizer.state)
        if not fits:
            raise ArtefactError(f"{where}: not the checkpoint of a training with this config")
        try:
            network.load_state_dict(self.weights)
        except StateError as fault:
            raise ArtefactError(f"{where}: {fault}") from None
        for name, value in optimizer.state.items():
            value.copy_(self.optimizer[name])
        if order is not None and self.generators is not None:
            try:
                order.state = self.generators
            except (ValueError, OverflowError) as fault:
                raise ArtefactError(
                    f"{where}: 'state/generators' is not a state of generators: {fault}"
                ) from None
        return self.history.copy()


def _kept(history: History) -> tuple[tuple[str, dict[str, Tensor]], ...]:
    """Return the weights that early stopping keeps, by the first part of their names."""
    return ("best", history.best), ("last", history.last)


def _fits_stopping(history: History, weights: dict[str, Tensor]) -> bool:
    """Return whether what early stopping has noted fits the evaluations and the weights."""
    epochs = [-1, *history.epochs]
    fits = all(np.isin(getattr(history, name), epochs).all() for name in STOPPING)
    fits &= bool((history.best_epoch[history.stopped >= 0] >= 0).all())
    known = _shapes(weights)
    return fits and all(_shapes(kept) == known for _, kept in _kept(history) if kept)


def _joined(stacks: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([stack[name] for stack in stacks]) for name in stacks[0]}


def _shape(sizes: Sequence[int | None]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in sizes)})"


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in tensors.items()}
