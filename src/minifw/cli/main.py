"""The command line: arguments in, exit code out. Heavy imports happen inside the commands."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from minifw import __version__
from minifw.cli import configs, predict, runs
from minifw.cli.options import (
    ConfigName,
    Json,
    OneRun,
    Quiet,
    RunsDir,
    Seeds,
    Set,
    Threads,
    help_alone,
    print_json,
)
from minifw.cli.terminal import print_table
from minifw.config.packaged import find_config, packaged_config
from minifw.errors import (
    Interrupted,
    MinifwError,
    StorageError,
    UsageError,
    harmless,
    near_miss,
    one_line,
)
from minifw.library.progress import display
from minifw.system import streams
from minifw.system.environment import leave_lost_folder, quiet_matplotlib
from minifw.system.machine import processors
from minifw.system.signals import Stop, on_signals

if TYPE_CHECKING:
    from minifw.experiment.plan import Plan
    from minifw.experiment.runner import Outcome

REFERENCES: dict[str, list[str]] = {"pytorch": ["pytorch"], "vmap": ["vmap"], "none": []}

app = typer.Typer(
    name="minifw",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"minifw {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def minifw(
    context: typer.Context,
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
    help_alone(context)


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
            autocompletion=lambda incomplete: [x for x in REFERENCES if x.startswith(incomplete)],
        ),
    ] = "pytorch",
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train with minifw and with PyTorch, side by side.

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
    run: OneRun,
    runs_dir: RunsDir = Path("runs"),
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was interrupted, or that crashed.

    It ends where it would have ended without the break, bit for bit, on as many threads as before.

    \b
    Examples:
      minifw resume runs/20261123T120000Z-simplenet-a1b2c3
      minifw resume a1b2c3
    """
    _check_counts({"--threads": threads})
    from minifw import runs

    path = runs.find(runs_dir, run)
    before = runs.load(path).manifest.threads

    import torch

    from minifw import experiment

    cpus = processors()
    if threads is None and before > 8 * cpus:  # a process may not have so many, or slows to a stop
        raise UsageError(
            f"{path}: this run began on {before} threads, this process may use {cpus} CPU(s); "
            f"--threads {cpus} goes on with those"
        )
    if threads not in (None, before):
        print(
            f"minifw: this run began on {before} thread(s); on {threads} its sums are rounded in "
            "another order, so it may not end bit for bit where it would have",
            file=sys.stderr,
        )
    torch.set_num_threads(threads or before)
    _report(experiment.resume(path, display(quiet or as_json)), as_json)


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
    from minifw.bench import arms as contestants
    from minifw.bench import measure as benchmark

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
    arms, missing = contestants.present()
    for arm, reason in missing.items():
        print(f"bench: {arm} is left out: {reason}", file=sys.stderr)
    base = packaged_config("simplenet")
    plan: dict[str, Any] = {
        "rounds": rounds,
        "seconds": seconds,
        "show_progress": display(quiet or as_json),
    }
    with benchmark.on_threads(threads or _usual_threads()):
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


predict.register(app)
configs.register(app)
app.add_typer(runs.app, name="runs")


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
    from minifw.config import loading

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

    from minifw import experiment
    from minifw.experiment import plan

    torch.set_num_threads(threads or _usual_threads())
    modes = experiment.MODES if both_modes else [config.train.mode]
    return plan.plan(config, default_seeds, modes, source, arms=arms)


def _check_counts(options: dict[str, int | None]) -> None:
    for option, value in options.items():
        if value is not None and value < 1:
            raise UsageError(f"{option}: must be at least 1, got {value}")
    threads = options["--threads"]
    if threads is not None and threads > processors():
        raise UsageError(
            f"--threads: must be at most the {processors()} CPU(s) that this process may use, "
            f"got {threads}"
        )


def _usual_threads() -> int:
    """Return how many threads torch takes, or as many as a container's quota allows."""
    import torch

    return min(torch.get_num_threads(), processors())


def _run(
    plan: Plan, arms: list[str], modes: list[str], runs_dir: Path, quiet: bool, as_json: bool
) -> None:
    """Train, leave a run directory, and print what came of it."""
    from minifw import experiment

    _report(experiment.run(plan, arms, modes, runs_dir, display(quiet or as_json)), as_json)


