"""Declarations of classes, beside their formulas, by which a config can name them.

    @layer("leaky-relu", about="max(x, slope x), of each number", short="slope",
           twin=Twin("LeakyReLU", negative_slope="slope"))
    class LeakyReLU(ActivationFunction):
        def __init__(self, slope: Annotated[float, Key("…", ge=0, lt=1)] = 0.01) -> None: ...

The keys in a config are the arguments of the constructor; `Key` gives their bounds and
descriptions. The declaration holds everything else that minifw needs about a layer, loss,
optimiser, schedule, initialiser or kind of generated data: the config's models, the schema, sizes,
the network, captions, the PyTorch twin and the tests are made from it. A class without a
declaration has the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from minifw.errors import ModuleError

__all__ = ["Key", "Twin", "initializer", "layer", "loss", "optimizer", "schedule"]

Keys = Mapping[str, Any]
"""The keys of a section of a config with their values: the constructor's arguments."""
Shape = tuple[int, ...]
"""The shape of a sample: `(25,)`, or `(3, 8, 8)`."""


@dataclass(frozen=True)
class Key:
    """The description of a config's key and the bounds of its value: `Annotated[float, Key(…)]`.

    With `per_network` the constructor also takes one number for each network of a stack.
    """

    about: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    per_network: bool = False


class Twin:
    """PyTorch's counterpart: a class of `torch.nn` or `torch.optim` and its arguments.

    Each argument is the name of an attribute of ours, or a function of ours: `Twin("LeakyReLU",
    negative_slope="slope")`. In place of a name there may be a class, or a function that makes an
    object: a user's own module of PyTorch. Parameters have the names of ours, or their order.
    """

    def __init__(
        self, name: str | Callable[..., Any], **arguments: str | Callable[[Any], Any]
    ) -> None:
        self.name = name
        self._arguments = arguments

    def __str__(self) -> str:
        name = self.name if isinstance(self.name, str) else getattr(self.name, "__name__", "")
        return name or repr(self.name)

    def arguments(self, ours: Any) -> dict[str, Any]:
        """Return the arguments for PyTorch's constructor."""
        return {
            name: getattr(ours, source) if isinstance(source, str) else source(ours)
            for name, source in self._arguments.items()
        }


@dataclass(frozen=True)
class Declaration:
    """The declaration of a class, or of a function that draws samples.

    `about` describes the kind in the schema, `section` a mapping of this kind. `short` is the key
    that the short form `kind: value` sets. `word` names it in tables and captions.
    """

    make: Callable[..., Any]
    kind: str = ""
    about: str = ""
    section: str = ""
    short: str = ""
    twin: Twin | None = None

    @property
    def word(self) -> str:
        return self.kind or getattr(self.make, "__name__", "")


IN_FEATURES: Mapping[str, Callable[[Any], int]] = {"in_features": lambda inputs: inputs[-1]}
"""What is inferred unless a layer's declaration says something else."""


