"""A config from its file: every fault at once, each with its place.

The way of a config: text -> plain values with the line and column of each, and `--set` overrides
(`yaml12.py`) -> pydantic in strict mode (the models of `config.py`) -> checks across keys. The
faults of all stages are reported together: sound stand-ins take the place of what is faulty, so
that the next stage can go on with the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from minifw import yaml12
from minifw.config import LAYER_SIZE, Config, FromFile, Generated, LinearLayer, Section, is_one_key
from minifw.errors import ConfigError, near_miss
from minifw.places import Fault, KeyPath, Source, kind_of, short


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read, override and validate the config at `path`; see `load_with_source`."""
    return load_with_source(path, overrides)[0]


def load_with_source(path: Path, overrides: Sequence[str] = ()) -> tuple[Config, Source]:
    """Read, override and validate the config at `path`; return it and where its values stand.

    Args:
        overrides: `section.key=value` each, the value as YAML; they win over the file.

    Raises:
        ConfigError: with all faults, one line each.
        StorageError: the file is there but may not be read.

    """
    source = Source(str(path))
    raw = yaml12.parse(yaml12.read(path), source)
    if not isinstance(raw, dict):
        if not source.faults and raw is None:
            needed = f"the file is empty; a config needs at least {_required()}"
            raise ConfigError([f"{source.name}: {needed}"])
        if not source.faults:
            wrong = f"expects `key: value` lines, got {kind_of(raw)}"
            source.faults.append(Fault(source.place(()), None, wrong))
        raise source.error()
    before = _kinds(raw)
    for assignment in overrides:
        yaml12.override(raw, assignment, source)
    _forget_old_kinds(raw, before, source)
    _spell_out(raw, source)
    checked = _validate(raw, source)
    _check_train(checked, source)
    _check_chain(checked, source)
    if source.faults:
        raise source.error()
    config = checked.config
    if isinstance(config.data, FromFile):
        # A path in the file is meant from where the file is, one on the command line from here.
        base = Path.cwd() if source.place(("data", "path")).given else path.absolute().parent
        data = config.data.model_copy(update={"path": str(base / config.data.path)})
        config = config.model_copy(update={"data": data})
    return config, source


def dump(config: Config) -> str:
    """Return the config as YAML with every key spelled out, which loads to an equal config."""
    return yaml12.dump(config.model_dump(mode="json"))


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
    """Drop what belongs to a kind that `--set` has changed to another.

    `--set data.kind=moons` is not to complain about the disk's radius in the file. What `--set`
    gave itself is kept, and so is what neither kind knows: that is a mistake.
    """
    for path, kind in _kinds(raw).items():
        old = before.get(path, kind)
        section: Any = raw
        for part in path:
            section = section[part]
        if kind == old or not isinstance(section, dict):
            continue
        known_before, known_now = _keys_of_kind(path, old), _keys_of_kind(path, kind)
        for key in [*section] if known_now else []:
            given = source.place((*path, key)).given
            if key in known_before - known_now and not given:
                del section[key]
                for kept in (source.places, source.keys):
                    for below in [p for p in kept if p[: len(path) + 1] == (*path, key)]:
                        del kept[below]


def _keys_of_kind(path: KeyPath, kind: str) -> set[str]:
    field = Config.model_fields.get(str(path[0]))
    return _keys(_of_kind(_sections([field.annotation]), kind)) if field else set()


def _spell_out(raw: dict[str, Any], source: Source) -> None:
    """Give the keys that short forms leave out the place of what stands for them.

    With `- linear: 25` in line 9, network.0.kind and network.0.out_features are there.
    """
    network = raw.get("network")
    layers = network if isinstance(network, list) else []
    for kept in (source.places, source.keys):
        for path in [p for p in kept if p[:1] == ("network",) and len(p) > 2]:
            layer = layers[path[1]] if isinstance(path[1], int) else None
            if not is_one_key(layer) or path[2] not in layer:
                continue
            kind = str(path[2])
            size = LAYER_SIZE.get(kind, "value")
            if len(path) > 3:
                kept[(*path[:2], *path[3:])] = kept[path]
            else:
                kept[(*path[:2], "kind")] = source.keys[path]
                if not isinstance(layer[kind], dict):
                    kept[(*path[:2], size)] = kept[path]
            if path in source.bad:
                source.bad.add((*path[:2], *(path[3:] or (size,))))
    for path in _kinds(raw):
        if path in source.places:
            source.places.setdefault((*path, "kind"), source.places[path])


