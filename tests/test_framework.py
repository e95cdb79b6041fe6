"""Networks, optimisers and initialisers: what the table of modules does not say."""

from __future__ import annotations

import copy
import gc
import math
import operator
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from cases import Residual, SimpleNet, linear, normal
from minifw import nn as ours
from minifw.errors import DtypeError, ModuleError, OrderError, ShapeError
from minifw.nn.buffers import buffer
from minifw.nn.variables import Variable

# -------------------------------------------------------------------------------------- networks


def test_the_reports_network_reads_like_the_report() -> None:
    net = SimpleNet()
    assert [type(module).__name__ for module in net] == [
        "Linear", "ReLU", "Linear", "ReLU", "Linear", "ReLU", "Linear",
    ]  # fmt: skip
    assert len(net) == 7
    assert net[0] is net.first
    assert list(net.state_dict()) == [f"{i}.{n}" for i in (0, 2, 4, 6) for n in ("weight", "bias")]


def test_a_state_is_that_of_pytorchs_sequential() -> None:
    net = ours.Sequential(ours.Linear(2, 3), ours.ReLU(), ours.Linear(3, 2))
    twin = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    twin.load_state_dict(net.state_dict())
    x = normal(5, 2, dtype=torch.float32)
    torch.testing.assert_close(net.forward(x), twin(x).detach())
    net.load_state_dict({name: value.detach() for name, value in twin.state_dict().items()})


def test_networks_nest_and_iterate() -> None:
    inner = ours.Sequential(ours.Linear(2, 3), ours.Tanh())
    outer = ours.Sequential(inner, ours.Linear(3, 1))
    assert [p.name for p in outer.parameters()] == ["0.0.weight", "0.0.bias", "1.weight", "1.bias"]
    assert list(outer) == [inner, outer[1]]


def test_wrong_networks_are_named() -> None:
    with pytest.raises(ModuleError, match="expects at least one module"):
        ours.Sequential().register_modules()
    with pytest.raises(ModuleError, match="expects modules, got int at position 1"):
        ours.Sequential(ours.ReLU(), 3)  # type: ignore[arg-type]
    with pytest.raises(ModuleError, match="no modules are registered"):
        ours.Sequential().forward(normal(2, 2))
    with pytest.raises(ShapeError, match="in_features must be a whole number of at least 1, got 0"):
        ours.Linear(0, 2)
    with pytest.raises(
        ShapeError, match=r"expects an input of shape \(20, samples, 2\), got \(3, 5, 2\)"
    ):
        ours.Linear(2, 2, stack=(20,)).forward(torch.ones(3, 5, 2))


