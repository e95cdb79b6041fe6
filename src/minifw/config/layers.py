"""A layer of a config: its sizes, its module, and the trial of a user's own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)
from torch import Tensor

from minifw import nn
from minifw.config.blame import OF_A_STACK, blamed, check_shape
from minifw.config.declared import Declared, Fields
from minifw.config.short import USE
from minifw.errors import ModuleError
from minifw.nn.module import described
from minifw.nn.registry import LayerDeclaration, Shape


class LayerSizes(NamedTuple):
    """Shape of a sample of the outputs, trained numbers, and operations of a sample."""

    shape: Shape
    parameters: int
    operations: int

    @property
    def outputs(self) -> int:
        """The number of outputs of a sample."""
        return math.prod(self.shape)


def _names(value: object) -> object:
    """One name is short for a list of one."""
    return [value] if isinstance(value, str) else value


NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""The name of a layer, as a regular expression."""
Name = Annotated[str, Field(pattern=NAME, max_length=64)]
_Names = Annotated[tuple[Name, ...], Field(min_length=1, max_length=100, strict=False)]
_ONE_NAME = {"type": "string", "pattern": NAME, "maxLength": 64}
WIRES: Fields = {
    "name": (Name | None, Field(None, description="a name, for `from` of other layers")),
    "from": (
        Annotated[
            Annotated[_Names, BeforeValidator(_names)] | None,
            WithJsonSchema(
                {"anyOf": [_ONE_NAME, {"type": "array", "items": _ONE_NAME, "minItems": 1}]}
            ),
        ],
        Field(
            None,
            description="the layers whose outputs this one takes, by their names, or `inputs`, "
            "those of the network; by default the layer before",
        ),
    ),
}
"""The keys that every layer has: how it is wired."""


