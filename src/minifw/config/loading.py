"""A config from its file: every fault at once, each with its place.

The stages: text to plain values, each with line and column, with `--set` overrides (`yaml12.py`);
pydantic in strict mode (the models of `model.py`; `messages.py` words its faults); checks across
keys. The faults of all stages are reported together: a valid placeholder replaces each faulty
value, so that the next stage can check the rest.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from annotated_types import Lt
from pydantic import ValidationError

from minifw.config import altered, axes, dividing, own, yaml12
from minifw.config.axes import Value
from minifw.config.code import Code
from minifw.config.columned import AtPath
from minifw.config.declared import Declared
from minifw.config.generated import Generated
from minifw.config.layers import NAME
from minifw.config.messages import keys_of_kind, note_faults
from minifw.config.model import Config
from minifw.config.own_table import OwnTable
from minifw.config.short import kind_key
from minifw.config.source import Fault, KeyPath, Source, kind_of
from minifw.config.targets import OPTIONAL, note_task
from minifw.config.wiring import note_network
from minifw.data import validation_size
from minifw.errors import ArtefactError, ConfigError, DataError, short


def load(path: Path, overrides: Sequence[str] = (), *, allow_code: bool = False) -> Config:
    """Read, override and validate the config at `path`; see `load_with_source`."""
    return load_with_source(path, overrides, allow_code=allow_code)[0]


def load_with_source(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    allow_code: bool = False,
    option: str = "--set",
) -> tuple[Config, Source]:
    """Read, override and validate the config at `path`; return it with the places of its values.

    Args:
        overrides: `section.key=value` each, the value as YAML; they replace the file's values.
        allow_code: whether the config may run the Python files that it names; see `code.py`.
        option: the name of overrides in messages.

    Raises:
        ConfigError: with all faults, one line each.
        StorageError: the file exists and cannot be read.

    """
    return read(path, allow_code=allow_code, option=option).config(overrides)


def read(path: Path, *, allow_code: bool = False, option: str = "--set") -> Parsed:
    """Read the config at `path`, from which `Parsed.config` makes configs.

    Arguments and errors are those of `load_with_source`.
    """
    code = Code(allow_code)
    source = Source(str(path), code=code.files, option=option)
    return Parsed(yaml12.read(path), path, code, source)


def of_run(text: str, path: Path, code: Code | None = None) -> Config:
    """Validate the text of a run's config; see `load_with_source`.

    No file is read: `path` is named in messages, and paths in the text are relative to its folder.
    `code` has the Python files that the run keeps.

    Raises:
        UsageError: it would run code without permission.
        ArtefactError: it is not a config; one line gives the first fault.

    """
    code = code or Code()
    try:
        yaml12.check_size(len(text.encode()), str(path))
        return of_text(text, path, (), code)[0]
    except ConfigError as error:
        if code.refused:
            raise
        more = f", and {len(error.faults) - 1} more" if len(error.faults) > 1 else ""
        raise ArtefactError(f"{error.faults[0]}{more}") from None


def of_text(
    text: str,
    path: Path,
    overrides: Sequence[str],
    code: Code,
    source: Source | None = None,
) -> tuple[Config, Source]:
    """Validate a text; `source` names it and its overrides in messages, by default by the path.

    `code` is the code that the config may run; its files become those of the source.
    """
    return Parsed(text, path, code, source).config(overrides)


class Parsed:
    """A config's text, parsed once: configs with different overrides are made from it.

    The arguments are those of `of_text`.
    """

    def __init__(self, text: str, path: Path, code: Code, source: Source | None = None) -> None:
        self.path, self.code, self.size = path, code, len(text)
        self.source = source = source or Source(str(path), code=code.files)
        self.raw = yaml12.parse(text, source)
        if not isinstance(self.raw, dict):
            if not source.faults and self.raw is None:
                needed = f"the file is empty; a config needs at least {_required()}"
                raise ConfigError([f"{source.name}: {needed}"])
            if not source.faults:
                wrong = f"expects `key: value` lines, got {kind_of(self.raw)}"
                source.faults.append(Fault(source.place(()), None, wrong))
            raise source.error()

    def config(
        self, overrides: Sequence[str] = (), cell: Sequence[tuple[str, Value]] | None = None
    ) -> tuple[Config, Source]:
        """Return the config with these overrides, and the places of its values.

        `cell` has the keys and values of a cell of a sweep, which win over `overrides`; the config
        of a cell has no section `sweep`.
        """
        raw, source, path = copy.deepcopy(self.raw), self.source.copy(), self.path
        before = _kinds(raw)
        for assignment in overrides:
            key, equals, value = assignment.partition("=")
            yaml12.override(raw, f"{_written_out(raw, key, source)}{equals}{value}", source)
        if cell is not None:
            raw.pop("sweep", None)
            for key, found in cell:
                key = _written_out(raw, key, source)
                yaml12.put(raw, key, found.value, found.place, source)
        _forget_old_kinds(raw, before, source)
        _spell_out(raw, source)
        own.take(raw, source, self.code, path.absolute().parent)
        checked = _validate(raw, source)
        _check_train(checked, source)
        _check_chain(checked, source)
        note_task(checked.config, source, checked.faulty)
        altered.note_altered(checked.config, source, checked.faulty)
        dividing.note_division(checked.config, source, checked.faulty)
        _check_numbers(checked, source)
        if checked.config.sweep is not None and "sweep" not in checked.faulty:
            axes.of_section(checked.config.sweep, source)
        if source.faults:
            raise source.error()
        config = _with_whole_paths(checked.config, source, path.absolute().parent)
        given = [*overrides, *(str(value.value) for _, value in cell or ())]
        if self.size + sum(map(len, given)) > _SHORT:
            _check_size(config, source)
        return config, source


def _with_whole_paths(config: Config, source: Source, folder: Path) -> Config:
    """Return the config with absolute paths of data.

    A path in the file is relative to its folder, one on the command line to the current.
    """
    paths = {}
    keys: tuple[str, ...] = ("path", "test_path") if isinstance(config.data, AtPath) else ()
    if isinstance(config.data, OwnTable):
        keys = ("python" if config.data.folder is None else "folder",)
    for key in keys:
        if (given := getattr(config.data, key, None)) is not None:
            place = source.place(("data", key))
            base = Path.cwd() if place.given and not place.line else folder
            if key == "python":
                paths["folder"] = str(base)
            else:
                paths[key] = str(base / given)
    if not paths:
        return config
    data = config.data.model_copy(update=paths)
    return config.model_copy(update={"data": data})


def dump(config: Config) -> str:
    """Return the config as YAML with every key spelled out; it loads as an equal config.

    `data.validation`, `train.early_stopping` and `sweep` are left out where they are not used: most
    configs have none of them.
    """
    values = config.model_dump(mode="json")
    for key in ("validation", *OPTIONAL, *altered.KEYS, *dividing.OPTIONAL):
        if values["data"].get(key, ...) is None:
            del values["data"][key]
    if values["train"]["early_stopping"] is None:
        del values["train"]["early_stopping"]
    if values["sweep"] is None:
        del values["sweep"]
    return yaml12.dump(values)


def compact(config: Config) -> str:
    """Return the config as YAML in one line, for programs; it is written much faster."""
    text = json.dumps(config.model_dump(mode="json"), ensure_ascii=False)
    return text if text.isprintable() else dump(config)  # JSON has other escapes than YAML


_SHORT = 10_000
"""A config of at most this many characters is never too large when spelled out."""


def _check_size(config: Config, source: Source) -> None:
    """Check that the config with all keys spelled out, which a run keeps, can be read again."""
    values = config.model_dump(mode="json")
    # 100 bytes are left for what a run adds: a comment and the number of seeds.
    if _count(values) > yaml12.MAX_VALUES or (
        len(yaml12.dump(values).encode()) > yaml12.MAX_BYTES - 100
    ):
        most = f"{yaml12.MAX_VALUES} keys and values or {yaml12.MAX_BYTES} bytes"
        what = f"has more than {most} once every key is spelled out, as a run keeps it"
        raise ConfigError([f"{source.name}: {what}"])


def _count(value: Any) -> int:
    """Return how many keys and values there are, as `yaml12.parse` counts them."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_count, value.values()))
    return 1 + (sum(map(_count, value)) if isinstance(value, list) else 0)


