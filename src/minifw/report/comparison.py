"""The tables of a comparison: its arms, its pairs, and what they say in sentences."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

from minifw.errors import short_word
from minifw.report.tables import (
    ROWS,
    Cell,
    Interval,
    P,
    Shares,
    Table,
    Two,
    counted,
    label_of,
    yes_or_no,
)
from minifw.runs.comparisons import Compared
from minifw.runs.results import PairRecord

ARMS = "arms"
PAIRS = "pairs"

TURNED = 4
"""Arms that fit beside each other in a terminal."""
_LEFT_OUT = ("n", "min", "lower quartile", "upper quartile", "max", "sd")

BETTER = "first is better"


def of_comparison(name: str, found: Compared, *, terminal: bool = False) -> dict[str, Table]:
    """Return the tables of a comparison by their files' names; `name` is that of the study.

    In a `terminal` they lack figures for which is no place there.
    """
    return {
        ARMS: arms_table(name, found, terminal=terminal),
        PAIRS: pairs_table(name, found, terminal=terminal),
    }


def arms_table(name: str, found: Compared, *, terminal: bool = False) -> Table:
    """Return the table of the arms: a row for each, with its test errors over the seeds.

    In a terminal a few arms have a column each.
    """
    columns: dict[str, list[Cell]] = {
        title: [value(errors) for errors in found.arms.values()] for title, value in ROWS.items()
    }
    rows: Sequence[tuple[str, Sequence[Cell]]]
    measure = found.measured
    caption = f"test {measure.name} {measure.what} over {_seeds(found)}{_gone(found)}"
    if terminal and len(found.arms) <= TURNED:
        head, rows = [f"test {measure.name}{measure.head}", *found.arms], [*columns.items()]
    else:
        lacking = _LEFT_OUT if terminal else ()
        head, rows = _by_row("arm", [*found.arms], columns, lacking)
    return Table(
        f"{caption}{_intervals(found)}",
        head,
        rows,
        number=1,
        brief=caption,
        label=label_of(name, ARMS),
        written=measure.written,
    )


def pairs_table(name: str, found: Compared, *, terminal: bool = False) -> Table:
    """Return the table of the pairs: a row for each, with difference, interval and p."""
    measure = found.measured
    same = "the same"
    if found.margin is not None:
        same = f"the same within {measure.size(found.margin)}"
    of_pairs: dict[str, Callable[[PairRecord], Cell]] = {
        "difference": lambda pair: pair.difference,
        "95 %": lambda pair: Interval.of(pair.interval),
        "p": lambda pair: P(pair.p),
        "p (Holm)": lambda pair: P(pair.p_holm),
        BETTER: lambda pair: Two(pair.probability_of_improvement),
        f"{BETTER}, 95 %": lambda pair: Shares.of(pair.improvement_interval),
        same: lambda pair: yes_or_no(pair.equivalent),
    }
    lacking = {same} if found.margin is None else set()
    if terminal:
        lacking |= {f"{BETTER}, 95 %", *(["p (Holm)"] if len(found.pairs) == 1 else [])}
    columns = {title: [value(p) for p in found.pairs] for title, value in of_pairs.items()}
    head, rows = _by_row("pair", [f"{p.a} − {p.b}" for p in found.pairs], columns, lacking)
    caption = (
        f"differences of test {measure.errors}, seed by seed, over {_seeds(found)}: their mean "
        f"{measure.in_points}, p of {_test(found.pairs)}, and the probability that the first has "
        f"the smaller {measure.name}{_same(found)}{_gone(found)}"
    )
    return Table(
        f"{caption}{_intervals(found)}; of the probability Wilson's",
        head,
        rows,
        number=2,
        brief=caption,
        label=label_of(name, PAIRS),
        written=measure.written,
    )


def _by_row(
    what: str, names: Sequence[str], columns: Mapping[str, Sequence[Cell]], lacking: Container[str]
) -> tuple[list[str], list[tuple[str, Sequence[Cell]]]]:
    """Return head and rows of a table with these columns, but for those that it lacks."""
    kept = {title: cells for title, cells in columns.items() if title not in lacking}
    cells = zip(*kept.values(), strict=True)
    return [what, *kept], [(name, own) for name, own in zip(names, cells, strict=True)]


def sentences(found: Compared) -> list[str]:
    """Return what the pairs show, a sentence each, and after them the warnings, each once."""
    warnings = [pair.warning for pair in found.pairs if pair.warning is not None]
    return [*(pair.sentence for pair in found.pairs), *dict.fromkeys(warnings)]


def _seeds(found: Compared) -> str:
    return counted(max(arm.n for arm in found.arms.values()), "seed")


def _gone(found: Compared) -> str:
    """Return which arms have seeds that diverged, and what they count as."""
    gone = [
        f"{short_word(name)} {arm.diverged} of {arm.n}"
        for name, arm in found.arms.items()
        if arm.diverged
    ]
    if not gone:
        return ""
    shown = ", ".join(gone[:10]) + (" …" if len(gone) > 10 else "")
    return (
        f". Diverged: {shown}; they are left out of an arm's figures, and count as "
        f"{_worst(found)} in differences"
    )


def _intervals(found: Compared) -> str:
    """Return how the intervals of medians and means were made."""
    if any(pair.test == "corrected t" for pair in found.pairs):
        return ". Intervals: 95 %, corrected for training sets that overlap"
    return ". Intervals: 95 %, bootstrap"


def _worst(found: Compared) -> str:
    measure, worst = found.measured, {pair.worst for pair in found.pairs}
    if measure.targets and worst:
        return f"the largest {measure.name}, {measure.figure(max(worst))},"
    return "100 %"


def _same(found: Compared) -> str:
    if found.margin is None:
        return ""
    return f". The same: the 90 % interval lies within ±{found.measured.size(found.margin)}"


def _test(pairs: Sequence[PairRecord]) -> str:
    if {pair.test for pair in pairs} == {"corrected t"}:
        return "the corrected resampled t-test"
    exact = {pair.exact for pair in pairs}
    kind = "the exact" if exact == {True} else "the Monte-Carlo" if exact == {False} else "the"
    return f"{kind} sign-flip test"
