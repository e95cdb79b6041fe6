"""The table of what is measured besides the error: a classifier's scores, or each target's RMSE."""

from __future__ import annotations

from collections.abc import Sequence

from minifw.errors import harmless
from minifw.report.tables import Bare, Cell, Interval, Table, Thirds, counted, label_of, over
from minifw.runs import ARMS
from minifw.runs.results import ArmResults, Results
from minifw.statistics.intervals import interval, known
from minifw.statistics.measure import Measure

NAME = "table4"
"""The name of its files."""

WORDS = {
    "balanced_error": "balanced error, %",
    "auc": "AUC",
    "log_loss": "log loss",
    "calibration_error": "calibration error, %",
}
"""How scores are named in tables."""

Figures = Sequence[float | None]


def score_table(results: Results) -> Table | None:
    """Return the table of all modes and arms; None if only errors were measured.

    A row has the median over the seeds, and its 95 % interval.
    """
    several = len(results.modes) > 1
    rows: list[tuple[str, list[Cell]]] = []
    for mode, arms in results.modes.items():
        first = f"{results.title(mode)}: " if several else ""
        of_arms = [_figures(outcome) for outcome in arms.values()]
        overlap = results.data.overlap is not None
        for name in of_arms[0]:
            cells: list[Cell] = []
            for figures in of_arms:
                cells += _cells(name, figures.get(name), len(arms) == 1, overlap)
            rows.append((first + WORDS.get(name, f"RMSE of {name}"), cells))
    if not rows:
        return None
    heads = ["median", "median, 95 %", "min", "max"]
    if len(results.arms) > 1:
        heads = [head for arm in results.arms for head in (ARMS[arm], f"{ARMS[arm]}, 95 %")]
    caption = (
        f"more about the test samples, with the weights that each seed ended with – medians "
        f"{over(results)}.{_notes(results)}"
    )
    measure = results.measured
    return Table(
        caption=f"{caption[:-1]}. {harmless(results.about)}.",
        head=["", *heads],
        rows=rows,
        unit=measure.behind if measure.targets else "",
        number=4 if several else None,
        brief=caption,
        label=label_of(results.name, "scores"),
        written=measure.number if measure.targets else None,
    )


def sentence(outcome: ArmResults, measure: Measure) -> str:
    """Return the scores of the only seed of an arm in words; nothing if there are none."""
    shown = []
    for name, figures in _figures(outcome).items():
        if (value := figures[0]) is None:
            continue
        if outcome.scores is None:
            shown.append(f"RMSE of {harmless(name)} {measure.figure(value)}")
        else:
            words, _, percent = WORDS[name].partition(", ")
            shown.append(f"{words} {value:.2f} %" if percent else f"{words} {value:.3f}")
    return ", ".join(shown)


def _figures(outcome: ArmResults) -> dict[str, Figures]:
    """Return each score of an arm, a figure for each seed, by its name or that of its target."""
    if outcome.scores is None:
        return dict(outcome.target_rmse or {})
    found = {name: getattr(outcome.scores, name) for name in WORDS}
    return {name: figures for name, figures in found.items() if figures is not None}


def _cells(name: str, figures: Figures | None, ends: bool, overlap: bool) -> list[Cell]:
    """Return the median and its interval, and with `ends` the smallest and the largest.

    Where training samples `overlap` there is no interval of a median.
    """
    left = sorted(known(figures or []).tolist())
    bare = name in ("auc", "log_loss")

    def cell(value: float) -> Cell:
        return Bare(value) if bare else value

    if not left:
        return [None, None, *([None, None] if ends else [])]
    half = len(left) // 2
    middle = left[half] if len(left) % 2 else (left[half - 1] + left[half]) / 2
    kind: type[Interval] = Thirds if bare else Interval
    found: list[Cell] = [cell(middle), None if overlap else kind.of(interval(left, "median"))]
    return found + ([cell(left[0]), cell(left[-1])] if ends else [])


def _notes(results: Results) -> str:
    """Return what a reader must know of the scores of these runs."""
    outcomes = [outcome for arms in results.modes.values() for outcome in arms.values()]
    scores = [outcome.scores for outcome in outcomes if outcome.scores is not None]
    if not scores:
        return ""
    notes = ""
    if len(results.data.class_balance) > 2:
        notes += " AUC: the mean over the classes of one against the rest."
    lacking = max(
        sum(
            auc is None and error is not None
            for auc, error in zip(outcome.scores.auc, outcome.test_error, strict=True)
        )
        for outcome in outcomes
        if outcome.scores is not None
    )
    if lacking:
        notes += (
            f" The test samples of {counted(lacking, 'seed')} lack a class, which leaves no AUC."
        )
    if scores[0].log_loss is None:
        notes += (
            " The outputs are no probabilities with this loss, so there are no log loss and no "
            "calibration; those of cross-entropy are."
        )
    return notes
