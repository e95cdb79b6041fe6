"""PyTorch twins: the same network, loss, optimiser and gradients in PyTorch.

What PyTorch calls a layer, loss or optimiser stands in its declaration, see `nn/registry.py`. A
user's own may say something that PyTorch has not: `check` finds that before anything is trained.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from minifw import nn as ours
from minifw.config.code import told
from minifw.errors import UsageError, did_you_mean
from minifw.nn import Twin
from minifw.nn.module import described
from minifw.nn.registry import (
    Declaration,
    LayerDeclaration,
    LossDeclaration,
    OptimizerDeclaration,
    declaration_of,
)
from minifw.nn.wired import table
from minifw.reference import layers

Criterion = Callable[[Tensor, Tensor], Tensor]
Place = tuple[str | int, ...]
"""Where something stands in a config: `("network", 1)`."""

_DECORATORS: dict[type[Declaration], str] = {
    LayerDeclaration: "layer",
    LossDeclaration: "loss",
    OptimizerDeclaration: "optimizer",
}


def twin_of(thing: Any, family: type[Declaration]) -> Twin:
    """Return the declared PyTorch twin of a module, loss or optimiser.

    Raises:
        UsageError: its class declares none.

    """
    found = declaration_of(type(thing), family).twin
    if found is None or not isinstance(found, Twin):
        decorator = f"@nn.{_DECORATORS[family]}(twin=nn.Twin(...))"
        what = (
            f"there is no PyTorch twin of it; {decorator} above the class gives one; "
            "compare --reference none and export --format npz do without"
            if found is None
            else f"its twin must be written {decorator}, got {found!r}"
        )
        raise UsageError(f"{_class(thing)}: {what}")
    return found


def _class(thing: Any) -> str:
    """Return the name of a class, and where it stands if that is in a user's own file."""
    kind = type(thing)
    if kind.__module__.split(".")[0] == "minifw":
        return kind.__name__
    try:
        place = f"{Path(inspect.getfile(kind)).name}:{inspect.getsourcelines(kind)[1]}"
    except (OSError, TypeError):
        return kind.__name__
    return f"{kind.__name__} ({place})"


def _made(
    thing: Any, family: type[Declaration], library: ModuleType, *first: Any, **more: Any
) -> Any:
    """Return the PyTorch object that a declaration names.

    Raises:
        UsageError: PyTorch has no such class, or it takes no such arguments.

    """
    called = twin_of(thing, family)
    with _in_words(thing, called):
        arguments = called.arguments(thing)
        return _found(called, library)(*first, **{**more, **arguments})


def _found(called: Twin, library: ModuleType) -> Callable[..., Any]:
    if not isinstance(called.name, str):
        if not callable(called.name):
            raise UsageError(f"must name a class of {library.__name__}, or be one")
        return called.name
    found = getattr(library, called.name, None)
    if library is nn and called.name in layers.__all__:
        found = getattr(layers, called.name)
    if not isinstance(found, type):
        known = [name for name, value in vars(library).items() if isinstance(value, type)]
        near = did_you_mean(called.name, known)
        near = near if near.startswith("; did") else ""
        raise UsageError(f"{library.__name__} has no class '{called.name}'{near}")
    return found


@contextmanager
def _in_words(thing: Any, called: Twin) -> Iterator[None]:
    """Make one line of what goes wrong with a twin: whose it is, what it is called, and what."""
    try:
        yield
    except Exception as fault:
        if isinstance(fault, UsageError):
            what = fault.lines[0]
            if what.startswith(f"{_class(thing)}: "):  # said within
                raise
        else:
            what = told(fault) or f"{type(fault).__name__}: {fault}"
        raise UsageError(f"{_class(thing)}: its PyTorch twin {called}: {what}") from None