@dataclass(frozen=True)
class _Checked:
    """A config whose faulty parts were replaced by sound ones, so that checks can go on.

    `faulty` names the sections that were replaced, `unknown` the layers. The check of a section
    says nothing where it is one of them.
    """

    config: Config
    faulty: frozenset[str] = frozenset()
    unknown: frozenset[int] = frozenset()


_STAND_INS = {
    "name": "x",
    "data": "disk",
    "network": ["relu"],
    "loss": "mse",
    "train": {"eta": 1, "epochs": 1},
}


def _validate(raw: dict[str, Any], source: Source) -> _Checked:
    """Note the faults of each section, and return a config that holds all sound ones."""
    paths = [*source.bad]
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        paths += _note_faults(error, raw, source)
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
                # A misspelt word has no size; what else stands there may have any.
                layer = raw["network"][position]
                if not isinstance(layer, str) or layer in LAYER_SIZE:
                    unknown.add(position)
                layers[position] = "relu"
    config = Config.model_validate({**_STAND_INS, **sound})
    return _Checked(config, frozenset(faulty), frozenset(unknown))


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
    "dict_type": "a mapping (`key: value` lines)",
}


# Words for a fault take longer than finding it, and nobody reads so many.
_MOST = 200


def _note_faults(error: ValidationError, raw: Any, source: Source) -> list[KeyPath]:
    """Note one fault for each of pydantic's; return the path of each."""
    paths: list[KeyPath] = []
    all_faults = error.errors(include_url=False)
    short_lists = {f["loc"] for f in all_faults if f["type"] == "too_short"}
    inner = {f["loc"][:n] for f in all_faults for n in range(len(f["loc"]))} if short_lists else ()
    for number, fault in enumerate(all_faults):
        if fault["loc"] in short_lists and fault["loc"] in inner:
            continue  # pydantic counts the valid items only; the invalid ones have their own line
        if number >= _MOST:
            source.uncounted += 1
            paths.append(tuple(fault["loc"][:2]))
            continue
        models, path = _follow(fault["loc"])
        paths.append(path)
        if path in source.bad:
            continue  # it could not even be read, and that has been said
        what = _words(fault, models, path, raw)
        late = fault["type"] == "missing" and not isinstance(path[-1], int)
        of_key = fault["type"] == "extra_forbidden"
        if of_key and path[-1] == "value" and is_one_key(_at(raw, path[:-1])):
            path, of_key, what = path[:-1], False, "this layer takes no value"
        if fault["type"] == "union_tag_invalid" and isinstance(_at(raw, path), dict):
            place = source.place((*path, "kind"))
            path = (*path, "kind") if "kind" in _at(raw, path) else path
            source.faults.append(Fault(place, path, what))
        else:
            source.add(path, what, of_key=of_key, late=late)
    return paths