class LayerSection(Declared):
    """A layer of a network."""

    family = LayerDeclaration
    given = OF_A_STACK

    @model_serializer(mode="wrap")
    def _without_wires(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out how it is wired where that is not said: most networks are chains."""
        kept: dict[str, Any] = plain(self)
        return {k: v for k, v in kept.items() if k not in WIRES or v is not None}

    @classmethod
    def shared(cls) -> Iterable[str]:
        return WIRES

    @property
    def keys(self) -> dict[str, Any]:
        """The keys for the constructor, with their values, without those that are inferred."""
        return {k: v for k, v in super().keys.items() if k not in self.declaration.inferred}

    @property
    def declared_sizes(self) -> bool:
        """Whether its declaration gives its sizes, so that it need not be tried."""
        return self.declaration.outputs is not None and self.declaration.parameters is not None

    def inferred(self, *inputs: Shape) -> dict[str, int]:
        """Return the arguments of the constructor that follow from the shapes of its inputs.

        Raises:
            ModuleError: the inputs have not that many dimensions.

        """
        said: LayerDeclaration = self.declaration
        arguments = inspect.signature(said.make).parameters
        try:
            return {
                name: follows(_given_to(said, inputs))
                for name, follows in said.inferred.items()
                if name in arguments
            }
        except IndexError:
            came = " and ".join(map(str, inputs))
            raise ModuleError(
                f"{self.word}: expects samples of more dimensions, got {came}"
            ) from None

    def sizes(self, *inputs: Shape) -> LayerSizes:
        """Return the sizes of this layer for samples of this shape, or one for each input.

        Unless the declaration counts operations, there are two for each parameter, or one for each
        output if there are no parameters.

        Raises:
            ModuleError: it has not so many inputs, or not of these shapes; or the declaration gives
                no sizes, and a layer cannot be made to measure them.

        """
        said: LayerDeclaration = self.declaration
        if len(inputs) > 1 and not said.several:
            raise ModuleError(f"{self.word}: expects one input, got {len(inputs)}")
        given = _given_to(said, inputs)
        if not self.declared_sizes:
            shape, parameters = self.trial(*inputs)
        with blamed(self.word):
            if said.outputs is not None:
                outputs = said.outputs(given, self.keys)
                shape = (*inputs[0][:-1], outputs) if isinstance(outputs, int) else tuple(outputs)
            if said.parameters is not None:
                parameters = said.parameters(given, self.keys)
            operations = (
                (2 * parameters or math.prod(shape))
                if said.operations is None
                else said.operations(given, self.keys)
            )
        return LayerSizes(shape, parameters, operations)

    def module(self, *inputs: Shape, **of_stack: Any) -> nn.Module:
        """Return the module for samples of this shape, or one for each input.

        See `OF_A_STACK` for the rest.
        """
        arguments = inspect.signature(self.declaration.make).parameters
        takes_all = any(each.kind is each.VAR_KEYWORD for each in arguments.values())
        given = {key: value for key, value in of_stack.items() if takes_all or key in arguments}
        module: nn.Module = self.make(**self.inferred(*inputs), **given)
        return module

    def trial(self, *inputs: Shape) -> tuple[Shape, int]:
        """Make two networks of this layer; return its outputs' shape and the parameters of one.

        Raises:
            ModuleError: it cannot be made or used, or is not what a stack needs.

        """
        with blamed(self.word):
            module = self.module(
                *inputs,
                init="pytorch",
                stack=(2,),
                generators=[np.random.default_rng(seed) for seed in range(2)],
                dtype=torch.float64,
                device="cpu",
            )
            parameters = module.parameters()
        for name, value, _ in parameters:
            if value.shape[:1] != (2,) or value.dtype != torch.float64:
                raise ModuleError(
                    f"{self.word}: parameter '{name}' must begin with the `stack` and be of the "
                    f"`dtype` that the constructor is given, for two networks (2, …) of float64, "
                    f"got {described(value)}"
                )
        given = [
            torch.linspace(-1, 1, 6 * math.prod(shape), dtype=torch.float64).reshape(2, 3, *shape)
            for shape in inputs
        ]
        if self.declaration.whole is not None:
            most = self.declaration.whole(self.keys) - 1
            given = [(most * (x + 1) / 2).round_() for x in given]
        with blamed(self.word, stacked=True), self._unchanged("forward", *given):
            output = module.forward(*given)
        if not isinstance(output, Tensor) or output.shape[:2] != (2, 3) or output.ndim < 3:
            came = " and ".join(str(tuple(each.shape)) for each in given)
            raise ModuleError(
                f"{self.word}: must give (2, 3, …) for an input of {came}, got {described(output)}"
            )
        gradient = torch.ones_like(output)
        with blamed(self.word), self._unchanged("backward", gradient):
            back = module.backward(gradient)
        backs = back if isinstance(back, tuple) else (back,)
        if len(backs) != len(given):
            raise ModuleError(
                f"{self.word}.backward: must give a gradient for each of the {len(given)} inputs, "
                f"got {len(backs)}"
            )
        for each, shape in zip(backs, inputs, strict=True):
            check_shape(self.word, "backward", each, (2, 3, *shape))
        return tuple(output.shape[2:]), sum(value.numel() // 2 for _, value, _ in parameters)

    @contextmanager
    def _unchanged(self, method: str, *given: Tensor) -> Iterator[None]:
        """Raise if a method writes over what it is given: the data, or another layer's result."""
        before = [each.clone() for each in given]
        yield
        if not all(map(torch.equal, before, given)):
            raise ModuleError(
                f"{self.word}.{method}: must not change the tensor that it is given; make a new one"
            )


class Use(LayerSection):
    """One of the layers again: its parameters are those of that layer."""

    kind: Literal["use"] = Field(description="a layer again, with the same parameters")
    layer: Name = Field(description="the name of that layer")
    declarations: ClassVar[Mapping[str, Any]] = {USE: LayerDeclaration(lambda: None, USE)}


def _given_to(declared: LayerDeclaration, inputs: tuple[Shape, ...]) -> Any:
    """Return what the functions of a layer's declaration are given."""
    return inputs if declared.several else inputs[0]
