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
        nn.Linear(3, 7, generators=rngs(0), **sizes),
        nn.Tanh(),
        nn.Linear(7, 2, generators=rngs(1), **sizes),
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


def test_numbers_of_networks_are_state_that_shards_and_checkpoints_have() -> None:
    net = network([0, 1, 2], "float32")
    sgd = SGD(net, momentum=[0.9, 0.5, 0.0], weight_decay=torch.tensor([0.1, 0.0, 0.2]))
    assert sgd.state["momentum"].tolist() == pytest.approx([0.9, 0.5, 0.0])
    assert sgd.state["momentum"].dtype == torch.float32
    some = sgd.with_state(net, {name: value[1:] for name, value in sgd.state.items()})
    assert torch.equal(some.weight_decay, torch.tensor([0.0, 0.2]))  # type: ignore[arg-type]
    sgd.momentum = 0.5
    assert "momentum" not in sgd.state
    assert sgd.momentum == 0.5


@pytest.mark.parametrize("name", ["momentum", "weight_decay"])
def test_wrong_numbers_of_networks_are_named_and_change_nothing(name: str) -> None:
    sgd = SGD(network([0, 1, 2], "float32"), **{name: [0.1, 0.2, 0.3]})
    for wrong, says in (
        (
            [0.1, 0.2],
            rf"^SGD: {name} must be a number, or one for each network .*\(3,\), got \(2,\)",
        ),
        ([0.1, -0.2, 0.3], rf"^SGD: {name} must be at least 0 .*, got -0.2"),
        ("abc", rf"^SGD: {name} must be at least 0 .*, got 'abc'"),
        (np.nan, rf"^SGD: {name} must be at least 0 .*, got nan"),
    ):
        with pytest.raises(ModuleError, match=says):
            setattr(sgd, name, wrong)
        assert getattr(sgd, name).tolist() == pytest.approx([0.1, 0.2, 0.3])
    alone = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ModuleError, match=rf"{name} must be a number, or one for each network"):
        SGD(alone, **{name: [0.1]})


@pytest.mark.parametrize(
    ("eta", "says"),
    [
        ([0.1, 0.2], r"^fit: eta must be a number, or one for each network .* 5 networks came 2"),
        ([0.1] * 4 + [0.0], r"^fit: eta of network 4 must be a number above 0 and finite, got 0.0"),
        ([0.1] * 4 + [1e-60], r"^fit: eta of network 4 must be above 0 and finite in float32"),
        (
            torch.tensor(0.1),
            "^fit: eta must be a number, or one for each .* a tensor of one number",
        ),
        ("0.1", "^fit: eta must be a number above 0 and finite, got '0.1'"),
    ],
)
def test_wrong_learning_rates_are_named(eta: Any, says: str) -> None:
    net = network([*range(LANES)], "float32")
    with pytest.raises(ModuleError, match=says):
        fit(net, nn.LossMSE(), SGD(net), data("float32"), epochs=1, eta=eta)


def test_a_network_that_diverges_leaves_the_others_their_bits() -> None:
    def weights(etas: list[float], way: str) -> tuple[Tensor, History]:
        net = network([*range(LANES)], "float32")
        history = fit(
            net, nn.LossMSE(), SGD(net), data("float32"), epochs=30, eta=etas, schedule=WAYS[way]
        )
        return net.state_dict()["0.weight"], history

    for way in WAYS:
        fine, _ = weights([0.1] * LANES, way)
        mixed, history = weights([0.1, 1e30, 0.1, 1e4, 0.1], way)
        assert (history.diverged >= 0).tolist() == [False, True, False, True, False]
        for lane in (0, 2, 4):
            assert torch.equal(fine[lane], mixed[lane]), (way, lane)


def test_steps_take_one_number_for_each_network() -> None:
    for step in ("update_parameters", "step"):
        net = network([0, 1], "float64")
        alone = [network([k], "float64") for k in (0, 1)]
        for each in (net, *alone):
            for _, _, gradient in each.parameters():
                gradient.fill_(0.3)
        for each, eta in (
            (net, torch.tensor([0.1, 0.7], dtype=torch.float64)),
            (alone[0], 0.1),
            (alone[1], 0.7),
        ):
            (each.update_parameters if step == "update_parameters" else SGD(each).step)(eta)
        for name, value in net.state_dict().items():
            assert torch.equal(value, torch.cat([each.state_dict()[name] for each in alone]))
    with pytest.raises(ModuleError, match=r"^eta must be a number, or one for each network, got"):
        net.update_parameters(torch.tensor([0.1, 0.2, 0.3]).double())


def test_one_library_serves_all_values(cache: Any) -> None:
    from minifw.training.compiled import Steps
    from minifw.training.learner import Learner

    def text(momenta: list[float], decays: list[float]) -> str:
        net = network([0, 1], "float32")
        sgd = SGD(net, momenta, decays)
        samples = data("float32").train.of(slice(0, 2))
        return Steps(Learner(net, nn.LossMSE(), sgd), samples, 10, build=False).programs[0].text

    assert text([0.0, 0.0], [0.0, 0.0]) == text([0.9, 0.1], [0.1, 1.0])


def test_a_failed_recording_is_gone_when_the_plain_stack_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may have failed for lack of memory, which its tensors would still hold."""
    import weakref

    from minifw.compile import CannotCompileError
    from minifw.errors import NotCompiledWarning
    from minifw.training import fit as fitting
    from minifw.training import shards

    held: list[Any] = []

    def fail(*arguments: Any) -> None:
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise CannotCompileError("too large")

    divide = shards.divide

    def looking(*arguments: Any) -> Any:
        if held:
            assert held[0]() is None
            held.append("looked")
        return divide(*arguments)

    monkeypatch.setattr(fitting, "compile_steps", fail)
    monkeypatch.setattr(fitting, "divide", looking)
    net = network([*range(LANES)], "float32")
    schedule = Schedule(compiled=True, otherwise=Schedule())
    with pytest.warns(NotCompiledWarning, match="too large"):
        fit(net, nn.LossMSE(), SGD(net), data("float32"), epochs=1, eta=0.1, schedule=schedule)
    assert held[-1] == "looked"
