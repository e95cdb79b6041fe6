"""The command that compares: with PyTorch, configs with each other, or finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minifw.cli.options import (
    AllowCode,
    Json,
    Live,
    Quiet,
    RunsDir,
    Set,
    Threads,
    configs_or_runs_like,
)
from minifw.cli.planning import check_count, import_torch, plan_of, set_threads
from minifw.cli.report import Report
from minifw.cli.training import start
from minifw.cli.workers import (
    AllowMixed,
    AllowRemote,
    Scheduler,
    TlsCa,
    TlsCert,
    TlsKey,
    Where,
    Workers,
)
from minifw.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from minifw.runs import Arm


def compare(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG|RUN",
            help="One config, to be compared with PyTorch; or several configs, or runs, to be "
            "compared with each other. RUN:ARM is one arm of a run.",
            show_default="simplenet",
            autocompletion=configs_or_runs_like,
        ),
    ] = None,
    overrides: Set = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            metavar="N",
            help="Number of seeds. Default: the configs', else 1 with PyTorch, 20 for several "
            "configs.",
            show_default=False,
        ),
    ] = None,
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
            help="Percentage points of test error within which two arms count as the same, or of "
            "regression a difference of RMSEs in the unit of the target. "
            "Default: none; with PyTorch 0.5, or 1 % of the RMSE of guessing the mean.",
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
    report: Report = False,
    as_json: Json = False,
    live: Live = False,
    quiet: Quiet = False,
) -> None:
    """Compare with PyTorch, or configs or runs with each other.

    One config is trained with minifw and with PyTorch, in both modes, full batch and SGD. Several
    are trained with minifw, each in its own mode, with the same seeds. Of runs nothing is trained:
    they are compared over the seeds that all have.

    \b
    Examples:
      minifw compare --seeds 20                   simplenet, with PyTorch
      minifw compare half-plane --seeds 20
      minifw compare --set dtype=float64          the two agree to the last digits
      minifw compare --reference vmap             PyTorch, all seeds at once
      minifw compare --reference none             both modes, minifw only
      minifw compare a.yaml b.yaml --seeds 20     configs, over the same seeds
      minifw compare a.yaml b.yaml --margin 0.3   the same within 0.3 points?
      minifw compare a1b2c3 d4e5f6                finished runs
      minifw compare a1b2c3:sgd d4e5f6:sgd        one arm of each
    """
    where = Where(on_workers, scheduler, allow_remote, allow_mixed, tls_ca, tls_cert, tls_key)
    threads_given, threads = threads, where.threads(threads)
    import_torch()
    from minifw.study import comparison, words

    comparison.check_margin("--margin", margin)
    given = what or ["simplenet"]
    if len(given) == 1 and isinstance(words.meaning(given[0], runs_dir), Path):
        if not where.here:
            raise UsageError("compare: PyTorch is compared in one process, without workers")
        _with_pytorch(given[0], overrides, seeds, reference, margin, runs_dir, threads, allow_code,
                      report, as_json, live, quiet)  # fmt: skip
        return
    from minifw.cli import comparing

    if live:
        from minifw.cli.live import refuse

        refuse("comparison of configs or runs")
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
        comparing.train(plan, runs_dir, quiet, as_json, where, report)
        return
    unused: dict[str, object] = {"--set": overrides, "--seeds": seeds, "--threads": threads_given}
    unused |= {"--workers": on_workers, "--scheduler": scheduler}
    for option, value in unused.items():
        if value is not None:
            raise UsageError(f"{option}: is for configs; of runs nothing is trained")
    if no_save and report:
        raise UsageError("--report: needs the run directory that --no-save leaves out")
    chosen = [run for run in found if not isinstance(run, Path)]
    comparing.of_runs(chosen, margin, runs_dir, as_json, not no_save, report)


def _with_pytorch(
    config: str,
    overrides: list[str] | None,
    seeds: int | None,
    reference: str | None,
    margin: float | None,
    runs_dir: Path,
    threads: int | None,
    allow_code: bool,
    report: bool,
    as_json: bool,
    live: bool,
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
    start(plan, runs_dir, quiet, as_json, report, live)


def _references() -> dict[str, list[Arm]]:
    """Return the arms of each word for `--reference`."""
    from minifw.runs import ARMS

    others: dict[str, list[Arm]] = {arm: ["minifw", arm] for arm in ARMS if arm != "minifw"}
    return others | {"none": ["minifw"]}
