"""The command that puts trained networks to use: `minifw predict RUN FILE`."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minifw.errors import UsageError, harmless
from minifw.options import Json, RunsDir, print_json

if TYPE_CHECKING:
    from minifw.prediction import Networks, Prediction


def register(app: typer.Typer) -> None:
    """Make `predict` a command of the app."""
    app.command()(predict)


def predict(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="A run's directory, its name, or a part of that."),
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or NPZ with its features.")],
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="K", help="Ask the network of this seed alone."),
    ] = None,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="Also a column for each seed's own choice.")
    ] = False,
    mode: Annotated[
        str | None,
        typer.Option("--mode", metavar="MODE", help="full-batch or sgd, where a run has both."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.csv", help="Write the table here, not to stdout."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: Json = False,
) -> None:
    """Say which class new samples are of, by the networks of a run.

    All seeds vote. For each sample: the class with the most votes and their number, and of each
    class the mean score and its standard deviation over the seeds ("spread"). A score is a
    probability (softmax) after training with cross-entropy, else the output itself. Columns are
    found by their names; others in the file are left alone.

    \b
    Examples:
      minifw predict a1b2c3 new.csv
      minifw predict a1b2c3 new.csv --seed 0
      minifw predict a1b2c3 new.csv --all-seeds --out classes.csv
    """
    if all_seeds and seed is not None:
        raise UsageError("--all-seeds: leave out --seed, which asks for one")
    from minifw import runs

    found = runs.load(runs.find(runs_dir, run))
    from minifw import datafiles, prediction

    networks = prediction.load(found, mode, seed)
    about = networks.about
    kind = "npz" if file.suffix.lower() == ".npz" else "csv"
    inputs, known = datafiles.read_inputs(file, kind, about.features, about.target)  # type: ignore[arg-type]
    answer = prediction.predict(networks, inputs)
    lines = list(prediction.rows(answer, networks, all_seeds))
    table = io.StringIO()
    writer = csv.DictWriter(table, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    if out is not None:
        from minifw.files import publish

        publish(out, table.getvalue().encode(errors="surrogateescape"))
    if as_json:
        print_json(
            {
                "run_dir": str(found.path),
                "seeds": networks.seeds,
                "left_out": networks.left_out,
                "features": about.features,
                "classes": about.classes,
                "score": about.score,
                "rows": lines,
            }
        )
    elif out is None:
        print(table.getvalue(), end="")
    _tell(networks, answer, known)
    if out is not None and not as_json:
        print(harmless(out))


def _tell(networks: Networks, answer: Prediction, known: list[str | None] | None) -> None:
    """Say on stderr what a reader of the table should know."""
    if networks.left_out:
        some = ", ".join(map(str, networks.left_out[:10]))
        more = " …" if len(networks.left_out) > 10 else ""
        print(f"minifw: left out, since diverged: seed {some}{more}", file=sys.stderr)
    if known is None:
        return
    classes = networks.about.classes
    pairs = [
        (classes[choice], name)
        for choice, name in zip(answer.chosen.tolist(), known, strict=True)
        if name is not None
    ]
    if pairs:
        wrong = sum(choice != name for choice, name in pairs)
        print(
            f"minifw: column '{harmless(networks.about.target)}' is there too: "
            f"{wrong} of {len(pairs)} samples differ from it ({100 * wrong / len(pairs):.2f} %)",
            file=sys.stderr,
        )
