"""What the pages of docs/ say is so: their programs run, their commands too, links lead somewhere."""

from __future__ import annotations

import pkgutil
import re
import runpy
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from cases import ABSTRACT
from conftest import ROOT, Minifw
from documents import DOCUMENTS, PAGES, README, anchors, blocks, commands, links, run_command
from minifw import errors, nn

TUTORIAL = ROOT / "docs/tutorial.md"
LINES = {line: page.name for page in PAGES if page != TUTORIAL for line in commands(page)}
NEW = {line: page for line, page in LINES.items() if line not in commands(README)}


@pytest.mark.parametrize("line", NEW, ids=lambda line: f"{NEW[line]}: {line}")
def test_every_command_of_the_pages_runs(minifw: Minifw, line: str) -> None:
    run_command(minifw, line)


def test_the_tutorial_goes_from_an_empty_folder_to_a_result(minifw: Minifw, tmp_path: Path) -> None:
    """All of its commands in order, as they are; what it shows was printed, but for the numbers."""
    printed = []
    for line in (line for block in blocks(TUTORIAL, "sh") for line in block.splitlines()):
        if line.startswith("minifw "):
            answer = minifw(*shlex.split(line)[1:])
            assert answer.code == 0, answer.err
            printed += answer.out.splitlines()
        else:
            subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    printed += (tmp_path / "mine.yaml").read_text("utf-8").splitlines()
    shown = [line for block in blocks(TUTORIAL, "text") for line in block.splitlines()]
    known = {without_numbers(line) for line in printed}
    assert [line for line in shown if without_numbers(line) not in known] == []
    (page,) = tmp_path.glob("runs/*/report.html")
    assert page.read_text("utf-8").startswith("<!doctype html>")


def without_numbers(line: str) -> str:
    return re.sub(r"[\d.]+|[ ─]+|\b(?:higher|lower)\b", " ", line).strip()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.stem
)
def test_every_program_of_the_pages_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One after another: a block may go on with what those before it have made."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
    out, err = capfd.readouterr()
    assert out
    assert not err


def test_the_pages_have_programs_and_commands() -> None:
    assert len([page for page in PAGES if blocks(page, "python")]) >= 5
    assert len(NEW) >= 5


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_in_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    site = yaml.safe_load(text)
    named: list[str] = []
    for entry in site["nav"]:
        for page in entry.values():
            named += (
                [page] if isinstance(page, str) else [name for e in page for name in e.values()]
            )
    assert sorted(named) == sorted(page.name for page in PAGES)
    assert site["theme"]["font"] is False  # the pages ask nobody for anything
    assert site["strict"]


def test_every_error_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    named = [each.__name__ for each in classes if each.__module__ == errors.__name__]
    assert set(re.findall(r"^ {8}- (\w+)$", page, re.MULTILINE)) == set(named)


def test_the_reference_names_what_there_is() -> None:
    found = [
        name for page in PAGES for name in re.findall(r"^::: (.*)$", page.read_text("utf-8"), re.M)
    ]
    assert len(found) > 20
    for name in found:
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("name", ["configs.md", "commands.md"])
def test_what_the_pages_quote_of_the_code_is_so(name: str) -> None:
    """`make pages` writes it anew."""
    if name == "commands.md" and version("typer") != pinned("typer"):
        pytest.skip("another Typer may break the lines of its help elsewhere")
    path = ROOT / "docs" / name
    made = {
        page.name: text
        for page, text in runpy.run_path(str(ROOT / "docs/pages.py"))["pages"]().items()
    }
    assert path.read_text(encoding="utf-8") == made[name]


def test_help_fits_80_columns() -> None:
    """Examples are not wrapped, so they must be short enough by themselves."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    helps = re.findall(r"```text\n(Usage: .*?)```", text, re.S)
    assert len(helps) > 15
    assert [line for each in helps for line in each.splitlines() if len(line) > 80] == []


def pinned(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)[package]


def test_a_key_that_is_new_is_missing_in_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail."""
    from minifw.config import schema

    made = schema.schema()
    made["properties"]["colour"] = {"type": "string", "description": "of nothing"}
    monkeypatch.setattr(schema, "schema", lambda: made)
    pages = runpy.run_path(str(ROOT / "docs/pages.py"))["pages"]()
    text = (ROOT / "docs/configs.md").read_text(encoding="utf-8")
    assert pages[ROOT / "docs/configs.md"] != text
    assert "| `colour` | text | – | of nothing |" in pages[ROOT / "docs/configs.md"]


def test_pictures_of_the_site_are_those_of_the_benchmark() -> None:
    """A page of the site can show only what is in docs/."""
    name = "scaling.svg"
    assert (ROOT / "docs/images" / name).read_bytes() == (ROOT / "benchmarks" / name).read_bytes()


def test_the_page_of_all_modules_is_that_of_the_code() -> None:
    """`make pages` writes it anew. The power of ten of an error may be another on other machines."""
    errors_of = re.compile(r"\| (0|< 1e-\d+) \|")
    made = runpy.run_path(str(ROOT / "docs/modules.py"))["page"]()
    written = (ROOT / "docs/modules.md").read_text(encoding="utf-8")
    assert errors_of.sub("| |", written) == errors_of.sub("| |", made)
    for found in (*errors_of.findall(written), *errors_of.findall(made)):
        assert float(found.removeprefix("< ")) <= 1e-11
    for name in nn.__all__:
        value = getattr(nn, name)
        if isinstance(value, type) and issubclass(value, nn.Module | nn.Loss | nn.Optimizer):
            assert f"`{name}`" in made or value in ABSTRACT or value is nn.Optimizer, name
