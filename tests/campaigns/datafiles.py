"""Data files of every dialect: validate, show, train, predict and resume say the same of each.

    python -m campaigns.datafiles [--files 2000] [--seed 0]

Hypothesis makes the files: delimiters, quotes, line ends, encodings, headers or none, comments,
decimal commas; columns of numbers, truth values and words under odd names; missing values in every
spelling; classes of every kind, or numbers; now and then a fault such as a short row. A config
names some of what is in the file, or leaves it to be seen. Then

- `validate`, `show` and `train` must all take it, or all refuse it with the same lines,
- no command may show a traceback or end otherwise than with 0, 2 or 3,
- a file that was trained on can be predicted, each of its rows that has all values,
- a training that is interrupted and resumed, as each third is, ends with the numbers of one that
  is not.

Ends with 1 if one did not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from minifw.cli import main

GAPS = ["", "NA", "N/A", "nan", "?", "null", "-"]
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b c", "größe", "x,y", "p;q", 'say "so"', "=1", "kind", "#", "2007", "[bold]", "a=b"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
)
WORDS = ["north", "south", "isle", "a, b", "x;y", "été", "-", "1e", "(other)", "yes", "no way"]


@dataclass(frozen=True)
class File:
    """A file and the keys of `data` with which it is read."""

    content: bytes
    keys: dict[str, Any]
    suffix: str = ".csv"


@dataclass
class Report:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------------------- making them


@st.composite
def columns(draw: st.DrawFn, rows: int, decimal: str) -> list[str]:
    """The cells of a feature."""
    kind = draw(st.sampled_from(["number", "number", "whole", "truth", "words", "constant", "any"]))
    rng = random.Random(draw(st.integers(0, 10**6)))
    if kind == "number":
        digits = rng.randint(0, 5)
        cells = [f"{rng.gauss(0, 10):.{digits}f}" for _ in range(rows)]
    elif kind == "whole":
        cells = [str(rng.randint(-3, 9)) for _ in range(rows)]
    elif kind == "truth":
        pair = rng.choice([("TRUE", "FALSE"), ("yes", "no"), ("t", "f")])
        cells = [rng.choice(pair) for _ in range(rows)]
    elif kind == "words":
        some = rng.sample(WORDS, rng.randint(1, 4))
        cells = [rng.choice(some) for _ in range(rows)]
    elif kind == "constant":
        cells = [rng.choice(["0", "1.5", "same"])] * rows
    else:
        cells = draw(
            st.lists(
                st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
                min_size=rows,
                max_size=rows,
            )
        )
    if rng.random() < 0.3:
        gap = rng.choice(GAPS)
        cells = [gap if rng.random() < 0.1 else cell for cell in cells]
    if decimal == ",":
        cells = [c.replace(".", ",") if kind in ("number", "constant") else c for c in cells]
    return cells


@st.composite
def files(draw: st.DrawFn) -> File:
    """A file of 12 to 30 rows and 1 to 5 features."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    rows, count = rng.randint(12, 30), rng.randint(1, 5)
    delimiter = draw(st.sampled_from([",", ",", ";", "\t", "|"]))
    decimal = "," if delimiter == ";" and rng.random() < 0.5 else "."
    table = [draw(columns(rows, decimal)) for _ in range(count)]
    keys: dict[str, Any] = {}
    if rng.random() < 0.3:
        table.append([f"{rng.gauss(0, 10):.3f}".replace(".", decimal) for _ in range(rows)])
        keys["task"] = "regression"
    else:
        names = rng.choice([["0", "1"], ["a", "b", "c"], ["True", "False"], ["4", "5", "6"], WORDS])
        table.append([rng.choice(names) for _ in range(rows)])
    if rng.random() < 0.1:
        table[-1][rng.randrange(rows)] = rng.choice(GAPS)
    lines = [[column[row] for column in table] for row in range(rows)]
    if rng.random() < 0.6:
        some = st.lists(NAMES, min_size=count + 1, max_size=count + 1, unique=rng.random() < 0.9)
        names = draw(some)
        lines.insert(0, names)
        if rng.random() < 0.2:
            keys["header"] = True
    elif rng.random() < 0.3:
        keys["header"] = False
    if rng.random() < 0.05:
        lines[rng.randrange(len(lines))].pop()  # a short row
    if rng.random() < 0.3:
        keys["delimiter"] = delimiter
    keys["missing"] = rng.choice(["error", "drop", "mean", "median"])
    if rng.random() < 0.1:
        keys["exclude"] = [1]
    if rng.random() < 0.1:
        keys["target"] = rng.randint(1, count + 1)
    text = written(rng, lines, delimiter)
    if rng.random() < 0.1:
        text = "# a comment\n" + text
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1"])
    if encoding == "latin-1" and rng.random() < 0.5:
        keys["encoding"] = "latin-1"
    return File(text.encode(encoding, "replace"), keys)


def written(rng: random.Random, lines: list[list[str]], delimiter: str) -> str:
    """The text of the lines: quoted where that is needed, always, or not at all."""
    way = rng.choice(["needed"] * 6 + ["always", "never"])
    space = rng.choice(["", "", "", " "])

    def cell(text: str) -> str:
        needs = any(sign in text for sign in (delimiter, '"', "\n", "\r")) or text != text.strip()
        if way == "always" or (way == "needed" and needs):
            return '"' + text.replace('"', '""') + '"'
        return text

    end = rng.choice(["\n", "\n", "\r\n"])
    joined = [(delimiter + space).join(map(cell, line)) for line in lines]
    return end.join(joined) + (end if rng.random() < 0.9 else "")


# ----------------------------------------------------------------------------------- judging them


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def faults(self) -> list[str]:
        """The lines of stderr that say what is wrong."""
        return [line for line in self.err.splitlines() if not line.startswith("minifw: ")]


