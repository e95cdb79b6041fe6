"""Optimisers and clipping: PyTorch's steps, and one number for each network of a stack."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.errors import ModuleError
from minifw.nn.optimizers import check_state
from minifw.nn.optimizers.clipping import norms
from minifw.reference.twins import optimizer_like

STEPS = 120


def grid(**values: list[Any]) -> list[dict[str, Any]]:
    return [
        dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())
    ]


CASES: list[tuple[type[nn.Optimizer], dict[str, Any]]] = [
    *((nn.SGD, g) for g in grid(momentum=[0.0, 0.9], weight_decay=[0.0, 0.1])),
    *((nn.SGD, {"nesterov": True} | g) for g in grid(momentum=[0.5, 0.9], weight_decay=[0.0, 0.1])),
    *(
        (kind, g)
        for kind in (nn.Adam, nn.AdamW)
        for g in grid(
            beta1=[0.0, 0.3, 0.9], beta2=[0.0, 0.9, 0.999], eps=[1e-8, 0.1], weight_decay=[0.0, 0.1]
        )
        if g["beta2"] or not g["weight_decay"]  # λ w / |λ w|, which jumps where w is almost 0
    ),
    *(
        (nn.RMSprop, g)
        for g in grid(
            alpha=[0.0, 0.5, 0.99], eps=[1e-8, 0.1], momentum=[0.0, 0.9], centered=[False, True],
            weight_decay=[0.0, 0.1],
        )
        if not (g["alpha"] == 0 and g["centered"])  # 0 / 0, up to rounding
    ),
]  # fmt: skip


def network(lanes: list[int], dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Two layers for each of these lanes, whose weights do not depend on the others."""
    stack: dict[str, Any] = {"stack": (len(lanes),), "dtype": dtype}
    rngs = [np.random.default_rng(lane) for lane in lanes]
    return nn.Sequential(
        nn.Linear(3, 4, generators=rngs, **stack),
        nn.ReLU(),
        nn.Linear(4, 2, generators=rngs, **stack),
    )


def gradients(lane: int, like: nn.Module, step: int) -> list[np.ndarray[Any, Any]]:
    """Gradients of a network in a step: sometimes 0, sometimes large, otherwise of any size."""
    rng = np.random.default_rng([lane, step])
    scale = rng.choice([0.0, 0.01, 1.0, 30.0], p=[0.05, 0.25, 0.6, 0.1])
    return [scale * rng.normal(size=value.shape[1:]) for _, value, _ in like.parameters()]


def steps(
    lanes: list[int], kind: type[nn.Optimizer], options: dict[str, Any], eta: Any = 0.01,
    dtype: torch.dtype = torch.float64, count: int = STEPS,
) -> list[list[Tensor]]:  # fmt: skip
    """Return the weights after each step."""
    net = network(lanes, dtype)
    optimizer = kind(net, **options)
    seen = []
    for step in range(count):
        of_lanes = [gradients(lane, net, step) for lane in lanes]
        for (_, _, gradient), values in zip(
            net.parameters(), zip(*of_lanes, strict=True), strict=True
        ):
            gradient.copy_(torch.from_numpy(np.stack(values)))
        optimizer.step(eta)
        seen.append([value.clone() for _, value, _ in net.parameters()])
    return seen


def of_torch(
    kind: type[nn.Optimizer], options: dict[str, Any], clip: float | None = None
) -> list[list[Tensor]]:
    net = network([0])
    values = [torch.nn.Parameter(value[0].clone()) for _, value, _ in net.parameters()]
    optimizer = optimizer_like(kind(net, **options), values, 0.01)
    seen = []
    for step in range(STEPS):
        for value, gradient in zip(values, gradients(0, net, step), strict=True):
            value.grad = torch.from_numpy(gradient)
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(values, clip)
        optimizer.step()
        seen.append([value.detach().clone() for value in values])
    return seen


def assert_same(ours: list[list[Tensor]], theirs: list[list[Tensor]]) -> None:
    """Each weight after each step, within 1e-12 of the largest weight so far."""
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for mine, its in zip(a, b, strict=True):
            error = ((mine[0] - its).abs().max() / its.abs().max()).item()
            assert error < 1e-12, f"step {step + 1}: {error}"


def said(case: Any) -> str:
    if isinstance(case, type):
        return case.__name__
    return ",".join(f"{k}={v}" for k, v in case.items()) if isinstance(case, dict) else str(case)


@pytest.mark.parametrize(("kind", "options"), CASES, ids=said)
def test_steps_are_those_of_pytorch(kind: type[nn.Optimizer], options: dict[str, Any]) -> None:
    assert_same(steps([0], kind, options), of_torch(kind, options))


