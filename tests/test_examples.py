"""What the packaged configs say about themselves is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import minifw


@pytest.fixture
def train(tmp_path: Path) -> Any:
    return lambda name, **more: minifw.train(name, runs_dir=tmp_path, progress=False, **more)


def test_a_run_gives_the_samples_that_it_was_trained_on(train: Any) -> None:
    for name in ("simplenet", "diabetes"):
        run = train(name, seeds=3, overrides={"train.epochs": 2})
        data = run.data()
        for place, seed in enumerate(run.seeds):
            output = run.network(seed)(data.test.inputs[place])
            if data.test.labels is None:
                away = (output - data.test.targets[place]).numpy() * data.target_scale[place]
                error = np.sqrt(np.mean(away**2))
            else:
                error = 100 * (output.argmax(-1) != data.test.labels[place]).double().mean()
            assert run.test_error[place] == pytest.approx(float(error))


def test_diabetes_is_as_good_as_ridge_regression_on_the_same_splits(train: Any) -> None:
    run = train("diabetes")
    data = run.data()
    ridge = np.array([_ridge_rmse(data, place) for place in range(len(run.seeds))])
    assert len(ridge) == 10
    assert np.median(ridge) == pytest.approx(55.0, abs=0.1)
    assert np.median(run.test_error) == pytest.approx(55.0, abs=0.3)
    assert np.mean(run.test_error - ridge) < 0.2


def _ridge_rmse(data: minifw.Dataset, place: int) -> float:
    """The test RMSE of scikit-learn's ridge on one seed's samples, in the target's own unit."""
    x, y, x_test, y_test = (
        values[place].numpy()
        for part in (data.train, data.test)
        for values in (part.inputs, part.targets)
    )
    away = Ridge(alpha=10).fit(x, y).predict(x_test).reshape(y_test.shape) - y_test
    return float(data.target_scale[place, 0] * np.sqrt(np.mean(away**2)))


def test_iris_is_as_good_as_logistic_regression_on_the_same_splits(train: Any) -> None:
    run = train("iris")
    data = run.data()
    theirs = []
    for place in range(len(run.seeds)):
        x, y, x_test, y_test = (
            values[place].numpy()
            for part in (data.train, data.test)
            for values in (part.inputs, part.class_numbers)
        )
        theirs.append(100 * (LogisticRegression().fit(x, y).predict(x_test) != y_test).mean())
    assert len(theirs) == 10
    assert np.median(theirs) == pytest.approx(10 / 3)
    assert np.median(run.test_error) == pytest.approx(10 / 3)


@pytest.mark.slow
def test_wrong_labels_of_iris_are_learnt_last(train: Any) -> None:
    run = train("iris", overrides={"data.label_noise": 0.2, "train.epochs": 2000})
    measured = run.metrics.arrays()
    medians = dict(zip(measured["epoch"], np.median(measured["test_error"], 1), strict=True))
    assert medians[200] == pytest.approx(5)
    assert medians[2000] > 13


def test_parity_is_learnt_from_most_rows_and_not_from_half_of_them(train: Any) -> None:
    assert np.median(train("parity").test_error) < 1
    half = train("parity", overrides={"data.share": 0.5})
    assert np.median(half.test_error) > 20
    assert (half.train_error == 0).all()


@pytest.mark.slow
def test_digits_cnn(train: Any) -> None:
    run = train("digits-cnn")
    assert len(run.seeds) == 10
    assert np.median(run.test_error) <= 1.5


@pytest.mark.slow
def test_grokking_generalises_long_after_it_has_learnt_by_heart(train: Any) -> None:
    run = train("grokking", seeds=3, overrides={"train.epochs": 2500})
    measured = run.metrics.arrays()
    epochs = measured["epoch"]
    by_heart, rule = (
        np.array([epochs[(errors[:, k] <= 5).argmax()] for k in range(len(run.seeds))])
        for errors in (measured["train_error"], measured["test_error"])
    )
    assert (by_heart <= 50).all()
    assert (measured["test_error"][epochs <= 200] > 95).all()
    assert (rule >= 500).all()
    assert (run.test_error <= 5).all()
    assert "log" in run.figure("errors").axes[0].get_xscale()
