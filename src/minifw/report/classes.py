"""The charts of classifiers: which class is taken for which, and how far probabilities are true.

Both are over the test samples of all seeds that did not diverge, by the networks of minifw.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minifw.charts import Axis, Bars, Cells, Chart, Dots, Line, Mark, Panel, Shape
from minifw.errors import short_word
from minifw.report.bands import Floats
from minifw.report.words import many, sentence
from minifw.runs import Mode
from minifw.runs.results import Results
from minifw.runs.scores import CalibrationRecord
from minifw.statistics.intervals import known

TEXTS = 20
"""Classes up to which cells have numbers in them."""
SQUARE = 10
"""Classes up to which a matrix is as high as wide, and has room in one column of a paper."""
ROWS = 30
"""Rows of a table in the page, at most."""
TABLE = "the table has the mistakes, the most frequent first"
FEW = 20
"""Answers in a bin below which its share of right ones says little."""


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
    shares = {mode: _shares(of_mode) for mode, of_mode in counts.items()}
    said = []
    for mode, of_mode in counts.items():
        title = f"{results.title(mode)}: " if len(counts) > 1 else ""
        said.append(title + _most_mixed(of_mode, shares[mode], names))
    data = _columns(counts, shares, names)
    answers = int(max(of_mode.sum() for of_mode in counts.values()))
    return Chart(
        name="confusion",
        title="Which class is taken for which",
        caption=sentence(
            "a row has the test samples of a class, in percent by the class that they were taken "
            f"for; {_over(results)}, {answers:,} answers, by the networks of minifw"
        ),
        description=" ".join(map(sentence, [*said, TABLE])),
        panels=tuple(_matrix(results.title(m), of_mode, names) for m, of_mode in shares.items()),
        data=data,
        shown=_mistakes(data),
    )


def _shares(counts: Floats) -> Floats:
    """Return counts as percent of their row; NaN in a row without samples."""
    of_class = counts.sum(1, keepdims=True)
    empty = np.full_like(counts, np.nan)
    shares: Floats = np.divide(100 * counts, of_class, empty, where=of_class > 0)
    return shares


def _matrix(title: str, shares: Floats, names: tuple[str, ...]) -> Panel:
    texts = tuple(tuple(map(_percent, row)) for row in shares.tolist())
    cells = Cells("% of the samples of a class", shares, texts if len(names) <= TEXTS else ())
    taken, true = (Axis(label, "category", names) for label in ("taken for", "true class"))
    return Panel(title, taken, true, (cells,), square=len(names) <= SQUARE)


def _columns(
    counts: dict[Mode, Floats], shares: dict[Mode, Floats], names: tuple[str, ...]
) -> dict[str, list[Any]]:
    """Return all numbers: a row for each mode, class, and class that it is taken for."""
    modes, classes = len(counts), len(names)
    every = np.concatenate([of_mode.ravel() for of_mode in counts.values()])
    of_class = np.concatenate([of_mode.ravel() for of_mode in shares.values()])
    return {
        "mode": [mode for mode in counts for _ in range(classes**2)],
        "class": [name for name in names for _ in names] * modes,
        "taken for": [*names] * classes * modes,
        "samples": every.astype(int).tolist(),
        "percent of the class": _plain(of_class),
    }


def _mistakes(data: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows of mistakes, the most frequent first."""
    names, taken, counts = (list(data[key]) for key in ("class", "taken for", "samples"))
    rows = [k for k, (name, other) in enumerate(zip(names, taken, strict=True)) if name != other]
    rows = sorted(rows, key=lambda k: -counts[k])[:ROWS]
    percent = "percent of the class"
    shown = {key: [column[k] for k in rows] for key, column in data.items()}
    return shown | {percent: [value and round(value, 2) for value in shown[percent]]}


def _plain(values: Floats, digits: int | None = None) -> list[float | None]:
    """Return numbers for a table, rounded to so many digits; None for NaN."""
    return [
        None if value != value else value if digits is None else round(value, digits)
        for value in values.tolist()
    ]


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
    said, data = [], dict[str, list[Any]]()
    for mode, record in bins.items():
        means, shares = _of_bins(record)
        panels += _diagram(results, mode, record)
        count = np.array(record.count)
        some = count > 0
        off = float((count[some] * (means - shares)[some]).sum() / count.sum())
        said.append(
            f"{f'{results.title(mode)}: ' if len(bins) > 1 else ''}on average the probabilities "
            f"are {abs(off):.1f} points {'more' if off > 0 else 'less'} than the share of right "
            "answers"
        )
        width = 100 / len(count)
        columns: dict[str, list[Any]] = {
            "mode": [mode] * len(count),
            "bin": [f"{width * k:.3g} to {width * (k + 1):.3g} %" for k in range(len(count))],
            "answers": [*record.count],
            "right": [*record.right],
            "mean probability, %": _plain(means, 3),
            "right, %": _plain(shares, 3),
        }
        data = {key: data.get(key, []) + column for key, column in columns.items()}
    answers = max(sum(record.count) for record in bins.values())
    many_bins = len(next(iter(bins.values())).count)
    return Chart(
        name="calibration",
        title="Are the probabilities true?",
        caption=sentence(
            f"answers to the test samples in {many_bins} bins of the probability that the network "
            f"gives its answer; {_over(results)}, {answers:,} answers"
        )
        + " Below the line probabilities are too large. A bin of few answers says little.",
        description=" ".join(map(sentence, said)),
        panels=tuple(panels),
        data=data,
    )


def _of_bins(record: CalibrationRecord) -> tuple[Floats, Floats]:
    """Return mean probability and share of right answers of each bin, in percent; NaN of none."""
    count = np.array(record.count)
    means = 100 * np.array(record.confidence, np.float64)
    nothing = np.full(len(count), np.nan)
    return means, np.divide(100.0 * np.array(record.right), count, nothing, where=count > 0)


def _diagram(results: Results, mode: Mode, record: CalibrationRecord) -> list[Panel]:
    """Return the panels of a mode: how often bins are right, and how many answers they have."""
    means, shares = _of_bins(record)
    count = np.array(record.count)
    marks: list[Mark] = [
        Line("right as often as said", [0, 100], [0, 100], 7, dashed=True),
        Line("networks", means[count > 0], shares[count > 0], 0),
    ]
    kinds: dict[Shape, tuple[str, Any]] = {
        "circle": ("a bin", count >= FEW),
        "cross": (f"a bin of fewer than {FEW} answers", (count > 0) & (count < FEW)),
    }
    for shape, (name, own) in kinds.items():
        if own.any():
            labels = tuple(many(n, "answer") for n in count[own].tolist())
            marks.append(Dots(name, means[own], shares[own], 0, shape, labels))
    title, scores = results.title(mode), results.modes[mode]["minifw"].scores
    errors = known((scores and scores.calibration_error) or [])
    error = ""
    if len(errors):
        median = "median " if len(errors) > 1 else ""
        error = f", {median}calibration error {np.median(errors):.2f} %"
    probability = Axis("probability of the class that is chosen, %", limits=(0.0, 100.0))
    right = Axis("right, % of these answers", limits=(0.0, 103.0))
    width = 100 / len(count)
    centers = width * (np.arange(len(count)) + 0.5)
    bars = Bars("answers", centers, 100 * count / count.sum(), 0)
    return [
        Panel(title + error, probability, right, tuple(marks)),
        Panel(f"{title}: how many answers", probability, Axis("answers, %"), (bars,)),
    ]
