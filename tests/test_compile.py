"""Compiled steps: the numbers of the step itself, for any lanes, layouts, vectors and chunks."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from campaigns import compiled as campaign
from cases import linear, normal
from minifw import nn
from minifw.compile.chunks import CHUNK, chunk_of
from minifw.compile.compilers import find_compiler
from minifw.compile.plan import Machine, Plan
from minifw.compile.program import Program
from minifw.compile.record import record
from minifw.compile.values import Value
from minifw.compile.views import in_memory
from minifw.training.learner import Learner

needs_compiler = pytest.mark.skipif(
    find_compiler() is None, reason="there is no C compiler: `apt install gcc`"
)

Step = Callable[[Sequence[Tensor], Tensor, Tensor, Tensor], Tensor]


def swapped(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """Each state becomes the other one, so neither may be overwritten first."""
    a, b = state
    old = a.clone()
    a.copy_(b)
    b.copy_(old * 0.5)
    return x @ a.mT


def squared(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """A state is an operand of the product that replaces it, as it is and transposed."""
    a, b = state
    a.copy_(0.1 * (a.mT @ a))
    b.sub_(eta * (b @ a.mT))
    return x @ b


def scaled_rows(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """Sums, means and largest numbers of rows and columns, used as rows, columns and numbers."""
    a, b = state
    a.div_(a.abs().sum(-1, keepdim=True) + 1)
    b.sub_(eta * (b - b.mean(-2, keepdim=True)) * b.amax(-1, keepdim=True))
    norm = (a * a).sum((-2, -1), keepdim=True).sqrt()
    return (x - x.mean(-1, keepdim=True)) @ a.mT / norm


def over_the_batch(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """Each sample's output depends on all others, so the batch cannot be taken in chunks."""
    a, b = state
    y = x @ a.mT
    y = (y - y.mean(-2, keepdim=True)) / (y.var(-2, keepdim=True, unbiased=False) + 1e-5).sqrt()
    a.sub_(eta * ((y - target).mT @ x) / x.shape[-2])
    b.mul_(0.9)
    return y


