"""YAML text to plain values, each with its place in the text.

A stricter YAML than PyYAML's: scalars of YAML 1.2 (`1e-3` is a number, `on` a word), one document,
no anchors, aliases, tags or duplicate keys, and bounds on size, depth and number of values. Only
PyYAML's parser is used, not its constructors: values are made here from its events, one after
another, so that reading stops as soon as a bound is passed. `--set key=value` is read the same way
and replaces the value in the file.

Every value that is written is read back unchanged. Text that is not plain and printable is written
in double quotes, with YAML's escapes. YAML has no escape for a byte of a path that is not UTF-8,
which Python holds as a lone surrogate; it is written as NUL and two hexadecimal digits, `"\\0ff"`.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from minifw.config.source import Fault, KeyPath, Place, Source, dotted
from minifw.errors import ConfigError, StorageError, did_you_mean, harmless, short, short_word
from minifw.system.files import NotAFileError, open_input

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_VALUES = 10_000
"""Keys and values of a config together; each takes time to check."""
MAX_NUMBER = 100
"""Characters of a number."""

_SCALARS = {
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
}
"""Plain words that are not text in YAML 1.2's core schema, by their first characters."""
_PATTERNS = {kind: re.compile(pattern) for kind, (pattern, _) in _SCALARS.items()}

# The written form of a NUL and of a byte that is not UTF-8; no path contains a NUL.
_BYTE = re.compile("\0(00|[89a-f][0-9a-f])")

# Characters that YAML forbids, and line breaks that no editor counts.
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_USELESS = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # no path or word contains these


# libyaml's parser, included in PyYAML's wheels, is much faster than the one in Python.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """SafeDumper for what `parse` reads: the numbers of YAML 1.2, no aliases, text on one line."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, as in the base class

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, text: str) -> yaml.ScalarNode:
        style = None if text.isprintable() else '"'  # None: quotes only where YAML needs them
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        self.write_indicator(f'"{"".join(map(_escaped, text))}"', True)


def _escaped(character: str) -> str:
    """Return a character as it stands between double quotes."""
    if character in '"\\':
        return f"\\{character}"
    if character == "\0" or "\udc80" <= character <= "\udcff":
        return f"\\0{ord(character) & 0xFF:02x}"
    return harmless(character)  # Python's escapes are YAML's


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])
for _kind, (_pattern, _first) in _SCALARS.items():
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first
    )


class _Stop(Exception):  # noqa: N818, it ends the reading and is not an error
    """The rest of the text cannot be read, or need not be."""


def parse(text: str, source: Source) -> Any:
    """Return the plain values of one YAML document, and note the place of each in `source`.

    Faults of single values are added to `source.faults`, and None replaces these values.

    Raises:
        ConfigError: with all faults so far, if reading cannot continue.

    """
    try:
        return _Reader(text, source).document()
    except _Stop:
        raise source.error() from None


