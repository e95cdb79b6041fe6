"""A comparison of configs or of runs, from Python."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minifw import runs
from minifw.config import loading, values
from minifw.config.model import Config
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.data import Floats
from minifw.errors import ConfigError, UsageError, harmless
from minifw.library import progress as displays
from minifw.library.arguments import on_threads, path_of, whole
from minifw.library.progress import say
from minifw.library.run import Run
from minifw.library.studies import Study
from minifw.report import comparison as report
from minifw.report import plots
from minifw.report.tables import Table, counted
from minifw.runs.comparisons import ArmSummary
from minifw.runs.results import PairRecord
from minifw.runs.studies import CELLS
from minifw.study import comparison, pairing, running, words
from minifw.study.comparison import Arm
from minifw.system.environment import quiet_matplotlib

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Comparison(Study):
    """A finished comparison, read from its directory; `minifw.compare` returns one.

    Errors are test errors in percent, differences are in percentage points; of regression both are
    in the unit of the targets.
    """

    kind = "compare"

    def __init__(self, run: runs.Run) -> None:
        super().__init__(run)
        self._found = comparison.read(self._results, str(run.path / CELLS))

    @property
    def seeds(self) -> list[int]:
        """The seeds that all arms have, in the order of the arrays."""
        return list(self._results.cells[0].seeds)

    @property
    def arms(self) -> dict[str, Floats]:
        """Test error of each seed, by the arms' names; NaN for a seed that diverged."""
        return {cell.name: np.array(cell.test_error, np.float64) for cell in self._results.cells}

    @property
    def summary(self) -> dict[str, ArmSummary]:
        """Quartiles, mean and intervals of each arm, by its name."""
        return dict(self._found.arms)

    @property
    def pairs(self) -> list[PairRecord]:
        """Difference, interval, p and equivalence of each pair of arms."""
        return list(self._found.pairs)

    @property
    def margin(self) -> float | None:
        """Within which difference two arms count as the same, None without.

        In percentage points, or of regression in the unit of the targets.
        """
        return self._found.margin

    @property
    def notes(self) -> list[str]:
        """How the arms differ, and what was left out, a line each."""
        return list(self._found.notes)

    @property
    def sentences(self) -> list[str]:
        """What the pairs show, a sentence each, and the warnings."""
        return report.sentences(self._found)

    def frame(self) -> pandas.DataFrame:
        """Return what `Study.frame` does, with a column `arm` after that of the cell."""
        frame = super().frame()
        names = [cell.name for cell in self._results.cells]
        frame.insert(2, "arm", [names[cell] for cell in frame["cell"]])
        return frame

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables, `arms` and `pairs`, with `markdown()`, `csv()`, `latex()` and `json()`."""
        return report.of_comparison(self._results.name, self._found)

    def table(self, name: str = report.PAIRS) -> Table:
        """Return a table, `arms` or `pairs`."""
        if name not in self.tables:
            raise UsageError(f"table: must be one of {', '.join(self.tables)}, got {name!r}")
        return self.tables[name]

    def figure(self) -> Figure:
        """Draw the errors seed by seed, and the differences with their intervals."""
        with plots.defaults():
            return self._drawn(comparison.draw(self._results, self._found))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: both tables, and what they say."""
        tables = "".join(table.html() for table in self.tables.values())
        said = [html.escape(harmless(line)) for line in [*self.notes, *self.sentences]]
        return f"{tables}<ul>{''.join(f'<li>{line}</li>' for line in said)}</ul>"

    def __repr__(self) -> str:
        arms, seeds = len(self.arms), len(self.seeds)
        of_seeds = counted(seeds, "seed")
        return f"<Comparison {self.path}: {self.status}, {arms} arms, {of_seeds}>"


