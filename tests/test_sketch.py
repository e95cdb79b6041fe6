"""The network as a picture: its lanes, folds, text at 80 columns, and inline SVG."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from conftest import ROOT, Minifw
from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.config.wiring import wiring
from minifw.experiment import plan as plans
from minifw.explain import drawing
from minifw.explain.sketch import Sketch, sketch
from minifw.page import diagram
from minifw.page.document import Diagram

CONFIGS = sorted((ROOT / "src/minifw/examples").glob("*.yaml"))


def of(name: str | Path, *words: str) -> Sketch:
    settings = [word for word in words if word != "--set"]
    config, source = loading.load_with_source(find_config(str(name)), settings)
    plan = plans.plan(config, 1, [config.train.mode], source)
    return sketch(plan.config, plan.sizes.features)


TWO_BRANCH = """\
       layer                  output  parameters
●      inputs                      2
├─╮
│ ●    0 linear 'left'             8          24
├─│─╮
│ │ ●  1 linear 'right'            8          24
│ ├─╯
│ ●    2 multiply 'products'       8
● │    3 linear                    8          24
● │    4 relu 'bends'              8
╰─┤
  ●    5 concat                   16
  ●    6 linear                    2          34  → cross-entropy
"""


def test_branches_and_what_joins_them(minifw: Minifw) -> None:
    answer = minifw("show", "two-branch", "--graph")
    assert answer.code == 0
    picture, about = answer.out.split("\n\n")
    assert picture + "\n" == TWO_BRANCH
    assert " ".join(about.split()).endswith("106 parameters. Outputs are those of one sample.")


def test_heads_and_a_value_that_two_layers_take(minifw: Minifw) -> None:
    lines = minifw("show", "two-heads", "--graph").out.splitlines()
    assert lines[3] == "●    1 tanh 'code'         32"
    assert lines[4] == "├─╮"
    assert lines[5].startswith("│ ●  2 linear 'digit'")
    assert lines[5].endswith("→ cross-entropy")
    assert lines[6].startswith("●    3 linear 'image'")
    assert lines[6].endswith("→ mse · 0.1")


def test_blocks_that_are_repeated_are_folded() -> None:
    block = "{linear: 8}, relu, layer-norm"
    picture = of("simplenet", f"network=[{', '.join([block] * 6)}, {{linear: 2}}]")
    (fold,) = (node for node in picture.nodes if node.folded)
    assert picture.folds
    assert re.search(r"\d+ to \d+: the 3 layers above, \d times", fold.title)
    config, _ = loading.load_with_source(
        find_config("simplenet"), [f"network=[{', '.join([block] * 6)}, {{linear: 2}}]"]
    )
    sizes = wiring(config).sizes(2)
    assert picture.parameters == sum(size.parameters for size in sizes)
    assert sum(max(1, node.folded) for node in picture.nodes) == len(sizes) + 1
    assert not of("simplenet").folds


def test_a_branch_is_never_folded() -> None:
    assert not of("residual").folds
    blocks = ", ".join(
        f"{{linear: 2, name: f{k}}}, {{add: [f{k}, {'inputs' if not k else f'x{k - 1}'}], "
        f"name: x{k}}}"
        for k in range(6)
    )
    picture = of("simplenet", f"network=[{blocks}]")
    assert not picture.folds
    assert len(picture.nodes) == 13


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_config_has_a_picture(path: Path, its_data: Any) -> None:
    picture = of(path, *its_data(path))
    text = drawing.text(picture)
    assert max(map(len, text.splitlines())) <= 80
    for node in picture.nodes:
        assert node.title in text
    assert_apart(picture)
    svg = ElementTree.fromstring(diagram.inline(Diagram("a", "A network", "c", picture), "one"))
    assert svg.get("role") == "img"
    named = {part.get("id", ""): part.text for part in svg if part.get("id")}
    assert svg.get("aria-labelledby") == " ".join(named)
    words = named["one-desc"]
    assert words is not None
    assert all(node.title in words for node in picture.nodes)
    boxes = [part for part in svg if part.tag == "rect"]
    assert len(boxes) == len(picture.nodes)
    arrows = [part for part in svg if part.tag == "path"]
    assert len(arrows) == sum(len(node.takes) for node in picture.nodes)
    assert not any("style" in part.attrib for part in svg.iter())


def assert_apart(picture: Sketch) -> None:
    """No two boxes have one place, each is below what it takes, and no arrow runs through one."""
    places = {(node.lane, node.row) for node in picture.nodes}
    assert len(places) == len(picture.nodes)
    for node in picture.nodes:
        for value in node.takes:
            of_value = picture.node(value)
            assert of_value.row < node.row
            for row in range(of_value.row + 1, node.row):
                assert (of_value.lane, row) not in places, (of_value.title, node.title)


def test_many_crossing_values_are_drawn_apart() -> None:
    layers = ", ".join(f"{{linear: 3, from: inputs, name: a{k}}}" for k in range(6))
    joins = "{add: [a0, a3], name: b0}, {add: [a1, a4], name: b1}, {add: [a2, a5, a0], name: b2}"
    picture = of(
        "simplenet", f"network=[{layers}, {joins}, {{add: [b2, b1, b0, a5]}}, {{linear: 2}}]"
    )
    assert_apart(picture)
    lines = drawing.text(picture).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("●" in line for line in lines) == len(picture.nodes)


def test_names_stay_text_and_long_ones_are_shortened() -> None:
    name = "a" * 60
    picture = of("simplenet", f"network=[{{linear: 3, name: {name}}}, tanh, {{linear: 2}}]")
    assert max(map(len, drawing.text(picture).splitlines())) <= 80
    node = picture.nodes[1]
    bad = Sketch((picture.nodes[0], type(node)(1, (0,), "0 <script>\x1b", "3", 9)))
    svg = diagram.inline(Diagram("a", "<b>", "c", bad), "one")
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert "\x1b" not in svg
    assert "\x1b" not in drawing.text(bad)
