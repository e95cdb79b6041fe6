"""The command that explains one step of training, layer by layer: `minifw explain CONFIG`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import AllowCode, ConfigName, Json, Set, print_json
from minifw.cli.planning import check_count, plan_of
from minifw.cli.terminal import framed, print_wrapped, width
from minifw.errors import UsageError, harmless

if TYPE_CHECKING:
    from minifw.explain import Explained, Gradient, Layer, Numbers

NUMBER = 10
"""Columns of a number in a terminal, with the space before it."""
FIRST = 37
"""Columns of what stands before the numbers of a tensor."""


def register(app: typer.Typer) -> None:
    """Make `explain` a command of the app."""
    app.command()(explain)


def explain(
    config: ConfigName,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="K",
            help="Which seed is explained. Default: the config's first.",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="How many training samples are used.")
    ] = 4,
    step: Annotated[
        int,
        typer.Option("--step", metavar="T", help="Steps that are trained before, as by train."),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.html",
            help="Write a page as well, in which one steps through the code.",
            show_default=False,
        ),
    ] = None,
    overrides: Set = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Explain one step of training on a few samples, layer by layer.

    For each layer: its formula, what it takes and gives, the gradient that comes in and goes out,
    beside central differences, norms, dead units, and its share in the update. The step is the one
    that trains, in float64; large tensors are shown by their first numbers. --step T trains T steps
    first.

    \b
    Examples:
      minifw explain simplenet
      minifw explain simplenet --step 500 --samples 8
      minifw explain digits-cnn --out step.html
    """
    check_count("--samples", samples)
    if step < 0:
        raise UsageError(f"--step: must be at least 0, got {step}")
    if seed is not None and not 0 <= seed <= 2**32:
        raise UsageError(f"--seed: must be 0 to {2**32}, got {seed}")
    if out is not None:
        from minifw.runs import refuse_inside

        if out.exists() and Path(config).exists() and out.samefile(config):
            raise UsageError(f"--out: '{out}' is the config, and is not overwritten")
        refuse_inside(out, "--out")
    plan = plan_of(config, overrides, allow_code=allow_code)
    from minifw import explain as explaining

    try:
        found = explaining.explain(
            plan, plan.seeds[0] if seed is None else seed, samples=samples, step=step
        )
    except UsageError as fault:
        lines = (f"--{line}" if _is_option(line) else line for line in fault.lines)
        raise UsageError(*lines) from None
    if out is not None:
        from minifw.page.explained import document_of_step
        from minifw.page.html import html
        from minifw.system.files import write_output

        page = html(document_of_step(found, plan.config))
        write_output(out, page.encode(errors="backslashreplace"))
    if as_json:
        print_json({**_as_json(found), "page": None if out is None else str(out)})
        return
    print_explained(found)
    if out is not None:
        print(harmless(out))


def _is_option(line: str) -> bool:
    return line.startswith(("samples:", "step:"))


def print_explained(found: Explained) -> None:
    """Print a step: at a glance, then each layer, the loss and the optimiser."""
    from minifw.explain.text import conclusion, title

    print_wrapped(title(found))
    print()
    print(framed(*_glance(found), lines=False, right=(2, 3, 4, 5, 6)))
    for layer in found.layers:
        print()
        _print_layer(layer)
    cost = found.cost
    print()
    print_wrapped(f"loss, {cost.module}: {cost.formula}", indent=2)
    _print_tensors([cost.output, cost.target, cost.gradient])
    print(f"  L = {cost.value:.4g}")
    print()
    print_wrapped(f"update, {found.optimizer}: {found.rule}", indent=2)
    print(f"  η = {found.eta:g}; the update of all parameters has norm {found.update:.4g}")
    print()
    print_wrapped(conclusion(found))


def _glance(found: Explained) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the table of all layers: a line each."""
    head = ("layer", "y", "numbers", "|y|", "|dL/dy|", "dead", "update")
    rows: list[tuple[str, ...]] = []
    for layer in found.layers:
        size = sum(each.value.size for each in layer.parameters)
        rows.append(
            (
                layer.kind if layer.position is None else f"{layer.position} {layer.kind}",
                _shape(layer.output.shape),
                f"{size:,}" if size else "",
                f"{layer.output.norm:.4g}",
                "" if layer.came is None else f"{layer.came.numbers.norm:.4g}",
                "" if layer.dead is None else f"{layer.dead.in_step}/{layer.dead.units}",
                f"{100 * layer.share:.1f} %" if layer.parameters else "",
            )
        )
    return head, rows


def _print_layer(layer: Layer) -> None:
    name = "" if layer.name is None else f", {layer.name}"
    print_wrapped(f"{layer.where}{name}: {layer.formula}", indent=2)
    print_wrapped(f"  takes {' and '.join(layer.takes)}", indent=4)
    rows: list[Numbers | Gradient] = [*layer.inputs, layer.output]
    if layer.came is not None:
        rows.append(layer.came)
    for each in layer.parameters:
        rows += [each.value, each.gradient, each.change]
    rows += layer.given
    _print_tensors(rows)
    if layer.again:
        print_wrapped("  its parameters are those of an earlier layer, which has the sums")
    if layer.came is None:
        print_wrapped("  no gradient is made here: nothing in it or before it is trained", indent=2)
    elif not layer.given:
        print_wrapped("  dL/dx is not made: nothing before it is trained", indent=2)
    if (dead := layer.dead) is not None and dead.in_step:
        print_wrapped(
            f"  {dead.in_step} of {dead.units} units give 0 for all of these samples, "
            f"{dead.always} of them for all of the first {dead.samples} training samples",
            indent=2,
        )


def _print_tensors(rows: Sequence[Numbers | Gradient]) -> None:
    """Print a line for each tensor, and one more for the differences beside a gradient."""
    from minifw.explain import Gradient

    count = max(1, min(6, (width() - FIRST - 2) // NUMBER))
    first = "the first number" if count == 1 else f"the first {count} numbers"
    _print_line("", "shape", "norm", [first.rjust(count * NUMBER)])
    for row in rows:
        numbers = row.numbers if isinstance(row, Gradient) else row
        shown = _first(numbers.rows[0], numbers.size, count)
        _print_line(numbers.name, _shape(numbers.shape), f"{numbers.norm:.4g}", shown)
        if isinstance(row, Gradient) and row.numeric is not None:
            kink = "kink" if row.kinks else "nan"
            words = [kink if isnan(value) else value for value in row.numeric[0]]
            _print_line("  numeric", "", "", _first(words, numbers.size, count))


def _print_line(name: str, shape: str, norm: str, numbers: Sequence[str]) -> None:
    start = f"  {name:<15}{shape:>10}{norm:>10}"
    print_wrapped(
        start + "".join(number.rjust(NUMBER if number != " …" else 0) for number in numbers)
    )


def _first(row: Sequence[float | str], size: int, count: int) -> list[str]:
    """Return the first numbers of a row, the last one with a mark if there are more."""
    shown = [each if isinstance(each, str) else f"{each:.3g}" for each in row[:count]]
    shown += [""] * (count - len(shown))
    return [*shown, " …"] if size > min(len(row), count) else shown


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "1"


def _as_json(found: Explained) -> dict[str, Any]:
    """Return all that is known; NaN, on a kink, is null."""
    content = asdict(found)
    for layer, known in zip(content["layers"], found.layers, strict=True):
        layer["share"] = known.share
    return {key: _plain(value) for key, value in content.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [*map(_plain, value)]
    return None if isinstance(value, float) and not isfinite(value) else value