def compare(
    *what: str | os.PathLike[str] | Mapping[str, Any] | Run | Comparison,
    seeds: int | None = None,
    margin: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    threads: int | None = None,
    allow_code: bool = False,
    progress: bool | None = None,
) -> Comparison:
    """Compare configs, which are trained with the same seeds, or finished runs.

    It does the same as `minifw compare` with several configs or with runs, and leaves a run
    directory too.

    Args:
        *what: configs as for `minifw.train`, or runs: objects, directories, names, or parts of
            names. `"RUN:ARM"` is one arm of a run.
        seeds: how many seeds to train; by default the configs' number, else 20.
        margin: percentage points of test error, or of regression a difference in the unit of the
            targets, within which two arms count as the same.
        overrides: values by their dotted keys, for all configs.
        runs_dir: the folder of the runs.
        threads: CPU threads during this call; by default torch's own number.
        allow_code: whether the configs may run the Python files that they name.
        progress: whether to show progress; by default it is shown on a terminal and in a
            notebook.

    Raises:
        ConfigError: a config has faults; the message has one line for each.
        UsageError: another argument is wrong, or nothing can be compared.
        DataError: a data file cannot be used.
        ArtefactError: a file of a run is missing or damaged.
        DivergedError: every seed of every arm diverged; the run is complete.
        StorageError: something could not be written.
        Interrupted: SIGINT or another signal came; `minifw resume` continues the run.

    """
    folder = path_of("runs_dir", runs_dir)
    values.check_overrides({} if overrides is None else overrides)
    comparison.check_margin("margin", margin)
    given = [_word(each) for each in what]
    texts = [each for each in given if isinstance(each, str)]
    found = words.meant(texts, folder)
    chosen = [each for each in found if isinstance(each, words.Chosen)]
    if chosen and len(texts) == len(given):
        if seeds is not None or overrides is not None:
            raise UsageError("compare: seeds, overrides: are for configs; no run is trained")
        run = pairing.keep(pairing.compare(chosen, margin), folder)
    elif chosen:
        raise UsageError("compare: expects configs only, which are trained, or runs only")
    elif len(given) < 2:
        what_else = "one is compared with PyTorch by the command minifw compare"
        raise UsageError(f"compare: expects two or more configs or runs; {what_else}")
    else:
        number = None if seeds is None else whole("seeds", seeds)
        arms = _arms(given, dict(overrides or {}), allow_code)
        with on_threads(threads), quiet_matplotlib():
            plan = comparison.plan(arms, number, margin)
            shown = displays.for_program(progress)
            kind, base = comparison.Comparison(), arms[0].config
            run = running.start(plan, kind, base, folder, shown, say).run
    compared = Comparison(run)
    compared._results.check_converged(str(run.path))
    return compared


def _word(what: object) -> str | Mapping[str, Any]:
    """Return an argument as what the command line would be given, or a mapping as it is."""
    if isinstance(what, Run | Comparison):
        return str(what.path)
    if isinstance(what, Mapping):
        return what
    if isinstance(what, str | os.PathLike):
        return str(path_of("compare", what)) if not isinstance(what, str) else what
    raise UsageError(
        f"compare: expects configs (names, paths or mappings) or runs, got {type(what).__name__}"
    )


def _arms(
    given: list[str | Mapping[str, Any]], overrides: dict[str, Any], allow_code: bool
) -> list[Arm]:
    """Return the configs as arms; all faults of all configs are one error."""
    texts = [each for each in given if isinstance(each, str)]
    words.check_different(texts)
    by_text = dict(zip(texts, words.names(texts), strict=True))
    arms: list[Arm] = []
    faults: list[str] = []
    for each in given:
        try:
            config, source = _load(each, overrides, allow_code)
        except ConfigError as error:
            faults += values.explained(error, overrides).faults
            continue
        name = by_text[each] if isinstance(each, str) else config.name
        arms.append(Arm(name, config, source))
    if faults:
        raise ConfigError(faults)
    names = words.different(arm.name for arm in arms)
    return [replace(arm, name=name) for arm, name in zip(arms, names, strict=True)]


def _load(
    given: str | Mapping[str, Any], overrides: Mapping[str, Any], allow_code: bool
) -> tuple[Config, Source]:
    if isinstance(given, Mapping):
        return values.of_values(given, overrides, allow_code=allow_code)
    assignments = values.assignments(overrides)
    return loading.load_with_source(
        find_config(given), assignments, allow_code=allow_code, option="overrides"
    )
