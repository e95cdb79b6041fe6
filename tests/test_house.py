"""The house stands: floors in order, exports as listed, documents that say what is true."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minifw.nn
from conftest import ROOT, Minifw

README = (ROOT / "README.md").read_text()


def test_a_file_imports_only_from_floors_below() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


def test_the_table_of_files_goes_from_the_lowest_floor_up() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    floor = {name: n for n, layer in enumerate(layers[::-1]) for name in layer.split(" | ")}
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = re.findall(r"`(\w+)(?:\.py|/)`", "\n".join(rows))
    there = {path.parent.name for path in (ROOT / "src/minifw").glob("*/__init__.py")}
    assert sorted(named) == sorted({*there, "errors"})
    assert named == sorted(named, key=floor.__getitem__)


@pytest.mark.parametrize("file", sorted((ROOT / "src").rglob("*.py")), ids=lambda file: file.name)
def test_errors_are_made_harmless_in_one_place(file: Path) -> None:
    """That is `MinifwError` itself; see `errors.py`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Raise):
            names = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
            assert "harmless" not in names, f"{file.name}:{node.lineno}"


def test_exports_are_sorted_and_there() -> None:
    names = minifw.nn.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(minifw.nn, name) for name in names)
    public = {
        n for n, v in vars(minifw.nn).items() if isinstance(v, type) and not n.startswith("_")
    }
    assert public <= set(names)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("minifw ")]


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_readme_runs(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "src/minifw/examples")
    (tmp_path / "mine.csv").write_text(
        "height,width,kind\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(100))
    )
    program, *words = shlex.split(line)
    short = ["--set", "train.epochs=2", "--quiet"]
    if "--help" in words:
        short = []
    elif words[0] in ("init", "schema", "validate", "show"):
        short = []
        if words[0] in ("validate", "show"):
            assert minifw("init", "mine").code == 0
    elif words[0] == "predict":
        short = []
        quick = ("--seeds", 2, "--set", "train.epochs=2", "--quiet", "--json")
        run = Path(minifw("train", "simplenet", *quick).json["run_dir"])
        run.rename(f"{str(run)[:-6]}a1b2c3")
        Path("new.csv").write_text("x,y\n0.5,0.5\n0.1,0.9\n")
    elif words[0] == "bench":
        short = ["--quick", "--regime", "2x100x4", "--rounds", "1", "--quiet"]
        # tests/test_bench.py has all arms, which take some time to compile.
        monkeypatch.setattr("minifw.train.compiled.compiler", lambda: None)
        monkeypatch.setattr("minifw.bench.arms.find_spec", lambda name: None)
    answer = minifw(*words, *short)
    assert program == "minifw"
    assert answer.code == 0, answer.err


def test_the_readme_has_commands() -> None:
    assert len(commands()) >= 5
    make = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert {"tables", "test"} <= set(targets)
    assert all(f"\n{target}:" in make for target in targets)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_program_of_the_readme_runs(block: str, capfd: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "README.md", "exec"), {})
    assert capfd.readouterr().out


def test_what_the_readme_quotes_is_so(minifw: Minifw, tmp_path: Path) -> None:
    error, code = (block.strip("\n") for block in blocks("text"))
    assert code in (ROOT / "src/minifw/nn/linear.py").read_text()
    assert minifw("init", "mine").code == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text(mine.read_text().replace("  epochs:", "  epcohs:"))
    assert minifw("train", "mine.yaml").err == f"{error}\n"


def test_links_of_the_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    pattern = r"(?:\]\(|src=\")([^)\"#:]+)[)\"]"
    links = [(page, link) for page in pages for link in re.findall(pattern, page.read_text())]
    assert links
    for page, link in links:
        assert (page.parent / link).exists(), f"{page.name}: {link}"
