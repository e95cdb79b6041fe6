"""Configs: YAML text to a frozen, validated `Config`, or every fault at once with its place.

The way of a config: text -> plain values with the line and column of each, and `--set` overrides
(`places.py`) -> pydantic in strict mode -> checks across keys. All faults that one stage finds are
reported together.

Wherever a mapping has a `kind`, a bare word stands for a mapping with that kind alone:
`init: kaiming-normal`. A layer may also be one key, `linear: 25` or `linear: {out_features: 25}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from minifw import places
from minifw.errors import ConfigError, near_miss
from minifw.places import KeyPath, Source, dotted, kind_of, short

# ------------------------------------------------------------------------------------ the schema


def _bare_word(value: object) -> object:
    """`mse` is short for `{kind: mse}`."""
    return {"kind": value} if isinstance(value, str) else value


def _bare_layer(value: object) -> object:
    """`relu`, `{linear: 25}` and `{linear: {…}}` are short for mappings with a kind."""
    if isinstance(value, dict) and len(value) == 1 and "kind" not in value:
        ((kind, rest),) = value.items()
        if isinstance(rest, dict):
            return {"kind": kind, **rest}
        return {"kind": kind, LAYER_SIZE.get(kind, "value"): rest}
    return _bare_word(value)


LAYER_SIZE = {"linear": "out_features"}
"""The key that `layer: value` gives, for the layers that have one."""

Count = Annotated[int, Field(ge=1, le=10**9)]
Positive = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(gt=0, le=10**9)]


class Section(BaseModel):
    """Base of all sections: no key is unknown, no type is coerced, nothing is infinite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )


class Generated(Section):
    """Keys that all generated data share."""

    train: Count = Field(1000, description="number of training samples")
    test: Count = Field(1000, description="number of test samples")
    normalize: bool = Field(True, description="inputs to mean 0, standard deviation 1")


class Disk(Generated):
    """Uniform points of the unit square; class 1 inside the disk."""

    kind: Literal["disk"]
    center: tuple[float, float] = Field((0.5, 0.5), strict=False)
    # Half of the unit square's area: 1 / sqrt(2 pi).
    radius: Positive = 0.3989422804014327


class HalfPlane(Generated):
    """Uniform points of the unit square; class 1 where x > y."""

    kind: Literal["half-plane"]


class Moons(Generated):
    """Two half circles that interlock; `noise` is the standard deviation around them."""

    kind: Literal["moons"]
    noise: float = Field(0.1, ge=0)


class Spirals(Generated):
    """Arms that wind `turns` times around the origin, one a class."""

    kind: Literal["spirals"]
    noise: float = Field(0.02, ge=0)
    turns: Positive = 1.0
    classes: int = Field(2, ge=2, le=100)


class FromFile(Section):
    """Keys that all data files share; `train` and `test` are counts, or fractions below 1."""

    path: str = Field(min_length=1)
    train: Amount = 0.8
    test: Amount | None = None
    normalize: bool = True


class Csv(FromFile):
    """A CSV file; `features` and `target` are column names, by default all and the last."""

    kind: Literal["csv"]
    features: list[str] | None = Field(None, min_length=1)
    target: str | None = None


class Npz(FromFile):
    """A NumPy file; `features` and `target` are the names of its arrays."""

    kind: Literal["npz"]
    features: str = "x"
    target: str = "y"


Data = Annotated[Disk | HalfPlane | Moons | Spirals | Csv | Npz, Field(discriminator="kind")]


class PlainInit(Section):
    """An initialiser without parameters of its own."""

    kind: Literal[
        "pytorch", "kaiming-uniform", "kaiming-normal", "xavier-uniform", "xavier-normal", "zeros"
    ]


class NormalInit(Section):
    """N(0, std²) for weights and biases."""

    kind: Literal["normal"]
    std: float = Field(1.0, ge=0)


Init = Annotated[
    Annotated[PlainInit | NormalInit, Field(discriminator="kind")], BeforeValidator(_bare_word)
]


class LinearLayer(Section):
    """A linear layer; `in_features` is inferred, and checked where it is given."""

    kind: Literal["linear"]
    out_features: Annotated[int, Field(ge=1, le=100_000)]
    in_features: Annotated[int, Field(ge=1, le=100_000)] | None = None
    bias: bool = True
    init: Init | None = None


class Activation(Section):
    """An activation function."""

    kind: Literal["relu", "tanh", "sigmoid"]


Layer = Annotated[
    Annotated[LinearLayer | Activation, Field(discriminator="kind")], BeforeValidator(_bare_layer)
]


class LossConfig(Section):
    """The loss and its scale."""

    kind: Literal["mse", "cross-entropy"]
    reduction: Literal["mean", "sample", "sum"] = "mean"


