"""The command that checks every backward pass of a config's network: `minifw gradcheck CONFIG`."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import AllowCode, ConfigName, Json, Set, print_json
from minifw.cli.terminal import print_rows, print_wrapped
from minifw.config.packaged import find_config
from minifw.errors import CheckError, UsageError, one_line

if TYPE_CHECKING:
    from minifw.experiment import Plan
    from minifw.experiment.gradcheck import Row


def register(app: typer.Typer) -> None:
    """Make `gradcheck` a command of the app."""
    app.command()(gradcheck)


def gradcheck(
    config: ConfigName,
    overrides: Set = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="K",
            help="Seed of data and weights. Default: the config's.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="How many training samples are used.")
    ] = 5,
    elements: Annotated[
        int,
        typer.Option(
            "--elements", metavar="N", help="How many numbers of a tensor are compared, at most."
        ),
    ] = 100,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Compare a network's gradients with finite differences.

    Network, loss and data are built as for training, but in float64 and for a few samples. The
    table shows, for each layer's parameters and input, the largest relative error, where it is,
    and the two numbers. Of a large tensor only some numbers are compared, chosen by the seed. The
    exit code is 5 if a gradient is wrong. A number on a kink (ReLU at 0) has no derivative to
    compare with; it is reported and does not count as wrong.

    \b
    Examples:
      minifw gradcheck simplenet
      minifw gradcheck mine.yaml --samples 20 --seed 3
      minifw gradcheck mine.yaml --set loss=cross-entropy --elements 1000
    """
    for option, value, least in (("--samples", samples, 1), ("--elements", elements, 1)):
        if value < least:
            raise UsageError(f"{option}: must be at least {least}, got {value}")
    if seed is not None and not 0 <= seed <= 2**32:
        raise UsageError(f"--seed: must be 0 to {2**32}, got {seed}")
    plan = _plan(config, overrides, allow_code)
    from minifw.experiment import gradcheck as gradients
    from minifw.nn.differences import TOLERANCE

    seed = plan.config.seed if seed is None else seed
    rows = gradients.check(plan, seed, samples, elements)
    faults = [f"{plan.source.name}: {_told(row)}" for row in rows if _is_fault(row)]
    if as_json:
        print_json(
            {
                "config": plan.source.name,
                "seed": seed,
                "samples": samples,
                "tolerance": TOLERANCE,
                "ok": not faults,
                "faults": [*map(one_line, faults)],
                "gradients": [_as_json(row) for row in rows],
            }
        )
        raise typer.Exit(CheckError.exit_code if faults else 0)
    head = ("layer", "by", "compared", "error", "at", "analytic", "numeric", "")
    print_rows(head, [_cells(row) for row in rows], right=(3, 5, 6))
    print()
    print_wrapped(
        f"Gradients of the loss of {samples} sample(s), seed {seed}, in float64. Each row shows "
        f"where a tensor has its largest relative error, which may be {TOLERANCE:g}."
    )
    for row in rows:
        if row.comparison.ok and row.comparison.kinks:
            sys.stdout.flush()
            print(one_line(f"minifw: {_told(row)}"), file=sys.stderr)
    if faults:
        raise CheckError(*faults)


def _plan(name: str, overrides: list[str] | None, allow_code: bool) -> Plan:
    """Return the plan of one seed, in float64 on the CPU, whatever the config says."""
    from minifw.config import loading

    config, source = loading.load_with_source(
        find_config(name), list(overrides or []), allow_code=allow_code
    )
    from minifw.experiment import plan

    train = config.train.model_copy(update={"compile": False})
    changes = {"dtype": "float64", "device": "cpu", "seeds": 1, "train": train}
    return plan.plan(config.model_copy(update=changes), 1, [config.train.mode], source)


def _is_fault(row: Row) -> bool:
    return not row.comparison.ok and not row.follows


def _told(row: Row) -> str:
    return f"{row.where}: {row.comparison.message()}"


def _verdict(row: Row) -> str:
    if not row.comparison.ok:
        return "follows" if row.follows else "wrong"
    count = row.comparison.kinks
    return (
        f"{count} kink{'s' * (count > 1)}"
        if count
        else "ok, all 0"
        if row.comparison.zero
        else "ok"
    )


def _cells(row: Row) -> tuple[str, ...]:
    found, worst = row.comparison, row.comparison.worst
    return (
        "loss" if row.layer is None else f"{row.layer} {row.kind}",
        row.of,
        f"{found.checked}/{found.size}",
        f"{worst.error:.0e}",
        ",".join(map(str, worst.index)),
        f"{worst.analytic:.3g}",
        f"{worst.numeric:.3g}",
        _verdict(row),
    )


def _as_json(row: Row) -> dict[str, Any]:
    found, worst = row.comparison, row.comparison.worst
    return {
        "layer": row.layer,
        "module": row.module,
        "of": row.of,
        "compared": found.checked,
        "size": found.size,
        "wrong": found.wrong,
        "kinks": found.kinks,
        "follows": row.follows,
        "worst": {
            "error": _number(worst.error),
            "index": list(worst.index),
            "analytic": _number(worst.analytic),
            "numeric": _number(worst.numeric),
        },
        "suspicion": found.suspicion or None,
    }


def _number(value: float) -> float | None:
    """Return the number; JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
