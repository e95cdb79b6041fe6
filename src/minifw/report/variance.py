"""The tables, sentences and figure of a study of variance; they need no more than cells.json."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minifw.data import Floats
from minifw.errors import harmless
from minifw.report.tables import Cell, Table
from minifw.runs import MODES
from minifw.runs.studies import StudyResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {
    "data": "data",
    "init": "initial weights",
    "order": "order of batches",
    "interaction": "interplay",
}
"""What each part is called."""


def errors(results: StudyResults) -> Floats:
    """Return the test errors in percent, `(data, init, order)`; NaN for a diverged network."""
    counts: dict[str, int] = results.outcome["counts"]
    return np.array(results.cells[0].test_error, np.float64).reshape(*counts.values())


def tables(results: StudyResults) -> dict[str, Table]:
    """Return the tables by the names of their files."""
    return {"shares": _shares(results), "seeds": _seeds(results)}


def _shares(results: StudyResults) -> Table:
    """Return the table of the shares: a row for each part, and one for the whole."""
    outcome = results.outcome
    total = outcome["total_sd"]
    rows: list[tuple[str, list[Cell]]] = []
    for part, name in PARTS.items():
        share, interval = outcome["shares"][part], outcome["intervals"][part] or (None, None)
        fixed = outcome["counts"].get(part) == 1
        sd = None if share is None or fixed else share**0.5 * total
        percent = None if fixed else _percent(share)
        rows.append((name, [percent, *map(_percent, interval), sd]))
    rows.append(("all", [None if outcome["shares"]["data"] is None else 100.0, None, None, total]))
    brief = (
        f"{MODES[outcome['mode']]} – what makes the spread of the test error: shares of its "
        f"variance in percent with 95 % intervals (low, high), and standard deviations in points, "
        f"of {crossed(results)}."
    )
    return Table(
        caption=f"{brief[:-1]}: {harmless(results.about)}.{_left_out(results)}",
        head=["source", "share", "low", "high", "sd"],
        rows=rows,
        brief=brief,
        label=_label(results, "shares"),
    )


def _seeds(results: StudyResults) -> Table:
    """Return the table of how many seeds each difference needs."""
    outcome = results.outcome
    rows: list[tuple[str, list[Cell]]] = [
        (f"{difference} points", [count]) for difference, count in outcome["seeds_for"].items()
    ]
    caption = (
        f"Seeds that each of two configs needs to show a difference of their mean test errors, at "
        f"{100 * outcome['power']:.0f} % power (t-test, two-sided at 5 %, seeds not paired)."
    )
    return Table(
        caption=caption,
        head=["difference", "seeds"],
        rows=rows,
        brief=caption,
        label=_label(results, "seeds"),
    )


def crossed(results: StudyResults) -> str:
    """Return in words what was crossed: `10 data x 10 init x 5 order = 500 networks`."""
    counts: dict[str, int] = results.outcome["counts"]
    product = " × ".join(f"{count} {name}" for name, count in counts.items())
    return f"{product} = {results.outcome['networks']} networks"


def sentences(results: StudyResults) -> list[str]:
    """Return what the tables do not say: seeds for a difference, the test set, who diverged."""
    outcome = results.outcome
    said = []
    if outcome["counts"]["order"] == 1 and outcome["mode"] == "full-batch":
        said.append("In full batch there is no order of batches, which has one level therefore.")
    fixed = [name for name, count in outcome["counts"].items() if count == 1]
    if outcome["mode"] == "full-batch":
        fixed.remove("order")
    for name in fixed:
        said.append(f"There is one seed of {name}: its share is not measured.")
    if outcome["total_sd"] == 0:
        said.append("All networks have the same test error: there is no spread.")
    elif (needed := outcome["seeds_needed"]) is not None:
        said.append(
            f"For a difference of {outcome['difference']:g} points at "
            f"{100 * outcome['power']:.0f} % power you need {needed} seeds."
        )
    if outcome["test_set"] is not None:
        said.append(
            f"The finite test set of {outcome['test_samples']} samples alone is expected to make "
            f"{100 * outcome['test_set']:.1f} % of the variance (a part of data and interplay); "
            "a larger data.test lowers it."
        )
    if outcome["diverged"]:
        said.append(_left_out(results).strip())
    return said


def _left_out(results: StudyResults) -> str:
    gone, networks = results.outcome["diverged"], results.outcome["networks"]
    if not gone:
        return ""
    if gone == networks:
        return f" All {networks} networks diverged."
    return f" {gone} of {networks} networks diverged; they are left out of all figures."


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _label(results: StudyResults, what: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"{results.name}-{what}")


def drawings(results: StudyResults) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure, by name."""

    def variance() -> Figure:
        from minifw.report import spread

        return spread.figure(results)

    return {"variance": variance}


def content(results: StudyResults) -> dict[str, Any]:
    """Return the results for other programs; errors are nested lists, None for a diverged one."""
    found = errors(results).astype(object)
    found[~np.isfinite(errors(results))] = None
    outcome = {key: value for key, value in results.outcome.items() if key != "seed"}
    first = results.outcome["seed"]
    seeds = {name: [*range(first, first + n)] for name, n in outcome["counts"].items()}
    return outcome | {"seeds": seeds, "test_error": found.tolist(), "seconds": results.seconds}