@pytest.mark.parametrize("kind", [nn.SGD, nn.Adam, nn.AdamW, nn.RMSprop])
@pytest.mark.parametrize("clip", [0.03, 3.0, 1e6])
def test_clipping_is_that_of_pytorch(kind: type[nn.Optimizer], clip: float) -> None:
    options = {"weight_decay": 0.1}
    theirs = of_torch(kind, options, clip)
    assert_same(steps([0], kind, options | {"clip_norm": clip}), theirs)


# -------------------------------------------------------- one number for each network of a stack

LANES = [0, 1, 2, 3, 4]
VECTORS: dict[type[nn.Optimizer], dict[str, list[Any]]] = {
    nn.SGD: {
        "momentum": [0.9, 0.1, 0.37, 0.9, 0.99],
        "weight_decay": [0.0, 1e-3, 0.1, 0.0123, 0.0],
        "clip_norm": [np.inf, 0.3, 2.0, 1e-3, 1e9],
    },
    nn.Adam: {
        "beta1": [0.9, 0.0, 0.37, 0.9, 0.99],
        "beta2": [0.999, 0.0, 0.37, 0.99, 0.9999],
        "eps": [1e-8, 0.1, 1e-5, 1e-3, 1e-12],
        "weight_decay": [0.0, 1e-3, 0.1, 0.0123, 0.0],
        "clip_norm": [np.inf, 0.3, 2.0, 1e-3, 1e9],
    },
    nn.RMSprop: {
        "alpha": [0.99, 0.1, 0.37, 0.9, 0.999],
        "eps": [1e-8, 0.1, 1e-3, 1e-3, 1e-12],
        "momentum": [0.9, 0.0, 0.37, 0.9, 0.99],
        "weight_decay": [0.0, 1e-3, 0.1, 0.0123, 0.0],
        "clip_norm": [np.inf, 0.3, 2.0, 1e-3, 1e9],
    },
}
VECTORS[nn.AdamW] = VECTORS[nn.Adam]
ETAS = [0.1, 0.03, 0.03, 0.0137, 0.02]
FLAGS: list[tuple[type[nn.Optimizer], dict[str, Any]]] = [
    (nn.SGD, {}),
    (nn.SGD, {"nesterov": True}),
    (nn.Adam, {}),
    (nn.AdamW, {}),
    (nn.RMSprop, {}),
    (nn.RMSprop, {"centered": True}),
]


def sets(kind: type[nn.Optimizer]) -> list[tuple[str, ...]]:
    """Each option alone, the rate alone, and all together."""
    options = tuple(VECTORS[kind])
    return [("eta",), *((one,) for one in options), (*options, "eta")]


LANE_CASES = [(kind, flags, names) for kind, flags in FLAGS for names in sets(kind)]


def some(kind: type[nn.Optimizer], names: tuple[str, ...], lanes: list[int]) -> dict[str, Any]:
    """Return these options of these lanes, a number if there is one lane."""
    several = {name: [VECTORS[kind][name][k] for k in lanes] for name in names if name != "eta"}
    return {name: values if len(lanes) > 1 else values[0] for name, values in several.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "flags", "names"), LANE_CASES, ids=said)
