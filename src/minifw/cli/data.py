"""The command that says what is in a data file, or in the data of a config: `minifw data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minifw.cli.options import (
    AllowCode,
    AskedTask,
    Json,
    Set,
    Target,
    configs_like,
    print_json,
    task_of,
)
from minifw.cli.planning import import_torch
from minifw.cli.terminal import print_rows, print_wrapped
from minifw.errors import DataError, UsageError, harmless, short, short_word
from minifw.system.files import write_output

if TYPE_CHECKING:
    from minifw.data.facts import ColumnFacts
    from minifw.experiment.looking import Looked

MOST_COLUMNS = 40
"""Columns that are listed; all are in the JSON object."""
MOST_CLASSES = 10
MOST_POINTS = 5000
"""Points that are drawn; of more samples these are drawn by lot, the same each time."""
ENDINGS = (".png", ".svg", ".pdf")


def register(app: typer.Typer) -> None:
    """Make `data` a command of the app."""
    app.command()(data)


def data(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|CONFIG",
            help="A data file, or a config (a YAML file or a packaged one).",
            autocompletion=configs_like,
        ),
    ],
    target: Target = None,
    task: AskedTask = None,
    overrides: Set = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="IMAGE",
            help="Draw two features, or the first two principal components, coloured by the "
            "target. PNG, SVG or PDF, by the ending.",
        ),
    ] = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Show what is in a data file, or in the data of a config.

    How they will be used is shown too: rows; columns with their kind, range and gaps; classes or
    targets; samples that are there twice, in the training and the test part of the first seed too.
    A file without a config is used as by the config that `minifw init --data` would write.

    \b
    Examples:
      minifw data birds.csv --target species
      minifw data mine.yaml --plot mine.png
      minifw data iris.csv --set data.missing=drop
    """
    if plot is not None and plot.suffix.lower() not in ENDINGS:
        raise UsageError(f"--plot: must end in .png, .svg or .pdf, got {short(str(plot))}")
    if plot is not None:
        from minifw.runs import refuse_inside

        refuse_inside(plot, "--plot")
    chosen = task_of(task)
    import_torch()
    path = Path(what)
    if path.suffix in (".yaml", ".yml") or not (path.exists() or path.suffix):
        found = _of_config(what, target, chosen, overrides or [], allow_code)
    else:
        try:
            found = _of_file(what, target, chosen, overrides or [])
        except DataError:
            if not as_json and target is None:  # who sees the columns can name one
                _print_columns_alone(path)
            raise
    if plot is not None:
        write_output(plot, _drawn(what, found, plot.suffix.lower()))
    if as_json:
        print_json(_as_json(what, found) | ({"plot": str(plot)} if plot else {}))
        return
    _print(what, found)
    if plot is not None:
        print(harmless(plot))


def _of_file(what: str, target: list[str] | None, task: Any, overrides: list[str]) -> Looked:
    from minifw.experiment import looking, starting

    started = starting.start("data", what, target, task, overrides)
    return looking.look(started.config, started.columns, started.notes)


def _of_config(
    what: str, target: list[str] | None, task: Any, overrides: list[str], allow_code: bool
) -> Looked:
    from minifw.config import axes, loading
    from minifw.config.packaged import find_config
    from minifw.experiment import looking

    given = [*overrides]
    if target is not None:
        given.append(f"data.target={axes.in_one_line(target if len(target) > 1 else target[0])}")
    if task is not None:
        given.append(f"data.task={task}")
    config = loading.load(find_config(what), given, allow_code=allow_code)
    return looking.look(config)


def _drawn(what: str, found: Looked, ending: str) -> bytes:
    """Return the figure as the content of a file."""
    import numpy as np

    from minifw.data.facts import plane_of
    from minifw.report import plots, points

    inputs, labels = found.samples
    rows = len(inputs)
    if rows > MOST_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
        inputs, labels = inputs[chosen], labels[chosen]
    name = found.targets[0].name if found.targets else found.target
    values = labels.reshape(len(labels), -1)[:, 0]
    with plots.defaults():
        figure = points.figure(
            f"{Path(what).name}: {_title(found)}",
            plane_of(inputs, found.features),
            values,
            [*found.classes],
            name,
            rows,
        )
        if ending == ".png":
            return plots.png(figure, dpi=150)
        return plots.svg(figure) if ending == ".svg" else plots.pdf(figure)


def _title(found: Looked) -> str:
    features = len(found.features)
    kinds = f"{len(found.classes)} classes" if found.classes else "a regression"
    return f"{features} feature{'s' * (features != 1)}, {kinds}"


# ------------------------------------------------------------------------------------- as text


def _print(what: str, found: Looked) -> None:
    print_wrapped(
        f"{what}: {found.rows:,} rows, {len(found.columns)} columns, kind {found.config.data.word}"
    )
    print()
    _print_columns(found.columns)
    print()
    for line in _sentences(found):
        print_wrapped(line, indent=2)
    if found.notes:
        print("\nNoticed:")
        for note in found.notes:
            print_wrapped(f"- {note}", indent=2)


def _print_columns(columns: Sequence[tuple[ColumnFacts, str]]) -> None:
    """Print a line for each column, of many for the first."""
    rows = [
        (
            short_word(facts.name),
            use,
            facts.kind,
            str(facts.missing) if facts.missing else "",
            f"{facts.different:,}",
            _holds(facts),
        )
        for facts, use in columns[:MOST_COLUMNS]
    ]
    print_rows(("column", "use", "kind", "missing", "different", "holds"), rows, right=(3, 4))
    if len(columns) > MOST_COLUMNS:
        print(f"and {len(columns) - MOST_COLUMNS} more columns; --json has all")


