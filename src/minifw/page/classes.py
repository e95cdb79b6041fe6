"""The charts of classifiers: which class is taken for which, and how far probabilities are true."""

from __future__ import annotations

from typing import Any

import numpy as np

from minifw.charts import Axis, Bars, Cells, Chart, Dots, Line, Mark, Panel
from minifw.errors import short_word
from minifw.page.words import many, sentence
from minifw.report.bands import Floats
from minifw.runs import Mode
from minifw.runs.results import Results
from minifw.runs.scores import CalibrationRecord

TEXTS = 20
"""Classes up to which cells have numbers in them."""
ROWS = 30
"""Rows of a table in the page, at most."""


def confusion(results: Results) -> Chart | None:
    """Return the chart of which class is taken for which, in percent; None if it is not known."""
    counts = {
        mode: np.array(arms["minifw"].scores.confusion, np.float64)
        for mode, arms in results.modes.items()
        if arms["minifw"].scores is not None and arms["minifw"].scores.confusion is not None
    }
    counts = {mode: of_mode for mode, of_mode in counts.items() if of_mode.any()}
    if not counts:
        return None
    names = tuple(short_word(name) for name in results.data.class_balance)
    panels, said = [], []
    columns: dict[str, list[Any]] = {
        key: [] for key in ("mode", "class", "taken for", "samples", "percent of the class")
    }
    for mode, of_mode in counts.items():
        of_class = of_mode.sum(1, keepdims=True)
        shares = np.divide(
            100 * of_mode, of_class, np.full_like(of_mode, np.nan), where=of_class > 0
        )
        texts = tuple(tuple(map(_percent, row)) for row in shares.tolist())
        panels.append(
            Panel(
                results.title(mode),
                Axis("taken for", "category", names),
                Axis("true class", "category", names),
                (
                    Cells(
                        "% of the samples of a class", shares, texts if len(names) <= TEXTS else ()
                    ),
                ),
            )
        )
        title = f"{results.title(mode)}: " if len(counts) > 1 else ""
        said.append(title + _most_mixed(of_mode, shares, names))
        for row, name in enumerate(names):
            columns["mode"] += [mode] * len(names)
            columns["class"] += [name] * len(names)
            columns["taken for"] += names
            columns["samples"] += of_mode[row].astype(int).tolist()
            columns["percent of the class"] += [None if v != v else v for v in shares[row].tolist()]
    answers = int(max(of_mode.sum() for of_mode in counts.values()))
    rows = sorted(
        (k for k in range(len(columns["class"])) if columns["class"][k] != columns["taken for"][k]),
        key=lambda k: -columns["samples"][k],
    )[:ROWS]
    return Chart(
        name="confusion",
        title="Which class is taken for which",
        caption=sentence(
            "a row has the test samples of a class, in percent by the class that they were taken "
            f"for; {_over(results)}, {answers:,} answers, by the networks of minifw"
        )
        + " The table has the mistakes, the most frequent first.",
        description=" ".join(map(sentence, said)),
        panels=tuple(panels),
        data=columns,
        shown={
            key: [round(v[k], 2) if key.startswith("percent") and v[k] is not None else v[k]
                  for k in rows]
            for key, v in columns.items()
        },
    )  # fmt: skip


def _percent(share: float) -> str:
    """Return a percentage for a cell: nothing of 0 or of a class without samples."""
    if not share > 0:
        return ""
    text = f"{share:.1f}" if share < 99.95 else "100"
    return "<0.1" if text == "0.0" else text


def _most_mixed(counts: Floats, shares: Floats, names: tuple[str, ...]) -> str:
    right = 100 * float(np.trace(counts)) / float(counts.sum())
    wrong = shares.copy()
    np.fill_diagonal(wrong, -1.0)
    wrong = np.nan_to_num(wrong, nan=-1.0)
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    text = f"{right:.1f} % of the test samples are taken for their own class"
    if wrong[row, column] <= 0:
        return "all test samples are taken for their own class"
    return (
        f"{text}; the most frequent mistake is class {names[row]} taken for {names[column]}, "
        f"{wrong[row, column]:.1f} % of it"
    )


def _over(results: Results) -> str:
    count = len(results.seeds)
    return "one seed" if count == 1 else f"all {many(count, 'seed')} together"


def calibration(results: Results) -> Chart | None:
    """Return the reliability diagram; None where outputs are no probabilities, or none is left."""
    bins: dict[Mode, CalibrationRecord] = {}
    for mode, arms in results.modes.items():
        scores = arms["minifw"].scores
        if scores is not None and scores.calibration is not None and any(scores.calibration.count):
            bins[mode] = scores.calibration
    if not bins:
        return None
    panels: list[Panel] = []
    said = []
    columns: dict[str, list[Any]] = {
        key: [] for key in ("mode", "bin", "answers", "right", "mean probability, %", "right, %")
    }
    for mode, record in bins.items():
        count, right = np.array(record.count), np.array(record.right)
        means = 100 * np.array(record.confidence, np.float64)
        shares = np.divide(100.0 * right, count, np.full(len(count), np.nan), where=count > 0)
        some = count > 0
        marks: tuple[Mark, ...] = (
            Line("right as often as said", [0, 100], [0, 100], 7, dashed=True),
            Line("networks", means[some], shares[some], 0),
            Dots("a bin", means[some], shares[some], 0,
                 labels=tuple(f"{n:,} answers" for n in count[some].tolist())),
        )  # fmt: skip
        title = results.title(mode)
        whole = (0.0, 100.0)
        probability = Axis("probability of the class that is chosen, %", limits=whole)
        panels.append(
            Panel(title, probability, Axis("right, % of these answers", limits=(0.0, 103.0)), marks)
        )
        width = 100 / len(count)
        centers = width * (np.arange(len(count)) + 0.5)
        panels.append(
            Panel(
                f"{title}: how many answers", probability, Axis("answers, %"),
                (Bars("answers", centers, 100 * count / count.sum(), 0),),
            )
        )  # fmt: skip
        off = float((count[some] * (means - shares)[some]).sum() / count.sum())
        much = "more" if off > 0 else "less"
        said.append(
            f"{f'{title}: ' if len(bins) > 1 else ''}on average the probabilities are "
            f"{abs(off):.1f} points {much} than the share of right answers"
        )
        columns["mode"] += [mode] * len(count)
        columns["bin"] += [f"{width * k:.3g} to {width * (k + 1):.3g} %" for k in range(len(count))]
        columns["answers"] += count.tolist()
        columns["right"] += right.tolist()
        columns["mean probability, %"] += [None if v != v else round(v, 3) for v in means.tolist()]
        columns["right, %"] += [None if v != v else round(v, 3) for v in shares.tolist()]
    answers = max(sum(record.count) for record in bins.values())
    many_bins = len(next(iter(bins.values())).count)
    return Chart(
        name="calibration",
        title="Are the probabilities right?",
        caption=sentence(
            f"answers to the test samples in {many_bins} bins of the probability that the network "
            f"gives its answer; {_over(results)}, {answers:,} answers"
        )
        + " Below the line probabilities are too large. A bin of few answers says little.",
        description=" ".join(map(sentence, said)),
        panels=tuple(panels),
        data=columns,
    )
