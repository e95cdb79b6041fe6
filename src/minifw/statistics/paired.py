"""Two arms over the same seeds: their difference, how sure it is, and whether they are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from minifw.statistics.intervals import LEVEL, Interval, interval
from minifw.statistics.measure import ERROR, Measure, digits
from minifw.statistics.overlap import Overlap, corrected, corrected_test

Floats = NDArray[np.float64]
Errors = Sequence[float | None]

Test = Literal["sign-flip", "corrected t"]

WORST = 100.0
EXACT = 30
"""Up to so many differences that are not 0 all signs count: 2 * 2^15 sums, a few milliseconds."""
SIGNS = 99_999
"""Random signs above that; p is then known to 0.0014 at 0.05, and is at least 1e-5."""
ROUNDING = 1e-12
"""Sums of differences that are equal but for rounding, relative to the sum of their sizes."""


@dataclass(frozen=True)
class Pair:
    """How two arms compare, from one error a seed in each; smaller is better.

    Attributes:
        a, b: names of the arms.
        n: seeds.
        diverged: seeds that diverged in a, in b, and in both.
        difference: mean over the seeds of a - b; below 0 if a is better.
        interval: bootstrap interval of it at `level`; None with one seed.
        p: of the sign-flip test of no difference, two-sided, or of the corrected resampled t-test
            where training samples overlap, which then gives all intervals too.
        p_holm: corrected for all `pairs` that are compared together.
        exact: whether all signs were tried, or random ones.
        probability_of_improvement: share of seeds in which a is better, ties as halves.
        improvement_interval: Wilson's interval of it at `level`.
        margin: up to which difference arms are the same to the user; None if nothing was said.
        equivalent: whether `equivalence_interval` lies inside ±margin; None without a margin.
            False means that it was not shown, not that the arms differ.
        equivalence_interval: Student's interval of the difference at 2 level - 1 (90 %).
        differing: seeds whose errors differ.
        smallest_p: the smallest p that n seeds can give, 2 / 2^n; 0 of the t-test.
        pairs: how many pairs p_holm is corrected for.
        level: of the intervals.
        worst: the error that a diverged seed counts as.
        test: which test gives p.

    """

    a: str
    b: str
    n: int
    diverged: tuple[int, int, int]
    difference: float
    interval: Interval | None
    p: float
    p_holm: float
    exact: bool
    probability_of_improvement: float
    improvement_interval: Interval
    margin: float | None
    equivalent: bool | None
    equivalence_interval: Interval | None
    differing: int
    smallest_p: float
    pairs: int = 1
    level: float = LEVEL
    worst: float = WORST
    measure: Measure = ERROR
    test: Test = "sign-flip"

    def content(self) -> dict[str, Any]:
        """Return all figures and sentences as plain JSON values."""
        plain = {k: v for k, v in asdict(self).items() if k != "measure"}
        figures = {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}
        return figures | {"sentence": self.sentence(), "warning": self.warning()}

    def sentence(self) -> str:
        """Return what the figures say, in plain words."""
        parts = [self._difference(), *self._sameness(), *self._diverged()]
        return " ".join(parts)

    def warning(self) -> str | None:
        """Return why so few seeds cannot show a difference, None if they can."""
        alpha = 1 - self.level
        if self.test == "corrected t":
            return None
        smallest = self.smallest_p * self.pairs
        if smallest > alpha:
            needed = next(n for n in range(1, 99) if 2 * self.pairs / 2**n <= alpha)
            among = f" among {self.pairs} pairs" if self.pairs > 1 else ""
            return (
                f"{_counted(self.n, 'seed')} can never show a difference{among}: the smallest p is "
                f"{min(1.0, smallest):.2g}; {needed} seeds can"
            )
        if self.differing > 0 and 2 * self.pairs / 2**self.differing > alpha:
            return (
                f"only {self.differing} of {self.n} seeds differ, too few to show a difference: "
                f"the smallest p is {min(1.0, 2 * self.pairs / 2**self.differing):.2g}"
            )
        return None

    def _difference(self) -> str:
        if not self.differing:
            return (
                f"{self.a} and {self.b} have the same test {self.measure.name} "
                f"in {'each of ' if self.n > 1 else ''}{_counted(self.n, 'seed')}."
            )
        lower = self.difference <= 0
        shown = _points if not self.measure.targets else digits
        word, name = "lower" if lower else "higher", self.measure.name
        size = f"{shown(abs(self.difference))} {self.measure.points}".rstrip()
        p = f"p = {_p(self.p_holm)}" if self.p_holm >= 1e-4 else "p < 0.0001"
        if self.pairs > 1:
            p += f" after Holm's correction for {self.pairs} pairs"
        if self.test == "corrected t":
            p += ", corrected for training samples that overlap"
        figures = f"{_counted(self.n, 'seed')}, {p}"
        if self.interval is not None:
            low, high = sorted(-end if lower else end for end in self.interval)
            ends = f" {shown(low)} to {shown(high)}"
            if shown(low).startswith("−"):  # on both sides of 0: words, not signs
                other = "higher" if lower else "lower"
                ends = f": {shown(-low)} {other} to {shown(high)} {word}"
            figures = f"{100 * self.level:g} % interval{ends}, {figures}"
        if self.p_holm <= 1 - self.level:
            return f"{self.a}'s test {name} is {size} {word} than {self.b}'s ({figures})."
        return (
            f"No difference between {self.a} and {self.b} is shown: {self.a}'s test {name} is "
            f"{size} {word} ({figures})."
        )

    def _sameness(self) -> list[str]:
        if self.equivalent is None or self.margin is None:
            return []
        if self.equivalent:
            return [f"They are the same within {self.measure.size(self.margin)}."]
        return [f"That they are the same within {self.measure.size(self.margin)} is not shown."]

    def _diverged(self) -> list[str]:
        a, b, both = self.diverged
        gone = [f"{count} of {name}" for name, count in ((self.a, a), (self.b, b)) if count]
        if not gone:
            return []
        together = f" ({both} in both, a tie)" if both else ""
        return [f"Diverged, and counted as {self._worst}: {' and '.join(gone)}{together}."]

    @property
    def _worst(self) -> str:
        return self.measure.figure(self.worst) if self.measure.targets else f"{self.worst:g} %"


def compare(
    a: Errors,
    b: Errors,
    *,
    margin: float | None = None,
    names: tuple[str, str] = ("a", "b"),
    worst: float = WORST,
    level: float = LEVEL,
    measure: Measure = ERROR,
    overlap: Overlap | None = None,
) -> Pair:
    """Compare two arms over the same seeds: a[k] and b[k] are the errors of seed k, by `measure`.

    A diverged seed (None, NaN) counts as `worst`. Nothing depends on the order of the seeds, and
    with a and b swapped all figures are mirrored. `overlap` is that of cross-validation.

    Raises ValueError if the arms have no seeds, or not the same number, or a margin not above 0.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"both arms must have the same seeds, at least one: {len(a)}, {len(b)}")
    if margin is not None and not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin}")
    left, right = (np.array([np.nan if e is None else e for e in arm], float) for arm in (a, b))
    gone = np.isnan(left), np.isnan(right)
    left, right = (np.where(np.isnan(arm), worst, arm) for arm in (left, right))
    differences = np.sort(left - right)
    scores = (differences < 0) + (differences == 0) / 2
    n = len(differences)
    if overlap is None:
        p, exact = sign_flip(differences)
        found, alike = _interval(differences, level), student(differences, 2 * level - 1)
    else:
        p, exact = corrected_test(differences, overlap), True
        found, alike = (corrected(differences, overlap, at) for at in (level, 2 * level - 1))
    return Pair(
        a=names[0],
        b=names[1],
        n=n,
        diverged=(int(gone[0].sum()), int(gone[1].sum()), int((gone[0] & gone[1]).sum())),
        difference=_mean(differences),
        interval=found,
        p=p,
        p_holm=p,
        exact=exact,
        probability_of_improvement=float(scores.mean()),
        improvement_interval=wilson(
            float(scores.mean()), n if overlap is None else overlap.effective(n), level
        ),
        margin=margin,
        equivalent=None
        if margin is None
        else alike is not None and -margin < alike[0] and alike[1] < margin,
        equivalence_interval=alike,
        differing=int(np.count_nonzero(differences)),
        smallest_p=min(1.0, 2.0 ** (1 - n)) if overlap is None else 0.0,
        level=level,
        worst=worst,
        measure=measure,
        test="sign-flip" if overlap is None else "corrected t",
    )


