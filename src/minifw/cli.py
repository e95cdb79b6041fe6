"""The command line: arguments in, exit code out. Heavy imports happen inside the commands."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from minifw import __version__, cli_configs, cli_runs
from minifw.errors import (
    Interrupted,
    MinifwError,
    StorageError,
    UsageError,
    harmless,
    near_miss,
    one_line,
)
from minifw.options import (
    PACKAGED,
    ConfigName,
    Json,
    Quiet,
    RunsDir,
    Seeds,
    Set,
    Threads,
    find_config,
    print_json,
)
from minifw.progress import display

if TYPE_CHECKING:
    from minifw.building import Plan

REFERENCES: dict[str, list[str]] = {"pytorch": ["pytorch"], "vmap": ["vmap"], "none": []}

app = typer.Typer(
    name="minifw",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"minifw {__version__}")
        raise typer.Exit


@app.callback()
def minifw(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train small networks over many seeds, and compare with PyTorch.

    \b
    Examples:
      minifw train configs/simplenet.yaml         one network, as the config says
      minifw train simplenet --seeds 20           20 networks at once
      minifw compare --seeds 20                   against PyTorch, both modes
      minifw train simplenet --set train.eta=0.1  another learning rate
      minifw init mine                            a config of your own
      minifw show mine.yaml                       what it comes to, key by key
    """


@app.command()
def train(
    config: ConfigName,
    overrides: Set = None,
    seeds: Seeds = None,
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the network of a config, all seeds at once.

    \b
    Examples:
      minifw train configs/simplenet.yaml
      minifw train configs/simplenet.yaml --seeds 20 --set train.eta=0.1
      minifw train configs/simplenet.yaml --set train.mode=sgd --json
    """
    plan = _plan(config, overrides, seeds, threads, default_seeds=1)
    mode = plan.config.train.mode
    _run(plan, ["minifw"], [mode], runs_dir, quiet, as_json)


@app.command()
def compare(
    config: ConfigName = "simplenet",
    overrides: Set = None,
    seeds: Seeds = None,
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            metavar="WHICH",
            help="pytorch, one seed after another; vmap, all at once by torch.func; or none.",
        ),
    ] = "pytorch",
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train with minifw and with PyTorch, and put them side by side.

    Both modes, full batch and SGD, from one config.

    \b
    Examples:
      minifw compare --seeds 20
      minifw compare configs/half-plane.yaml --seeds 20
      minifw compare --set dtype=float64       the two agree to the last digits
      minifw compare --reference vmap          PyTorch, all seeds at once
      minifw compare --reference none          both modes, minifw alone
    """
    if reference not in REFERENCES:
        raise UsageError(
            f"--reference: must be one of {', '.join(REFERENCES)}, got '{reference}'"
            f"{near_miss(reference, REFERENCES)}"
        )
    arms = ["minifw", *REFERENCES[reference]]
    plan = _plan(
        config, overrides, seeds, threads,
        default_seeds=20, both_modes=True, arms=arms,
    )  # fmt: skip
    _run(plan, arms, ["full-batch", "sgd"], runs_dir, quiet, as_json)


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="A run's directory, its name, or a part of that.")],
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was interrupted, or whose process or machine went down.

    It ends where it would have ended without the break, bit for bit, on as many threads as before.

    \b
    Examples:
      minifw resume runs/20261123T120000Z-simplenet-a1b2c3
      minifw resume a1b2c3
    """
    _check_counts({"--threads": threads})
    from minifw import runs

    path = runs.find(runs_dir, run)
    before = runs.load(path).manifest["threads"]

    import torch

    from minifw import experiment, reporting

    if threads not in (None, before):
        print(
            f"minifw: this run began on {before} thread(s); on {threads} its sums are rounded in "
            "another order, so it may not end bit for bit where it would have",
            file=sys.stderr,
        )
    torch.set_num_threads(threads or before)
    reporting.report(experiment.resume(path, display(quiet or as_json)), as_json)


@app.command()
def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Two regimes, short rounds: does it work?")
    ] = False,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="How time and memory grow with each size; a figure.")
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
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the figures go.")] = Path(
        "benchmarks"
    ),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time a training step beside PyTorch, torch.func and JAX.

    The same networks, data and updates; equal weights are checked first.

    \b
    Examples:
      minifw bench                     all sizes, about five minutes
      minifw bench --quick
      minifw bench --scaling           seeds 1 to 1000, width 25 to 512, …
      minifw bench --regime 50x20 --regime 50x20x100 --threads 1
    """
    _check_counts({"--rounds": rounds, "--threads": threads})
    import torch

    from minifw import bench as benchmark
    from minifw import peers

    chosen = [*map(benchmark.parse, regimes or [])]
    if scaling and (quick or chosen):
        raise UsageError("--scaling: has sizes of its own; leave out --quick and --regime")
    if scaling and sys.platform != "linux":
        raise UsageError("--scaling: measures memory as only Linux tells it, so it runs only there")
    if quick:
        rounds, seconds, name = min(rounds, 3), 0.05, "quick"
        chosen = chosen or benchmark.QUICK
    else:
        seconds, name = 0.25, "regimes" if chosen else "steps"
        chosen = chosen or benchmark.REGIMES
    arms, missing = peers.present()
    for arm, reason in missing.items():
        print(f"bench: {arm} is left out: {reason}", file=sys.stderr)
    base = PACKAGED / "simplenet.yaml"
    plan: dict[str, Any] = {
        "rounds": rounds,
        "seconds": seconds,
        "show_progress": display(quiet or as_json),
    }
    with benchmark.on_threads(threads or torch.get_num_threads()):
        if scaling:
            name = "scaling"
            results = benchmark.run_scaling(base, arms, **plan)
        else:
            results = benchmark.run(base, chosen, arms, **plan)
    benchmark.write(results, out, name)
    if as_json:
        print_json(results)
    elif scaling:
        print(harmless(out / f"{name}.svg"))
    else:
        print(f"{benchmark.table(results).markdown()}\n{harmless(out / name)}.json")