def clipped(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """The step of one state depends on the gradients of all."""
    a, b = state
    y = torch.tanh(x @ a.mT)
    z = y @ b.mT
    of_z = (z - target) / x.shape[-2]
    of_b = of_z.mT @ y
    of_a = ((of_z @ b) * (1 - y * y)).mT @ x
    norm = ((of_a * of_a).sum((-2, -1)) + (of_b * of_b).sum((-2, -1))).sqrt()
    scale = (0.1 / norm).clamp(max=1)[:, None, None]
    a.sub_(eta * scale * of_a)
    b.sub_(eta * scale * of_b)
    return z


def pieces(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """Parts of tensors, put together in another order."""
    a, b = state
    y = torch.cat([x[..., 1:], x[..., :1] * 2], -1)
    y[..., 0] = 0.5
    out = torch.stack([y @ a.mT, x @ a.mT], -1).flatten(-2)[..., : a.shape[-2]]
    a[:, 0].add_(eta)
    b.copy_(b.reshape(b.shape[0], -1).flip(-1).reshape(b.shape) if False else b * 2)
    return out


def crossed(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """As many samples as features: samples are rows here, and columns there."""
    a, b = state
    y = x @ a + x.mT
    a.sub_(eta * (x.mT @ (y - target)) / x.shape[-2])
    b.mul_(0.9)
    return y


def crossed_sums(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """As many samples as features: sums over columns that look like sums over samples."""
    a, b = state
    a.sub_(eta * (x.mT @ target.mT) / x.shape[-2])
    b.mul_(0.9)
    return x * 2


def without_samples(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """The output is the same for all samples, and depends on none of them."""
    a, b = state
    a.sub_(eta * (x.mT @ (x @ a - target)) / x.shape[-2])
    return b[:, :1].expand(-1, x.shape[-2], -1) * 2


def replaced_by_a_sum(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """States become sums over samples, while each sample needs the old ones."""
    a, b = state
    y = x @ a.mT + b[:, :1]
    a.copy_(target.mT @ x)
    b.copy_(x.sum(-2, keepdim=True).expand(b.shape))
    return y


def attending(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """Each sample meets all others in a product."""
    a, b = state
    a.sub_(eta * a)
    b.mul_(0.5)
    return (x @ x.mT) @ target


def weighed(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """Each sample has a constant weight of its own."""
    a, b = state
    weight = torch.linspace(0, 1, x.shape[-2], dtype=x.dtype)[:, None]
    y = x @ a.mT
    a.sub_(eta * (((y - target) * weight).mT @ x) / x.shape[-2])
    b.mul_(0.5)
    return y


def apart_from_samples(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """The output does not depend on the samples, but has as many rows; the states do."""
    a, b = state
    y = x @ a.mT
    a.sub_(eta * ((y - target).mT @ x) / x.shape[-2])
    return b.repeat(1, x.shape[-2] // b.shape[-2] + 1, 1)[:, : x.shape[-2]] * 2


def remembering(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
    """A state has a row for each sample of a step."""
    (last,) = state
    y = x - last
    last.copy_(x)
    return y


STEPS: list[tuple[Step, int]] = [
    (swapped, 7), (squared, 7), (scaled_rows, 7), (over_the_batch, 7), (over_the_batch, 192),
    (clipped, 7), (clipped, 192), (pieces, 7), (pieces, 192), (replaced_by_a_sum, 192),
    (attending, 192), (weighed, 192), (apart_from_samples, 192), (remembering, 192),
    (crossed, 144), (crossed_sums, 144), (without_samples, 192),
]  # fmt: skip


@needs_compiler
@pytest.mark.parametrize(("step", "batch"), STEPS, ids=lambda v: getattr(v, "__name__", v))
def test_any_step_is_compiled(step: Step, batch: int) -> None:
    lanes, features = 3, batch if step in (crossed, crossed_sums) else 5
    state = [normal(lanes, features, features, seed=n) for n in range(2)]
    if step is remembering:
        state = [normal(lanes, batch, features)]
    x = normal(lanes, 2 * batch, features)
    target = normal(lanes, 2 * batch, features, seed=1)
    program = Program(step, state, x, target, batch)
    order = torch.stack([torch.randperm(2 * batch) for _ in range(lanes)])
    eta = torch.tensor(0.1, dtype=torch.float64)
    expected = [value.clone() for value in state]
    rows = torch.arange(lanes).unsqueeze(-1)
    for part in torch.split(order, batch, -1):
        output = step(expected, x[rows, part], target[rows, part], eta)
    found = program.run(state, x, target, order, eta)
    torch.testing.assert_close([*state, found], [*expected, output], rtol=1e-11, atol=1e-13)


@needs_compiler
def test_a_large_product_of_weights_that_is_needed_along_rows_and_columns() -> None:
    """A low-rank weight: its large factor is kept in both layouts."""

    def step(state: Sequence[Tensor], x: Tensor, target: Tensor, eta: Tensor) -> Tensor:
        a, b = state
        weight = a @ b.mT
        of_x = (x @ weight.mT - target) @ weight
        a.sub_(eta * a)
        b.mul_(0.5)
        return of_x

    state, x, target = [normal(1, 10, 8), normal(1, 2048, 8)], normal(1, 9, 2048), normal(1, 9, 10)
    expected = [value.clone() for value in state]
    eta = torch.tensor(0.1, dtype=torch.float64)
    output = step(expected, x, target, eta)
    found = Program(step, state, x, target, 9).run(state, x, target, None, eta)
    torch.testing.assert_close([*state, found], [*expected, output], rtol=1e-11, atol=1e-11)


@needs_compiler
def test_random_networks_are_those_of_the_plain_way_and_of_autograd() -> None:
    """A slice of the campaign, `python -m campaigns.compiled`."""
    rng = random.Random(7)
    assert [campaign.fault(campaign.Case.drawn(rng)) for _ in range(6)] == [""] * 6


def network(lanes: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(4, 19, stack=(lanes,), dtype=dtype), nn.ReLU()),
        *(nn.Linear(19, 19, stack=(lanes,), dtype=dtype), nn.Tanh()),
        nn.Linear(19, 3, stack=(lanes,), dtype=dtype),
    )


def compiled(learner: Learner, x: Tensor, target: Tensor, batch: int, **more: Any) -> Program:
    return Program(
        lambda state, x, target, eta: learner.on(state).step(x, target, eta),
        learner.state, x, target, batch, **more,
    )  # fmt: skip


@needs_compiler
def test_a_lane_is_the_same_alone_in_any_stack_in_any_thread_and_twice() -> None:
    lanes, batch = 5, 8
    start = network(lanes).state_dict()
    x, target = normal(lanes, 24, 4).float(), torch.randint(3, (lanes, 24))
    order = torch.stack([torch.randperm(24) for _ in range(lanes)])

    def learner(some: slice) -> Learner:
        part = network(len(range(lanes)[some]))
        part.load_state_dict({name: value[some].clone() for name, value in start.items()})
        return Learner(part, nn.LossCrossEntropy(), nn.SGD(part, 0.9))

    program = compiled(learner(slice(None)), x, target, batch)

    def trained(some: slice) -> list[Tensor]:
        one = learner(some)
        for _ in range(3):
            output = program.run(one.state, x[some], target[some], order[some], torch.tensor(0.1))
        return [*one.state, output]

    whole = trained(slice(None))
    alone = [slice(lane, lane + 1) for lane in range(lanes)]
    with ThreadPoolExecutor(4) as pool:
        parts = [*pool.map(trained, [slice(None), slice(0, 3), slice(3, 5), *alone])]
    assert all(map(torch.equal, whole, parts[0]))
    for some, part in zip([slice(0, 3), slice(3, 5), *alone], parts[1:], strict=True):
        assert all(torch.equal(value[some], own) for value, own in zip(whole, part, strict=True))
    assert not torch.equal(whole[0], start["0.weight"])


@needs_compiler
def test_each_lane_may_have_its_own_learning_rate_and_samples_may_be_shared() -> None:
    lanes = 3
    net = network(lanes, torch.float64)
    learner = Learner(net, nn.LossMSE(), nn.SGD(net))
    x, target = normal(1, 12, 4).expand(lanes, -1, -1), normal(1, 12, 3).expand(lanes, -1, -1)
    rates = torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)
    start = [value.clone() for value in learner.state]
    twin = learner.on([value.clone() for value in start])
    compiled(learner, x, target, 6).run(learner.state, x, target, None, rates, first=6, steps=1)
    gradients_at = twin.network.with_parameters([value.clone() for value in start])
    output = gradients_at.forward(x[:, 6:])
    gradients_at.accumulate(learner.loss.grad(output, target[:, 6:]))
    for value, before, (_, _, gradient) in zip(
        learner.state, start, gradients_at.parameters(), strict=True
    ):
        rate = rates.reshape(-1, *[1] * (value.ndim - 1))
        torch.testing.assert_close(value, before - rate * gradient, rtol=1e-12, atol=1e-14)
    assert torch.equal(learner.state[0][0], start[0][0])


@needs_compiler
@pytest.mark.parametrize("vector_bytes", [16, 32])
def test_shorter_vectors_than_the_machine_has_give_the_same(vector_bytes: int) -> None:
    case = campaign.Case(
        [3, 33, 33, 2], [0, 1], False, True, "classes", "mean", 0.9, 17, 2, True, False,
        vector_bytes, False, 5,
    )  # fmt: skip
    assert campaign.fault(case) == ""


class Adam(nn.Optimizer):
    """Adam with its correction of bias: the count of steps is a state, one number a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        parameters = network.parameters()
        self.state["steps"] = parameters[0].value.new_zeros(network.stack or ())
        for name, value, _ in parameters:
            self.state[f"mean.{name}"] = torch.zeros_like(value)
            self.state[f"square.{name}"] = torch.zeros_like(value)

    def step(self, eta: float | Tensor) -> None:
        steps = self.state["steps"].add_(1)
        for name, value, gradient in self.network.parameters():
            mean = self.state[f"mean.{name}"].mul_(0.9).add_(0.1 * gradient)
            square = self.state[f"square.{name}"].mul_(0.999).add_(0.001 * gradient**2)
            count = steps.reshape(*steps.shape, *[1] * (value.ndim - steps.ndim))
            mean, square = mean / (1 - 0.9**count), square / (1 - 0.999**count)
            value.sub_(eta * mean / (square.sqrt() + 1e-8))


class Normed(nn.Module):
    """Each sample's features with mean 0 and variance 1."""

    def forward(self, x: Tensor) -> Tensor:
        deviation = (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        y: Tensor = (x - x.mean(-1, keepdim=True)) / deviation
        self.remember((x,), (y,), deviation)
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        call = self.recall(gradient)
        (y,) = call.outputs or ()
        apart = (
            gradient - gradient.mean(-1, keepdim=True) - y * (gradient * y).mean(-1, keepdim=True)
        )
        result: Tensor = apart / call.saved
        return result


class Windows(nn.Module):
    """A convolution over the features by a view: each output weighs three neighbours."""

    def __init__(self, stack: tuple[int, ...]) -> None:
        self.register_parameter("weight", normal(*stack, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        y = (x.unfold(-1, 3, 1) * self.weight.unsqueeze(-3)).sum(-1)
        self.remember((x,), (y,))
        return y

    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        terms = x.unfold(-1, 3, 1) * gradient.unsqueeze(-1)
        self.weight_grad.add_(terms.sum((-3, -2)).unsqueeze(-2))

    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        (x,) = self.recall(gradient).inputs
        result, weight = torch.zeros_like(x), self.weight[..., 0, :]
        for n in range(3):
            result[..., n : n + gradient.shape[-1]] += gradient * weight[..., n, None, None]
        return result


@needs_compiler
@pytest.mark.parametrize("batch", [8, 192])
@pytest.mark.parametrize("module", [Normed, Windows])
def test_modules_and_optimizers_of_users_are_compiled(module: Any, batch: int) -> None:
    lanes = 2
    own = module((lanes,)) if module is Windows else module()
    features = 4 if module is Windows else 6
    net = nn.Sequential(own, nn.ReLU(), linear(features, 3, (lanes,)))
    twin = net.with_parameters([value.clone() for _, value, _ in net.parameters()])
    learner = Learner(net, nn.LossCrossEntropy(), Adam(net))
    other = Learner(twin, nn.LossCrossEntropy(), Adam(twin))
    x, target = normal(lanes, 3 * batch, 6), torch.randint(3, (lanes, 3 * batch))
    program = compiled(learner, x, target, batch)
    found = program.run(learner.state, x, target, None, torch.tensor(0.01, dtype=x.dtype))
    for part, wanted in zip(x.split(batch, 1), target.split(batch, 1), strict=True):  # type: ignore[no-untyped-call]
        output = other.step(part, wanted, 0.01)
    torch.testing.assert_close(
        [*learner.state, found], [*other.state, output], rtol=1e-11, atol=1e-13
    )


def recorded(widths: Sequence[int], batch: int, momentum: float = 0.0) -> Any:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [linear(a, b, (2,)), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    learner = Learner(net, nn.LossMSE(), nn.SGD(net, momentum))
    x, target = normal(2, batch, widths[0]), normal(2, batch, widths[-1])
    return record(
        lambda state, x, target, eta: learner.on(state).step(x, target, eta),
        learner.state, x, target, batch, lambda thing: None,
    )  # fmt: skip


@needs_compiler
def test_ten_equal_layers_need_the_kernels_of_three() -> None:
    def kernels(depth: int) -> int:
        net = nn.Sequential(*(linear(6, 6, (2,)) for _ in range(depth)))
        learner = Learner(net, nn.LossMSE(), nn.SGD(net))
        return compiled(learner, normal(2, 4, 6), normal(2, 4, 6), 4).kernels

    assert kernels(3) == kernels(10)


def test_bias_activation_loss_and_update_are_in_the_loops_of_products() -> None:
    plan = Plan(recorded([2, 25, 25, 2], 40, momentum=0.9), 40, Machine())
    # Three products forward, two backward, three gradients of weights, three of biases.
    assert [kernel.root.op for kernel in plan.kernels if kernel.root is not None] == (
        ["product"] * 3 + [kernel.root.op for kernel in plan.kernels if kernel.root][3:]
    )
    assert len(plan.kernels) == 11
    assert not any(kernel.root is None for kernel in plan.kernels)


def test_a_large_batch_takes_the_memory_of_a_chunk() -> None:
    memory = [Plan(recorded([2, 25, 25, 2], n, 0.9), n, Machine()).memory for n in (96, 960, 9600)]
    assert memory[0] > 0
    assert memory[1] == memory[2] <= memory[0]


@pytest.mark.parametrize("batch", [40, 960])
def test_values_that_are_needed_at_the_same_time_have_memory_of_their_own(batch: int) -> None:
    plan = Plan(recorded([2, 25, 25, 40, 2], batch, momentum=0.9), batch, Machine())
    end = len(plan.kernels)
    written = {v: n for n, kernel in enumerate(plan.kernels) for v in kernel.values}
    lives: dict[Value, tuple[int, int]] = {}
    for value in {value for value, _ in plan.places}:
        reads = [n for n, k in enumerate(plan.kernels) if value in {o.value for o in plan.reads[k]}]
        lasting = value in plan.results or value.op in ("state", "x", "target")
        first = -1 if value.op in ("state", "x", "target") else written[value]
        lives[value] = (first, end if lasting else max(reads))
    twins = dict(zip(plan.recording.after, plan.recording.before, strict=True))
    shared = 0
    for (a, of_a), (b, of_b) in combinations(plan.places.items(), 2):
        apart = of_a + plan.size(*a) <= of_b or of_b + plan.size(*b) <= of_a
        if a[0] is b[0]:
            assert apart  # two layouts of one value
        elif twins.get(a[0]) is not b[0] and twins.get(b[0]) is not a[0]:
            (begun, done), (start, stop) = lives[a[0]], lives[b[0]]
            assert apart or done < start or stop < begun
            shared += not apart
    assert shared  # memory is used again
    assert max(at + plan.size(*stored) for stored, at in plan.places.items()) <= plan.memory


@pytest.mark.parametrize("loss", [nn.LossMSE(), nn.LossCrossEntropy()])
def test_a_network_takes_a_large_batch_in_chunks(loss: nn.Loss) -> None:
    net = network(2)
    learner = Learner(net, loss, nn.SGD(net, 0.9))
    x, classes = normal(2, 960, 4).float(), torch.zeros(2, 960, dtype=torch.int64)
    target = classes if isinstance(loss, nn.LossCrossEntropy) else normal(2, 960, 3).float()
    step = record(
        lambda state, x, target, eta: learner.on(state).step(x, target, eta),
        learner.state, x, target, 960,
    )  # fmt: skip
    assert Plan(step, 960, Machine()).chunk == CHUNK


def test_chunks_divide_the_batch() -> None:
    assert [chunk_of(n) for n in (1, 40, 128)] == [1, 40, 128]
    assert chunk_of(960) == CHUNK
    assert chunk_of(1000) == 50
    assert chunk_of(1009) == 1009  # a prime


def test_a_dimension_of_size_1_keeps_its_place_in_memory() -> None:
    """Else a batch of one sample was a column, and each product was followed by another kernel."""
    assert in_memory((20, 1, 25), (25, 25, 1)) == (0, 1, 2)
    assert in_memory((20, 1, 25), (25, 1, 1)) == (0, 1, 2)  # as a transposed tensor has it
    assert in_memory((20, 8, 3, 1, 5), (120, 1, 40, 7, 8)) == (0, 2, 4, 3, 1)
    assert in_memory((20, 2, 3), (12, 6, 2)) is None  # gaps
