"""Compiled steps of all optimisers: a lane has the bits of its own run, and plain's numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.data import BatchOrder
from minifw.training.fit import fit
from test_optimizers import ETAS, FLAGS, LANES, VECTORS, said, some
from test_vectors import WAYS, as_bytes, data, network


def trained(
    lanes: list[int],
    dtype: str,
    way: str,
    kind: type[nn.Optimizer],
    options: dict[str, Any],
    eta: Any,
    rates: Any = None,
) -> dict[str, Tensor]:
    net = network(lanes, dtype)
    fit(
        net, nn.LossMSE(reduction="sample"), kind(net, **options),
        data(dtype).of(slice(lanes[0], lanes[-1] + 1)), epochs=5, eta=eta, batch_size=10,
        next_order=BatchOrder(lanes, 37), schedule=WAYS[way],
    )  # fmt: skip
    return net.state_dict()


@pytest.mark.parametrize("way", ["plain", "compiled"])
@pytest.mark.parametrize(("kind", "flags"), FLAGS, ids=said)
def test_a_trained_lane_has_the_bits_of_its_own_run(
    kind: type[nn.Optimizer], flags: dict[str, Any], way: str
) -> None:
    """All options at once, one for each network; alone, they are constants in the C."""
    names = tuple(VECTORS[kind])
    several = trained(LANES, "float32", way, kind, flags | some(kind, names, LANES), ETAS)
    for lane in (0, 1, 3) if way == "compiled" else LANES:
        own = flags | some(kind, names, [lane])
        alone = trained([lane], "float32", way, kind, own, ETAS[lane])
        assert as_bytes(alone, 0) == as_bytes(several, lane), f"lane {lane}"


@pytest.mark.parametrize(("kind", "flags"), FLAGS, ids=said)
def test_compiled_steps_are_the_plain_ones(kind: type[nn.Optimizer], flags: dict[str, Any]) -> None:
    options = flags | some(kind, tuple(VECTORS[kind]), LANES)
    plain, compiled = (
        trained(LANES, "float64", way, kind, options, ETAS) for way in ("plain", "compiled")
    )
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-9, atol=1e-12)
