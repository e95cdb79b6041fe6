"""YAML text to plain values, each with the place that it came from.

A stricter YAML than PyYAML's: scalars of YAML 1.2 (`1e-3` is a number, `on` a word), one document,
no anchors, aliases, tags or duplicate keys, and bounds on size and depth. `--set key=value` is read
the same way and takes the place of what stands in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from minifw.errors import ConfigError, StorageError, near_miss

MAX_BYTES = 1 << 20
MAX_DEPTH = 20

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader whose plain scalars are those of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, as in the base class


class _Dumper(yaml.SafeDumper):
    """The same for writing, so that text which looks like a 1.2 number is quoted."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, as in the base class


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
        )


@dataclass
class Source:
    """Where values came from: for each path a place, `file:line:column` or `--set key=value`."""

    name: str
    places: dict[KeyPath, str] = field(default_factory=dict)
    keys: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def mark(self, mark: Any) -> str:
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}"

    def place(self, path: KeyPath, of_key: bool = False) -> str:
        """Return the place of the value (or key) at `path`, or of the nearest thing around it."""
        if of_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.name)


def parse(text: str, source: Source) -> Any:
    """Return the plain values of one YAML document, and note the place of each in `source`."""
    try:
        depth = documents = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            tag = getattr(event, "tag", None)
            for bad, what in (
                (documents > 1, "one document a file; a second one begins here"),
                (depth > MAX_DEPTH, f"nested more than {MAX_DEPTH} deep"),
                (isinstance(event, yaml.AliasEvent), "aliases (*name) are not allowed"),
                (getattr(event, "anchor", None) is not None, "anchors (&name) are not allowed"),
                (tag is not None, f"tags ({tag}) are not allowed"),
            ):
                if bad:
                    raise ConfigError([f"{source.mark(event.start_mark)}: {what}"])
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        where = source.mark(mark) if mark else source.name
        raise ConfigError([f"{where}: not valid YAML: {fault.problem}"]) from None
    except yaml.YAMLError as fault:
        line = str(fault).splitlines()[0]
        raise ConfigError([f"{source.name}: not valid YAML: {line}"]) from None
    return None if node is None else _plain(node, (), source)


def _plain(node: yaml.Node, path: KeyPath, source: Source) -> Any:
    source.places.setdefault(path, source.mark(node.start_mark))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), source) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = source.mark(key_node.start_mark)
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode):
                source.faults.append(f"{where}: a key must be a word")
            elif key in mapping:
                source.faults.append(f"{where}: {dotted((*path, key))}: this key stands here twice")
            else:
                source.keys[(*path, key)] = where
                mapping[key] = _plain(value_node, (*path, key), source)
        return mapping
    return _scalar(node, path, source)


def _scalar(node: yaml.Node, path: KeyPath, source: Source) -> Any:
    text, kind = node.value, node.tag.removeprefix("tag:yaml.org,2002:")
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > 100:
                raise ValueError
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if kind == "float":
            return float(re.sub(r"\.(?=[iInN])", "", text))  # .inf and .nan, refused later
    except ValueError:
        source.faults.append(
            f"{source.mark(node.start_mark)}: {dotted(path)}: not a number that can be used: "
            f"{short(text)}"
        )
        return None
    return text


def read(path: Path) -> str:
    """Return the text of a config.

    Raises:
        ConfigError: there is no such file, it is too large, or not UTF-8 text.
        StorageError: it is there but may not be read.

    """
    if path.is_dir():
        raise ConfigError([f"{path}: expects a YAML file, this is a directory"])
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError(
            [f"{path}: there is no such file{near_miss(path.name, beside)}"]
        ) from None
    except (OSError, ValueError) as fault:
        raise StorageError(f"{path}: cannot be read: {getattr(fault, 'strerror', fault)}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{path}: larger than {MAX_BYTES} bytes; is this a config?"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}:1: not UTF-8 text (byte {fault.start})"]) from None


def override(raw: dict[str, Any], assignment: str, source: Source) -> None:
    """Set one `section.key=value` in `raw`."""
    where = f"--set {assignment}"
    name, equals, text = assignment.partition("=")
    if not equals or not all(name.split(".")):
        source.faults.append(f"{where}: expects section.key=value, as in train.eta=0.1")
        return
    path: KeyPath = tuple(int(part) if part.isdecimal() else part for part in name.split("."))
    value_source = Source(where)
    try:
        value = parse(text, value_source)
    except ConfigError as fault:
        source.faults.extend(fault.faults)
        return
    source.faults.extend(value_source.faults)
    target: Any = raw
    for position, part in enumerate(path):
        last = position == len(path) - 1
        if isinstance(target, list) and isinstance(part, int) and part < len(target):
            pass
        elif isinstance(target, dict):
            part = str(part)
            if not last and isinstance(target.get(part), str):
                target[part] = {"kind": target[part]}  # `init: normal` and --set init.std=0.1
            elif not last:
                target.setdefault(part, {})
        else:
            source.faults.append(f"{where}: there is nothing at {dotted(path[: position + 1])}")
            return
        if last:
            target[part] = value
        else:
            target = target[part]
    # All that stands at or below this path came from the command line now.
    for places in (source.places, source.keys):
        for old in [old for old in places if old[: len(path)] == path]:
            del places[old]
        places[path] = where


def dump(values: Any) -> str:
    """Return plain values as YAML, which reads back as the same values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def dotted(path: KeyPath) -> str:
    """Return a path as a user writes it, `train.eta`."""
    parts = (str(part) for part in path)
    return ".".join(p if p.isprintable() else ascii(p) for p in parts) or "config"


def kind_of(value: object) -> str:
    """Return what kind of value this is, in words for a message."""
    for kind, name in ((bool, "true/false"), (dict, "a mapping"), (list, "a list"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else "a number"


def short(value: object) -> str:
    """Return the value as text of at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:36]}…{text[-1]}"
