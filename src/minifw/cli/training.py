"""The commands that train: `minifw train | compare | resume`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minifw.cli.options import (
    AllowCode,
    ConfigName,
    Json,
    OneRun,
    Quiet,
    RunsDir,
    Seeds,
    Set,
    Threads,
    configs_or_runs_like,
)
from minifw.cli.planning import check_count, check_threads, import_torch, plan_of, set_threads
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
from minifw.errors import Interrupted, UsageError, did_you_mean
from minifw.library.progress import display
from minifw.system.machine import processors

if TYPE_CHECKING:
    from minifw.experiment import Outcome, Plan, WritePlots
    from minifw.runs import Arm


def register(app: typer.Typer) -> None:
    """Make these functions commands of the app."""
    for command in (train, compare, resume):
        app.command()(command)


def train(
    config: ConfigName,
    overrides: Set = None,
    seeds: Seeds = None,
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
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
    _start(plan, runs_dir, quiet, as_json, write_plots=write_plots)


def compare(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG…|RUN…]",
            help="One config, to be compared with PyTorch; or several configs, or runs, to be "
            "compared with each other. RUN:ARM is one arm of a run.",
            show_default="simplenet",
            autocompletion=configs_or_runs_like,
        ),
    ] = None,
    overrides: Set = None,
    seeds: Seeds = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="WHICH",
            help="pytorch (one seed after another), vmap (all at once by torch.func) or none.",
            show_default="pytorch",
            autocompletion=lambda incomplete: [
                x for x in _references() if x.startswith(incomplete)
            ],
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            metavar="POINTS",
            help="Percentage points of test error within which two arms count as the same. "
            "Default: none; with PyTorch 0.5.",
            show_default=False,
        ),
    ] = None,
    no_save: Annotated[
        bool, typer.Option("--no-save", help="Leave no run directory; for runs only.")
    ] = False,
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
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare with PyTorch, or configs or runs with each other.

    One config is trained with minifw and with PyTorch, in both modes, full batch and SGD. Several
    are trained with minifw, each in its own mode, with the same seeds. Of runs nothing is trained:
    they are compared over the seeds that all have.

    \b
    Examples:
      minifw compare --seeds 20                         simplenet, with PyTorch
      minifw compare half-plane --seeds 20
      minifw compare --set dtype=float64                the two agree to the last digits
      minifw compare --reference vmap                   PyTorch, all seeds at once
      minifw compare --reference none                   both modes, minifw only
      minifw compare a.yaml b.yaml --seeds 20           configs, over the same seeds
      minifw compare a.yaml b.yaml --margin 0.3         the same within 0.3 points?
      minifw compare a1b2c3 d4e5f6                      finished runs
      minifw compare a1b2c3:sgd d4e5f6:sgd              of each one arm
    """
    where = Where(on_workers, scheduler, allow_remote, allow_mixed, tls_ca, tls_cert, tls_key)
    threads = where.threads(threads)
    import_torch()
    from minifw.study import comparison, words

    comparison.check_margin("--margin", margin)
    given = what or ["simplenet"]
    if len(given) == 1 and isinstance(words.meaning(given[0], runs_dir), Path):
        if not where.here:
            raise UsageError("--workers, --scheduler: are for several configs, without PyTorch")
        _with_pytorch(given[0], overrides, seeds, reference, margin, runs_dir, threads, allow_code,
                      as_json, quiet)  # fmt: skip
        return
    from minifw.cli import comparing

    if reference is not None:
        raise UsageError("--reference: is for one config, which is compared with PyTorch")
    found = words.meant(given, runs_dir)
    paths = [path for path in found if isinstance(path, Path)]
    if paths:
        if no_save:
            raise UsageError("--no-save: is for runs; what is trained leaves a run directory")
        check_count("--seeds", seeds)
        set_threads(threads)
        plan = comparing.of_configs(given, paths, overrides or [], seeds, margin, allow_code)
        comparing.train(plan, runs_dir, quiet, as_json, where)
        return
    unused = {"--workers": on_workers, "--scheduler": scheduler} | {
        "--set": overrides, "--seeds": seeds, "--threads": threads,
    }  # fmt: skip
    for option, value in unused.items():
        if value is not None:
            raise UsageError(f"{option}: is for configs; of runs nothing is trained")
    comparing.of_runs(
        [run for run in found if not isinstance(run, Path)], margin, runs_dir, as_json, not no_save
    )


def _with_pytorch(
    config: str,
    overrides: list[str] | None,
    seeds: int | None,
    reference: str | None,
    margin: float | None,
    runs_dir: Path,
    threads: int | None,
    allow_code: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    others, reference = _references(), reference or "pytorch"
    if reference not in others:
        raise UsageError(
            f"--reference: must be one of {', '.join(others)}, got '{reference}'"
            f"{did_you_mean(reference, others)}"
        )
    set_threads(threads)
    plan = plan_of(
        config,
        overrides,
        seeds,
        default_seeds=20,
        arms=others[reference],
        margin=margin,
        allow_code=allow_code,
    )
    _start(plan, runs_dir, quiet, as_json)


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
    as_json: Json = False,
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
    shown = display(quiet or as_json)
    if manifest.kind != "train":
        from minifw.cli import studies
        from minifw.cli.sweep import say
        from minifw.study import kinds, running

        with executor_for(where, say) as place:
            done = running.resume(path, kinds.KINDS, shown, say, *place, allow_code=allow_code)
        studies.report(done, as_json)
        return
    _report(experiment.resume(path, shown, allow_code=allow_code), as_json)


def _references() -> dict[str, list[Arm]]:
    """Return the arms of each word for `--reference`."""
    from minifw.runs import ARMS

    others: dict[str, list[Arm]] = {arm: ["minifw", arm] for arm in ARMS if arm != "minifw"}
    return others | {"none": ["minifw"]}


def _start(plan: Plan, runs_dir: Path, quiet: bool, as_json: bool, **how: WritePlots) -> None:
    """Train, leave a run directory, and print the results."""
    from minifw import experiment

    _report(experiment.start(plan, runs_dir, display(quiet or as_json), **how), as_json)


def _report(outcome: Outcome, as_json: bool) -> None:
    try:
        from minifw.cli import summary

        summary.report(outcome, as_json)
    except Interrupted as end:
        end.add_note(f"the run is over: {outcome.run.path}")
        raise