def _required() -> str:
    return ", ".join(key for key, value in Config.model_fields.items() if value.is_required())


def _kinds(raw: dict[str, Any]) -> dict[KeyPath, str]:
    """Return the kind of each section and layer that has one."""
    network = raw.get("network")
    layers = enumerate(network) if isinstance(network, list) else ()
    sections: list[tuple[KeyPath, Any]] = [((key,), value) for key, value in raw.items()]
    sections += [(("network", position), layer) for position, layer in layers]
    found = {}
    for path, value in sections:
        kind = value.get("kind") if isinstance(value, dict) else value
        if isinstance(kind, str):
            found[path] = kind
    return found


def _forget_old_kinds(raw: dict[str, Any], before: dict[KeyPath, str], source: Source) -> None:
    """Drop the keys of the old kind where `--set` has changed a kind.

    `--set data.kind=moons` must not complain about the disk's radius in the file. Keys that `--set`
    itself gave are kept, and so are keys that neither kind knows, since those are mistakes.
    """
    for path, kind in _kinds(raw).items():
        old = before.get(path, kind)
        section: Any = raw
        for part in path:
            section = section[part]
        if kind == old or not isinstance(section, dict):
            continue
        known_before, known_now = keys_of_kind(path, old), keys_of_kind(path, kind)
        for key in [*section] if known_now else []:
            given = source.place((*path, key)).given
            if key in known_before - known_now and not given:
                del section[key]
                for kept in (source.places, source.keys):
                    for below in [p for p in kept if p[: len(path) + 1] == (*path, key)]:
                        del kept[below]


