"""Tables: in a terminal as wide as it is, in LaTeX so that LaTeX takes them, and in Markdown."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import ROOT, SMALL, Minifw
from minifw.cli import terminal
from minifw.report.comparison import of_comparison
from minifw.report.pairs import pairs, summary
from minifw.report.tables import Interval, Table, of_results
from minifw.runs.comparisons import Compared
from minifw.runs.results import Results

ARM = {
    "train_error": [None] * 3, "train_loss": [None] * 3, "diverged_epoch": [None] * 3,
    "diverged_layer": [None] * 3, "evaluation_seconds": 0.1,
    "test_error": [1.0, 2.0, None], "summary": {"min": 1.0, "median": 1.5, "mean": 1.5, "max": 2.0},
    "seconds": 0.5, "compiled": False,
}  # fmt: skip
PARITY: dict[str, Any] = {
    "max_gradient_difference": 1e-7, "max_gradient_difference_float64": None, "max_weight_difference": 0.0,
    "gradients_not_finite": 0, "same_test_error": "2 of 2", "different_seeds": [],
}  # fmt: skip


def results(modes: int = 2, about: str = "'simplenet' (disk)") -> Results:
    names = ("full-batch", "sgd")[:modes]
    return Results.model_validate({
        "name": "simple_net", "about": about, "seeds": [0, 1, 2], "dtype": "float32", "threads": 2,
        "epochs": 10, "eta": 0.01, "batch_size": 4,
        "modes": {mode: {"minifw": ARM, "pytorch": ARM} for mode in names},
        "parity": dict.fromkeys(names, PARITY), "speedup": dict.fromkeys(names, 2.0),
        "data": {"features": ["x", "y"], "train": 9, "test": 9, "class_balance": {"0": 100.0},
                 "majority_error": 0.0},
    })  # fmt: skip


def test_a_mode_is_named_by_its_optimizer() -> None:
    """Batches with Adam are no SGD; results without a name are of gradient descent."""
    adam = results().model_copy(update={"optimizer": "Adam"})
    tables = of_results(adam)
    assert tables["table1"].markdown().startswith("Table 1: Full batch, Adam – test error of")
    assert tables["table2"].markdown().startswith("Table 2: Adam – test error of")
    assert tables["table3"].head == ["", "Full batch, Adam", "Adam"]
    assert of_results(results())["table3"].head == ["", "Full batch", "SGD"]
    assert "optimizer" not in results().content()


def test_tables_that_stand_together_are_numbered_and_a_single_one_is_not() -> None:
    both, alone = of_results(results()), of_results(results(modes=1))
    assert [table.markdown()[:9] for table in both.values()] == [
        "Table 1: ",
        "Table 2: ",
        "Table 3: ",
    ]
    assert [*alone] == ["table1", "table3"]
    for table in alone.values():
        assert not re.search(r"Table \d", table.markdown() + table.json() + table.latex())
    assert alone["table1"].markdown().startswith("Full batch – test error of 'simplenet' (disk)")
    assert alone["table3"].markdown().startswith("Time in training steps for 3 seeds")


def test_a_row_of_intervals_has_two_lines_of_csv_and_a_column_two_columns() -> None:
    lines = of_results(results())["table1"].csv().splitlines()
    assert lines[:2] == ["test error,minifw,PyTorch", "n,3,3"]
    assert lines[-4:-2] == ['"median, 95 %, from",1.0,1.0', '"median, 95 %, to",2.0,2.0']
    columns = Table(
        "c", ["arm", "n", "95 %"], [("A", ["3", Interval(1.0, 2.0)]), ("B", ["1", None])]
    )
    assert columns.csv().splitlines() == ['arm,n,"95 %, from","95 %, to"', "A,3,1.0,2.0", "B,1,,"]


# ------------------------------------------------------------------------------------ terminal


class Pipe(io.TextIOWrapper):
    """Standard output in another encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    @property
    def text(self) -> str:
        self.flush()
        content = self.buffer
        assert isinstance(content, io.BytesIO)
        return content.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp437"])
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_tables_fit_the_terminal(
    monkeypatch: pytest.MonkeyPatch, encoding: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    pipe = Pipe(encoding)
    monkeypatch.setattr(sys, "stdout", pipe)
    wide = Table(
        "c" * 300, [f"head {i}" for i in range(9)], [("× name – of a row", [1.5] * 8)], " %"
    )
    for table in [*of_results(results()).values(), wide]:
        terminal.print_table(table)
    terminal.print_rows(("run", "age"), [("\x1b[31m" + "n" * 90, "4m"), ("[/x]", "漢字")])
    text = pipe.text
    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text
    assert r"\x1b[31m" in re.sub(r"\s", "", text)
    assert "[/x]" in text
    # Nothing is lost, wherever it is broken.
    figures = re.sub(r"\s", "", text)
    assert figures.count("1") >= 8
    for word in ("Table1:Fullbatch", "c" * 39):
        assert word in figures
    if columns == 80:
        assert re.search(r"median\s*\|?\s*1.50 %\s*\|?\s*1.50 %", text)


def test_of_a_table_no_column_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for columns in range(40, 100, 7):
        monkeypatch.setenv("COLUMNS", str(columns))
        row = [f"cell{i}" for i in range(8)]
        terminal.print_table(Table("c", [f"head{i}" for i in range(9)], [("first", row)]))
        letters = re.sub(r"\s", "", capsys.readouterr().out)
        assert all(letters.count(str(i)) == 2 for i in range(8)), columns


def test_short_cells_are_whole_while_heads_can_break(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head = ["seeds × batch × width", "minifw, µs", "minifw, plain", "PyTorch", "PyTorch vmap", "JAX",
            "GFLOP/s", "of peak"]  # fmt: skip
    cells = ["4417", "12.9×", "1050×", "43.9×", "5.26×", "181", "113 %"]
    terminal.print_table(Table("c", head, [("100 × 1000 × 25", cells)]))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["100", "×", "1000", "×", "25", *cells[:-1], "113", "%"]


def test_words_without_room_are_broken_at_their_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head = ["cell", "0.out_features", "2.out_features", "rank", "n", "diverged", "valid.", "median",
            "95 % interval"]  # fmt: skip
    row = ["1", "10", "25", "1", "40", "0", "31.25", "31.88", "29.38 to 33.75"]
    text = terminal.framed(head, [row], lines=True)
    first, second, _, third = text.splitlines()
    assert first.split() == ["0.out_", "2.out_"]
    assert second.split()[:4] == ["cell", "features", "features", "rank"]
    assert third.split() == " ".join(row).split()
    name = "network.0.out_features=10, network.2.out_features=0.125"
    for columns in (40, 60, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        text = terminal.framed(["pair", "difference"], [[f"{name} − {name}", "1.00"]], lines=False)
        assert max(map(len, text.splitlines())) <= columns
        words = text.split()
        assert words.count("10,") + sum(word.endswith("=10,") for word in words) == 2
        assert sum(word.endswith("0.125") for word in words) == 2


def test_a_short_cell_is_whole_in_a_table_of_many_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"train.eta={eta}" for eta in (0.001, 0.003, 0.01, 0.03, 0.1)]
    rng = np.random.default_rng(0)
    arms = {name: (30 + 9 * rng.random(8)).round(1).tolist() for name in names}
    found = Compared(arms={k: summary(v) for k, v in arms.items()}, pairs=pairs(arms))
    shown = of_comparison("a", found, terminal=True)["arms"]
    monkeypatch.setenv("COLUMNS", "80")
    lines = terminal.framed(shown.head, shown.body, lines=True).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if "train" in line] == names
    assert sum(line.count(" to ") for line in lines) == 10


def test_a_pipe_has_80_columns_and_no_colours(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    answer = minifw(
        "compare", *SMALL, "--set", "train.epochs=2", "--seeds", 2, "--reference", "none"
    )
    assert answer.code == 0, answer.err
    *shown, path = answer.out.rstrip("\n").split("\n")
    assert max(map(len, shown)) <= 80
    assert max(map(len, shown)) > 70
    assert "\x1b" not in answer.out
    assert "| ---" not in answer.out
    for words in (["ls"], ["show", path], ["diff", path, path]):
        answer = minifw("runs", *words)
        assert answer.code == 0, answer.err
        assert max(map(len, answer.out.splitlines())) <= 80, words
    single = minifw("train", "simplenet", *SMALL, "--set", "train.epochs=2", "--seeds", 2)
    assert "Table" not in single.out
    assert re.search(r"\n median +\d", single.out)


# --------------------------------------------------------------------------------------- LaTeX

SIGNS = "".join(map(chr, range(32, 127))) + " ~^\\<>\"|  --- ``a'' ?` – — − × µ … äß’“”\n\n%"


def test_latex_counts_by_itself() -> None:
    text = of_results(results(about=SIGNS))["table1"].latex()
    assert text.startswith("% in the preamble: \\usepackage{booktabs}\n\\begin{table}\n")
    assert r"\caption{Full batch -- test error of " in text
    assert r"\label{tab:simple-net-full-batch}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == 1
    assert "hline" not in text
    (caption,) = re.findall(r"\\caption\{(.*)\}\n", text)
    for sign, escaped in {
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "<": r"\textless{}",
        ">": r"\textgreater{}", '"': r"\symbol{34}", "–": "--", "—": "---", "−": r"\ensuremath{-}",
    }.items():  # fmt: skip
        assert escaped in caption
        assert sign == "\\" or sign not in caption
    assert "-{}-{}-" in caption, "three hyphens stay three"
    assert "XeLaTeX" not in text
    assert "XeLaTeX" in of_results(results(about="漢字"))["table1"].latex()


@pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="there is no TeX: `apt install texlive-latex-base texlive-latex-recommended`",
)
def test_latex_takes_the_tables(tmp_path: Path) -> None:
    tables = [*of_results(results(about=SIGNS)).values(), *of_results(results(modes=1)).values()]
    body = "\n".join(table.latex() for table in tables[:3])
    (tmp_path / "a.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
        f"{body}\nSee \\ref{{tab:simple-net-work}}.\n\\end{{document}}\n",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    for _ in range(2):  # the second time references are known
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        log = done.stdout.decode("latin-1")
        assert done.returncode == 0, log[-2000:]
    assert "undefined" not in log
    assert "Missing character" not in (tmp_path / "a.log").read_text("latin-1")
    assert (tmp_path / "a.pdf").stat().st_size > 10_000


# ------------------------------------------------------------------------- help and completion


@pytest.mark.parametrize("words", [[], ["runs"]])
def test_a_bare_group_of_commands_prints_its_help_and_no_more(
    minifw: Minifw, words: list[str]
) -> None:
    answer = minifw(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == minifw(*words, "--help").out
    assert answer.err.startswith("Usage: minifw")


@pytest.mark.parametrize("words", [[], ["runs"]])
def test_summaries_of_commands_are_whole_sentences(minifw: Minifw, words: list[str]) -> None:
    listed = minifw(*words, "--help").out.split("Commands:\n")[1].splitlines()
    assert len(listed) >= 5
    for line in listed:
        assert re.fullmatch(r"  \w+ +\S.*[^.]\.", line), line


def complete(words: str, cwd: Path) -> list[str]:
    """What bash would be told that the last of these words may become."""
    more = {
        "_MINIFW_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "minifw"], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **more},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_shells_complete_commands_configs_and_runs(tmp_path: Path) -> None:
    run = tmp_path / "elsewhere/20261125T205337Z-simplenet-533a14"
    run.mkdir(parents=True)
    (run / "manifest.json").touch()
    (tmp_path / "simple.yaml").touch()
    assert complete("minifw tr", tmp_path) == ["train"]
    assert complete("minifw train simp", tmp_path) == ["simple.yaml", "simplenet", "simplenet-sgd"]
    assert complete("minifw compare --reference ", tmp_path) == ["pytorch", "vmap", "none"]
    assert complete("minifw resume 2", tmp_path) == []
    assert complete("minifw runs rm --runs-dir elsewhere 2", tmp_path) == [run.name]


def test_completion_can_be_installed(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else Typer looks for a shell among the parents of this process, where there may be none.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    answer = minifw("--show-completion", "bash")
    assert answer.code == 0
    assert "_MINIFW_COMPLETE=complete_bash" in answer.out