def _words(fault: Any, models: Sequence[type[Section]], path: KeyPath, raw: Any) -> str:
    """Return what must hold and what came."""
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{near_miss(path[-1], _keys(models))}"
    if kind == "missing":
        return "this item is missing" if isinstance(path[-1], int) else "this key is missing"
    if kind in ("union_tag_not_found", "model_attributes_type") or (
        kind == "model_type" and path != ("train",)
    ):
        got = "" if isinstance(given, dict) else f", got {_came(given)}"
        if path[:1] == ("network",) and len(path) == 2:
            return f"a layer is a word (relu), one key (linear: 25), or a mapping with 'kind'{got}"
        return (
            f"must be a word or a mapping with 'kind'{got}" if got else "the key 'kind' is missing"
        )
    if kind in ("union_tag_invalid", "literal_error"):
        expected = context["expected_tags" if kind == "union_tag_invalid" else "expected"]
        choices = re.findall(r"[\w-]+", expected.replace(" or ", " "))
        choices = [{"True": "true", "False": "false"}.get(c, c) for c in choices]
        if kind == "union_tag_invalid":
            given = given["kind"] if isinstance(given, dict) else context["tag"]
            if isinstance(given, str) and given:
                return f"unknown kind {short(given)}{near_miss(given, choices)}"
        near = near_miss(given, choices) if isinstance(given, str) and given not in choices else ""
        near = near if near.startswith("; did") else ""
        return f"must be one of {', '.join(choices)}, got {_came(given, given in choices)}{near}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"must be {words} {context[key]}, got {_came(given)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, got {_came(given, _would_fit(kind, given))}"
    if kind == "name":
        return str(context["wrong"])
    if kind == "share_or_count":
        return f"must be a fraction below 1 or a whole number of samples, got {_came(given)}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind in ("too_short", "too_long"):
        words, key = (
            ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        )
        return f"must have {words} {context[key]} item(s), got {context['actual_length']}"
    return f"{fault['msg'][0].lower()}{fault['msg'][1:]}, got {_came(given)}"


def _at(raw: Any, path: KeyPath) -> Any:
    """Return what stands at the path, None where short forms leave it out."""
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


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


def _of_kind(models: Sequence[type[Section]], kind: str) -> list[type[Section]]:
    return [
        m
        for m in models
        if "kind" in m.model_fields and kind in get_args(m.model_fields["kind"].annotation)
    ]


# ---------------------------------------------------------------------------- checks across keys


def _check_train(checked: _Checked, source: Source) -> None:
    """Mode sgd needs a batch size, and no more samples in a batch than there are."""
    train, data, path = checked.config.train, checked.config.data, ("train", "batch_size")
    if "train" in checked.faulty or train.mode != "sgd":
        return
    if train.batch_size is None:
        source.add(path, "this key is missing; mode 'sgd' needs it", late=True)
    elif "data" in checked.faulty or not isinstance(data, Generated):
        return
    elif train.batch_size > data.train:
        what = f"must be at most data.train = {data.train}{source.line(('data', 'train'))}"
        source.add(path, f"{what}, got {train.batch_size}")


def _check_chain(checked: _Checked, source: Source) -> None:
    """Every layer must take what the one before it gives; the first takes the data."""
    if "network" in checked.faulty:
        return
    data, features, classes = checked.config.data, None, None
    if "data" not in checked.faulty and isinstance(data, Generated):
        features, classes = 2, getattr(data, "classes", 2)
    note_chain(checked.config, source, features, classes, checked.unknown)


def note_chain(
    config: Config,
    source: Source,
    features: int | None,
    classes: int | None,
    unknown: Collection[int] = (),
) -> None:
    """Note what does not fit in the chain from `features` inputs to `classes` outputs.

    None is a number that is not known. Nothing is known of the layers in `unknown`.
    """
    size, giver, last = features, f"the data{source.line(('data',))}", -1
    for position, layer in enumerate(config.network):
        path = ("network", position)
        if position in unknown:
            size, giver = None, "nobody"
        if not isinstance(layer, LinearLayer):
            continue
        if layer.in_features is not None and size is not None and layer.in_features != size:
            gives = f"has {size}" if last < 0 else f"gives {size}"
            source.add(path, f"expects {layer.in_features} inputs, but {giver} {gives}")
        size, last = layer.out_features, position
        giver = f"network.{position}{source.line(path)}"
    if last < 0 and not unknown:
        source.add(("network",), "needs at least one linear layer")
    elif classes is not None and size is not None and size != classes:
        outputs = f"one output for each of the {classes} classes"
        source.add(("network", last), f"the network must end with {outputs}, got {size}")


def _would_fit(kind: str, given: object) -> bool:
    """Return whether a text would be what is asked for if it stood there without quotes."""
    try:
        value = yaml12.plain(given) if isinstance(given, str) else None
    except ValueError:
        return False
    if kind == "bool_type":
        return isinstance(value, bool)
    number = (int, float) if kind == "float_type" else int
    return kind in _TYPES and isinstance(value, number) and not isinstance(value, bool)


def _came(value: object, quoted: bool = False) -> str:
    """Return what came, in words: the value, or its kind where the value is long."""
    if value is None or isinstance(value, (dict, list)):
        return kind_of(value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return short(value)
    return f"{short(value)} ({'text: take away the quotes' if quoted else 'text'})"
