"""A recorded step is the step: other numbers, other lanes, every module, loss and operation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import interpreted
from cases import (
    LOSSES,
    MODULES,
    LossCase,
    ModuleCase,
    SimpleNet,
    inputs_of,
    linear,
    normal,
    special,
)
from joined import Joined, rows_of
from minifw import nn
from minifw.compile.compilers import find_compiler
from minifw.compile.program import Program
from minifw.compile.record import record
from minifw.compile.values import CannotCompileError, Recording, Step
from minifw.training.learner import Learner

LANES, BATCH = 3, 6


def named(thing: object) -> str | None:
    """Name what computes; networks only pass numbers on."""
    if isinstance(thing, (nn.Module, nn.Loss, nn.Optimizer)) and not isinstance(thing, nn.Network):
        return str(thing)
    return None


def check(
    step: Step, state: Sequence[Tensor], x: Tensor, target: Tensor, *, close: float = 1e-12
) -> Recording:
    """Record a step and compare it with the step itself, on other numbers; return the record."""
    kept = [value.clone() for value in (*state, x, target)]
    recording = record(step, state, x, target, x.shape[1], named)
    for own, before in zip((*state, x, target), kept, strict=True):
        close_to(own, before, 0)  # untouched
    for eta in (torch.tensor(0.05, dtype=x.dtype), torch.tensor([0.05, 0.01, 0.2], dtype=x.dtype)):
        ours, output = interpreted.run(recording, state, x, target, eta)
        for lane in range(len(x)):
            theirs = [value[lane : lane + 1].clone() for value in state]
            rate = eta[lane] if eta.ndim else eta
            expected = step(theirs, x[lane : lane + 1], target[lane : lane + 1], rate)
            close_to(output[lane].flatten(), expected.flatten(), close)
            for mine, other in zip(ours, theirs, strict=True):
                close_to(mine[lane : lane + 1], other, close)
    if compiled:
        check_compiled(step, state, x, target, max(close, 1e-11))
    return recording


compiled = False


@pytest.fixture(autouse=True, params=[False, pytest.param(True, marks=pytest.mark.slow)])
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """All steps of this file are interpreted; as slow tests they are compiled too."""
    global compiled
    if request.param and find_compiler() is None:
        pytest.skip("there is no C compiler: `apt install gcc`")
    compiled = request.param
    yield
    compiled = False


def check_compiled(
    step: Step, state: Sequence[Tensor], x: Tensor, target: Tensor, close: float
) -> None:
    """Compile a step and compare it with the step itself, lane by lane."""
    ours, eta = [value.clone() for value in state], torch.tensor(0.05, dtype=x.dtype)
    program = Program(step, state, x, target, x.shape[1], named)
    output = program.run(ours, x, target, None, eta)
    for lane in range(len(x)):
        one = slice(lane, lane + 1)
        theirs = [value[one].clone() for value in state]
        expected = step(theirs, x[one], target[one], eta)
        close_to(output[lane].flatten(), expected.flatten(), close)
        for mine, other in zip(ours, theirs, strict=True):
            close_to(mine[one], other, close)


def close_to(ours: Tensor, theirs: Tensor, close: float) -> None:
    torch.testing.assert_close(ours, theirs.to(ours.dtype), rtol=close, atol=close, equal_nan=True)


def step_of(learner: Learner) -> Step:
    return lambda state, x, target, eta: learner.on(state).step(x, target, eta)


def check_network(
    network: nn.Network, loss: nn.Loss, x: Tensor, target: Tensor, momentum: float = 0.9
) -> Recording:
    learner = Learner(network, loss, nn.SGD(network, momentum))
    given = {id(value) for _, value in network.states()}  # such as streams of random numbers
    state = [
        value.clone() if id(value) in given else value + 0.1 * normal(*value.shape, seed=3)
        for value in learner.state
    ]
    return check(step_of(learner), state, x, target)


class EveryLoss(nn.Loss):
    """All losses of the table at once, each on three outputs: one library for all of them."""

    def __init__(self, reduction: Any) -> None:
        super().__init__(reduction)
        self.of_classes = [case.target(()).dtype == torch.int64 for case in LOSSES]

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        # Each has three columns of targets. Classes stand in the first of theirs, as numbers.
        gradients = []
        pieces = zip(torch.split(output, 3, -1), torch.split(target, 3, -1), strict=True)
        for case, of_classes, (y, wanted) in zip(LOSSES, self.of_classes, pieces, strict=True):
            if of_classes:
                wanted = wanted[..., 0].long()
            gradients.append(case.make(self.reduction).grad(y, wanted))
        return torch.cat(gradients, -1)


@pytest.mark.parametrize("case", MODULES, ids=lambda case: case.name)
def test_every_module_is_recorded(case: ModuleCase) -> None:
    inputs = inputs_of(case, LANES)
    network, x = Joined(case.make((LANES,)), inputs), rows_of(inputs)
    target = 0 * network.forward(x) + normal(1)
    check_network(network, nn.LossMSE("sample"), x, target)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_every_loss_is_recorded(case: LossCase, reduction: Any) -> None:
    network, loss = nn.Sequential(linear(4, 3, (LANES,))), case.make(reduction)
    x, target = normal(LANES, 6, 4), case.target((LANES,))
    recording = check_network(network, loss, x, target)
    assert recording.classes == (target.dtype == torch.int64)

    def value_of(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        state[0].mul_(loss.function(x, target)[:, None])  # the loss itself, one for each lane
        return x

    check(value_of, [normal(LANES, 5)], normal(LANES, 6, 3), target)


def test_all_losses_at_once_are_recorded() -> None:
    network = nn.Sequential(linear(4, 3 * len(LOSSES), (LANES,)))
    targets = [case.target((LANES,)).double() for case in LOSSES]
    target = torch.cat([t if t.ndim == 3 else t[..., None].expand(-1, -1, 3) for t in targets], -1)
    check_network(network, EveryLoss("mean"), normal(LANES, 6, 4), target)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_are_recorded(seed: int) -> None:
    draw = np.random.default_rng(seed)
    widths = [int(n) for n in draw.integers(1, 20, draw.integers(2, 6))]
    batch = int(draw.integers(1, 9))
    kinds: list[type[nn.Module]] = [nn.ReLU, nn.Tanh, nn.Sigmoid]
    modules: list[nn.Module] = []
    for a, b in pairwise(widths):
        layer = linear(a, b, (LANES,), bias=bool(draw.integers(2)))
        modules += [layer, kinds[draw.integers(3)]()]
        if a == b and draw.integers(2):
            modules.append(layer)  # used twice
    network = nn.Sequential(*modules)
    x = normal(LANES, batch, widths[0], seed=seed)
    momentum = 0.9 * int(draw.integers(2))
    if draw.integers(2):
        target = normal(LANES, batch, widths[-1], seed=seed + 1)
        check_network(network, nn.LossMSE("mean"), x, target, momentum)
    else:
        classes = torch.from_numpy(draw.integers(0, widths[-1], (LANES, batch)))
        check_network(network, nn.LossCrossEntropy(), x, classes, momentum)


# One line each: what a user's module may do. `x` is (lanes, 6, 4), `w` (lanes, 4, 4), `b` (lanes, 4),
# `p` a positive x; the result may have any shape of its own in each lane.
EXPRESSIONS = """
x + 1; 1 - x; x * 2; 2 / p; x / 3; -x; x + b[:, None]; x * x[..., :1]; x - x[:, :1]
torch.add(x, p, alpha=2); torch.sub(x, p, alpha=0.5); torch.rsub(x, 2)
x ** 2; x ** 3; p ** 0.5; p ** -1; p ** -0.5; p ** 1.7; p ** -2; x ** 0; 2 ** x; x ** 7
x.square(); p.sqrt(); p.rsqrt(); x.exp(); p.log(); p.log1p(); x.expm1(); x.tanh(); x.sigmoid()
torch.expm1(x * 1e-9) * 1e9; torch.log1p(p * 1e-9) * 1e9; x.exp2(); p.log2(); p.log10()
x.relu(); x.clamp(-0.5, 0.5); x.clamp(min=0.1); x.clamp(max=0.1); x.abs(); x.sign(); x.floor(); x.ceil(); x.trunc()
torch.where(x > 0, x, 0.1 * x); x.masked_fill(x < 0, 3.0); torch.maximum(x, p - 1)
torch.minimum(x, b[:, None]); x.clamp(min=b[:, None]); (x > 0) * x; (x > 0).double(); ((x > 0) & (p > 1)).double()
(x > 0) | (x < -1); ~(x > 0); (x > 0) ^ (p > 1); (x > 0) == (p > 1); (x > 0).long() + 1; (x * 5).long(); (x > 0).sum(-1)
functional.threshold(x, 0.1, 20.0); functional.leaky_relu(x); functional.elu(x); functional.silu(x); functional.softplus(x)
functional.hardtanh(x); functional.normalize(x, dim=-1); x.nan_to_num(); (x / 0).nan_to_num(1.0); x.isnan(); (x / 0).isinf()
(x - x) / (x - x); x.clamp(min=0) / 0; (x / 0 - x / 0).clamp(0, 1); torch.maximum(x / 0 * 0, x); (x * 0 / 0).relu()
x.softmax(-1); x.log_softmax(-1); x.softmax(1); x.logsumexp(-1); x.logsumexp(-1, keepdim=True); (100 * x).log_softmax(-1)
x.sum(-1); x.sum(1); x.sum((1, 2)); x.sum(-1, keepdim=True); x.mean(-1); x.mean((-2, -1)); x.mean(1, keepdim=True)
x.amax(-1); x.amin(1); x.amax((1, 2)); x.max(-1).values; x.min(1).values; x.max(-1, keepdim=True)[0]; x.amax(-1, keepdim=True)
x.var(-1); x.var(1); x.std(-1, correction=0); x.var((1, 2)); torch.var_mean(x, -1)[0]; torch.var_mean(x, -1)[1]
x.norm(dim=-1); torch.linalg.vector_norm(x, 1, -1); torch.linalg.vector_norm(x, float("inf"), 1); x.norm(dim=(1, 2))
((x > 0) + (p > 1)).long(); ((x > 0) + (p > 1)).sum(-1); torch.where((x > 0)[..., 1:2], x, p); (x > 0)[:, ::2] | (p > 1)[:, 1:4]
torch.where((x > 0).reshape(len(x), 3, 8), 2.0, p.reshape(len(x), 3, 8)); torch.where((x > 0).mT.contiguous().mT, x, p); ~(x > 0).flip(-1)
(x > 0).any(-1); (x > 0).all(1); (x > 0).double().mean(-1)
x @ w; x @ w.mT; x.mT @ x; x @ w + b[:, None]; torch.baddbmm(b[:, None], x, w, beta=0.5, alpha=2); torch.bmm(x, w)
torch.matmul(x, CONSTANT); x @ CONSTANT[0]; functional.linear(x, CONSTANT); functional.linear(x, CONSTANT, CONSTANT[0])
CONSTANT @ x.mT; torch.einsum("lbi,lij->lbj", x, w); torch.einsum("lbi,lbj->lbij", x, x)
x @ torch.ones(4, 2).double(); x @ torch.eye(4).double(); x @ b[..., None]; (x * b[:, None]).sum(-1); x[:, None] @ w[:, None]
(x.unflatten(-1, (2, 2)).transpose(1, 2) @ w[:, None, :2, :2].expand(-1, 2, -1, -1)).transpose(1, 2)
torch.cat([x, p], -1); torch.cat([x, p], 1); torch.stack([x, p], 1); torch.stack([x, p], -1); torch.cat([x, CONSTANT[:1].expand(len(x), 6, 4)], -1)
x.split(2, -1)[1]; x.chunk(2, 1)[1] * 2; x[..., 1:3]; x[..., ::2] + 1; x[:, 1] * 2; x[..., 0]; x.unbind(-1)[2] - 1; x[:, -1:, :]
x.mT; x.mT * 2; (x.mT + w[:, :, :1]).mT; x.mT.contiguous(); x.mT.reshape(len(x), -1); x.reshape(len(x), 3, 8) * 2; x.flatten(1)
x.flatten(1).unflatten(1, (4, 6)); x.permute(0, 2, 1) * 3; x.reshape(len(x) * 6, 4) * 2; x.view(-1, 4) + CONSTANT[0]; x.reshape(len(x), 6, 2, 2).sum(-1)
x.reshape(len(x), 6, 2, 2).sum((1, 3)); x.reshape(len(x), 3, 2, 4).mean((1, 2)); x.reshape(len(x), 2, 3, 4).amax(2); x.reshape(len(x), 2, 3, 2, 2).sum((2, 4))
x.reshape(len(x), 2, 3, 4).permute(0, 3, 1, 2).sum((2, 3)); x.reshape(len(x), 2, 3, 4).permute(0, 3, 1, 2) * 2; x.reshape(len(x), 2, 3, 4).sum(1) * 2
x.unfold(1, 3, 1).sum(-1); x.unfold(2, 2, 1) * 2; x.clone().as_strided((len(x), 5, 2), (24, 4, 1), 1) * 2; x.expand(len(x), 6, 4) + 1; x.diagonal(0, 1, 2) * 2
x[..., :1].expand(-1, -1, 5) * 2; x[:, :1].expand(-1, 3, -1).clone(); b[:, None].expand(-1, 6, -1).clone(); b[..., None].expand(-1, -1, 3).clone()
b[:, None] * b[..., None]; b.unsqueeze(1) + torch.zeros(6, 1).double(); x.repeat(1, 2, 3); x.flip(-1); x.flip((1, 2)); functional.pad(x, (1, 2)); functional.pad(x, (0, 1, 2, 0), value=3.0)
torch.zeros_like(x) + x; torch.ones_like(x) * x; torch.full_like(x, 3) - x; x.new_zeros(6, 4) + x; torch.zeros(x.shape).double() + x
x + torch.arange(4); x * torch.linspace(0, 1, 6).double()[:, None]; x * CONSTANT[:1]; torch.where(torch.arange(4) > 1, x, 0.0); x.tril() if 0 else x
x[:, 1:2, ::2].sum(1); x[:, 1:2, ::2].amax(1) * 2; x.gather(-1, (x > 0).long()[..., :1]); torch.zeros_like(x).scatter_(-1, (x > 0).long()[..., 1:2], 1.0); x.scatter(-1, (x > 0).long()[..., :1], p[..., :1])
torch.addcmul(x, p, p, value=0.3); torch.addcdiv(x, x, p, value=2); x.lerp(p, 0.3); x.lerp(p, p); torch._foreach_mul([x, p], 2.0)[1]
torch._foreach_add([x], [p], alpha=2)[0]; torch._foreach_addcdiv([x], [x], [p], 2.0)[0]; torch._foreach_sqrt([p, p])[0]; torch._foreach_add([x, p], [1.0, 2.0])[1]
x * eta; x * (1 - eta * 0.1); x - eta; torch.full_like(x, 2) * eta + x; (eta * 2 + 1).exp() * x; x.mul(eta).sum(-1)
x.clone().fill_(2.0) + x; x.clone().copy_(p); x.clone().copy_(b[:, None]); x.clone().zero_() + x; x.contiguous().add_(1).mul_(x); x.clone().copy_(x > 0)
torch.dot(CONSTANT[0], CONSTANT[1]) * x; x * CONSTANT.sum(); x + float(CONSTANT.mean()); x.sub_(1) + x; x.unsqueeze(1).squeeze(1) + 1; x.clone().unsqueeze_(1) + 1
"""
CONSTANT = normal(4, 4, seed=9)
LINES = [one.strip() for line in EXPRESSIONS.strip().splitlines() for one in line.split("; ")]


@pytest.mark.parametrize("text", LINES)
def test_an_operation_is_recorded(text: str) -> None:
    code = compile(text, "expression", "eval")
    scope = {"torch": torch, "functional": functional, "CONSTANT": CONSTANT}

    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        w, b = state
        result: Tensor = eval(code, scope, {"x": x, "p": x.abs() + 0.5, "w": w, "b": b, "eta": eta})
        w.mul_(0.5)
        b.sub_(w[:, 1] * eta)
        result = result if result.ndim else result.expand(len(x))
        if result.shape[0] != len(x):  # the stack's dimension is folded into the next one
            result = result.reshape(len(x), -1, *result.shape[1:])
        rows = result.reshape(len(x), -1)[:, None].expand(-1, 6, -1)
        return (rows if rows.dtype.is_floating_point else rows.double()) * 1

    check(
        step,
        [normal(LANES, 4, 4), normal(LANES, 4, seed=2)],
        normal(LANES, 6, 4),
        normal(LANES, 6, 1),
    )


# What is done to `y`, zeros of (lanes, 6, 4), and to the state `w`, (lanes, 4, 4).
WRITES = {
    "a column": "y[..., 1].copy_(x[..., 0])",
    "a row, then all": "y[:, 2].copy_(x[:, 0]); y.add_(x)",
    "a part twice": "y[..., 1:].add_(x[..., 1:]); y[..., :2].mul_(3).add_(1)",
    "a transposed part": "y.mT[:, 1:3, :4].copy_(w[:, :2])",
    "all, transposed": "y.mT.copy_(x.mT * 2)",
    "a state's part": "w[:, 0].add_(x[:, 0]); w[..., 1:2].zero_(); y.add_(1)",
    "a state, and what was": "y.copy_(x @ w); w.zero_(); w.add_(1)",
    "what is not 0": "y.fill_(2); y[:, 1:2].add_(x[:, :1])",
    "not equal everywhere": "y.add_(CONSTANT[0]); y[:, :4].sub_(w)",
    "through a view": "y.view(len(x), -1)[:, 3:9].add_(1); y[:, 1].add_(x[:, 0])",
    "a list of tensors": "torch._foreach_add_([y, w], [x, w]); torch._foreach_mul_([y, w], 0.5)",
    "lists, anew": "torch._foreach_copy_([y], [x]); y += w[:, :1]; torch._foreach_zero_([w])",
    "a product": "y.baddbmm_(x, w); y.baddbmm_(x, w, beta=2, alpha=3)",
    "out": "torch.mul(x, 2, out=y); torch.tanh(y, out=y)",
    "zeroed, then more": "y.add_(x); y.zero_(); y[:, :4].add_(w)",
    "a state zeroed, then more": "w.zero_(); w.add_(x[:, :4]); w.zero_(); w[:, 0].add_(x[:, 0])",
    "indexed": "y[:, 1] = x[:, 2]; w += 1; y[:, :, 0] = 2",
    "by eta": "y.fill_(eta); w.mul_(1 - eta); y[:, 1].copy_(eta)",
}


@pytest.mark.parametrize("text", WRITES.values(), ids=WRITES)
def test_what_is_written_in_place_is_recorded(text: str) -> None:
    code = compile(text, "statements", "exec")

    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        y = torch.zeros(len(x), 6, 4, dtype=x.dtype)
        scope = {"torch": torch, "CONSTANT": CONSTANT, "x": x, "y": y, "w": state[0], "eta": eta}
        exec(code, scope)
        return y * 1

    check(step, [normal(LANES, 4, 4)], normal(LANES, 6, 4), normal(LANES, 6, 1))


def test_special_numbers_go_the_way_of_torch() -> None:
    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        a, b = x[..., :1], x[..., 1:]
        return torch.cat(
            [
                a.relu(), a.clamp(-1, 1), a.clamp(min=b), torch.maximum(a, b), torch.minimum(a, b),
                torch.where(a > b, a, b), functional.threshold(a, 0.1, 2), a.abs(), a.sign(), b.tanh(),
                x.amax(-1, keepdim=True), x.log_softmax(-1), x.softmax(-1), x.logsumexp(-1, True),
                functional.elu(a), functional.softplus(a), a.expm1(), a.log1p(), a**2, a.masked_fill(b == 0, 3),
            ],
            -1,
        )  # fmt: skip

    numbers = special(torch.float64)
    if compiled:  # to compiled code the numbers below the smallest normal one are 0
        numbers = numbers[~((numbers != 0) & (numbers.abs() < torch.finfo(torch.float64).tiny))]
    pairs = torch.cartesian_prod(numbers, numbers)
    x = torch.stack([pairs, pairs.flip(0), pairs.flip(1)])
    check(step, [normal(LANES, 1)], x, normal(LANES, len(pairs), 1))


def test_numbers_of_float32_stay_so() -> None:
    network = nn.Sequential(nn.Linear(4, 3, stack=(LANES,)), nn.ReLU())
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    x, target = normal(LANES, 6, 4).float(), normal(LANES, 6, 3).float()
    recording = check(step_of(learner), learner.state, x, target, close=1e-5)
    assert not recording.double
    with pytest.raises(CannotCompileError, match="^the x is of torch.float64, the weights of"):
        record(step_of(learner), learner.state, x.double(), target, 6)


def test_a_large_batch_is_recorded_as_a_small_one() -> None:
    """More samples than there are different numbers, and no multiple of these."""
    network = nn.Sequential(linear(7, 3, (LANES,)), nn.ReLU())
    learner = Learner(network, nn.LossMSE("sum"), nn.SGD(network, 0.9))

    def ops(batch: int) -> list[tuple[str, list[str]]]:
        x, target = (
            normal(LANES, 1, 7).expand(-1, batch, -1),
            normal(LANES, 1, 3).expand(-1, batch, -1),
        )
        values = record(step_of(learner), learner.state, x, target, batch, named).values
        return [(value.op, [view for _, view in value.operands]) for value in values]

    assert ops(5000) == ops(5)


def test_a_state_that_is_left_alone_is_its_own_after() -> None:
    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        state[1].zero_()
        return x * 1

    state = [normal(LANES, 4), normal(LANES, 2, 3)]
    recording = check(step, state, normal(LANES, 6, 4), normal(LANES, 6, 1))
    assert recording.after[0] is recording.before[0]
    assert recording.after[1].shape == (2, 3)


def test_images_and_single_samples_are_recorded() -> None:
    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        windows = x.unfold(2, 2, 1).unfold(3, 2, 1)  # (lanes, samples, 3, 4, 2, 2)
        y = (windows * state[0][:, None, None, None]).sum((-2, -1))
        state[0].sub_((windows * y[..., None, None]).sum((1, 2, 3)) * eta)
        return y.reshape(*y.shape[:2], -1)

    for samples in (1, 2, 5):
        state, x = [normal(LANES, 2, 2)], normal(LANES, samples, 4, 5)
        check(step, state, x, normal(LANES, samples, 1))


def test_simple_net_is_what_its_formulas_say() -> None:
    network = SimpleNet((LANES,))
    x, target = normal(LANES, 40, 2), normal(LANES, 40, 2)
    recording = check_network(network, nn.LossMSE("sample"), x, target)
    ops = [value.op for value in recording.values]
    assert ops.count("product") == 4 + 4 + 3  # outputs, gradients of weights and of inputs
    assert ops.count("sum_rows") == 4
    assert "copy" not in ops
    assert len(recording.values) == len(set(recording.values))
    numbers = [value.numbers for value in recording.values if value.op == "constant"]
    assert len(numbers) == len(set(numbers))
    origins = [value.origin for value in recording.values if value.op == "product"]
    assert origins[0].module == "Linear(2, 25).forward"
    assert origins[0].line == "y = product(x, self.weight.mT, self.bias)  # y = x Wᵀ + b"
    relu = next(value.origin for value in recording.values if value.op == "maximum")
    assert relu.line == "return rectified(x)"
    assert relu.formula == "y = max(0, x); dL/dx = dL/dy where x > 0, else 0"


class Mine(nn.Module):
    """A user's module, with one line that is not recorded."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        self.input = x
        return self.act(x)

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient


TURNS = count()


def shuffled(x: Tensor) -> Tensor:
    return x[:, next(TURNS) % 6][:, None] + x  # another sample each time, as NumPy may draw one


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "cumsum": (lambda x: x.cumsum(-1), r"^there is no C for aten.cumsum in Mine\(\).forward: return self.act\(x\)$"),
    "item": (lambda x: x * x.max().item(), r"^there is no C for aten.max in Mine\(\).forward"),
    "branch": (lambda x: x if x[0, 0, 0] > 0 else -x, r"^aten.gt in .*mixes the networks"),
    "float": (lambda x: x * float(x[0, 0, 0]), r"^aten._local_scalar_dense in .*numbers become Python's"),
    "branches": (lambda x: x if (x > 0)[0, 0, 0] else -x, r"^aten._local_scalar_dense in .*numbers become Python's"),
    "the same": (lambda x: x if torch.equal(x, x) else -x, r"^aten.equal in .*become Python's"),
    "numpy": (lambda x: x * float(x.numpy().sum()), r"^Tensor.numpy takes numbers out of a step in Mine\(\).forward: return self.act\(x\)$"),
    "list": (lambda x: x * x.tolist()[0][0][0], "^Tensor.tolist takes"),
    "array": (lambda x: x * float(np.asarray(x).sum()), "^Tensor.(__array__|numpy) takes"),
    "random": (lambda x: x * torch.rand(4).double(), r"^aten.rand in .* \(random numbers\)$"),
    "dropout": (lambda x: functional.dropout(x), r"\(random numbers\)$"),
    "another draw": (lambda x: x * np.random.default_rng().random(), "^steps are not all the same"),
    "another choice": (shuffled, "^steps are not all the same"),
    "sum over lanes": (lambda x: x - x.sum(0), r"\(it mixes the networks of the stack\)$"),
    "mean of all": (lambda x: x - x.mean(), "mixes the networks"),
    "lanes elsewhere": (lambda x: x.transpose(0, 1) * 1, "mixes the networks"),
    "one lane": (lambda x: x + x[0], "mixes the networks"),
    "other lanes": (lambda x: x + x.flip(0), "mixes the networks"),
    "lanes side by side": (lambda x: torch.cat([*x], -1)[None] + x, "mixes the networks"),
    "lanes that differ": (lambda x: x * torch.arange(len(x))[:, None, None], "differs between"),
    "lanes by lanes": (lambda x: x + (x.reshape(len(x), -1) @ x.reshape(len(x), -1).T).sum(),
                       "mixes the networks"),
    "other numbers": (lambda x: (x.float() * 2).double(), "numbers of torch.float32, not of"),
    "bits": (lambda x: x.view(torch.int64).double(), "seen as torch.int64"),
    "rounded down": (lambda x: torch.div(x, 0.1, rounding_mode="floor"), r"^aten.div in .* \(rounded down\)$"),
    "complex": (lambda x: torch.fft.fft(x).real, "^there is no C for aten._fft_r2c in"),
    "indices": (lambda x: x * x.max(-1, keepdim=True).indices, r"\(the indices of max\)$"),
    "a large constant": (lambda x: x.repeat(1, 1, 300) * torch.arange(7200).double().reshape(6, 1200),
                         "more than 4096 numbers"),
    "the count of lanes": (lambda x: x / len(x), r"^steps are not all the same in Mine\(\).forward: "),
    "an index for some": (lambda x: x.scatter(-1, (x > 0).long()[:, :1, :1], 1.0), "one index for each"),
    "an index for each": (lambda x: x.gather(-1, (x > 0).long()), "one index for each row"),
    "its own state": (lambda x: x + CONSTANT.add_(1)[0] - CONSTANT.sub_(1)[0],
                      "^aten.add in .* \\(it changes a tensor that is not part of the state\\)$"),
    "its own error": (lambda x: [][1], "^IndexError: list index out of range$"),
    "caught": (lambda x: caught(x), "^there is no C for aten.cumsum in"),
}  # fmt: skip


