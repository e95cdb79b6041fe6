"""What `minifw compare` does with several configs, or with runs."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minifw.cli.options import print_json
from minifw.cli.terminal import print_table, print_wrapped
from minifw.config import loading
from minifw.errors import ConfigError, UsageError, harmless, one_line
from minifw.library.progress import display
from minifw.report.comparison import of_comparison, sentences
from minifw.study import comparison, running, words
from minifw.study.comparison import Arm, Comparison
from minifw.study.running import Outcome


def check_margin(margin: float | None) -> None:
    """Raise a UsageError unless a margin is a number above 0."""
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise UsageError(f"--margin: must be a number of percentage points above 0, got {margin}")


def of_configs(
    given: Sequence[str],
    paths: Sequence[Path],
    overrides: Sequence[str],
    seeds: int | None,
    margin: float | None,
    allow_code: bool,
) -> running.Plan:
    """Return the plan of a comparison of these configs; `overrides` are of all of them."""
    words.check_different(given, paths)
    arms, faults = [], []
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


def train(plan: running.Plan, runs_dir: Path, quiet: bool, as_json: bool) -> None:
    """Train all arms, leave a run directory, and print the comparison."""
    outcome = running.start(
        plan, Comparison(), plan.configs[0], runs_dir, display(quiet or as_json), note
    )
    report(outcome, as_json)


def note(text: str) -> None:
    """Say something at once, in a line on stderr."""
    print(one_line(f"minifw: {text}"), file=sys.stderr)


def report(outcome: Outcome, as_json: bool) -> None:
    """Print a comparison; raise DivergedError if no network is left."""
    found = comparison.read(outcome.run, outcome.results)
    if as_json:
        print_json(content(outcome))
    else:
        for line in found.notes:
            print_wrapped(f"{harmless(line)}\n")
        for table in of_comparison(outcome.results.name, found, terminal=True).values():
            print_table(table)
            print()
        for line in sentences(found):
            print_wrapped(harmless(line), indent=2)
        print(f"\n{harmless(outcome.run.path)}")
    comparison.check_converged(outcome.run, outcome.results)


def content(outcome: Outcome) -> dict[str, Any]:
    """Return a comparison as it is printed for other programs."""
    found = comparison.read(outcome.run, outcome.results)
    cells = outcome.results.cells
    return {
        "run_dir": str(outcome.run.path),
        "seeds": cells[0].seeds,
        "arms": {cell.name: cell.test_error for cell in cells},
        "summary": {name: arm.model_dump() for name, arm in found.arms.items()},
        "diverged_epoch": {cell.name: cell.diverged_epoch for cell in cells},
        "margin": found.margin,
        "pairs": [pair.model_dump() for pair in found.pairs],
        "notes": found.notes,
        "seconds": outcome.results.seconds,
    }
