"""What errors over seeds say: right against SciPy and by hand, and as sure as it claims to be."""

from __future__ import annotations

import itertools
import json
import math
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from campaigns import statistics as campaign
from conftest import ROOT
from minifw.statistics.components import PARTS, Components, components, paired_seeds
from minifw.statistics.intervals import Statistic, interval
from minifw.statistics.paired import (
    EXACT,
    SIGNS,
    Pair,
    compare,
    compare_all,
    holm,
    sign_flip,
    student,
    wilson,
)
from minifw.statistics.selection import optimism, rank
from minifw.statistics.summary import summarize

RNG = np.random.default_rng(5)
ERRORS = st.lists(
    st.tuples(*[st.one_of(st.none(), st.integers(0, 1000).map(lambda n: n / 10))] * 2),
    min_size=1,
    max_size=40,
)

# ----------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("n", [2, 3, 5, 20, 21, 300])
@pytest.mark.parametrize(("name", "function"), [("mean", np.mean), ("median", np.median)])
def test_intervals_are_scipys(n: int, name: Statistic, function: Callable[..., Any]) -> None:
    sample = np.sort(RNG.exponential(size=n))
    theirs = stats.bootstrap(
        (sample,), function, method="BCa", batch=1000, random_state=np.random.default_rng(0)
    ).confidence_interval
    ours = interval(RNG.permutation(sample), name)
    assert ours == pytest.approx(tuple(theirs), rel=1e-9)


def test_where_bca_is_undefined_the_interval_is_the_percentile_one() -> None:
    sample = np.array([0.0, 1, 2, 5, 5, 5, 6, 8, 9])  # without any one the median is 5
    theirs = stats.bootstrap(
        (sample,), np.median, method="percentile", random_state=np.random.default_rng(0)
    ).confidence_interval
    assert interval(sample, "median") == tuple(theirs)


def test_small_samples_have_the_interval_that_they_allow() -> None:
    assert interval([0.1] * 3, "mean") == interval([0.1] * 3, "median") == (0.1, 0.1)
    assert interval([1.0, None, math.nan]) is None
    assert interval([]) is None
    assert interval([1.0, None, 2.0]) == interval([2.0, 1.0])


def test_memory_grows_with_the_seeds_and_not_with_their_square() -> None:
    sample = RNG.exponential(size=4000)
    tracemalloc.start()
    interval(sample, "mean", resamples=100)
    interval(sample, "median", resamples=100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4000 * 4000  # bytes; one row for each seed would take eight times as many


# ------------------------------------------------------------------------------------- summary


def test_a_summary_leaves_out_what_diverged_and_counts_it() -> None:
    content = summarize([4.0, None, 1.0, 3.0, math.nan, 2.0]).content()
    assert (content["n"], content["diverged"]) == (6, 2)
    assert [content[k] for k in ("min", "q1", "median", "q3", "mean", "max")] == [
        1.0, 1.75, 2.5, 3.25, 2.5, 4.0,
    ]  # fmt: skip
    assert content["sd"] == pytest.approx(math.sqrt(5 / 3))
    assert content["mean_interval"] == list(interval([1, 2, 3, 4], "mean") or ())
    assert content["median_interval"] == list(interval([1, 2, 3, 4], "median") or ())


@given(st.integers(2, 30), st.integers(1, 200), st.integers(1, 300))
def test_equal_errors_have_no_spread(n: int, wrong: int, samples: int) -> None:
    error = 100 * (wrong % (samples + 1)) / samples
    found = summarize([error] * n)
    assert (found.sd, found.mean, found.median) == (0, error, error)
    parts = components(np.full((n, 3, 2), error))
    assert (parts.total_sd, parts.seeds_needed(0.5)) == (0, 6)
    assert {*parts.shares.values(), *parts.intervals.values()} == {None}


def test_a_summary_of_one_seed_or_none_has_no_spread() -> None:
    one, none = summarize([2.0]).content(), summarize([None, None]).content()
    assert {name for name, value in one.items() if value is None} == {
        "sd", "median_interval", "mean_interval",
    }  # fmt: skip
    assert none.pop("n") == none.pop("diverged") == 2
    assert set(none.values()) == {None}


# ---------------------------------------------------------------------------------- two arms


def enumerated(differences: Any) -> float:
    """p of the sign-flip test by trying all signs, as it is defined."""
    signs = np.array([*itertools.product((-1, 1), repeat=len(differences))])
    sums = np.abs(signs @ np.asarray(differences))
    return float((sums >= abs(sum(differences)) - 1e-9).mean())


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 12])
def test_the_sign_flip_test_tries_all_signs(n: int) -> None:
    for _ in range(20):
        differences = RNG.integers(-5, 9, size=n) / 10  # with ties, zeros, and equal sums
        p, exact = sign_flip(differences)
        assert exact
        assert p == pytest.approx(enumerated(differences), abs=1e-15)