def _report(outcome: Outcome, as_json: bool) -> None:
    try:
        from minifw.cli import summary

        summary.report(outcome, as_json)
    except Interrupted as end:
        end.add_note(f"the run is over: {outcome.run.path}")
        raise


# ---------------------------------------------------------------------------------------- the end


def _complain(*lines: str) -> None:
    """Print the lines of an error; whatever a user's file put into them stays text."""
    for line in lines:
        print(one_line(line), file=sys.stderr)


def main() -> NoReturn:
    """Run the command line and exit; every known error is one line on stderr.

    The exit code is the work's own, whether anybody listens or not. Only of output that a full
    disk has cut, say, there is a line and a code, if nothing else went wrong; a reader who went
    away, as in `minifw schema | head -1`, has seen what was wanted.
    """
    if sys.platform == "win32":
        _complain("minifw: does not run on Windows itself; it does in WSL, Windows' own Linux")
        _leave(UsageError.exit_code)
    # Modules are not garbage: looking among them for some takes a tenth of the start or more.
    gc.set_threshold(10_000, 1_000, 1_000)
    if os.environ.get("_MINIFW_COMPLETE"):
        app(prog_name="minifw")  # a shell asks how a word may go on: Typer answers, and exits
    with on_signals(patient=True) as stop:
        with streams.that_never_fail() as out, quiet_matplotlib():
            if leave_lost_folder():
                what = "the working directory was deleted; only absolute paths can be used"
                _complain(f"minifw: {what}")
            code = _call(stop)
            if out.fault is not None and not isinstance(out.fault, BrokenPipeError):
                _complain(f"minifw: standard output: {_reason(out.fault)}")
                code = code or StorageError.exit_code
        _leave(code)  # while signals are held: one that comes now changes no code


def _call(stop: Stop) -> int:
    """Run the command and return its exit code; what it raises becomes lines on stderr."""
    try:
        try:
            stop.patient = False
            stop.check()  # one may have come during the imports of this module
            code: int = app(prog_name="minifw", standalone_mode=False) or 0
            if stop.asked is not None:  # and a library has swallowed it
                end = Interrupted(stop.asked)
                end.add_note("the command was over")
                raise end
        finally:
            sys.stdout.flush()  # before any complaint
            stop.patient = True  # it ends anyway
        if code == 130:  # Typer returns it for an interrupt during a command
            raise KeyboardInterrupt
    except typer.TyperException as fault:
        # Where no command is given, the message is the help; else it is a line.
        text = f"minifw: {fault.format_message()}"
        _complain(*(text.split("\n") if type(fault).__name__ == "NoArgsIsHelpError" else [text]))
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _complain("minifw: interrupted; nothing was begun")
        return 130
    except Interrupted as end:
        notes = getattr(end, "__notes__", ["nothing was begun"])
        _complain("; ".join(["minifw: interrupted", *notes]))
        return end.exit_code
    except MinifwError as fault:
        _complain(*fault.lines)
        return fault.exit_code
    except OSError as fault:  # of whatever has no words of its own: the machine's, not a bug
        _complain(f"minifw: {_reason(fault)}")
        return StorageError.exit_code
    except Exception as fault:
        of_torch = isinstance(fault, RuntimeError) and "allocate memory" in str(fault)
        if isinstance(fault, MemoryError) or of_torch:
            _complain("minifw: not enough memory; fewer seeds, samples or outputs need less")
            return 2
        fault.add_note("minifw: this is a bug in minifw; please report it with these lines")
        raise
    return code


def _reason(fault: Exception) -> str:
    """Return what an operation on a file failed for, and the file's name if it is known."""
    if not isinstance(fault, OSError) or fault.strerror is None:
        return str(fault) or type(fault).__name__
    if fault.filename is None:
        return fault.strerror
    return f"{harmless(fault.filename)}: {fault.strerror}"


def _leave(code: int) -> NoReturn:
    """End now, without taking Python down piece by piece, which takes half a second with torch.

    And if a signal came during an `exec` of text, which torch's compiler does all the time, Python
    would end by the signal itself and not with a code.
    """
    os._exit(code)
