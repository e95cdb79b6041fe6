"""Decision regions through training: a chart for each epoch, of the network nearest to the median.

Its weights on the way are not kept by a run: the seed is trained again alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minifw.charts import Areas, Axis, Chart, Dots, Line, Mark, Panel, Shape
from minifw.errors import MinifwError, short_word
from minifw.experiment.replay import Replayed, replay
from minifw.page import outlines
from minifw.page.document import Paragraph, Picture, Piece, Slides
from minifw.report import planes
from minifw.report.bands import Floats
from minifw.report.words import listed, sentence
from minifw.runs import Mode, Run
from minifw.runs.results import Results

FRAMES = 9
"""Charts of the slider, about."""
EVERY = 2
"""Every so many points of the plane of decision.npz are taken, along each axis."""
SAMPLES = 120
"""Test samples that are drawn, at most."""
PATIENCE = 30.0
"""Seconds that a seed's training may have taken, to be done again for the page."""
SHAPES: tuple[Shape, ...] = ("circle", "square", "diamond")
NAMED = 10
"""Classes up to which samples and regions have the name of theirs."""

Integers = NDArray[np.integer]


@dataclass(frozen=True)
class Frame:
    """What a network decides at one time: over the plane, and of the test samples."""

    x: Floats
    y: Floats
    scores: Floats
    decision: Integers
    points: Floats
    labels: Integers
    answers: Integers
    seed: int

    @property
    def error(self) -> float:
        """Its test error in percent."""
        return 100 * float((self.answers != self.labels).mean())


def pieces(run: Run, results: Results, allow_code: bool) -> list[Piece]:
    """Return the slider, or the last regions alone with a sentence why; nothing without any."""
    if "decision.npz" not in run.known:
        return []
    content = planes.read(run.read("decision.npz"))
    last = {mode: _final(own) for mode in results.modes if (own := planes.of_mode(content, mode))}
    if not last:
        return []
    end = max(_ended(results, mode, frame) for mode, frame in last.items())
    why, frames = _through(run, results, last, end, allow_code)
    if frames is None:
        chart = _chart("regions", "Decision regions at the end", end, last, results, content)
        return [
            Picture(chart),
            Paragraph(sentence(f"there are no regions through training: {why}")),
        ]
    charts = tuple(
        _chart(
            f"regions-{epoch}",
            f"Decision regions after epoch {epoch:,}",
            epoch,
            of,
            results,
            content,
        )
        for epoch, of in frames.items()
    )
    return [
        Slides(
            "regions",
            "Decision regions through training",
            _caption(last, results),
            charts,
            tuple(f"epoch {epoch:,}" for epoch in frames),
        )
    ]


def epochs_of(last: int) -> list[int]:
    """Return epochs from 0 to the last one, evenly spaced by their logarithms."""
    some = np.geomspace(1, last, FRAMES - 1).round().astype(int).tolist() if last else []
    return sorted({0, *some})


def _through(
    run: Run, results: Results, last: Mapping[Mode, Frame], end: int, allow_code: bool
) -> tuple[str, dict[int, dict[Mode, Frame]] | None]:
    """Return the frames by epoch and mode; or why there are none, and None."""
    count = len(results.seeds)
    slow = max(results.modes[mode]["minifw"].seconds / count for mode in last)
    if slow > PATIENCE:
        return (
            f"training one seed again would take about {slow:.0f} s, more than {PATIENCE:.0f}",
            None,
        )
    at = epochs_of(end)
    frames: dict[int, dict[Mode, Frame]] = {epoch: {} for epoch in at}
    for mode, final in last.items():
        try:
            again = replay(run, final.seed, mode, at, allow_code=allow_code)
        except MinifwError as fault:
            return f"the seed could not be trained again: {fault.lines[0]}", None
        for place, epoch in enumerate(at):
            frames[epoch][mode] = _frame(again, place, final) if epoch < at[-1] else final
    return "", frames


