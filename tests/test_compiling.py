"""Compiled steps on the command line: `minifw compile`, and what commands and runs say about them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conftest import SMALL, Minifw
from minifw import load, runs, train
from minifw.compile.compilers import find_compiler
from minifw.errors import NotCompiledWarning
from minifw.training.cost import Work
from minifw.training.placement import TOO_FEW

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

# Sizes that no other test compiles.
TINY = (
    *SMALL, "--set", "network=[{linear: 3}, tanh, {linear: 2}]", "--set", "train.epochs=2",
)  # fmt: skip
MINE = """
import torch
from minifw import nn

class Wave(nn.Tanh):
    def forward(self, x):
        return torch.special.bessel_j0(super().forward(x))
"""
WAVE = ("--set", "network=[{linear: 3}, {python: mine.Wave}, {linear: 2}]", "--allow-code")
WHY = (
    "there is no C for aten.special_bessel_j0 in 1 Wave().forward: "
    "return torch.special.bessel_j0(super().forward(x))"
)
NONE = "compiling needs a C compiler, and CC names 'no-such-compiler', which is no program; "


@pytest.fixture
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were so many that compiling saves time."""
    monkeypatch.setattr(Work, "saves_time", True)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")


# -------------------------------------------------------------------------------- minifw compile


def test_it_says_what_it_has_compiled(
    minifw: Minifw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("compile", "simplenet-sgd", *TINY, "--set", "train.compile=true")
    answer = minifw(*words)
    kept = rf"kept in {tmp_path}/cache/minifw\n"
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(
        rf"simplenet-sgd: \d+ kernels, compiled in \d\.\d\d s by \S+, {kept}", answer.out
    )
    assert len([*(tmp_path / "cache/minifw").iterdir()]) == 2  # the last batch is a smaller one
    assert not Path("runs").exists()


def test_a_faulty_wish_is_refused_as_train_refuses_it(minifw: Minifw) -> None:
    words = ("simplenet-sgd", "--set", "train.compile=maybe")
    compiled, trained = minifw("compile", *words), minifw("train", *words)
    assert compiled.code == trained.code == 2
    assert compiled.err == trained.err
    assert "train.compile: must be" in compiled.err


@pytest.mark.usefixtures("no_compiler")
def test_the_c_is_shown_without_a_compiler(minifw: Minifw) -> None:
    answer = minifw("compile", "simplenet-sgd", *TINY, "--set", "train.compile=true", "--show")
    assert (answer.code, answer.err) == (0, "")
    for batch in (15, 10):
        assert f"One training step on {batch} samples" in answer.out
    assert "1 Tanh()" in answer.out
    assert "0 Linear(2, 3).forward: y = product(x, self.weight.mT, self.bias)" in answer.out
    whole = minifw("compile", "simplenet-sgd", *TINY, "--mode", "full-batch", "--show").out
    assert re.findall(r"One training step on (\d+) samples", whole) == ["40"]
    equal_layers = minifw("compile", "simplenet-sgd", "--show").out
    assert "The same for\n   4 Linear(25, 25).forward: y = product" in equal_layers
    answer = minifw("compile", "simplenet-sgd", *TINY)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"simplenet-sgd: its step cannot be compiled: {NONE}")
    assert answer.err.count("\n") == 1


def test_what_it_cannot_compile_is_one_line(minifw: Minifw) -> None:
    Path("mine.py").write_text(MINE)
    Path("wave.yaml").write_text(Path(minifw("init", "wave").out.strip()).read_text())
    answer = minifw("compile", "wave.yaml", *WAVE)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"wave.yaml: its step cannot be compiled: {WHY}\n"
    answer = minifw("compile", "wave.yaml", "--mode", "batch")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "--mode: must be one of full-batch, sgd, got 'batch'\n"


# ------------------------------------------------------------------------- what is said of a run


def words_of(run: Path, minifw: Minifw) -> list[str]:
    """What `runs show`, Table 3 and results.json say of a run."""
    shown = minifw("runs", "show", run).out
    (result,) = json.loads((run / "results.json").read_text())["modes"].values()
    return [
        " ".join(shown.split()),
        (run / "tables/table3.md").read_text().replace("\\", ""),
        str(result["minifw"]["not_compiled"]),
    ]


