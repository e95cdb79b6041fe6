"""One number for each network of a stack: each gets the bits of its own training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from torch import Tensor

import minifw
from minifw import nn
from minifw.config.parts import per_network
from minifw.data import BatchOrder, Dataset
from minifw.errors import DivergedError, ModuleError, UsageError
from minifw.nn import SGD
from minifw.training import Checkpoint, History
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.placement import Schedule

LANES = 5
ETAS = [0.1, 0.03, 0.03, 0.0137, 0.02]
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
        nn.ReLU(),
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


ALL = ("eta", "momentum", "weight_decay")
SETS = [("eta",), ("momentum",), ("weight_decay",), ALL]


@pytest.mark.parametrize("batch_size", [None, 10])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sets", SETS, ids="+".join)
def test_a_lane_has_the_bits_of_its_own_training(
    sets: tuple[str, ...], dtype: str, batch_size: int | None
) -> None:
    every = [*range(LANES)]
    several, _ = trained(every, dtype, WAYS["plain"], list, batch_size, sets)
    in_parts, _ = trained(every, dtype, WAYS["on threads"], list, batch_size, sets)
    assert as_bytes(several) == as_bytes(in_parts)
    for lane in every:
        alone, _ = trained([lane], dtype, WAYS["plain"], first, batch_size, sets)
        assert as_bytes(alone) == as_bytes(several, lane), f"lane {lane}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sets", [("eta",), ALL], ids="+".join)
def test_a_compiled_lane_has_the_bits_of_its_own_training(
    sets: tuple[str, ...], dtype: str
) -> None:
    """Alone, momentum and decay are constants in the C, and 0 leaves operations out."""
    every = [*range(LANES)]
    several, _ = trained(every, dtype, WAYS["compiled"], list, 10, sets)
    in_parts, _ = trained(every, dtype, WAYS["compiled, on threads"], list, 10, sets)
    assert as_bytes(several) == as_bytes(in_parts)
    for lane in (0, 1, 3):
        alone, _ = trained([lane], dtype, WAYS["compiled"], first, 10, sets)
        assert as_bytes(alone) == as_bytes(several, lane), f"lane {lane}"


def first(values: list[float]) -> float:
    return values[0]


def as_bytes(weights: dict[str, Tensor], lane: int | None = None) -> dict[str, bytes]:
    return {
        name: (value if lane is None else value[lane]).numpy().tobytes()
        for name, value in weights.items()
    }


class RMSprop(nn.Optimizer):
    """As in the documentation: its `eta * gradient` knows nothing of several numbers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        for name, value, _ in network.parameters():
            self.state[name] = torch.zeros_like(value)

    def step(self, eta: float | Tensor) -> None:
        for name, value, gradient in self.network.parameters():
            mean = self.state[name].mul_(0.99).add_(0.01 * gradient**2)
            value.sub_(eta * gradient / (mean.sqrt() + 1e-8))


class Smaller(nn.SGD):
    def step(self, eta: float | Tensor) -> None:
        super().step(eta * 2 / 23)  # of a rate rounded to float32 first, it would be another


class Clipped(nn.Sequential):
    def update_parameters(self, eta: float | Tensor) -> None:
        for _, value, gradient in self.parameters():
            value.sub_((eta * gradient).clamp(-0.01, 0.01))


@pytest.mark.parametrize("own", [RMSprop, Smaller, Clipped])
@pytest.mark.parametrize("way", WAYS)
def test_steps_of_a_user_need_not_know_of_several_learning_rates(own: Any, way: str) -> None:
    """The stack has as many networks as features: a product of both would mix them up."""

    def weights(etas: Any, lanes: list[int]) -> tuple[dict[str, Tensor], History]:
        kind = own if own is Clipped else nn.Sequential
        rngs = [np.random.default_rng(lane) for lane in lanes]
        net = kind(nn.Linear(3, 2, generators=rngs, stack=(len(lanes),)))
        optimizer = own(net) if own is not Clipped else SGD(net)
        samples = data("float32").of(slice(lanes[0], lanes[-1] + 1))
        history = fit(
            net, nn.LossMSE(), optimizer, samples, epochs=5, eta=etas, batch_size=10,
            schedule=WAYS[way],
        )  # fmt: skip
        return net.state_dict(), history

    for etas in ([0.1, 0.1, 0.03], [0.1, 0.03, 1e38 if own is RMSprop else 0.7]):
        several, history = weights(etas, [0, 1, 2])
        for lane, eta in enumerate(etas):
            alone, expected = weights(eta, [lane])
            assert as_bytes(several, lane) == as_bytes(alone, 0), f"lane {lane}"
            assert history.diverged[lane] == expected.diverged[0]
            assert history.diverged_layer[lane] == expected.diverged_layer[0]