def _ended(results: Results, mode: Mode, frame: Frame) -> int:
    """Return the epoch after which a seed was trained no more."""
    stopped = results.modes[mode]["minifw"].stopped_epoch
    place = results.seeds.index(frame.seed)
    return results.epochs if stopped is None else stopped[place] or results.epochs


def _final(content: planes.Content) -> Frame:
    """Return what decision.npz has of one mode."""
    return Frame(
        content["x"][::EVERY],
        content["y"][::EVERY],
        planes.scores_over_plane(content)[::EVERY, ::EVERY],
        content["decision"][::EVERY, ::EVERY],
        content["points"],
        content["labels"],
        content["answers"],
        int(content["seed"]),
    )


def _frame(again: Replayed, place: int, final: Frame) -> Frame:
    """Return what the network decides with the weights of the place-th epoch."""
    network, data = again.network(place), again.data
    plane = np.stack(np.meshgrid(final.x, final.y), -1).reshape(-1, 2)
    shift, scale = data.shift[0], data.scale[0]
    like = data.test.inputs
    normal = torch.from_numpy((plane - shift) / scale).to(like)
    columns = data.test.columns or slice(None)
    over, of_test = (
        network.forward(rows.unsqueeze(0))[0, :, columns].double().numpy(force=True)
        for rows in (normal, like[0])
    )
    shape = (len(final.y), len(final.x))
    scores = np.clip(np.nan_to_num(over), -1e30, 1e30).reshape(*shape, -1)
    return Frame(
        final.x, final.y, scores, over.argmax(-1).reshape(shape), final.points, final.labels,
        of_test.argmax(-1), final.seed,
    )  # fmt: skip


# ------------------------------------------------------------------------------------ charts


def _chart(
    name: str,
    title: str,
    epoch: int,
    frames: Mapping[Mode, Frame],
    results: Results,
    content: Mapping[str, Any],
) -> Chart:
    classes = list(results.data.class_balance)
    said = [
        f"{results.title(mode)}: after epoch {epoch:,} seed {frame.seed} errs in "
        f"{frame.error:.1f} % of the test samples; {_shares(frame, classes)}"
        for mode, frame in frames.items()
    ]
    columns: dict[str, list[Any]] = {
        key: [] for key in ("mode", "epoch", *results.data.features, "class", "taken for")
    }
    for mode, frame in frames.items():
        count = len(frame.points)
        columns["mode"] += [mode] * count
        columns["epoch"] += [epoch] * count
        for feature, values in zip(results.data.features, frame.points.T, strict=True):
            columns[feature] += values.tolist()
        columns["class"] += [classes[k] for k in frame.labels]
        columns["taken for"] += [classes[k] for k in frame.answers]
    return Chart(
        name=name,
        title=title,
        caption=_caption(frames, results),
        description=" ".join(map(sentence, said)),
        panels=tuple(
            _panel(mode, frame, results, classes, content) for mode, frame in frames.items()
        ),
        data=columns,
        shown={
            "mode": [results.title(mode) for mode in frames],
            "epoch": [epoch] * len(frames),
            "seed": [frame.seed for frame in frames.values()],
            "test error, %": [round(frame.error, 2) for frame in frames.values()],
        },
    )


def _caption(frames: Mapping[Mode, Frame], results: Results) -> str:
    who = listed([f"{results.title(mode)}: seed {frame.seed}" for mode, frame in frames.items()])
    count = len(next(iter(frames.values())).points)
    some = f"{SAMPLES} of {count:,}" if count > SAMPLES else f"{count:,}"
    which = "the network gives each point of the plane"
    if len(results.seeds) > 1:
        which = f"one {which[4:]}, of the seed whose test error is nearest to the median"
    parts = [
        f"the class that {which} ({who})",
        f"points are {some} test samples, crosses those that it gets wrong",
    ]
    for mode, frame in frames.items():
        best = results.modes[mode]["minifw"].best_epoch
        if results.early_stopping is not None and best is not None:
            end, kept = _ended(results, mode, frame), best[results.seeds.index(frame.seed)]
            restored = results.early_stopping.restore == "best"
            which = (
                f"of its best evaluation, after epoch {kept:,}" if restored else "that it had last"
            )
            parts.append(f"seed {frame.seed} ended in epoch {end:,}, with the weights {which}")
    return " ".join(sentence(part) for part in parts)