def _print_columns_alone(path: Path) -> None:
    """Print what is in the columns of a file that cannot be used as asked, if it can be read."""
    from minifw.experiment import looking

    try:
        columns = looking.columns_alone(path)
    except (DataError, OSError):
        return
    print_wrapped(f"{path}: {columns[0].rows:,} rows, {len(columns)} columns")
    print()
    _print_columns([(facts, "") for facts in columns])


def _holds(facts: ColumnFacts) -> str:
    """Return a column's range and mean, or its most frequent values."""
    wrong = f"; {facts.wrong} are no numbers" if facts.wrong else ""
    if facts.low is not None:
        low, high = map(_number, (facts.low, facts.high))
        return f"{low} to {high}, mean {facts.mean:.4g}{wrong}"
    named = ", ".join(f"{short_word(name)} {count}" for name, count in facts.frequent)
    return named + (", …" if facts.different > len(facts.frequent) else "") + wrong


def _number(value: float | None) -> str:
    """Return a number in few digits, a whole one in all of its own."""
    assert value is not None
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"


def _sentences(found: Looked) -> list[str]:
    """Return what is in the rows, and how they are used, a line each."""
    lines = []
    count = len(found.samples[1])
    if found.targets:
        for each in found.targets:
            lines.append(
                f"Target {short_word(each.name)}: {_holds(each)}, standard deviation "
                f"{each.deviation:.4g}: the RMSE of guessing the mean."
            )
    else:
        by_count = sorted(found.classes.items(), key=lambda item: -item[1])
        named = ", ".join(f"{short_word(name)} {n:,}" for name, n in by_count[:MOST_CLASSES])
        more = f" and {len(by_count) - MOST_CLASSES} more" if len(by_count) > MOST_CLASSES else ""
        lines.append(
            f"Target {short_word(found.target)}: {len(found.classes)} classes: {named}{more}. "
            f"To guess the most frequent one is wrong in {found.guess:.1f} %."
        )
    same, sizes = found.same, found.sizes
    doubles = f"Duplicates: {same.repeated:,} of {count:,} samples have the features of another"
    if found.classes:
        doubles += f"; {same.contradicting:,} have those of a sample of another class"
    lines.append(doubles + ".")
    lines.append(
        f"In seed {found.config.seed}, {found.seen:,} of {sizes.test:,} test samples have the "
        "features of a training sample."
    )
    words = len(found.features)
    used = [facts for facts, use in found.columns if use == "feature"]
    one_hot = [facts for facts in used if facts.kind == "words"]
    of_words = ""
    if one_hot:
        some = ", ".join(short_word(each.name) for each in one_hot[:5])
        of_words = f", one-hot from {some}{', …' if len(one_hot) > 5 else ''}"
    lines.append(f"Used: {count:,} samples of {words} features{of_words}. {_division(found)}")
    lines.append(_treated(found))
    return lines


def _division(found: Looked) -> str:
    """Return how many samples are for what, and how they are divided."""
    section, sizes = found.config.data, found.sizes
    parts = f"{sizes.train:,} for training, {sizes.test:,} for testing"
    if sizes.validation:
        parts += f", {sizes.validation:,} for validation"
    if found.is_generated:
        return f"{parts}; drawn anew for each seed."
    how = {"random": "by lot", "stratified": "each with the classes' shares"}.get(
        section.split, f"in whole groups, of which there are {found.groups}"
    )
    if section.folds:
        return f"{parts}: {section.folds} folds, {how}."
    anew = "the same for all seeds" if section.split_seed is not None else "anew for each seed"
    if getattr(section, "test_path", None):
        return f"{parts}: the test file, and {how} {anew}."
    return f"{parts}, {how}, {anew}."


def _treated(found: Looked) -> str:
    """Return what happens to the values."""
    section = found.config.data
    missing: str = getattr(section, "missing", None) or ""
    gaps = {
        "error": "Gaps: none is allowed (data.missing: error).",
        "drop": "Gaps: rows with any are left out.",
    }.get(missing, f"Gaps: filled with the {missing} of the training samples of each seed.")
    kept = "Features are normalised by the training samples of each seed."
    if not section.normalize:
        kept = "Features are used as they are."
    if altered := "; ".join(section.alteration.words):
        kept += f" Training samples are altered: {altered}."
    return f"{gaps} {kept}" if missing else kept


# ------------------------------------------------------------------------------------- as JSON


def _as_json(what: str, found: Looked) -> dict[str, Any]:
    def about(facts: ColumnFacts) -> dict[str, Any]:
        number = {
            "low": facts.low, "high": facts.high, "mean": facts.mean,
            "standard_deviation": facts.deviation,
        }  # fmt: skip
        return {
            "name": facts.name, "kind": facts.kind, "missing": facts.missing,
            "wrong": facts.wrong, "different": facts.different,
            **(number if facts.kind == "number" else {"most_frequent": dict(facts.frequent)}),
        }  # fmt: skip

    sizes = found.sizes
    return {
        "data": what,
        "kind": found.config.data.word,
        "rows": found.rows,
        "columns": [about(facts) | {"use": use} for facts, use in found.columns],
        "samples": len(found.samples[1]),
        "features": [*found.features],
        "task": "regression" if found.targets else "classification",
        "target": found.target,
        **({"targets": [about(each) for each in found.targets]} if found.targets else {}),
        **({} if found.targets else {"classes": found.classes}),
        "error_of_guessing": found.guess,
        "duplicates": {
            "repeated": found.same.repeated,
            "contradicting": found.same.contradicting if found.classes else None,
            "test_in_training": found.seen,
        },
        "parts": {"train": sizes.train, "test": sizes.test, "validation": sizes.validation},
        "folds": getattr(found.config.data, "folds", None),
        "missing": getattr(found.config.data, "missing", None),
        "notes": [*found.notes],
    }