def test_a_lane_has_the_bits_of_its_own_steps(
    kind: type[nn.Optimizer], flags: dict[str, Any], names: tuple[str, ...], dtype: torch.dtype
) -> None:
    base = {"momentum": 0.5} if flags.get("nesterov") else {}
    eta = torch.tensor(ETAS, dtype=torch.float64).to(dtype) if "eta" in names else 0.02
    together = steps(LANES, kind, base | flags | some(kind, names, LANES), eta, dtype, 40)
    for lane in LANES:
        of_lane = ETAS[lane] if "eta" in names else 0.02
        alone = steps([lane], kind, base | flags | some(kind, names, [lane]), of_lane, dtype, 40)
        for step, (a, b) in enumerate(zip(together, alone, strict=True)):
            for several, one in zip(a, b, strict=True):
                assert torch.equal(several[lane], one[0]), f"lane {lane}, step {step + 1}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_norm_has_the_same_bits_alone_and_in_a_stack_on_several_threads(
    dtype: torch.dtype,
) -> None:
    """Torch would divide a sum of many numbers among its threads if it is that of one network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for count in (1, 3, 17, 16385, 70001):
            values = torch.from_numpy(np.random.default_rng(count).normal(size=(3, count))).to(
                dtype
            )
            together = norms([values], (3,))
            torch.testing.assert_close(together, values.norm(dim=1))
            for k in range(3):
                assert norms([values[k : k + 1].clone()], (1,))[0] == together[k]
                assert norms([values[k].clone()], ()) == together[k]
    finally:
        torch.set_num_threads(threads)


def test_the_norm_is_that_of_all_parameters_of_a_network() -> None:
    net = network([0, 1])
    for number, (_, _, gradient) in enumerate(net.parameters()):
        gradient[0].fill_(number + 1.0)
        gradient[1].fill_(0.001)
    before = net.state_dict()
    sgd = nn.SGD(net, clip_norm=0.5)
    sgd.step(1.0)
    norm = np.sqrt(12 * 1 + 4 * 4 + 8 * 9 + 2 * 16)
    for number, (name, value) in enumerate(net.state_dict().items()):
        step = before[name] - value
        torch.testing.assert_close(
            step[0], torch.full_like(step[0], (number + 1) * 0.5 / (norm + 1e-6))
        )
        torch.testing.assert_close(step[1], torch.full_like(step[1], 0.001))
    assert net.parameters()[0].gradient[0, 0, 0] == 1.0, "the gradient itself is not changed"


@pytest.mark.parametrize(("kind", "flags"), FLAGS, ids=said)
def test_all_that_a_step_changes_is_in_the_state(
    kind: type[nn.Optimizer], flags: dict[str, Any]
) -> None:
    base = {"momentum": 0.5} if flags.get("nesterov") else {}
    for given in (flags | base, flags | some(kind, tuple(VECTORS[kind]), LANES)):
        net = network(LANES)
        optimizer = kind(net, **given)
        check_state(optimizer, (len(LANES),))
        begun = {name: value.clone() for name, value in optimizer.state.items()}
        for _, _, gradient in net.parameters():
            gradient.fill_(0.1)
        optimizer.step(0.1)
        changed = {n for n, v in optimizer.state.items() if not torch.equal(v, begun[n])}
        assert changed == {*begun} - {n for n in begun if n.removeprefix("1 - ") in VECTORS[kind]}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda net: nn.Adam(net, beta1=1.0), "Adam: beta1 must be at least 0 and below 1, got 1.0"),
        (lambda net: nn.AdamW(net, beta2=[0.9] * 4 + [-1]), "AdamW: beta2 must be at least 0 and"),
        (lambda net: nn.Adam(net, eps=-1e-8), "Adam: eps must be at least 0 and finite, got -1e-08"),
        (lambda net: nn.RMSprop(net, alpha=[0.9, 0.9]), r"RMSprop: alpha must be .* got \(2,\)"),
        (lambda net: nn.RMSprop(net, momentum="x"), "RMSprop: momentum must be at least 0 and"),  # type: ignore[arg-type]
        (lambda net: nn.Adam(net, clip_norm=0), "Adam: clip_norm must be above 0, got 0"),
        (lambda net: nn.SGD(net, clip_norm=[None] * 5), "SGD: clip_norm must be above 0, got None"),  # type: ignore[list-item]
        (lambda net: nn.SGD(net, nesterov=True), "SGD: nesterov needs a momentum above 0, got 0.0"),
        (lambda net: nn.SGD(net, [0.9] * 4 + [0.0], nesterov=True), "SGD: nesterov needs a momentum"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(make: Any, says: str) -> None:
    with pytest.raises(ModuleError, match=f"^{says}"):
        make(network(LANES))


def test_an_option_may_be_set_later() -> None:
    net = network(LANES)
    adam = nn.Adam(net)
    adam.beta1 = [0.5, 0.6, 0.7, 0.8, 0.9]
    kept = adam.state["beta1"], adam.state["1 - beta1"]
    adam.beta1 = [0.1] * 5
    now = adam.state["beta1"], adam.state["1 - beta1"]
    assert all(a is b for a, b in zip(now, kept, strict=True)), "in place, for views of it"
    assert kept[1].tolist() == [0.9] * 5
    adam.beta1 = 0.3
    assert adam.beta1 == 0.3
    assert not {"beta1", "1 - beta1"} & adam.state.keys()
    assert repr(adam) == "Adam(beta1=0.3)"


def test_a_number_near_1_leaves_its_rest_exact_in_float32() -> None:
    """1 less the float32 next to 0.999 is 1.3e-5 of it away from 0.001."""
    adam = nn.Adam(network(LANES, torch.float32), beta2=[0.999] * 5)
    assert adam.state["1 - beta2"].tolist() == pytest.approx([0.001] * 5, rel=1e-7)
