"""The commands about configs: validate, show, schema and init."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import (
    AllowCode,
    AskedTask,
    ConfigName,
    Json,
    Seeds,
    Set,
    Target,
    configs_like,
    print_json,
    task_of,
)
from minifw.cli.planning import import_torch, plan_of
from minifw.cli.terminal import print_rows, print_wrapped
from minifw.config.packaged import packaged_config
from minifw.errors import MinifwError, UsageError, harmless, one_line
from minifw.system.files import publish

if TYPE_CHECKING:
    from minifw.config.source import KeyPath, Source
    from minifw.experiment import Plan


def register(app: typer.Typer) -> None:
    """Make these functions commands of the app."""
    for command in (validate, show, schema, init):
        app.command()(command)


def validate(
    configs: Annotated[
        list[str],
        typer.Argument(
            help="YAML files, or names of packaged configs.", autocompletion=configs_like
        ),
    ],
    overrides: Set = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Check configs as `train` would, without training.

    All faults of all files are reported: of the config, of its data file, and whether the run
    would fit into memory.

    \b
    Examples:
      minifw validate mine.yaml
      minifw validate configs/*.yaml --set dtype=float64
    """
    found = []
    codes = []
    for name in configs:
        faults: list[str] = []
        try:
            plan = plan_of(name, overrides, allow_code=allow_code)
            # Only samples can show some faults, as numbers beyond the dtype: draw one seed.
            plan.draw(plan.seeds[:1])
            if plan.config.sweep is not None:
                _check_cells(name, overrides, allow_code)
        except MinifwError as fault:
            faults = [*fault.lines]
            codes.append(fault.exit_code)
        found.append({"config": name, "ok": not faults, "faults": faults})
        if as_json:
            continue
        if faults:
            print("\n".join(faults), file=sys.stderr)
        else:
            print(f"{harmless(name)}: ok")
    if as_json:
        print_json({"configs": found})
    if codes:
        raise typer.Exit(max(codes))


