"""The JSON Schema (draft 7) of a config, for editors that complete and check while one types.

It is made of the models in `model.py` and `sections.py`, whose descriptions are the only ones; what
is added here are the short forms, layers of installed packages, and classes of a user's own file.
Everything is written where it is used, without `$ref`, beside which draft 7 ignores a description.
JSON Schema knows no difference between 1 and 1.0, and no checks across keys: `minifw validate`
tells more.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from minifw.config import own
from minifw.config.model import Config

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
    layers = properties["network"]["items"]
    layers["oneOf"] += map(_installed, own.installed())
    for kind in layers["oneOf"]:
        if "init" in kind["properties"]:
            kind["properties"]["init"] = _with_own(_with_words(kind["properties"]["init"]))
    properties["network"]["items"] = _with_own(_with_short_layers(layers))
    return {"$schema": _DRAFT_7, "title": "A config of minifw", **plain}


def text() -> str:
    """Return the schema as the file `configs/schema.json` holds it."""
    return json.dumps(schema(), indent=1) + "\n"


def _plain(part: Any, definitions: Schema) -> Any:
    """Return the part as draft 7 has it, with every reference replaced by what it stands for."""
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
        del result["default"]  # the key may be left out: that is all there is to say
    return result


def _properties(properties: Schema, definitions: Schema) -> Schema:
    """Return the keys of a section; they are names, not words of JSON Schema."""
    return {key: _plain(value, definitions) for key, value in properties.items()}


def _with_words(section: Schema) -> Schema:
    """Let a bare word stand for a mapping with this kind alone, where no other key is needed."""
    about: Schema = {key: section[key] for key in ("description", "default") if key in section}
    body = {key: value for key, value in section.items() if key not in about}
    choices = body.get("oneOf") or body.get("anyOf") or [body]
    words = [word for choice in choices for word in _kinds(choice, alone=True)]
    return {**about, "anyOf": [{"enum": words}, *choices]}


def _with_own(section: Schema) -> Schema:
    """Let a class of a user's own file stand there; its keys are known when it is run."""
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
    """Allow `relu`, `linear: 25` and `linear: {out_features: 25}` beside the long form."""
    choices = layers["oneOf"]
    forms: list[Schema] = [_with_words(layers)["anyOf"][0]]
    for choice in choices:
        inner = {
            "type": "object",
            "additionalProperties": False,
            "properties": {k: v for k, v in choice["properties"].items() if k != "kind"},
            "required": [key for key in choice.get("required", []) if key != "kind"],
        }
        for kind in _kinds(choice):
            size = choice["properties"].get(own.short_key(kind))
            form = {"anyOf": [size, inner]} if size else inner
            about = {"description": choice["properties"]["kind"]["description"]}
            forms.append(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {kind: {**about, **form}},
                    "required": [kind],
                }
            )
    return {"description": "a layer", "anyOf": [*forms, *choices]}