class Skip(ours.Module):
    """x + inner(x), as one writes it who does not know of Network: its gradients are right."""

    def __init__(self) -> None:
        self.inner = ours.Sequential(ours.Linear(2, 2), ours.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner.forward(x) + x
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        back: Tensor = self.inner.backward(gradient) + gradient
        return back


class Aside(ours.Sequential):
    """A chain with something beside it, in an attribute."""

    def __init__(self, aside: object) -> None:
        self.first, self.aside = ours.Linear(2, 2), aside
        self.register_modules(self.first)


class OfClass(ours.Sequential):
    """A chain whose layer stands in its class."""

    layer = ours.Linear(2, 2)


class Scaled(ours.Sequential):
    """A chain with a trainable number of its own."""


def scaled() -> Scaled:
    network = Scaled(ours.Linear(2, 2))
    network.register_parameter("scale", torch.ones(2))
    return network


@dataclass
class Holder:
    """Something that holds a module."""

    item: Any


@dataclass(slots=True)
class Slots:
    """The same, without a dict of attributes."""

    item: Any


class WithSlot(ours.Sequential):
    """A chain with a slot."""

    __slots__ = ("aside",)

    def __init__(self, aside: object) -> None:
        self.aside = aside
        self.register_modules(ours.Linear(2, 2))


class Bare(ours.Module):
    """A module that forgot to register its tensor."""

    def __init__(self, tensor: object) -> None:
        self.scale = tensor


def bound(layer: ours.Module) -> Any:
    return layer.__call__


def closed_over(layer: ours.Module) -> Callable[..., object]:
    return lambda x: layer.forward(x)


def endless(item: object = 1) -> list[object]:
    values: list[object] = [item]
    values.append((values,))
    return values


UNTRAINED: dict[str, tuple[Callable[[], ours.Module], str]] = {
    "a module in a module": (
        Skip,
        r"^Skip: holds Sequential\(Linear\(2, 2\), Tanh\(\)\) in 'inner', whose '0.weight' would "
        r"never be trained; a module made of modules must be a network that registers them",
    ),
    "that in a network": (lambda: ours.Sequential(ours.ReLU(), Skip()), "^Skip: holds"),
    "unregistered": (
        lambda: Aside(ours.Linear(2, 3)),
        r"^Aside: holds Linear\(2, 3\) in 'aside', whose 'weight' would never be trained; give it "
        "to register_modules as well$",
    ),
    "in a list": (lambda: Aside([1, [ours.Linear(2, 3)]]), "in 'aside', whose 'weight'"),
    "in a dict": (lambda: Aside({"a": (ours.Linear(2, 3),)}), "in 'aside', whose 'weight'"),
    "in a set": (lambda: Aside({ours.Linear(2, 3)}), "in 'aside', whose 'weight'"),
    "in the class": (lambda: OfClass(ours.Linear(2, 2)), "^OfClass: holds .* in 'layer'"),
    "in a deque": (lambda: Aside(deque([ours.Linear(2, 3)])), "in 'aside', whose 'weight'"),
    "as a key": (lambda: Aside({ours.Linear(2, 3): 1}), "in 'aside', whose 'weight'"),
    "in a dataclass": (lambda: Aside(Holder(ours.Linear(2, 3))), "in 'aside', whose 'weight'"),
    "in its slots": (lambda: Aside(Slots(ours.Linear(2, 3))), "in 'aside', whose 'weight'"),
    "in a slot": (lambda: WithSlot(ours.Linear(2, 3)), "in 'aside', whose 'weight'"),
    "in a closure": (lambda: Aside(closed_over(ours.Linear(2, 3))), "in 'aside', whose 'weight'"),
    "in a partial": (lambda: Aside(partial(print, ours.Linear(2, 3))), "in 'aside', whose"),
    "in a method": (lambda: Aside(ours.Linear(2, 3).forward), "in 'aside', whose 'weight'"),
    "in a list of itself": (lambda: Aside(endless(ours.Linear(2, 3))), "in 'aside', whose"),
    "in a module without parameters": (
        lambda: Aside(Bare(Holder(ours.Linear(2, 3)))),
        r"^Aside: holds Linear\(2, 3\) in 'aside', whose 'weight'",
    ),
    "a tensor": (
        lambda: Bare(torch.ones(2)),
        r"^Bare: the tensor in 'scale', \(2,\) of float32, would never be trained; "
        "register_parameter trains it, register_buffer keeps it as a constant, register_state",
    ),
    "a tensor in a list": (lambda: Bare([torch.ones(2)]), "^Bare: the tensor in 'scale'"),
    "a tensor in a network": (
        lambda: ours.Sequential(ours.Sequential(Bare(torch.ones(2)))),
        "^Bare: the tensor in 'scale'",
    ),
    "a tensor of a network": (lambda: Aside(torch.ones(3)), "^Aside: the tensor in 'aside'"),
    "a parameter": (scaled, "^Scaled: its own 'scale' would never be trained; a network trains"),
}


@pytest.mark.parametrize("case", UNTRAINED)
def test_what_would_never_be_trained_is_named(case: str) -> None:
    make, message = UNTRAINED[case]
    module = make()
    for use in (
        module.parameters,
        module.reset_gradient,
        lambda: module.update_parameters(0.1),
        module.state_dict,
        lambda: ours.SGD(module),
    ):
        for _ in range(2):  # it is not forgotten
            with pytest.raises(ModuleError, match=message) as raised:
                use()
            assert "\n" not in str(raised.value)


def test_what_is_put_aside_later_is_named_when_an_optimizer_is_made() -> None:
    layer, network = ours.Linear(2, 2), Aside([])
    ours.SGD(network)
    assert isinstance(network.aside, list)
    network.aside.append(layer)
    with pytest.raises(ModuleError, match="^Aside: holds"):
        ours.SGD(network)


def test_constants_shared_modules_and_references_back_are_fine() -> None:
    relu, outer = (
        ours.ReLU(),
        ours.Sequential(ours.Sequential(ours.Linear(2, 2)), ours.Linear(2, 2)),
    )
    for aside in (torch.arange(3), [relu], {"name": 1}, None, endless()):
        assert len(ours.SGD(Aside(aside)).network.parameters()) == 2
    inner = outer[0]
    inner.outer = outer
    assert len(ours.SGD(outer).network.parameters()) == 4
    assert len(ours.SGD(inner).network.parameters()) == 2
    network = Aside(None)
    network.aside = [network.first]
    assert len(ours.SGD(network).network.parameters()) == 2


class Pair(NamedTuple):
    """Two modules with names."""

    left: ours.Module
    right: ours.Module


class Held(ours.Graph):
    """A module in each kind of place."""

    def __init__(self) -> None:
        self.by_name = {"a": ours.Linear(2, 2), "b": ours.Linear(2, 2)}
        self.pair = Pair(ours.Linear(2, 2), ours.Tanh())
        self.items: list[Any] = [
            Holder(ours.Linear(2, 2)),
            Slots(ours.Linear(2, 2)),
            self.by_name["a"],
        ]
        self.queue, self.set = deque([ours.Linear(2, 2)]), {ours.Linear(2, 2)}
        self.partial = partial(taken := ours.Linear(2, 2))
        self.method = bound(ours.Linear(2, 2))
        self.constant, self.endless = torch.arange(3), endless()
        self.register_modules(*self.by_name.values(), *self.pair, *(item.item for item in self.items[:2]),
                              self.queue[0], *self.set, taken, self.method.__self__)  # fmt: skip

    def connect(self, x: ours.Variable) -> ours.Variable:
        first, second, third = self.items
        for module in (*self.by_name.values(), *self.pair, first.item, second.item, third,
                       self.queue[0], *self.set, self.partial, self.method):  # fmt: skip
            x = module(x)
        return x


def test_a_copy_shares_nothing_that_is_trained() -> None:
    network = Held()
    before = network.state_dict()
    values = [2 * value for _, value, _ in network.parameters()]
    assert len(values) == 2 * 9
    twin = network.with_parameters(values)
    assert all(map(operator.is_, [value for _, value, _ in twin.parameters()], values))
    assert not {*map(id, twin)} & {*map(id, network)}
    assert twin.constant is network.constant
    x = normal(4, 2, dtype=torch.float32)
    other = Held()
    other.load_state_dict({name: 2 * value for name, value in before.items()})
    assert torch.equal(twin.forward(x), other.forward(x))
    twin.backward(torch.ones(4, 2))
    ours.SGD(twin).step(0.1)
    assert not any(gradient.any() for _, _, gradient in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value, _ in network.parameters())
    assert not any(torch.equal(value, 2 * before[name]) for name, value, _ in twin.parameters())


def test_a_copy_needs_a_tensor_for_each_parameter_and_state() -> None:
    network = ours.Sequential(ours.Linear(2, 3), ours.BatchNorm1d(3))
    values = [value for _, value, _ in network.parameters()]
    message = r"^Sequential.with_parameters: expects 4 parameters and 2 states, got 4 and 0$"
    with pytest.raises(ModuleError, match=message):
        network.with_parameters(values)


class Delegate(Skip):
    """Names the parameters of another module as its own."""

    def parameters(self) -> Sequence[ours.Parameter]:
        return self.inner.parameters()


def test_a_copy_that_would_hold_old_parameters_is_refused() -> None:
    skip = Delegate()
    twin = skip.with_parameters([value.clone() for _, value, _ in skip.parameters()])
    assert twin.inner is not skip.inner
    network = Aside(None)
    network.aside = closed_over(network.first)
    values = [value.clone() for _, value, _ in network.parameters()]
    with pytest.raises(ModuleError, match=r"^Aside.with_parameters: the copy still .* in 'aside'"):
        network.with_parameters(values)
    of_class = OfClass()
    of_class.register_modules(OfClass.layer)
    with pytest.raises(ModuleError, match=r"^OfClass.with_parameters: .* in 'layer'"):
        of_class.with_parameters([value.clone() for _, value, _ in of_class.parameters()])


def test_a_parameter_can_be_exchanged_until_a_network_is_built() -> None:
    layer = ours.Linear(2, 2)
    layer.parameters()
    layer.weight = torch.ones(2, 2)
    assert layer.parameters()[0].value is layer.weight
    assert not layer.weight_grad.any()
    layer.weight_grad = torch.ones(2, 2)
    layer.update_parameters(0.5)
    assert torch.equal(layer.weight, torch.full((2, 2), 0.5))
    with pytest.raises(DtypeError, match="'weight' must be a tensor of float32 or .*, got float$"):
        layer.weight = 3.0  # type: ignore[assignment]


def test_two_parameters_that_are_one_tensor_are_named() -> None:
    first, second = ours.Linear(2, 2), ours.Linear(2, 2)
    second.weight = first.weight
    with pytest.raises(
        ModuleError, match="^Sequential: two of its parameters are one tensor, .* one"
    ):
        ours.Sequential(first, second).parameters()


class SimplestGraph(ours.Graph):
    """One layer."""

    def __init__(self, layer: ours.Module) -> None:
        self.layer = layer
        self.register_modules(layer)

    def connect(self, x: ours.Variable) -> ours.Variable:
        return self.layer(x)


@pytest.mark.parametrize(
    "build", [ours.Sequential, SimplestGraph, ours.SGD], ids=lambda b: b.__name__
)
def test_what_a_network_is_built_from_cannot_be_exchanged(
    build: Callable[[ours.Module], object],
) -> None:
    layer = ours.Linear(2, 2)
    build(layer)
    copy = layer.weight.clone()
    for name, instead in (
        ("weight", "load_state_dict"),
        ("bias", "load_state_dict"),
        ("weight_grad", r"backward adds to it, self.weight_grad \+= …, and zero_"),
        ("bias_grad", r"backward adds to it, self.bias_grad \+= …, and zero_"),
    ):
        with pytest.raises(
            ModuleError, match=f"^Linear: '{name}' cannot be (exchanged|replaced).*{instead}"
        ):
            setattr(layer, name, torch.zeros(2, 2))
    with pytest.raises(ModuleError, match="^Linear: 'scale' cannot be replaced or added once"):
        layer.register_parameter("scale", torch.ones(2))
    assert torch.equal(layer.weight, copy)
    assert [name for name, _, _ in layer.parameters()] == ["weight", "bias"]
    state = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    layer.load_state_dict(state)
    layer.weight *= 2  # in place, as copy_ is
    layer.weight_grad += 1
    assert torch.equal(layer.weight, 2 * state["weight"])
    assert torch.equal(layer.parameters()[0].gradient, torch.ones(2, 2))


def test_registered_modules_cannot_be_exchanged() -> None:
    network = SimplestGraph(ours.Linear(2, 2))
    network.register_modules(network.layer, ours.Tanh())  # nothing is built from it yet
    with pytest.raises(ModuleError, match=r"'layer', Linear\(2, 2\), is registered and cannot be"):
        network.layer = ours.Linear(2, 2)
    network.layer = network.layer
    for built in (ours.Sequential, ours.SGD):
        inner = SimplestGraph(ours.Linear(2, 2))
        built(inner)
        with pytest.raises(ModuleError, match="modules cannot be replaced once another network"):
            inner.register_modules(ours.ReLU())
    outer = ours.Sequential(network)
    with pytest.raises(ModuleError, match="cannot contain itself, got Sequential at position 0"):
        outer.register_modules(outer)


def test_names_that_are_taken_are_refused() -> None:
    module = ours.ReLU()
    for name in ("call", "input", "forward", "a.b", ""):
        for register in (module.register_parameter, module.register_buffer):
            with pytest.raises(
                ModuleError, match="the name must be a word that the class does not"
            ):
                register(name, torch.ones(2))
    with pytest.raises(
        DtypeError, match=r"'slope' must be a tensor of float.*, got \(2,\) of int64"
    ):
        module.register_parameter("slope", torch.ones(2, dtype=torch.int64))
    module.register_parameter("slope", torch.ones(2))
    with pytest.raises(
        ModuleError, match="'slope' must be a tensor and not a parameter, got a par"
    ):
        module.register_buffer("slope", torch.ones(2))
    for register in (module.register_parameter, module.register_buffer):
        with pytest.raises(ModuleError, match="another name differ by _grad alone"):
            register("slope_grad", torch.ones(2))
    module.register_buffer("width_grad", torch.ones(2))
    with pytest.raises(ModuleError, match="another name differ by _grad alone"):
        module.register_parameter("width", torch.ones(2))
    with pytest.raises(ModuleError, match="'mean' must be a tensor and not a parameter, got float"):
        module.register_buffer("mean", 1.0)  # type: ignore[arg-type]


def test_a_parameter_is_a_tensor_that_a_step_can_change() -> None:
    module = ours.ReLU()
    module.register_parameter("slope", torch.ones(1).expand(3))  # one number in memory
    module.slope_grad.copy_(torch.tensor([1.0, 2.0, 3.0]))
    module.update_parameters(1.0)
    assert module.slope.tolist() == [0.0, -1.0, -2.0]


def test_a_stack_has_networks() -> None:
    for stack in ((0,), (2, 0)):
        with pytest.raises(ShapeError, match="a stack must hold at least one network"):
            ours.Linear(2, 2, stack=stack)


@pytest.mark.parametrize(
    "value", [torch.nn.Parameter(torch.ones(2)), 2 * torch.ones(2, requires_grad=True)]
)
def test_a_tensor_of_autograds_is_refused(value: Tensor) -> None:
    kind = type(value).__name__
    message = f"'s' must be a tensor without requires_grad, .* got a {kind} with it; value.detach"
    for register in (ours.ReLU().register_parameter, ours.ReLU().register_buffer):
        with pytest.raises(DtypeError, match=message):
            register("s", value)
    layer = ours.Linear(2, 2)
    with pytest.raises(DtypeError, match="^Linear: parameter 'bias' must be a tensor without requ"):
        layer.bias = value
    ours.ReLU().register_parameter("s", value.detach())


class Double(ours.Module):
    """y = 2x."""

    def forward(self, x: Tensor) -> Tensor:
        self.remember((x,), (2 * x,))
        return 2 * x

    def backward(self, gradient: Tensor) -> Any:
        self.recall(gradient)
        return 2 * gradient


class Forgetful(Double):
    """Remembers nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Silent(Double):
    """Returns nothing."""

    def backward(self, gradient: Tensor) -> Any:
        self.recall(gradient)


class Careless(Double):
    """Looks at nothing that it is given."""

    def backward(self, gradient: Tensor) -> Tensor:
        return 2 * gradient


def test_a_forward_that_remembers_nothing_is_named() -> None:
    x = torch.ones(3, 2)
    keeps = r"; self.remember\(\(x,\), \(y,\)\) keeps what backward needs$"
    module = Forgetful()
    for _ in range(2):  # it cannot be known whether forward came
        with pytest.raises(
            OrderError, match=r"^Forgetful\(\).backward: call forward first; .*" + keeps
        ):
            module.backward(x)
        module.forward(x)
    modules = ours.Linear(2, 2), module, ours.Tanh()
    networks = ours.Sequential(*modules), ours.Sequential(*modules[1:]), ours.Sequential(module)
    for network in (*networks, SimplestGraph(module)):
        network.forward(x)
        # Nobody asks for gradients of what depends on no parameter.
        asked = network.parameters() or len(network) == 1
        for back in (network.backward, network.accumulate) if asked else (network.backward,):
            message = r"^Forgetful\(\).backward: forward has remembered nothing" + keeps
            with pytest.raises(OrderError, match=message):
                back(x)


def test_a_backward_that_returns_nothing_is_named() -> None:
    x = torch.ones(3, 2)
    wrong, right = Silent(), Double()
    message = r"^Silent\(\).backward: must return dL/dx, a tensor for each input .*, got NoneType$"
    for modules in (
        (ours.Linear(2, 2), wrong),
        (right, wrong, right),
        (right, ours.Sequential(wrong, right)),
        (Careless(), wrong),
        (wrong, right),
        (wrong,),
    ):
        network = ours.Sequential(*modules)
        network.forward(x)
        with pytest.raises(DtypeError, match=message):
            network.backward(x)
        if not network.parameters():  # nobody asks for what it returns
            network.accumulate(x)
        else:
            with pytest.raises(DtypeError, match=message):
                network.accumulate(x)
    network = ours.Sequential(right, right)
    network.forward(x)
    with pytest.raises(DtypeError, match="expects a gradient like the output"):
        network.backward(None)  # type: ignore[arg-type]


def test_no_gradient_is_computed_before_the_first_parameter() -> None:
    """Of what depends on no parameter, in a chain, in a network in it and in a graph."""

    class Counted(Double):
        def backward(self, gradient: Tensor) -> Tensor:
            self.count = getattr(self, "count", 0) + 1
            returned: Tensor = super().backward(gradient)
            return returned

    class Beside(ours.Graph):
        def __init__(self) -> None:
            self.before, self.after = Counted(), Counted()
            self.linear = ours.Linear(2, 2)
            self.register_modules(self.before, self.after, self.linear)

        def connect(self, x: ours.Variable) -> ours.Variable:
            return self.after(self.linear(self.before(x) + x))

    first, second, last = Counted(), Counted(), Counted()
    inner = ours.Sequential(first, second)
    linear = ours.Linear(2, 2)
    graph = Beside()
    x = normal(3, 2).float()
    for network, before, after, asked in (
        (ours.Sequential(inner, linear, last), (first, second), last, linear),
        (graph, (graph.before,), graph.after, graph.linear),
    ):
        network.forward(x)
        network.accumulate(x)
        assert not any(hasattr(module, "count") for module in before)
        assert after.count == 1
        found = asked.weight_grad.clone()
        network.reset_gradient()
        network.backward(x)
        assert all(module.count > 0 for module in before)
        assert torch.equal(asked.weight_grad, found)


class Scale(ours.Module):
    """y = c x, for a constant c."""

    def __init__(self) -> None:
        self.register_buffer("factor", torch.full((), 3.0))

    def forward(self, x: Tensor) -> Tensor:
        y = self.factor * x
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.recall(gradient)
        return self.factor * gradient


def test_a_buffer_is_a_constant_that_copies_share() -> None:
    network = ours.Sequential(Scale(), ours.Linear(2, 2))
    assert [name for name, _, _ in network.parameters()] == ["1.weight", "1.bias"]
    twin = network.with_parameters([value.clone() for _, value, _ in network.parameters()])
    assert twin[0].factor is network[0].factor
    assert torch.equal(twin[0].forward(torch.ones(2)), torch.full((2,), 3.0))


# ---------------------------------------------------------------------------------------- graphs


@pytest.mark.parametrize("name", ["forward", "backward", "accumulate"])
@pytest.mark.parametrize("base", [ours.Network, ours.Sequential, ours.Graph, SimpleNet])
def test_a_network_with_a_pass_of_its_own_is_refused(base: type, name: str) -> None:
    def by_hand(self: object, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tensors

    if (base, name) == (ours.Network, "forward"):
        type("Hand", (base,), {name: by_hand})  # recorded in each call
        return
    with pytest.raises(
        ModuleError, match=rf"^Hand: a (Graph|network) must not define {name}, as Hand does"
    ):
        type("Hand", (base,), {name: by_hand})
    mixin = type("Mixin", (), {name: by_hand})
    with pytest.raises(
        ModuleError, match=f"must not define {name}, as Mixin does; a Graph connects"
    ):
        type("Hand", (mixin, base), {})


@pytest.mark.parametrize("base", [ours.Network, ours.Sequential, SimpleNet])
def test_a_chain_that_connects_is_refused(base: type) -> None:
    """Nobody would call its `connect`."""

    def connect(self: object, x: ours.Variable) -> ours.Variable:
        y: ours.Variable = x + x
        return y

    message = (
        r"^Mine: a (chain|network) does not look at connect, which {} defines; "
        r".*class Mine\(nn.Graph\)$"
    )
    with pytest.raises(ModuleError, match=message.format("Mine")):
        type("Mine", (base,), {"connect": connect})
    mixin = type("Mixin", (), {"connect": connect})
    with pytest.raises(ModuleError, match=message.format("Mixin")):
        type("Mine", (mixin, base), {})
    assert type("Mine", (mixin, ours.Graph), {})(ours.Tanh()).forward(torch.ones(1, 1)) == 2


def test_a_residual_used_twice_has_the_gradients_of_two_uses() -> None:
    """By hand, with `self.inner.backward`, they were those of the second use alone."""
    block = Residual()
    x, weights = normal(5, 4), normal(5, 4, seed=1)
    network = ours.Sequential(block, block)
    network.forward(x)
    returned = network.backward(weights)
    w, b = (value.clone().requires_grad_() for _, value, _ in block.parameters())
    leaf = x.clone().requires_grad_()
    once = leaf + torch.tanh(leaf @ w.mT + b)
    twice = once + torch.tanh(once @ w.mT + b)
    expected = torch.autograd.grad((weights * twice).sum(), (w, b, leaf))
    found = (*(gradient for _, _, gradient in block.parameters()), returned)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_gradient_of_another_shape_is_named_where_gradients_are_summed() -> None:
    """A sum would broadcast it: the first of two that come to a value was not looked at."""

    class Averaged(ours.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.remember((x,), (2 * x,))
            return 2 * x

        def backward(self, gradient: Tensor) -> Tensor:
            return 2 * gradient.mean(-1, keepdim=True)

    class Diamond(ours.Graph):
        def __init__(self, wrong_first: bool) -> None:
            self.linear, self.tanh, self.wrong = ours.Linear(3, 4), ours.Tanh(), Averaged()
            self.wrong_first = wrong_first
            self.register_modules(self.linear, self.tanh, self.wrong)

        def connect(self, x: ours.Variable) -> ours.Variable:
            h = self.linear(x)
            if self.wrong_first:
                return self.wrong(h) + self.tanh(h)
            return self.tanh(h) + self.wrong(h)

    for wrong_first in (True, False):
        network = Diamond(wrong_first)
        gradient = torch.ones_like(network.forward(normal(5, 3).float()))
        message = r"^Averaged\(\).backward: must return a gradient .* \(5, 4\), got \(5, 1\)"
        with pytest.raises(ShapeError, match=message):
            network.accumulate(gradient)


def test_a_graph_spares_the_gradients_of_its_inputs() -> None:
    asked: list[str] = []

    class Asked(ours.Linear):
        def backward(self, gradient: Tensor) -> Tensor:
            asked.append("inputs")
            return super().backward(gradient)

    network = SimplestGraph(Asked(2, 2))
    network.forward(torch.ones(3, 2))
    network.accumulate(torch.ones(3, 2))
    assert not asked
    assert network[0].weight_grad.any()
    network.backward(torch.ones(3, 2))
    assert asked == ["inputs"]


def test_a_variable_knows_the_node_that_made_it() -> None:
    seen: list[ours.Variable] = []

    class Seen(ours.Network):
        def __init__(self) -> None:
            self.inner, self.tanh = linear(4, 4, ()), ours.Tanh()
            self.register_modules(self.inner, self.tanh)

        def forward(self, x: Any) -> Any:
            seen.extend((x, self.inner(x)))
            return self.tanh(seen[1])

    network, x = Seen(), normal(5, 4)
    network.forward(x)
    start, inner = seen
    assert start.node is None
    assert start.value is x
    assert inner.node is not None
    assert inner.node.module is network.inner
    assert inner.node.call is not None
    assert inner.node.call.inputs == (x,)
    assert inner.shape == (5, 4)
    assert repr(inner) == "Variable((5, 4) of float64)"


class Wrong(ours.Graph):
    """A graph whose `connect` is a function given."""

    def __init__(self, connect: Callable[[Wrong, ours.Variable], object]) -> None:
        self.given, self.layer = [connect], ours.Linear(2, 2)
        self.register_modules(self.layer)
        self.kept: list[ours.Variable] = []

    def connect(self, x: ours.Variable) -> object:
        self.kept.append(x)
        return self.given[0](self, x)


class Broadcasts(ours.Module):
    """Returns a gradient of another shape than its input has."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient[:1]


WRONG_GRAPHS: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "unregistered": (
        lambda net, x: ours.Linear(2, 2)(x),
        r"^Wrong: Linear\(2, 2\) is used but not registered, .* give it to register_modules$",
    ),
    "a tensor": (
        lambda net, x: net.layer(x) + torch.ones(3, 2),
        r"^\+: expects variables or numbers, got \(3, 2\) of float32; a constant tensor belongs",
    ),
    "a tensor for a module": (
        lambda net, x: net.layer(torch.ones(3, 2)) + x,
        "^a variable has no 'add'; modules that are called with it",
    ),
    "its value": (
        lambda net, x: x.value,
        "^connect is recorded once and run again with other tensors, so it must not look at values",
    ),
    "nothing": (lambda net, x: None, "^Wrong: must return inputs, or outputs .* got NoneType$"),
    "of an earlier way": (
        lambda net, x: net.layer(x) + net.kept[0],
        "^Wrong: must be given variables of this forward pass, got one of another pass or a new",
    ),
    "no number": (lambda net, x: x + float("nan"), "takes finite numbers, got nan$"),
    "by nothing": (lambda net, x: x / 0, "^a variable cannot be divided by 0$"),
    "a slice of samples": (lambda net, x: x[:1], r"^x\[…\] takes numbers of a sample: it begins"),
    "forward": (
        lambda net, x: net.layer.forward(x),
        r"^Linear\(2, 2\).forward: expects .* got Placeholder; with variables call the module itself",
    ),
    "forward of an activation": (
        lambda net, x: ours.ReLU().forward(x),
        r"^ReLU\(\).forward: expects .* got Placeholder; with variables call the module itself",
    ),
    "a node": (lambda net, x: x + net.layer(x).node, "got Node"),
}