@pytest.mark.usefixtures("many_steps")
def test_what_is_not_covered_is_told_everywhere(minifw: Minifw) -> None:
    Path("mine.py").write_text(MINE)
    minifw("init", "wave")
    answer = minifw("train", "wave.yaml", *TINY, *WAVE, "--json")
    assert (answer.code, answer.err) == (
        0, f"minifw: steps are not compiled: {WHY}; training is plain\n"
    )  # fmt: skip
    assert (answer.json["compiled"], answer.json["not_compiled"]) == (False, WHY)
    run = Path(answer.json["run_dir"])
    assert all(WHY in text for text in words_of(run, minifw))
    assert load(run)["sgd"].not_compiled == WHY
    shown = minifw("show", "wave.yaml", *WAVE)
    assert f"Steps are not compiled: {WHY}." in shown.out.replace("\n", " ")
    told = minifw("show", "wave.yaml", *WAVE, "--json").json
    assert (told["compiled"], told["not_compiled"]) == (False, WHY)
    for command in ("train", "show", "validate"):
        answer = minifw(command, "wave.yaml", *WAVE[:2], "--set", "train.compile=true", WAVE[2])
        assert answer.code == 2
        assert answer.err.endswith(
            f"train.compile: steps cannot be compiled: {WHY}; false trains plainly\n"
        )
        assert answer.err.count("\n") == 1
    assert len([*Path("runs").iterdir()]) == 1


@pytest.mark.usefixtures("many_steps", "no_compiler")
def test_auto_says_that_there_is_no_compiler(minifw: Minifw) -> None:
    answer = minifw("compare", "simplenet-sgd", "--seeds", 2, *TINY, "--json")
    assert answer.code == 0
    assert answer.err.startswith(f"minifw: steps are not compiled: {NONE}")
    assert answer.err.count("\n") == 1  # for both modes
    assert answer.json["compiled"] == {"full-batch": False, "sgd": False}
    with pytest.warns(NotCompiledWarning, match="steps are not compiled"):
        train("simplenet-sgd", overrides={"train.epochs": 1, "data.train": 40})


@pytest.mark.usefixtures("many_steps")
def test_what_is_compiled_says_so(minifw: Minifw) -> None:
    answer = minifw("train", "simplenet-sgd", *TINY, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["compiled"], answer.json["not_compiled"]) == (True, None)
    shown, table, why = words_of(Path(answer.json["run_dir"]), minifw)
    assert "s of training, compiled" in shown
    assert "| minifw: compiled | yes |" in table
    assert why == "None"
    shown = minifw("show", "simplenet-sgd", *TINY).out
    assert shown.endswith("Steps are compiled; minifw compile simplenet-sgd --show prints the C.\n")


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(("wish", "why"), [("auto", TOO_FEW), ("false", "train.compile: false")])
def test_what_would_not_save_time_is_only_shown(minifw: Minifw, wish: str, why: str) -> None:
    words = ("simplenet-sgd", *TINY, "--set", f"train.compile={wish}")
    answer = minifw("train", *words, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["compiled"], answer.json["not_compiled"]) == (False, None)
    shown, table, _ = words_of(Path(answer.json["run_dir"]), minifw)
    assert "compiled" not in shown + table
    assert f"Steps are not compiled: {why}." in minifw("show", *words).out


@pytest.mark.usefixtures("many_steps")
def test_a_comparison_compiles_and_agrees_in_float64(minifw: Minifw) -> None:
    words = ("compare", "simplenet-sgd", "--seeds", 2, *TINY, "--set", "dtype=float64", "--json")
    answer = minifw(*words)
    assert answer.code == 0, answer.err
    assert answer.json["compiled"] == {"full-batch": True, "sgd": True}
    for parity in answer.json["parity"].values():
        assert 0 < parity["max_weight_difference"] < 1e-12
        assert parity["same_test_error"] == "2 of 2"


@pytest.mark.usefixtures("many_steps", "no_compiler")
def test_a_resumed_run_goes_on_plainly_and_says_why(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*of: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("minifw.report.tables.write_tables", interrupt)
        assert minifw("train", "simplenet-sgd", *TINY).code == 130
    (path,) = Path("runs").iterdir()
    run = runs.load(path)
    (part,) = run.manifest.parts.values()
    part.finished = False  # as if it had been interrupted earlier
    run.commit()
    monkeypatch.delenv("CC")  # it could be compiled now, but sums would be rounded in another order
    answer = minifw("resume", path, "--quiet")
    assert answer.code == 0, answer.err
    assert answer.err.startswith(f"minifw: steps are not compiled: {NONE}")
    assert all(NONE.strip() in text for text in words_of(path, minifw))