class _Reader:
    """Makes values from the parser's events, one after another."""

    def __init__(self, text: str, source: Source) -> None:
        self.source = source
        self.values = self.depth = 0
        if found := _FORBIDDEN.search(text):
            what = f"character U+{ord(found[0]):04X} is not allowed"
            if not _USELESS.match(found[0]):
                what += f'; in double quotes "{_escaped(found[0])}" stands for it'
            self.stop_at(text, found.start(), what)
        # Refused here, since PyYAML compares each with all others, which takes quadratic time.
        if found := re.search("^%TAG", text, re.MULTILINE):
            self.stop_at(text, found.start(), "tags (%TAG) are not allowed")
        self.events = self.all_events(text)

    def stop_at(self, text: str, position: int, what: str) -> NoReturn:
        before = text[:position]
        line, column = before.count("\n"), position - (before.rfind("\n") + 1)
        self.source.faults.append(Fault(self.source.at(line, column), None, what))
        raise _Stop

    def all_events(self, text: str) -> Iterator[Any]:
        """Yield the events of the text, up to the first that is not valid YAML."""
        try:
            yield from yaml.parse(text, Loader=_PARSER)
        except yaml.MarkedYAMLError as fault:
            mark = fault.problem_mark or fault.context_mark
            place = self.source.mark(mark) if mark else Place(self.source.name)
            what = fault.problem or fault.context or "it ends too early"
        except (yaml.YAMLError, ValueError, OverflowError) as fault:
            place, what = Place(self.source.name), str(fault).partition("\n")[0]
        else:
            return
        self.source.faults.append(Fault(place, None, f"not valid YAML: {what}"))
        raise _Stop

    def document(self) -> Any:
        """Return the value of the only document, None where there is none."""
        value, documents = None, 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.stop(event, "one document a file; a second one begins here")
                value = self.value(next(self.events), ())
        return value

    def count(self, event: Any) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            self.stop(event, f"more than {MAX_VALUES} keys and values; is this a config?")

    def value(self, event: Any, path: KeyPath) -> Any:
        """Return the value that begins with this event."""
        source = self.source
        self.count(event)
        source.places.setdefault(path, source.mark(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            self.refuse(event, path, "aliases (*name) are not allowed")
            return self.nothing(path)
        if event.anchor is not None:
            self.refuse(event, path, "anchors (&name) are not allowed")
        if event.tag is not None:
            self.refuse(event, path, f"tags ({short_word(event.tag)}) are not allowed")
        if isinstance(event, yaml.ScalarEvent):
            return self.nothing(path) if event.tag is not None else self.scalar(event, path)
        if self.depth == MAX_DEPTH:
            self.stop(event, f"nested more than {MAX_DEPTH} deep")
        self.depth += 1
        sequence = isinstance(event, yaml.SequenceStartEvent)
        found = self.sequence(path) if sequence else self.mapping(path)
        self.depth -= 1
        return found

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self.refuse(event, None, "a key must be a word")
                self.skip(event)
                self.skip(next(self.events))
                continue
            self.count(event)
            key = event.value  # not decoded, since no key holds bytes; see `override`
            own = (*path, key)
            if event.anchor is not None or event.tag is not None:
                self.refuse(event, own, "anchors (&name) and tags (!name) are not allowed")
            if key == "<<" and event.implicit[0]:
                self.refuse(event, own, "merge keys (<<) are not allowed")
                self.skip(next(self.events))
            elif key in mapping:
                first = self.source.keys[own].line
                which = f"; first in line {first}" if first else ""
                self.refuse(event, own, f"this key is given twice{which}")
                self.skip(next(self.events))
            else:
                self.source.keys[own] = self.source.mark(event.start_mark)
                mapping[key] = self.value(next(self.events), own)
        return mapping

    def skip(self, event: Any) -> None:
        """Skip a value that is not used; only faults that end the reading are noted."""
        source, self.source = self.source, Source(self.source.name, given=self.source.given)
        try:
            self.value(event, ())
        except _Stop:
            source.faults.append(self.source.faults[-1])
            raise
        finally:
            self.source = source

    def scalar(self, event: Any, path: KeyPath) -> Any:
        if not event.implicit[0]:
            return _text(event)
        try:
            return plain(event.value)
        except ValueError:
            self.refuse(event, path, f"not a number that can be used: {short(event.value)}")
            return self.nothing(path)

    def nothing(self, path: KeyPath) -> None:
        """Return None for a value that cannot be read, and mark it, so that no check reports it."""
        self.source.bad.add(path)

    def refuse(self, event: Any, path: KeyPath | None, what: str) -> None:
        self.source.faults.append(Fault(self.source.mark(event.start_mark), path, what))

    def stop(self, event: Any, what: str) -> NoReturn:
        self.refuse(event, None, what)
        raise _Stop


def _text(event: Any) -> str:
    """Return the text of a scalar, with NULs and bytes as Python holds them."""

    def held(found: re.Match[str]) -> str:
        byte = int(found[1], 16)
        return chr(0xDC00 + byte) if byte else "\0"

    text: str = event.value
    return _BYTE.sub(held, text) if "\0" in text else text


def plain(text: str) -> str | int | float | bool | None:
    """Return the value of a word without quotes.

    Raises:
        ValueError: it is a number with too many digits.

    """
    # The first character shows that most words are text: they need no pattern.
    if text and text[0] not in "~nNtTfF-+.0123456789":
        return text
    kind = next((kind for kind, pattern in _PATTERNS.items() if pattern.fullmatch(text)), "text")
    if kind == "text":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if len(text) > MAX_NUMBER:
        raise ValueError
    if kind == "int":
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(re.sub(r"\.(?=[iInN])", "", text))  # .inf and .nan, refused later


def check_size(size: int, name: str) -> None:
    """Raise a ConfigError if a text of this many bytes is too large for a config."""
    if size > MAX_BYTES:
        raise ConfigError([f"{name}: larger than {MAX_BYTES} bytes; is this a config?"])


def read(path: Path) -> str:
    """Return the text of a config.

    Raises:
        ConfigError: there is no such file, it is too large, or it is not UTF-8 text.
        StorageError: the file exists and cannot be read.

    """
    name = str(path)
    try:
        with open_input(path) as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError(
            [f"{name}: there is no such file{did_you_mean(path.name, beside)}"]
        ) from None
    except NotAFileError as fault:
        raise ConfigError([f"{name}: expects a YAML file, this is {fault.kind}"]) from None
    except OSError as fault:
        raise StorageError(f"{name}: cannot be read: {fault.strerror}") from None
    except ValueError as fault:  # such as a NUL byte in the name
        raise ConfigError([f"{name}: is no name of a file: {fault}"]) from None
    check_size(len(content), name)
    try:
        return content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as fault:
        before = fault.object[: fault.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        raise ConfigError(
            [f"{name}:{line}:{column}: not UTF-8 text (byte {fault.start})"]
        ) from None


# ------------------------------------------------------------------------------------- overriding


def override(raw: dict[str, Any], assignment: str, source: Source) -> None:
    """Set one `section.key=value` in `raw`."""
    shown = harmless(assignment)
    text = shown if len(shown) <= 120 else f"{shown[:119]}…"
    given = Source(f"{source.option} {text}", given=True)
    here = given.at(0, 0)
    name, equals, text = assignment.partition("=")
    path = key_path(name)
    value = None
    wrong = "" if equals else "expects section.key=value, as in train.eta=0.1"
    wrong = wrong or _wrong_path(path)
    if not wrong:
        if re.fullmatch(r"[!-/:-@\[-`{-}]", text.strip()):  # data.decimal=, has no meaning in YAML
            text = "'{}'".format(text.strip().replace("'", "''"))
        try:
            value = parse(text, given)
        except ConfigError:
            source.faults += given.faults
            return
        wrong = _assign(raw, path, value)
    if wrong:
        source.faults.append(Fault(here, None, wrong))
        return
    _replace_places(source, path, here, given.places, given.keys)
    source.bad |= {(*path, *below) for below in given.bad}
    source.faults += [
        Fault(here, None if fault.path is None else (*path, *fault.path), fault.what)
        for fault in given.faults
    ]


def put(raw: dict[str, Any], key: str, value: Any, place: Place, source: Source) -> None:
    """Set a value by its dotted key in `raw`; `place` is where it was given."""
    path = key_path(key)
    if wrong := _wrong_path(path) or _assign(raw, path, copy.deepcopy(value)):
        source.faults.append(Fault(place, None, wrong))
        return
    inner = [*_paths(value)]
    _replace_places(source, path, place, inner, [below for below in inner if below])


def key_path(key: str) -> KeyPath:
    """Return the path of a dotted key."""
    # No key of a config holds bytes that are not UTF-8, and pydantic would fail on one.
    key = key.encode(errors="backslashreplace").decode()
    return tuple(
        int(part) if part.isascii() and part.isdecimal() and len(part) < 10 else part
        for part in key.split(".")
    )


def _wrong_path(path: KeyPath) -> str:
    """Return what is wrong with the path of an override, if anything."""
    if "" in path:
        return "expects section.key=value, as in train.eta=0.1"
    return f"nested more than {MAX_DEPTH} deep" if len(path) > MAX_DEPTH else ""


def _paths(value: Any) -> Iterator[KeyPath]:
    """Yield the paths of a value and of all values in it."""
    yield ()
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for part, inner in items:
            yield from ((part, *below) for below in _paths(inner))


def _replace_places(
    source: Source, path: KeyPath, here: Place, places: Iterable[KeyPath], keys: Iterable[KeyPath]
) -> None:
    """Let the values at and below this path come from `here`; inner paths are relative to it."""
    for kept, new in ((source.places, places), (source.keys, keys)):
        for old in [old for old in kept if old[: len(path)] == path]:
            del kept[old]
        kept[path] = here
        kept.update({(*path, *below): here for below in new})
    source.bad -= {old for old in source.bad if old[: len(path)] == path}


def _assign(raw: dict[str, Any], path: KeyPath, value: Any) -> str:
    """Put `value` at its path in `raw`; return what is wrong with the path, if anything."""
    target: Any = raw
    for position, part in enumerate(path):
        last = position == len(path) - 1
        if isinstance(target, list) and isinstance(part, int) and part < len(target):
            key: str | int = part
        elif isinstance(target, dict):
            key = str(part)
        else:
            return f"there is nothing at {dotted(path[: position + 1])}"
        if last:
            target[key] = value
            break
        if isinstance(target, dict):
            target.setdefault(key, {})
        if isinstance(target[key], str):
            target[key] = {"kind": target[key]}  # `init: normal` and --set init.std=0.1
        target = target[key]
    return ""


def dump(values: Any, *, flow: bool = False) -> str:
    """Return plain values as YAML that reads back as the same values; `flow`: in one line."""
    return yaml.dump(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
        default_flow_style=flow,
    )
