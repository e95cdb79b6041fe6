"""A page: it needs nothing else, text stays text, and a run is as whole with it as without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import minifw as minifw_
import pages
from browser import MISSING, browser
from conftest import SMALL, Minifw
from minifw.charts import Axis, Band, Chart, Line, Panel, files
from minifw.cli import report
from minifw.errors import StorageError
from minifw.page import html as making
from minifw.page.document import (
    Document,
    Facts,
    Grid,
    Listing,
    Paragraph,
    Picture,
    Piece,
    Quote,
    Section,
    Slides,
    State,
    Steps,
)
from minifw.page.html import html
from minifw.page.markdown import markdown
from minifw.page.pieces import write_pieces
from minifw.report.tables import Cell, Interval, Table
from minifw.runs import load
from minifw.system.lock import hold

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
    cells: list[tuple[str, list[Cell]]] = [
        ("n", [20.0, None]),
        (word("mean"), [1.23456789, Interval(1.0, 2.0)]),
    ]
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


def test_no_line_ends_between_a_number_and_its_unit() -> None:
    said = "The error was 2.50 % (95 % interval, 10 seeds): 3 points % more."
    page = html(Document("t", (said,), (Section("s", "S", (Quote("Result", said),)),)))
    kept = said.replace("0 %", "0\u00a0%").replace("95 %", "95\u00a0%")
    kept = kept.replace("10 seeds", "10\u00a0seeds").replace("3 points", "3\u00a0points")
    assert page.count(kept) == 2


def test_a_page_says_which_version_of_this_code_made_it() -> None:
    # Not that of what is installed, which may be an older link to this code.
    assert f"Made by minifw {minifw_.__version__}." in html(Document("t", (), ()))


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
        page.run("document.querySelector('.lines').style.maxHeight = '2em'")
        page.press(HOME, RIGHT)
        inside = "const box = document.querySelector('.lines').getBoundingClientRect();"
        line = "const line = document.querySelector('.code .now').getBoundingClientRect();"
        assert page.run(f"{inside}{line} return line.top >= box.top && line.top < box.bottom")
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
        # No line ends between a number and its unit, and what is copied has common spaces.
        page.run(
            "document.querySelector('blockquote').textContent = '2.50\u00a0%';"
            "navigator.clipboard.writeText = async (text) => { window.copied = text; };"
            "document.querySelector('button.copy').click();"
        )
        assert page.wait("setTimeout(() => done(window.copied), 200)") == "2.50 %"
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


# ------------------------------------------------------------------------------------------ runs


def manifest(run: Path) -> Any:
    return json.loads((run / "manifest.json").read_text())


def test_a_page_is_a_file_of_its_run(minifw: Minifw, tmp_path: Path) -> None:
    done = minifw("train", "simplenet", "--seeds", 3, *QUICK, "--report")
    *_, where, page = map(Path, done.out.splitlines())
    assert (done.code, done.err, page) == (0, "", where / "report.html")
    pages.check(page.read_text(encoding="utf-8"))
    before = manifest(where), page.read_bytes()
    assert "report.html" in before[0]["files"]
    assert minifw("report", where).out == f"{page}\n"  # again: the same, and still one of its files
    assert (manifest(where), page.read_bytes()) == before
    page.write_text("damaged")
    assert minifw("runs", "verify", where).code == 4
    assert minifw("report", where.name[-6:], "--json").json == {"report": str(page), "pieces": []}
    assert minifw("runs", "verify", where).code == 0
    assert (manifest(where), page.read_bytes()) == before
    out = minifw("report", where, where, "--out", "else.html")  # twice the same is one run
    assert (out.code, Path("else.html").read_bytes()) == (0, before[1])
    assert minifw("resume", where, "--report").code == 2  # it is over
    loaded = minifw_.load(where)
    assert isinstance(loaded, minifw_.Run)
    assert loaded.report() == page
    assert loaded.report(tmp_path / "mine.html").read_bytes() == before[1]


def test_a_page_is_an_extra(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with it, a run ends as it would without, and says so in a line."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("planted\n\x1b[2J")

    with monkeypatch.context() as planted:
        planted.setattr("minifw.page.writing.html", fail)
        done = minifw("train", "simplenet", *QUICK, "--report", "--json")
        assert done.code == 0
        run = Path(done.json["run_dir"])
        (line,) = done.err.splitlines()
        assert line.startswith("minifw: there is no page: ZeroDivisionError('planted\\n\\x1b[2J')")
        assert line.endswith(f"minifw report {run} tries again")
    assert minifw("runs", "verify", run).code == 0
    assert manifest(run)["status"] == "complete"
    assert not (run / "report.html").exists()

    def full(*_: object, **__: object) -> str:
        raise StorageError("report.html: cannot be written: No space left on device")

    page = minifw("report", run)
    assert page.code == 0
    with monkeypatch.context() as planted:  # while one page takes the place of another
        planted.setattr("minifw.page.writing.html", lambda _: "another")
        planted.setattr("minifw.runs.directory.publish", once_full(full))
        assert minifw("report", run).code == 6
    assert minifw("runs", "verify", run).code == 0


def once_full(full: Callable[..., str]) -> Callable[..., str]:
    """Return a `publish` for which the disk is full, but for manifests."""
    from minifw.system.files import publish as real

    def publish(path: Path, *more: Any, **how: Any) -> str:
        return (real if path.name == "manifest.json" else full)(path, *more, **how)

    return publish


def test_studies_have_pages_too(minifw: Minifw) -> None:
    few = (*SMALL, "--set", "train.epochs=2", "--quiet", "--report")
    runs = []
    for words in (
        ("sweep", "simplenet", "--over", "train.eta=0.1,0.2", "--seeds", 2),
        ("variance", "simplenet", "--data", 2, "--init", 2),
        ("compare", "simplenet", "half-plane", "--seeds", 2),
        ("compare", "--seeds", 2),
    ):
        done = minifw(*words, *few)
        assert done.code == 0, done.err
        page = Path(done.out.splitlines()[-1])
        assert page.name == "report.html"
        pages.check(page.read_text(encoding="utf-8"))
        runs.append(page.parent)
        assert minifw("runs", "verify", page.parent).code == 0
    assert minifw("report", *runs).err == "--out: must name a file for the page of 4 runs\n"
    assert not Path("all.html").exists()
    assert minifw("report", *runs, "--out", "all.html").out == "all.html\n"
    pages.check(Path("all.html").read_text(encoding="utf-8"))


def test_what_has_no_page_says_so_in_a_line(minifw: Minifw, tmp_path: Path) -> None:
    run = Path(minifw("train", "simplenet", *QUICK, "--json").json["run_dir"])
    saved = (run / "manifest.json").read_bytes()

    def refused(*words: object) -> str:
        done = minifw("report", *words)
        assert done.code != 0
        (line,) = done.err.splitlines()
        return f"{done.code} {line}"

    def altered(**keys: object) -> str:
        load(run).commit(**keys)
        answer = refused(run)
        (run / "manifest.json").write_bytes(saved)
        return answer

    assert "minifw resume" in altered(status="interrupted")
    assert "crashed" in altered(status="running")
    assert altered(format=0).startswith("4 ")
    results = (run / "results.json").read_bytes()
    (run / "results.json").write_bytes(results.replace(b"0", b"1", 1))
    assert refused(run).startswith("4 ")
    (run / "results.json").write_bytes(results)
    assert refused("nothing").startswith("2 nothing: there is no such run")
    assert refused(tmp_path).startswith("4 ")
    assert refused(run, "--out", "no/where.html").startswith("6 ")
    assert refused(run, "--format", "pfd").startswith("2 --format: must be of svg, ")
    assert refused(run, "--format", "svg") == "2 --format: is for pieces; --pieces DIR writes them"
    assert refused(run, "--pieces", "p", "--columns", 3) == "2 --columns: must be 1 or 2, got 3"
    assert refused(run, "--pieces", "p", "--style", "none.mplstyle").startswith("2 ")
    Path("file").write_text("")
    assert refused(run, "--pieces", "file") == (
        "2 --pieces: must be a folder, which may be new, got the file 'file'"
    )
    for name in ("results.json", "page.html", "report.html"):
        assert "is inside a run, whose" in refused(run, run, "--out", run / "tables" / name)
    assert "is inside a run, whose" in refused(run, "--out", run / "results.json")
    assert "is inside a run, whose" in refused(run, "--pieces", run)
    plot = minifw("data", "simplenet", "--plot", run / "plots" / "new.png")
    assert (plot.code, "is inside a run, whose" in plot.err) == (2, True)
    page = minifw("explain", "simplenet", "--out", run / "step.html")
    assert (page.code, "is inside a run, whose" in page.err) == (2, True)
    assert load(run).faults() == load(run).strangers() == []
    assert not Path("p").exists()
    assert not (run / "report.html").exists()
    assert minifw("report", run, "--out", run / "report.html").code == 0
    assert load(run).faults() == load(run).strangers() == []
    (run / "report.html").unlink()
    (run / "manifest.json").write_bytes(saved)
    with hold(run):
        assert "is at work on this run" in refused(run)
    assert minifw("compare", run, run, "--no-save", "--report").code == 2


def test_a_run_of_which_nothing_is_left_has_a_page(minifw: Minifw) -> None:
    done = minifw("train", "simplenet", *QUICK, "--set", "train.eta=1e9", "--report")
    assert done.code == 3
    pages.check(Path(done.out.splitlines()[-1]).read_text(encoding="utf-8"))


def test_a_comparison_of_20_seeds_is_small(minifw: Minifw) -> None:
    """With as many evaluations and test samples as usual, since it is these that fill a page."""
    few = ("data.train=20", "train.batch_size=20", "train.epochs=100", "train.eval_every=1")
    words = [word for key in few for word in ("--set", key)]
    done = minifw("compare", "--seeds", 20, *words, "--reference", "vmap", "--report", "--quiet")
    assert done.code == 0, done.err
    assert Path(done.out.splitlines()[-1]).stat().st_size < 300_000


# ---------------------------------------------------------------------------------------- pieces


def test_every_piece_is_a_file_of_its_own(tmp_path: Path) -> None:
    document = everything(lambda word: f"{word}{HOSTILE[4]}")
    written = write_pieces(document, tmp_path, ["csv", "tex", "parquet", "md"])
    names = sorted(path.name for path in written)
    assert len({*names}) == len(names)
    assert names == sorted(path.name for path in tmp_path.iterdir())
    stems = {"table1", "two", "curves", "epoch-1", "epoch-10", "epoch-100"}
    assert {path.stem for path in written if path.suffix == ".parquet"} == stems
    assert (tmp_path / "table1.csv").read_text().splitlines()[1] == "n,20.0,,"
    table = parquet.read_table(tmp_path / "curves.parquet")
    assert table.num_rows == 10
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# compare: simplenet")
    for heading in ("## Results", "### Methods", "#### epoch 10", "### config.yaml"):
        assert f"\n{heading}" in text


def test_pieces_of_the_same_name_are_different_files(tmp_path: Path) -> None:
    table = everything().sections[0].pieces[1]
    assert isinstance(table, Grid)
    names = ("../../up", "same", "Same", "same", "report", "")
    pieces = tuple(Grid(name, table.table) for name in names)
    document = Document("t", (), (Section("s", "S", pieces),))
    written = write_pieces(document, tmp_path / "made" / "here", ["md"])
    assert [path.name for path in written] == [
        "up.md", "same.md", "Same-2.md", "same-3.md", "report-2.md", "piece.md", "report.md",
    ]  # fmt: skip
    assert {path.parent for path in written} == {tmp_path / "made" / "here"}


def test_the_whole_as_markdown_has_no_other_markup() -> None:
    listing = Listing("```", "a\n````\n<b>\x1b")
    texts = ("# no heading", "1. no list", "- none", "<script>", "![no](picture)")
    pieces: tuple[Piece, ...] = (listing, *map(Paragraph, texts))
    text = markdown(Document("<b>*", (), (Section("s", "S", pieces),)), None)
    assert "`````\na\n````\n<b>\\x1b\n`````" in text
    for line in ("\\# no heading", "1\\. no list", "\\- none", "\\<script\\>"):
        assert f"\n{line}\n" in text
    assert "\n![no]" not in text


def test_the_command_knows_all_formats() -> None:
    """It names them before matplotlib is there."""
    assert report.FORMATS == files.FORMATS


def test_the_command_names_all_formats() -> None:
    """The command has its own list, so that its help needs no NumPy."""
    from minifw.charts import files
    from minifw.cli import report

    assert report.FORMATS == files.FORMATS
