"""Writes docs/gallery.md: trains every packaged config, and draws a small figure of each.

    python docs/gallery.py             all of them: some minutes
    python docs/gallery.py iris …      only these; the others are kept

A config that needs files which do not come with minifw has no figure.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import minifw
from minifw.config.packaged import PACKAGED

HERE = Path(__file__).parent
PAGE = HERE / "gallery.md"
IMAGES = HERE / "images/gallery"
MEASURED = IMAGES / "measured.json"
SEEDS = 20
LINE, BAND, DOT = "#1f5fa8", "#b9d0ea", "#c2571a"
POINTS = ("#8a6d3b", "#1f5fa8", "#b2182b", "#2c7a2c", "#6a4c93")
SIDES = ("#f4f4f4", "#cfdff2", "#f6dcc7", "#d9ecd5", "#e6d9ec")
ORDER = (
    "simplenet", "simplenet-sgd", "disk-best", "disk-quarter", "half-plane", "two-branch",
    "cross-entropy", "starter", "residual", "iris", "diabetes", "parity", "digits-cnn", "two-heads",
    "grokking", "lenet",
)  # fmt: skip
WITHOUT = {
    "lenet": "It needs MNIST's files, which do not come with minifw "
    "([how](examples.md#lenet-on-files-like-mnists))."
}
"""What a config lacks that minifw does not bring."""
HEAD = """# Gallery

Every config that comes with minifw, trained as it is over {seeds} seeds. `python docs/gallery.py`
makes this page and its figures.

Left: the test error against epochs, the median and the band of the middle half of the seeds.
Middle: the test error that each seed ends with, one dot for each; the line is the median. Right,
where the data are two-dimensional: what the network nearest to the median takes for which class,
and its test samples. Of `diabetes` the error is the RMSE, in the unit of the target.

| config | data | test error, median (least to largest) |
| --- | --- | ---: |
"""


def main(names: list[str]) -> None:
    """Train, draw, and write the page."""
    there = {path.stem for path in PACKAGED.glob("*.yaml")}
    assert there == {*ORDER}, there ^ {*ORDER}
    IMAGES.mkdir(exist_ok=True)
    known = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names or [each for each in ORDER if each not in WITHOUT]:
            run = minifw.train(name, seeds=SEEDS, runs_dir=folder, progress=False)
            known[name] = measured(run)
            draw(run, known[name]["word"]).savefig(IMAGES / f"{name}.png", dpi=100)
            print(name, known[name], flush=True)
    MEASURED.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(known), "utf-8")


def measured(run: minifw.Run) -> dict[str, object]:
    """Return what the page says of a run."""
    errors = run.test_error
    results = json.loads((run.path / "results.json").read_text("utf-8"))
    rmse = results.get("measure") == "rmse"
    low, middle, high = (float(x) for x in (np.min(errors), np.median(errors), np.max(errors)))
    digits, unit = (1, "") if rmse else (2, " %")
    return {
        "word": "test RMSE" if rmse else "test error, %",
        "text": f"{middle:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})",
        "data": run.config.data.kind,
    }


def draw(run: minifw.Run, word: str) -> Figure:
    """Return the small figure of a run: curves, errors of all seeds, the plane if there is one."""
    plane = (run.path / "decision.npz").exists()
    figure = Figure(figsize=(6.4, 1.9), layout="constrained", facecolor="white")
    left, middle, *right = figure.subplots(1, 3, width_ratios=(2, 1, 1.1))
    metrics = run.metrics.arrays()
    epochs, errors = metrics["epoch"], metrics["test_error"]
    low, median, high = np.quantile(errors, (0.25, 0.5, 0.75), axis=1)
    left.fill_between(epochs, low, high, color=BAND, linewidth=0)
    left.plot(epochs, median, color=LINE, linewidth=1.4)
    left.set_xlabel("epoch", fontsize=8)
    left.set_ylabel(word, fontsize=8)
    spread = np.linspace(-0.3, 0.3, errors.shape[1])
    final = run.test_error
    middle.plot(spread[np.argsort(np.argsort(final))], final, "o", color=DOT, markersize=3)
    middle.axhline(float(np.median(final)), color=LINE, linewidth=1)
    middle.set_xlim(-1, 1)
    middle.set_xticks([])
    middle.set_xlabel(f"{len(final)} seeds", fontsize=8)
    if plane:
        regions(run, right[0])
    else:
        right[0].set_axis_off()
    for axes in (left, middle):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0 if word.endswith("%") else None)
    return figure


def regions(run: minifw.Run, axes: Axes) -> None:
    """Draw what the network whose error is nearest to the median takes for which class."""
    final = run.test_error
    seed = int(np.argmin(np.abs(final - np.median(final))))
    test = run.data().test
    points = test.inputs[seed].numpy()
    labels = test.labels[seed].numpy() if test.labels is not None else np.zeros(len(points))
    low, high = points.min(0), points.max(0)
    grid = np.stack(np.meshgrid(*(np.linspace(low[i], high[i], 160) for i in (0, 1))), -1)
    network = run.network(run.seeds[seed])
    x = torch.as_tensor(grid.reshape(-1, 2), dtype=test.inputs.dtype)
    scores = network.forward(x).numpy()
    classes = scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(int)
    levels = np.arange(classes.max() + 2) - 0.5
    shown = classes.reshape(grid.shape[:2])
    axes.contourf(grid[..., 0], grid[..., 1], shown, levels, colors=SIDES[: len(levels) - 1])
    for each, color in zip(np.unique(labels), POINTS, strict=False):
        of = points[labels == each][::2]
        axes.plot(of[:, 0], of[:, 1], ".", color=color, markersize=1.8)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("the seed of the median", fontsize=8)
    axes.set_aspect("auto")


def page(known: dict[str, dict[str, object]]) -> str:
    """Return the page."""
    rows, sections = [], []
    for name in ORDER:
        about = first_line(name)
        if name in WITHOUT:
            rows.append(f"| [`{name}`](#{name}) | idx | – |")
            sections.append(f"## {name}\n\n{about} {WITHOUT[name]}\n")
            continue
        found = known[name]
        rows.append(f"| [`{name}`](#{name}) | {found['data']} | {found['text']} |")
        said = f"{name}: test error against epochs, and of {SEEDS} seeds: {found['text']}"
        sections.append(
            f"## {name}\n\n{about}\n\n```text\nminifw train {name} --seeds {SEEDS}\n```\n\n"
            f"![{said}](images/gallery/{name}.png)\n"
        )
    return HEAD.format(seeds=SEEDS) + "\n".join(rows) + "\n\n" + "\n".join(sections)


def first_line(name: str) -> str:
    """Return what a config says of itself: the first sentence of its comment."""
    text = (PACKAGED / f"{name}.yaml").read_text("utf-8")
    comment = re.findall(r"^# ?(.*)$", text.split("\nname:")[0], re.M)[1:]
    words = " ".join("\n".join(comment).split("\n\n")[0].split())
    return re.match(r".*?[.](?= |$)|.*", words)[0]  # type: ignore[index]


if __name__ == "__main__":
    main(sys.argv[1:])
