"""A parcel's network in PyTorch, from rows of a data file to scores."""

from __future__ import annotations

from dataclasses import asdict

import torch

from minifw.export.columns import Ends, Preparation
from minifw.export.parcel import Parcel
from minifw.reference import twin
from minifw.reference.rows import Model, Rows


def model_of(parcel: Parcel, dtype: torch.dtype) -> Model:
    """Return the one network of a parcel with all that surrounds it; it computes in `dtype`.

    Raises:
        UsageError: a layer has no counterpart in PyTorch.

    """
    networks = parcel.networks
    rows = Rows(**asdict(Preparation.of(parcel)), dtype=dtype)
    return Model(rows, twin(networks.network, 0).to(dtype), **asdict(Ends.of(parcel)))
