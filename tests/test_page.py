"""A page: it needs nothing else, text stays text, and a run is as whole with it as without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pages
from browser import MISSING, browser
from conftest import SMALL
from minifw.charts import Axis, Band, Chart, Line, Panel
from minifw.page import html as making
from minifw.page.document import (
    Document,
    Facts,
    Grid,
    Listing,
    Paragraph,
    Picture,
    Quote,
    Section,
    Slides,
    State,
    Steps,
)
from minifw.page.html import html
from minifw.report.tables import Interval, Table

QUICK = (*SMALL, "--set", "train.epochs=4", "--quiet")

Word = Callable[[str], str]


def chart(name: str, word: Word) -> Chart:
    x = np.arange(10.0)
    marks = (
        Line(word("median"), x, np.exp(-x)),
        Line(word("seed 1"), x, np.exp(-1.1 * x), quiet=True),
        Band(word("quartiles"), x, 0.9 * np.exp(-x), 1.1 * np.exp(-x)),
    )
    panel = Panel(word("full batch"), Axis(word("epoch")), Axis(word("error, %")), marks)
    words = ["a", word("b"), None, *"cdefghi"[:7]]
    data = {word("epoch"): [*x], word("median"): [float("nan"), *np.exp(-x)[1:]], "name": words}
    return Chart(name, word(f"curves {name}"), word("caption"), word("described"), (panel,), data)


def everything(word: Word = str) -> Document:
    """A document with each kind of piece, and with each of its words as `word` makes it."""
    cells = [("n", [20.0, None]), (word("mean"), [1.23456789, Interval(1.0, 2.0)])]
    table = Table(
        word("of errors."), ["", word("minifw"), word("PyTorch")], cells, unit=" %", number=1
    )
    lines = tuple(map(word, ("y = x @ w", "  loss = (y - t) ** 2", "w -= eta * grad")))
    states = (State(0, word("first"), table), State(1, word("second")), State(2, word("third")))
    slides = tuple(chart(f"epoch-{n}", word) for n in (1, 10, 100))
    labels = tuple(map(word, ("epoch 1", "epoch 10", "epoch 100")))
    quote = Quote(word("Methods"), word("We trained 20 networks."))
    return Document(
        word("compare: simplenet"),
        (word("Asked."), word("Found.")),
        (
            Section("results", word("Results"), (quote, Grid("table1", table), Grid("two", table))),
            Section("charts", word("Charts"), (Picture(chart("curves", word)), Paragraph(word("So.")))),
            Section("regions", word("Regions"), (
                Slides("regions", word("Through training"), word("Seed 0."), slides, labels),)),
            Section("step", word("A step"), (
                Steps("step", word("One step"), word("What it does."), lines, states),)),
            Section("config", word("Config"), (
                Listing(word("config.yaml"), f"{word('a: 1')}\n{word('b: 2')}\n", (1,)),
                Facts(word("Where"), ((word("torch"), word("2.14")),)))),
        ),
    )  # fmt: skip


# ------------------------------------------------------------------------------------ a document


def test_a_page_of_every_piece_is_as_pages_are() -> None:
    page = pages.check(html(everything()))
    assert page.one("title").text == "compare: simplenet"
    assert [h.text for h in page.all("h2")] == ["Results", "Charts", "Regions", "A step", "Config"]
    assert len([svg for svg in page.all("svg") if "svg" not in svg.parents]) == 4
    states = [item for item in page.all("li") if item.attributes.get("class") == "state"]
    assert [state.attributes["data-line"] for state in states] == ["0", "1", "2"]
    assert "Line 2: loss = (y - t) ** 2" in states[1].text
    assert [mark.text for mark in page.all("mark")] == ["b: 2"]
    assert page.one("pre").text == "a: 1\nb: 2"
    assert html(everything()) == html(everything())


def test_a_table_has_the_exact_figures_beside_those_that_people_read() -> None:
    page = pages.check(html(everything()))
    figures = {e.text: e.attributes.get("data-exact") for e in page.all("td")}
    assert figures["1.23 %"] == "1.23456789"
    assert figures["1.00 to 2.00 %"] == "1.0 2.0"
    assert figures["–"] is None


HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "</style></title></textarea></svg><script>alert(1)</script>",
    "\"><svg onload='alert(1)'>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}{# no #}${7}",
    "<!-- -->]]><![CDATA[<?php",
    "javascript:alert(1)//&lt;script&gt;&#60;b&#62;",
]
UNSEEN = ["\0", "\x1b[2J", "\u202edesrever\u202c", "\u200b\ufeff", "\ud800", "\r\n", "\u2028"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    """A page has the same elements and attributes, whatever is in its words."""
    page = pages.check(html(everything(lambda word: f"{word}{text}")))
    assert page.shape == pages.Parsed(html(everything())).shape
    assert page.one("title").text == f"compare: simplenet{text}"
    assert page.one("blockquote").text == f"We trained 20 networks.{text}"
    assert f"b: 2{text}" in page.one("pre").text
    assert f"Found.{text}" in page.one("header").text
    assert [dt.text for dt in page.all("dt")] == [f"torch{text}"]
    assert all("alert" not in name for _, names in page.shape for name in names)
    assert f"described{text}" in page.all("desc")[0].text


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_what_cannot_be_seen_is_spelled_out(text: str) -> None:
    whole = html(everything(lambda word: f"{word}{text}"))
    seen = set(whole) - {"\n"}
    assert all(sign.isprintable() for sign in seen), [*map(ascii, seen)]
    pages.check(whole)
    if text not in ("\r\n",):
        assert ascii(text[0])[1:-1] in pages.Parsed(whole).one("title").text
    whole.encode()


def test_names_of_sections_may_be_anything_even_the_pages_own() -> None:
    names = ("content", "content", "Ä <b>", "a--1", "a", "said", "", "contents")
    sections = tuple(Section(name, "Title", (Listing("text", "x"),) * 2) for name in names)
    page = pages.check(html(Document("t", (), sections)))
    assert len(page.all("section")) == len(names)


def test_a_template_that_lacks_something_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is strict: nothing is left out in silence."""
    templates = making._templates()
    with pytest.raises(Exception, match="undefined"):
        templates.from_string("{{ missing }}").render()
    assert templates.from_string("{{ text }}").render(text="<b>") == "&lt;b&gt;"


