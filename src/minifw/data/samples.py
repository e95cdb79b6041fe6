"""Samples of a stack of seeds, as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minifw.errors import ShapeError


@dataclass(frozen=True)
class Samples:
    """Samples of a stack of seeds: inputs `(seeds, n, features)` and what they are to give.

    `targets` are given to the loss: one-hot rows, or the `labels` themselves, the class of each
    sample, `(seeds, n)`. Of regression they are numbers, `(seeds, n, targets)`, and there are no
    labels; `scale`, `(seeds, targets)`, is what 1 in them is in the targets' own unit, by default
    1. Of a network with several heads, errors are those of some `columns` of outputs and targets.
    """

    inputs: Tensor
    targets: Tensor
    labels: Tensor | None = None
    scale: Tensor | None = None
    columns: slice | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The stack and the number of samples, `(seeds, n)`."""
        return tuple(self.targets.shape[:-1] if self.labels is None else self.labels.shape)

    @property
    def class_numbers(self) -> Tensor:
        """The labels, of classification."""
        if self.labels is None:
            raise ShapeError("Samples: there are no classes by regression")
        return self.labels

    @property
    def stack(self) -> tuple[int, ...]:
        """The dimensions of the stack; none of a single network."""
        return self.shape[:-1]

    @property
    def count(self) -> int:
        """The number of samples of each seed."""
        return self.shape[-1]

    def measured(self, values: Tensor) -> Tensor:
        """Return the columns of outputs or targets whose errors are measured."""
        return values if self.columns is None else values[..., self.columns]

    def in_own_unit(self, values: Tensor) -> Tensor:
        """Return differences of targets, `(seeds, n, targets)`, in their own unit as float64."""
        values = values.double()
        return values if self.scale is None else values * self.scale.unsqueeze(-2)

    def map(self, change: Callable[[Tensor], Tensor]) -> Samples:
        """Return samples with each tensor changed."""
        changed: dict[str, Any] = {
            name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **changed)

    def in_order(
        self, order: Tensor, out: tuple[Tensor | None, Tensor | None] = (None, None)
    ) -> tuple[Tensor, Tensor]:
        """Return inputs and targets in the order `(…, seeds, k)`, k samples of each seed.

        Their shape is that of the order followed by that of a sample. `out` has tensors to write
        them to: empty ones of any shape, or ones of `(samples, …)`.

        Raises:
            ShapeError: a position in the order is out of range.

        """
        seeds, samples = self.shape
        self.check_order(order)
        # One look-up of rows for all seeds together; row s n + i is sample i of seed s.
        first = samples * torch.arange(seeds, device=order.device).unsqueeze(-1)
        rows = (order + first).flatten()
        inputs, targets = (
            _take(values.flatten(0, 1), rows, place).unflatten(0, order.shape)
            for values, place in zip((self.inputs, self.targets), out, strict=True)
        )
        return inputs, targets

    def check_order(self, order: Tensor) -> None:
        """Raise a ShapeError if a position in an order is out of range."""
        samples = self.count
        if order.is_cpu and order.numel():  # on a GPU the check would have to wait
            low, high = map(int, order.aminmax())
            if low < 0 or high >= samples:
                what = f"positions must be 0 to {samples - 1}, got {low} to {high}"
                raise ShapeError(f"in_order: {what}")

    def of(self, seeds: int | slice | list[int]) -> Samples:
        """Return the samples of some seeds, or of one, without the stack's dimension then."""
        return self.map(lambda values: values[seeds])

    def repeated(self, times: int) -> Samples:
        """Return the samples repeated along a new first dimension, without copying."""
        return self.map(lambda values: values.expand(times, *values.shape))

    def __repr__(self) -> str:
        shapes = ", ".join(
            f"{name} {tuple(value.shape)}"
            for name, value in vars(self).items()
            if isinstance(value, Tensor) and name != "scale"
        )
        return f"<Samples: {shapes}, {str(self.inputs.dtype).removeprefix('torch.')}>"


def _take(values: Tensor, rows: Tensor, out: Tensor | None) -> Tensor:
    """Return these rows of `(n, …)`, in `out` if there is one."""
    if out is None or not values.is_cpu:
        return torch.index_select(values, 0, rows, out=out)
    # NumPy's take is faster for short rows (docs/decisions.md). `in_order` has checked the
    # positions, so clip changes nothing; the default mode would gather into a copy first.
    out.resize_(len(rows), *values.shape[1:])
    np.take(values.numpy(), rows.numpy(), axis=0, out=out.numpy(), mode="clip")
    return out
