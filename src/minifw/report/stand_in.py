"""Stands in for `minifw.statistics.paired` until that is there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Pair:
    a: str
    b: str
    n: int
    diverged: tuple[int, int]
    difference: float
    interval: tuple[float, float] | None
    p: float
    p_holm: float
    exact: bool
    probability_of_improvement: float
    improvement_interval: tuple[float, float] | None
    equivalent: bool | None
    smallest_p: float

    def sentence(self) -> str:
        return f"{self.a} and {self.b} differ by {self.difference:.2f} points on average"

    def warning(self) -> str | None:
        if self.smallest_p <= 0.05:
            return None
        return f"{self.n} seeds can never show a difference: the smallest p is {self.smallest_p:g}"

    def content(self) -> dict[str, Any]:
        return vars(self)


def compare_all(
    arms: Mapping[str, Sequence[float | None]], margin: float | None = None
) -> list[Pair]:
    found = []
    pairs = list(itertools.combinations(arms, 2))
    for a, b in pairs:
        left, right = (np.array([100.0 if e is None else e for e in arms[name]]) for name in (a, b))
        gone = tuple(sum(e is None for e in arms[name]) for name in (a, b))
        d, n = left - right, len(left)
        interval, p = None, 1.0
        if n > 1 and d.std():
            half = stats.t.ppf(0.975, n - 1) * d.std(ddof=1) / n**0.5
            interval = (d.mean() - half, d.mean() + half)
            p = float(stats.wilcoxon(d).pvalue)
        elif n > 1:
            interval = (float(d[0]), float(d[0]))
        same = None
        if margin is not None and interval is not None:
            same = bool(-margin < interval[0] and interval[1] < margin)
        better = float((d < 0).mean() + (d == 0).mean() / 2)
        found.append(
            Pair(a, b, n, gone, float(d.mean()), interval, p, min(1.0, p * len(pairs)), True,
                 better, None, same, 2.0 ** (1 - n))
        )  # fmt: skip
    return found
