"""A parcel's network in PyTorch, from rows of a data file to scores."""

from __future__ import annotations

from dataclasses import astuple

from minifw.export.columns import Preparation
from minifw.export.parcel import Parcel
from minifw.reference import twin
from minifw.reference.rows import Model, Rows


def model_of(parcel: Parcel) -> Model:
    """Return the one network of a parcel with all that surrounds it.

    Raises:
        UsageError: a layer has no counterpart in PyTorch.

    """
    networks = parcel.networks
    rows = Rows(*astuple(Preparation.of(parcel)), networks.dtype)
    return Model(rows, twin(networks.network, 0), *ends_of(parcel))


def ends_of(parcel: Parcel) -> tuple[tuple[int, int], bool, list[float], list[float]]:
    """Return the outputs that are asked for, whether they become probabilities, and the units."""
    networks, about = parcel.networks, parcel.networks.about
    columns = networks.columns or slice(0, about.outputs)
    shift = networks.target_shift[0].tolist() if about.targets else []
    scale = networks.target_scale[0].tolist() if about.targets else []
    return (columns.start, columns.stop), about.score == "probability", shift, scale