class OptimizerConfig(Section):
    """Gradient descent, with momentum or without."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.0, ge=0, lt=1)


def _no_number(value: Any) -> Any:
    """Return the value, a whole number as text: for Python 1 is True."""
    return str(value) if type(value) is int else value


class Train(Section):
    """How to train; `batch_size` counts in mode sgd only, `compile` is where to use `compiled`."""

    mode: Literal["full-batch", "sgd"] = "full-batch"
    batch_size: Count | None = None
    eta: Positive
    epochs: Count
    eval_every: Count = 10
    checkpoint_every: Count = 50
    compile: Annotated[Literal["auto", True, False], BeforeValidator(_no_number)] = "auto"


class Config(Section):
    """One experiment. Every key is described in the comments of configs/simplenet.yaml."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    seed: int = Field(0, ge=0, le=2**32)
    seeds: Annotated[int, Field(ge=1, le=100_000)] | None = None
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    data: Annotated[Data, BeforeValidator(_bare_word)]
    network: tuple[Layer, ...] = Field(min_length=1, strict=False)
    init: Init = Field(default_factory=lambda: PlainInit(kind="pytorch"))
    loss: Annotated[LossConfig, BeforeValidator(_bare_word)]
    optimizer: Annotated[OptimizerConfig, BeforeValidator(_bare_word)] = Field(
        default_factory=lambda: OptimizerConfig(kind="sgd")
    )
    train: Train


# --------------------------------------------------------------------------------------- loading


def load(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    checks: Sequence[Callable[[Config], dict[KeyPath, str]]] = (),
) -> Config:
    """Read, override and validate the config at `path`.

    Args:
        overrides: `section.key=value` each, the value as YAML; they win over the file.
        checks: further checks of the valid config, each returning faults by their path.

    Raises:
        ConfigError: with all faults, one line each.
        StorageError: the file is there but may not be read.

    """
    source = Source(str(path))
    raw = places.parse(places.read(path), source)
    if raw is None:
        raise ConfigError([f"{path}: the file is empty; a config needs at least {_required()}"])
    if not isinstance(raw, dict):
        raise ConfigError([f"{source.place(())}: expects `key: value` lines, got {kind_of(raw)}"])
    for assignment in overrides:
        places.override(raw, assignment, source)
    if source.faults:
        raise ConfigError(source.faults)
    try:
        config = Config.model_validate(raw)
    except ValidationError as fault:
        raise ConfigError(_faults(fault, raw, source)) from None
    faults = [
        f"{source.place(where)}: {dotted(where)}: {what}"
        for check in (_check_train, _check_chain, *checks)
        for where, what in check(config).items()
    ]
    if faults:
        raise ConfigError(faults)
    if isinstance(config.data, FromFile):
        # A path in the file is meant from where the file is, one on the command line from here.
        here = source.place(("data", "path")).startswith("--set")
        base = Path.cwd() if here else path.absolute().parent
        data = config.data.model_copy(update={"path": str(base / config.data.path)})
        config = config.model_copy(update={"data": data})
    return config


def dump(config: Config) -> str:
    """Return the config as YAML with every key spelled out, which loads to an equal config."""
    return places.dump(config.model_dump(mode="json"))


# ---------------------------------------------------------------------------------------- faults

_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "model_type": "a mapping (`key: value` lines)",
    "model_attributes_type": "a mapping (`key: value` lines)",
    "dict_type": "a mapping (`key: value` lines)",
}


