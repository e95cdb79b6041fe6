"""Graphs recorded on the fly and kept: gradients are those of autograd, to 1e-12 in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from campaigns import graphs
from cases import linear, normal
from minifw import nn
from minifw.data import Dataset
from minifw.errors import ModuleError, OrderError, ShapeError, UsageError
from minifw.nn.module import as_tuple
from minifw.training.fit import fit
from minifw.training.placement import for_data

Formula = Callable[[Tensor], Tensor]


class Mine(nn.Network):
    """What the cases below share: two layers and an activation."""

    def __init__(self, stack: tuple[int, ...] = ()) -> None:
        self.a, self.b, self.tanh = linear(4, 4, stack), linear(4, 4, stack), nn.Tanh()
        self.register_modules(self.a, self.b, self.tanh)


class Twice(Mine):
    def forward(self, x: Any) -> Any:
        return self.tanh(self.a(self.tanh(self.a(x))))


class Diamond(Mine):
    def forward(self, x: Any) -> Any:
        top = self.tanh(x)
        return self.a(top) * self.b(top) + top


class TwoAndTwo(Mine):
    def forward(self, x: Any, y: Any) -> Any:
        common = self.a(x) - self.b(y)
        return self.tanh(common), common + x


class Loops(Mine):
    """Control flow of Python, that depends on values."""

    def forward(self, x: Any) -> Any:
        for _ in range(3):
            x = self.tanh(self.a(x))
            if x.value.sum() > 0:
                x = self.b(x) * 2
            x = 0.5 - x
        while x.value.norm() < 5:
            x = x + x
        return x


class Parts(Mine):
    def forward(self, x: Any) -> Any:
        left, right = x[..., :1], x[..., 1:]
        whole = nn.Concat(-1)(right, left)
        return self.a(whole) / 3 - 1 / (whole * whole + 2)


class Calls:
    """The same network for autograd: its modules as functions, its leaves by name."""

    def __init__(self, network: Any) -> None:
        parameters = [("a", network.a), ("b", network.b)]
        self.leaves = [
            value.clone().requires_grad_()
            for _, layer in parameters
            for value in (layer.weight, layer.bias)
        ]
        w, b, v, c = self.leaves
        self.a: Formula = lambda x: x @ w.mT + b.unsqueeze(-2)
        self.b: Formula = lambda x: x @ v.mT + c.unsqueeze(-2)
        self.tanh = torch.tanh


class AsTensor(Tensor):
    """A tensor that has the `value` of a variable."""

    @property
    def value(self) -> Tensor:
        return self.detach().as_subclass(Tensor)


def _theirs(kind: type[Any], calls: Calls, *x: Tensor) -> Any:
    """Return what the same Python computes on tensors that autograd follows."""
    if kind is Parts:  # Concat is our module
        (one,) = x
        whole = torch.cat([one[..., 1:], one[..., :1]], -1)
        return calls.a(whole) / 3 - (whole * whole + 2).reciprocal()
    written = kind.forward.__wrapped__
    return written(calls, *(value.as_subclass(AsTensor) for value in x))


@pytest.mark.parametrize("stack", [(), (3,)], ids=["one", "stack"])
@pytest.mark.parametrize("kind", [Twice, Diamond, TwoAndTwo, Loops, Parts])
def test_gradients_are_autograds(kind: type[Any], stack: tuple[int, ...]) -> None:
    network = kind(stack)
    x = [normal(*stack, 5, 4, seed=k) for k in range(2 if kind is TwoAndTwo else 1)]
    calls = Calls(network)
    leaves = [value.clone().requires_grad_() for value in x]
    expected = as_tuple(_theirs(kind, calls, *leaves))
    gradients = [normal(*value.shape, seed=7 + k) for k, value in enumerate(expected)]
    right = torch.autograd.grad(expected, [*leaves, *calls.leaves], gradients, allow_unused=True)
    outputs = as_tuple(network.forward(*x))
    returned = as_tuple(network.backward(*gradients))
    found = [*outputs, *returned, *(gradient for _, _, gradient in network.parameters())]
    wanted = [*(value.detach() for value in expected), *right]
    for ours, theirs in zip(found, wanted, strict=True):
        theirs = torch.zeros_like(ours) if theirs is None else theirs
        torch.testing.assert_close(ours, theirs.as_subclass(Tensor), rtol=1e-12, atol=1e-12)


def test_random_graphs_have_autograds_gradients() -> None:
    assert graphs.main(["--graphs", "50"]) == 0


def test_variables_without_a_network() -> None:
    layer, tanh = linear(4, 4, ()), nn.Tanh()
    x, y = nn.Variable(normal(5, 4)), nn.Variable(normal(5, 4, seed=1))
    z = tanh(layer(x)) * y + x
    assert z.node is not None
    assert z.node.module.__class__ is nn.Add
    gradient = normal(5, 4, seed=2)
    z.backward(gradient)
    assert layer.bias is not None
    leaves = [v.clone().requires_grad_() for v in (x.value, y.value, layer.weight, layer.bias)]
    a, b, w, c = leaves
    right = torch.autograd.grad((a @ w.mT + c).tanh() * b + a, leaves, gradient)
    found = (x.gradient, y.gradient, layer.weight_grad, layer.bias_grad)
    for ours, theirs in zip(found, right, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    z.backward(gradient)  # it is added
    torch.testing.assert_close(x.gradient, 2 * right[0], rtol=1e-12, atol=1e-12)
    with pytest.raises(ShapeError, match=r"^Variable.backward: expects a gradient like the var"):
        z.backward(gradient[:1])


def test_a_graph_is_connected_once_for_each_shape_and_mode() -> None:
    connected: list[tuple[int, bool]] = []

    class Counted(nn.Graph):
        def __init__(self) -> None:
            self.layer, self.depth = linear(4, 4, ()), 1
            self.register_modules(self.layer)

        def connect(self, x: Any) -> Any:
            connected.append((x.shape[0], self.training))
            for _ in range(self.depth):
                x = self.layer(x)
            return x

    network = Counted()
    for _ in range(3):
        for samples in (5, 2):
            network.forward(normal(samples, 4))
    assert connected == [(5, True), (2, True)]
    network.eval().forward(normal(5, 4))
    assert connected[2:] == [(5, False)]
    network.depth = 2
    once = network.forward(normal(5, 4))
    assert connected[3:] == [(5, False)]
    torch.testing.assert_close(once, network.layer.forward(network.layer.forward(normal(5, 4))))
    twin = copy.deepcopy(network)  # with records of its own
    twin.layer.weight.zero_()
    assert not torch.equal(twin.forward(normal(5, 4)), once)
    assert torch.equal(network.forward(normal(5, 4)), once)


def test_copies_of_a_graph_act_with_their_own_parameters() -> None:
    network = Twice((3,))
    before = network.forward(normal(3, 5, 4))
    some = network.with_parameters([value[1:2].clone() for _, value, _ in network.parameters()])
    assert torch.equal(some.forward(normal(3, 5, 4)[1:2]), before[1:2])
    kept = nn.Sequential(linear(4, 4, (3,)), nn.Tanh())
    whole = kept.forward(normal(3, 5, 4))
    part = kept.with_parameters([value[:1] for _, value, _ in kept.parameters()])
    assert torch.equal(part.forward(normal(3, 5, 4)[:1]), whole[:1])


def test_networks_recorded_in_each_call_are_trained() -> None:
    """`fit` trains them as it trains a chain, bit for bit, and compiled where it can be."""

    class Chain(nn.Network):
        def __init__(self, modules: Sequence[nn.Module]) -> None:
            self.register_modules(*modules)

        def forward(self, x: Any) -> Any:
            for module in self:
                x = module(x)
            return x

    x, labels = normal(60, 2), (normal(60, 1)[:, 0] > 0).long()
    data = Dataset.from_arrays(x, labels, x, labels, dtype="float64")
    ends = []
    for make in (lambda modules: nn.Sequential(*modules), Chain):
        torch.manual_seed(0)
        modules = [linear(2, 5, ()), nn.Tanh(), linear(5, 2, ())]
        network: nn.Network = make(modules)
        fit(network, nn.LossMSE(), nn.SGD(network), data, epochs=5, eta=0.1, batch_size=7)
        ends.append([value for _, value, _ in network.parameters()])
    for chain, live in zip(*ends, strict=True):
        assert torch.equal(chain, live)


@pytest.mark.filterwarnings("error")  # torch warns of a result of another shape in reused memory
def test_steps_may_go_other_ways_than_those_before() -> None:
    class Ways(nn.Network):
        """Two ways, through layers of different sizes."""

        def __init__(self) -> None:
            self.long = nn.Sequential(linear(2, 7, ()), nn.Tanh(), linear(7, 2, ()))
            self.short = linear(2, 2, ())
            self.register_modules(self.long, self.short)

        def forward(self, x: Any) -> Any:
            way = self.long if x.value.sum() > 0 else self.short
            return way(x) + way(x)

    class ByMode(nn.Graph):
        def __init__(self) -> None:
            self.long = nn.Sequential(linear(2, 7, ()), nn.Tanh(), linear(7, 2, ()))
            self.short = linear(2, 2, ())
            self.register_modules(self.long, self.short)

        def connect(self, x: Any) -> Any:
            return self.long(x) if self.training else self.short(x)

    x, labels = normal(60, 2), (normal(60, 1)[:, 0] > 0).long()
    data = Dataset.from_arrays(x, labels, x, labels, dtype="float64")
    for network, batch_size in ((Ways(), 6), (ByMode(), None)):
        schedule = for_data(network, data, batch_size, 3, False)
        fit(
            network, nn.LossMSE(), nn.SGD(network), data, epochs=3, eta=0.1,
            batch_size=batch_size, schedule=schedule,
        )  # fmt: skip


def test_decisions_by_values_are_never_compiled() -> None:
    class Decides(nn.Network):
        def __init__(self) -> None:
            self.layer, self.relu = linear(2, 2, (3,)), nn.ReLU()
            self.register_modules(self.layer, self.relu)

        def forward(self, x: Any) -> Any:
            x = self.layer(x)
            return self.relu(x) if x.value.sum() > 0 else x

    network = Decides()
    x, labels = normal(3, 60, 2), (normal(3, 60, 1)[..., 0] > 0).long()
    data = Dataset.from_arrays(x, labels, x, labels, dtype="float64")
    schedule = for_data(network, data, None, 2, True)
    with pytest.raises(UsageError, match="steps cannot be compiled: .* in Decides.forward"):
        fit(network, nn.LossMSE(), nn.SGD(network), data, epochs=2, eta=0.1, schedule=schedule)


def test_a_record_holds_no_tensors_of_an_earlier_pass() -> None:
    network = Twice()
    with pytest.raises(OrderError, match="call forward first"):
        network.backward(normal(5, 4))
    x = nn.Variable(normal(5, 4))

    class Remembers(Mine):
        kept: Any = None

        def forward(self, x: Any) -> Any:
            y = self.a(x)
            if self.kept is not None:
                y = y + self.kept[0]
            object.__setattr__(self, "kept", [y])
            return y

    again = Remembers()
    again.forward(x.value)
    with pytest.raises(ModuleError, match=r"^Remembers: must be given variables of this forward"):
        again.forward(x.value)


def test_a_forward_that_uses_that_of_its_base() -> None:
    class More(Twice):
        def forward(self, x: Any) -> Any:
            return self.b(super().forward(x))

    network, plain = More(), Twice()
    plain.load_state_dict(network.state_dict())
    x, gradient = normal(5, 4), normal(5, 4, seed=1)
    network.forward(x)
    network.backward(gradient)
    plain.forward(x)
    plain.backward(gradient @ network.b.weight)
    torch.testing.assert_close(network.a.weight_grad, plain.a.weight_grad, rtol=1e-12, atol=1e-12)