def _written_out(raw: dict[str, Any], key: str, source: Source) -> str:
    """Return the key that an override of `key` sets, after making the layer fit for it.

    `network.0.out_features` writes the short form `linear: 25` out; `network.0.linear` is
    `network.0.out_features` where the layer is written out already.
    """
    network, path = raw.get("network"), yaml12.key_path(key)
    if not isinstance(network, list) or path[:1] != ("network",) or len(path) < 3:
        return key
    position = path[1]
    if not isinstance(position, int) or position >= len(network):
        return key
    layer = network[position]
    kind = kind_key(layer)
    if isinstance(layer, dict) and kind is not None and path[2] != kind:
        _spell_out(raw, source)
        rest = layer[kind]
        keys = rest if isinstance(rest, dict) else {own.short_key(kind): rest}
        more = {key: value for key, value in layer.items() if key != kind}
        network[position] = {"kind": kind, **keys, **more}
    elif isinstance(layer, dict) and len(path) == 3 and path[2] == layer.get("kind"):
        return f"network.{position}.{own.short_key(layer['kind'])}"
    return key


def _spell_out(raw: dict[str, Any], source: Source) -> None:
    """Give each key that a short form leaves out the place of the short form.

    With `- linear: 25` in line 9, network.0.kind and network.0.out_features are in line 9.
    """
    network = raw.get("network")
    layers = network if isinstance(network, list) else []
    for kept in (source.places, source.keys):
        for path in [p for p in kept if p[:1] == ("network",) and len(p) > 2]:
            position, layer = path[1], None
            # It is not an index of a layer after `--set network=relu --set network.0.linear=3`.
            if isinstance(position, int) and position < len(layers):
                layer = layers[position]
            kind = kind_key(layer)
            if kind is None or path[2] != kind:
                continue
            size = own.short_key(kind)
            if len(path) > 3:
                inner = path[3:] if isinstance(path[3], str) else (size, *path[3:])
                kept[(*path[:2], *inner)] = kept[path]
            else:
                kept[(*path[:2], "kind")] = source.keys[path]
                if isinstance(layer, dict) and not isinstance(layer[kind], dict):
                    kept[(*path[:2], size)] = kept[path]
            if path in source.bad:
                source.bad.add((*path[:2], *(path[3:] or (size,))))
    for path in _kinds(raw):
        if path in source.places:
            source.places.setdefault((*path, "kind"), source.places[path])


@dataclass(frozen=True)
class _Checked:
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


def _validate(raw: dict[str, Any], source: Source) -> _Checked:
    """Note the faults of each section; return a config with placeholders for the faulty ones."""
    paths = [*source.bad]
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        paths += note_faults(error, raw, source)
    if not paths:
        return _Checked(config)
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
    return _Checked(config, frozenset(faulty), frozenset(unknown))


def _wires(layer: Any) -> dict[str, Any]:
    """Return the keys of a faulty layer that say how it is wired, if they are sound."""
    if not isinstance(layer, dict):
        return {}
    name = layer.get("name")
    return {"name": name} if isinstance(name, str) and re.match(NAME, name) else {}


# ---------------------------------------------------------------------------- checks across keys


def _check_train(checked: _Checked, source: Source) -> None:
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


def _training(checked: _Checked, source: Source) -> tuple[int, str] | None:
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


def _check_chain(checked: _Checked, source: Source) -> None:
    """Check that every layer fits the one before it, and the first fits the data."""
    if "network" in checked.faulty:
        return
    data, features, classes = checked.config.data, None, None
    if "data" not in checked.faulty and isinstance(data, Generated):
        features, classes = len(data.feature_names), data.outputs
    sure = "loss" not in checked.faulty
    note_network(checked.config, source, features, classes, checked.unknown, sure)


_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in ("float32", "float64")}


def _check_numbers(checked: _Checked, source: Source) -> None:
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
