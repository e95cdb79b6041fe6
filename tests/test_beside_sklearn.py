"""minifw beside scikit-learn on the same splits: docs/data.md has the table of campaigns/scikit.py."""

from __future__ import annotations

import numpy as np
import pytest

from campaigns.scikit import beside, row


@pytest.mark.parametrize(
    ("data", "model"), [("breast-cancer", "linear"), ("iris", "linear, ones"), ("diabetes", "linear")]
)  # fmt: skip
def test_what_minimises_the_same_predicts_the_same(data: str, model: str) -> None:
    """Logistic regression and ridge have one minimum, which both find."""
    result = beside(data, model, seeds=3)  # type: ignore[arg-type]
    np.testing.assert_allclose(result.ours, result.theirs, rtol=1e-4)
    assert result.differ < (0.01 if result.is_regression else 1e-9)
    assert result.same


@pytest.mark.slow
def test_biases_without_a_penalty_are_the_only_difference() -> None:
    """In iris the class in the middle needs a bias."""
    assert 0 < beside("iris", "linear", seeds=10).differ < 2


def test_networks_are_as_good_as_scikit_learns() -> None:
    result = beside("wine", "MLP")
    assert len(result.ours) == 10
    assert result.same, row(result)