@dataclass(frozen=True)
class LayerDeclaration(Declaration):
    """The declaration of a layer; each size is a function of the inputs and the keys.

    The inputs are the shape of a sample, such as `(25,)` or `(3, 8, 8)`; a layer of `several`
    inputs is given a tuple with the shape of each. `outputs` returns the shape of a sample of the
    outputs, or the number that its last dimension becomes. `parameters` counts the trained numbers,
    `operations` those of a sample. Each of them may raise a ModuleError where the shape does not
    fit. Without these functions a layer is made to measure its sizes.

    `inferred` are arguments that follow from the inputs: a config may leave them out. `whole` says
    that inputs are whole numbers, and how many there are, from 0 on; `least` how many samples a
    batch must have in training. `case` has
    the arguments with which the tests make a layer, `inputs` the shape that it is given in the
    tests, `(samples, *sample)`, or a tuple with the shape of each of several inputs.
    """

    outputs: Callable[[Any, Keys], int | Shape] | None = None
    parameters: Callable[[Any, Keys], int] | None = None
    operations: Callable[[Any, Keys], int] | None = None
    several: bool = False
    inferred: Mapping[str, Callable[[Any], int]] = field(default_factory=lambda: IN_FEATURES)
    whole: Callable[[Keys], int] | None = None
    least: Callable[[Any, Keys], int] | None = None
    case: Keys = field(default_factory=dict)
    inputs: tuple[int, ...] | tuple[tuple[int, ...], ...] = (5, 4)

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each input in the tests, `(samples, *sample)`."""
        return self.inputs if self.several else (self.inputs,)  # type: ignore[return-value]


@dataclass(frozen=True)
class LossDeclaration(Declaration):
    """The declaration of a loss: whether targets are `one_hot` rows, and what a `score` is.

    `tasks` are those of the data that it can be used for. `link` is what makes probabilities of
    the outputs: their softmax, or the sigmoid of each divided by the sum of them; None if they are
    no probabilities.
    """

    one_hot: bool = True
    score: Literal["probability", "output"] = "output"
    link: Literal["softmax", "sigmoid"] | None = None
    tasks: tuple[str, ...] = ("classification", "regression")


@dataclass(frozen=True)
class OptimizerDeclaration(Declaration):
    """The declaration of an optimiser: how many tensors it `remembers` for each parameter."""

    remembers: Callable[[Keys], int] = lambda keys: 1


@dataclass(frozen=True)
class ScheduleDeclaration(Declaration):
    """The declaration of a schedule of the learning rate."""


@dataclass(frozen=True)
class DataDeclaration(Declaration):
    """The declaration of a function that draws samples with `features` and `classes`.

    `features` are their names, or the name of a key that has their number; so may `targets` be, and
    `classes` a key that has the number of classes. `outline` is the true border between classes
    that a figure draws, by its name in `report/regions.py`. With `targets` the data are for
    regression: in place of classes the function draws numbers, `(samples, targets)`.
    """

    features: tuple[str, ...] | str = ("x", "y")
    classes: int | str = 2
    outline: Callable[[Keys], dict[str, Any]] = lambda keys: {}
    targets: tuple[str, ...] | str = ()

    def features_of(self, keys: Keys) -> tuple[str, ...]:
        """Return the names of the features, given the keys: x and y, or x1, x2, and so on."""
        if not isinstance(self.features, str):
            return self.features
        return ("x", "y") if keys[self.features] == 2 else _numbered("x", keys[self.features])

    def targets_of(self, keys: Keys) -> tuple[str, ...]:
        """Return the names of the targets, given the keys; of classification there are none."""
        if not isinstance(self.targets, str):
            return self.targets
        return _numbered("y", keys[self.targets])


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}{n + 1}" for n in range(count))


D = TypeVar("D", bound=Declaration)
Made = TypeVar("Made", bound=Callable[..., Any])

REGISTRY: dict[type[Declaration], dict[str, Any]] = {
    LayerDeclaration: {},
    LossDeclaration: {},
    OptimizerDeclaration: {},
    ScheduleDeclaration: {},
    Declaration: {},  # initialisers
    DataDeclaration: {},
}
"""All declarations with a kind, by family and kind, in the order of declaration."""


def declare(family: type[Declaration], kind: str = "", **said: Any) -> Callable[[Made], Made]:
    """Return a decorator that declares a class or function; with a `kind`, a config can name it.

    Raises:
        ModuleError: another one has that kind.

    """

    def beside(made: Made) -> Made:
        declaration = family(made, kind, **said)
        if kind in REGISTRY[family]:
            raise ModuleError(
                f"{declaration.word}: the kind '{kind}' is that of "
                f"{REGISTRY[family][kind].make.__name__}; a class of your own needs no kind"
            )
        if kind:
            REGISTRY[family][kind] = declaration
        made.declaration = declaration  # type: ignore[attr-defined]
        return made

    return beside


layer = partial(declare, LayerDeclaration)
loss = partial(declare, LossDeclaration)
optimizer = partial(declare, OptimizerDeclaration)
schedule = partial(declare, ScheduleDeclaration)
initializer = partial(declare, Declaration)
data = partial(declare, DataDeclaration)


def kinds(family: type[D]) -> dict[str, D]:
    """Return all declarations of a family, by their kinds."""
    return REGISTRY[family]


def declaration_of(made: Any, family: type[D]) -> D:
    """Return the declaration of a class or function; a subclass does not inherit it."""
    said = vars(made).get("declaration")
    return said if isinstance(said, family) else family(made)
