"""Samples: generated or read from a file, split, stacked over seeds, and batched."""

from minifw.data.dataset import (
    DTYPES,
    PURPOSES,
    BatchOrder,
    Dataset,
    balance,
    generator,
    stack_seeds,
)
from minifw.data.generated import (
    Floats,
    Integers,
    Points,
    disk,
    half_plane,
    moons,
    sine,
    spirals,
)
from minifw.data.samples import Samples
from minifw.data.splitting import (
    check_strata,
    held_out,
    shares,
    split,
    split_sizes,
    validation_size,
)

__all__ = [
    "DTYPES",
    "PURPOSES",
    "BatchOrder",
    "Dataset",
    "Floats",
    "Integers",
    "Points",
    "Samples",
    "archived",
    "arrays",
    "balance",
    "cells",
    "check_strata",
    "disk",
    "files",
    "frames",
    "generator",
    "half_plane",
    "held_out",
    "moons",
    "shares",
    "sine",
    "spirals",
    "split",
    "split_sizes",
    "stack_seeds",
    "tables",
    "validation_size",
]
