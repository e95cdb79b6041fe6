"""Samples: generated or read from a file, split, stacked over seeds, and batched."""

from minifw.data.dataset import (
    PURPOSES,
    BatchOrder,
    Dataset,
    Samples,
    balance,
    generator,
    split,
    split_sizes,
    stack_seeds,
)
from minifw.data.generated import Floats, Points, disk, half_plane, moons, spirals

__all__ = [
    "PURPOSES",
    "BatchOrder",
    "Dataset",
    "Floats",
    "Points",
    "Samples",
    "balance",
    "disk",
    "generator",
    "half_plane",
    "moons",
    "spirals",
    "split",
    "split_sizes",
    "stack_seeds",
]
