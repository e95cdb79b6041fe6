"""Sections of a config made from declarations: the arguments of a class become its keys.

A declaration (see `nn/registry.py`) and the signature of its class become a pydantic model; kinds
with the same description and keys share one. An instance is a section of a config: it knows its
declaration, gives sizes, and makes the layer, loss, optimiser or samples.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from operator import or_
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    TypeVar,
    cast,
    get_args,
    get_origin,
)
from typing import get_type_hints as hints_of

import numpy as np
import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError
from torch import Tensor

from minifw import nn
from minifw.config.code import told
from minifw.config.short import USE, bare_word
from minifw.config.targets import Targeted
from minifw.data import Floats, Points, arrays
from minifw.errors import DataError, MinifwError, ModuleError, ShapeError, short
from minifw.nn import Key, registry
from minifw.nn.module import described
from minifw.nn.optimizers import check_state
from minifw.nn.registry import (
    DataDeclaration,
    Declaration,
    LayerDeclaration,
    LossDeclaration,
    OptimizerDeclaration,
    ScheduleDeclaration,
    Shape,
    declaration_of,
)
from minifw.nn.schedules import factors_of
from minifw.statistics.measure import Task

OF_A_STACK = ("init", "stack", "generators", "dtype", "device")
"""Arguments that minifw gives to every layer that has them, or takes any (`**of_stack`)."""

MAX_COUNT = 10**9
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


def _share_or_count(value: object) -> object:
    """Accept a fraction below 1 or an integer; 1.0 is refused, since it could mean either."""
    fits = (type(value) is int and 1 <= value <= MAX_COUNT) or (
        type(value) is float and 0 < value < 1
    )
    if not fits:
        raise PydanticCustomError("share_or_count", "out of bounds")
    return value


ShareOrCount = Annotated[
    int | float,
    BeforeValidator(_share_or_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
            ]
        }
    ),
]
VALIDATION: Any = Field(
    None,
    description="how many of the training samples, the last of them, are for validation and not "
    "trained on: their number, or a fraction below 1; by default none",
)


@contextmanager
def blamed(word: str, stacked: bool = False) -> Iterator[None]:
    """Turn what a user's class raises into one line: where, and what.

    With `stacked` inputs are those of a stack, which a module in the class may not have heard of.
    """
    try:
        yield
    except (Exception, SystemExit) as fault:  # no file of a user's own ends the program
        where = told(fault)
        if where is None and isinstance(fault, MinifwError):
            raise
        what = where or f"{type(fault).__name__}: {fault}"
        hint = _what_it_takes(fault)
        if stacked and isinstance(fault, ShapeError):
            hint = (
                "; it is tried as two networks (2, …) of float64: hand the `stack` and `dtype` "
                "that the constructor is given on to each module that has them"
            )
        raise ModuleError(f"{word}: {what}{hint}") from None


def _what_it_takes(fault: BaseException) -> str:
    """Return what a module of minifw's takes that was handed another argument of layers."""
    handed = re.search(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(fault)
    )
    if not isinstance(fault, TypeError) or handed is None or handed[2] not in OF_A_STACK:
        return ""
    made = getattr(nn, handed[1], None)
    if not isinstance(made, type) or not issubclass(made, nn.Module):
        return ""
    arguments = inspect.signature(made).parameters
    takes = [key for key in OF_A_STACK if key in arguments]
    if not takes:
        return f"; {handed[1]} takes none of {', '.join(OF_A_STACK)}"
    given = ", ".join(f"{key}={key}" for key in takes[:2])
    return (
        f"; of {', '.join(OF_A_STACK)} {handed[1]} takes only {', '.join(takes)}: name these in "
        f"the constructor and hand them on, {handed[1]}(…, {given})"
    )


def _check_shape(word: str, method: str, value: Any, shape: tuple[int, ...]) -> None:
    if tuple(getattr(value, "shape", ())) != shape:
        what = described(value) if isinstance(value, Tensor) else type(value).__name__
        raise ModuleError(f"{word}.{method}: must give a value of shape {shape}, got {what}")