def compare_all(
    arms: Mapping[str, Errors],
    margin: float | None = None,
    *,
    worst: float = WORST,
    level: float = LEVEL,
    measure: Measure = ERROR,
    overlap: Overlap | None = None,
) -> list[Pair]:
    """Compare each arm with each later one, with p corrected for the number of pairs."""
    pairs = [
        compare(
            arms[a],
            arms[b],
            margin=margin,
            names=(a, b),
            worst=worst,
            level=level,
            measure=measure,
            overlap=overlap,
        )
        for a, b in combinations(arms, 2)
    ]
    corrected = holm([pair.p for pair in pairs])
    return [
        replace(pair, p_holm=p, pairs=len(pairs)) for pair, p in zip(pairs, corrected, strict=True)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected so that all together err with the level of one (Holm 1979)."""
    order = sorted(range(len(p)), key=p.__getitem__)
    corrected, largest = [0.0] * len(p), 0.0
    for place, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - place) * p[k]))
        corrected[k] = largest
    return corrected


def sign_flip(differences: Floats) -> tuple[float, bool]:
    """Return p of the two-sided sign-flip test that the mean of `(n,)` is 0, and whether exact.

    If neither arm is better each difference is as likely as its negative: p is the share of all
    signs for which the sum is as far from 0 as the one observed. A difference of 0 takes no part
    in it. With more than EXACT others the signs are random ones, and the observed ones are counted
    among them. Fisher 1935, "The Design of Experiments", section 21; Phipson and Smyth 2010 for
    the one that is added.
    """
    sizes = np.sort(np.abs(differences[differences != 0]))
    bound = abs(math.fsum(differences)) - ROUNDING * float(sizes.sum())
    if bound <= 0:
        return 1.0, True
    if len(sizes) <= EXACT:
        # A sum of all is one of the even places plus one of the odd ones; the signs are symmetric.
        even, odd = _signed_sums(sizes[::2]), np.sort(_signed_sums(sizes[1::2]))
        beyond = len(odd) - np.searchsorted(odd, bound - even)
        return 2 * int(beyond.sum()) / 2 ** len(sizes), True
    rng, found = np.random.default_rng(0), 0
    some = max(1, 2**22 // len(sizes))
    for first in range(0, SIGNS, some):
        signs = rng.integers(0, 2, (min(some, SIGNS - first), len(sizes)), dtype=np.int8)
        sums = 2 * (signs @ sizes) - sizes.sum()
        found += int((np.abs(sums) >= bound).sum())
    return (found + 1) / (SIGNS + 1), False


def _signed_sums(sizes: Floats) -> Floats:
    """Return the sums with all choices of signs, `(2^n,)`."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def student(differences: Floats, level: float) -> Interval | None:
    """Return Student's interval of the mean, that of two one-sided tests (Schuirmann 1987)."""
    from scipy import special  # takes 0.15 s, which a list of runs need not wait for

    n = len(differences)
    if n < 2:
        return None
    mean, sd = _mean(differences), float(differences.std(ddof=1))
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n)
    return mean - half, mean + half


def wilson(share: float, n: float, level: float = LEVEL) -> Interval:
    """Return Wilson's interval (1927) of a probability that came out as `share` of n.

    Ties that count as halves spread less than wins and losses, so with them it is too wide.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _mean(differences: Floats) -> float:
    return math.fsum(differences) / len(differences)  # rounded once, whatever the order


def _interval(differences: Floats, level: float) -> Interval | None:
    """Return the bootstrap interval of the mean; that of -differences is its mirror image."""
    mirrored = -differences[::-1]
    if differences.tolist() >= mirrored.tolist():
        return interval(differences, "mean", level)
    found = interval(mirrored, "mean", level)
    return found and (-found[1], -found[0])


def _points(size: float) -> str:
    if size == 0 or abs(size) >= 0.01:
        return f"{size:.2f}".replace("-", "−")
    return f"{size:.1e}".replace("-", "−", 1) if size < 0 else f"{size:.1e}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p < 0.995 else "1"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
