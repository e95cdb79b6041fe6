"""Streams of random numbers: one for each pair of seed and purpose, and the order of batches.

So seed k of a stack equals seed k alone, and drawing more data does not change initial weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Purpose = Literal["data", "init", "shuffle", "validation", "dropout", "noise"]
# Every published number depends on this order: append, never reorder.
PURPOSES: tuple[Purpose, ...] = ("data", "init", "shuffle", "validation", "dropout", "noise")


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """Return the generator that belongs to this seed and purpose, in its initial state."""
    key = (PURPOSES.index(purpose),)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class BatchOrder:
    """Returns the next epoch's order of samples, `(seeds, samples)`, with each call.

    Each seed has its own generator, so its order does not depend on other seeds.
    """

    def __init__(self, seeds: Sequence[int], samples: int) -> None:
        self.samples = samples
        self._generators = [generator(seed, "shuffle") for seed in seeds]

    def __call__(self) -> Tensor:
        orders = [rng.permutation(self.samples) for rng in self._generators]
        return torch.from_numpy(np.stack(orders))

    @property
    def state(self) -> NDArray[np.uint64]:
        """The state of all generators, `(seeds, 6)`; setting it restores them.

        A row holds the upper and lower halves of PCG64's state and increment, whether half of a
        number is left over, and that half.
        """
        return np.array([_to_words(rng.bit_generator.state) for rng in self._generators], np.uint64)

    @state.setter
    def state(self, rows: NDArray[np.uint64]) -> None:
        for rng, row in zip(self._generators, rows, strict=True):
            rng.bit_generator.state = _from_words(row)


_LOWER = 2**64 - 1


def _to_words(state: Mapping[str, Any]) -> list[int]:
    values = state["state"]["state"], state["state"]["inc"]
    halves = [half for value in values for half in (value >> 64, value & _LOWER)]
    return [*halves, state["has_uint32"], state["uinteger"]]


def _from_words(row: NDArray[np.uint64]) -> dict[str, Any]:
    a, b, c, d, has_half, half = map(int, row)
    state = {"state": a << 64 | b, "inc": c << 64 | d}
    return {"bit_generator": "PCG64", "state": state, "has_uint32": has_half, "uinteger": half}
