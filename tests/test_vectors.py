"""One number for each network of a stack: each gets the bits of its own training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.data import BatchOrder, Dataset
from minifw.errors import ModuleError
from minifw.nn import SGD
from minifw.training import History
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.placement import Schedule

LANES = 5
ETAS = [0.1, 0.03, 0.03, 0.0137, 1.0]
MOMENTA = [0.9, 0.0, 0.37, 0.9, 0.99]
DECAYS = [0.0, 1e-3, 0.1, 0.0123, 0.0]
WAYS = {
    "plain": Schedule(),
    "on threads": Schedule(Division(2, 2)),
    "compiled": Schedule(compiled=True),
    "compiled, on threads": Schedule(Division(2, 2), compiled=True),
}


def data(dtype: str) -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(LANES, 37, 3))
    y = rng.integers(0, 2, (LANES, 37))
    return Dataset.from_arrays(x, y, x, y, dtype=dtype)  # type: ignore[arg-type]


def network(lanes: list[int], dtype: str) -> nn.Sequential:
    sizes = {"stack": (len(lanes),), "dtype": getattr(torch, dtype)}

    def rngs(layer: int) -> list[np.random.Generator]:
        return [np.random.default_rng([layer, lane]) for lane in lanes]

    return nn.Sequential(
        nn.Linear(3, 7, generators=rngs(0), **sizes),  # type: ignore[arg-type]
        nn.Tanh(),
        nn.Linear(7, 2, generators=rngs(1), **sizes),  # type: ignore[arg-type]
    )


def trained(
    lanes: list[int],
    dtype: str,
    schedule: Schedule,
    of: Callable[[list[float]], Any],
    batch_size: int | None,
    sets: tuple[str, ...],
) -> tuple[dict[str, Tensor], History]:
    """Train some lanes; `of` makes one number or several of those of the lanes."""
    samples = data(dtype).of(slice(lanes[0], lanes[-1] + 1))
    net = network(lanes, dtype)
    options = {"momentum": MOMENTA, "weight_decay": DECAYS}
    sgd = SGD(
        net, **{name: of([options[name][k] for k in lanes]) for name in sets if name != "eta"}
    )
    eta = of([ETAS[k] for k in lanes]) if "eta" in sets else 0.05
    history = fit(
        net,
        nn.LossMSE(reduction="sample"),
        sgd,
        samples,
        epochs=6,
        eta=eta,
        batch_size=batch_size,
        next_order=BatchOrder(lanes, 37),
        schedule=schedule,
    )
    return net.state_dict(), history


SETS = [("eta",), ("momentum",), ("weight_decay",), ("eta", "momentum", "weight_decay")]


@pytest.mark.parametrize("batch_size", [None, 10])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sets", SETS, ids="+".join)
def test_a_lane_has_the_bits_of_its_own_training(
    sets: tuple[str, ...], way: str, dtype: str, batch_size: int | None
) -> None:
    schedule = WAYS[way]
    several, _ = trained([*range(LANES)], dtype, schedule, list, batch_size, sets)
    for lane in range(LANES):
        alone, _ = trained([lane], dtype, schedule, lambda values: values[0], batch_size, sets)
        for name, value in alone.items():
            assert torch.equal(value[0], several[name][lane]), f"lane {lane}, {name}"