class Section(BaseModel):
    """Base of all sections: no key is unknown, no type is coerced, nothing is infinite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )


class Declared(Section):
    """A section of a config that names a class or function, with the arguments for it.

    `kind` names it, or `python` where it is in a user's Python file.
    """

    family: ClassVar[type[Declaration]]
    given: ClassVar[tuple[str, ...]] = ()
    """Arguments that are not keys of the config."""
    declarations: ClassVar[Mapping[str, Any]]
    """The declaration for each name that the model may have."""
    shares: ClassVar[bool] = False
    """Whether its own fields are keys of all sections of the family, not of the constructor."""

    if TYPE_CHECKING:  # the keys depend on the class

        def __getattr__(self, key: str) -> Any: ...

    @property
    def called(self) -> str:
        """The kind, or the dotted name of a class or function in a user's file."""
        fields = type(self).model_fields
        name: str = getattr(self, "kind" if "kind" in fields else "python")
        return name

    @property
    def declaration(self) -> Any:
        """Its declaration, which stands beside its formula."""
        return self.declarations[self.called]

    @property
    def word(self) -> str:
        """Its name in tables and captions."""
        word: str = self.declaration.word
        return word

    @classmethod
    def base_of(cls, names: Mapping[str, Any]) -> type[Self]:
        """Return the class of which the model of some declarations is made."""
        return cls

    def check(self) -> None:
        """Raise a MinifwError if a user's class cannot be made and used."""

    @property
    def keys(self) -> dict[str, Any]:
        """The keys for the constructor, with their values."""
        fields = type(self).model_fields
        known = {"kind", "python", *self.given, *_shared(type(self))}
        return {key: getattr(self, key) for key in fields if key not in known}

    def make(self, *first: Any, **given: Any) -> Any:
        """Return the object; from `given` it gets the arguments that it has."""
        return self.declaration.make(*first, **self.keys, **given)


Fields = dict[str, tuple[Any, Any]]


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
            _check_shape(self.word, "backward", each, (2, 3, *shape))
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
    declarations = {USE: LayerDeclaration(lambda: None, USE)}


def _given_to(declared: LayerDeclaration, inputs: tuple[Shape, ...]) -> Any:
    """Return what the functions of a layer's declaration are given."""
    return inputs if declared.several else inputs[0]


class LossSection(Declared):
    """A loss."""

    family = LossDeclaration

    def check(self) -> None:
        output = torch.zeros(2, 3, 2, dtype=torch.float64)
        target = output.clone()
        if not self.declaration.one_hot:
            target = torch.zeros(2, 3, dtype=torch.int64)
        with blamed(self.word):
            loss = self.make()
            value, gradient = loss.function(output, target), loss.grad(output, target)
        _check_shape(self.word, "function", value, (2,))
        _check_shape(self.word, "grad", gradient, (2, 3, 2))

    @property
    def predicts(self) -> bool:
        """Whether the output predicts what the data are about, as it does unless it is a head."""
        return True

    def fits(self, outputs: int) -> None:
        """Raise a MinifwError unless the loss can be made, and takes so many outputs."""
        output = torch.zeros(1, outputs, dtype=torch.float64)
        target = torch.zeros(1, dtype=torch.int64)
        with blamed(self.word):
            self.make().function(output, output if self.declaration.one_hot else target)


class OptimizerSection(Declared):
    """An optimiser."""

    family = OptimizerDeclaration
    given = ("network",)

    def check(self) -> None:
        with blamed(self.word):
            optimizer = self.make(nn.Sequential(nn.Linear(2, 2, stack=(2,))))
            check_state(optimizer, (2,))
            optimizer.step(0.1)

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        """Refuse numbers that do not fit each other."""
        if self.declaration.kind:
            rngs = [np.random.default_rng(0)]
            try:
                self.make(nn.Sequential(nn.Linear(1, 1, generators=rngs, dtype=torch.float64)))
            except ModuleError as fault:
                raise PydanticCustomError("unfit", "{wrong}", {"wrong": str(fault)}) from None
        return self

    @property
    def per_network(self) -> tuple[str, ...]:
        """The keys that may be one number for each network of a stack."""
        return per_network(self.declaration.make)

    @property
    def remembers(self) -> int:
        """How many tensors it keeps for each parameter between steps."""
        return int(self.declaration.remembers(self.keys))


class ScheduleSection(Declared):
    """A schedule of the learning rate."""

    family = ScheduleDeclaration

    @property
    def keys(self) -> dict[str, Any]:
        inner = super().keys
        is_made = {k: v.make() for k, v in inner.items() if isinstance(v, ScheduleSection)}
        return inner | is_made

    def check(self) -> None:
        with blamed(self.word):
            factors_of(self.make(), range(30), 30, 10)

    @property
    def is_constant(self) -> bool:
        """Whether the learning rate is the same in all steps."""
        return bool(self.declaration.make.is_constant)