def check(
    network: ours.Network, loss: ours.Loss, optimizer: ours.Optimizer, inputs: int
) -> list[tuple[Place, str]]:
    """Return what is wrong with the twins of all that takes part in a step, with its place.

    Each layer, the loss and the optimiser of one network are made in PyTorch and used once, beside
    ours, on two samples of so many `inputs`.
    """
    faults: list[tuple[Place, str]] = []
    like = [value for _, value, _ in network.parameters()]
    x = like[0].new_zeros(1, 2, inputs) if like else torch.zeros(1, 2, inputs)
    values = [x]
    takes, ends = table(network)
    for position, (module, numbers) in enumerate(zip(network, takes, strict=True)):
        own = [value[:1].clone() for value in module.tensors().values()]
        trained = len(module.parameters())
        one = module.with_parameters(own[:trained], own[trained:])
        given = [values[number] for number in numbers]
        output = one.forward(*given)
        try:
            _use(module, layer_like(one, 0), [value[0] for value in given], output[0])
        except UsageError as fault:
            faults.append((("network", position), fault.lines[0]))
        values.append(output)
    x = torch.cat([values[number] for number in ends], -1)
    target = x if declaration_of(type(loss), LossDeclaration).one_hot else x[..., 0].long() * 0
    try:
        criterion = criterion_like(loss, x)
        called = declaration_of(type(loss), LossDeclaration).twin or Twin(_class(loss))
        with _in_words(loss, called):
            theirs = criterion(x[0].clone().requires_grad_(), target[0])
            if not isinstance(theirs, Tensor) or theirs.shape:
                raise UsageError(f"must give one number, gives {_came(theirs)}")
            theirs.backward()
    except UsageError as fault:
        faults.append((("loss",), fault.lines[0]))
    try:
        called = twin_of(optimizer, OptimizerDeclaration)
        parameter = torch.zeros(2, requires_grad=True)
        parameter.grad = torch.ones(2)
        with _in_words(optimizer, called):
            optimizer_like(optimizer, [parameter], 0.1).step()
    except UsageError as fault:
        faults.append((("optimizer",), fault.lines[0]))
    return faults


def _use(module: ours.Module, layer: nn.Module, given: list[Tensor], output: Tensor) -> None:
    """Let a layer's twin act, forward and backward, and compare the shape of what comes."""
    with _in_words(module, twin_of(module, LayerDeclaration)):
        theirs = layer(*given)
        if not isinstance(theirs, Tensor) or (theirs.shape, theirs.dtype) != (
            output.shape,
            output.dtype,
        ):
            shapes = " and ".join(str(tuple(x.shape)) for x in given)
            raise UsageError(
                f"gives {_came(theirs)} for an input of {shapes}, "
                f"the class gives {described(output)}"
            )
        parameters = dict(layer.named_parameters())
        if parameters:
            theirs.sum().backward()
        for name, value in parameters.items():
            if value.grad is None:
                raise UsageError(f"its output does not depend on its parameter '{name}'")


def _came(value: Any) -> str:
    return described(value) if isinstance(value, Tensor) else type(value).__name__


class Wired(nn.Module):
    """Layers that take each other's outputs as those of minifw's `Wired` do; see there."""

    def __init__(
        self, layers: Sequence[nn.Module], takes: Sequence[Sequence[int]], ends: Sequence[int]
    ) -> None:
        super().__init__()
        self.takes, self.ends = takes, ends
        for position, layer in enumerate(layers):
            self.add_module(str(position), layer)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for position, numbers in enumerate(self.takes):
            layer = self.get_submodule(str(position))
            values.append(layer(*[values[number] for number in numbers]))
        outputs = [values[number] for number in self.ends]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)


def twin(network: ours.Network, seed: int | None) -> nn.Module:
    """Return network number `seed` of a stack in PyTorch, or that of no stack, weights copied.

    It is an nn.Sequential if it is a chain. What acts several times is one layer there too.
    """
    made = {id(module): layer_like(module, seed) for module in network}
    layers = [made[id(module)] for module in network]
    return (
        Wired(layers, *table(network))
        if isinstance(network, ours.Wired)
        else nn.Sequential(*layers)
    )


def names(network: ours.Network, net: nn.Module) -> dict[str, str]:
    """Return what each parameter of a network, then each state, is called in its twin."""
    found: list[tuple[str, str]] = []
    for kind in (_pairs, _state_pairs):
        seen: set[int] = set()
        for position, module in enumerate(network):
            if id(module) not in seen:
                seen.add(id(module))
                pairs = kind(module, net.get_submodule(str(position)))
                found += [(f"{position}.{a}", f"{position}.{b}") for a, b in pairs.items()]
    return dict(found)


def _pairs(module: ours.Module, layer: nn.Module) -> dict[str, str]:
    """Return the name in the twin for each parameter: the same, or that in the same place."""
    mine = [name for name, _, _ in module.parameters()]
    theirs = [name for name, _ in layer.named_parameters()]
    return _paired("parameters", mine, theirs)


def _state_pairs(module: ours.Module, layer: nn.Module) -> dict[str, str]:
    """Return the name in the twin for each state, which is a buffer there.

    A buffer of whole numbers, as a counter of batches, is PyTorch's own affair.
    """
    mine = [name for name, _ in module.states()]
    theirs = [name for name, value in layer.named_buffers() if value.is_floating_point()]
    if not theirs:  # as of dropout, which draws from torch's own generator
        return {}
    return _paired("buffers", mine, [name for name in theirs if mine])


