"""What a config's values must be: of each key by pydantic, and across keys.

A valid placeholder replaces each faulty value, so that the checks across keys can go on, and all
faults are reported together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from annotated_types import Lt
from pydantic import ValidationError

from minifw.config import altered, own
from minifw.config.declared import Declared
from minifw.config.generated import Generated
from minifw.config.layers import NAME
from minifw.config.messages import note_faults
from minifw.config.model import Config
from minifw.config.source import KeyPath, Source
from minifw.config.wiring import note_network
from minifw.data import validation_size
from minifw.errors import DataError, short


@dataclass(frozen=True)
class Checked:
    """A config whose faulty values were replaced by placeholders, so that checks can continue.

    `faulty` names the sections that were replaced, `unknown` the layers. Checks across keys skip
    these.
    """

    config: Config
    faulty: frozenset[str] = frozenset()
    unknown: frozenset[int] = frozenset()


_PLACEHOLDERS = {
    "name": "x",
    "data": "disk",
    "network": ["relu"],
    "loss": "mse",
    "train": {"eta": 1, "epochs": 1},
}


def validate(raw: dict[str, Any], source: Source) -> Checked:
    """Note the faults of each section; return a config with placeholders for the faulty ones."""
    paths = [*source.bad]
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        paths += note_faults(error, raw, source)
    if not paths:
        return Checked(config)
    faulty = {str(path[0]) for path in paths if path}
    sound = {key: raw[key] for key in Config.model_fields if key in raw and key not in faulty}
    unknown: set[int] = set()
    if "network" in faulty and ("network",) not in paths:
        faulty.remove("network")
        sound["network"] = layers = [*raw["network"]]
        for _, position, *_ in (path for path in paths if path[0] == "network"):
            if isinstance(position, int):
                # A misspelt word is read as a layer that keeps the size; others may have any size.
                layer = raw["network"][position]
                if not isinstance(layer, str) or own.short_key(layer) != "value":
                    unknown.add(position)
                layers[position] = {"kind": "relu", **_wires(raw["network"][position])}
    config = Config.model_validate({**_PLACEHOLDERS, **sound})
    return Checked(config, frozenset(faulty), frozenset(unknown))


def _wires(layer: Any) -> dict[str, Any]:
    """Return the keys of a faulty layer that say how it is wired, if they are sound."""
    if not isinstance(layer, dict):
        return {}
    name = layer.get("name")
    return {"name": name} if isinstance(name, str) and re.match(NAME, name) else {}


# ---------------------------------------------------------------------------- checks across keys


def check_train(checked: Checked, source: Source) -> None:
    """Check that mode sgd has a batch size of at most the number of training samples.

    And that early stopping has samples for validation.
    """
    train, path, most = checked.config.train, ("train", "batch_size"), _training(checked, source)
    if "train" in checked.faulty:
        return
    lacks = "data" not in checked.faulty and checked.config.data.validation is None
    if train.early_stopping is not None and lacks:
        what = "needs samples for validation; data.validation=0.2 keeps some of those for training"
        source.add(("train", "early_stopping"), what, late=True)
    if train.mode != "sgd":
        return
    if train.batch_size is None:
        source.add(path, "this key is missing; mode 'sgd' needs it", late=True)
    elif most is not None and train.batch_size > most[0]:
        source.add(path, f"must be at most {most[1]}, got {train.batch_size}")


def _training(checked: Checked, source: Source) -> tuple[int, str] | None:
    """Return how many generated samples are trained on, and these in words; None if unknown."""
    data = checked.config.data
    if "data" in checked.faulty or not isinstance(data, Generated):
        return None
    left, key = data.train, "train"
    try:
        if data.validation is not None:
            key = "validation"
            left -= validation_size(left, data.validation)
        if data.share is not None:
            key = "share"
            left = data.alteration.size(left)
        if data.imbalance is not None and not data.is_regression:
            altered.note_classes(data, left, source)
    except DataError as fault:
        source.add(("data", key), str(fault))
        return None
    line = source.line(("data", key))
    if key == "train":
        return left, f"data.train = {left}{line}"
    return left, f"the {left} training samples that data.{key} leaves{line}"


def check_chain(checked: Checked, source: Source) -> None:
    """Check that every layer fits the one before it, and the first fits the data."""
    if "network" in checked.faulty:
        return
    data, features, classes = checked.config.data, None, None
    if "data" not in checked.faulty and isinstance(data, Generated):
        features, classes = len(data.feature_names), data.outputs
    sure = "loss" not in checked.faulty
    note_network(checked.config, source, features, classes, checked.unknown, sure)


_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in ("float32", "float64")}


def check_numbers(checked: Checked, source: Source) -> None:
    """Check that every number, and what is computed from it, is finite in the config's dtype."""
    config, faulty = checked.config, checked.faulty
    if "dtype" in faulty:
        return
    largest = _LARGEST[config.dtype]
    # Samples and weights may be several times larger; distances are squared, in float64.
    drawn = min(largest / 100, 1e150)
    for path, value in _numbers(config.model_dump(exclude={"sweep"})):
        bound = largest if path == ("train", "eta") else drawn
        if path[0] not in faulty and abs(value) > bound:
            limit = f"at most {bound:.5g}" if value > 0 else f"at least {-bound:.5g}"
            source.add(path, f"must be {limit} for dtype {config.dtype}, got {short(value)}")
    if config.dtype == "float64":
        return
    rounded = "in dtype float32; dtype: float64 can hold it"
    if "train" not in faulty and config.train.eta <= 2**-150:
        source.add(("train", "eta"), f"{short(config.train.eta)} is 0 {rounded}")
    for path, value, bound in _below(config):
        if path[0] not in faulty and np.float32(value) >= np.float32(bound):
            source.add(path, f"{short(value)} is {bound:g} {rounded}")


def _below(config: Config) -> Iterator[tuple[KeyPath, float, float]]:
    """Yield each number of a declared section that must be below a bound, with that bound."""
    sections: list[tuple[KeyPath, Any]] = [((key,), value) for key, value in config]
    sections += [(("network", position), layer) for position, layer in enumerate(config.network)]
    for path, section in sections:
        if isinstance(section, Declared):
            for name, field in type(section).model_fields.items():
                value = getattr(section, name)
                bounds: list[Any] = [each.lt for each in field.metadata if isinstance(each, Lt)]
                for bound in bounds if isinstance(value, float) else ():
                    yield (*path, name), value, float(bound)


def _numbers(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, float]]:
    """Yield all floats in a config, each with its path."""
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for part, inner in items:
            yield from _numbers(inner, (*path, part))