def caught(x: Tensor) -> Tensor:
    try:
        return x.cumsum(-1)
    except Exception:
        return x


@pytest.mark.parametrize(("act", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_recorded_is_one_line(act: Callable[[Tensor], Tensor], why: str) -> None:
    network = nn.Sequential(Mine(act))
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    x = normal(LANES, 6, 4)
    with pytest.raises(CannotCompileError, match=why) as refused:
        record(step_of(learner), learner.state, x, x, 6, named)
    assert "\n" not in str(refused.value)


def test_torch_without_the_mode_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Tanh())
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    x = normal(LANES, 6, 4)
    monkeypatch.setitem(sys.modules, "torch.utils._python_dispatch", None)
    with pytest.raises(CannotCompileError, match=r"^this torch \(.*\) records no operations$"):
        record(step_of(learner), learner.state, x, x, 6, named)


def test_recording_imports_nothing_heavy() -> None:
    text = """
import sys, torch
from minifw import nn
from minifw.compile.record import record
from minifw.training.learner import Learner
network = nn.Sequential(nn.Linear(2, 3, stack=(2,)), nn.ReLU(), nn.Linear(3, 2, stack=(2,)))
learner = Learner(network, nn.LossCrossEntropy(), nn.SGD(network, 0.9))
before = set(sys.modules)
x, target = torch.zeros(2, 9, 2), torch.zeros(2, 9, dtype=torch.int64)
record(lambda s, x, t, eta: learner.on(s).step(x, t, eta), learner.state, x, target, 4)
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("minifw")))
print(any(name.startswith(("torch._dynamo", "sympy")) for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    new, heavy = done.stdout.splitlines()
    assert heavy == "False"
    assert len(new.split()) <= 3, new
