"""The JSON Schema: shipped as it is made, true of the shipped configs, and no more lenient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bad_configs import GOOD
from conftest import ROOT, Minifw
from minifw.config import schema, source, yaml12

CONFIGS = sorted((ROOT / "src/minifw/examples").glob("*.yaml"))
MODELINE = "# yaml-language-server: $schema="


def errors(text: str) -> list[str]:
    raw = yaml12.parse(text, source.Source("here"))
    return [error.message for error in validator().iter_errors(raw)]


def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(schema.schema())


def test_the_shipped_file_is_what_the_command_prints(minifw: Minifw) -> None:
    answer = minifw("schema")
    assert answer.code == 0
    assert answer.out == (ROOT / "src/minifw/examples/schema.json").read_text(encoding="utf-8")
    made = json.loads(answer.out)
    assert made["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(made)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_fulfil_it_and_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert errors(text) == []
    first = text.splitlines()[0]
    assert first.startswith(MODELINE)
    assert (path.parent / first.removeprefix(MODELINE)).is_file()


def test_every_key_has_a_description() -> None:
    def missing(part: Any, name: str) -> list[str]:
        if isinstance(part, list):
            return [key for item in part for key in missing(item, name)]
        if not isinstance(part, dict):
            return []
        found = [
            f"{name}.{key}"
            for key, about in part.get("properties", {}).items()
            if not about.get("description")
        ]
        return found + [key for word, inner in part.items() for key in missing(inner, word)]

    assert missing(schema.schema(), "config") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- linear: 4", "- linear: {out_features: 4, init: normal}"),
        ("- linear: 4", "- {kind: linear, out_features: 4, bias: false}"),
        ("- relu", "- relu: {}"),
        ("- linear: 4", "- {linear: 4, bias: false, name: first, from: inputs}"),
        ("- linear: 4", "- {linear: {out_features: 4}, name: first, from: [inputs]}"),
        ("- relu", "- {relu: {}, from: first}"),
        ("- relu", "- {use: first, from: second}"),
        ("- relu", "- kind: tanh"),
        ("loss: mse", "loss: {kind: mse, reduction: sum}\ninit: kaiming-normal\noptimizer: sgd"),
        ("loss: mse", "loss: mse\noptimizer: {momentum: 0.9}\ninit: {kind: normal, std: 1}"),
        ("epochs: 3", "epochs: 3\n  compile: true"),
        ("{kind: disk, train: 50, test: 60}", "moons"),
        ("{kind: disk, train: 50, test: 60}", "{kind: csv, path: a.csv, train: 0.5, test: 20}"),
    ],
)
def test_all_forms_fulfil_it(old: str, new: str) -> None:
    assert old in GOOD
    assert errors(GOOD.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 3", "epcohs: 3"),
        ("epochs: 3", "epochs: 3.5"),
        ("epochs: 3", 'epochs: "3"'),
        ("epochs: 3", "epochs: 0"),
        ("epochs: 3", 'epochs: 3\n  compile: "true"'),
        ("epochs: 3", "epochs: 3\n  mode: adam"),
        ("epochs: 3", "epochs: 3\nx: 1"),
        ("loss: mse", "loss: msee"),
        ("loss: mse\n", ""),
        ("loss: mse", "loss: {reduction: sum}"),
        ("- relu", "- rleu"),
        ("- relu", "- relu: 3"),
        ("- relu", "- linear"),
        ("- linear: 4", "- linear: 4.5"),
        ("- linear: 4", "- linear: {out_feature: 4}"),
        ("- linear: 4", "- {linear: 4, bias: 3}"),
        ("- linear: 4", "- {linear: 4, from: 3}"),
        ("- linear: 4", "- {linear: 4, name: a b}"),
        ("- linear: 4", "- {linear: 4, relu: }"),
        ("kind: disk", "kind: dsik"),
        ("kind: disk, ", ""),
        ("train: 50", "noise: 1"),
        ("{kind: disk, train: 50, test: 60}", "csv"),
        ("{kind: disk, train: 50, test: 60}", "{kind: csv, path: a.csv, train: 1.5}"),
        ("name: good", "name: ../up"),
        ("name: good", "name: 3"),
    ],
)
def test_mistakes_do_not_fulfil_it(old: str, new: str) -> None:
    assert old in GOOD
    assert errors(GOOD.replace(old, new))
