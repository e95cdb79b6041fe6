"""Charts: inline SVG and files say the same numbers, whatever the names and numbers are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from minifw.charts import Axis, Band, Chart, Dots, Line, Mark, Panel, svg

HOSTILE = (
    "</svg><script>alert(1)</script>",
    "\"'&<>",
    "a\x1b[31m\x00\u202eb",
    "x" * 200,
    "שלום",
    "",
)


def chart(*marks: Mark, x: Axis | None = None, y: Axis | None = None, title: str = "T") -> Chart:
    panel = Panel(title, x or Axis("epoch"), y or Axis("error, %"), marks)
    return Chart("name", title, "caption", "description", (panel,), {"a": [1, 2]})


def parsed(drawn: Chart, identifier: str = "one") -> ET.Element:
    return ET.fromstring(svg.inline(drawn, identifier))


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_any_kind_stays_text(text: str) -> None:
    names = Axis(text, "category", (text, text))
    marks = [Line(text, [0, 1], [1, 2]), Dots(text, [0], [1], labels=(text,))]
    root = parsed(chart(*marks, x=names, y=Axis(text), title=text), text)
    kinds = {element.tag for element in root.iter()}
    assert kinds <= {"svg", "title", "desc", "g", "path", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name == "style" or name.startswith("on")}


def test_it_is_an_image_with_a_name_and_a_description() -> None:
    root = parsed(chart(Line("a", [0, 1], [1, 2])))
    assert root.get("role") == "img"
    assert "width" not in root.attrib
    texts = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    named = [texts[name] for name in (root.get("aria-labelledby") or "").split()]
    assert named == ["T", "description"]


def test_nan_breaks_a_line_and_leaves_out_a_dot() -> None:
    gap = [0.0, 1.0, np.nan, 3.0, 4.0]
    text = svg.inline(chart(Line("a", range(5), gap), Dots("b", range(5), gap)), "c")
    line, dots = re.findall(r'class="(?:line|dots)[^"]*" d="([^"]*)"', text)[:2]
    assert line.count("M") == 2
    assert dots.count("M") == 4
    assert "nan" not in text


def test_single_seeds_are_few_paths_of_their_own() -> None:
    rng = np.random.default_rng(0)
    seeds = [Line(f"seed {n}", range(50), rng.random(50), quiet=True) for n in range(20)]
    root = parsed(chart(*seeds, Band("q", range(50), np.zeros(50), np.ones(50))))
    (group,) = [element for element in root.iter() if element.get("class") == "quiet"]
    assert len(group) == 1
    assert group[0].attrib["d"].count("M") == 20