def _faults(error: ValidationError, raw: Any, source: Source) -> list[str]:
    """Return one line a fault, unknown keys before missing ones, else in the order of the file."""
    lines = []
    all_faults = error.errors(include_url=False)
    for fault in all_faults:
        kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
        inner = (f["loc"][: len(fault["loc"])] == fault["loc"] != f["loc"] for f in all_faults)
        if kind == "too_short" and any(inner):
            continue  # pydantic counts the valid items only; the invalid ones have their own line
        model, path = _follow(fault["loc"])
        of_key = False
        if kind == "extra_forbidden":
            what, of_key = f"unknown key{near_miss(path[-1], _keys(model))}", True
        elif kind == "missing":
            what = "this key is missing"
        elif kind == "union_tag_not_found" and path[:1] == ("network",):
            what = "a layer is a word (relu), one key (linear: 25), or a mapping with 'kind'"
        elif kind == "union_tag_not_found":
            what = "the key 'kind' is missing"
        elif kind == "union_tag_invalid":
            if (*path, "kind") in source.places:
                path = (*path, "kind")
            choices = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
            what = f"unknown kind {short(context['tag'])}{near_miss(context['tag'], choices)}"
        elif kind == "literal_error":
            choices = re.findall(r"[\w-]+", context["expected"].replace(" or ", " "))
            choices = [{"True": "true", "False": "false"}.get(c, c) for c in choices]
            what = f"must be one of {', '.join(choices)}, got {_came(given)}"
            what += near_miss(given, choices) if isinstance(given, str) else ""
        elif kind in _LIMITS:
            words, key = _LIMITS[kind]
            what = f"must be {words} {context[key]}, got {_came(given)}"
        elif kind in _TYPES:
            what = f"must be {_TYPES[kind]}, got {_came(given)}"
        elif kind == "string_pattern_mismatch":
            what = f"must be letters, digits, - and _ only, at most 64, got {_came(given)}"
        elif kind in ("too_short", "too_long"):
            words, key = (
                ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
            )
            what = f"must have {words} {context[key]} item(s), got {context['actual_length']}"
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            what = f"{message}, got {_came(given)}"
        if path[-1:] == ("value",) and kind == "extra_forbidden" and of_key:
            path, of_key, what = path[:-1], False, "this layer takes no value"
        line = f"{source.place(path, of_key)}: {dotted(path)}: {what}"
        lines.append((kind == "missing", line))
    return list(dict.fromkeys(line for _, line in sorted(lines, key=lambda pair: pair[0])))


def _follow(location: KeyPath) -> tuple[list[type[Section]], KeyPath]:
    """Return the sections in which pydantic's `location` ends, and the location as in the file.

    Pydantic puts the kind of a section into the location; the file has no such key.
    """
    current: list[Any] = [Config]
    models: list[type[Section]] = [Config]
    path: list[str | int] = []
    for part in location:
        inner = _sections(current)
        tagged = (
            [m for m in inner if part in get_args(m.model_fields["kind"].annotation)]
            if all("kind" in m.model_fields for m in inner)
            else []
        )
        if tagged and isinstance(part, str):
            current = list(tagged)
            continue
        models = inner
        path.append(part)
        if isinstance(part, str):
            current = [m.model_fields[part].annotation for m in inner if part in m.model_fields]
    return models, tuple(path)


def _sections(annotations: Sequence[Any]) -> list[type[Section]]:
    """Return the sections that stand anywhere in these type annotations."""
    found: list[type[Section]] = []
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            found.append(annotation)
        elif get_origin(annotation) is not None:
            found.extend(_sections(get_args(annotation)))
    return found


def _keys(models: Sequence[type[Section]]) -> set[str]:
    return {key for model in models for key in model.model_fields}


def _required() -> str:
    return ", ".join(key for key, value in Config.model_fields.items() if value.is_required())


def _check_train(config: Config) -> dict[KeyPath, str]:
    train = config.train
    if train.mode == "sgd" and train.batch_size is None:
        return {("train", "batch_size"): "this key is missing; mode 'sgd' needs it"}
    if (
        train.mode == "sgd"
        and train.batch_size is not None
        and isinstance(config.data, Generated)
        and train.batch_size > config.data.train
    ):
        return {
            ("train", "batch_size"): f"must be at most data.train = {config.data.train}, "
            f"got {train.batch_size}"
        }
    return {}


def _check_chain(config: Config) -> dict[KeyPath, str]:
    """Every layer must take what the one before it gives; the first takes the data."""
    if isinstance(config.data, FromFile):
        return chain_faults(config, None, None)
    return chain_faults(config, 2, getattr(config.data, "classes", 2))


def chain_faults(config: Config, features: int | None, classes: int | None) -> dict[KeyPath, str]:
    """Return what does not fit in the chain from `features` inputs to `classes` outputs."""
    faults: dict[KeyPath, str] = {}
    size, giver = features, "the data"
    for position, layer in enumerate(config.network):
        if not isinstance(layer, LinearLayer):
            continue
        if layer.in_features is not None and size is not None and layer.in_features != size:
            faults[("network", position)] = (
                f"expects {layer.in_features} inputs, but {giver} has {size}"
                if giver == "the data"
                else f"expects {layer.in_features} inputs, but {giver} gives {size}"
            )
        size, giver = layer.out_features, f"network.{position}"
    if classes is not None and size is not None and size != classes:
        last = max(
            (i for i, layer in enumerate(config.network) if isinstance(layer, LinearLayer)),
            default=0,
        )
        faults.setdefault(
            ("network", last),
            f"the network must end with one output for each of the {classes} classes, got {size}",
        )
    return faults


def _came(value: object) -> str:
    """Return what came, in words: the value, or its kind where the value is long."""
    if value is None or isinstance(value, (dict, list)):
        return kind_of(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{short(value)} ({kind_of(value)})" if isinstance(value, str) else short(value)