def test_the_sign_flip_test_is_scipys() -> None:
    differences = RNG.normal(0.4, 1, size=11)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(differences)[0] == pytest.approx(theirs.pvalue)
    # Of ranks it is Wilcoxon's test.
    ranks = np.sign(differences) * stats.rankdata(np.abs(differences))
    assert sign_flip(ranks)[0] == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_zeros_take_no_part_and_many_differences_are_sampled() -> None:
    some = RNG.normal(0.4, 1, size=EXACT)
    p, exact = sign_flip(some)
    assert exact
    assert sign_flip(np.concatenate([some, np.zeros(50)])) == (p, True)
    more = np.append(some, 1e-9)  # which changes nothing but the way
    sampled, exact = sign_flip(more)
    assert not exact
    assert abs(sampled - p) < 4 * math.sqrt(p * (1 - p) / SIGNS)
    assert sign_flip(more) == (sampled, False)
    assert sign_flip(np.full(100, 1.0)) == (1 / (SIGNS + 1), False)


def test_a_pair_by_hand() -> None:
    pair = compare([1.0, 2.0, 3.0, None], [2.0, 2.0, 5.0, 50.0], names=("A", "B"), margin=40.0)
    content = json.loads(json.dumps(pair.content()))
    assert pair.difference == (-1 + 0 - 2 + 50) / 4
    assert pair.diverged == (1, 0, 0)
    assert pair.p == enumerated([-1, 0, -2, 50]) == 1.0  # no sum is nearer to 0 than 47
    assert pair.probability_of_improvement == (1 + 0.5 + 1 + 0) / 4
    assert (pair.n, pair.differing, pair.smallest_p) == (4, 3, 1 / 8)
    t = stats.t.interval(0.9, 3, 11.75, stats.sem([-1, 0, -2, 50]))
    assert pair.equivalence_interval == pytest.approx(t)
    assert pair.equivalent is False
    assert compare([1.0, 2.0], [1.5, 1.6]).equivalent is None
    for key in ("a", "b", "difference", "interval", "p", "p_holm", "probability_of_improvement",
                "equivalent", "sentence", "warning"):  # fmt: skip
        assert key in content, key
    assert content["interval"] == list(pair.interval or ())


def test_equal_arms_are_equal() -> None:
    pair = compare([1.0, None, 3.0], [1.0, None, 3.0], names=("A", "B"), margin=0.1)
    assert (pair.difference, pair.interval, pair.p, pair.exact) == (0.0, (0.0, 0.0), 1.0, True)
    assert (pair.probability_of_improvement, pair.equivalent) == (0.5, True)
    assert pair.diverged == (1, 1, 1)
    assert pair.sentence() == (
        "A and B have the same test error in each of 3 seeds. They are the same within 0.1 points. "
        "Diverged, and counted as 100 %: 1 of A and 1 of B (1 in both, a tie)."
    )


