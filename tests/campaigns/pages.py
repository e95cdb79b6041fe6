"""Pages of real runs in a browser: their size, pictures, console, requests, and what axe finds.

    python -m campaigns.pages --axe package/axe.min.js --out pictures

It makes the page of a comparison with PyTorch of 20 seeds, of a sweep, and of a study of variance,
and looks at each in light, in dark, on paper, at the width of a telephone, and without its script.
`npm pack axe-core` fetches axe; without it, the rest is done. It needs chromedriver and Chromium.
The exit code is 1 if a page is too large, says something in the console, asks for something, is
wider than a telephone, or if axe finds anything, of any level, in any of its rules.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
from browser import MISSING, Browser, browser, told, violations

LARGEST = 300_000
"""Bytes of a page, at most."""

STUDIES = {
    "compare": ("compare", "--seeds", "20"),
    "sweep": (
        "sweep", "simplenet", "--seeds", "20", "--set", "data.validation=0.2",
        "--set", "train.epochs=100", "--over", "train.eta=0.01,0.03,0.1,0.3",
        "--over", "train.mode=full-batch,sgd",
    ),
    "variance": ("variance", "simplenet-sgd", "--set", "train.epochs=50", "--data", "8", "--init", "8"),
    "train": ("train", "iris", "--seeds", "5"),
}  # fmt: skip

# All rules, also those that are experimental or off by default; "AAA" asks for a contrast of 7:1.
RULES: dict[str, Any] = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag2aaa", "wcag21a", "wcag21aa", "wcag22aa",
                   "best-practice", "experimental"],
    }
}  # fmt: skip


def train(words: tuple[str, ...], folder: Path) -> Path:
    """Run a command with --report, and return the page's path, its last line."""
    command = [sys.executable, "-m", "minifw", *words, "--report", "--quiet"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return folder / done.stdout.splitlines()[-1]


def look(page: Browser, file: Path, axe: str | None, out: Path, name: str) -> Iterator[str]:
    """Look at a page in every way; yield what is wrong with it."""
    size = len(file.read_bytes())
    if size > LARGEST:
        yield f"{size} bytes"
    pages.check(file.read_text(encoding="utf-8"))
    undecided: Counter[str] = Counter()
    for scheme, width in (("light", 1100), ("dark", 1100), ("light", 320)):
        how = f"{scheme}, {width} wide"
        page.looks(scheme)
        page.open(file, width)
        page.picture(out / f"{name}-{scheme}-{width}.png")
        yield from (f"{how}: console: {line}" for line in page.console())
        asked = [address for address in page.requests() if address != file.as_uri()]
        yield from (f"{how}: asked for {address}" for address in asked)
        if (wide := page.run("return document.documentElement.scrollWidth")) > width:
            yield f"{how}: is {wide} wide"
        # All that a reader can get to see, at once.
        page.run("for (const each of document.querySelectorAll('details')) each.open = true")
        page.run("for (const each of document.querySelectorAll('.live')) each.className = ''")
        if axe is not None:
            found = violations(page, axe, RULES)
            yield from (f"{how}: {line}" for line in told(found["violations"]))
            # Mostly what is behind the text of a picture, or of a cell that is scrolled away.
            for each in found["incomplete"]:
                undecided[each["id"]] += len(each["nodes"])
    page.looks("light", "print")
    page.open(file, 800)
    page.picture(out / f"{name}-print.png")
    page.looks("light")
    page.print(out / f"{name}.pdf")
    page.chrome("Emulation.setScriptExecutionDisabled", value=True)
    page.open(file, 1100)
    page.picture(out / f"{name}-without-script.png")
    page.chrome("Emulation.setScriptExecutionDisabled", value=False)
    print(f"{name}: {size} bytes; axe cannot tell: {dict(undecided)}", flush=True)


def main() -> int:
    """Make the pages, look at them, and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--axe", type=Path, help="axe.min.js of axe-core")
    parser.add_argument("--out", type=Path, help="a folder for pictures and PDF files")
    parser.add_argument("--page", type=Path, nargs="*", help="look at these pages instead")
    asked = parser.parse_args()
    if MISSING:
        print(f"pages: needs {' and '.join(MISSING)}")
        return 0
    axe = None if asked.axe is None else asked.axe.read_text(encoding="utf-8")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        out = asked.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        files = {f"page-{n}": path.absolute() for n, path in enumerate(asked.page or [], 1)}
        if not files:
            files = {name: train(words, Path(folder)) for name, words in STUDIES.items()}
        for name, file in files.items():
            with browser() as page:
                wrong += [f"{name}: {line}" for line in look(page, file, axe, out, name)]
    print("\n".join(wrong) or "nothing is wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
