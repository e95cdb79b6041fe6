"""The tables of a comparison: its arms, its pairs, and what they say in sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minifw.errors import harmless, short_word
from minifw.report.tables import Cell, Interval, Table
from minifw.runs.comparisons import Compared, PairRecord

ARMS = "arms"
PAIRS = "pairs"

TURNED = 4
"""Arms that fit beside each other in a terminal."""
_LEFT_OUT = ("n", "min", "max", "sd")

_COUNTED = {True: "yes", False: "no", None: "–"}


def of_comparison(name: str, found: Compared, *, terminal: bool = False) -> dict[str, Table]:
    """Return the tables of a comparison by their files' names; `name` is that of the study."""
    return {
        ARMS: arms_table(name, found, terminal=terminal),
        PAIRS: pairs_table(name, found),
    }


def arms_table(name: str, found: Compared, *, terminal: bool = False) -> Table:
    """Return the table of the arms: a row for each, with its test errors over the seeds.

    In a terminal few arms have a column each, and many lack the figures for which is no place.
    """
    rows: list[tuple[str, list[Cell]]] = [
        (
            arm,
            [
                str(errors.n),
                str(errors.diverged),
                errors.min,
                errors.lower_quartile,
                errors.median,
                errors.upper_quartile,
                errors.max,
                errors.mean,
                errors.sd,
                _interval(errors.median_interval),
                _interval(errors.mean_interval),
            ],
        )
        for arm, errors in found.arms.items()
    ]
    head = ["arm", "n", "diverged", "min", "lower quartile", "median", "upper quartile", "max",
            "mean", "sd", "median, 95 %", "mean, 95 %"]  # fmt: skip
    if terminal and len(rows) <= TURNED:
        columns = zip(*(cells for _, cells in rows), strict=True)
        rows, head = (
            [(column, [*cells]) for column, cells in zip(head[1:], columns, strict=True)],
            ["test error, %", *found.arms],
        )
    elif terminal:
        kept = [place for place, column in enumerate(head[1:]) if column not in _LEFT_OUT]
        rows = [(arm, [cells[place] for place in kept]) for arm, cells in rows]
        head = [head[0], *(head[1 + place] for place in kept)]
    caption = f"test error in percent over {_seeds(found)}{_gone(found)}"
    return Table(
        caption=caption,
        head=head,
        rows=rows,
        label=_label(name, ARMS),
        brief=caption,
        number=1,
    )


def pairs_table(name: str, found: Compared) -> Table:
    """Return the table of the pairs: a row for each, with difference, interval and p."""
    rows: list[tuple[str, list[Cell]]] = [
        (
            f"{pair.a} − {pair.b}",
            [
                pair.difference,
                _interval(pair.interval),
                pair.p,
                pair.p_holm,
                pair.probability_of_improvement,
                _interval(pair.improvement_interval),
                _COUNTED[pair.equivalent],
            ],
        )
        for pair in found.pairs
    ]
    same = "the same" if found.margin is None else f"the same within {found.margin:g}"
    head = ["pair", "difference, points", "difference, 95 %", "p", "p (Holm)",
            "first is better", "first is better, 95 %", same]  # fmt: skip
    caption = (
        f"differences of test errors, seed by seed, over {_seeds(found)}: their mean in percentage "
        f"points, p of {_test(found.pairs)}, and the probability that the first has the smaller "
        f"error{_gone(found)}"
    )
    return Table(
        caption=caption, head=head, rows=rows, label=_label(name, PAIRS), brief=caption, number=2
    )


def sentences(found: Compared) -> list[str]:
    """Return what the pairs show, a sentence each, and after them the warnings, each once."""
    warnings = [pair.warning for pair in found.pairs if pair.warning is not None]
    return [*(pair.sentence for pair in found.pairs), *dict.fromkeys(warnings)]


def _interval(ends: Sequence[float] | None) -> Interval | None:
    return None if ends is None else Interval(*ends)


def _seeds(found: Compared) -> str:
    count = max(arm.n for arm in found.arms.values())
    return f"{count} seed{'' if count == 1 else 's'}"


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
        f". Diverged: {shown}; they are left out of an arm's figures, and count as 100 % in "
        "differences"
    )


def _test(pairs: Sequence[PairRecord]) -> str:
    exact = {pair.exact for pair in pairs}
    kind = "the exact" if exact == {True} else "the Monte-Carlo" if exact == {False} else "the"
    return f"{kind} sign-flip test"


def _label(name: str, what: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"{harmless(name)}-{what}")
