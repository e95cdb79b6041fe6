"""What is printed about a finished study of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minifw.cli import sweep

if TYPE_CHECKING:
    from minifw.study.running import Outcome

REPORTS = {"sweep": sweep.report}


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the results of a study; raise DivergedError if every network diverged."""
    REPORTS[outcome.results.kind](outcome, as_json)
