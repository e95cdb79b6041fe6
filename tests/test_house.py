"""The house stands: floors in order, exports as listed, documents that say what is true."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minifw.nn
from conftest import ROOT, Minifw
from documents import README, blocks, commands, run_command


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


@pytest.mark.parametrize("line", commands(README))
def test_every_command_of_the_readme_runs(minifw: Minifw, line: str) -> None:
    run_command(minifw, line)


def test_the_readme_has_commands() -> None:
    assert len(commands(README)) >= 5
    make = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", "\n".join(blocks(README, "sh")), re.MULTILINE)
    assert {"tables", "test"} <= set(targets)
    assert all(f"\n{target}:" in make for target in targets)


@pytest.mark.parametrize("block", blocks(README, "python"))
def test_every_program_of_the_readme_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert capfd.readouterr().out


def test_what_the_readme_quotes_is_so(minifw: Minifw, tmp_path: Path) -> None:
    error, code = (block.strip("\n") for block in blocks(README, "text"))
    assert code in (ROOT / "src/minifw/nn/linear.py").read_text()
    assert minifw("init", "mine").code == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text(mine.read_text().replace("  epochs:", "  epcohs:"))
    assert minifw("train", "mine.yaml").err == f"{error}\n"
