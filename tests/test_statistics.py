"""What errors over seeds say: right against SciPy and by hand, and as sure as it claims to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from minifw.statistics.intervals import Statistic, interval
from minifw.statistics.summary import summarize

RNG = np.random.default_rng(5)

# ----------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("n", [2, 3, 5, 20, 21, 300])
@pytest.mark.parametrize(("name", "function"), [("mean", np.mean), ("median", np.median)])
def test_intervals_are_scipys(n: int, name: Statistic, function: Callable[..., Any]) -> None:
    sample = np.sort(RNG.exponential(size=n))
    theirs = stats.bootstrap(
        (sample,), function, method="BCa", batch=1000, random_state=np.random.default_rng(0)
    ).confidence_interval
    ours = interval(RNG.permutation(sample), name)
    np.testing.assert_allclose(ours, tuple(theirs), rtol=1e-9)


def test_where_bca_is_undefined_the_interval_is_the_percentile_one() -> None:
    sample = np.array([0.0] * 19 + [1.0])  # no jackknife median differs
    theirs = stats.bootstrap(
        (sample,), np.median, method="percentile", random_state=np.random.default_rng(0)
    ).confidence_interval
    assert interval(sample, "median") == tuple(theirs)


def test_small_samples_have_the_interval_that_they_allow() -> None:
    assert interval([0.1] * 3, "mean") == interval([0.1] * 3, "median") == (0.1, 0.1)
    assert interval([1.0, None, math.nan]) is None
    assert interval([]) is None
    assert interval([1.0, None, 2.0]) == interval([2.0, 1.0])


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


def test_a_summary_of_one_seed_or_none_has_no_spread() -> None:
    one, none = summarize([2.0]).content(), summarize([None, None]).content()
    assert {name for name, value in one.items() if value is None} == {
        "sd", "median_interval", "mean_interval",
    }  # fmt: skip
    assert none.pop("n") == none.pop("diverged") == 2
    assert set(none.values()) == {None}
