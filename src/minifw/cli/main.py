"""The command line: its commands and their exit codes. Commands import torch and the like late."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from minifw import __version__
from minifw.cli import (
    bench,
    compare,
    compiling,
    configs,
    course,
    data,
    explain,
    export,
    gradcheck,
    predict,
    report,
    runs,
    sweep,
    training,
    variance,
)
from minifw.cli.options import help_alone
from minifw.errors import (
    Interrupted,
    MinifwError,
    ModuleError,
    NotCompiledWarning,
    StorageError,
    UsageError,
    harmless,
    one_line,
)
from minifw.system import reading, streams
from minifw.system.environment import leave_lost_folder, quiet_matplotlib
from minifw.system.signals import Stop, on_signals

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
      minifw train simplenet                      one network, as the config says
      minifw train simplenet --seeds 20           20 networks at once
      minifw compare --seeds 20                   against PyTorch, both modes
      minifw train simplenet --set train.eta=0.1  another learning rate
      minifw init mine                            a config of your own
      minifw init mine --data birds.csv           a config that fits a data file
      minifw data birds.csv                       what is in a data file
      minifw show mine.yaml                       every key and where it is set
    """
    help_alone(context)


for command in (training.train, compare.compare, training.resume):
    app.command()(command)
sweep.register(app)
variance.register(app)
app.command()(bench.bench)
predict.register(app)
app.command()(report.report)
export.register(app)
data.register(app)
gradcheck.register(app)
explain.register(app)
compiling.register(app)
configs.register(app)
app.add_typer(runs.app, name="runs")
app.add_typer(course.app, name="course")


# ------------------------------------------------------------------------------ errors, exit codes


def _complain(*lines: str) -> None:
    """Print the lines of an error on stderr, with control characters escaped."""
    for line in lines:
        print(one_line(line), file=sys.stderr)


def main() -> NoReturn:
    """Run the command line and exit; every known error is one line on stderr.

    The exit code is that of the command, even if nobody reads its output. If standard output
    cannot be written (a full disk, say), that is an error of its own unless the command failed
    anyway. A reader that closes its pipe early, as in `minifw schema | head -1`, is no error.
    """
    if sys.platform == "win32":
        _complain("minifw: does not run on Windows itself; it runs in WSL (Linux within Windows)")
        leave_process(UsageError.exit_code)
    # Imports make no garbage; rare collections make the start quicker (docs/decisions.md).
    gc.set_threshold(10_000, 1_000, 1_000)
    if os.environ.get("_MINIFW_COMPLETE"):
        app(prog_name="minifw")  # a shell asks for completions: Typer prints them and exits
    with on_signals(patient=True) as stop:
        with (
            streams.that_never_fail() as out,
            quiet_matplotlib(),
            _warnings_as_lines(),
            reading.shown(),
        ):
            if leave_lost_folder():
                what = "the working directory was deleted; only absolute paths can be used"
                _complain(f"minifw: {what}")
            code = _call(stop)
            if out.fault is not None and not isinstance(out.fault, BrokenPipeError):
                _complain(f"minifw: standard output: {_reason(out.fault)}")
                code = code or StorageError.exit_code
        leave_process(code)  # signals are held here: one that comes now does not change the code


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Within this block, what minifw warns of is one line on stderr, once."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, NotCompiledWarning):
                _complain(f"minifw: {message}")
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        warnings.simplefilter("default", NotCompiledWarning)
        yield


def _call(stop: Stop) -> int:
    """Run the command and return its exit code; what it raises becomes lines on stderr."""
    try:
        try:
            stop.patient = False
            stop.check()  # a signal may have come during the imports of this module
            code: int = app(prog_name="minifw", standalone_mode=False) or 0
            if stop.asked is not None:  # a library has swallowed the Interrupted
                end = Interrupted(stop.asked)
                end.add_note("the command was over")
                raise end
        finally:
            sys.stdout.flush()  # before any complaint
            stop.patient = True  # it ends anyway
        if code == 130:  # Typer returns it for an interrupt during a command
            raise KeyboardInterrupt
    except typer.TyperException as fault:
        # Without a command the message is the help, of many lines; otherwise it is one line.
        text = f"minifw: {fault.format_message()}"
        _complain(*(text.split("\n") if type(fault).__name__ == "NoArgsIsHelpError" else [text]))
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _complain("minifw: interrupted; nothing was begun")
        return 130
    except Interrupted as end:
        notes = dict.fromkeys(getattr(end, "__notes__", ["nothing was begun"]))  # each once
        _complain("; ".join(["minifw: interrupted", *notes]))
        return end.exit_code
    except MinifwError as fault:
        if isinstance(fault, ModuleError) and (line := _own_fault(fault)):
            _complain(line)
            return UsageError.exit_code
        _complain(*fault.lines)
        return fault.exit_code
    except OSError as fault:  # no handler of its own: a fault of the machine, not a bug
        _complain(f"minifw: {_reason(fault)}")
        return StorageError.exit_code
    except (Exception, SystemExit) as fault:
        if line := _own_fault(fault):  # sys.exit(0) would say that all went well
            _complain(line)
            return UsageError.exit_code
        of_torch = isinstance(fault, RuntimeError) and "allocate memory" in str(fault)
        if isinstance(fault, MemoryError) or of_torch:
            _complain("minifw: not enough memory; fewer seeds, samples or outputs need less")
            return UsageError.exit_code
        fault.add_note("minifw: this is a bug in minifw; please report it with these lines")
        raise
    return code


def _own_fault(fault: BaseException) -> str | None:
    """Return one line for an exception from a user's Python file, None for any other."""
    code = sys.modules.get("minifw.config.code")
    return None if code is None else code.told(fault)


def _reason(fault: Exception) -> str:
    """Return why an operation on a file failed, with the file's name if it is known."""
    if not isinstance(fault, OSError) or fault.strerror is None:
        return str(fault) or type(fault).__name__
    if fault.filename is None:
        return fault.strerror
    return f"{harmless(fault.filename)}: {fault.strerror}"


def leave_process(code: int) -> NoReturn:
    """Exit at once, without Python's finalisation, which is slow with torch.

    Python would also end by the signal itself, and not with a code, if a signal came during an
    `exec` of text.
    """
    os._exit(code)
