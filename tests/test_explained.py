"""A step on a page: its lines of code with their numbers, and the section of a run's page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import Minifw
from minifw import runs
from minifw.explain import explain
from minifw.page import explained
from minifw.page.document import Diagram, Document, Grid, Paragraph, Steps
from minifw.page.html import html
from minifw.page.markdown import markdown
from minifw.page.steps import steps_of
from pages import Parsed
from test_explain import planned


def run_of(minifw: Minifw, *words: object) -> runs.Run:
    answer = minifw("train", *words, "--set", "train.epochs=2", "--quiet", "--json")
    assert answer.code == 0, answer.err
    return runs.load(Path(answer.json["run_dir"]))


def test_each_state_sets_off_a_line_and_shows_what_it_makes() -> None:
    found = explain(planned("simplenet"), 0)
    steps = steps_of(found)
    assert steps.lines == found.code
    assert len(steps.states) == len(found.moments)
    for state, moment in zip(steps.states, found.moments, strict=True):
        assert steps.lines[state.line].strip()
        assert state.numbers is not None
        first = moment.made[0]
        name, cells = state.numbers.rows[0]
        assert name.startswith(first.name)
        shown = [cell for cell in cells if cell]
        assert shown == [f"{value:.4g}" for value in first.rows[0][: len(shown)]]
    texts = [state.text for state in steps.states]
    assert texts[0] == "Forward, layer 0, Linear(2, 25). It makes y (4×25, norm 6.83)."
    assert texts[-1].startswith("The update, SGD(momentum=0.0), η = 0.01. It makes 0.weight (25×2")
    assert texts[-1].endswith("and 6 more.")


def test_a_run_has_a_section_that_explains_its_network(minifw: Minifw) -> None:
    section = explained.section_of(run_of(minifw, "simplenet", "--seeds", 2), prefix="a-")
    assert section is not None
    assert section.identifier == "a-network"
    assert [type(piece) for piece in section.pieces] == [Diagram, Paragraph, Grid, Steps]
    alone = html(Document("empty", (), ()))
    page = html(Document("a run", (), (section,)))
    assert len(page) - len(alone) < 60_000
    parsed = Parsed(page)
    states = [one for one in parsed.elements if one.attributes.get("class") == "state"]
    assert len(states) == 28
    text = markdown(Document("a run", (), (section,)), None)
    assert "●  3 relu" in text


def test_without_its_data_a_run_has_the_picture_alone(minifw: Minifw, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("x,y,kind\n" + "".join(f"{k % 7},{k % 5},{'ab'[k % 2]}\n" for k in range(40)))
    data = f"data={{kind: csv, path: {file}, target: kind}}"
    run = run_of(minifw, "simplenet", "--set", data)
    file.unlink()
    section = explained.section_of(run)
    assert section is not None
    assert [type(piece) for piece in section.pieces] == [Diagram]


def test_what_is_too_long_for_a_page_is_left_out(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(minifw, "simplenet")
    monkeypatch.setattr(explained, "MOST_STATES", 20)
    section = explained.section_of(run)
    assert section is not None
    assert [type(piece) for piece in section.pieces] == [Diagram, Paragraph, Grid]
    monkeypatch.setattr(explained, "MOST_WEIGHTS", 1000)
    section = explained.section_of(run)
    assert section is not None
    assert [type(piece) for piece in section.pieces] == [Diagram]
    monkeypatch.setattr(explained, "MOST_LAYERS", 3)
    assert explained.section_of(run) is None


def test_own_code_is_not_executed_without_permission(minifw: Minifw, tmp_path: Path) -> None:
    source = "from minifw import nn\n\n\nclass Twice(nn.Module):\n" + (
        "    def forward(self, x):\n        self.remember((x,), (2 * x,))\n        return 2 * x\n\n"
        "    def backward(self, gradient):\n        self.recall(gradient)\n"
        "        return 2 * gradient  # dL/dx <b>\n"
    )
    (tmp_path / "own.py").write_text(source)
    config = minifw("init", "mine")
    assert config.code == 0
    text = (
        (tmp_path / "mine.yaml").read_text().replace("  - relu\n", "  - {python: own.Twice}\n", 1)
    )
    (tmp_path / "mine.yaml").write_text(text)
    run = run_of(minifw, "mine.yaml", "--allow-code")
    assert explained.section_of(run) is None
    section = explained.section_of(run, allow_code=True)
    assert section is not None
    steps = section.pieces[-1]
    assert isinstance(steps, Steps)
    assert "        return 2 * gradient  # dL/dx <b>" in steps.lines
    assert "<b>" not in html(Document("own", (), (section,)))


def test_the_command_writes_a_page(minifw: Minifw, tmp_path: Path) -> None:
    answer = minifw("explain", "two-heads", "--samples", 2, "--out", "step.html")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "step.html"
    page = Parsed((tmp_path / "step.html").read_text(encoding="utf-8"))
    titles = [one.text.strip() for one in page.elements if one.tag == "h2"]
    assert {"The network", "Layer by layer", "A step"} <= {*titles}
    (drawing,) = (one for one in page.elements if one.tag == "svg")
    assert drawing.attributes["role"] == "img"
    assert not re.search(r"https?://", (tmp_path / "step.html").read_text(encoding="utf-8"))
    answer = minifw("explain", "two-heads", "--out", "nowhere/step.html")
    assert answer.code == 6
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("layers", ["{linear: 2}", "{linear: 3}, relu, {linear: 2}"])
def test_the_table_names_dead_units_where_some_are_counted(layers: str) -> None:
    found = explain(planned("simplenet", f"network=[{layers}]"), 0, samples=1)
    (table,) = (piece.table for piece in explained.of_step(found) if isinstance(piece, Grid))
    assert table.caption.startswith("Each layer in this step of 1 sample: ")
    assert "training training" not in table.caption
    assert ("units that are 0" in table.caption) == ("relu" in layers)