def _no_figures(_: object) -> None:
    """Drawing takes longer than all the rest."""


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


def call(*words: object, draw: Callable[[object], None] = _no_figures) -> Answer:
    """Call the command line in this process, with `draw` in place of drawing figures."""
    out, err = io.StringIO(), io.StringIO()

    def leave(code: int) -> None:
        raise SystemExit(code)

    with (
        mock.patch.object(sys, "argv", ["minifw", *map(str, words)]),
        mock.patch.object(main, "leave_process", leave),
        mock.patch("minifw.report.process.write_plots_soon", return_value=draw),
        mock.patch("minifw.report.plots.write_plots", draw),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main.main()
        except SystemExit as end:
            code = end.code
        except Exception:  # a bug is raised on
            code = 1
    return Answer(code if isinstance(code, int) else -1, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder, in which commands are called."""
    before = Path.cwd()
    made = Path(tempfile.mkdtemp())
    os.chdir(made)
    try:
        yield made
    finally:
        os.chdir(before)
        shutil.rmtree(made)


def judge(file: File, report: Report) -> None:
    """Note what the commands say of a file, and what is wrong about that."""
    with folder() as here:
        wrong = _judged(file, here, report)
    if wrong is not None:
        report.wrong.append(f"{wrong}\n{file.keys}\n{file.content!r}")


def _judged(file: File, here: Path, report: Report) -> str | None:
    (here / "data.csv").write_bytes(file.content)
    regression = file.keys.get("task") == "regression"
    config = {
        "name": "fuzzed",
        "data": {"kind": "csv", "path": "data.csv", **file.keys},
        "network": [{"linear": 3}, "relu", {"linear": 1 if regression else 2}],
        "loss": "mse" if regression else "cross-entropy",
        "train": {"eta": 0.05, "epochs": 4, "eval_every": 2, "compile": False},
    }
    path = here / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    first = call("validate", path)
    if first.code == 2 and not regression and "--set " in first.err:  # the outputs do not fit
        change = first.err.split("--set ")[1].split()[0]
        value = change.partition("=")[2]
        config["network"][2]["linear"] = int(value)  # type: ignore[index]
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        first = call("validate", path)
        if "--set network" in first.err:
            return f"--set {change} did not mend it: {first.err}"
    answers = {"validate": first, "show": call("show", path)}
    answers["train"] = trained = call("train", path, "--seeds", 2, "-q")
    for name, answer in answers.items():
        if answer.code not in (0, 2, 3) or "Traceback" in answer.err:
            return f"{name} ended with {answer.code}: {answer.err[-3000:]}"
    outcome = {0: "trained", 2: "refused", 3: "diverged"}[trained.code]
    report.outcomes[outcome] += 1
    refused = [answer.code == 2 for answer in answers.values()]
    if len(set(refused)) > 1:
        return f"they do not agree: { {n: (a.code, a.err) for n, a in answers.items()} }"
    if any(refused):
        said = {tuple(answer.faults) for answer in answers.values()}
        if list(here.glob("runs/*")):
            return "a refused file has left a run behind"
        return None if len(said) == 1 else f"they say different things: {said}"
    if trained.code == 3:
        return None
    (run,) = here.glob("runs/*")
    wrong = _asked(run, here, report)
    if wrong is not None or zlib.crc32(file.content) % 3:  # a third are interrupted
        return wrong
    return _resumed(run, path, here, report)


def _asked(run: Path, here: Path, report: Report) -> str | None:
    """Say what is wrong about predicting the file that was trained on."""
    answer = call("predict", run, here / "data.csv", "--json")
    if answer.code not in (0, 2) or "Traceback" in answer.err:
        return f"predict ended with {answer.code}: {answer.err[-3000:]}"
    report.outcomes["predicted" if answer.code == 0 else "not predicted"] += 1
    missing = yaml.safe_load((run / "config.yaml").read_text())["data"].get("missing", "error")
    # Rows that were left out of training lack values, which prediction needs too.
    if answer.code == 2 and missing != "drop":
        return f"predict refuses what train took: {answer.err}"
    if answer.code == 2 and "missing" not in answer.err:
        return f"predict refuses what train took: {answer.err}"
    return None


def _resumed(run: Path, config: Path, here: Path, report: Report) -> str | None:
    """Say what is wrong about a training that is interrupted and resumed."""
    whole = json.loads((run / "results.json").read_text())["modes"]
    shutil.move(run, here / "first")

    stopped = call("train", config, "--seeds", 2, "-q", draw=_interrupt)
    if stopped.code != 130:
        return f"an interrupted training ended with {stopped.code}: {stopped.err[-2000:]}"
    (begun,) = here.glob("runs/*")
    answer = call("resume", begun, "-q")
    if answer.code != 0:
        return f"resume ended with {answer.code}: {answer.err[-3000:]}"
    again = json.loads((begun / "results.json").read_text())["modes"]
    for results in (whole, again):
        for arms in results.values():
            for arm in arms.values():
                for key in [key for key in arm if "seconds" in key]:
                    del arm[key]
    report.outcomes["resumed"] += 1
    return None if whole == again else f"resumed to other results: {whole} {again}"


def run(count: int, number: int = 0) -> Report:
    """Judge so many files."""
    report = Report()

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(files())
    def each(file: File) -> None:
        judge(file, report)

    each()
    return report


def begin() -> int:
    """Judge files as the options say; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    report = run(asked.files, asked.seed)
    print(*(f"{count:6} {outcome}" for outcome, count in sorted(report.outcomes.items())), sep="\n")
    for line in report.wrong[:20]:
        print(line)
    print(f"{len(report.wrong)} wrong")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(begin())