def test_one_seed_says_little() -> None:
    pair = compare([1.0], [2.0], margin=5.0)
    assert (pair.interval, pair.p, pair.equivalent) == (None, 1.0, False)
    assert pair.improvement_interval[0] < 0.5


@pytest.mark.parametrize(
    ("a", "b", "margin"), [([], [], None), ([1.0], [1.0, 2.0], None), ([1.0], [1.0], 0.0)]
)
def test_what_cannot_be_compared_is_refused(a: Any, b: Any, margin: float | None) -> None:
    with pytest.raises(ValueError, match="must"):
        compare(a, b, margin=margin)


def test_equivalence_is_two_one_sided_tests() -> None:
    for _ in range(50):
        a, b = RNG.normal(3, 1, size=8), RNG.normal(3, 1, size=8)
        mine = compare(a.tolist(), b.tolist(), margin=0.8).equivalent
        above = stats.ttest_1samp(a - b, -0.8, alternative="greater").pvalue
        below = stats.ttest_1samp(a - b, 0.8, alternative="less").pvalue
        assert mine == (max(above, below) < 0.05)


@given(ERRORS)
@settings(deadline=None, max_examples=40)
def test_swapped_arms_give_the_mirror_image(
    errors: list[tuple[float | None, float | None]],
) -> None:
    a, b = map(list, zip(*errors, strict=True))
    one, other = compare(a, b, margin=1.0), compare(b, a, margin=1.0)
    assert (one.p, one.exact, one.equivalent) == (other.p, other.exact, other.equivalent)
    assert one.difference == -other.difference
    assert one.diverged == (other.diverged[1], other.diverged[0], other.diverged[2])
    share = other.probability_of_improvement
    assert one.probability_of_improvement == pytest.approx(1 - share)
    low, high = one.improvement_interval
    assert (1 - high, 1 - low) == pytest.approx(other.improvement_interval)
    differences = sorted(compare([x], [y]).difference for x, y in errors)
    symmetric = differences == sorted(-x for x in differences)
    if one.interval is not None and other.interval is not None and not symmetric:
        assert (-one.interval[1], -one.interval[0]) == other.interval