# --------------------------------------------------------------------------------- in a browser

a_browser = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
RIGHT, HOME, TAB, SPACE = "\ue014", "\ue011", "\ue004", " "


@a_browser
def test_a_page_in_a_browser(tmp_path: Path) -> None:
    """An empty console, no request, all by keyboard, no wider than a telephone, and in the dark."""
    file = tmp_path / "page.html"
    file.write_text(html(everything(lambda word: f"{word} {HOSTILE[0]}")), encoding="utf-8")
    with browser() as page:
        page.open(file)
        assert page.console() == []
        assert page.requests() == [file.as_uri()]

        def shown(what: str) -> list[str]:
            all_of = f"[...document.querySelectorAll('{what}')]"
            seen = "each.checkVisibility() && each.getBoundingClientRect().height > 0"
            found: list[str] = page.run(
                f"return {all_of}.filter(each => {seen}).map(each => each.textContent.trim())"
            )
            return found

        def focus(what: str) -> None:
            page.run(f"document.querySelector('{what}').focus()")

        # Slides: one at a time, the last one first, with a label that is announced.
        slider = "document.querySelector('input[type=range]').getAttribute('aria-valuetext')"
        assert len(shown(".slide")) == 1
        assert page.run(f"return {slider}").startswith("epoch 100 ")
        focus("input[type=range]")
        page.press(HOME, RIGHT)
        assert page.run(f"return {slider}").startswith("epoch 10 ")
        assert "curves epoch-10 " in shown(".slide")[0]
        # Steps: the line of code that a state belongs to is set off.
        assert [line.split()[0] for line in shown(".code .now")] == ["y"]
        focus(".steps .forward")
        page.press(SPACE)
        assert shown(".state")[0].startswith("Line 2: loss")
        page.press(RIGHT, RIGHT, RIGHT)
        assert shown(".state")[0].startswith("Line 3: w -= eta")
        assert (
            page.run("return document.querySelector('[aria-current=step]').textContent")[0] == "w"
        )
        assert shown(".place") == ["Step 3 of 3"]
        page.press(HOME)
        assert shown(".state")[0].startswith("Line 1: y")
        # Each seed on demand.
        lines = "getComputedStyle(document.querySelector('#charts .quiet')).display"
        assert page.run(f"return {lines}") == "none"
        focus("#charts .each")
        page.press(SPACE)
        assert page.run(f"return {lines}") == "inline"
        # What is copied is the text, by whichever way the browser allows.
        page.run(
            "document.addEventListener('copy', () => { window.copied = String(getSelection()); });"
            "navigator.clipboard.writeText = async (text) => { throw new Error('forbidden'); };"
            "document.querySelector('button.copy').click();"
        )
        assert (
            page.wait("setTimeout(() => done(window.copied), 200)")
            == f"We trained 20 networks. {HOSTILE[0]}"
        )
        assert shown("#said") == ["Copied."]
        # What is saved are the exact figures.
        page.run(
            "URL.createObjectURL = (blob) => { window.saved = blob.text(); return '#'; };"
            "document.querySelector('button.download').click();"
        )
        saved = page.wait("window.saved.then(done)").splitlines()
        assert saved[1] == "n,20.0,"
        assert saved[2].endswith(",1.23456789,1.0 2.0")
        assert page.console() == []
        # The policy is in force: not even what gets into the page would run, or ask for anything.
        page.run(
            "document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x.png\">');"
            "const script = document.createElement('script');"
            "script.textContent = 'window.ran = true';"
            "document.body.append(script);"
        )
        assert page.run("return window.ran") is None
        refused = page.console()
        assert len(refused) == 2
        assert all("Content Security Policy" in line for line in refused)
        # As wide as a telephone, or 200 % of a narrow window.
        page.open(file, width=320)
        assert page.run("return document.documentElement.scrollWidth") == 320
        white = page.run("return getComputedStyle(document.body).backgroundColor")
        page.looks("dark")
        assert page.run("return getComputedStyle(document.body).backgroundColor") != white
