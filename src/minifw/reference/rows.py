"""Rows of a data file to scores in PyTorch: what surrounds a network that leaves minifw.

`minifw export` gives these classes to ONNX, and writes their source into a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Model", "Rows"]


class Rows(nn.Module):
    """Rows `(n, columns)` of float64 to the inputs of a network, `(n, features)`.

    A word is the place of it among the words of its column, any other number a word that the
    network does not know. A gap is NaN. A column of words becomes a feature for each word and one
    for all others; then (x - shift) / scale.

    Args:
        words: for each column how many words it has, None for a column of numbers.
        gaps: for each column the place of the word that stands for a gap.
        fill: for each feature the number in place of a gap.
        known: for each feature whether the training samples had it.
        shift, scale: for each feature.
        dtype: of the network.

    """

    fill: Tensor
    known: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        words: Sequence[int | None],
        gaps: Sequence[int],
        fill: Sequence[float],
        known: Sequence[bool],
        shift: Sequence[float],
        scale: Sequence[float],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.words, self.gaps, self.dtype = words, gaps, dtype
        numbers = {"fill": fill, "shift": shift, "scale": scale}
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)
        self.register_buffer("known", torch.tensor(known), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        wide = torch.where(rows.isnan(), self.fill, rows) if self.plain else self.one_hot(rows)
        return ((wide - self.shift) / self.scale).to(self.dtype)

    @property
    def plain(self) -> bool:
        """Whether all columns are of numbers."""
        return all(count is None for count in self.words)

    def one_hot(self, rows: Tensor) -> Tensor:
        """Return the features before normalisation, without gaps."""
        parts: list[Tensor] = []
        first = 0
        for place, count in enumerate(self.words):
            column, after = rows[:, place : place + 1], first + 1
            if count is None:
                parts.append(torch.where(column.isnan(), self.fill[first:after], column))
            else:
                after = first + count
                column = torch.where(column.isnan(), float(self.gaps[place]), column)
                numbers = torch.arange(count, dtype=rows.dtype)
                chosen = ((column == numbers) & self.known[first:after]).to(rows.dtype)
                parts += [chosen, 1 - chosen.sum(1, keepdim=True)]
                after += 1
            first = after
        return torch.cat(parts, 1)


class Model(nn.Module):
    """Rows `(n, columns)` of float64 to scores of classes, or to numbers in the target's own unit.

    Args:
        rows: makes the network's inputs.
        network: the trained network.
        columns: the outputs that are asked for, from the first to before the last.
        probability: whether scores are the softmax of the outputs.
        target_shift, target_scale: of a regression, for each target.

    """

    target_shift: Tensor
    target_scale: Tensor

    def __init__(
        self,
        rows: nn.Module,
        network: nn.Module,
        columns: tuple[int, int],
        probability: bool,
        target_shift: Sequence[float] = (),
        target_scale: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.rows, self.network, self.columns = rows, network, columns
        self.probability, self.regression = probability, bool(target_scale)
        for name, values in (("target_shift", target_shift), ("target_scale", target_scale)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)
        self.eval()

    def forward(self, rows: Tensor) -> Tensor:
        first, last = self.columns
        outputs: Tensor = self.network(self.rows(rows))[:, first:last]
        if self.regression:
            return outputs.double() * self.target_scale + self.target_shift
        return torch.softmax(outputs, 1) if self.probability else outputs
