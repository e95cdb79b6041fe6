"""The command that shows how a config's step is compiled: `minifw compile CONFIG`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from minifw.cli.options import AllowCode, ConfigName, Set
from minifw.cli.planning import plan_of
from minifw.config.packaged import find_config
from minifw.errors import UsageError, harmless

if TYPE_CHECKING:
    from minifw.training.compiled import Steps


def register(app: typer.Typer) -> None:
    """Make `compile` a command of the app."""
    app.command("compile")(compile_step)


def compile_step(
    config: ConfigName,
    overrides: Set = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            metavar="MODE",
            help="full-batch or sgd. Default: the config's train.mode.",
            autocompletion=lambda incomplete: [
                mode for mode in _modes() if mode.startswith(incomplete)
            ],
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the C instead; this needs no compiler.")
    ] = False,
    allow_code: AllowCode = False,
) -> None:
    """Compile the training step of a config's network, or show its C.

    `train` and `compare` compile by themselves where it saves time. What is compiled is kept for
    later runs. Each kernel in the C names the module that it computes for, and its formula. If the
    last batch of an epoch is smaller than the others, its step follows.

    \b
    Examples:
      minifw compile simplenet-sgd
      minifw compile mine.yaml --mode full-batch --show
      minifw compile mine.yaml --set loss=cross-entropy --show | less
    """
    if mode is not None and mode not in _modes():
        raise UsageError(f"--mode: must be one of {', '.join(_modes())}, got '{mode}'")
    given = [*(overrides or []), *([f"train.mode={mode}"] if mode else [])]
    from minifw.config import loading

    loading.load(find_config(config), given, allow_code=allow_code)  # as `train` would read it
    # Whatever the config wishes, it is compiled here: `true` would be checked by the plan already.
    plan = plan_of(config, [*given, "train.compile=false"], allow_code=allow_code)
    from minifw.compile import CannotCompileError

    try:
        steps = plan.steps(plan.modes[0], build=not show)
    except CannotCompileError as fault:
        raise UsageError(f"{config}: its step cannot be compiled: {fault}") from fault
    if show:
        print("\n".join(program.text for program in steps.programs), end="")
    else:
        print(harmless(f"{config}: {_told(steps)}"))


def _modes() -> list[str]:
    from minifw.runs import MODES

    return [*MODES]


def _told(steps: Steps) -> str:
    """Return in words what was compiled, by what, and where it is kept."""
    from minifw.compile import compilers
    from minifw.compile.cache import cache_dir

    libraries = [program.library for program in steps.programs]
    kernels = sum(program.kernels for program in steps.programs)
    seconds = max(program.seconds for program in steps.programs)  # side by side
    if all(library.reused for library in libraries):
        return f"{kernels} kernels, compiled before and kept in {cache_dir()}"
    compiler = compilers.find_compiler()
    by = "" if compiler is None else f" by {compiler.name}"
    reasons = [library.not_kept for library in libraries if library.not_kept]
    where = f"not kept: {reasons[0]}" if reasons else f"kept in {cache_dir()}"
    return f"{kernels} kernels, compiled in {seconds:.2f} s{by}, {where}"
