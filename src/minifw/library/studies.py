"""Finished studies as objects, and the functions that do one: `minifw.sweep`.

A `Study` is read from its directory, as a `Run` is; each kind adds what it found out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from minifw import runs
from minifw.config import axes, loading, values
from minifw.config.loading import Parsed
from minifw.config.packaged import find_config
from minifw.data import Floats
from minifw.errors import ConfigError, UsageError
from minifw.library import progress as displays
from minifw.library.arguments import on_threads, path_of, whole
from minifw.library.progress import say
from minifw.report import plots, sweeps
from minifw.report.tables import Table, counted
from minifw.runs.studies import CELLS, results_of
from minifw.study import cells as making
from minifw.study import guided as searching
from minifw.study import running
from minifw.study import sweeps as sweeping
from minifw.system.environment import quiet_matplotlib

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Study:
    """A finished study of any kind, read from its directory."""

    kind: ClassVar[str]
    """The word of the manifest for this kind."""

    def __init__(self, run: runs.Run) -> None:
        status = run.status()
        if status not in runs.OVER:
            raise UsageError(
                f"{run.path}: this run is {status}; minifw resume {run.path} completes it"
            )
        if run.manifest.kind != self.kind:
            raise UsageError(f"{run.path}: is a run of {run.manifest.kind}, not of {self.kind}")
        self._run = run
        self.status = status
        """`complete`, or `diverged` if every network diverged."""
        self._results = results_of(run)

    @classmethod
    def load(
        cls, run: str | os.PathLike[str], *, runs_dir: str | os.PathLike[str] = "runs"
    ) -> Self:
        """Return a finished study; arguments and errors are those of `minifw.load`."""
        name = os.fspath(path_of("run", run)) if run != "" else ""
        return cls(runs.load(runs.find(path_of("runs_dir", runs_dir), name)))

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self._run.path

    @property
    def name(self) -> str:
        """The name of the config."""
        return self._run.manifest.name

    def frame(self) -> pandas.DataFrame:
        """Return all measurements as a pandas DataFrame, a row for each number.

        Columns: run (its name), cell (its number), seed, epoch, metric, value. The value is NaN
        from where a network has diverged.

        Raises:
            UsageError: pandas is not installed.

        """
        try:
            import pandas
        except ImportError:
            raise UsageError(
                "frame: needs pandas, which is not installed: pip install pandas; "
                f"{self.path / 'metrics.csv'} has the same"
            ) from None
        import io

        text = io.BytesIO(self._run.read("metrics.csv"))
        frame: pandas.DataFrame = pandas.read_csv(
            text, dtype={"run": str, "metric": str, "value": str}, keep_default_na=False
        )
        # Not by pandas, whose numbers may differ in the last digit.
        words = frame["value"].replace("", "nan").to_numpy(dtype=str)
        frame["value"] = words.astype(np.float64)
        return frame

    def table(self) -> Table:
        """Return the main table: `rows`, `markdown()`, `csv()`, `latex()`, `json()`, `html()`."""
        raise NotImplementedError

    def figure(self) -> Figure:
        """Draw the main figure."""
        raise NotImplementedError

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Make one page of the study, as `minifw report` does, and return where it is.

        Args:
            path: the HTML file; by default `report.html` in the run's directory.

        Raises:
            StorageError: it could not be written.

        """
        from minifw.page import writing  # templates, which few programs need

        out = None if path is None else path_of("report", path)
        return writing.write_report([self.path], out)

    def _drawn(self, figure: Figure) -> Figure:
        """Return the figure, so that a notebook shows it."""

        def picture() -> bytes:
            with plots.defaults():
                return plots.png(figure, dpi=100)

        vars(figure)["_repr_png_"] = picture
        return figure

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table."""
        return self.table().html()

    def __repr__(self) -> str:
        cells = counted(len(self._results.cells), "cell")
        return f"<{type(self).__name__} {self.path}: {self.status}, {cells}>"


@dataclass(frozen=True)
class SweepCell:
    """A cell of a sweep; arrays have a number for each seed, NaN if it diverged.

    Attributes:
        number: its number, as in `frame()` and in the table.
        name: its values as text.
        set: its values by their dotted keys.
        seeds: its seeds.
        test_error, validation_error, train_error: in percent; `validation_error` is None without
            validation samples.
        train_loss: in the scale of the loss.
        epochs: how far it was trained; less than its config says if the sweep stopped it.
        diverged: how many seeds diverged.
        median: median test error of the others, None if there are none.
        interval: 95 % bootstrap interval of this median, None where it is not defined, as of folds.
        rank: by validation error, 1 for the best; None if the cell is not ranked.
        stopped_epoch: with early stopping, the epoch after which each seed ended, None for a seed
            that trained to the end; None without it.
        best_epoch: that of each seed's best evaluation; None without early stopping.
        mean: mean test error of the seeds that did not diverge.
        mean_interval: its 95 % interval: bootstrap, or of folds corrected for training samples that
            overlap.

    """

    number: int
    name: str
    set: dict[str, Any]
    seeds: tuple[int, ...]
    test_error: Floats
    validation_error: Floats | None
    train_error: Floats
    train_loss: Floats
    epochs: int
    diverged: int
    median: float | None
    interval: tuple[float, float] | None
    rank: int | None
    stopped_epoch: tuple[int | None, ...] | None = None
    best_epoch: tuple[int, ...] | None = None
    mean: float | None = None
    mean_interval: tuple[float, float] | None = None


class Sweep(Study):
    """A finished sweep; `minifw.sweep` and `minifw.load` return one."""

    kind = "sweep"

    def __init__(self, run: runs.Run) -> None:
        super().__init__(run)
        self._report = sweeps.Report.of(self._results, str(run.path / CELLS))

    @cached_property
    def cells(self) -> tuple[SweepCell, ...]:
        """All cells, in the order of the sweep."""
        found = []
        outcome = self._report.outcome
        for cell, mine in zip(self._results.cells, outcome.cells, strict=True):
            validation = cell.validation_error
            interval, of_mean = mine.interval, mine.mean_interval
            found.append(
                SweepCell(
                    cell.number,
                    cell.name,
                    dict(cell.set),
                    tuple(cell.seeds),
                    np.array(cell.test_error, np.float64),
                    None if validation is None else np.array(validation, np.float64),
                    np.array(cell.train_error, np.float64),
                    np.array(cell.train_loss, np.float64),
                    cell.epochs,
                    mine.diverged,
                    mine.median,
                    None if interval is None else (interval[0], interval[1]),
                    mine.rank,
                    None if cell.stopped_epoch is None else tuple(cell.stopped_epoch),
                    None if cell.best_epoch is None else tuple(cell.best_epoch),
                    mine.mean,
                    None if of_mean is None else (of_mean[0], of_mean[1]),
                )
            )
        return tuple(found)

    @property
    def best(self) -> SweepCell | None:
        """The best cell by validation error; None without validation samples."""
        return next((cell for cell in self.cells if cell.rank == 1), None)

    @property
    def best_config(self) -> Path:
        """The file with the config of the best cell, for `minifw.train`.

        Raises:
            UsageError: no cell is the best.

        """
        if self.best is None:
            raise UsageError(f"{self.path}: no cell is the best; a sweep needs validation samples")
        return self.path / sweeping.BEST

    def table(self) -> Table:
        return sweeps.table(self._report)

    def figure(self) -> Figure:
        with plots.defaults():
            return self._drawn(sweeps.drawings(self._report)["cells"]())


def sweep(
    config: str | os.PathLike[str] | Mapping[str, Any],
    over: Mapping[str, Any] | None = None,
    *,
    seeds: int | None = None,
    samples: int | None = None,
    halving: int | None = None,
    guided: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    threads: int | None = None,
    allow_code: bool = False,
    progress: bool | None = None,
) -> Sweep:
    """Train a config with many settings, each over the same seeds, and return the sweep.

    It does the same as `minifw sweep`, with the same results and files.

    Args:
        config: the name of a packaged config, the path of a YAML file, or a mapping with the keys
            of one.
        over: by dotted key, a list of values: `{"train.eta": [0.01, 0.1]}`; or a draw, as
            `{"train.eta": {"log-uniform": [1e-3, 1]}}`. `"train.eta:train.epochs"` has pairs. By
            default what the config's section `sweep` says.
        seeds: how many seeds each cell has; by default the config's number, else 20.
        samples: how many cells are drawn, if `over` has draws.
        halving: stop cells early; after each rung only the best of so many in one go on.
        guided: let Optuna propose so many cells, each batch by what was found before.
        overrides: values by their dotted keys, for all cells; as for `minifw.train`.
        runs_dir: the folder in which the run's directory is made.
        threads: CPU threads during this call; by default torch's own number.
        allow_code: whether the config may run the Python files that it names.
        progress: whether to show progress; by default it is shown on a terminal and in a
            notebook.

    Raises:
        ConfigError: the config or cells have faults; the message has one line for each.
        UsageError: another argument is wrong, or nothing varies.
        DataError: the data file cannot be used.
        DivergedError: all seeds of all cells diverged. The run is complete, and `minifw.load`
            reads it.
        StorageError: something could not be written.
        Interrupted: a signal came (it is not an Exception); `minifw resume` continues the run.

    """
    values.check_overrides({} if overrides is None else overrides)
    given = dict(overrides or {})
    if seeds is not None:
        given["seeds"] = whole("seeds", seeds)
    varied = None
    if over is not None:
        if not isinstance(over, Mapping) or not over:
            what = "must be a mapping of dotted keys, as {'train.eta': [0.01, 0.1]}"
            raise UsageError(f"over: {what}, got {over!r}")
        count = None if samples is None else whole("samples", samples)
        if guided is not None:
            count = whole("guided", guided)
        varied = axes.of_values(values.plain(over, "over"), count, 0, "over")
    elif samples is not None:
        raise UsageError("samples: is for `over` with a draw; a config has sweep.samples")
    folder = path_of("runs_dir", runs_dir)
    options: dict[str, Any] = {}
    if halving is not None:
        options["halving"] = _halving(halving, guided)
    with on_threads(threads) as used, quiet_matplotlib():
        try:
            read = parsed("sweep", config, allow_code)
            sets = values.assignments(given)
            if guided is None:
                made = making.make(read, sets, varied)
                plan, base = sweeping.plan(made, used, **options)
                for note in made.notes:
                    say(note)
            else:
                trials = whole("guided", guided)
                plan, base = searching.begin(read, sets, varied, trials, used)
        except ConfigError as error:
            raise values.explained(error, given) from None
        show = displays.for_program(progress)
        outcome = running.start(plan, sweeping.Sweep(), base, folder, show, say)
    outcome.results.check_converged(str(outcome.run.path))
    return Sweep(outcome.run)


def _halving(value: object, guided: object) -> int:
    """Return the argument `halving`, checked."""
    if guided is not None:
        raise UsageError("halving: cannot be combined with guided")
    if (number := whole("halving", value)) < 2:
        raise UsageError(f"halving: must be at least 2, got {number}")
    return number


def parsed(what: str, config: object, allow_code: bool) -> Parsed:
    """Return the config that a function was given; `what` is its name, for messages."""
    if isinstance(config, Mapping):
        return values.parsed(config, allow_code=allow_code)
    if not isinstance(config, str | os.PathLike):
        raise UsageError(
            f"{what}: config must be the name of a packaged config, the path of a YAML file or a "
            f"mapping, got {type(config).__name__}"
        )
    path = find_config(config) if isinstance(config, str) else Path(config)
    return loading.read(path, allow_code=allow_code, option="overrides")