@pytest.mark.parametrize("case", WRONG_GRAPHS)
def test_what_cannot_be_connected_is_named(case: str) -> None:
    connect, message = WRONG_GRAPHS[case]
    network = Wrong(connect)
    network.kept.append(Variable(torch.ones(3, 2)))
    with pytest.raises(ModuleError, match=message) as raised:
        network.forward(torch.ones(3, 2))
    assert "\n" not in str(raised.value)


FORMULAS: dict[str, tuple[Callable[[Any], object], str]] = {
    "tensor times": (lambda v: torch.ones(3, 2) * v, "mul"),
    "tensor plus": (lambda v: torch.ones(3, 2) + v, "add"),
    "power": (lambda v: v**2, r"\*\*"),
    "compared": (lambda v: v > 0, "<"),
    "truth": (bool, "bool"),
    "number": (float, "float"),
    "abs": (abs, "abs"),
    "relu": (torch.relu, "relu"),
    "cat": (lambda v: torch.cat([v, v]), "cat"),
    "where": (lambda v: torch.where(torch.ones(1) > 0, v, v), "where"),
    "a method": (lambda v: v.clamp(min=0), "clamp"),
    "an attribute": (lambda v: v.mT, "mT"),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_a_formula_of_variables_is_named(case: str) -> None:
    formula, name = FORMULAS[case]
    message = (
        rf"^a variable has no '{name}'; modules that are called with it, as in self.tanh\(x\), "
        r"not self.tanh.forward\(x\), and .* have a way back; "
    )
    with pytest.raises(ModuleError, match=message) as raised:
        Wrong(lambda net, x: formula(x)).forward(torch.ones(3, 2))
    assert "\n" not in str(raised.value)


def test_one_variable_is_not_taken_apart() -> None:
    def connect(net: Wrong, x: ours.Variable) -> object:
        first, _ = net.layer(x)
        return first

    with pytest.raises(ModuleError, match="^one variable cannot be taken apart; a module with"):
        Wrong(connect).forward(torch.ones(3, 2))
    variable: Any = Variable(torch.ones(3, 2))
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        variable.colour  # noqa: B018
    assert copy.copy(variable).value is variable.value


def test_sums_of_different_shapes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"^Add\(\).forward: expects tensors of one shape"):
        ours.Add().forward(torch.ones(3, 2), torch.ones(3, 1))
    network = ours.Sequential(SimplestGraph(Broadcasts()))
    network.forward(torch.ones(3, 2))
    with pytest.raises(
        ShapeError, match=r"^Broadcasts\(\).backward: must return .* \(3, 2\), got \(1"
    ):
        network.backward(torch.ones(3, 2))