def test_update_parameters_of_a_user_is_called() -> None:
    net = Clipped(nn.Linear(3, 2))
    before = net.state_dict()["0.weight"]
    net[0].weight_grad.fill_(1e6)
    SGD(net).step(1.0)
    torch.testing.assert_close(before - net.state_dict()["0.weight"], torch.full((2, 3), 0.01))


def test_options_are_given_one_for_each_network_to_a_step_that_knows_of_it() -> None:
    class Nesterov(SGD):
        """Its step takes momentum for a number."""

        def step(self, eta: float | Tensor) -> None: ...

    class Usual(SGD):
        def __init__(self, network: nn.Module, momentum: float = 0.9) -> None:
            super().__init__(network, momentum)

    class Own(nn.Optimizer):
        def __init__(
            self, network: nn.Module, beta: Annotated[float, nn.Key("", per_network=True)] = 0.9
        ) -> None: ...

        def step(self, eta: float | Tensor) -> None: ...

    class Same(SGD):
        """Changes nothing."""

    found = {made: per_network(made) for made in (SGD, Same, Nesterov, Usual, Own, RMSprop)}
    all_three = ("momentum", "weight_decay", "clip_norm")
    assert [*found.values()] == [all_three, all_three, (), (), ("beta",), ()]


def test_where_several_networks_of_a_user_fail_is_found_with_their_own_rates() -> None:
    for way in WAYS:
        net = network([*range(LANES)], "float32")
        etas = [0.1, 1e38, 2e38, 0.2, 3e38]
        history = fit(
            net, nn.LossMSE(), RMSprop(net), data("float32"), epochs=5, eta=etas, batch_size=10,
            schedule=WAYS[way],
        )  # fmt: skip
        assert (history.diverged >= 0).tolist() == [False, True, True, False, True]
        assert (history.diverged_layer >= 0).tolist() == [False, True, True, False, True]


@pytest.mark.parametrize("way", WAYS)
def test_on_epoch_may_set_numbers_of_networks_for_others(way: str) -> None:
    def run(change: Callable[[SGD], None]) -> Tensor:
        net = network([*range(LANES)], "float32")
        sgd = SGD(net, MOMENTA)
        fit(
            net, nn.LossMSE(), sgd, data("float32"), epochs=3, eta=0.1, schedule=WAYS[way],
            on_epoch=lambda epoch, history: change(sgd),
        )  # fmt: skip
        return net.state_dict()["0.weight"]

    def in_place(sgd: SGD) -> None:
        sgd.state["momentum"][3] = 0.0

    def others(sgd: SGD) -> None:
        sgd.momentum = [*MOMENTA[:3], 0.0, MOMENTA[4]]

    def one(sgd: SGD) -> None:
        sgd.momentum = 0.5

    def other_tensor(sgd: SGD) -> None:
        one(sgd)
        others(sgd)

    kept, changed = run(lambda sgd: None), run(others)
    assert torch.equal(run(in_place), changed)
    assert [torch.equal(a, b) for a, b in zip(kept, changed, strict=True)] == [
        True, True, True, False, True,
    ]  # fmt: skip
    if way == "plain":  # the step is taken with the optimizer itself
        assert not torch.equal(run(one), kept)
        assert torch.equal(run(other_tensor), changed)
        return
    with pytest.raises(UsageError, match=r"^fit: on_epoch changed SGD\.state\['momentum'\], but"):
        run(other_tensor)
    with pytest.raises(UsageError, match=r"^fit: on_epoch changed SGD\.momentum, but"):
        run(one)


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