def show(
    config: ConfigName,
    overrides: Set = None,
    seeds: Seeds = None,
    graph: Annotated[
        bool, typer.Option("--graph", help="Show the network as a picture, and nothing else.")
    ] = False,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Show every key of a config, and the sizes of the network.

    Each key is shown with its value and where the value comes from. --graph draws the network:
    each value runs down a lane to the last layer that takes it.

    \b
    Examples:
      minifw show mine.yaml
      minifw show residual --graph
      minifw show simplenet --seeds 20 --set data.kind=moons
    """
    plan = plan_of(config, overrides, seeds, allow_code=allow_code)
    if graph and not as_json:
        print_graph(plan)
        return
    values = _leaves(plan.config.model_dump(mode="json"))
    layers = _layers(plan)
    needed, free = _memory(plan)
    why_plain = plan.why_plain(plan.modes[0])
    if as_json:
        print_json(
            {
                "config": plan.config.model_dump(mode="json"),
                "from": {_key(path): _origin(path, plan.source) for path, _ in values},
                "network": layers,
                "memory": {"needed": needed, "available": free},
                "compiled": why_plain is None,
                "not_compiled": why_plain,
            }
        )
        return
    from minifw.errors import short_word
    from minifw.system.machine import gigabytes

    print(f"{plan.source.name}, each value with its line:column there\n")
    rows = [
        (_key(path), short_word(_as_written(value)), _origin(path, plan.source, brief=True))
        for path, value in values
    ]
    print_rows(("key", "value", "from"), rows)
    total = {key: sum(layer[key] for layer in layers) for key in ("parameters", "operations")}
    lines = [
        (f"{i} {x['layer']}", _output(x["output"]), f"{x['parameters']:,}", f"{x['operations']:,}")
        for i, x in enumerate(layers)
    ]
    lines.append(("total", "", f"{total['parameters']:,}", f"{total['operations']:,}"))
    print()
    print_rows(("layer", "output", "parameters", "operations"), lines, right=(1, 2, 3))
    samples = f"{plan.sizes.train} training and {plan.sizes.test} test"
    if kept := plan.sizes.validation:
        samples = f"{plan.sizes.train} training, {kept} validation and {plan.sizes.test} test"
    made_of = "".join(f"; {words}" for words in plan.config.data.alteration.words)
    outputs = f"{plan.sizes.classes} classes"
    if plan.measure.targets:
        outputs = f"predicts {plan.measure.of}"
    print(
        f"\nData: {plan.sizes.features} features, {outputs}, "
        f"{samples} samples{made_of}.\n"
        f"{_divided(plan)}"
        "Parameters are those of one seed. Operations are the multiplications and\n"
        "additions of the forward pass of one sample; an activation counts one each.\n"
        f"Memory, {plan.sizes.seeds} seed(s): about {gigabytes(needed)} besides the program; "
        f"{gigabytes(free)} are free."
    )
    if why_plain is None:
        print_wrapped(f"Steps are compiled; minifw compile {config} --show prints the C.")
    else:
        print_wrapped(f"Steps are not compiled: {why_plain}.")


def print_graph(plan: Plan) -> None:
    """Print the network of a plan as a picture."""
    from minifw.cli.terminal import print_picture
    from minifw.explain import drawing
    from minifw.explain.sketch import sketch

    picture = sketch(plan.config, plan.sizes.features)
    print_picture(drawing.text(picture))
    print()
    folds = " Blocks of layers that are repeated are shown once." if picture.folds else ""
    print_wrapped(
        f"{plan.config.name}: {picture.parameters:,} parameters. Outputs are those of one "
        f"sample.{folds}"
    )


def schema() -> None:
    """Print the JSON Schema of a config, for editors.

    \b
    Example:
      minifw schema > schema.json
    and as the first line of a config beside it:
      # yaml-language-server: $schema=schema.json
    """
    from minifw.config import schema as schemas

    print(schemas.text(), end="")


def init(
    name: Annotated[str, typer.Argument(help="Name of the experiment, and of its file.")] = (
        "experiment"
    ),
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="A data file, which the config is to fit."),
    ] = None,
    target: Target = None,
    task: AskedTask = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A key of data, as data.header=false. Repeatable."
        ),
    ] = None,
) -> None:
    """Write a config to start from, NAME.yaml, with comments.

    It can be trained without changes. An existing file is never overwritten. With --data it fits a
    data file: target and task, columns that are no features, gaps, layers and their sizes.

    \b
    Examples:
      minifw init
      minifw init two-moons
      minifw init birds --data birds.csv --target species
    """
    from minifw.config.name import name_fault

    if wrong := name_fault(name):
        raise UsageError(f"NAME: {wrong}; it becomes NAME.yaml")
    path, notes = Path(f"{name}.yaml"), tuple[str, ...]()
    if data is None:
        for option, given in (("--target", target), ("--task", task), ("--set", overrides)):
            if given:
                raise UsageError(f"{option}: is for --data FILE, of which none is given")
        # The first line names a schema file that exists only beside the packaged configs.
        text = packaged_config("starter").read_text(encoding="utf-8").partition("\n")[2]
        text = text.replace("name: starter", f"name: {name}")
    else:
        import_torch()
        from minifw.experiment import starting

        started = starting.start(name, data, target, task_of(task), overrides or [])
        text, notes = started.text, started.notes
    publish(path, text.encode(), replace=False)
    print(path)
    for note in notes:
        print(one_line(f"minifw: {note}"), file=sys.stderr)
    print(f"minifw: now edit it, or: minifw train {path}", file=sys.stderr)


# ------------------------------------------------------------------------------------- the work


def _check_cells(name: str, overrides: list[str] | None, allow_code: bool) -> None:
    """Check the cells of a config with a section `sweep`, as `minifw sweep` would."""
    from minifw.config import loading
    from minifw.config.packaged import find_config
    from minifw.study import cells, sweeps

    parsed = loading.read(find_config(name), allow_code=allow_code)
    sweeps.plan(cells.make(parsed, overrides or ()), 1)


def _divided(plan: Plan) -> str:
    """Return how the samples of a table are divided, in lines; nothing of generated data."""
    if plan.division is None:
        return ""
    import textwrap

    return textwrap.fill(f"Seeds: {plan.division}.", 79) + "\n"


def _memory(plan: Plan) -> tuple[int, int]:
    from minifw.system.machine import available

    return plan.sizes.bytes(), available()


def _leaves(value: Any, path: KeyPath = ()) -> list[tuple[KeyPath, Any]]:
    """Return all values with their paths; a list of plain values counts as one value."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [leaf for i, inner in enumerate(value) for leaf in _leaves(inner, (*path, i))]
    return [(path, value)]


def _key(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _origin(path: KeyPath, source: Source, brief: bool = False) -> str:
    place = source.places.get(path)
    if place is None:
        return "default"
    return f"{place.line}:{place.column}" if brief and not place.given else str(place)


def _as_written(value: Any) -> str:
    """Return the value as it would stand in a config, on one line."""
    from minifw.config import yaml12

    if isinstance(value, list):
        return f"[{', '.join(map(_as_written, value))}]"
    return yaml12.dump({"a": value})[3:].strip()


def _output(shape: int | list[int]) -> str:
    from minifw.config.wiring import in_words

    return str(shape) if isinstance(shape, int) else in_words(tuple(shape))


def _layers(plan: Plan) -> list[dict[str, Any]]:
    from minifw.config.wiring import INPUTS, wiring

    wired = wiring(plan.config)
    layers = []
    for position, size in enumerate(wired.sizes(plan.sizes.features)):
        own = plan.config.network[position]
        found: dict[str, Any] = {
            "layer": own.word if wired.used[position] == position else f"use {own.layer}",
            "output": size.shape[0] if len(size.shape) == 1 else list(size.shape),
            "parameters": size.parameters,
            "operations": size.operations,
        }
        if own.name is not None:
            found["name"] = own.name
        if not wired.is_chain:
            taken = [number - 1 for number in wired.inputs[position]]
            found["from"] = [INPUTS if before < 0 else before for before in taken]
        layers.append(found)
    return layers
