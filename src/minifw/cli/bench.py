"""The command that times a step: `minifw bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from minifw.cli.options import Json, Quiet, Threads, print_json
from minifw.cli.planning import check_count, check_threads, usual_threads
from minifw.cli.terminal import print_table
from minifw.config.packaged import packaged_config
from minifw.errors import UsageError, harmless
from minifw.library.progress import display


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
    """Time a training step beside PyTorch, torch.func and JAX.

    All train the same networks on the same data with the same updates; that their weights are
    equal is checked first.

    \b
    Examples:
      minifw bench                     all sizes, about five minutes
      minifw bench --quick
      minifw bench --scaling           seeds 1 to 1000, width 25 to 512, …
      minifw bench --regime 50x20 --regime 50x20x100 --threads 1
    """
    check_count("--rounds", rounds)
    check_threads(threads)
    from minifw.bench import arms as contestants
    from minifw.bench import measure as benchmark

    chosen = [*map(benchmark.parse, regimes or [])]
    if scaling and (quick or chosen):
        raise UsageError("--scaling: uses its own sizes; leave out --quick and --regime")
    if scaling and sys.platform != "linux":
        raise UsageError("--scaling: measures memory in a way that only Linux has; run it on Linux")
    if quick:
        rounds, seconds, name = min(rounds, 3), 0.05, "quick"
        chosen = chosen or benchmark.QUICK
    else:
        seconds, name = 0.25, "regimes" if chosen else "steps"
        chosen = chosen or benchmark.REGIMES
    arms, missing = contestants.present()
    for arm, reason in missing.items():
        print(f"bench: {arm} is left out: {reason}", file=sys.stderr)
    base = packaged_config("simplenet")
    plan: dict[str, Any] = {
        "rounds": rounds,
        "seconds": seconds,
        "show_progress": display(quiet or as_json),
    }
    with benchmark.on_threads(threads or usual_threads()):
        if scaling:
            name = "scaling"
            results = benchmark.run_scaling(base, arms, **plan)
        else:
            results = benchmark.run(base, chosen, arms, **plan)
    written = benchmark.write(results, out, name)
    if as_json:
        print_json(results)
    elif scaling:
        print(harmless(written))
    else:
        print_table(benchmark.table(results))
        print(f"\n{harmless(out / name)}.json")