def test_modules_act_on_tensors_when_called() -> None:
    network, x = SimpleNet(), normal(5, 2)
    assert torch.equal(network(x), network.forward(x))
    with pytest.raises(DtypeError, match="got list"):
        network([1.0])  # type: ignore[call-overload]


def test_results_are_named_after_the_module_that_acted() -> None:
    block = Residual()
    network = ours.Sequential(linear(4, 4, ()), block, ours.Tanh())
    network.forward(normal(5, 4))
    assert [position for position, _ in network.results()] == [0, 1, 2]
    assert [position for position, _ in block.results()] == [0, 1, 1]  # the sum after the tanh


def test_dtype_and_stack_follow_the_parameters() -> None:
    layer = ours.Linear(2, 3)
    layer.weight, layer.bias = normal(4, 3, 2), normal(4, 3)
    assert layer.forward(normal(4, 5, 2)).shape == (4, 5, 3)
    assert layer.weight_grad.dtype == torch.float64
    layer.bias = normal(3)
    with pytest.raises(ShapeError, match="with the same stack"):
        layer.forward(normal(4, 5, 2))
    assert layer.stack == (4,)
    assert ours.Sequential(ours.ReLU(), ours.Linear(2, 2, stack=(3, 4))).stack == (3, 4)
    assert ours.Sequential(ours.ReLU()).stack is None
    for stack in ((), (4,)):
        layer.weight, layer.bias = normal(*stack, 3, 2), normal(*stack, 3).float()
        with pytest.raises(DtypeError, match=r"of one dtype, got torch.float64 and torch.float32"):
            layer.forward(normal(*stack, 5, 2))
    with pytest.raises(DtypeError, match=r"must be a tensor of float32 or float64, got .*float16$"):
        layer.weight = layer.weight.half()
    with pytest.raises(DtypeError, match="dtype must be .*float64, got torch.int64"):
        ours.Linear(2, 3, dtype=torch.int64)


