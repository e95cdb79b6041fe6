"""Pydantic's faults in minifw's words: where, what must hold, what was given, the near miss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from minifw.config import yaml12
from minifw.config.declared import Section
from minifw.config.heads import ONE, SEVERAL, HeadSection
from minifw.config.model import Config
from minifw.config.short import is_one_key, kind_key, two_kinds
from minifw.config.source import Fault, KeyPath, Source, kind_of
from minifw.errors import did_you_mean, short

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
    "string_unicode": "valid Unicode text",
    "list_type": "a list",
    "tuple_type": "a list",
    "model_type": "a mapping (`key: value` lines)",
    "dict_type": "a mapping (`key: value` lines)",
}


# Wording a fault takes longer than finding it, and nobody reads more than these.
_MOST = 200


def note_faults(
    error: ValidationError,
    raw: Any,
    source: Source,
    root: type[Section] = Config,
    at: KeyPath = (),
) -> list[KeyPath]:
    """Note one fault for each of pydantic's; return the path of each.

    `raw` is the value that pydantic refused as a `root`; it stands at path `at` of the config.
    """
    paths: list[KeyPath] = []
    all_faults = _without_choices(error.errors(include_url=False), root)
    short_lists = {f["loc"] for f in all_faults if f["type"] == "too_short"}
    inner = {f["loc"][:n] for f in all_faults for n in range(len(f["loc"]))} if short_lists else ()
    for number, fault in enumerate(all_faults):
        if fault["loc"] in short_lists and fault["loc"] in inner:
            continue  # pydantic counts the valid items only; the invalid ones have their own line
        if number >= _MOST:
            source.uncounted += 1
            paths.append((*at, *fault["loc"])[:2])
            continue
        models, inner_path = _follow(fault["loc"], root)
        path = (*at, *inner_path)
        paths.append(path)
        if path in source.bad:
            continue  # it could not even be read, and that has been said
        if root is Config and (said := _spelled_out(_at(raw, path[:1]), path[:1])):
            source.add(path[:1], said)
            continue
        what = _words(fault, models, path, raw)
        late = fault["type"] == "missing" and not isinstance(path[-1], int)
        of_key = fault["type"] == "extra_forbidden"
        if of_key and path[-1] == "value" and kind_key(_at(raw, path[len(at) : -1])):
            path, of_key, what = path[:-1], False, "this layer takes no value"
        if fault["type"] == "union_tag_invalid" and isinstance(_at(raw, path[len(at) :]), dict):
            place = source.place((*path, "kind"))
            path = (*path, "kind") if "kind" in _at(raw, path[len(at) :]) else path
            source.faults.append(Fault(place, path, what))
        else:
            source.add(path, what, of_key=of_key, late=late)
    return paths


def _without_choices(faults: list[Any], root: type[Section]) -> list[Any]:
    """Join the faults of a value that may have one of several types: pydantic gives one for each.

    A list is told what is wrong with the list; all else which types there are.
    """
    found: list[Any] = []
    choices: dict[KeyPath, list[Any]] = {}
    for fault in faults:
        end = _choice(fault["loc"], root)
        if end is None:
            found.append(fault)
            continue
        group = choices.setdefault(fault["loc"][:end], [])
        if not group:
            found.append({"loc": fault["loc"][:end], "type": "choice", "ctx": {"faults": group}})
        group.append(fault | {"rest": fault["loc"][end + 1 :]})
    joined = []
    for fault in found:
        if fault["type"] != "choice":
            joined.append(fault)
            continue
        group = fault["ctx"]["faults"]
        inner = [each | {"loc": (*fault["loc"], *each["rest"])} for each in group if each["rest"]]
        joined += inner or [fault | {"input": group[0]["input"]}]
    return joined


def _choice(location: KeyPath, root: type[Section]) -> int | None:
    """Return where pydantic's location has the name of a type, the choice of one of several."""
    models = [root]
    for place, part in enumerate(location):
        if isinstance(part, int):
            continue
        if part in (ONE, SEVERAL):
            continue
        known = [m for m in models if part in m.model_fields]
        tagged = [
            m
            for m in models
            if "kind" in m.model_fields and part in get_args(m.model_fields["kind"].annotation)
        ]
        if known:
            inner = _sections([m.model_fields[part].annotation for m in known])
            if not inner and place + 1 < len(location):
                after = next((p for p in range(place + 1, len(location))
                              if isinstance(location[p], str)), None)  # fmt: skip
                return after
            models = inner
        elif tagged:
            models = tagged
        else:
            return None
    return None


