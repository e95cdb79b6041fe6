"""Writes the table of files in docs/data.md: what each small file of the tests needs to be trained.

    python docs/datafiles.py

Each file of tests/data has a habit of real files. In an empty folder, `minifw init` makes a config
for it, and `minifw train` trains ten seeds: half a minute.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
FILES = HERE.parent / "tests/data"
PAGE = HERE / "data.md"
SECTION = re.compile(r"(<!-- files -->\n).*?(<!-- end of files -->)", re.DOTALL)
SEEDS = 10


class Habit(NamedTuple):
    """A file, what is unusual about it, and the options of `minifw init` that it needs."""

    file: str
    what: str
    options: str = ""


HABITS = (
    Habit("quality-semicolon.csv", "semicolons, quoted names with spaces, scores as classes"),
    Habit("decimal-comma.csv", "a byte order mark, semicolons, decimal commas, CRLF"),
    Habit("notes-noheader.txt", "no line of names"),
    Habit("signal-noheader.csv", "no line of names, values that repeat, classes as words"),
    Habit(
        "birds-missing.csv",
        "missing values in two spellings, words and truth values, a target with gaps",
        "--target species",
    ),
    Habit(
        "passengers.csv",
        "an id, quoted names with commas, many gaps, the class is the second column",
        "--target outcome",
    ),
    Habit("census-question.csv", "`?` for missing, spaces after commas, a full stop in the class"),
    Habit("count-line.csv", "a line that counts samples and features in place of names"),
    Habit("instrument.tsv", "comment lines, tabs"),
    Habit("latin1.csv", "Latin-1"),
    Habit("pixels.csv.gz", "compressed by gzip, no line of names"),
    Habit("yield.csv", "a regression, with a copy of the target among the features"),
    Habit("groups.csv", "rows of the same source, for a split that keeps them together"),
)


def commands(habit: Habit) -> list[str]:
    """Return the commands that train a file."""
    name = habit.file.partition(".")[0]
    init = f"minifw init {name} --data {habit.file} {habit.options}".strip()
    return [init, f"minifw train {name}.yaml --seeds {SEEDS}"]


def table() -> str:
    """Return the table of all files."""
    heads = ("file", "its habits", "commands", "result", "noticed")
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    with tempfile.TemporaryDirectory() as folder:
        for habit in HABITS:
            shutil.copy(FILES / habit.file, folder)
            shown = "<br>".join(f"`{command}`" for command in commands(habit))
            result, noticed = _trained(habit, folder)
            lines.append(f"| `{habit.file}` | {habit.what} | {shown} | {result} | {noticed} |")
    return "\n".join(lines)


def _trained(habit: Habit, folder: str) -> tuple[str, str]:
    """Return the median error of a file, and what was noticed in it."""
    init, train = commands(habit)
    made = _called(init, folder)
    found = json.loads(_called(f"{train} --json", folder).stdout)
    median = found["summary"]["median"]
    error = f"{median:.2f} %" if found.get("measure") != "rmse" else f"RMSE {median:.3f}"
    about = ("is the target; --target", "now edit it")
    lines = [line.removeprefix("minifw: ") for line in made.stderr.splitlines()]
    noticed = [line for line in lines if not any(words in line for words in about)]
    return f"median test error {error}", "; ".join(noticed).replace("|", "\\|") or "nothing"


def _called(command: str, folder: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", *command.split()]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True)


def main() -> None:
    """Write the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(SECTION.sub(lambda old: f"{old[1]}\n{table()}\n\n{old[2]}", text), "utf-8")


if __name__ == "__main__":
    main()
