"""What a config may say: its keys, their types and bounds, as frozen pydantic models.

Wherever a mapping has a `kind`, a bare word stands for a mapping with that kind alone:
`init: kaiming-normal`. A layer may also be one key, `linear: 25` or `linear: {out_features: 25}`.
How a file becomes a `Config` is in `loading.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from minifw.config.source import short


def _bare_word(value: object) -> object:
    """`mse` is short for `{kind: mse}`."""
    return {"kind": value} if isinstance(value, str) else value


def _bare_layer(value: object) -> object:
    """`relu`, `{linear: 25}` and `{linear: {…}}` are short for mappings with a kind."""
    if is_one_key(value):
        ((kind, rest),) = value.items()
        if isinstance(rest, dict):
            return {"kind": kind, **rest}
        return {"kind": kind, LAYER_SIZE.get(kind, "value"): rest}
    return _bare_word(value)


def is_one_key(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a layer is written as one key, `linear: 25`."""
    return isinstance(value, dict) and len(value) == 1 and "kind" not in value


LAYER_SIZE = {"linear": "out_features"}
"""The key that `layer: value` gives, for the layers that have one."""

# Windows cannot make files of these names, whatever their suffix.
_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


def name_fault(name: str) -> str | None:
    """Return what is wrong with the name of a run, which becomes part of a folder's name."""
    if not re.fullmatch(NAME, name):
        return (
            f"must be 1 to 64 letters, digits, - and _, a letter or digit first, got {short(name)}"
        )
    if name.lower() in _RESERVED:
        return f"must not be a name that Windows keeps for itself, got '{name}'"
    return None


def _check_name(name: str) -> str:
    if wrong := name_fault(name):
        raise PydanticCustomError("name", "{wrong}", {"wrong": wrong})
    return name


def _share_or_count(value: object) -> object:
    """A share of all samples below 1, or a whole number of them: 1.0 could be meant as either."""
    fits = (type(value) is int and 1 <= value <= MAX_COUNT) or (
        type(value) is float and 0 < value < 1
    )
    if not fits:
        raise PydanticCustomError("share_or_count", "out of bounds")
    return value


MAX_COUNT = 10**9
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0), AfterValidator(lambda value: value + 0.0)]  # no -0.0
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


class Section(BaseModel):
    """Base of all sections: no key is unknown, no type is coerced, nothing is infinite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )


class Generated(Section):
    """Keys that all generated data share."""

    train: Count = Field(1000, description="number of training samples, drawn anew for each seed")
    test: Count = Field(1000, description="number of test samples, likewise")
    normalize: bool = Field(
        True, description="take each feature to mean 0 and standard deviation 1"
    )


class Disk(Generated):
    """Uniform points of the unit square; class 1 inside the disk."""

    kind: Literal["disk"] = Field(description="points of a square, inside or outside of a disk")
    center: tuple[float, float] = Field((0.5, 0.5), strict=False, description="x and y of it")
    radius: Positive = Field(
        0.3989422804014327, description="radius; 1/sqrt(2 pi) makes both classes equally likely"
    )


class HalfPlane(Generated):
    """Uniform points of the unit square; class 1 where x > y."""

    kind: Literal["half-plane"] = Field(description="points of a square, class 1 where x > y")


class Moons(Generated):
    """Two half circles that interlock; `noise` is the standard deviation around them."""

    kind: Literal["moons"] = Field(description="two half circles that interlock")
    noise: NotNegative = Field(0.1, description="standard deviation around them")


class Spirals(Generated):
    """Arms that wind `turns` times around the origin, one a class."""

    kind: Literal["spirals"] = Field(description="arms that wind around the origin, one a class")
    noise: NotNegative = Field(0.02, description="standard deviation around them")
    turns: Positive = Field(1.0, description="how often an arm winds around the origin")
    classes: int = Field(2, ge=2, le=100, description="number of arms")


def _path(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """A path may hold bytes that are no UTF-8 (lone surrogates); pydantic's text may not."""
    if not isinstance(value, str):
        return check(value)
    check(value.encode(errors="replace").decode())
    return value


class FromFile(Section):
    """Keys that all data files share."""

    path: Annotated[str, WrapValidator(_path)] = Field(
        min_length=1, description="the file, seen from the config's folder"
    )
    train: ShareOrCount = Field(
        0.8, description="training samples: their number, or a fraction below 1 of all"
    )
    test: ShareOrCount | None = Field(
        None, description="test samples, likewise; by default all the rest"
    )
    normalize: bool = Field(
        True, description="take each feature to mean 0 and standard deviation 1"
    )


class Csv(FromFile):
    """A CSV file; `features` and `target` are column names, by default all and the last."""

    kind: Literal["csv"] = Field(description="a CSV file with a line of column names")
    features: list[str] | None = Field(
        None, min_length=1, description="columns of numbers; by default all but the target"
    )
    target: str | None = Field(None, description="column of classes; by default the last")