@pytest.mark.parametrize("way", ["plain", "compiled, on threads"])
def test_training_goes_on_from_a_checkpoint(way: str) -> None:
    def begun() -> tuple[nn.Sequential, SGD, BatchOrder]:
        net = network([*range(LANES)], "float32")
        return net, SGD(net, MOMENTA, DECAYS), BatchOrder([*range(LANES)], 37)

    def train(
        net: nn.Sequential, sgd: SGD, order: BatchOrder, epochs: int, history: History | None
    ) -> History:
        return fit(
            net, nn.LossMSE(), sgd, data("float32"), epochs=epochs, eta=ETAS, batch_size=10,
            next_order=order, history=history, schedule=WAYS[way],
        )  # fmt: skip

    net, sgd, order = begun()
    train(net, sgd, order, 6, None)
    unbroken = as_bytes(net.state_dict())
    net, sgd, order = begun()
    half = Checkpoint.of(net, train(net, sgd, order, 3, None), sgd, order)
    net, sgd, order = begun()
    sgd.momentum = [0.5] * LANES  # the checkpoint's win
    train(net, sgd, order, 6, half.restore(net, sgd, order, "a checkpoint"))
    assert as_bytes(net.state_dict()) == unbroken


@pytest.mark.parametrize("name", ["momentum", "weight_decay"])
def test_wrong_numbers_of_networks_are_named_and_change_nothing(name: str) -> None:
    sgd = SGD(network([0, 1, 2], "float32"), **{name: [0.1, 0.2, 0.3]})  # type: ignore[arg-type]
    for wrong, says in (
        (
            [0.1, 0.2],
            rf"^SGD: {name} must be a number, or one for each network .*\(3,\), got \(2,\)",
        ),
        ([0.1, -0.2, 0.3], rf"^SGD: {name} must be at least 0 .*, got -0.2"),
        ("abc", rf"^SGD: {name} must be at least 0 .*, got 'abc'"),
        (np.nan, rf"^SGD: {name} must be at least 0 .*, got nan"),
        (10**400, rf"^SGD: {name} must be at least 0 .*, got 1000"),
        ([[0.1], [0.2, 0.3], [0.4]], rf"^SGD: {name} must be at least 0 .*, got \[0.1\]"),
    ):
        with pytest.raises(ModuleError, match=says):
            setattr(sgd, name, wrong)
        assert getattr(sgd, name).tolist() == pytest.approx([0.1, 0.2, 0.3])
    for large in (1e39, [0.1, 0.2, 1e39]):
        with pytest.raises(ModuleError, match=r"^SGD: weight_decay must be finite in float32, got"):
            sgd.weight_decay = large
    alone = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ModuleError, match=rf"{name} must be a number, or one for each network"):
        SGD(alone, **{name: [0.1]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("eta", "says"),
    [
        ([0.1, 0.2], r"^fit: eta must be a number, or one for each network .* 5 networks came 2"),
        ([0.1] * 4 + [0.0], r"^fit: eta of network 4 must be a number above 0 and finite, got 0.0"),
        ([0.1] * 4 + [[0.1]], r"^fit: eta of network 4 must be a number .* got \[0.1\]"),
        ([[0.1] * 5], r"^fit: eta must be a number, or one for each network .* came 1 numbers"),
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


def test_if_all_learning_rates_are_too_large_it_is_said() -> None:
    net = network([*range(LANES)], "float32")
    etas = [1e30 * (lane + 1) for lane in range(LANES)]
    with pytest.raises(DivergedError, match="^fit: all 5 networks .* smaller eta than these may"):
        minifw.fit(net, nn.LossMSE(), SGD(net), data("float32"), epochs=9, eta=etas)


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


def test_an_option_is_not_a_parameter_of_its_name() -> None:
    class Inertia(nn.Module):
        def __init__(self) -> None:
            self.register_parameter("momentum", torch.ones(2))

    module = Inertia()
    sgd = SGD(module, momentum=0.5)
    for _ in range(2):
        module.momentum_grad.fill_(1.0)
        sgd.step(0.1)
    assert sgd.momentum == 0.5
    assert module.momentum.tolist() == pytest.approx([1 - 0.1 - 0.15] * 2)
    sgd.momentum = 0.25
    assert sgd.state["momentum"].tolist() == [1.5, 1.5]


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
