"""From the arguments of a class to the keys of a config.

A declaration (see `nn/registry.py`) and the signature of its class become a pydantic model; kinds
with the same description and keys share one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from typing import get_type_hints as hints_of

from pydantic import (
    AfterValidator,
    Field,
    PydanticSchemaGenerationError,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)

from minifw import nn
from minifw.config.declared import Declared, Fields
from minifw.config.layers import WIRES, LayerSection
from minifw.config.parts import LossSection, ScheduleSection
from minifw.errors import ModuleError
from minifw.nn import Key, registry
from minifw.nn.registry import Declaration, LayerDeclaration, declaration_of

S = TypeVar("S", bound=Declared)

INSIDE: Fields = {"init": (Any, None), "then": (Any, None)}
"""Keys that are sections of another kind themselves; `sections.py` says which may stand there."""


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
                optional[name] = INSIDE[name]
            continue
        kind = hints.get(name, type(argument.default))
        if base is ScheduleSection and kind == nn.Schedule | None:
            optional[name] = INSIDE["then"]
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
    if taken := more.keys() & {*base.shared()}:
        of = "every layer" if base is LayerSection else "all data"
        if issubclass(base, LossSection):
            of = "every loss in a list of them"
        raise ModuleError(
            f"{next(iter(names))}: argument '{min(taken)}' has the name of a key of {of}; "
            "give it another"
        )
    if base is LayerSection:
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
