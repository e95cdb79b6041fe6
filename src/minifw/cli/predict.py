"""The command that predicts with a run's networks: `minifw predict RUN FILE`."""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from minifw.cli.options import AllowCode, Json, OneMode, RunsDir, print_json, runs_like
from minifw.errors import UsageError, harmless, one_line
from minifw.system.files import write_output

if TYPE_CHECKING:
    from minifw.data.asked import Asked
    from minifw.experiment import estimates
    from minifw.experiment.prediction import Compared, Networks


def register(app: typer.Typer) -> None:
    """Make `predict` a command of the app."""
    app.command()(predict)


Asking = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's directory, its name, a part of its name, or a file of minifw export.",
        autocompletion=runs_like,
    ),
]


def predict(
    run: Asking,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File with the run's features, of any kind.")
    ],
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="K", help="Use only the network of this seed."),
    ] = None,
    all_seeds: Annotated[
        bool, typer.Option("--all-seeds", help="Add a column with what each seed says.")
    ] = False,
    mode: OneMode = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.csv", help="Write the table to this file, not to stdout."
        ),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """Predict classes, or numbers, of new samples with a run.

    All seeds vote. The table has for each sample: the class with the most votes (with equal votes,
    the one with the largest mean score); its number of votes; and for each class the mean score
    and its standard deviation over the seeds ("spread", with n - 1). A score is a probability
    (softmax) after training with cross-entropy, otherwise the network's output. Columns are found
    by name; other columns of the file are ignored. Generated data has columns x and y.

    Of regression the table has for each target the mean over the seeds and its standard deviation,
    in the target's own unit.

    \b
    Examples:
      minifw predict a1b2c3 new.csv
      minifw predict a1b2c3 new.csv --seed 0
      minifw predict a1b2c3 new.csv --all-seeds --out classes.csv
      minifw predict net.onnx new.csv
    """
    if all_seeds and seed is not None:
        raise UsageError("--all-seeds: cannot be used with --seed, which selects one seed")
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise UsageError(f"--out: '{out}' is the file to read, and is not overwritten")
    if out is not None:
        from minifw.runs import refuse_inside

        refuse_inside(out, "--out")
    if Path(run).is_file():
        networks, known, where = _exported(Path(run), seed, mode, out, allow_code=allow_code)
    else:
        networks, known, where = _of_run(runs_dir, run, seed, mode, allow_code=allow_code)
    about = networks.about
    answer = _estimated if about.targets else _voted
    lines, compared, asked = answer(networks, file, all_seeds)

    if out is not None:
        table = io.StringIO()
        _write(lines(), table)
        write_output(out, table.getvalue().encode())
    if as_json:
        print_json(
            {
                **where,
                "seeds": networks.seeds,
                "left_out": networks.left_out,
                "features": about.features,
                "classes": about.classes,
                "score": about.score,
                **({"targets": about.targets, "unit": about.unit} if about.targets else {}),
                "compared": compared and dataclasses.asdict(compared),
                "rows": list(lines()),
            }
        )
    elif out is None:
        _write(lines(), sys.stdout)
    else:
        print(harmless(out))
    _tell_left_out(networks)
    (_tell_errors if about.targets else _tell)(networks, compared)
    for note in asked.notes:
        print(one_line(f"minifw: data: {note}"), file=sys.stderr)
    if asked.checksum == known:
        what = "this is the file that the run was trained on: most of these samples are not new"
        print(f"minifw: {what}", file=sys.stderr)


Found = tuple["Networks", str | None, dict[str, str]]
"""Networks, the checksum of the file that they were trained on, and where they are from."""


def _of_run(
    runs_dir: Path, run: str, seed: int | None, mode: str | None, *, allow_code: bool
) -> Found:
    from minifw import runs

    found = runs.load(runs.find(runs_dir, run))
    from minifw.experiment import prediction

    networks = prediction.load(found, mode, seed, allow_code=allow_code)
    return networks, found.manifest.data_checksum, {"run_dir": str(found.path)}


def _exported(
    path: Path, seed: int | None, mode: str | None, out: Path | None, *, allow_code: bool
) -> Found:
    from minifw.export import load

    if out is not None and out.exists() and out.samefile(path):
        raise UsageError(f"--out: '{out}' is the file to read, and is not overwritten")
    networks, about = load(path, seed, mode, allow_code=allow_code)
    return networks, about.data_checksum, {"file": str(path)}


Answer = tuple[Callable[[], Iterable[dict[str, Any]]], Any, "Asked"]
"""A function that yields the table's lines; the comparison; and what the file holds."""


def _voted(networks: Networks, file: Path, all_seeds: bool) -> Answer:
    """Return the classes of the samples in a file."""
    from minifw.experiment import asking, prediction

    asked = asking.read(file, networks)
    found = prediction.predict(networks, asked.inputs)
    known = asked.classes
    compared = None if known is None else prediction.compare(found, networks, known)
    return lambda: prediction.lines(found, networks, all_seeds), compared, asked


def _estimated(networks: Networks, file: Path, all_seeds: bool) -> Answer:
    """Return the numbers of a regression for the samples in a file."""
    from minifw.experiment import asking, estimates

    asked = asking.read(file, networks)
    found = estimates.predict(networks, asked.inputs)
    compared = None if asked.targets is None else estimates.compare(found, asked.targets)
    return lambda: estimates.lines(found, networks, all_seeds), compared, asked


def _write(lines: Iterable[dict[str, Any]], file: TextIO) -> None:
    """Write a table as CSV, the column names first."""
    writer = csv.writer(file, lineterminator="\n")
    for number, line in enumerate(lines):
        if number == 0:
            writer.writerow(line)
        writer.writerow(line.values())


def _tell_left_out(networks: Networks) -> None:
    """Print on stderr which seeds diverged."""
    if networks.left_out:
        some = ", ".join(map(str, networks.left_out[:10]))
        more = " …" if len(networks.left_out) > 10 else ""
        print(f"minifw: left out, since diverged: seed {some}{more}", file=sys.stderr)


def _tell_errors(networks: Networks, compared: estimates.Compared | None) -> None:
    """Print on stderr how far the predictions are from the numbers in the file."""
    if compared is None or compared.rmse is None or compared.mae is None:
        return
    measure = networks.about.measure
    print(
        f"minifw: the file has {harmless(measure.of)} too: RMSE {measure.figure(compared.rmse)}, "
        f"MAE {measure.figure(compared.mae)}, of {compared.samples} samples",
        file=sys.stderr,
    )


def _tell(networks: Networks, compared: Compared | None) -> None:
    """Print on stderr how many samples have another class in the file."""
    if compared is None or not compared.samples:
        return
    column = f"minifw: the file has column '{harmless(networks.about.target)}' too"
    share = 100 * compared.different / compared.samples
    print(
        f"{column}: {compared.different} of {compared.samples} samples differ from it "
        f"({share:.2f} %)",
        file=sys.stderr,
    )
    if compared.unknown:
        some = ", ".join(f"'{harmless(name)}'" for name in compared.unknown[:5])
        more = " …" if len(compared.unknown) > 5 else ""
        print(f"{column}, with classes that this run does not know: {some}{more}", file=sys.stderr)
