"""Tables of a run's results in Markdown, CSV, LaTeX and JSON, read from the run directory."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median_low
from typing import NamedTuple

from minifw.charts.notation import OTHER_LETTERS, has_other_letters, markdown, tex
from minifw.errors import harmless
from minifw.runs import ARMS, MODES, Mode, Run
from minifw.runs.comparisons import ArmSummary
from minifw.runs.results import ArmResults, Results
from minifw.statistics.measure import digits
from minifw.statistics.summary import Summary, summarize

NUMBERS = {mode: number for number, mode in enumerate(MODES, 1)}


class Interval(NamedTuple):
    """Both ends of an interval, as one cell; a CSV file has a column for each."""

    low: float
    high: float

    @classmethod
    def of(cls, ends: Sequence[float] | None) -> Interval | None:
        """Return an interval from its ends, None if there is none."""
        return None if ends is None else cls(*ends)


class Small(Interval):
    """An interval of what may be tiny, with four digits."""


class Shares(Interval):
    """An interval of a share, which has no unit."""


class Thirds(Interval):
    """An interval of what has no unit, with three decimals, as of `Bare` figures."""


class Two(float):
    """A figure without the table's unit, such as a share, with two decimals."""


class P(float):
    """A p value, which people read with four decimals."""


class Bare(float):
    """A figure without the table's unit, which people read with three decimals."""


Cell = float | str | Interval | None


