"""The tables, sentences and figure of a study of variance; they need no more than cells.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minifw.charts import drawn
from minifw.data import Floats
from minifw.errors import harmless
from minifw.report.tables import Cell, Table, Two, label_of
from minifw.runs import titled
from minifw.runs.studies import StudyResults
from minifw.runs.variance import Part, VarianceOutcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS: dict[Part, str] = {
    "data": "data",
    "init": "initial weights",
    "order": "order of batches",
    "interaction": "interaction",
}
"""What each part is called."""

PURPOSES: tuple[Part, ...] = ("data", "init", "order")
"""The parts that are purposes of seeds, in the order of the axes of the errors."""


@dataclass(frozen=True)
class Report:
    """The results of a study of variance, and what was found."""

    results: StudyResults
    outcome: VarianceOutcome

    @classmethod
    def of(cls, results: StudyResults, where: str = "") -> Self:
        """Return the report of these results, which may come from anybody.

        Raises:
            ArtefactError: they are not those of a study of variance; `where` is their source.

        """
        return cls(results, VarianceOutcome.of(results, where))

    @property
    def errors(self) -> Floats:
        """The test errors, `(data, init, order)`; NaN for a diverged network."""
        flat = np.array(self.results.cells[0].test_error, np.float64)
        return flat.reshape([len(seeds) for seeds in self.outcome.seeds.values()])

    def is_fixed(self, part: Part) -> bool:
        """Return whether there is one seed of this purpose only."""
        return len(self.outcome.seeds.get(part, ())) == 1


def tables(report: Report) -> dict[str, Table]:
    """Return the tables by the names of their files."""
    return {"shares": _shares(report), "seeds": _seeds(report)}


def _shares(report: Report) -> Table:
    """Return the table of the shares: a row for each part, and one for the whole."""
    outcome = report.outcome
    rows: list[tuple[str, list[Cell]]] = []
    for part, name in PARTS.items():
        share, interval = outcome.shares[part], outcome.intervals[part] or (None, None)
        if share is None or outcome.total_sd is None or report.is_fixed(part):
            rows.append((name, [None] * 4))
        else:
            bounds = [None if bound is None else Two(100 * bound) for bound in interval]
            rows.append((name, [Two(100 * share), *bounds, share**0.5 * outcome.total_sd]))
    whole = None if outcome.shares["data"] is None else Two(100.0)
    rows.append(("all", [whole, None, None, outcome.total_sd]))
    measure = outcome.measured
    mode = titled(outcome.mode, outcome.optimizer)
    brief = (
        f"{mode} – what makes the spread of the test {measure.name}: shares of its "
        f"variance in percent with 95 % intervals (low, high), and standard deviations "
        f"{measure.what if measure.targets else 'in points'}, of {crossed(report)}"
    )
    about = harmless(report.results.about)
    return Table(
        caption=" ".join([f"{brief}: {about}.", *_diverged(report)]),
        head=["source", "share", "low", "high", "sd"],
        rows=rows,
        brief=f"{brief}.",
        label=label_of(report.results.name, "shares"),
        written=measure.written,
    )


def _seeds(report: Report) -> Table:
    """Return the table of how many seeds each difference needs."""
    outcome = report.outcome
    rows: list[tuple[str, list[Cell]]] = [
        (harmless(outcome.measured.size(float(difference))), [count])
        for difference, count in outcome.seeds_for.items()
    ]
    caption = (
        f"Seeds for a comparison of two configs: how many find a difference of their mean test "
        f"{outcome.measured.errors} with {100 * outcome.power:.0f} % power (paired test, two-sided "
        "at 5 %; both are taken to spread like this one, and independently)."
    )
    return Table(
        caption=caption,
        head=["difference", "seeds"],
        rows=rows,
        brief=caption,
        label=label_of(report.results.name, "seeds"),
    )


def crossed(report: Report) -> str:
    """Return in words what was crossed: `10 data × 10 init × 5 order = 500 networks`."""
    product = " × ".join(f"{len(seeds)} {name}" for name, seeds in report.outcome.seeds.items())
    return f"{product} = {report.outcome.networks} networks"


def sentences(report: Report) -> list[str]:
    """Return what the tables do not say: seeds for a difference, the test set, who diverged."""
    outcome = report.outcome
    said = []
    for name in outcome.seeds:
        if name == "order" and outcome.mode == "full-batch":
            said.append("In full batch there is no order of batches: it has one level.")
        elif len(outcome.seeds[name]) == 1:
            said.append(f"There is one seed of {name}: its share is not measured.")
    if outcome.total_sd == 0:
        name = outcome.measured.name
        said.append(f"All networks have the same test {name}: there is no spread.")
    elif outcome.seeds_needed is not None:
        said.append(
            f"For a difference of {outcome.measured.size(outcome.difference)} at "
            f"{100 * outcome.power:.0f} % power you need {outcome.seeds_needed} seeds."
        )
    said += _one_seed(report)
    if outcome.test_set is not None:
        share = f"{100 * outcome.test_set:.1f} %"
        if outcome.test_set > 1:  # an expected variance beside an estimated one
            share = "as much as all"
        said.append(
            f"The finite test set of {outcome.test_samples} samples alone is expected to make "
            f"{share} of the variance (within data and interaction); a larger data.test lowers it."
        )
    took = f"{outcome.networks} networks took {report.results.seconds:.1f} s of training."
    return [*said, *_diverged(report), took]


def _one_seed(report: Report) -> list[str]:
    """Return a sentence about one seed, if the share without it is outside of its interval."""
    one = report.outcome.without
    interval = None if one is None else report.outcome.intervals[one.part]
    if one is None or one.share is None or interval is None:
        return []
    if interval[0] <= one.share <= interval[1]:
        return []
    return [
        f"One seed makes much of it: without seed {one.seed} of the {PARTS[one.part]} this share "
        f"would be {100 * one.share:.1f} %, which is outside of its interval, and the standard "
        f"deviation {report.outcome.measured.difference(one.total_sd)}. More such seeds are needed."
    ]


def _diverged(report: Report) -> list[str]:
    """Return a sentence about the networks that diverged, if any did."""
    gone, networks = report.outcome.diverged, report.outcome.networks
    if gone == networks:
        return [f"All {networks} networks diverged."]
    worst = "the largest RMSE of all" if report.outcome.measured.targets else "100 % error"
    counted = f"{gone} of {networks} networks diverged; each counts as {worst}."
    return [counted] if gone else []


def drawings(report: Report) -> dict[str, Callable[[], Figure]]:
    """Return the function that draws each figure, by name; see `plots.defaults`."""

    def variance() -> Figure:
        from minifw.report import spread

        return drawn.figure(spread.both(report), captioned=True)

    return {"variance": variance}


def content(report: Report) -> dict[str, Any]:
    """Return the results for other programs; errors are nested lists, None for a diverged one."""
    nested = np.array(report.results.cells[0].test_error, object).reshape(report.errors.shape)
    outcome = report.outcome.model_dump(mode="json", exclude={"seed"})
    return outcome | {
        "networks": report.outcome.networks,
        "seeds": report.outcome.seeds,
        "test_error": nested.tolist(),
        "seconds": report.results.seconds,
    }