class Npz(FromFile):
    """A NumPy file; `features` and `target` are the names of its arrays."""

    kind: Literal["npz"] = Field(description="a NumPy .npz file")
    features: str = Field("x", description="name of the array of inputs, (samples, features)")
    target: str = Field("y", description="name of the array of classes, (samples,)")


Data = Annotated[Disk | HalfPlane | Moons | Spirals | Csv | Npz, Field(discriminator="kind")]


class PlainInit(Section):
    """An initialiser without parameters of its own."""

    kind: Literal[
        "pytorch", "kaiming-uniform", "kaiming-normal", "xavier-uniform", "xavier-normal", "zeros"
    ] = Field(description="how weights start; pytorch is what torch's Linear does")


class NormalInit(Section):
    """N(0, std²) for weights and biases."""

    kind: Literal["normal"] = Field(description="normally distributed weights and biases")
    std: NotNegative = Field(1.0, description="their standard deviation")


Init = Annotated[
    Annotated[PlainInit | NormalInit, Field(discriminator="kind")], BeforeValidator(_bare_word)
]


class LinearLayer(Section):
    """A linear layer; `in_features` is inferred, and checked where it is given."""

    kind: Literal["linear"] = Field(description="y = x W^T + b")
    out_features: Annotated[int, Field(ge=1, le=100_000)] = Field(description="number of outputs")
    in_features: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="number of inputs: what comes in; checked where it is given"
    )
    bias: bool = Field(True, description="whether there is a b")
    init: Init | None = Field(None, description="how this layer's weights start")


class Activation(Section):
    """An activation function."""

    kind: Literal["relu", "tanh", "sigmoid"] = Field(description="the function, of each number")


Layer = Annotated[
    Annotated[LinearLayer | Activation, Field(discriminator="kind")], BeforeValidator(_bare_layer)
]


class LossConfig(Section):
    """The loss and its scale."""

    kind: Literal["mse", "cross-entropy"] = Field(description="the loss")
    reduction: Literal["mean", "sample", "sum"] = Field(
        "mean",
        description="its scale, and so that of each step: mean over samples and outputs; sample, "
        "the sum over outputs, mean over samples; or sum over everything",
    )


class OptimizerConfig(Section):
    """Gradient descent, with momentum or without."""

    kind: Literal["sgd"] = Field("sgd", description="gradient descent")
    momentum: NotNegative = Field(0.0, lt=1, description="share of the last step in the next one")


def _no_number(value: Any) -> Any:
    """Return the value, a whole number as text: for Python 1 is True."""
    return str(value) if type(value) is int else value


Mode = Literal["full-batch", "sgd"]


class Train(Section):
    """How to train; `batch_size` counts in mode sgd only, `compile` is where to use `compiled`."""

    mode: Mode = Field(
        "full-batch", description="all samples in one step, or batches in a new order each epoch"
    )
    batch_size: Count | None = Field(None, description="samples a step in mode sgd")
    eta: Positive = Field(description="learning rate, constant")
    epochs: Count = Field(description="passes over the training samples")
    eval_every: Count = Field(10, description="epochs between measurements of loss and errors")
    checkpoint_every: Count = Field(
        50,
        description="epochs between checkpoints, from which a run that was cut short can go on; "
        "fewer where they would take more than 2 % of the time",
    )
    compile: Annotated[Literal["auto", True, False], BeforeValidator(_no_number)] = Field(
        "auto", description="machine code of an epoch: true, false, or where it saves time"
    )


class Config(Section):
    """One experiment. Every key is described in the comments of configs/simplenet.yaml."""

    name: Annotated[
        str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME})
    ] = Field(description="names the run's folder: letters, digits, - and _")
    seed: int = Field(0, ge=0, le=2**32, description="the first seed; run k uses seed + k")
    seeds: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="how many seeds to run; by default 1 for train and 20 for compare"
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="kind of numbers")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where to train")
    data: Annotated[Data, BeforeValidator(_bare_word)] = Field(description="what to learn")
    network: tuple[Layer, ...] = Field(
        min_length=1, strict=False, description="layers, from the data to one output a class"
    )
    init: Init = Field(
        default_factory=lambda: PlainInit(kind="pytorch"),
        description="how weights start, where a layer says nothing else",
    )
    loss: Annotated[LossConfig, BeforeValidator(_bare_word)] = Field(
        description="what training makes small"
    )
    optimizer: Annotated[OptimizerConfig, BeforeValidator(_bare_word)] = Field(
        default_factory=lambda: OptimizerConfig(kind="sgd"), description="how a step is taken"
    )
    train: Train = Field(description="how to train")