@given(ERRORS, st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_seeds_does_not_matter(errors: list[Any], random: Any) -> None:
    shuffled = random.sample(errors, len(errors))
    pairs = [compare(*map(list, zip(*each, strict=True))) for each in (errors, shuffled)]
    assert pairs[0] == pairs[1]
    summaries = [summarize([a for a, _ in each]).content() for each in (errors, shuffled)]
    for mine in (summaries[0], summaries[1]):
        mine |= {key: pytest.approx(mine[key]) for key in ("mean", "sd")}
    assert summaries[0]["median_interval"] == summaries[1]["median_interval"]
    assert summaries[0]["mean_interval"] == summaries[1]["mean_interval"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_is_monotone_and_corrects(p: list[float]) -> None:
    corrected = holm(p)
    order = sorted(range(len(p)), key=lambda k: p[k])
    assert [corrected[k] for k in order] == sorted(corrected)
    for place, k in enumerate(order):
        steps = (min(1.0, (len(p) - j) * p[order[j]]) for j in range(place + 1))
        assert corrected[k] == max(steps)


def test_holm_by_hand() -> None:
    # Holm 1979: 3 · 0.01, 2 · 0.04, 1 · 0.03 → not less than the one before
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm([]) == []


def test_all_arms_are_compared_in_pairs() -> None:
    base = RNG.normal(5, 1, size=10)
    arms = {name: (base + shift + RNG.normal(size=10) / 9).tolist()
            for name, shift in (("A", 0.0), ("B", 0.1), ("C", 2.0))}  # fmt: skip
    pairs = compare_all(arms, margin=1.0)
    assert [(pair.a, pair.b) for pair in pairs] == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [pair.p_holm for pair in pairs] == holm([pair.p for pair in pairs])
    assert [pair.equivalent for pair in pairs] == [True, False, False]
    assert all("Holm's correction for 3 pairs" in pair.sentence() for pair in pairs)
    (alone,) = compare_all({name: arms[name] for name in "AC"})
    assert alone.p == alone.p_holm
    assert "Holm" not in alone.sentence()


def pair_of(differences: list[float], **more: Any) -> Pair:
    return compare([5 + d for d in differences], [5.0] * len(differences), names=("A", "B"), **more)


def test_sentences_say_what_was_found() -> None:
    less = pair_of([-0.5, -0.25, -0.5, -0.75, -0.5, -0.25, -0.5, -0.25], margin=0.25)
    low, high = less.interval or (0, 0)
    assert less.sentence() == (
        f"A's test error is 0.44 points lower than B's (95 % interval {-high:.2f} to {-low:.2f}, "
        "8 seeds, p = 0.0078). That they are the same within 0.25 points is not shown."
    )
    assert less.warning() is None
    more = pair_of([0.5, 0.25, 0.5, 0.75, 0.5, 0.25, 0.5, 0.25])
    assert more.sentence() == (
        f"A's test error is 0.44 points higher than B's (95 % interval {-high:.2f} to {-low:.2f}, "
        "8 seeds, p = 0.0078)."
    )
    unclear = pair_of([-0.5, 0.25, 0.5, -0.75, -0.5, 0.25], margin=1.0)
    low, high = unclear.interval or (0, 0)
    assert low < 0 < high
    assert unclear.sentence() == (
        "No difference between A and B is shown: A's test error is 0.12 points lower (95 % "
        f"interval: {high:.2f} higher to {-low:.2f} lower, 6 seeds, p = {unclear.p:.2g}). "
        "They are the same within 1 point."
    )
    other = pair_of([0.5, -0.25, -0.5, 0.75, 0.5, -0.25])
    assert f"(95 % interval: {high:.2f} lower to {-low:.2f} higher, " in other.sentence()


def test_too_few_seeds_are_warned_of() -> None:
    three = pair_of([-1.0, -2.0, -3.0])
    assert three.p == three.smallest_p == 0.25
    assert three.warning() == (
        "3 seeds can never show a difference: the smallest p is 0.25; 6 seeds can"
    )
    assert pair_of([-1.0] * 5).warning() is not None
    assert pair_of([-1.0] * 6).warning() is None
    assert pair_of([-1.0] * 6).p == 2 / 2**6
    few = pair_of([-1.0] * 5 + [0.0] * 15).warning()
    assert few is not None
    assert few.startswith("only 5 of 20 seeds differ")
    arms = {str(k): [float(k)] * 6 for k in range(4)}
    for pair in compare_all(arms):
        assert pair.p_holm > 0.05
        assert "among 6 pairs" in (pair.warning() or "")
        assert "; 8 seeds can" in (pair.warning() or "")


def test_wilsons_interval_is_scipys() -> None:
    for wins, n in ((0, 5), (5, 5), (3, 7), (60, 100)):
        theirs = stats.binomtest(wins, n).proportion_ci(0.95, method="wilson")
        assert wilson(wins / n, n) == pytest.approx(tuple(theirs))


def test_students_interval_is_scipys() -> None:
    sample = RNG.normal(size=7)
    theirs = stats.t.interval(0.9, 6, sample.mean(), stats.sem(sample))
    assert student(sample, 0.9) == pytest.approx(theirs)
    assert student(sample[:1], 0.9) is None


# ----------------------------------------------------------------------------------- selection


def test_ranks_by_median_then_mean_with_what_diverged_last() -> None:
    cells: list[list[float | None]]
    cells = [[3, 3, 3], [2, 2, 9], [2, 2, 3], [1, None, None], [None] * 3, [2, 2, 9], [0, None, 2]]
    assert rank(cells) == [5, 2, 1, 6, 7, 2, 4]  # the last: median 2, and an infinite mean
    assert rank([[math.nan, 1.0], [None, 1.0], [None, None]]) == [1, 1, 3]
    assert rank([[2, 2, 200], [0, 2, None]]) == [1, 2]
    assert rank([]) == []


def test_ranks_are_those_of_the_median_of_an_even_number() -> None:
    assert rank([[1.0, 4.0], [2.0, 2.5], [None, 0.0]]) == [2, 1, 3]


def test_a_clear_winner_has_no_luck() -> None:
    errors = RNG.normal(size=(3, 20)) + np.array([[0], [50], [60]])
    found = optimism(errors.tolist())
    assert found is not None
    assert found.optimism == pytest.approx(0, abs=1e-12)  # what one half gives the other takes
    assert found.same == 1
    assert (found.cells, found.seeds) == (3, 20)


def test_the_winner_of_optimism_is_the_one_with_the_first_rank() -> None:
    cells = [[1.0] * 8, [1.0, 1, 1, 1, 1, 9, 9, 9]]  # the medians are equal, the means are not
    assert rank(cells) == [1, 2]
    one, other = optimism(cells), optimism(cells[::-1])
    assert one == other
    assert one is not None
    assert (one.optimism, one.same) == (0, 1)


def test_no_difference_is_too_large_to_be_seen() -> None:
    assert paired_seeds(100, 1e-9) == paired_seeds(100, 1e-3) == 2


def test_optimism_by_hand() -> None:
    # Two of four seeds: the one that is better there by 10 is worse by 10 on the others, or equal.
    found = optimism([[0, 0, 10, 10], [10, 10, 0, 0]], halves=4000)
    assert found is not None
    # {0, 1} against {2, 3} has a chance of 1/3: both directions are off by 10. Else all are 5.
    assert found.optimism == pytest.approx(10 / 3, abs=4 * 10 * math.sqrt(2 / 9 / 4000))
    assert json.dumps(found.content())
    assert optimism([[0, 0, 10, 10], [10, 10, 0, 0]], halves=4000) == found


def test_there_is_no_optimism_without_a_choice_or_with_few_seeds() -> None:
    assert optimism([[1, 2, 3, 4]]) is None
    assert optimism([]) is None
    assert optimism([[1, 2, 3]] * 2) is None
    assert optimism([[1, 2, 3, None]] * 2) is not None


def test_a_large_sweep_is_halved_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = RNG.normal(size=(5, 8)).tolist()
    whole = optimism(errors, halves=50)
    monkeypatch.setattr("minifw.statistics.selection.AT_ONCE", 200)
    assert optimism(errors, halves=50) == whole


# ---------------------------------------------------------------------------------- components


def test_components_of_errors_without_interaction() -> None:
    a, b, c = (RNG.normal(size=n) for n in (6, 5, 4))
    found = components(a[:, None, None] + b[:, None] + c)
    variances = [x.var(ddof=1) for x in (a, b, c)]
    assert found.shares["interaction"] == pytest.approx(0, abs=1e-12)
    for name, variance in zip(PARTS, variances, strict=False):
        assert found.shares[name] == pytest.approx(variance / sum(variances))
    assert found.total_sd == pytest.approx(math.sqrt(sum(variances)))
    assert sum(share or 0 for share in found.shares.values()) == pytest.approx(1)


def test_components_are_those_of_the_analysis_of_variance() -> None:
    """Two factors crossed, against mean squares written out for that design."""
    y = RNG.normal(size=(5, 4)) + 3 * RNG.normal(size=(5, 1)) + 2 * RNG.normal(size=(1, 4))
    rows, columns, mean = y.mean(1, keepdims=True), y.mean(0, keepdims=True), y.mean()
    between_rows = 4 * ((rows - mean) ** 2).sum() / 4
    between_columns = 5 * ((columns - mean) ** 2).sum() / 3
    rest = ((y - rows - columns + mean) ** 2).sum() / 12
    expected = [(between_rows - rest) / 4, (between_columns - rest) / 5, 0.0, rest]
    found = components(y[:, :, None])
    assert [found.shares[p] for p in PARTS] == pytest.approx(np.array(expected) / sum(expected))
    assert found.intervals["order"] is None  # one level
    assert found.levels == {"data": 5, "init": 4, "order": 1}


def test_components_are_unbiased() -> None:
    rng = np.random.default_rng(3)
    variances = np.array([
        [found.total_sd**2 * (found.shares[part] or 0) for part in PARTS]
        for found in (components(campaign.crossed("normal", (8, 8, 6), rng)) for _ in range(100))
    ])  # fmt: skip
    mean, error = variances.mean(0), variances.std(0) / 10
    for part, m, e in zip(PARTS, mean, error, strict=True):
        assert abs(m - campaign.EFFECTS[part] ** 2) < 4 * e, part


def test_no_share_is_below_0() -> None:
    found = [components(np.random.default_rng(k).normal(size=(4, 4, 4))) for k in range(20)]
    shares = [[each.shares[part] or 0.0 for part in PARTS] for each in found]
    assert np.min(shares) == 0
    assert np.sum(shares, 1) == pytest.approx(np.ones(20))
    ends = [each.intervals[part] or (-1, -1) for each in found for part in PARTS]
    assert 0 <= np.min(ends) <= np.max(ends) <= 1


def test_errors_that_do_not_differ_have_no_shares() -> None:
    found = components(np.full((3, 3, 3), 7.0))
    assert {*found.shares.values(), *found.intervals.values()} == {None}
    assert (found.total_sd, found.seeds_needed(1.0)) == (0.0, 6)
    assert components(np.full((1, 1, 1), 7.0)).shares == dict.fromkeys(PARTS)


def test_a_network_that_diverged_counts_as_the_worst() -> None:
    errors = RNG.normal(5, 1, size=(4, 4, 4))
    gone, worst = errors.copy(), errors.copy()
    gone[1, 2, 3], worst[1, 2, 3] = math.nan, 100.0
    found, other = components(gone).content(), components(worst).content()
    assert (found.pop("diverged"), other.pop("diverged")) == (1, 0)
    assert found == other
    assert json.dumps(found)


def test_components_need_three_dimensions() -> None:
    with pytest.raises(ValueError, match="data, init, order"):
        components(np.ones((3, 3)))


def power_of(n: int, effect: float) -> float:
    """Power of the paired t-test by SciPy's noncentral t distribution."""
    bound, shift = stats.t.ppf(0.975, n - 1), effect * math.sqrt(n)
    return float(stats.nct.sf(bound, n - 1, shift) + stats.nct.cdf(-bound, n - 1, shift))


@pytest.mark.parametrize("effect", [0.05, 0.3, 0.7, 1.0, 2.5])
def test_so_many_seeds_reach_the_power_and_one_less_does_not(effect: float) -> None:
    n = paired_seeds(effect, 1.0)
    assert power_of(n, effect) >= 0.8 > power_of(n - 1, effect)


def test_seeds_needed_are_never_fewer_than_can_show_it() -> None:
    one = Components({}, {}, 1.0, {}, 0)
    assert one.seeds_needed(100) == 6
    assert one.seeds_needed(100, level=0.01) == 8
    assert 2 / 2**8 <= 0.01 < 2 / 2**7
    assert one.seeds_needed(1.0) == paired_seeds(1.0, math.sqrt(2))
    assert one.seeds_needed(1.0, power=0.95) > one.seeds_needed(1.0)
    assert one.seeds_needed(1e-9) == 1_000_000
    with pytest.raises(ValueError, match="above 0"):
        one.seeds_needed(0)


# --------------------------------------------------------------------- as sure as the page says

PAGE = (ROOT / "docs/statistics.md").read_text()
CAMPAIGN = 5000


def quoted(head: str) -> dict[str, list[str]]:
    """The rows of the table of the page whose head begins so, by the first cell."""
    found = re.search(rf"^\| {re.escape(head)} \|.*\n\| ---.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found is not None, head
    rows = [line.strip("| ").split(" | ") for line in found[1].splitlines()]
    return {row[0]: row[1:] for row in rows}


def check_share(share: float, said: str, experiments: int, what: str) -> None:
    """Check that what came out in a few experiments fits what the campaign printed."""
    quote = float(said.removesuffix(" %")) / 100
    p = min(max(quote, 0.002), 0.998)
    slack = 4 * math.sqrt(p * (1 - p) * (1 / experiments + 1 / CAMPAIGN))
    assert abs(share - quote) <= slack, f"{what}: {share:.3f}, the page says {said}"


def test_intervals_hold_the_truth_as_often_as_the_page_says() -> None:
    rows = quoted("95 % interval holds the true")
    assert len(rows) == 2 * len(campaign.KINDS)
    for statistic, kind in itertools.product(campaign.STATISTICS, campaign.KINDS):
        for n, said in zip(campaign.NUMBERS[::2], rows[f"{statistic}, {kind}"][::2], strict=True):
            share = campaign.coverage(kind, statistic, n, 120, seed=8)
            check_share(share, said, 120, f"{statistic}, {kind}, {n}")


def test_conclusions_are_as_often_wrong_as_the_page_says() -> None:
    rows = quoted("concluded at 5 %")
    for row, (*said,) in rows.items():
        kind, _, n = row.partition(", n = ")
        found = campaign.conclusions(kind, int(n), 250, seed=8)
        for what, quote in zip(campaign.CONCLUSIONS, said, strict=True):
            check_share(found[what], quote, 250, f"{what}, {row}")


def test_the_test_of_no_difference_errs_at_its_level() -> None:
    rows = quoted("concluded at 5 %")
    for row, (wrong, *_) in rows.items():
        if not row.startswith("one arm"):
            assert float(wrong.removesuffix(" %")) <= 5 + 300 * math.sqrt(0.05 * 0.95 / CAMPAIGN)


def test_intervals_of_shares_and_of_improvement_are_as_the_page_says() -> None:
    for kind, said in quoted("95 % interval of the probability of improvement").items():
        for n, quote in zip(campaign.NUMBERS[::2], said[::2], strict=True):
            check_share(campaign.improvement(kind, n, 400, seed=8), quote, 400, f"{kind}, {n}")
    for row, said in quoted("95 % interval of a share").items():
        kind, _, levels = row.partition(", ")
        found = campaign.shares(kind, [*map(int, levels.split(" × "))], 60, seed=8)
        for part, quote in zip(PARTS, said, strict=True):
            check_share(found[part], quote, 60, f"{part}, {row}")


def test_so_many_seeds_show_a_difference_as_often_as_the_page_says() -> None:
    for row, (n, said) in quoted("difference / standard deviation").items():
        needed, power = campaign.power(float(row), 400, seed=8)
        assert str(needed) == n
        check_share(power, said, 400, row)
        assert power > 0.8 - 4 * math.sqrt(0.16 / 400)


def test_optimism_is_a_bound() -> None:
    for cells, said in (("10", ["0", "10", "0.57", "0.83"]), ("2", ["0.3", "10", "0.17", "0.27"])):
        assert " | ".join([cells, *said]) in PAGE
        true, estimate = campaign.luck(int(cells), float(said[0]), int(said[1]), 150, seed=8)
        assert true == pytest.approx(float(said[2]), abs=4 * 0.35 / math.sqrt(150))
        assert estimate == pytest.approx(float(said[3]), abs=4 * 0.35 / math.sqrt(150))
        assert estimate > true


@pytest.mark.slow
def test_the_campaign_prints_what_the_page_quotes() -> None:
    """Its first rows, in full: the whole takes minutes."""
    for statistic, kind in zip(campaign.STATISTICS, ("normal", "lognormal"), strict=True):
        row = [campaign.percent(campaign.coverage(kind, statistic, n, CAMPAIGN)) for n in (5, 10)]
        assert quoted("95 % interval holds the true")[f"{statistic}, {kind}"][:2] == row
