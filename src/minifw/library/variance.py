"""A finished study of variance as an object, and the function that does one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from minifw import runs
from minifw.config import values
from minifw.data import Floats
from minifw.errors import ConfigError, UsageError
from minifw.library import progress as displays
from minifw.library.arguments import on_threads, path_of, whole
from minifw.library.progress import say
from minifw.library.studies import Study, parsed
from minifw.report import plots
from minifw.report import variance as reporting
from minifw.report.tables import Table
from minifw.runs.studies import CELLS
from minifw.statistics.components import Components, components
from minifw.study import running
from minifw.study import variance as studying
from minifw.system.environment import quiet_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Variance(Study):
    """A finished study of variance; `minifw.variance` and `minifw.load` return one.

    Parts of the variance are "data", "init" and "order", which are purposes of seeds, and
    "interaction", their interaction.
    """

    kind = "variance"

    def __init__(self, run: runs.Run) -> None:
        super().__init__(run)
        self._report = reporting.Report.of(self._results, str(run.path / CELLS))

    @property
    def shares(self) -> dict[str, float | None]:
        """The share of each part in the variance of the test error, which sum to 1.

        A network that diverged counts as 100 % error, of regression as the largest error. None if
        all errors are the same.
        """
        return {str(part): share for part, share in self._report.outcome.shares.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float] | None]:
        """The 95 % interval of each share; None for a purpose with one seed."""
        found = self._report.outcome.intervals
        return {part: None if pair is None else (pair[0], pair[1]) for part, pair in found.items()}

    @property
    def total_sd(self) -> float:
        """Standard deviation of a test error in its unit, all seeds new; NaN if all diverged."""
        found = self._report.outcome.total_sd
        return math.nan if found is None else found

    @property
    def test_set(self) -> float | None:
        """The share of the variance that is expected from the finite test set alone.

        It is a part of the shares of data and interaction.
        """
        return self._report.outcome.test_set

    @property
    def errors(self) -> Floats:
        """Test error of each network, `(data, init, order)`; NaN if it diverged."""
        return self._report.errors

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds of each purpose, in the order of the axes of `errors`."""
        return self._report.outcome.seeds

    @cached_property
    def _components(self) -> Components:
        errors = self.errors
        known = errors[~np.isnan(errors)].tolist()
        return components(errors, worst=self._report.outcome.measured.worst(known))

    def seeds_needed(self, difference: float, power: float = 0.8) -> int | None:
        """Return how many seeds each of two configs needs to show that their means differ.

        Args:
            difference: of the mean test errors, in points, or of regression in their unit.
            power: the probability with which it is found, by a two-sided paired t-test at 5 %.

        None if all networks diverged.

        """
        regression = bool(self._report.outcome.targets)
        studying.check_difference("difference", _number("difference", difference), regression)
        if not 0 < _number("power", power) < 1:
            raise UsageError(f"power: must be between 0 and 1, got {power!r}")
        if np.isnan(self.errors).all():
            return None
        return self._components.seeds_needed(float(difference), float(power))

    def table(self) -> Table:
        return reporting.tables(self._report)["shares"]

    def figure(self) -> Figure:
        with plots.defaults():
            return self._drawn(reporting.drawings(self._report)["variance"]())

    def __repr__(self) -> str:
        return f"<Variance {self.path}: {self.status}, {reporting.crossed(self._report)}>"


def variance(
    config: str | os.PathLike[str] | Mapping[str, Any],
    *,
    data: int = studying.COUNTS["data"],
    init: int = studying.COUNTS["init"],
    order: int = studying.COUNTS["order"],
    difference: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    mode: Literal["full-batch", "sgd"] | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    threads: int | None = None,
    allow_code: bool = False,
    progress: bool | None = None,
) -> Variance:
    """Find what makes the spread of the test error, by crossed seeds; return the study.

    It does the same as `minifw variance`, with the same results and files.

    Args:
        config: the name of a packaged config, the path of a YAML file, or a mapping with the keys
            of one.
        data: how many seeds of the samples there are.
        init: how many seeds of the initial weights, each combined with each of the others.
        order: how many seeds of the order of batches; in full batch there is one.
        difference: of two mean test errors, for which the seeds are counted: by default half a
            point, or of regression 1 % of the error.
        overrides: values by their dotted keys; as for `minifw.train`.
        mode: short for `overrides={"train.mode": mode}`.
        runs_dir: the folder in which the run's directory is made.
        threads: CPU threads during this call; by default torch's own number.
        allow_code: whether the config may run the Python files that it names.
        progress: whether to show progress; by default it is shown on a terminal and in a
            notebook.

    Raises:
        ConfigError: the config has faults; the message has one line for each.
        UsageError: another argument is wrong, or nothing varies.
        DataError: the data file cannot be used.
        DivergedError: all networks diverged. The run is complete, and `minifw.load` reads it.
        StorageError: something could not be written.
        Interrupted: a signal came (it is not an Exception); `minifw resume` continues the run.

    """
    values.check_overrides({} if overrides is None else overrides)
    given = dict(overrides or {})
    if mode is not None:
        given["train.mode"] = mode
    counts = {"data": data, "init": init, "order": order}
    counts = {name: whole(name, count) for name, count in counts.items()}
    if difference is not None:
        difference = float(_number("difference", difference))
    folder = path_of("runs_dir", runs_dir)
    try:
        read = parsed("variance", config, allow_code)
        checked, source = read.config(values.assignments(given))
    except ConfigError as error:
        raise values.explained(error, given) from None
    with on_threads(threads) as used, quiet_matplotlib():
        studying.check_difference("difference", difference, checked.data.is_regression)
        plan = studying.plan(checked, source, counts, used, difference, read.code.files)
        for note in studying.notes(plan, counts):
            say(note)
        show = displays.for_program(progress)
        outcome = running.start(plan, studying.Variance(), checked, folder, show, say)
    outcome.results.check_converged(str(outcome.run.path))
    return Variance(outcome.run)


def _number(name: str, value: object) -> float:
    """Return an argument that must be a number."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise UsageError(f"{name}: must be a number, got {value!r}")
