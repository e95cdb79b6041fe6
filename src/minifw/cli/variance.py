"""The command that says what makes the spread of the errors: `minifw variance`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from minifw.errors import Interrupted, harmless
from minifw.library.progress import display, say

if TYPE_CHECKING:
    from minifw.report.tables import Table
    from minifw.runs.studies import StudyResults
    from minifw.study.running import Outcome


def register(app: typer.Typer) -> None:
    """Make `variance` a command of the app."""
    app.command()(variance)


def variance(
    config: ConfigName,
    data: Annotated[int, typer.Option("--data", metavar="N", help="Seeds of the samples.")] = 10,
    init: Annotated[
        int, typer.Option("--init", metavar="N", help="Seeds of the initial weights.")
    ] = 10,
    order: Annotated[
        int,
        typer.Option(
            "--order", metavar="N", help="Seeds of the order of batches; full batch has none."
        ),
    ] = 5,
    difference: Annotated[
        float | None,
        typer.Option(
            "--difference",
            metavar="POINTS",
            help="Difference of two mean test errors, for which the seeds are counted: by default "
            "0.5 points, or of regression 1 % of the error.",
        ),
    ] = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    allow_code: AllowCode = False,
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
    """Say how much of the spread is due to data, weights and order.

    Each seed of one kind is combined with each of the others, and all networks are trained at
    once. From the spread follows how many seeds a comparison needs.

    \b
    Examples:
      minifw variance simplenet-sgd
      minifw variance simplenet --data 20 --init 20
      minifw variance simplenet-sgd --order 20 --difference 0.2
    """
    where = Where(on_workers, scheduler, allow_remote, allow_mixed, tls_ca, tls_cert, tls_key)
    threads = where.threads(threads)
    for option, value in (("--data", data), ("--init", init), ("--order", order)):
        check_count(option, value)
    set_threads(threads)  # imports torch
    import torch

    from minifw.config import loading
    from minifw.study import running
    from minifw.study import variance as study

    parsed = loading.read(find_config(config), allow_code=allow_code)
    checked, source = parsed.config(overrides or [])
    study.check_difference("--difference", difference, checked.data.is_regression)
    counts = {"data": data, "init": init, "order": order}
    plan = study.plan(
        checked, source, counts, torch.get_num_threads(), difference, parsed.code.files
    )
    for note in study.notes(plan, counts):
        say(note)
    shown = display(quiet or as_json)
    with executor_for(where, say) as place:
        done = running.start(plan, study.Variance(), checked, runs_dir, shown, say, *place)
    with page_after(done.run, page, as_json, allow_code=True):
        report(done, as_json)


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the results of a study of variance; raise DivergedError if every network diverged."""
    from minifw.report import variance

    found = variance.Report.of(outcome.results, str(outcome.run.path))
    try:
        if as_json:
            print_json({"run_dir": str(outcome.run.path)} | variance.content(found))
        else:
            for table in tables(outcome.results, str(outcome.run.path)):
                print_table(table)
                print()
            for sentence in variance.sentences(found):
                print_wrapped(f"{sentence}\n")
            print(harmless(outcome.run.path))
    except Interrupted as end:
        end.add_note(f"the run is over: {outcome.run.path}")
        raise
    outcome.results.check_converged(str(outcome.run.path))


def tables(results: StudyResults, where: str) -> list[Table]:
    """Return the tables of a study of variance; `where` is the source of the results."""
    from minifw.report import variance

    return list(variance.tables(variance.Report.of(results, where)).values())
