"""The JSON Schema (draft 7) of a config, for completion and checks in an editor.

It is made from the models in `model.py` and `sections.py`, which hold the only descriptions. Added
here are the short forms, layers of installed packages, and classes in a user's Python file.
Nothing is a `$ref`, since draft 7 ignores a description beside one. JSON Schema cannot tell 1 from
1.0 and has no checks across keys; `minifw validate` checks those too.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from minifw.config import own
from minifw.config.model import Config
from minifw.config.short import installed

Schema = dict[str, Any]

_LEFT_OUT = ("title", "discriminator", "$defs")
_DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def schema() -> Schema:
    """Return the schema of a config."""
    made = Config.model_json_schema(schema_generator=GenerateJsonSchema)
    plain: Schema = _plain(made, made["$defs"])
    properties = plain["properties"]
    for key in ("data", "init", "loss", "optimizer"):
        properties[key] = _with_own(_with_words(properties[key]))
    train = properties["train"]["properties"]
    train["schedule"] = _with_own(_with_words(train["schedule"]))
    layers = properties["network"]["items"]
    layers["oneOf"] += map(_installed, installed())
    for kind in layers["oneOf"]:
        if "init" in kind["properties"]:
            kind["properties"]["init"] = _with_own(_with_words(kind["properties"]["init"]))
    properties["network"]["items"] = _with_own(_with_short_layers(layers))
    return {"$schema": _DRAFT_7, "title": "A config of minifw", **plain}


def text() -> str:
    """Return the text of the file `configs/schema.json`."""
    return json.dumps(schema(), indent=1) + "\n"


def _plain(part: Any, definitions: Schema) -> Any:
    """Return a piece of the schema in draft 7, with every reference replaced by its target."""
    if isinstance(part, list):
        return [_plain(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        target = definitions[part["$ref"].rpartition("/")[2]]
        part = {**target, **{key: value for key, value in part.items() if key != "$ref"}}
    result = {
        key: _properties(value, definitions) if key == "properties" else _plain(value, definitions)
        for key, value in part.items()
        if key not in _LEFT_OUT
    }
    if "prefixItems" in result:
        result["items"] = result.pop("prefixItems")
    if result.get("default", ...) is None:
        del result["default"]  # None only says that the key may be left out
    return result


def _properties(properties: Schema, definitions: Schema) -> Schema:
    """Return the keys of a section; they are names, not keywords of JSON Schema."""
    return {key: _plain(value, definitions) for key, value in properties.items()}


def _with_words(section: Schema) -> Schema:
    """Allow a bare word for a mapping with this kind alone, if no other key is required."""
    about: Schema = {key: section[key] for key in ("description", "default") if key in section}
    body = {key: value for key, value in section.items() if key not in about}
    choices = body.get("oneOf") or body.get("anyOf") or [body]
    words = [word for choice in choices for word in _kinds(choice, alone=True)]
    return {**about, "anyOf": [{"enum": words}, *choices]}


def _with_own(section: Schema) -> Schema:
    """Allow a class of a user's Python file, whose keys are known only when it is run."""
    mine: Schema = {
        "type": "object",
        "properties": {
            "python": {
                "description": own.PYTHON,
                "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$",
                "type": "string",
            }
        },
        "required": ["python"],
        "not": {"required": ["kind"]},
    }
    return {**section, "anyOf": [*section["anyOf"], mine]}


def _installed(kind: str) -> Schema:
    """Return the schema of a layer of an installed package."""
    made = own.installed_model(kind).model_json_schema(schema_generator=GenerateJsonSchema)
    plain: Schema = _plain(made, made.get("$defs", {}))
    return plain


def _kinds(choice: Schema, alone: bool = False) -> list[str]:
    """Return the kinds of a section; `alone`: those that need no other key."""
    if "oneOf" in choice:
        return [word for inner in choice["oneOf"] for word in _kinds(inner, alone)]
    if alone and not set(choice.get("required", [])) <= {"kind"}:
        return []
    kind = choice.get("properties", {}).get("kind", {})
    return [kind["const"]] if "const" in kind else list(kind.get("enum", []))


def _with_short_layers(layers: Schema) -> Schema:
    """Allow `relu`, `linear: 25`, `linear: {out_features: 25}` and `{linear: 25, name: first}`."""
    choices = layers["oneOf"]
    forms: list[Schema] = [_with_words(layers)["anyOf"][0]]
    for choice in choices:
        inner: Schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {k: v for k, v in choice["properties"].items() if k != "kind"},
            "required": [key for key in choice.get("required", []) if key != "kind"],
        }
        for kind in _kinds(choice):
            key = own.short_key(kind)
            beside = {k: v for k, v in inner["properties"].items() if k != key}
            needed = [name for name in inner["required"] if name != key]
            size = choice["properties"].get(key)
            form = {"anyOf": [size, inner]} if size else inner
            about = {"description": choice["properties"]["kind"]["description"]}
            short_form: Schema = {
                "type": "object",
                "additionalProperties": False,
                "properties": {kind: {**about, **form}, **beside},
                "required": [kind],
            }
            if size and needed:  # `conv2d: 16` needs a `kernel_size` beside it
                inside = {"properties": {kind: {**about, "type": "object"}}}
                short_form["anyOf"] = [inside, {"required": needed}]
            forms.append(short_form)
    return {"description": "a layer", "anyOf": [*forms, *choices]}
