"""The command that times steps and whole jobs: `minifw bench`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import Json, Quiet, Threads, print_json
from minifw.cli.planning import check_count, check_threads, usual_threads
from minifw.cli.terminal import print_table
from minifw.config.packaged import packaged_config
from minifw.errors import UsageError, harmless
from minifw.library.progress import display

if TYPE_CHECKING:
    from minifw.bench.arms import Regime
    from minifw.experiment import ShowProgress
    from minifw.report.tables import Table

    Measured = tuple[dict[str, Any], Table | None]


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Two sizes in short rounds, to see that all works.")
    ] = False,
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling", help="Measure how time and memory grow with each size; draws a figure."
        ),
    ] = False,
    jobs: Annotated[
        bool,
        typer.Option(
            "--jobs", help="Time whole processes, `minifw train` beside a JAX script of the job."
        ),
    ] = False,
    lenet: Annotated[
        bool,
        typer.Option("--lenet", help="Time a step of LeNet, a convolutional network, instead."),
    ] = False,
    regimes: Annotated[
        list[str] | None,
        typer.Option(
            "--regime",
            metavar="SIZES",
            help="SEEDSxBATCH or SEEDSxBATCHxWIDTH, as 20x40; repeatable.",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", help="How often each arm is timed.")
    ] = 7,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")
    ] = Path("benchmarks"),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time training steps or whole jobs beside PyTorch and JAX.

    All train the same networks on the same data with the same updates; that their weights are
    equal is checked first. Of whole jobs the errors must be alike.

    \b
    Examples:
      minifw bench                     all sizes, about five minutes
      minifw bench --quick
      minifw bench --scaling           seeds 1 to 1000, width 25 to 512, …
      minifw bench --jobs --rounds 5   20 seeds from start to end: four minutes
      minifw bench --lenet             convolutions, one and ten seeds
      minifw bench --regime 50x20 --regime 50x20x100 --threads 1
    """
    check_count("--rounds", rounds)
    check_threads(threads)
    from minifw.bench import measure as benchmark

    chosen = [*map(benchmark.parse, regimes or [])]
    if scaling and (quick or chosen):
        raise UsageError("--scaling: uses its own sizes; leave out --quick and --regime")
    if scaling and sys.platform != "linux":
        raise UsageError("--scaling: measures memory in a way that only Linux has; run it on Linux")
    if jobs and (scaling or chosen):
        raise UsageError("--jobs: uses its own sizes; leave out --scaling and --regime")
    if lenet and (jobs or scaling or chosen):
        raise UsageError("--lenet: uses its own sizes; leave out --jobs, --scaling and --regime")
    rounds = min(rounds, 3) if quick else rounds
    show_progress = display(quiet or as_json)
    with benchmark.on_threads(threads or usual_threads()):
        if jobs:
            name = "jobs-quick" if quick else "jobs"
            results, made = _jobs(quick, rounds, show_progress)
        elif lenet:
            name = "lenet-quick" if quick else "lenet"
            results, made = _lenet(quick, rounds, show_progress)
        else:
            name = "scaling" if scaling else "quick" if quick else "regimes" if chosen else "steps"
            chosen = chosen or (benchmark.QUICK if quick else benchmark.REGIMES)
            results, made = _steps(quick, None if scaling else chosen, rounds, show_progress)
    written = benchmark.write(results, made, out, name)
    if as_json:
        print_json(results)
    elif made is None:
        print(harmless(written))
    else:
        print_table(made)
        print(f"\n{harmless(out / name)}.json")


def _steps(
    quick: bool, regimes: Sequence[Regime] | None, rounds: int, show_progress: ShowProgress
) -> Measured:
    """Time steps of these sizes, or without any how they grow with each size."""
    from minifw.bench import arms as contestants
    from minifw.bench import measure as benchmark

    arms = _present(contestants.present())
    base = packaged_config("simplenet")
    plan: dict[str, Any] = {
        "rounds": rounds,
        "seconds": 0.05 if quick else 0.25,
        "show_progress": show_progress,
    }
    if regimes is None:
        return benchmark.run_scaling(base, arms, **plan), None
    results = benchmark.run(base, regimes, arms, **plan)
    return results, benchmark.table(results)


def _lenet(quick: bool, rounds: int, show_progress: ShowProgress) -> Measured:
    """Time steps of LeNet; a quick benchmark has one seed."""
    from minifw.bench import lenet
    from minifw.bench import measure as benchmark

    base = packaged_config("simplenet")
    results = benchmark.run(
        base,
        lenet.REGIMES[:1] if quick else lenet.REGIMES,
        _present(lenet.present(base)),
        rounds=rounds,
        seconds=0.05 if quick else 0.25,
        show_progress=show_progress,
    )
    return results, benchmark.table(results)


def _jobs(quick: bool, rounds: int, show_progress: ShowProgress) -> Measured:
    """Time whole jobs; those of a quick benchmark have few epochs."""
    from minifw.bench import jobs

    chosen = [jobs.Job(config, jobs.SEEDS, 20 if quick else None) for config in jobs.CONFIGS]
    arms = _present(jobs.present())
    results = jobs.run(chosen, arms, rounds=rounds, show_progress=show_progress)
    return results, jobs.table(results)


def _present(found: tuple[list[str], dict[str, str]]) -> list[str]:
    """Return the arms that can run here, and say which cannot."""
    arms, missing = found
    for arm, reason in missing.items():
        print(f"bench: {arm} is left out: {reason}", file=sys.stderr)
    return arms
