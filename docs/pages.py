"""Writes the sections of these pages that are generated from the code: `make pages`.

They are between `<!-- generated: NAME -->` and `<!-- end -->`. A test compares them with the code.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_SECTION = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Return every page that has generated sections, with their present content."""
    makers = {"keys": keys, "data": data_keys, "help": helps, "codes": codes}
    found = {}
    for path in sorted(HERE.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _SECTION.search(text):
            made = _SECTION.sub(lambda found: f"{found[1]}\n{makers[found[2]]()}\n{found[3]}", text)
            found[path] = made
    return found


# ------------------------------------------------------------------------------ keys of a config


def keys() -> str:
    """Return every key of a config as Markdown, from the schema."""
    from minifw.config.schema import schema

    made = schema()
    sections = []
    required = made.get("required", [])
    lines = []
    for key, value in made["properties"].items():
        choices = list(_objects(value))
        inside = f"[below](#{key})" if choices else _kind(value)
        lines.append(_row(key, inside, value, key in required))
        if choices:
            sections.append(_section(key, value, choices, made["properties"]))
        for name, inner in _of_kinds(choices, made["properties"]):
            sections.append(_section(f"{key}.{name}", inner, list(_objects(inner)), {}))
    return "\n\n".join([_table(lines), *sections])


def data_keys() -> str:
    """Return every key of `data` once, with the kinds that have it, as Markdown."""
    from minifw.config.schema import schema

    kinds: dict[str, list[str]] = {}  # of each row, which is a key with all that is said of it
    known: list[str] = []
    for choice in _objects(schema()["properties"]["data"]):
        here = _words(choice["properties"].get("kind", {}))
        if not here or here[0] in known:
            continue
        known += here
        for name, inner in choice["properties"].items():
            if name != "kind":
                row = _row(name, _kind(inner), inner, name in choice.get("required", []))
                kinds.setdefault(row, []).extend(here)
    known_as = {frozenset(known): "all"}
    for name, start in (  # of each group a key that its kinds alone have
        ("files of columns", "| `exclude`"),
        ("files", "| `path`"),
        ("tables", "| `split`"),
        ("generated", "| `train` | whole number"),
    ):
        for row, some in kinds.items():
            if row.startswith(start) and len(some) > 1:
                known_as[frozenset(some)] = name
    rows = []
    for row, some in sorted(kinds.items(), key=lambda row: (-len(row[1]), row[1])):
        lacks = [kind for kind in known if kind not in some]
        word = known_as.get(frozenset(some), ", ".join(some))
        if 0 < len(lacks) <= 3:
            word = f"all but {', '.join(lacks)}"
        rows.append(f"| {word} {row}")
    head = ["| of | key | value | default | what it is |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def _of_kinds(
    choices: list[dict[str, Any]], known: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield keys of a section that are sections of several kinds, unless the config has them."""
    for choice in choices if len(choices) == 1 else ():
        for name, inner in choice["properties"].items():
            if name not in known and len(list(_objects(inner))) > 1:
                yield name, inner


def _section(
    key: str, value: dict[str, Any], choices: list[dict[str, Any]], known: dict[str, Any]
) -> str:
    """Return the keys of a section; those that all kinds have stand before the kinds.

    `known` are the sections of a config: a key of the same name has the same values.
    """
    parts = [f"## {key}", _sentence(value.get("description", ""))]
    shown = set()
    of_choices = [_rows(key, choice, choices, known) for choice in choices]
    of_all: list[str] = []
    if len(choices) > 2:
        of_all = [row for row in of_choices[0] if all(row in rows for rows in of_choices)]
    if of_all:
        parts += ["All kinds have these keys:", _table(of_all)]
    for choice, rows in zip(choices, of_choices, strict=True):
        kinds = _words(choice["properties"].get("kind", {}))
        title = ", ".join(f"`{kind}`" for kind in kinds)
        if title in shown or (not kinds and shown):  # a short form of what is there already
            continue
        shown.add(title)
        if title:
            parts += [f"### {title}"]
            if about := choice["properties"]["kind"].get("description"):
                parts.append(_sentence(about))
        rows = [row for row in rows if row not in of_all]
        parts.append(_table(rows) if rows else "No other keys.")
        for name, inner in choice["properties"].items():
            parts += _mapping(name, inner)
    return "\n\n".join(part for part in parts if part)


def _rows(
    key: str, choice: dict[str, Any], choices: list[dict[str, Any]], known: dict[str, Any]
) -> list[str]:
    """Return a row for each key of one kind of a section."""
    below = {name: f"{key}{name}" for name, _ in _of_kinds(choices, {})}
    below |= {name: name for name in known if list(_objects(known[name])) and name != key}
    return [
        _row(
            name,
            f"[below](#{below[name]})" if name in below and list(_objects(inner)) else _kind(inner),
            inner,
            name in choice.get("required", []),
        )
        for name, inner in choice["properties"].items()
        if name != "kind"
    ]


def _mapping(key: str, value: dict[str, Any]) -> list[str]:
    """Return the keys of a mapping in a section, unless it may be one of several."""
    found = [*_all_objects(value)]
    if len(found) != 1:
        return []
    (inside,) = found
    required = inside.get("required", [])
    rows = [
        _row(name, _kind(inner), inner, name in required)
        for name, inner in inside["properties"].items()
    ]
    return [f"### `{key}`", _sentence(value.get("description", "")), _table(rows)]


def _objects(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sections that may stand here, each once; those with a kind come first."""
    found = list(_all_objects(value.get("items", value) if "items" in value else value))
    with_kind = [each for each in found if "kind" in each["properties"]]
    yield from with_kind or found


def _all_objects(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "properties" in value:
        yield value
    for form in ("anyOf", "oneOf"):
        for choice in value.get(form, []):
            yield from _all_objects(choice)


def _row(key: str, kind: str, value: dict[str, Any], required: bool) -> str:
    default = "required" if required else _default(value)
    return f"| `{key}` | {kind} | {default} | {value.get('description', '')} |"


def _default(value: dict[str, Any]) -> str:
    if "default" not in value:
        return "–"
    default = value["default"]
    if isinstance(default, dict) and "kind" in default:
        default = default["kind"]
    return f"`{default}`".lower() if isinstance(default, bool) else f"`{default}`"


def _table(rows: list[str]) -> str:
    return "\n".join(["| key | value | default | what it is |", "| --- | --- | --- | --- |", *rows])


def _words(value: dict[str, Any]) -> list[str]:
    return [value["const"]] if "const" in value else list(value.get("enum", []))


def _kind(value: dict[str, Any]) -> str:
    """Return what may stand there, in words."""
    if words := _words(value):
        return ", ".join(f"`{str(w).lower() if isinstance(w, bool) else w}`" for w in words)
    for form in ("anyOf", "oneOf"):
        if form in value:
            kinds = dict.fromkeys(map(_kind, value[form]))
            kinds.pop("nothing", None)
            return " or ".join(kinds)
    match value.get("type"):
        case "integer":
            return f"whole number{_bounds(value)}"
        case "number":
            return f"number{_bounds(value)}"
        case "boolean":
            return "`true`, `false`"
        case "string":
            return "text"
        case "null":
            return "nothing"
        case "array":
            items = value.get("items")
            inner = items[0] if isinstance(items, list) else items
            count = f"{len(items)} of: " if isinstance(items, list) else "list of: "
            return f"{count}{_kind(inner or {})}"
        case "object":
            kinds = _words(value.get("properties", {}).get("kind", {}))
            return " or ".join(f"`{{kind: {kind}, …}}`" for kind in kinds) or "mapping"
    return "any"


def _bounds(value: dict[str, Any]) -> str:
    words = {
        "minimum": "at least", "exclusiveMinimum": "above",
        "maximum": "at most", "exclusiveMaximum": "below",
    }  # fmt: skip
    if "minimum" in value and "maximum" in value:
        return f", {value['minimum']:.15g} to {value['maximum']:.15g}"
    parts = [f"{word} {value[key]:.15g}" for key, word in words.items() if key in value]
    return f", {' and '.join(parts)}" if parts else ""


def _sentence(text: str) -> str:
    formula = text[1:2] == " "  # y = …
    return f"{text if formula else text[:1].upper() + text[1:]}." if text else ""


# ------------------------------------------------------------------------------------ exit codes


def codes() -> str:
    """Return the exit codes of commands as a table, from the errors that cause them."""
    from minifw import errors

    found: dict[int, list[type[errors.MinifwError]]] = {}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.MinifwError):
            found.setdefault(error.exit_code, []).append(error)
    rows = ["| 0 | – | success |"]
    for code, kinds in sorted(found.items()):
        if code == errors.MinifwError.exit_code:
            rows.append(f"| {code} | any other exception | a bug in minifw |")
            continue
        names = ", ".join(f"`{kind.__name__}`" for kind in kinds)
        meaning = "; ".join(_first_line(kind) for kind in kinds)
        rows.append(f"| {code} | {names} | {meaning} |")
    rows.append(
        "| 128 + n | `Interrupted` | signal n: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP, "
        "138 for SIGUSR1 on Linux |"
    )
    return "\n".join(["| code | error | meaning |", "| ---: | --- | --- |", *rows])


def _first_line(kind: type) -> str:
    text = (kind.__doc__ or "").splitlines()[0].rstrip(".")
    return f"{text[:1].lower()}{text[1:]}".split("; `")[0].split(". `")[0]


# ---------------------------------------------------------------------------- the commands' help


def helps() -> str:
    """Return what every command prints for `--help`."""
    from minifw.cli.main import app

    parts = []
    for words in _commands(app):
        text = _printed(app, [*words, "--help"])
        parts.append(f"## {' '.join(['minifw', *words])}\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


def _commands(app: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield before
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        yield (*before, name)
    for group in app.registered_groups:
        yield from _commands(group.typer_instance, (*before, group.name))


def _printed(app: Any, words: list[str]) -> str:
    text = io.StringIO()
    before = {key: os.environ.get(key) for key in ("COLUMNS", "TERM", "NO_COLOR")}
    os.environ |= {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    try:
        with contextlib.redirect_stdout(text):
            app(words, prog_name="minifw", standalone_mode=False)
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path)
