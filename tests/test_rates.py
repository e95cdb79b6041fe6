"""Schedules of the learning rate: PyTorch's factors, and the same steps in every way of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from minifw import nn, reference
from minifw.data import BatchOrder
from minifw.errors import DtypeError, ModuleError
from minifw.nn.schedules import factors_of
from minifw.training import Checkpoint, History
from minifw.training.fit import fit
from minifw.training.rates import over
from test_vectors import ETAS, LANES, WAYS, as_bytes, data, network

TOTAL, EPOCH = 120, 12
Theirs = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def cosine_after(optimizer: torch.optim.Optimizer, rise: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, 1 / rise, total_iters=rise - 1),
            lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - rise),
        ],
        milestones=[rise],
    )


CASES: list[tuple[nn.Schedule, Theirs]] = [
    (nn.Constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    (nn.StepDecay(1, 0.5), lambda o: lr_scheduler.StepLR(o, EPOCH, 0.5)),
    (nn.StepDecay(3), lambda o: lr_scheduler.StepLR(o, 3 * EPOCH, 0.1)),
    (nn.StepDecay(4, 1.5), lambda o: lr_scheduler.StepLR(o, 4 * EPOCH, 1.5)),
    (nn.Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL)),
    (nn.Cosine(0.25), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.25 * 0.3)),
    (nn.WarmUp(2), lambda o: lr_scheduler.LinearLR(o, 1 / 24, total_iters=23)),
    (nn.WarmUp(0.5), lambda o: lr_scheduler.LinearLR(o, 1 / 6, total_iters=5)),
    (nn.WarmUp(3, nn.Cosine()), lambda o: cosine_after(o, 36)),
    *(
        (
            nn.OneCycle(peak, start, final),
            lambda o, p=peak, s=start, f=final: lr_scheduler.OneCycleLR(
                o, 0.3, TOTAL, pct_start=p, div_factor=s, final_div_factor=f, cycle_momentum=False
            ),
        )
        for peak, start, final in ((0.3, 25.0, 1e4), (0.5, 10.0, 1.0), (0.004, 2.0, 3.0))
    ),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step|The epoch parameter")
@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=[repr(ours)[:45] for ours, _ in CASES])
def test_factors_are_those_of_pytorch(ours: nn.Schedule, theirs: Theirs) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = theirs(optimizer)
    expected = []
    for _ in range(TOTAL):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = 0.3 * factors_of(ours, range(TOTAL), TOTAL, EPOCH)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-17)


def test_factors_by_hand() -> None:
    def of(schedule: nn.Schedule, total: int, epoch: int) -> list[float]:
        return [*map(float, factors_of(schedule, range(total), total, epoch))]

    assert of(nn.StepDecay(1, 0.5), 6, 2) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert of(nn.Cosine(), 2, 1) == pytest.approx([1, 0.5])
    assert of(nn.WarmUp(1, nn.StepDecay(1, 0.5)), 6, 2) == [0.5, 1, 1, 1, 0.5, 0.5]
    assert of(nn.WarmUp(9), 2, 1) == [0.5, 1]  # longer than the training: up to its end
    assert of(nn.OneCycle(0.5, 2, 4), 4, 4) == pytest.approx([0.5, 1, 0.5625, 0.125])


def test_a_formula_does_not_depend_on_which_steps_are_asked_for() -> None:
    for schedule, _ in CASES:
        whole = factors_of(schedule, range(TOTAL), TOTAL, EPOCH)
        parts = [
            factors_of(schedule, range(n, n + EPOCH), TOTAL, EPOCH) for n in range(0, TOTAL, EPOCH)
        ]
        assert np.array_equal(whole, np.concatenate(parts)), schedule


SCHEDULES = [nn.WarmUp(2, nn.Cosine(0.1)), nn.StepDecay(2, 0.5)]


def trained(
    way: str,
    rates: nn.Schedule | None,
    eta: Any = 0.1,
    lanes: list[int] | None = None,
    dtype: str = "float32",
    epochs: int = 6,
    batch_size: int | None = 10,
    make: Callable[[nn.Network], nn.Optimizer] = lambda net: nn.SGD(net, 0.9),
) -> dict[str, Tensor]:
    lanes = [*range(LANES)] if lanes is None else lanes
    net = network(lanes, dtype)
    fit(
        net, nn.LossMSE(), make(net), data(dtype).of(slice(lanes[0], lanes[-1] + 1)),
        epochs=epochs, eta=eta, batch_size=batch_size, next_order=BatchOrder(lanes, 37),
        schedule=WAYS[way], rates=rates,
    )  # fmt: skip
    return net.state_dict()


def by_hand(rates: nn.Schedule, eta: float, dtype: str, batch_size: int) -> dict[str, Tensor]:
    """Take the steps of six epochs one by one, each with its own learning rate."""
    net, samples, order = (
        network([*range(LANES)], dtype),
        data(dtype).train,
        BatchOrder([*range(LANES)], 37),
    )
    loss, sgd = nn.LossMSE(), nn.SGD(net, 0.9)
    count = -(-37 // batch_size)
    factors = factors_of(rates, range(6 * count), 6 * count, count).tolist()
    for _ in range(6):
        inputs, targets = samples.in_order(order())
        for first in range(0, 37, batch_size):
            x, target = (v[:, first : first + batch_size] for v in (inputs, targets))
            net.reset_gradient()
            net.backward(loss.grad(net(x), target))
            sgd.step(eta * factors.pop(0))
    return net.state_dict()


@pytest.mark.parametrize("rates", SCHEDULES, ids=repr)
@pytest.mark.parametrize("way", WAYS)
def test_each_step_has_its_own_learning_rate(way: str, rates: nn.Schedule) -> None:
    """The last batch of an epoch is smaller: compiled, it is a program of its own."""
    found = trained(way, rates, dtype="float64")
    for name, value in by_hand(rates, 0.1, "float64", 10).items():
        torch.testing.assert_close(found[name], value, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("way", WAYS)
def test_a_lane_of_its_own_eta_has_the_bits_of_its_own_run(way: str) -> None:
    several = trained(way, SCHEDULES[0], ETAS)
    for lane in range(LANES) if way == "plain" else (0, 3):
        alone = trained(way, SCHEDULES[0], ETAS[lane], [lane])
        assert as_bytes(alone, 0) == as_bytes(several, lane), f"lane {lane}"


def test_in_full_batch_a_step_is_an_epoch() -> None:
    stepped = trained("plain", nn.StepDecay(2, 0.5), batch_size=None, make=nn.SGD)
    net = network([*range(LANES)], "float32")
    history = None
    for until, eta in ((2, 0.1), (4, 0.05), (6, 0.025)):
        history = fit(
            net, nn.LossMSE(), nn.SGD(net), data("float32"), epochs=until, eta=eta,
            next_order=BatchOrder([*range(LANES)], 37), history=history,
        )  # fmt: skip
    for name, value in net.state_dict().items():
        torch.testing.assert_close(stepped[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("way", ["plain", "compiled, on threads"])
def test_a_continued_training_is_the_unbroken_one(way: str) -> None:
    rates = SCHEDULES[0]
    unbroken = as_bytes(trained(way, rates, ETAS))

    def begun() -> tuple[nn.Sequential, nn.SGD, BatchOrder]:
        net = network([*range(LANES)], "float32")
        return net, nn.SGD(net, 0.9), BatchOrder([*range(LANES)], 37)

    def train(
        net: nn.Network, sgd: nn.SGD, order: BatchOrder, epochs: int, of: nn.Schedule,
        history: History | None = None,
    ) -> History:  # fmt: skip
        return fit(
            net, nn.LossMSE(), sgd, data("float32"), epochs=epochs, eta=ETAS, batch_size=10,
            next_order=order, history=history, schedule=WAYS[way], rates=of,
        )  # fmt: skip

    net, sgd, order = begun()
    half = Checkpoint.of(net, train(net, sgd, order, 3, over(rates, 6)), sgd, order)
    net, sgd, order = begun()
    train(net, sgd, order, 6, rates, half.restore(net, sgd, order, "a checkpoint"))
    assert as_bytes(net.state_dict()) == unbroken


@pytest.mark.parametrize("way", WAYS)
def test_where_a_network_fails_is_found_with_the_rates_of_its_steps(way: str) -> None:
    """Its learning rate becomes too large in the third epoch; that of the others does not."""
    net = network([*range(LANES)], "float32")
    etas = [0.1, 1e-3, 0.1, 0.1, 1e-3]
    history = fit(
        net, nn.LossMSE(), nn.SGD(net), data("float32"), epochs=4, eta=etas, batch_size=10,
        schedule=WAYS[way], rates=nn.StepDecay(2, 1e30),
    )  # fmt: skip
    assert history.diverged.tolist() == [3] * 5
    assert (history.diverged_layer >= 0).all()
    net = network([*range(LANES)], "float32")
    history = fit(
        net, nn.LossMSE(), nn.SGD(net), data("float32"), epochs=4, eta=[*etas[:4], 1e-33],
        batch_size=10, schedule=WAYS[way], rates=nn.StepDecay(2, 1e30),
    )  # fmt: skip
    assert history.diverged.tolist() == [3, 3, 3, 3, -1]


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("kind", [nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop])
def test_pytorchs_arms_take_the_same_steps(
    kind: type[nn.Optimizer], at_once: bool, clip: float | None
) -> None:
    def make(net: nn.Network) -> nn.Optimizer:
        return kind(net, weight_decay=0.01, clip_norm=clip)  # type: ignore[call-arg]

    rates = SCHEDULES[0]
    ours = trained("plain", rates, 0.05, dtype="float64", make=make)
    net = network([*range(LANES)], "float64")
    theirs = reference.fit(
        net, nn.LossMSE(), make(net), data("float64"), range(LANES), epochs=6, eta=0.05,
        rates=rates, batch_size=10, eval_every=3, at_once=at_once,
    )  # fmt: skip
    for name, value in theirs.weights.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-11)


class Rising(nn.Schedule):
    def __init__(self, worst: Any) -> None:
        self.worst = worst

    def factors(self, steps: Any, total: int, epoch: int) -> Any:
        return np.where(steps >= 8, self.worst, 1.0)


@pytest.mark.parametrize(
    ("rates", "kind", "says"),
    [
        ("cosine", DtypeError, "^fit: rates must be a Schedule, such as nn.Cosine.., got str"),
        (Rising(-1.0), ModuleError, "factors: must be finite and at least 0, got -1.0 in step 8"),
        (Rising(np.nan), ModuleError, "must be finite and at least 0, got nan in step 8"),
        (Rising(1e38), ModuleError, "must be finite in float32, got 1e.38 times 100 in epoch 3"),
        (Rising(np.ones((4, 4))), ModuleError, r"must return an array of \(4,\).* shape \(4, 4\)"),
        (nn.Schedule(), NotImplementedError, "does not define factors"),
    ],
)  # fmt: skip
def test_a_wrong_schedule_is_named_before_anything_is_trained(
    rates: Any, kind: type[Exception], says: str
) -> None:
    net = network([*range(LANES)], "float32")
    before = net.state_dict()
    with pytest.raises(kind, match=says):
        fit(
            net,
            nn.LossMSE(),
            nn.SGD(net),
            data("float32"),
            epochs=6,
            eta=100,
            batch_size=10,
            rates=rates,
        )
    assert as_bytes(net.state_dict()) == as_bytes(before)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.StepDecay(0), "StepDecay: every must be a whole number of epochs of at least"),
        (lambda: nn.StepDecay(3, 0.0), "StepDecay: factor must be above 0 and finite, got 0.0"),
        (lambda: nn.Cosine(1.5), "Cosine: final must be at least 0 and at most 1, got 1.5"),
        (lambda: nn.OneCycle(1.0), "OneCycle: peak must be above 0 and below 1, got 1.0"),
        (lambda: nn.OneCycle(start=0.5), "OneCycle: start must be at least 1 and finite, got 0.5"),
        (lambda: nn.WarmUp(np.nan), "WarmUp: epochs must be above 0 and finite, got nan"),
        (lambda: nn.WarmUp(1, 0.5), "WarmUp: then must be a Schedule, got float"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_wrong_numbers_of_a_schedule_are_named(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ModuleError, match=f"^{says}"):
        make()