cli_configs.register(app)
app.add_typer(cli_runs.app, name="runs")


# ------------------------------------------------------------------------------------- the work


def _plan(
    name: str,
    overrides: list[str] | None,
    seeds: int | None,
    threads: int | None,
    *,
    default_seeds: int,
    both_modes: bool = False,
    arms: Sequence[str] = ("minifw",),
) -> Plan:
    """Check everything that the user gave; nothing is written yet."""
    _check_counts({"--seeds": seeds, "--threads": threads})
    from minifw import loading

    given = list(overrides or [])
    if seeds is not None:
        given.append(f"seeds={seeds}")
    path = find_config(name)
    config, source = loading.load_with_source(path, given)
    if both_modes and config.train.batch_size is None:
        what = "this key is missing; compare runs mode 'sgd' too"
        source.add(("train", "batch_size"), what)
        raise source.error()

    import torch

    from minifw import building, experiment

    if threads is not None:
        torch.set_num_threads(threads)
    modes = experiment.MODES if both_modes else [config.train.mode]
    return building.plan(config, default_seeds, modes, source, arms=arms)


def _check_counts(options: dict[str, int | None]) -> None:
    for option, value in options.items():
        if value is not None and value < 1:
            raise UsageError(f"{option}: must be at least 1, got {value}")
    threads = options["--threads"]
    if threads is not None and threads > (os.cpu_count() or 1):
        raise UsageError(f"--threads: must be at most the {os.cpu_count()} CPUs, got {threads}")


def _run(
    plan: Plan, arms: list[str], modes: list[str], runs_dir: Path, quiet: bool, as_json: bool
) -> None:
    """Train, leave a run directory, and print what came of it."""
    from minifw import experiment, reporting

    outcome = experiment.run(plan, arms, modes, runs_dir, display(quiet or as_json))
    reporting.report(outcome, as_json)


# ---------------------------------------------------------------------------------------- the end


def _complain(*lines: str) -> None:
    """Print the lines of an error; whatever a user's file put into them stays text."""
    for line in lines:
        print(one_line(line), file=sys.stderr)


def main() -> NoReturn:
    """Run the command line and exit; every known error is one line on stderr."""
    # Modules are not garbage: looking among them for some takes a tenth of the start or more.
    gc.set_threshold(10_000, 1_000, 1_000)
    if isinstance(sys.stdout, TextIOWrapper):  # a name may hold what the terminal's code has not
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(prog_name="minifw", standalone_mode=False) or 0
        sys.stdout.flush()
        if code == 130:  # Typer returns it for an interrupt during a command
            raise KeyboardInterrupt
    except typer.TyperException as fault:
        # Where no command is given, the message is the help; else it is a line.
        text = f"minifw: {fault.format_message()}"
        _complain(*(text.split("\n") if type(fault).__name__ == "NoArgsIsHelpError" else [text]))
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        _complain("minifw: interrupted; nothing was begun")
        code = 130
    except (MemoryError, RuntimeError) as fault:
        if not isinstance(fault, MemoryError) and "allocate memory" not in str(fault):
            raise
        print(
            "minifw: not enough memory; fewer seeds, samples or outputs need less", file=sys.stderr
        )
        code = 2
    except Interrupted as end:
        _complain("; ".join(["minifw: interrupted", *getattr(end, "__notes__", ())]))
        code = end.exit_code
    except (BrokenPipeError, SystemExit):
        # The reader of a pipe went away, as in `minifw train … | head -1`; within a command Typer
        # makes an exit of it.
        code = 0
    except MinifwError as fault:
        _complain(*fault.lines)
        code = fault.exit_code
    except OSError as fault:
        if fault.errno != errno.ENOSPC:
            raise
        _complain(f"minifw: standard output: {fault.strerror}")
        code = StorageError.exit_code
    _leave(code)


def _leave(code: int) -> NoReturn:
    """End now, without taking Python down piece by piece, which takes half a second with torch.

    And if a signal came during an `exec` of text, which torch's compiler does all the time, Python
    would end by the signal itself and not with a code.
    """
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