def test_an_activation_between_all_layers_leaves_others_inputs_alone() -> None:
    # The fault that a well-known library has: backward through one branch changes another's input.
    relu = ours.ReLU()
    x = normal(4, 3)
    first = relu.forward(x)
    relu.forward(-first)
    relu.backward(torch.ones(4, 3, dtype=torch.float64))
    assert torch.equal(first, x.clamp(min=0))


def test_buffers_hand_out_the_same_memory_only_inside_their_block() -> None:
    x, buffers = normal(2, 2), ours.Buffers()
    assert buffer(x) is None
    with buffers.reuse("a"):
        first = buffer(x)
        with buffers.reuse("b"):
            assert buffer(x) is not first
        second = buffer(x)
    assert buffer(x) is None
    with buffers.reuse("a"):
        assert buffer(x) is first
        assert buffer(x) is second
    with pytest.raises(ZeroDivisionError), buffers.reuse("a"):
        raise ZeroDivisionError
    assert buffer(x) is None


@pytest.mark.parametrize("stack", [(), (3,), (3, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_write_their_results_into_reused_memory(stack: tuple[int, ...], bias: bool) -> None:
    layer, relu, buffers = ours.Linear(4, 2, bias, stack=stack), ours.ReLU(), ours.Buffers()
    steps = []
    for _ in range(3):
        with buffers.reuse("step"):
            y = layer.forward(torch.ones(*stack, 5, 4))
            z = relu.forward(y)
            back = layer.backward(relu.backward(torch.ones_like(z)))
        steps.append([result.data_ptr() for result in (y, z, back)])
    assert steps[0] == steps[1] == steps[2]
    assert len(set(steps[0])) == 3


def test_a_copy_is_gone_when_nobody_holds_it() -> None:
    network = ours.Sequential(ours.Linear(2, 4), ours.Sequential(ours.ReLU(), ours.Linear(4, 4)),
                              Residual().with_parameters([torch.ones(4, 4), torch.ones(4)]))  # fmt: skip
    twin = network.with_parameters([value.clone() for _, value, _ in network.parameters()])
    twin.forward(torch.ones(4, 2))
    gone = weakref.ref(twin)
    gc.disable()  # a circle would wait for it, and hold the results of a whole part
    try:
        del twin
        assert gone() is None
    finally:
        gc.enable()


def test_threads_do_not_share_a_block() -> None:
    seen: list[Tensor | None] = []
    with ours.Buffers().reuse("a"):
        thread = threading.Thread(target=lambda: seen.append(buffer(normal(2, 2))))
        thread.start()
        thread.join()
    assert seen == [None]


def test_outside_a_block_an_output_is_never_overwritten() -> None:
    net = SimpleNet((2,))
    first = net.forward(normal(2, 5, 2))
    copy = first.clone()
    net.forward(normal(2, 5, 2, seed=9))
    assert torch.equal(first, copy)


# ------------------------------------------------------------------------------------ optimisers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("decay", [0.0, 1e-4, 0.3])
@pytest.mark.parametrize("eta", [0.01, 0.1])
def test_sgd_steps_as_torch_optim(
    momentum: float, decay: float, eta: float, dtype: torch.dtype
) -> None:
    net = SimpleNet((3,), dtype)
    # A parameter of one Sequential is a leaf of one PyTorch optimiser for all networks at once.
    leaves = [value.clone().requires_grad_() for _, value, _ in net.parameters()]
    theirs = torch.optim.SGD(leaves, lr=eta, momentum=momentum, weight_decay=decay)
    optimizer = ours.SGD(net, momentum, decay)
    for step in range(4):
        for leaf, (_, _, gradient) in zip(leaves, net.parameters(), strict=True):
            gradient.copy_(normal(*gradient.shape, seed=step))
            leaf.grad = gradient.clone()
        before = [gradient.clone() for _, _, gradient in net.parameters()]
        optimizer.step(eta)
        theirs.step()
        after = [gradient for _, _, gradient in net.parameters()]
        assert all(map(torch.equal, before, after)), "a step leaves gradients as they are"
    for leaf, (_, value, _) in zip(leaves, net.parameters(), strict=True):
        torch.testing.assert_close(value, leaf.detach())


def test_wrong_momentum_is_named() -> None:
    for momentum in (-0.1, 1.0, math.nan):
        with pytest.raises(ModuleError, match="momentum must be at least 0 and below 1"):
            ours.SGD(SimpleNet(), momentum)
    with pytest.raises(ModuleError, match="momentum must be at least 0 and below 1, got 'a'"):
        ours.SGD(SimpleNet(), "a")  # type: ignore[arg-type]
    optimizer = ours.SGD(SimpleNet())
    with pytest.raises(ModuleError, match="momentum must be at least 0 and below 1, got 2"):
        optimizer.momentum = 2
    assert optimizer.momentum == 0


def test_an_optimizer_takes_the_network_not_its_parameters() -> None:
    with pytest.raises(DtypeError, match="^SGD: expects the network itself, got tuple"):
        ours.SGD(SimpleNet().parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("eta", [-0.1, math.nan, math.inf])
def test_a_wrong_learning_rate_changes_nothing(eta: float, momentum: float) -> None:
    network = SimpleNet()
    optimizer, before = ours.SGD(network, momentum), network.state_dict()
    for step in (optimizer.step, network.update_parameters):
        with pytest.raises(ModuleError, match="^eta must be a finite number of at least 0, got"):
            step(eta)
    assert all(torch.equal(value, before[name]) for name, value, _ in network.parameters())


# ---------------------------------------------------------------------------------- initialisers

SCALES = {  # distribution and the scale that its definition gives for 200 inputs, 100 outputs
    "pytorch": ("uniform", 1 / math.sqrt(200)),
    "kaiming-uniform": ("uniform", math.sqrt(6 / 200)),
    "kaiming-normal": ("norm", math.sqrt(2 / 200)),
    "xavier-uniform": ("uniform", math.sqrt(6 / 300)),
    "xavier-normal": ("norm", math.sqrt(2 / 300)),
    "normal": ("norm", 1.0),
    "uniform": ("uniform", 1.0),
}


def weights_of(init: str | ours.Initializer, seed: int = 0) -> ours.Linear:
    generators = [np.random.default_rng(seed)]
    return ours.Linear(200, 100, init=init, generators=generators, dtype=torch.float64)


@pytest.mark.parametrize("name", sorted(SCALES))
def test_initialisers_draw_from_their_distribution(name: str) -> None:
    kind, scale = SCALES[name]
    layer = weights_of(name)
    claimed = stats.uniform(-scale, 2 * scale) if kind == "uniform" else stats.norm(0, scale)
    test = stats.kstest(layer.weight.numpy().ravel(), claimed.cdf)
    assert test.pvalue > 1e-3
    assert layer.bias is not None
    if name in ("pytorch", "normal", "uniform"):
        assert stats.kstest(layer.bias.numpy(), claimed.cdf).pvalue > 1e-3
    else:
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("kaiming-uniform", lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu")),
        ("kaiming-normal", lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu")),
        ("xavier-uniform", torch.nn.init.xavier_uniform_),
        ("xavier-normal", torch.nn.init.xavier_normal_),
        ("pytorch", lambda w: torch.nn.Linear(200, 100).weight),
    ],
)
def test_initialisers_are_distributed_as_pytorchs(name: str, theirs: object) -> None:
    assert callable(theirs)
    expected = theirs(torch.empty(100, 200)).detach().numpy().ravel()
    assert stats.ks_2samp(weights_of(name).weight.numpy().ravel(), expected).pvalue > 1e-3


def test_every_initialiser_is_tested() -> None:
    assert set(SCALES) | {"zeros", "constant", "orthogonal"} == set(ours.INITIALIZERS)
    constant = weights_of(ours.Constants(0.5, bias=-2.0))
    assert (constant.weight == 0.5).all()
    assert constant.bias is not None
    assert (constant.bias == -2).all()
    layer = weights_of("zeros")
    assert not layer.weight.any()
    assert float(weights_of(ours.Normal(0.1)).weight.std()) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("shape", [(3, 20), (20, 3), (4, 2, 3, 3), (4, 6), (6, 6)])
def test_orthogonal_weights_keep_lengths(shape: tuple[int, ...]) -> None:
    """Rows are orthonormal, columns if there are fewer; kernels count as rows of the outputs."""
    weight = ours.Orthogonal(1.5).draw_weight(np.random.default_rng(1), shape, 3, 3)
    assert weight.shape == shape
    rows = weight.reshape(shape[0], -1) / 1.5
    product = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


def test_orthogonal_weights_are_uniformly_distributed() -> None:
    """Each entry of a uniform 8 x 8 matrix has a density that is known: of Beta, as x²."""
    init, generator = ours.Orthogonal(), np.random.default_rng(0)
    drawn = np.array([init.draw_weight(generator, (8, 8), 8, 8) for _ in range(2000)])
    for entry in (drawn[:, 0, 0], drawn[:, 7, 7], drawn[:, 3, 5]):
        assert stats.kstest(entry**2, stats.beta(0.5, 3.5).cdf).pvalue > 1e-3
        assert abs((entry > 0).mean() - 0.5) < 0.05  # without R's signs, some are all negative


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("groups", [1, 3])
def test_convolutions_have_the_fans_and_the_default_of_pytorch(
    dimensions: int, groups: int
) -> None:
    kind: Any = (ours.Conv1d, ours.Conv2d)[dimensions - 1]
    layer = kind(6, 300, 5, groups=groups, generators=[np.random.default_rng(0)])
    fans = torch.nn.init._calculate_fan_in_and_fan_out(layer.weight)
    assert layer.fans == fans
    theirs = (torch.nn.Conv1d, torch.nn.Conv2d)[dimensions - 1](6, 300, 5, groups=groups)
    for mine, its in ((layer.weight, theirs.weight), (layer.bias, theirs.bias)):
        assert its is not None
        found, expected = mine.numpy().ravel(), its.detach().numpy().ravel()
        assert stats.ks_2samp(found, expected).pvalue > 1e-3
        assert abs(found).max() <= 1 / math.sqrt(fans[0])
    xavier = kind(6, 300, 5, groups=groups, init="xavier-uniform")
    bound = math.sqrt(6 / sum(fans))
    assert 0.98 * bound < float(xavier.weight.abs().max()) <= bound


def test_network_k_of_a_stack_draws_from_generator_k() -> None:
    def generators(*seeds: int) -> list[np.random.Generator]:
        return [np.random.default_rng(seed) for seed in seeds]

    many = SimpleNet((3,))
    many.initialize("kaiming-normal", generators(5, 6, 7))
    one = SimpleNet()
    one.initialize("kaiming-normal", generators(6))
    for (_, value, _), (_, stacked, _) in zip(one.parameters(), many.parameters(), strict=True):
        assert torch.equal(value, stacked[1])
    with pytest.raises(ShapeError, match=r"one generator for each of the 3 network\(s\)"):
        many.initialize("zeros", generators(1))
    with pytest.raises(ModuleError, match="did you mean 'kaiming-normal'"):
        many.initialize("kaimin-normal", generators(5, 6, 7))


def test_without_generators_torchs_seed_decides() -> None:
    def draw() -> Tensor:
        torch.manual_seed(3)
        return ours.Linear(4, 4, stack=(2,)).weight

    first = draw()
    assert torch.equal(first, draw())
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(ours.Linear(4, 4).weight, ours.Linear(4, 4).weight)


def test_a_block_may_take_another_way_than_the_one_before() -> None:
    """As a graph may whose `connect` decides by what it is given."""
    buffers, x = ours.Buffers(), torch.linspace(-1, 1, 1000)
    found = []
    for kind in (ours.ReLU, ours.Tanh, ours.ReLU):
        module = kind()
        with buffers.reuse("a block"):
            module.forward(x)
            found.append(module.backward(torch.ones_like(x)).clone())
    assert torch.equal(found[0], (x > 0).float())
    torch.testing.assert_close(found[1], 1 - torch.tanh(x) ** 2)
    assert torch.equal(found[2], found[0])