@dataclass(frozen=True)
class Table:
    """A small table: `rows` has the exact figures, `unit` the form in which people read them.

    `number` is the table's number among several, `brief` a short caption for a terminal, `label`
    the one for LaTeX's references. `written` writes a figure that has the unit; by default with two
    decimals.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    unit: str = ""
    number: int | None = None
    brief: str = ""
    label: str = ""
    written: Callable[[float], str] | None = None

    @property
    def body(self) -> list[list[str]]:
        """The rows in the form in which people read them."""
        return [[name, *map(self.shown, cells)] for name, cells in self.rows]

    def titled(self, caption: str) -> str:
        """Return the caption, after the table's number if it has one."""
        if self.number is None:
            return caption[:1].upper() + caption[1:]
        return f"Table {self.number}: {caption}"

    def markdown(self) -> str:
        """Return the caption and a table in GitHub's Markdown."""
        lines = [
            markdown(self.titled(self.caption)),
            "",
            _pipes(self.head),
            _pipes(["---", *["---:"] * (len(self.head) - 1)]),
            *map(_pipes, self.body),
        ]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Return the exact figures, with an empty cell where there is none.

        A column of intervals becomes two, and so does a row of intervals.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = zip(*(cells for _, cells in self.rows), strict=True)
        wide = [_all_intervals(column) for column in columns] or [False] * (len(self.head) - 1)
        heads = (
            (f"{head}, from", f"{head}, to") if both else (head,)
            for head, both in zip(self.head[1:], wide, strict=True)
        )
        writer.writerow([self.head[0], *chain(*heads)])
        for name, cells in self.rows:
            if _all_intervals(cells) and not any(wide):
                for end, word in enumerate(("from", "to")):
                    ends = [cell[end] if isinstance(cell, Interval) else "" for cell in cells]
                    writer.writerow([f"{name}, {word}", *ends])
            else:
                writer.writerow([name, *chain(*map(_exact, cells, wide))])
        return text.getvalue()

    @property
    def _texts(self) -> list[str]:
        return [self.caption, *self.head, *(cell for row in self.body for cell in row)]

    def latex(self) -> str:
        """Return a `table` environment; LaTeX numbers it, and `\\ref` finds its label."""
        sentence = self.caption[:1].upper() + self.caption[1:]
        lines = [
            r"% in the preamble: \usepackage{booktabs}",
            *([OTHER_LETTERS] if has_other_letters(self._texts) else []),
            r"\begin{table}", r"  \centering", rf"  \caption{{{tex(sentence)}}}",
            rf"  \label{{tab:{self.label}}}",
            rf"  \begin{{tabular}}{{l{'r' * (len(self.head) - 1)}}}", r"    \toprule",
            f"    {' & '.join(map(tex, self.head))} \\\\", r"    \midrule",
            *(f"    {' & '.join(map(tex, row))} \\\\" for row in self.body),
            r"    \bottomrule", r"  \end{tabular}", r"\end{table}",
        ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return the caption and a table in HTML."""

        def line(cells: Sequence[str], tag: str) -> str:
            inner = "".join(f"<{tag}>{html.escape(harmless(cell))}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        caption = html.escape(harmless(self.titled(self.caption)))
        body = "".join(line(row, "td") for row in self.body)
        head = line(self.head, "th")
        return f"<table><caption>{caption}</caption>{head}{body}</table>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.html()

    def json(self) -> str:
        """Return caption, columns, unit and the exact figures."""
        content = {
            "caption": self.titled(self.caption),
            "unit": self.unit.strip(),
            "columns": list(self.head[1:]),
            "rows": {name: list(cells) for name, cells in self.rows},
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def shown(self, cell: Cell) -> str:
        """Return one figure in the form in which people read it."""
        if cell is None:
            return "–"
        if isinstance(cell, Interval):
            plain = isinstance(cell, Shares)
            write, unit = self.written or _signed, self.unit
            if plain:
                write, unit = _signed, ""
            if isinstance(cell, Small):
                write = digits
            if isinstance(cell, Thirds):
                write, unit = _thirds, ""
            return f"{write(cell.low)} to {write(cell.high)}{unit}"
        if isinstance(cell, P):
            return f"{cell:.4f}" if cell >= 0.0001 else "< 0.0001"
        if isinstance(cell, Bare):
            return _thirds(cell)
        if isinstance(cell, float) and (self.unit or self.written) and not isinstance(cell, Two):
            return f"{(self.written or _signed)(cell)}{self.unit}"
        if isinstance(cell, float) and cell:
            # Differences may be as small as 1e-16.
            return _signed(cell) if abs(cell) >= 0.01 else f"{cell:.1e}"
        if isinstance(cell, float):
            return "0"
        return str(cell)


def _all_intervals(cells: Sequence[Cell]) -> bool:
    """Return whether these cells are intervals, but for those that are empty."""
    return any(isinstance(cell, Interval) for cell in cells) and all(
        cell is None or isinstance(cell, Interval) for cell in cells
    )


def _exact(cell: Cell, wide: bool) -> Sequence[float | str]:
    """Return a cell as the one or two of a CSV file."""
    if cell is None:
        return [""] * (2 if wide else 1)
    return cell if isinstance(cell, Interval) else [cell]


def _signed(value: float) -> str:
    """Return a number with two decimals, and a minus sign that is no hyphen."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # no minus before a zero


def _thirds(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


ROWS: dict[str, Callable[[Summary | ArmSummary], Cell]] = {
    "n": lambda errors: errors.n,
    "diverged": lambda errors: errors.diverged,
    "min": lambda errors: errors.min,
    "lower quartile": lambda errors: errors.q1,
    "median": lambda errors: errors.median,
    "upper quartile": lambda errors: errors.q3,
    "max": lambda errors: errors.max,
    "mean": lambda errors: errors.mean,
    "sd": lambda errors: errors.sd,
    "median, 95 %": lambda errors: Interval.of(errors.median_interval),
    "mean, 95 %": lambda errors: Interval.of(errors.mean_interval),
}
"""The figures of errors over seeds, in the order of a table."""


def write_tables(run: Run) -> list[Table]:
    """Make all tables of a run from its results, write them to its directory, and return them."""
    tables = of_results(run.results())
    for name, table in tables.items():
        write_table(run, name, table)
    return list(tables.values())


def write_table(run: Run, name: str, table: Table) -> None:
    """Write a table to a run's directory in all formats."""
    for ending, content in (
        ("md", table.markdown()), ("csv", table.csv()),
        ("tex", table.latex()), ("json", table.json()),
    ):  # fmt: skip
        run.write(f"tables/{name}.{ending}", content)


def of_results(results: Results) -> dict[str, Table]:
    """Return all tables of a run by their files' names."""
    from minifw.report import scores  # which is made of what is here

    tables = {f"table{NUMBERS[mode]}": error_table(results, mode) for mode in results.modes}
    tables["table3"] = work_table(results)
    if (more := scores.score_table(results)) is not None:
        tables[scores.NAME] = more
    return tables


def error_table(results: Results, mode: Mode) -> Table:
    """Return the table of one mode: test error over seeds, a column for each arm."""
    arms, measure = results.modes[mode], results.measured
    seeds = len(results.seeds)
    left_out = {
        ARMS[arm]: seeds - sum(error is not None for error in outcome.test_error)
        for arm, outcome in arms.items()
    }
    draws = over(results)
    gone = "".join(
        f" {arm}: {count} of {seeds} diverged and are left out."
        for arm, count in left_out.items()
        if count
    )
    summaries = [summarize(outcome.test_error, results.data.overlap) for outcome in arms.values()]
    rows: list[tuple[str, list[Cell]]] = [
        (name, [figure(each) for each in summaries]) for name, figure in ROWS.items()
    ]
    kept = ""
    if (held := results.data.validation) is not None:
        rows.append(
            (
                f"validation {measure.name}, median",
                [_median(outcome.validation_error) for outcome in arms.values()],
            )
        )
        rows += _stopped(arms.values())
        of = "" if results.data.altered else f" of {held + results.data.train} training"
        kept = f" {held}{of} samples are kept for validation."
    if results.data.overlap is not None:
        kept += " The interval of the mean is corrected for training sets that overlap."
    test = f"test {measure.name}"
    if measure.targets:
        test = f"test RMSE of {measure.of}"
        rows.append(("MAE, median", [_median(outcome.mae) for outcome in arms.values()]))
        fits = [_median(outcome.r2) for outcome in arms.values()]
        rows.append(("R², median", [None if r2 is None else Bare(r2) for r2 in fits]))
        kept += f" Guessing the mean: {measure.figure(results.data.mean_error or 0.0)}."
    return Table(
        caption=f"{results.title(mode)} – {test}{',' * bool(measure.targets)} of "
        f"{harmless(results.about)}, {_steps(results, mode)}, {draws}.{kept}{gone}",
        head=[f"test {measure.name}", *(ARMS[arm] for arm in arms)],
        rows=rows,
        unit=measure.behind,
        number=_number(results, NUMBERS[mode]),
        brief=f"{results.title(mode)} – {test}, {_steps(results, mode)}, {draws}.{kept}{gone}",
        label=label_of(results.name, mode),
        written=measure.number if measure.targets else None,
    )


def over(results: Results) -> str:
    """Return over what figures are, as a caption says it: the seeds, and how they got samples."""
    if (said := results.data.division) is None:
        return f"over {counted(len(results.seeds), 'independent draw')} of data and weights"
    return f"over {counted(len(results.seeds), 'seed')}: {harmless(said)}"


def _median(values: Sequence[float | None] | None) -> float | None:
    """Return the median over the seeds; None if all diverged."""
    return summarize(values or []).median


def _stopped(arms: Iterable[ArmResults]) -> list[tuple[str, list[Cell]]]:
    """Return rows that say what early stopping did: how many seeds stopped, and where."""
    stopped: list[Cell] = []
    best: list[Cell] = []
    for outcome in arms:
        if outcome.stopped_epoch is None or outcome.best_epoch is None:
            return []
        stopped.append(sum(epoch is not None for epoch in outcome.stopped_epoch))
        whole = zip(outcome.best_epoch, outcome.diverged_epoch, strict=True)
        left = [epoch for epoch, gone in whole if gone is None]
        best.append(median_low(left) if left else None)
    return [("stopped early", stopped), ("best epoch, median", best)]


def work_table(results: Results) -> Table:
    """Return the table of training times and of the differences between frameworks."""
    modes, seeds = results.modes, len(results.seeds)
    rows: list[tuple[str, list[Cell]]] = []
    for arm in results.arms:
        rows.append((f"{ARMS[arm]}: training, s", [arms[arm].seconds for arms in modes.values()]))
    ours = [arms["minifw"] for arms in modes.values()]
    reasons = list(dict.fromkeys(arm.not_compiled for arm in ours if arm.not_compiled is not None))
    if reasons or any(arm.compiled for arm in ours):
        answers: list[Cell] = ["yes" if arm.compiled else "no" for arm in ours]
        rows.append(("minifw: compiled", answers))
    caption = (
        f"time in training steps for {counted(seeds, 'seed')}, evaluation left out, "
        f"{counted(results.threads, 'thread')}, {results.dtype}"
    )
    if results.other and results.parity is not None and results.speedup is not None:
        rows.append((f"{ARMS[results.other]} / minifw", list(results.speedup.values())))
        parities = list(results.parity.values())
        for key, label in (
            (
                "max_gradient_difference",
                f"gradients at step 1, {results.dtype}: largest relative difference",
            ),
            (
                "max_gradient_difference_float64",
                "gradients at step 1, float64: largest relative difference",
            ),
            ("max_weight_difference", "weights at the end: largest difference"),
        ):
            if key.endswith("float64") and results.dtype == "float64":
                continue
            rows.append((label, [getattr(parity, key) for parity in parities]))
        gone: list[Cell] = [parity.gradients_not_finite for parity in parities]
        if any(gone):
            rows.append((f"seeds without finite gradients, {results.dtype}", gone))
        rows.append(
            (
                f"seeds with the same test {results.measured.name}"
                + ", to 4 digits" * bool(results.measured.targets),
                [parity.same_test_error for parity in parities],
            )
        )
        caption += "; and how far the two frameworks are apart"
        rows += _paired(results)
    for reason in reasons:
        caption += f". Steps could not be compiled: {harmless(reason)}"
    return Table(
        caption=f"{caption}.",
        head=["", *(results.title(mode) for mode in modes)],
        rows=rows,
        number=_number(results, 3),
        brief=f"{caption}.",
        label=label_of(results.name, "work"),
    )


def _paired(results: Results) -> list[tuple[str, list[Cell]]]:
    """Return rows that put the two arms' test errors side by side, seed by seed."""
    if results.pairs is None or results.margin is None or results.other is None:
        return []  # a run of an earlier minifw
    pairs = list(results.pairs.values())
    measure = results.measured
    kind = Small if measure.targets else Interval
    ends: list[Cell] = [kind.of(pair.interval) for pair in pairs]
    unit = f", {measure.points}" if measure.points else ""
    what = f"test {measure.name}, minifw − {ARMS[results.other]}: mean{unit}"
    return [
        (what, [pair.difference for pair in pairs]),
        (
            "its 95 % interval",
            ends,
        ),
        (
            f"the same within {measure.size(results.margin)}",
            [yes_or_no(p.equivalent) for p in pairs],
        ),
    ]


def yes_or_no(answer: bool | None) -> str:
    """Return an answer as a word, or a dash where there is none."""
    return "–" if answer is None else "yes" if answer else "no"


def _number(results: Results, number: int) -> int | None:
    """Return the table's number if there are three, as after `compare`."""
    return number if len(results.modes) > 1 else None


def label_of(name: str, what: str) -> str:
    """Return the label of a table for LaTeX, from a study's or a run's name."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"{harmless(name)}-{what}")


def _steps(results: Results, mode: Mode) -> str:
    most = "" if results.early_stopping is None else "at most "
    epochs = f"{most}{counted(results.epochs, 'epoch')}, eta {results.eta:g}"
    if results.schedule is not None:
        epochs += f" ({harmless(results.schedule)})"
    return epochs + (f", batches of {results.batch_size}" if mode == "sgd" else "")


def counted(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown, cells)) + " |"