def _shares(frame: Frame, classes: Sequence[str]) -> str:
    """Return how much of the plane each class has, in words."""
    counts = np.bincount(frame.decision.ravel(), minlength=len(classes))
    present = [int(k) for k in np.argsort(-counts, kind="stable") if counts[k]][:4]
    shares = [
        f"class {short_word(classes[k])} {100 * counts[k] / counts.sum():.0f} %" for k in present
    ]
    return f"of the plane it gives {listed(shares)}"


def _panel(
    mode: Mode,
    frame: Frame,
    results: Results,
    classes: Sequence[str],
    content: Mapping[str, Any],
) -> Panel:
    x, y = frame.x, frame.y
    present = [int(k) for k in np.unique(frame.decision)]
    leads = {k: outlines.ahead(frame.scores, frame.decision, k) for k in present}
    corners = np.array([(x[0], y[0]), (x[-1], y[0]), (x[-1], y[-1]), (x[0], y[-1])])
    names = [short_word(name) for name in classes]
    # The last class lies below the others, so that no gap is left between two of them.
    marks: list[Mark] = [Areas(f"class {names[present[-1]]}", [corners], present[-1])]
    for k in present[:-1]:
        marks.append(Areas(f"class {names[k]}", outlines.regions(x, y, leads[k]), k))
    border = outlines.borders(x, y, [leads[k] for k in present[:-1]])
    if len(border):
        marks.append(Line("border of the decision", border[:, 0], border[:, 1], 7))
    marks += _true_border(content, x, y)
    marks += _dots(frame, names)
    features = [short_word(name) for name in results.data.features]
    return Panel(
        f"{results.title(mode)}, test error {frame.error:.1f} %",
        Axis(features[0], limits=(float(x[0]), float(x[-1]))),
        Axis(features[1], limits=(float(y[0]), float(y[-1]))),
        tuple(marks),
    )


def _true_border(content: Mapping[str, Any], x: Floats, y: Floats) -> list[Mark]:
    """Return the part of the true border between classes that is within the plane."""
    if "disk" in content:
        *center, radius = content["disk"]
        angle = np.linspace(0, 2 * np.pi, 61)
        line = np.stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)])
    elif "line" in content:
        line = np.array(content["line"], np.float64).T
    else:
        return []
    inside = (line[0] >= x[0]) & (line[0] <= x[-1]) & (line[1] >= y[0]) & (line[1] <= y[-1])
    if "disk" in content:
        line = np.where(inside, line, np.nan)
    return [Line("true border", line[0], line[1], 6, dashed=True)] if inside.any() else []


def _dots(frame: Frame, names: Sequence[str]) -> list[Mark]:
    """Return some of the test samples: a shape for each of few classes, a cross for a wrong one."""
    points, labels, answers = (
        part[:SAMPLES] for part in (frame.points, frame.labels, frame.answers)
    )
    right = answers == labels
    marks: list[Mark] = []
    groups = [(f"sample of class {name}", labels == k, k) for k, name in enumerate(names)]
    if len(names) > NAMED:
        groups = [("test sample", np.ones(len(labels), bool), 0)]
    for name, chosen, k in groups:
        if (some := chosen & right).any():
            marks.append(Dots(name, points[some, 0], points[some, 1], k, SHAPES[k % len(SHAPES)]))
    if (~right).any():
        marks.append(Dots("wrong answer", points[~right, 0], points[~right, 1], 7, "cross"))
    return marks