class InitSection(Declared):
    """An initialiser."""

    family = Declaration

    def check(self) -> None:
        generator = np.random.default_rng(0)
        with blamed(self.word):
            init = self.make()
            weight = init.draw_weight(generator, (3, 2), 2, 3)
            bias = init.draw_bias(generator, (3,), 2, 3)
        _check_shape(self.word, "draw_weight", weight, (3, 2))
        _check_shape(self.word, "draw_bias", bias, (3,))


class Generated(Declared):
    """Keys that all generated data share."""

    family = DataDeclaration
    given = ("rng", "samples")
    shares = True

    train: Count = Field(1000, description="number of training samples, drawn anew for each seed")
    test: Count = Field(1000, description="number of test samples, likewise")
    validation: ShareOrCount | None = VALIDATION
    normalize: bool = Field(
        True, description="shift and scale each feature to mean 0 and standard deviation 1"
    )

    @classmethod
    def base_of(cls, names: Mapping[str, Any]) -> type[Self]:
        numbers = any(said.targets for said in names.values())
        return cast(type[Self], GeneratedNumbers) if numbers else cls

    def draw(self, generator: np.random.Generator, samples: int) -> Points:
        """Return so many points and their classes.

        Raises:
            DataError: a user's function returns something else.

        """
        with blamed(self.word):
            drawn = self.make(generator, samples)
        if self.declaration.kind:
            points: Points = drawn
            return points
        return own_points(
            self.declaration.make,
            drawn,
            samples,
            len(self.declaration.features),
            self.classes_declared,
            self.declaration.targets,
        )

    def check(self) -> None:
        self.draw(np.random.default_rng(0), 100)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the data can be used for."""
        return ("regression",) if self.declaration.targets else ("classification",)

    @property
    def is_regression(self) -> bool:
        """Whether targets are numbers."""
        return self.tasks == ("regression",)

    @property
    def outputs(self) -> int:
        """The number of outputs of a network: one for each class, or for each target."""
        return len(self.declaration.targets) or self.classes_declared

    @property
    def classes_declared(self) -> int:
        """The number of classes."""
        classes = self.declaration.classes
        return int(self.keys[classes] if isinstance(classes, str) else classes)


class GeneratedNumbers(Generated, Targeted):
    """Keys of generated data whose targets are numbers, or may be, as of a user's own function."""

    shares = True


