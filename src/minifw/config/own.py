"""Sections that name a class outside minifw: in a user's Python file, or an installed layer.

`{python: mymodules.LeakyReLU, slope: 0.1}` names a layer, a loss, an optimiser, an initialiser or
a function that draws data. A layer of an installed package has a kind like minifw's own: the name
of its entry point in the group `minifw.layers`. Each becomes a model in the same way as minifw's
own classes. These sections are checked and replaced before all others.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from minifw import nn
from minifw.config import settings, short
from minifw.config.blame import blamed
from minifw.config.code import Code
from minifw.config.declared import Declared
from minifw.config.fields import fields_of, model_of
from minifw.config.generated import Generated, GeneratedNumbers
from minifw.config.heads import HeadSection
from minifw.config.layers import LayerSection
from minifw.config.messages import note_faults
from minifw.config.own_table import OwnTable, returns_table
from minifw.config.parts import InitSection, LossSection, OptimizerSection, ScheduleSection
from minifw.config.points import own_points
from minifw.config.short import bare_layer, installed, kind_key
from minifw.config.source import KeyPath, Source, kind_of
from minifw.errors import MinifwError, UsageError, short_word
from minifw.nn import registry
from minifw.nn.registry import DataDeclaration, Declaration, LayerDeclaration

PYTHON = "a class in a Python file beside the config, as in mymodules.LeakyReLU; needs --allow-code"

_BASES: dict[str, type[Declared]] = {
    "data": Generated,
    "init": InitSection,
    "loss": LossSection,
    "optimizer": OptimizerSection,
}
_CLASSES: dict[type[Declared], type] = {
    InitSection: nn.Initializer,
    LayerSection: nn.Module,
    HeadSection: nn.Loss,
    LossSection: nn.Loss,
    OptimizerSection: nn.Optimizer,
    ScheduleSection: nn.Schedule,
}


def take(raw: dict[str, Any], source: Source, code: Code, folder: Path) -> None:
    """Replace each such section of a config by an instance of its model, and note the faults."""
    for path, base, holder, key in [*_places(raw)]:
        value = holder[key]
        if isinstance(value, dict) and "python" in value:
            taken = _of_file(value, path, base, source, code, folder)
        elif base is LayerSection and (kind := _installed_kind(value)):
            taken = _installed(value, kind, path, source)
        else:
            continue
        holder[key] = taken
        if taken is None:
            source.bad.add(path)


def _places(raw: dict[str, Any]) -> Iterator[tuple[KeyPath, type[Declared], Any, Any]]:
    """Yield all sections, inner ones first: path, family, container, and key in the container."""
    network = raw.get("network")
    for position, layer in enumerate(network if isinstance(network, list) else ()):
        for body in (layer, *(layer.values() if isinstance(layer, dict) else ())):
            if isinstance(body, dict) and isinstance(body.get("init"), dict):
                yield ("network", position, "init"), InitSection, body, "init"
        yield ("network", position), LayerSection, network, position
    losses = raw.get("loss")
    for place in range(len(losses) if isinstance(losses, list) else 0):
        yield ("loss", place), HeadSection, losses, place
    for key, base in _BASES.items():
        if key in raw:
            yield (key,), base, raw, key
    train = raw.get("train")
    schedule = train.get("schedule") if isinstance(train, dict) else None
    if isinstance(schedule, dict) and "then" in schedule:
        yield ("train", "schedule", "then"), ScheduleSection, schedule, "then"
    if schedule is not None:
        yield ("train", "schedule"), ScheduleSection, train, "schedule"


def _of_file(
    value: dict[str, Any],
    path: KeyPath,
    base: type[Declared],
    source: Source,
    code: Code,
    folder: Path,
) -> Declared | None:
    """Return the section for a class of a user's file, None if something is wrong."""
    at, dotted = (*path, "python"), value["python"]
    if "kind" in value:
        source.add(
            (*path, "kind"), "cannot be given together with 'python'; keep one of them", of_key=True
        )
        return None
    if not isinstance(dotted, str):
        what = "must be a file and a class in it, as in mymodules.LeakyReLU"
        source.add(at, f"{what}, got {kind_of(dotted)}")
        return None
    if not code.allowed:
        code.allowed = settings.allow_code()
    if not code.allowed:
        source.add(at, f"would run the code of {short_word(dotted)}; --allow-code allows it")
        code.refused = True
        return None
    # As for a data file: relative to the config's folder, or to the current one for --set.
    folder = Path.cwd() if source.place(at).given else folder
    try:
        made = code.find(dotted, folder)
        if base is Generated and callable(made):
            base = OwnTable if returns_table(made, dotted) else GeneratedNumbers
        declaration = _declared(made, base, dotted, value.get("task"))
        fields = _fields(made, base)
        about = Field(description=PYTHON)
        model = model_of(base, {dotted: declaration}, "python", about, fields)
    except MinifwError as fault:
        source.add(at, fault.lines[0])
        return None
    return _validated(model, value, path, source)