def _words(fault: Any, models: Sequence[type[Section]], path: KeyPath, raw: Any) -> str:
    """Return what must hold and what was given."""
    kind, given, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "choice":
        types = [words for each in context["faults"] for words in _type_words(each)]
        *first, last = dict.fromkeys(types)
        ways = f"{', '.join(first)} or {last}" if first else last
        return f"must be {ways}, got {_came(given)}"
    if kind == "extra_forbidden":
        return f"unknown key{_elsewhere(path) or did_you_mean(path[-1], _keys(models))}"
    if kind == "missing":
        return "this item is missing" if isinstance(path[-1], int) else "this key is missing"
    if kind in ("union_tag_not_found", "model_attributes_type") or (
        kind == "model_type" and path != ("train",)
    ):
        if said := _spelled_out(given, path):
            return said
        got = "" if isinstance(given, dict) else f", got {_came(given)}"
        if path[:1] == ("network",) and len(path) == 2:
            if kinds := two_kinds(given):
                return f"a layer has one kind, got {' and '.join(kinds)}; - begins another layer"
            return f"a layer is a word (relu), one key (linear: 25), or a mapping with 'kind'{got}"
        if path == ("train", "early_stopping"):
            return f"must be a mapping such as {{patience: 20}}, or null{got}"
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
                return f"unknown kind {short(given)}{did_you_mean(given, choices)}{_OWN}"
        near = (
            did_you_mean(given, choices) if isinstance(given, str) and given not in choices else ""
        )
        near = near if near.startswith("; did") else ""
        if path[-1] == "kind" and isinstance(given, str) and given not in choices:
            near += _OWN
        return f"must be one of {', '.join(choices)}, got {_came(given, given in choices)}{near}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"must be {words} {context[key]}, got {_came(given)}"
    if kind == "tuple_type" and path[-1] == "from":
        return f"must be the name of a layer, or a list of names, got {_came(given)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, got {_came(given, _would_fit(kind, given))}"
    if kind == "twice":
        return str(fault["msg"])
    if kind == "string_pattern_mismatch":
        return f"must be letters, digits, - and _, a letter first, got {_came(given)}"
    if kind in ("name", "unfit"):
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


def _type_words(fault: Any) -> list[str]:
    """Return what one of several types that a value may have would be."""
    kind = fault["type"]
    if kind == "literal_error":
        return re.findall(r"'([\w-]+)'", fault["ctx"]["expected"])
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return [f"{words} {fault['ctx'][key]}"]
    return [_TYPES.get(kind, "a list")]


_OWN = "; a class of your own goes by {python: file.Class}"
_OTHER_WORDS = {"lr": "eta", "learning_rate": "eta"}
"""What others call a key."""


def _elsewhere(path: KeyPath) -> str:
    """Return the key that a word means where it is another's for it, or that of a section."""
    word = str(path[-1])
    word = _OTHER_WORDS.get(word, word)
    if len(path) == 1:
        found = {
            section
            for section, field in Config.model_fields.items()
            if section != "network" and word in _keys(_sections([field.annotation]))
        }
        return f"; did you mean '{found.pop()}.{word}'?" if len(found) == 1 else ""
    if path[0] == "optimizer" and word in _keys(
        _sections([Config.model_fields["train"].annotation])
    ):
        return f"; did you mean 'train.{word}'?"
    return f"; did you mean '{word}'?" if path[0] == "train" and word != path[-1] else ""


def _spelled_out(given: object, path: KeyPath) -> str:
    """Return how to write a section whose kind stands as its key, as only a layer's may."""
    if not path or not is_one_key(given) or (path[0] == "network" and path[-1] != "init"):
        return ""
    field = Config.model_fields.get(str(path[-1]))
    ((kind, rest),) = given.items()
    models = _of_kind(_sections([field.annotation]), kind) if field else []
    if not models:
        return ""
    rest = rest if isinstance(rest, dict) else {}
    free = [key for key in models[0].model_fields if key not in ("kind", "python")]
    inner = [*(f"{key}: {_shown(value)}" for key, value in rest.items())]
    inner = inner or [f"{key}: …" for key in free[:1]]
    spelled = ", ".join([f"kind: {kind}", *inner])
    return f"only a layer may be written so; write {path[-1]}: {{{spelled}}}"


def _shown(value: object) -> str:
    return short(value) if not isinstance(value, bool) else str(value).lower()


def keys_of_kind(path: KeyPath, kind: str) -> set[str]:
    """Return the keys that a section or layer of this kind may have at the path."""
    field = Config.model_fields.get(str(path[0]))
    return _keys(_of_kind(_sections([field.annotation]), kind)) if field else set()


def _at(raw: Any, path: KeyPath) -> Any:
    """Return the value at the path, None where short forms leave it out."""
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _follow(location: KeyPath, root: type[Section]) -> tuple[list[type[Section]], KeyPath]:
    """Return the sections in which pydantic's `location` ends, and the path in the file.

    Pydantic's location contains the kind of a section, which is no key of the file.
    """
    current: list[Any] = [root]
    models: list[type[Section]] = [root]
    path: list[str | int] = []
    for part in location:
        inner = _sections(current)
        if part in (ONE, SEVERAL):  # the loss, or a head
            current = [m for m in inner if issubclass(m, HeadSection) == (part == SEVERAL)]
            continue
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
    """Return the sections anywhere in these type annotations."""
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


def _would_fit(kind: str, given: object) -> bool:
    """Return whether a text would be valid without its quotes."""
    try:
        value = yaml12.plain(given) if isinstance(given, str) else None
    except ValueError:
        return False
    if kind == "bool_type":
        return isinstance(value, bool)
    number = (int, float) if kind == "float_type" else int
    return kind in _TYPES and isinstance(value, number) and not isinstance(value, bool)


def _came(value: object, quoted: bool = False) -> str:
    """Return the given value for a message, or its kind where the value is long."""
    if value is None or isinstance(value, (dict, list)):
        return kind_of(value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return short(value)
    return f"{short(value)} ({'text: remove the quotes' if quoted else 'text'})"