def own_points(
    make: Callable[..., Any],
    drawn: object,
    samples: int,
    features: int | None = None,
    classes: int | None = None,
    targets: Sequence[str] | None = (),
) -> Points:
    """Return what a user's own function has drawn as float64 and int64; None: any number will do.

    With names of `targets` the second are numbers of float64, `(samples, targets)`.

    Raises:
        DataError: it is not so many points and the class, or the numbers, of each.

    """
    where, code = getattr(make, "__name__", "the function"), getattr(make, "__code__", None)
    if code is not None:
        where = f"{where} ({Path(code.co_filename).name}:{code.co_firstlineno})"
    points = f"({samples}, {features or 'features'})"
    must = f"{where}: must return two values, points {points} and their classes ({samples},)"
    if targets is None or targets:
        must = f"{where}: must return two values, points {points} and their targets ({samples},"
        must += f"), or ({samples}, {len(targets or ()) or 'targets'}),"
    if not isinstance(drawn, tuple | list) or len(drawn) != 2:
        several = isinstance(drawn, tuple | list)
        came = f"{len(drawn)} values" if several else _came(drawn)  # type: ignore[arg-type]
        raise DataError(f"{must}, got {came}")
    inputs = arrays.numbers(where, "points", drawn[0])
    if targets is None or targets:
        return inputs, _own_numbers(where, must, inputs, drawn[1], samples, features, targets)
    labels = arrays.array(where, "classes", drawn[1])
    if inputs.ndim == 1 and labels.ndim == 2:
        raise DataError(f"{must}; they are swapped, got {inputs.shape} and {labels.shape}")
    if inputs.ndim != 2 or inputs.shape[1] != (features or inputs.shape[1] or 1):
        raise DataError(f"{must}, got points {inputs.shape}")
    if len(inputs) != samples or labels.shape != (samples,):
        raise DataError(f"{must}, got {inputs.shape} and {labels.shape}")
    whole = labels.dtype.kind in "iub" or (
        labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all())
    )
    if not whole or not np.isfinite(labels).all():
        is_text = labels.dtype.kind in "USO"
        came = f"text, as {short(str(labels[0]))}" if is_text else str(labels.dtype)
        numbers = "" if is_text else "; task: regression takes numbers"
        raise DataError(f"{where}: classes must be whole numbers from 0 on, got {came}{numbers}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= (classes or high + 1):
        most = "on" if classes is None else f"to {classes - 1}"
        raise DataError(f"{where}: classes must be numbers from 0 {most}, got {low} to {high}")
    return inputs, labels.astype(np.int64)


def _own_numbers(
    where: str,
    must: str,
    inputs: Floats,
    drawn: object,
    samples: int,
    features: int | None,
    targets: Sequence[str] | None,
) -> Floats:
    """Return the targets of a user's own function for regression, `(samples, targets)`."""
    wanted = arrays.numbers(where, "targets", drawn)
    if wanted.ndim == 1:
        wanted = wanted[:, None]
    fits = inputs.ndim == 2 and inputs.shape[1] == (features or inputs.shape[1] or 1)
    count = len(targets or ()) or wanted.shape[-1]
    if not fits or len(inputs) != samples or wanted.shape != (samples, count) or not count:
        raise DataError(f"{must} got {inputs.shape} and {wanted.shape}")
    return wanted


def _came(value: object) -> str:
    """Return what came in place of two values: its shape and kind, or its type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{dtype} of {tuple(shape)}"


def _shared(model: type[Declared]) -> Iterable[str]:
    """Return the keys that a whole family shares, which no constructor has."""
    if issubclass(model, LayerSection):
        return WIRES
    bases = (base for base in model.__mro__ if issubclass(base, Declared))
    return next((base.model_fields for base in bases if vars(base).get("shares")), ())


# ------------------------------------------------------------------------- from arguments to keys

S = TypeVar("S", bound=Declared)


def fields_of(make: Callable[..., Any], base: type[Declared]) -> Fields:
    """Return the arguments of `make` as keys of a config, required ones first.

    Raises:
        ModuleError: an argument has no type, or one that a config cannot hold.

    """
    function: Any = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]
    hints = hints_of(function, include_extras=True)
    required: Fields = {}
    optional: Fields = {}
    for name, argument in inspect.signature(make).parameters.items():
        if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL):
            continue
        if name in base.given:
            if name == "init" and base is LayerSection:
                optional[name] = _INIT
            continue
        kind = hints.get(name, type(argument.default))
        if base is ScheduleSection and kind == nn.Schedule | None:
            optional[name] = _THEN
            continue
        if base is LayerSection and name in declaration_of(make, LayerDeclaration).inferred:
            optional[name] = _inferred(name, kind)
            continue
        if argument.default is argument.empty:
            if name not in hints:
                raise ModuleError(f"argument '{name}' must have a type, as in `{name}: float`")
            required[name] = _field(kind, ...)
        else:
            optional[name] = _field(kind, argument.default)
    return required | optional


def per_network(make: Any) -> tuple[str, ...]:
    """Return the arguments of an optimiser that may be one number for each network of a stack.

    A class that inherits the constructor, but not `step`, may use them as numbers, so it has none.
    """

    def has(name: str) -> type:
        bases: Sequence[type] = make.__mro__
        return next(base for base in bases if name in vars(base))

    if not issubclass(has("__init__"), has("step")):
        return ()
    hints = hints_of(make.__init__, include_extras=True)
    return tuple(
        name
        for name, kind in hints.items()
        if any(isinstance(said, Key) and said.per_network for said in get_args(kind)[1:])
    )


def _field(kind: Any, default: Any) -> tuple[Any, Any]:
    """Return the type and the description of a key, from the annotation of an argument."""
    said = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    kind = get_args(kind)[0] if said else kind
    key = next((each for each in said if isinstance(each, Key)), Key())
    if key.per_network:
        kind = float if default is not None else float | None  # a config describes one network
    about = key.about or next((each for each in said if isinstance(each, str)), None)
    bounds = {
        name: bound
        for name in ("ge", "gt", "le", "lt")
        if (bound := getattr(key, name)) is not None
    }
    if bounds:
        kind = Annotated[kind, Field(**bounds)]
    if bounds.get("ge") == 0:  # -0.0 passes `ge=0`, but NumPy refuses it as negative
        kind = Annotated[kind, AfterValidator(lambda value: value + 0)]
    # YAML has lists, Python's arguments are tuples.
    strict = False if get_origin(kind) is tuple else None
    return kind, Field(default, description=about, strict=strict)


def _inferred(name: str, kind: Any) -> tuple[Any, Any]:
    """Return the type and the description of a key that follows from a layer's inputs."""
    said = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    about = next((each.about for each in said if isinstance(each, Key) and each.about), None)
    words = {"in_features": "number of inputs", "in_channels": "number of input channels"}
    about = about or words.get(name, name.replace("_", " "))
    number = Annotated[int, Field(ge=1, le=100_000)] | None
    return number, Field(None, description=f"{about}; inferred, and checked if given")


def model_of(
    base: type[S], names: Mapping[str, Declaration], tag: str, about: Any, more: Fields
) -> type[S]:
    """Return a model for sections that name one of these declarations by `tag`.

    Raises:
        ModuleError: an argument has a type that a config cannot hold.

    """
    section = next(iter(names.values())).section
    if base is LayerSection:
        if taken := WIRES.keys() & more:
            raise ModuleError(
                f"{next(iter(names))}: argument '{min(taken)}' has the name of a key of every "
                "layer; give it another"
            )
        more = more | WIRES
    try:
        model: type[S] = create_model(  # type: ignore[call-overload]
            f"{base.__name__} {' '.join(names)}",
            __base__=base,
            __doc__=section,
            **{tag: (Literal[tuple(names)], about), **more},
        )
    except PydanticSchemaGenerationError:
        raise ModuleError(
            f"{next(iter(names))}: an argument has a type that a config cannot hold; bool, "
            "int, float, str, Literal, tuple and list can"
        ) from None
    model.declarations = names
    return model


def models_of(base: type[S], default: str = "") -> tuple[type[S], ...]:
    """Return the models of all kinds of a family; `default` is the kind if none is given."""
    # Kinds that are described alike and have the same keys share a model.
    groups: dict[Any, tuple[Any, Fields, dict[str, Declaration]]] = {}
    for kind, declaration in registry.kinds(base.family).items():
        fields = fields_of(declaration.make, base)
        key = (declaration.about, declaration.section, str(fields), kind == default)
        start = kind if kind == default else ...
        about = Field(start, description=declaration.about)
        groups.setdefault(key, (about, fields, {}))[2][kind] = declaration
    return tuple(
        model_of(base.base_of(names), names, "kind", about, fields)
        for about, fields, names in groups.values()
    )


def one_of(
    models: tuple[Any, ...],
    base: type[Declared] | tuple[type[Declared], ...],
    short: Callable[[Any], Any],
) -> Any:
    """Return the type of a section: one of the models, or a short form of one."""
    tagged: Any = reduce(or_, models)
    if len(models) > 1:
        tagged = Annotated[tagged, Field(discriminator="kind")]

    def spelled_out(value: object, check: ValidatorFunctionWrapHandler) -> object:
        return value if isinstance(value, base) else check(short(value))

    return Annotated[tagged, WrapValidator(spelled_out), SerializeAsAny()]  # type: ignore[type-arg]


INITS = models_of(InitSection)
Init = one_of(INITS, InitSection, bare_word)

# An optional key of every layer whose constructor has this argument.
_INIT = (Init | None, Field(None, description="initial weights of this layer"))

LAYERS = (
    *models_of(LayerSection),
    create_model("Use again", __base__=Use, __doc__=Use.__doc__, **WIRES),  # type: ignore[call-overload]
)
LOSSES = models_of(LossSection)
OPTIMIZERS = models_of(OptimizerSection, default="sgd")

# An optional key of a schedule that another one follows, which is not followed by a third.
_THEN: tuple[Any, Any] = (Any, None)
_ALONE = tuple(m for m in models_of(ScheduleSection) if "then" not in m.model_fields)
_THEN = (
    one_of(_ALONE, ScheduleSection, bare_word) | None,
    Field(None, description="the schedule that follows; by default constant"),
)
SCHEDULES = models_of(ScheduleSection)
DATA = models_of(Generated)  # all that `minifw.data` declares


def section(base: type[S], kind: str, **keys: Any) -> S:
    """Return a section of this kind with these keys and the defaults for the others."""
    model = next(
        model
        for models in (INITS, LAYERS, LOSSES, OPTIMIZERS, SCHEDULES, DATA)
        for model in models
        if issubclass(model, base) and kind in model.declarations
    )
    return cast(S, model.model_validate({"kind": kind, **keys}))