def _declared(made: Any, base: type[Declared], dotted: str, task: object = None) -> Declaration:
    """Return the declaration of a user's class, after checking that it fits the section."""
    needed = _CLASSES.get(base)
    if needed is not None and not (isinstance(made, type) and issubclass(made, needed)):
        raise UsageError(f"{short_word(dotted)}: must be a class derived from {needed.__name__}")
    if needed is None and not callable(made):
        raise UsageError(f"{short_word(dotted)}: must be a function that draws samples")
    # A config names it by its file and class, even if it declares a kind.
    said = replace(registry.declaration_of(made, base.family), kind="")
    if base is OwnTable:  # which is asked when the samples are needed
        return said
    if isinstance(said, DataDeclaration) and "declaration" not in vars(made):
        said = _seen(made, said, task == "regression")
    return said


def _seen(made: Any, said: DataDeclaration, regression: bool) -> DataDeclaration:
    """Return the numbers of features and classes, or targets, of a function without declaration.

    `classes` is its argument of this name, or else counted in a thousand points.
    """
    arguments = inspect.signature(made).parameters
    if any(each.default is each.empty for each in [*arguments.values()][2:]):
        return said
    with blamed(made.__name__):
        drawn = made(np.random.default_rng(0), 1000)
    inputs, labels = own_points(made, drawn, 1000, targets=None if regression else ())
    count = inputs.shape[1]
    features = ("x", "y") if count == 2 else tuple(f"x{n + 1}" for n in range(count))
    if regression:
        several = labels.shape[1] > 1
        features = ("x",) if count == 1 else tuple(f"x{n + 1}" for n in range(count))
        names = tuple(f"y{n + 1}" for n in range(labels.shape[1])) if several else ("y",)
        return replace(said, features=features, targets=names)
    classes = "classes" if "classes" in arguments else max(2, int(labels.max()) + 1)
    return replace(said, features=features, classes=classes)


def _fields(made: Any, base: type[Declared]) -> Any:
    try:
        return fields_of(made, base)
    except MinifwError as fault:
        raise UsageError(f"{made.__name__}: {fault}") from None
    except Exception as fault:  # such as a type that cannot be evaluated
        raise UsageError(f"{made.__name__}: {type(fault).__name__}: {fault}") from None


def _validated(model: type[Declared], value: Any, path: KeyPath, source: Source) -> Declared | None:
    try:
        section = model.model_validate(value)
        section.check()
    except ValidationError as error:
        note_faults(error, value, source, model, path)
        return None
    except MinifwError as fault:
        source.add(path, fault.lines[0])
        return None
    return section


# ------------------------------------------------------------------------------ installed packages


@cache
def installed_model(kind: str) -> type[Declared]:
    """Return the model of an installed layer.

    Raises:
        UsageError: it cannot be loaded, or is not a layer.

    """
    point = installed()[kind]
    try:
        made = point.load()
    except Exception as fault:
        what = f"{type(fault).__name__}: {fault}"
        raise UsageError(f"'{kind}', {point.value}, cannot be loaded: {what}") from None
    declaration = replace(_declared(made, LayerSection, point.value), kind=kind)
    about = Field(description=declaration.about or f"a layer of {point.value.split('.')[0]}")
    model = model_of(LayerSection, {kind: declaration}, "kind", about, _fields(made, LayerSection))
    if not model.__doc__:
        model.__doc__ = "A layer of an installed package."
    return model


def short_key(kind: str) -> str:
    """Return the key that `kind: value` sets, for a layer of minifw or of a package."""
    if kind in registry.kinds(LayerDeclaration) or kind not in installed():
        return short.short_key(kind)
    try:
        return short.short_key(kind, installed_model(kind).declarations[kind])
    except UsageError:
        return "value"


def _installed_kind(value: Any) -> str | None:
    """Return the kind of a layer if it is that of an installed layer."""
    kind = (kind_key(value) or value.get("kind")) if isinstance(value, dict) else value
    own = registry.kinds(LayerDeclaration)
    return kind if isinstance(kind, str) and kind not in own and kind in installed() else None


def _installed(value: Any, kind: str, path: KeyPath, source: Source) -> Declared | None:
    try:
        model = installed_model(kind)
    except UsageError as fault:
        source.add(path, fault.lines[0])
        return None
    return _validated(model, bare_layer(value, model.declarations[kind]), path, source)
