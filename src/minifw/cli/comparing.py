"""What `minifw compare` does with several configs, or with runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minifw.cli.options import print_json
from minifw.cli.report import page_after
from minifw.cli.terminal import print_table, print_wrapped
from minifw.cli.workers import Where, executor_for
from minifw.config import loading
from minifw.errors import ConfigError, Interrupted, harmless
from minifw.library.progress import display, say
from minifw.report.comparison import of_comparison, sentences
from minifw.report.tables import Table
from minifw.runs import Run
from minifw.runs.comparisons import Compared
from minifw.runs.studies import CELLS, StudyResults
from minifw.study import comparison, pairing, running, words
from minifw.study.comparison import Arm, Comparison
from minifw.study.planning import Plan
from minifw.study.running import Outcome


def of_configs(
    given: Sequence[str],
    paths: Sequence[Path],
    overrides: Sequence[str],
    seeds: int | None,
    margin: float | None,
    allow_code: bool,
) -> Plan:
    """Return the plan of a comparison of these configs; `overrides` are of all of them."""
    words.check_different(given)
    arms: list[Arm] = []
    faults: list[str] = []
    for name, path in zip(words.names(given), paths, strict=True):
        try:
            arms.append(
                Arm(name, *loading.load_with_source(path, overrides, allow_code=allow_code))
            )
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return comparison.plan(arms, seeds, margin)


def train(plan: Plan, runs_dir: Path, quiet: bool, as_json: bool, where: Where, page: bool) -> None:
    """Train all arms, leave a run directory, print the comparison, and make a `page`."""
    base, shown = plan.configs[0], display(quiet or as_json)
    with executor_for(where, say) as place:
        outcome = running.start(plan, Comparison(), base, runs_dir, shown, say, *place)
    with page_after(outcome.run, page, as_json, allow_code=True):
        report(outcome, as_json)


def of_runs(
    chosen: Sequence[words.Chosen],
    margin: float | None,
    runs_dir: Path,
    as_json: bool,
    save: bool,
    page: bool,
) -> None:
    """Compare finished runs, leave a run directory unless `save` is false, and print.

    Of what is saved, a page is made if `page` is true.
    """
    paired = pairing.compare(chosen, margin)
    if not save:
        _print(None, paired.results, as_json)
        return
    run = pairing.keep(paired, runs_dir)
    with page_after(run, page, as_json):
        _print(run, paired.results, as_json)


def report(outcome: Outcome, as_json: bool) -> None:
    """Print a comparison; raise DivergedError if no network is left."""
    try:
        _print(outcome.run, outcome.results, as_json)
    except Interrupted as end:
        end.add_note(f"the run is over: {outcome.run.path}")
        raise


def _print(run: Run | None, results: StudyResults, as_json: bool) -> None:
    where = "compare" if run is None else str(run.path / CELLS)
    found = comparison.read(results, where)
    if as_json:
        print_json(content(run, results, found))
    else:
        for line in found.notes:
            print_wrapped(f"{harmless(line)}\n", indent=2)
        for table in tables(results, where):
            print_table(table)
            print()
        for line in sentences(found):
            print_wrapped(harmless(line), indent=2)
        if run is not None:
            print(f"\n{harmless(run.path)}")
    results.check_converged("compare" if run is None else str(run.path))


def tables(results: StudyResults, where: str) -> list[Table]:
    """Return the tables of a comparison, for a terminal."""
    found = comparison.read(results, where)
    return [*of_comparison(results.name, found, terminal=True).values()]


def content(run: Run | None, results: StudyResults, found: Compared) -> dict[str, Any]:
    """Return a comparison as it is printed for other programs."""
    cells = results.cells
    return {
        "run_dir": None if run is None else str(run.path),
        "seeds": cells[0].seeds,
        "arms": {cell.name: cell.test_error for cell in cells},
        "summary": {name: arm.model_dump() for name, arm in found.arms.items()},
        "diverged_epoch": {cell.name: cell.diverged_epoch for cell in cells},
        "margin": found.margin,
        "pairs": [pair.model_dump() for pair in found.pairs],
        "notes": found.notes,
        "seconds": results.seconds,
        **found.measured_content(),
    }
