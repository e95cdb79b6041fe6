"""The command that trains many cells: `minifw sweep`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import (
    AllowCode,
    ConfigName,
    Json,
    Quiet,
    RunsDir,
    Set,
    Threads,
    print_json,
)
from minifw.cli.planning import check_count, set_threads
from minifw.cli.report import Report, page_after
from minifw.cli.terminal import print_table, print_wrapped
from minifw.cli.workers import (
    AllowMixed,
    AllowRemote,
    Scheduler,
    TlsCa,
    TlsCert,
    TlsKey,
    Where,
    Workers,
    executor_for,
)
from minifw.config.packaged import find_config
from minifw.errors import Interrupted, UsageError, harmless
from minifw.library.progress import display, say

if TYPE_CHECKING:
    from minifw.report.tables import Table
    from minifw.runs.studies import StudyResults
    from minifw.study.running import Outcome

ROWS = 50
"""Rows of the table in a terminal, at most."""

Over = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        metavar="KEY=VALUES",
        help="Values of a key, with commas between them, or a draw: log-uniform(1e-3,1), uniform, "
        "integers, choice. A:B=1:2,3:4 varies two keys together. Repeatable. Default: the "
        "config's section `sweep`.",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", metavar="N", help="Number of cells to draw.", show_default=False),
]
SweepSeeds = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        metavar="N",
        help="Seeds of each cell. Default: the config's, else 20.",
        show_default=False,
    ),
]
Part = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="K/N",
        help="Only the K-th of N parts of the networks, for a job array; `minifw runs merge` "
        "puts the parts together.",
        show_default=False,
    ),
]
Halving = Annotated[
    int | None,
    typer.Option(
        "--halving",
        metavar="N",
        help="Stop cells early: after each rung, only the best of N cells in one go on.",
        show_default=False,
    ),
]
Guided = Annotated[
    int | None,
    typer.Option(
        "--guided",
        metavar="N",
        help="Let Optuna propose N cells, each batch by what was found before. Needs "
        "minifw[guided].",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Make `sweep` a command of the app."""
    app.command()(sweep)


def sweep(
    config: ConfigName,
    over: Over = None,
    samples: Samples = None,
    seeds: SweepSeeds = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    allow_code: AllowCode = False,
    part: Part = None,
    halving: Halving = None,
    guided: Guided = None,
    on_workers: Workers = None,
    scheduler: Scheduler = None,
    allow_remote: AllowRemote = False,
    allow_mixed: AllowMixed = False,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    page: Report = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a config with many settings, and find the best.

    All cells (combinations of values) have the same seeds; those that differ in numbers only are
    trained at once. The best is chosen by the error on validation samples; best.yaml in the run has
    its config.

    \b
    Examples:
      minifw sweep simplenet --over train.eta=0.01,0.03,0.1
      minifw sweep a.yaml --over train.eta=0.1,0.3 --over optimizer.momentum=0,0.9
      minifw sweep simplenet --over 'train.eta=log-uniform(1e-3,1)' --samples 50
      minifw sweep simplenet --over train.eta:train.epochs=0.1:500,0.2:250
      minifw sweep simplenet-sgd --over train.eta=0.1,0.3 --seeds 500 --workers 8
    """
    where = Where(on_workers, scheduler, allow_remote, allow_mixed, tls_ca, tls_cert, tls_key)
    threads = where.threads(threads)
    _check_ways(part, halving, guided)
    check_count("--samples", samples)
    check_count("--seeds", seeds)
    set_threads(threads)  # imports torch
    import torch

    from minifw.config import loading
    from minifw.study import guided as search
    from minifw.study import running, sweeps
    from minifw.study.cells import make, varied

    parsed = loading.read(find_config(config), allow_code=allow_code)
    given = [*(overrides or []), *([] if seeds is None else [f"seeds={seeds}"])]
    if guided is not None:
        axes = varied(over, samples, guided)
        plan, base = search.begin(parsed, given, axes, guided, torch.get_num_threads())
    else:
        cells = make(parsed, given, varied(over, samples))
        options = {} if halving is None else {"halving": halving}
        plan, base = sweeps.plan(cells, torch.get_num_threads(), part_of(part), **options)
        for note in cells.notes:
            say(note)
    shown = display(quiet or as_json)
    with executor_for(where, say) as place:
        done = running.start(plan, sweeps.Sweep(), base, runs_dir, shown, say, *place)
    with page_after(done.run, page, as_json, allow_code=True):
        report(done, as_json)


def _check_ways(part: str | None, halving: int | None, guided: int | None) -> None:
    """Raise a UsageError unless these options are right, and go together."""
    part_of(part)
    check_count("--guided", guided)
    if halving is not None and halving < 2:
        raise UsageError(f"--halving: must be at least 2, got {halving}")
    given = {"--part": part, "--halving": halving, "--guided": guided}
    both = [name for name, value in given.items() if value is not None]
    if len(both) > 1:
        raise UsageError(f"{both[0]}: cannot be combined with {both[1]}, which needs all networks")


def part_of(text: str | None) -> tuple[int, int] | None:
    """Return (k, n) of `k/n`."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    k, n = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= k <= n:
        raise UsageError(f"--part: must be K/N, with K from 1 to N, as 3/10, got '{text}'")
    return k, n


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the results of a sweep; raise DivergedError if all seeds of all cells diverged."""
    try:
        if as_json:
            print_json(content(outcome))
        else:
            _print(outcome)
    except Interrupted as end:
        end.add_note(f"the run is over: {outcome.run.path}")
        raise
    outcome.results.check_converged(str(outcome.run.path))


def content(outcome: Outcome) -> dict[str, Any]:
    """Return the results of a sweep for other programs."""
    results = outcome.results
    figures = results.outcome["cells"]
    names = ("name", "set", "seeds", "test_error", "validation_error", "train_error", "epochs")
    stops = ("stopped_epoch", "best_epoch")
    return {
        "run_dir": str(outcome.run.path),
        "cells": [
            {name: getattr(cell, name) for name in names}
            | {name: getattr(cell, name) for name in stops if getattr(cell, name) is not None}
            | mine
            for cell, mine in zip(results.cells, figures, strict=True)
        ],
        "best": results.outcome["best"],
        "seconds": results.seconds,
        **results.measured_content(),
    }


def tables(results: StudyResults, where: str) -> list[Table]:
    """Return the tables of a sweep for a terminal; `where` is the source of the results."""
    from minifw.report import sweeps

    return [sweeps.for_terminal(sweeps.Report.of(results, where), ROWS)]


def _print(outcome: Outcome) -> None:
    from minifw.report import sweeps

    results = outcome.results
    for table in tables(results, str(outcome.run.path)):
        print_table(table)
    if len(results.cells) > ROWS:
        print(f"and {len(results.cells) - ROWS} more, in tables/cells.md")
    print()
    best = results.outcome["best"]
    if best is not None:
        for line in sweeps.verdict(sweeps.Report.of(results)):
            print_wrapped(line)
        print()
    elif any(cell.validation_error is None for cell in results.cells):
        print_wrapped(
            "No cell is called the best, since there are no validation samples to choose by; "
            "--set data.validation=0.2 takes them from the training samples.\n"
        )
    elif outcome.run.manifest.status != "diverged":
        print_wrapped(
            "The cells of a part have no rank; minifw runs merge puts all parts together.\n"
        )
    print(harmless(outcome.run.path))
    if best is not None:
        print(harmless(outcome.run.path / "best.yaml"))
