"""What is printed about a finished study of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minifw.cli import comparing, sweep, variance

if TYPE_CHECKING:
    from minifw.report.tables import Table
    from minifw.runs import Run
    from minifw.study.running import Outcome

REPORTS = {
    "compare": comparing.report,
    "sweep": sweep.report,
    "variance": variance.report,
}


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the results of a study; raise DivergedError if every network diverged."""
    REPORTS[outcome.results.kind](outcome, as_json)


TABLES = {"compare": comparing.tables, "sweep": sweep.tables, "variance": variance.tables}


def tables(run: Run) -> list[Table]:
    """Return the tables of a finished study, for a terminal; its results may come from anybody."""
    from minifw.runs.studies import CELLS, results_of

    return TABLES[run.manifest.kind](results_of(run), str(run.path / CELLS))
