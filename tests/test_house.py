"""The house stands: floors in order, exports as listed, documents that say what is true."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

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


@pytest.mark.parametrize("rooms", ["runs", "report.tables", "report.curves, minifw.report.regions"])
def test_what_is_read_of_a_run_needs_no_torch(rooms: str) -> None:
    """Its import takes five times as long as a list of runs."""
    code = f"import sys, minifw.{rooms}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


PACKAGES = sorted(path.parent.name for path in (ROOT / "src/minifw").glob("*/__init__.py"))


@cache
def doors() -> dict[str, tuple[set[str], set[str]]]:
    """For each package what its door lists: names, and rooms, which are files or folders of it."""
    found = {}
    for package in PACKAGES:
        door = importlib.import_module(f"minifw.{package}")
        rooms = {n for n in door.__all__ if isinstance(getattr(door, n, sys), ModuleType)}
        found[package] = ({*door.__all__} - rooms, rooms)
    # What a user's `from minifw.nn import *` brings is no room; all rooms of the framework are open.
    rooms = {path.stem for path in (ROOT / "src/minifw/nn").iterdir()}
    found["nn"] = (found["nn"][0], rooms)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_door_says_what_it_is_for_and_lists_what_is_there(package: str) -> None:
    door = importlib.import_module(f"minifw.{package}")
    assert (door.__doc__ or "").splitlines()[0].endswith((".", ";"))
    assert len(door.__all__) == len({*door.__all__}) > 0
    for name in door.__all__:
        here = f"minifw.{package}.{name}"
        assert hasattr(door, name) or importlib.util.find_spec(here), here


def taken(file: Path) -> Iterator[tuple[int, list[str], str]]:
    """What a file imports from minifw: (line, where it is looked for, name)."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minifw":
            for alias in node.names:
                yield node.lineno, (node.module or "").split("."), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("minifw."), f"{file.name}:{node.lineno}"


@pytest.mark.parametrize(
    "file",
    sorted((ROOT / "src/minifw").glob("*/**/*.py")),
    ids=lambda file: str(file.relative_to(ROOT / "src/minifw")),
)
def test_a_package_takes_from_another_what_its_door_lists(file: Path) -> None:
    """A name at the door, or one without an underscore of a room at the door; never both ways."""
    own = file.relative_to(ROOT / "src/minifw").parts[0]
    for line, (_, *where), name in taken(file):
        if not where or where[0] in (own, "errors"):
            continue
        place, (names, rooms) = f"{file.name}:{line}: {name}", doors()[where[0]]
        if len(where) == 1:
            assert name in names | rooms, f"{place}: not in {where[0]}.__all__"
        else:
            assert where[1] in rooms, f"{place}: {where[1]} is a private room of {where[0]}"
            assert not name.startswith("_"), f"{place}: private"
            assert name not in names, f"{place}: is at the door of {where[0]}"


def calls_of(name: str) -> set[str]:
    """Where a function or method of this name is called outside of the framework, file:function."""
    found = set()
    for file in sorted((ROOT / "src/minifw").rglob("*.py")):
        place = str(file.relative_to(ROOT / "src/minifw"))
        if not place.startswith("nn/"):
            for around in ast.walk(ast.parse(file.read_text())):
                if isinstance(around, ast.FunctionDef):
                    called = (n.func for n in ast.walk(around) if isinstance(n, ast.Call))
                    if name in {getattr(f, "attr", getattr(f, "id", "")) for f in called}:
                        found.add(f"{place}:{around.name}")
    return found


def test_the_step_is_written_once() -> None:
    """What compares layer by layer takes none: it sets single modules back."""
    layer_by_layer = {"experiment/gradcheck.py:__init__", "experiment/gradcheck.py:alone"}
    once = "training/learner.py:find_gradients"
    assert calls_of("reset_gradient") == {once, *layer_by_layer}
    assert calls_of("find_gradients") == {
        "training/learner.py:step", "experiment/results.py:gradient_differences",
    }  # fmt: skip


def test_whether_to_compile_is_decided_in_one_place() -> None:
    """By `placement.decide`: for a plan, and for `fit` where nobody has made one."""
    assert calls_of("decide") == {"experiment/plan.py:_compiling", "training/placement.py:for_data"}
    assert calls_of("_compiling") == {"experiment/plan.py:plan"}
    assert calls_of("require_compiler") == {
        "experiment/replay.py:of",
        "experiment/plan.py:_check_compiler", "training/placement.py:decide",
    }  # fmt: skip


def test_nobody_asks_whether_a_module_is_linear() -> None:
    """Sizes, twins and captions come from declarations, so that a layer is added in one place."""
    layers = {name for name, value in vars(minifw.nn).items() if "declaration" in dir(value)}
    assert {"Linear", "ReLU", "LossMSE", "SGD"} <= layers
    for file in (ROOT / "src/minifw").rglob("*.py"):
        if file.parent.name == "exercises":  # their checks are of one module each
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                asked = {getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(node.args[1])}
                if "ast" in asked:  # a Constant of Python's grammar
                    continue
                assert not asked & layers, f"{file.name}:{node.lineno}"


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
    assert len(commands(README)) >= 3
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


def test_what_the_pages_quote_is_so(minifw: Minifw, tmp_path: Path) -> None:
    code, again, error = (
        next(block.strip("\n") for block in blocks(ROOT / "docs" / page, "text") if word in block)
        for page, word in (
            ("framework.md", "def backward"), ("teacher.md", "def backward"),
            ("configs.md", "did you mean"),
        )
    )  # fmt: skip
    assert code == again
    assert code in (ROOT / "src/minifw/nn/linear.py").read_text()
    assert minifw("init", "mine").code == 0
    mine = tmp_path / "mine.yaml"
    mine.write_text(mine.read_text().replace("  epochs:", "  epcohs:"))
    assert minifw("train", "mine.yaml").err == f"{error}\n"
