"""The documents: their blocks, commands and links, so that tests can hold them to what is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from conftest import ROOT, Minifw

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *PAGES]


def blocks(page: Path, language: str) -> list[str]:
    """Return the content of the page's blocks in this language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> list[str]:
    """Return the command lines of minifw in the page, without comments."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("minifw ")]


def links(page: Path) -> list[str]:
    """Return where the links and pictures of the page lead within the repository."""
    return re.findall(r"(?:\]\(|src=\")([^)\":]+)[)\"]", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return what a link may name behind `#`: the headings, as GitHub and MkDocs write them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"\s", "-", word) for word in words}


def run_command(minifw: Minifw, line: str) -> None:
    """Run a command line of a document in an empty folder, in a short form; it ends with 0.

    What it names is there: the packaged configs, `mine.yaml`, `own.yaml`, `more.yaml`, `sweep.yaml`,
    `mine.csv`, `new.csv`, run a1b2c3, exported networks `net.…`.
    """
    here = Path()
    (here / "configs").symlink_to(ROOT / "src/minifw/examples")
    (here / "mine.csv").write_text(
        "height,width,kind\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(100))
    )
    (here / "new.csv").write_text("x,y\n0.5,0.5\n0.1,0.9\n")
    program, *words = shlex.split(line)
    if "mine.yaml" in words:
        assert minifw("init", "mine").code == 0
    for config, file in (("own.yaml", "mymodules.py"), ("more.yaml", "more.py")):
        if config not in words:  # with the file that the page shows
            continue
        page = ROOT / "docs/own.md"
        for language, name in (("python", file), ("yaml", config)):
            content = next(b for b in blocks(page, language) if b.startswith(f"# {name}\n"))
            (here / name).write_text(content, encoding="utf-8")
    if "sweep.yaml" in words:
        shown = next(b for b in blocks(ROOT / "docs/sweeps.md", "yaml"))
        (here / "sweep.yaml").write_text(shown, encoding="utf-8")
    for name in {"a1b2c3", "d4e5f6"} & {*words}:
        quick = ("--seeds", 2, "--set", "train.epochs=2", "--quiet", "--json")
        run = Path(minifw("train", "simplenet", *quick).json["run_dir"])
        run.rename(f"{str(run)[:-6]}{name}")
    if words[0] == "predict" and words[1].startswith("net."):
        made = minifw("train", "simplenet", "--set", "train.epochs=2", "--quiet", "--json")
        assert minifw("export", made.json["run_dir"], "--out", words[1]).code == 0
    short = []
    if "--help" in words or (words[0] == "compare" and "a1b2c3" in words):
        pass
    elif words[0] == "course":
        if words[1] != "init":
            assert minifw("course", "init", "exercises").code == 0
            solved = ("course", "solve", "1", "--write", "--dir", "exercises")
            assert minifw(*solved).code == 0
    elif words[0] in ("train", "compare"):
        short = ["--set", "train.epochs=2", "--quiet"]
        if words[0] == "compare":  # PyTorch takes its time
            short += ["--set", "data.train=100"]
    elif words[0] == "variance":
        short = ["--set", "train.epochs=2", "--data", "2", "--init", "2", "--quiet"]
    elif words[0] == "sweep":
        short = ["--set", "train.epochs=2", "--seeds", "3", "--quiet"]
    elif words[0] == "bench":
        short = ["--quick", "--regime", "2x100x4", "--rounds", "1", "--quiet"]
    answer = minifw(*words, *short)
    assert program == "minifw"
    assert answer.code == 0, answer.err
