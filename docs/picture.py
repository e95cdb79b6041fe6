"""Draws the picture of README.md, docs/images/overview.png, from real runs: half a minute.

python docs/picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

import minifw
from minifw import runs
from minifw.experiment.replay import replay

HERE = Path(__file__).parent
YAML = """\
name: mine
data: {kind: disk, train: 1000}
network:
  - linear: 25
  - relu
  - linear: 25
  - relu
  - linear: 25
  - relu
  - linear: 2
loss: {kind: mse,
       reduction: sample}
optimizer: sgd
train:
  mode: sgd
  batch_size: 40
  eta: 0.01
  epochs: 1000"""
EPOCHS = (0, 5, 30, 1000)
BLUE, ORANGE, INK, QUIET = "#1f5fa8", "#c2571a", "#222222", "#666666"
INSIDE, OUTSIDE = "#cfdff2", "#f6f4ef"


def main() -> None:
    """Train, draw, write."""
    torch.set_num_threads(1)
    figure = Figure(figsize=(9.4, 3.9), facecolor="white")
    figure.add_artist(  # a border, so that it is a card on a dark page
        FancyBboxPatch(
            (0.004, 0.012), 0.992, 0.976, boxstyle="round,pad=0,rounding_size=0.012",
            transform=figure.transFigure, facecolor="white", edgecolor="#cccccc",
            mutation_aspect=2.4, zorder=-1,
        )
    )  # fmt: skip
    for x, title in ((0.025, "1  Describe it"), (0.285, "2  Train twenty networks at once"),
                     (0.65, "3  Read the error and its spread")):  # fmt: skip
        figure.text(x, 0.92, title, fontsize=11, fontweight="bold", color=INK, va="center")
    figure.text(0.028, 0.845, YAML, family="monospace", fontsize=8.4, color=INK, va="top",
                linespacing=1.28)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        errors = {}
        for mode in ("full-batch", "sgd"):
            run = minifw.train(
                yaml.safe_load(YAML), seeds=20, overrides={"train.mode": mode}, runs_dir=folder,
                progress=False,
            )  # fmt: skip
            errors[mode] = run.test_error
        learning(figure, run)
    spread(figure, errors)
    figure.text(0.285, 0.048, "minifw train mine.yaml --seeds 20", family="monospace",
                fontsize=8.8, color=BLUE)  # fmt: skip
    figure.savefig(HERE / "images/overview.png", dpi=160)


def learning(figure: Figure, run: minifw.Run) -> None:
    """Draw what one network takes for the disk, after a few epochs."""
    seed = run.seeds[int(np.argmin(np.abs(run.test_error - np.median(run.test_error))))]
    again = replay(runs.load(run.path), seed, None, EPOCHS)
    side = np.linspace(0, 1, 220)
    plane = np.stack(np.meshgrid(side, side), -1).reshape(1, -1, 2)
    x = run.inputs(plane[0], seed=seed)
    points = again.data.test
    shift, scale = fitted(plane[0], x.numpy())
    samples, labels = points.inputs[0].numpy() * scale + shift, points.labels[0].numpy()
    for place, epoch in enumerate(EPOCHS):
        row, column = divmod(place, 2)
        axes = figure.add_axes((0.285 + 0.152 * column, 0.515 - 0.355 * row, 0.122, 0.3))
        inside = again.network(place).forward(x[None])[0].argmax(1).numpy().reshape(220, 220)
        axes.contourf(side, side, inside, [-0.5, 0.5, 1.5], colors=[OUTSIDE, INSIDE])
        for kind, color in ((0, "#a08050"), (1, BLUE)):
            of = samples[labels == kind][::3]
            axes.plot(of[:, 0], of[:, 1], ".", color=color, markersize=1.6)
        axes.add_patch(Circle((0.5, 0.5), 0.3989, fill=False, linestyle="--", linewidth=1))
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
        axes.set_title(
            "before" if epoch == 0 else f"epoch {epoch}", fontsize=8.5, color=QUIET, pad=3
        )
    figure.text(0.285, 0.105, "One of them: blue is what it takes for inside.",
                fontsize=8.6, color=QUIET, va="center")  # fmt: skip


def fitted(plane: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shift and scale by which normalised inputs become those of the plane again."""
    scale = (plane[-1] - plane[0]) / (x[-1] - x[0])
    return plane[0] - x[0] * scale, scale


def spread(figure: Figure, errors: dict[str, np.ndarray]) -> None:
    """Draw the test error of each seed, by the way of training."""
    axes = figure.add_axes((0.735, 0.2, 0.235, 0.6))
    for place, (color, of) in enumerate(zip((ORANGE, BLUE), errors.values(), strict=True)):
        rank = np.argsort(np.argsort(of))
        axes.plot(of, place + (rank % 5 - 2) * 0.09, "o", color=color, markersize=5, alpha=0.85,
                  markeredgecolor="white", markeredgewidth=0.5)  # fmt: skip
        middle = float(np.median(of))
        axes.plot([middle, middle], [place - 0.33, place + 0.33], color=INK, linewidth=1.6)
        axes.text(middle, place + 0.37, f"median {middle:.2f} %", fontsize=9, color=INK,
                  ha="left" if middle < 2 else "center")  # fmt: skip
    axes.set_yticks([0, 1], ["full batch", "batches\nof 40"], fontsize=9.5)
    axes.set_ylim(-0.55, 1.65)
    axes.set_xlim(left=0)
    axes.set_xlabel("test error, %: a dot is a network", fontsize=9, color=QUIET)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8.5)


if __name__ == "__main__":
    main()
