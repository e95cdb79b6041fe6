"""A part of a stack: the networks that are still trained, after others have stopped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import Floats
from minifw.training.learner import Learner
from minifw.training.shards import Rates


class Part:
    """Some networks of a stack, side by side in tensors of their own.

    Steps are taken with these; `begin` and `end` copy numbers from and to the whole stack, which
    others see. What a network computes does not depend on those beside it, so its bits are the
    same as in the whole stack.

    Attributes:
        networks: the position of each in the whole stack.
        learner: takes steps with the part's own tensors.

    """

    def __init__(self, whole: Learner, networks: NDArray[np.int64]) -> None:
        self.networks, self._whole = networks, whole.state
        self._count = len(self._whole[0])
        self._places = torch.from_numpy(networks).to(self._whole[0].device)
        self.learner = whole.on([value[self._places] for value in self._whole])
        self._own = self.learner.state

    def begin(self) -> None:
        """Take over the numbers of the whole stack, which `on_epoch` may have changed."""
        for own, value in zip(self._own, self._whole, strict=True):
            torch.index_select(value, 0, self._places, out=own)

    def end(self) -> None:
        """Write the numbers to the whole stack."""
        for own, value in zip(self._own, self._whole, strict=True):
            value.index_copy_(0, self._places, own)

    def order(self, order: Tensor | None) -> Tensor | None:
        """Return these networks' orders of samples, from those of all `(networks, n)`."""
        return None if order is None else order[self._places]

    def rates(self, eta: Rates) -> Rates:
        """Return these networks' learning rates."""
        return [eta[k] for k in self.networks] if isinstance(eta, Sequence) else eta

    def spread(self, values: Floats) -> Floats:
        """Return one number for each network of the whole stack, NaN for those left out."""
        whole = np.full(self._count, np.nan)
        whole[self.networks] = values
        return whole
