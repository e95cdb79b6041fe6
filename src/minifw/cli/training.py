"""The commands that train one config: `minifw train`; and go on with what was interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minifw.cli.options import (
    AllowCode,
    ConfigName,
    Json,
    Live,
    OneRun,
    Quiet,
    RunsDir,
    Seeds,
    Set,
    Threads,
)
from minifw.cli.planning import check_threads, plan_of, set_threads
from minifw.cli.report import Report, page_after
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
from minifw.errors import Interrupted, UsageError
from minifw.library.progress import display
from minifw.system.machine import processors

if TYPE_CHECKING:
    from minifw.experiment import Outcome, Plan, ShowProgress, WritePlots


def train(
    config: ConfigName,
    overrides: Set = None,
    seeds: Seeds = None,
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    allow_code: AllowCode = False,
    report: Report = False,
    as_json: Json = False,
    live: Live = False,
    quiet: Quiet = False,
) -> None:
    """Train the network of a config, all seeds at once.

    \b
    Examples:
      minifw train simplenet
      minifw train simplenet --seeds 20 --set train.eta=0.1
      minifw train simplenet --set train.mode=sgd --json
    """
    check_threads(threads)
    from minifw.report.process import write_plots_soon

    write_plots = write_plots_soon()
    set_threads(threads)  # imports torch
    plan = plan_of(config, overrides, seeds, allow_code=allow_code)
    start(plan, runs_dir, quiet, as_json, report, live, write_plots=write_plots)


def resume(
    run: OneRun,
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
    report: Report = False,
    as_json: Json = False,
    live: Live = False,
    quiet: Quiet = False,
) -> None:
    """Resume a run that was interrupted or that crashed.

    On the same number of threads it ends with the same results, bit for bit, as a run without a
    break.

    \b
    Examples:
      minifw resume runs/20261123T120000Z-simplenet-a1b2c3
      minifw resume a1b2c3
    """
    where = Where(on_workers, scheduler, allow_remote, allow_mixed, tls_ca, tls_cert, tls_key)
    threads = where.threads(threads)
    from minifw import runs

    path = runs.find(runs_dir, run)
    manifest = runs.load(path).manifest
    if manifest.kind == "train" and not where.here:
        raise UsageError(f"{path}: a run of one config is resumed in one process, without workers")
    if live and manifest.kind != "train":
        from minifw.cli.live import refuse

        refuse(manifest.kind)
    before = manifest.threads

    import torch

    from minifw import experiment

    cpus = processors()
    if (
        threads is None and before > 8 * cpus
    ):  # far too many threads may be refused, or are very slow
        raise UsageError(
            f"{path}: this run began on {before} threads, this process may use {cpus} CPU(s); "
            f"--threads {cpus} resumes it on those"
        )
    if threads not in (None, before):
        print(
            f"minifw: this run began on {before} thread(s); on {threads} its sums are rounded in "
            "another order, so its results may differ in the last bits",
            file=sys.stderr,
        )
    torch.set_num_threads(threads or before)
    shown = _display(live, quiet, as_json)
    if manifest.kind != "train":
        from minifw.cli import studies
        from minifw.library.progress import say
        from minifw.study import kinds, running

        with executor_for(where, say) as place:
            done = running.resume(path, kinds.KINDS, shown, say, *place, allow_code=allow_code)
        with page_after(done.run, report, as_json, allow_code):
            studies.report(done, as_json)
        return
    _report(experiment.resume(path, shown, allow_code=allow_code), as_json, report)


def start(
    plan: Plan,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
    report: bool,
    live: bool,
    **how: WritePlots,
) -> None:
    """Train, leave a run directory, print the results, and make a page if `report` is true."""
    from minifw import experiment

    outcome = experiment.start(plan, runs_dir, _display(live, quiet, as_json), **how)
    _report(outcome, as_json, report)


def _display(live: bool, quiet: bool, as_json: bool) -> ShowProgress:
    if live:
        from minifw.cli.live import curves

        return curves(quiet)
    return display(quiet or as_json)


def _report(outcome: Outcome, as_json: bool, report: bool) -> None:
    try:
        from minifw.cli import summary

        # Code of the user has been allowed, or there would be no outcome.
        with page_after(outcome.run, report, as_json, allow_code=True):
            summary.report(outcome, as_json)
    except Interrupted as end:
        end.add_note(f"the run is over: {outcome.run.path}")
        raise