def _paired(what: str, mine: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    if set(mine) == set(theirs):
        return {name: name for name in mine}
    if len(mine) != len(theirs):
        have, has = (", ".join(each) or "none" for each in (mine, theirs))
        raise UsageError(f"must have the {what} of the class, {have}; it has {has}")
    return dict(zip(mine, theirs, strict=True))


def layer_like(module: ours.Module, seed: int | None) -> nn.Module:
    """Return the PyTorch layer with the weights of one network of a stack, or of no stack.

    Raises:
        UsageError: PyTorch has no such layer, or one of other parameters.

    """
    called = twin_of(module, LayerDeclaration)
    tensors = {
        name: value if seed is None else value[seed] for name, value in module.tensors().items()
    }
    given: dict[str, Any] = {}
    like = next(iter(tensors.values()), None)
    if like is not None and isinstance(called.name, str) and _takes_dtype(called):
        given = {"dtype": like.dtype, "device": like.device}
    layer = _made(module, LayerDeclaration, nn, **given)
    with _in_words(module, called):
        if not isinstance(layer, nn.Module):
            raise UsageError(f"must be an nn.Module of PyTorch, got {type(layer).__name__}")
        if like is not None:
            layer.to(like.device, like.dtype)
        theirs = dict([*layer.named_parameters(), *layer.named_buffers()])
        for name, other in (_pairs(module, layer) | _state_pairs(module, layer)).items():
            mine, its = tensors[name], theirs[other]
            if mine.shape != its.shape:
                raise UsageError(
                    f"its parameter '{other}' has shape {tuple(its.shape)}, "
                    f"'{name}' of the class has {tuple(mine.shape)}"
                )
            with torch.no_grad():
                its.copy_(mine)
    return layer.train(module.training)


def _takes_dtype(called: Twin) -> bool:
    """Return whether PyTorch's class has an argument for the dtype, as those with parameters."""
    made = getattr(nn, str(called.name), None)
    return made is not None and "dtype" in inspect.signature(made).parameters


def criterion_like(loss: ours.Loss, like: Tensor | None = None) -> Criterion:
    """Return the PyTorch loss with the formula and the scale of `loss`, for one network.

    What it holds, such as weights of classes, gets the dtype and device of `like`.
    """
    if loss.parts:
        return _sum_like(loss, like)
    reduction = getattr(loss, "reduction", "mean")
    made = _made(loss, LossDeclaration, nn, reduction="sum" if reduction == "sample" else reduction)
    if like is not None and isinstance(made, nn.Module):
        made.to(like.device, like.dtype)
    if reduction != "sample":
        criterion: Criterion = made
        return criterion

    def per_sample(output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = made(output, target)
        return loss / len(output)

    return per_sample


def _sum_like(loss: ours.Loss, like: Tensor | None) -> Criterion:
    """Return the weighted sum of the parts' losses in PyTorch, each of its own columns."""
    parts = [(criterion_like(part, like), weight) for part, _, weight in loss.parts]
    widths = [columns for _, columns, _ in loss.parts]

    def total(output: Tensor, target: Tensor) -> Tensor:
        pieces = zip(parts, output.split(widths, -1), target.split(widths, -1), strict=True)
        terms = [weight * part(y, aim) for (part, weight), y, aim in pieces]
        return torch.stack(terms).sum()

    return total


def optimizer_like(
    optimizer: ours.Optimizer, parameters: Iterable[Tensor], eta: float
) -> torch.optim.Optimizer:
    """Return the PyTorch optimiser that takes the steps of `optimizer`, for these parameters."""
    made: torch.optim.Optimizer = _made(
        optimizer, OptimizerDeclaration, torch.optim, parameters, lr=eta
    )
    return made


def gradients(
    network: ours.Network, loss: ours.Loss, batches: Sequence[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """Return autograd's gradients of the loss on each seed's batch, stacked over seeds."""
    first = next((value for _, value, _ in network.parameters()), None)
    criterion = criterion_like(loss, first)
    per_seed: list[Any] = []
    for seed, (inputs, target) in enumerate(batches):
        net = twin(network, seed)
        criterion(net(inputs), target).backward()
        by_name = dict(net.named_parameters())
        found = names(network, net).values()
        per_seed.append([by_name[name].grad for name in found if name in by_name])
    return [torch.stack(same) for same in zip(*per_seed, strict=True)]
