"""What is measured of classifiers besides their error, against scikit-learn and by hand."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    mean_squared_error,
    roc_auc_score,
)

import minifw as library
from conftest import SMALL, Answer, Minifw
from minifw.charts import Bars, Dots, Line, drawn
from minifw.errors import UsageError
from minifw.experiment import scoring
from minifw.report import classes, plots
from minifw.report import scores as report
from minifw.report.tables import of_results
from minifw.runs.directory import load
from minifw.runs.results import Results
from minifw.statistics import scores

Floats = NDArray[np.float64]
THREE = (*SMALL, "--seeds", 3, "--set", "train.epochs=3")


def good(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


def probabilities(outputs: Floats, link: str) -> Floats:
    """Softmax, or sigmoids that are divided by their sum, in the plainest way."""
    if link == "sigmoid":
        sigmoids = 1 / (1 + np.exp(-outputs))
        return np.asarray(sigmoids / sigmoids.sum(-1, keepdims=True))
    powers = np.exp(outputs)
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def calibration_error(largest: Floats, right: NDArray[np.bool_], bins: int) -> float:
    """In percent, as the code of Guo et al. 2017 finds it, bin by bin."""
    total = 0.0
    for low, high in zip(np.arange(bins) / bins, np.arange(1, bins + 1) / bins, strict=True):
        inside = (largest > low + 1e-10) & (largest <= high + 1e-10)  # 1/3 is on a border
        if inside.any():
            gap = abs(right[inside].mean() - largest[inside].mean())
            total += 100 * float(inside.mean() * gap)
    return total


# ----------------------------------------------------------------------------- against scikit-learn


def test_calibration_of_probabilities_on_a_border_and_of_networks_that_overflowed() -> None:
    """1/3 is in the fifth bin of 15, whatever its last bit; a network with NaN is in none."""
    third = np.nextafter(1 / 3, [0.0, 1 / 3, 1.0])
    right = np.array([True, False, False])
    found = scores.calibration(third, right)
    assert found.count.tolist() == [0, 0, 0, 0, 3, *[0] * 10]
    assert found.error == pytest.approx(0, abs=1e-9)
    both = scores.calibration(np.array([[0.9, np.nan, 0.7], third]), np.stack([right, right]))
    assert both.count.sum(-1).tolist() == [0, 3]
    assert both.error == pytest.approx([np.nan, 0], abs=1e-9, nan_ok=True)


def test_a_network_whose_outputs_overflow_on_the_test_samples_is_recorded(minifw: Minifw) -> None:
    words = ("--set", "loss=cross-entropy", "--set", "train.eta=1e30", "--set", "train.epochs=1")
    answer = minifw("train", "simplenet", *SMALL, *words, "--seeds", 20, "--json")
    assert answer.code == 0, answer.err
    lost = answer.json["scores"]["log_loss"].count(None)
    assert lost > sum(seed is None for seed in answer.json["test_error"])


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    stack=st.sampled_from([(), (1,), (4,), (2, 3)]),
    samples=st.integers(1, 30),
    count=st.integers(2, 5),
    coarse=st.booleans(),
    link=st.sampled_from(["softmax", "sigmoid"]),
)
def test_every_score_is_that_of_scikit_learn(
    seed: int, stack: tuple[int, ...], samples: int, count: int, coarse: bool, link: Any
) -> None:
    """Of each network of a stack; `coarse` outputs have many ties; classes may be absent."""
    rng = np.random.default_rng(seed)
    outputs = rng.normal(0, 2, (*stack, samples, count))
    if coarse:
        outputs = np.round(outputs)
    labels = rng.integers(0, count, (*stack, samples))
    chosen = outputs.argmax(-1)
    found = scores.score(outputs, labels, chosen, link)
    assert found.log_loss is not None
    assert found.calibration is not None
    values = scores.log_odds(outputs if link == "softmax" else -np.log1p(np.exp(-outputs)))
    for place in np.ndindex(*stack):
        true, mine = labels[place], chosen[place]
        likely = probabilities(outputs[place], link)
        all_classes = np.arange(count)
        np.testing.assert_array_equal(
            found.confusion[place], confusion_matrix(true, mine, labels=all_classes)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a class that no sample has
            balanced = 100 * (1 - balanced_accuracy_score(true, mine))
        assert found.balanced_error[place] == pytest.approx(balanced, abs=1e-12)
        assert found.log_loss[place] == pytest.approx(log_loss(true, likely, labels=all_classes))
        error = calibration_error(likely.max(-1), mine == true, scores.BINS)
        assert found.calibration.error[place] == pytest.approx(error, abs=1e-9)
        if len(set(true)) < count:
            assert np.isnan(found.auc[place])
            continue
        odds = values[place]
        if count == 2:
            theirs = roc_auc_score(true, odds[:, 1] - odds[:, 0])
        else:
            each = [roc_auc_score(true == c, odds[:, c]) for c in all_classes]
            theirs = float(np.mean(each))
            if not coarse:  # of probabilities, equal ones are equal only up to rounding
                known = roc_auc_score(true, likely, multi_class="ovr", average="macro")
                assert found.auc[place] == pytest.approx(known, abs=1e-12)
        assert found.auc[place] == pytest.approx(theirs, abs=1e-12)


def test_equal_values_count_half() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    values = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    # Of six pairs the larger is of class 1 in 1 · 2 + 2 · 1 = 4, and two are equal.
    two = np.stack([np.zeros(5), values], -1)
    assert scores.auc(labels, two) == pytest.approx((4 + 2 * 0.5) / 6)
    assert scores.auc(labels, np.zeros((5, 2))) == 0.5
    assert np.isnan(scores.auc(np.ones(5, int), two))


def test_the_order_does_not_end_where_probabilities_round_to_one() -> None:
    """The softmax is 1 in float64 for all four samples, whose order is still perfect."""
    outputs = np.array([[-500.0, 0.0, -800], [50, 0, -70], [90, 0, -70], [60.0, 0, -70]])
    odds = scores.log_odds(outputs)
    assert np.isfinite(odds).all()
    np.testing.assert_allclose(odds[1:, 0], [50, 90, 60])
    np.testing.assert_allclose(odds[0], [-500, 500, -800])
    # Beyond the range of exp there is no difference left, but no NaN either.
    assert scores.log_odds(np.array([0.0, 2000.0])).tolist() == [-2000, np.inf]


def test_the_log_loss_does_not_overflow() -> None:
    outputs = np.array([[1000.0, 0.0], [-1000, 0]])
    found = scores.score(outputs, np.array([0, 0]), np.array([0, 1]), "softmax")
    assert found.log_loss == 500
    found = scores.score(-outputs, np.array([0, 0]), np.array([0, 1]), "sigmoid")
    assert found.log_loss is not None
    assert np.isfinite(found.log_loss)


def test_calibration_by_hand() -> None:
    """Five answers of 0.9, four of them right; two of exactly 3 / 15, which is the third bin."""
    largest = np.array([0.9] * 5 + [3 / 15] * 2 + [1.0])
    right = np.array([True] * 4 + [False, True, False, True])
    found = scores.calibration(largest, right)
    assert found.count.tolist() == [0, 0, 2] + [0] * 10 + [5, 1]
    assert found.right[[2, 13, 14]].tolist() == [1, 4, 1]
    assert found.error == pytest.approx(100 * (5 * 0.1 + 2 * 0.3) / 8)


def test_a_stack_is_its_networks() -> None:
    """A lane has the bits of its solo run, whatever else is in the stack."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(7, 40, 3)).astype(np.float32)
    outputs[3] = np.nan
    labels = rng.integers(0, 3, (7, 40))
    chosen = outputs.argmax(-1)
    with np.errstate(invalid="ignore"):
        whole = scores.score(outputs, labels, chosen, "softmax")
    assert whole.log_loss is not None
    assert np.isnan([whole.auc[3], whole.log_loss[3]]).all()
    for place in (0, 6):
        alone = scores.score(outputs[place], labels[place], chosen[place], "softmax")
        assert alone.log_loss == whole.log_loss[place]
        assert alone.auc == whole.auc[place]
        assert alone.balanced_error == whole.balanced_error[place]


# ------------------------------------------------------------------------------------ of a whole run

LOSSES = {"cross-entropy": "softmax", "bce": "sigmoid", "mse": None}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_has_the_scores_of_its_networks(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """Of outputs that predict gives anew; one seed is scored at a time, and one diverges."""
    monkeypatch.setattr(scoring, "AT_ONCE", 1)
    more: tuple[str, ...] = (
        "--set",
        f"loss={loss}",
        "--set",
        "data.kind=moons",
        "--set",
        "data.noise=0.4",
    )
    more += ("--set", "dtype=float64", "--set", "train.epochs=40", "--set", "train.eta=0.5")
    more += ("--set", "network.3={kind: dropout, p: 0.2}")  # which scores must not have
    shown = good(minifw("train", "simplenet", *SMALL, "--seeds", 3, *more, "--json")).json
    run = library.load(shown["run_dir"])
    found, data = run.scores(), run.data()
    link = LOSSES[loss]
    for place, seed in enumerate(run.seeds):
        outputs = run.network(seed).forward(data.test.inputs[place]).numpy()
        true = data.test.class_numbers[place].numpy()
        mine = outputs.argmax(-1)
        values = outputs if link is None else np.log(probabilities(outputs, link))
        auc = roc_auc_score(true, values[:, 1] - values[:, 0])
        assert found.auc[place] == pytest.approx(auc, abs=1e-12)
        balanced = 100 * (1 - balanced_accuracy_score(true, mine))
        assert found.balanced_error[place] == pytest.approx(balanced)
        assert found.confusion_of_seeds is not None
        counts = found.confusion_of_seeds[place]
        assert counts.tolist() == confusion_matrix(true, mine, labels=[0, 1]).tolist()
        assert run.test_error[place] == pytest.approx(100 - 100 * np.trace(counts) / 30)
        if link is None:
            continue
        likely = probabilities(outputs, link)
        assert found.log_loss is not None
        assert found.calibration_error is not None
        assert found.log_loss[place] == pytest.approx(log_loss(true, likely, labels=[0, 1]))
        error = calibration_error(likely.max(-1), mine == true, 15)
        assert found.calibration_error[place] == pytest.approx(error)
    assert found.confusion is not None
    assert found.confusion.sum() == 90
    assert (found.log_loss is None) == (found.calibration is None) == (link is None)
    assert shown["scores"]["auc"] == found.auc.tolist()
    assert ("calibration" in plots.drawings(load(run.path))) == (link is not None)
    one = good(minifw("train", "simplenet", *SMALL, "--seeds", 1, *more))
    assert f"balanced error {found.balanced_error[0]:.2f} %, AUC {found.auc[0]:.3f}" in one.out
    assert ("log loss" in one.out) == (link is not None)


def test_the_bins_of_all_seeds_are_one_diagram(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "AT_ONCE", 1)
    config = ("cross-entropy", "--set", "train.batch_size=15")
    path = good(minifw("train", *config, *THREE, "--json")).json["run_dir"]
    run = library.load(path)
    bins, each = run.scores().calibration, run.scores().calibration_error
    assert bins is not None
    assert each is not None
    assert bins["count"].sum() == 90
    assert bins["right"].sum() == pytest.approx(90 - 0.3 * run.test_error.sum())
    some = bins["count"] > 0
    assert ((bins["confidence"][some] >= 0.5) & (bins["confidence"][some] <= 1)).all()
    # That of all together is at most the mean of the seeds', by the triangle's inequality.
    gaps = np.abs(bins["right"] - bins["count"] * np.nan_to_num(bins["confidence"]))
    assert 100 * gaps.sum() / 90 <= each.mean() + 1e-9


def test_groups_of_seeds_are_joined(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", "cross-entropy", "--set", "train.batch_size=15", *THREE, "--json")
    whole = good(minifw(*words)).json["scores"]
    monkeypatch.setattr("minifw.experiment.plan.Plan.groups", [[0, 1], [2]])
    assert good(minifw(*words)).json["scores"] == whole


def test_a_seed_that_diverged_has_no_scores(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no sum, and all others are."""
    monkeypatch.setattr(scoring, "AT_ONCE", 100)  # one seed has 60 numbers
    changes = ("--set", "train.eta=1.2", "--set", "train.epochs=40")
    shown = minifw("train", "simplenet", *SMALL, "--seeds", 8, *changes, "--json").json
    gone = [epoch is not None for epoch in shown["diverged_epoch"]]
    assert 0 < sum(gone) < 8, "this test needs seeds that diverge and others"
    assert not gone[0]
    found = shown["scores"]
    for name in ("auc", "balanced_error"):
        assert [value is None for value in found[name]] == gone
    assert np.sum(found["confusion"]) == 30 * (8 - sum(gone))
    counts = np.array(found["confusion_of_seeds"])
    assert (counts.sum((1, 2)) == 0).tolist() == gone


def test_compare_has_the_scores_of_both_arms(minifw: Minifw) -> None:
    """Also where the other arm lacks the streams of random numbers that dropout draws from."""
    drops = ("--set", "network.1={kind: dropout, p: 0.1}", "--set", "loss=cross-entropy")
    answer = good(minifw("compare", "simplenet", *THREE, *drops))
    (path,) = Path("runs").iterdir()
    run = library.load(path)
    for mode in run.modes:
        ours, theirs = run.scores(mode), run.scores(mode, "pytorch")
        assert ours.log_loss is not None
        assert theirs.log_loss is not None
        np.testing.assert_allclose(ours.log_loss, theirs.log_loss, atol=0.1)
    table = run.tables["table4"]
    assert [*table.head] == ["", "minifw", "minifw, 95 %", "PyTorch", "PyTorch, 95 %"]
    assert [name for name, _ in table.rows[::4]] == [
        "Full batch: balanced error, %",
        "SGD: balanced error, %",
    ]
    assert max(map(len, answer.out.splitlines())) <= 80
    with pytest.raises(UsageError, match="mode: this run has several"):
        run.scores()


# ------------------------------------------------------------------------------- tables and figures


def content(count: int = 3, seeds: int = 4, **scores_: Any) -> dict[str, Any]:
    """The content of a results.json of so many classes."""
    names = [f"class {number}" for number in range(count)]
    arm = {
        "test_error": [10.0] * seeds, "train_error": [1.0] * seeds, "train_loss": [0.1] * seeds,
        "diverged_epoch": [None] * seeds, "diverged_layer": [None] * seeds,
        "summary": {"min": 1.0, "median": 2.0, "mean": 2.0, "max": 3.0},
        "seconds": 1.0, "evaluation_seconds": 1.0, "compiled": False,
        "scores": {
            "balanced_error": [12.0] * seeds, "auc": [0.9] * seeds, "log_loss": [0.5] * seeds,
            "calibration_error": [4.0] * seeds,
            "confusion": (np.eye(count, dtype=int) * 90 + 5).tolist(),
            "calibration": {
                "count": [0] * 13 + [5, 95], "right": [0] * 13 + [2, 80],
                "confidence": [None] * 13 + [0.9, 0.99],
            },
        } | scores_,
    }  # fmt: skip
    return {
        "name": "a", "about": "'a'", "seeds": [*range(seeds)], "dtype": "float32", "threads": 1,
        "eta": 0.1, "epochs": 3, "batch_size": None, "modes": {"full-batch": {"minifw": arm}},
        "data": {
            "features": ["x"], "train": 10, "test": 10, "majority_error": 50.0,
            "class_balance": dict.fromkeys(names, 100 / count),
        },
    }  # fmt: skip


def typed(values: dict[str, Any]) -> Results:
    return Results.model_validate(json.loads(json.dumps(values)))


def test_the_table_has_medians_and_intervals() -> None:
    auc = [0.5, 0.7, None, 0.8]
    table = report.score_table(typed(content(auc=auc, log_loss=[0.1, 0.4, 0.5, 0.9])))
    assert table is not None
    rows = {name: table.shown(cells[0]) for name, cells in table.rows}
    assert rows == {
        "balanced error, %": "12.00", "AUC": "0.700", "log loss": "0.450",
        "calibration error, %": "4.00",
    }  # fmt: skip
    assert [table.shown(cell) for cell in dict(table.rows)["AUC"][2:]] == ["0.500", "0.800"]
    assert "The test samples of 1 seed lack a class, which leaves no AUC." in table.caption
    assert "one against the rest" in table.caption
    assert "AUC,0.7,0.5,0.8,0.5,0.8" in table.csv()
    none = typed(content(2, log_loss=None, calibration_error=None, calibration=None))
    table = report.score_table(none)
    assert table is not None
    assert [name for name, _ in table.rows] == ["balanced error, %", "AUC"]
    assert "The outputs are no probabilities with this loss" in table.caption
    assert "one against the rest" not in table.caption


def test_runs_of_an_older_minifw_are_read() -> None:
    old = content()
    del old["modes"]["full-batch"]["minifw"]["scores"]
    results = typed(old)
    assert results.content()["modes"]["full-batch"]["minifw"].keys() >= {"test_error"}
    assert "scores" not in results.content()["modes"]["full-batch"]["minifw"]
    assert [*of_results(results)] == ["table1", "table3"]
    assert [*of_results(typed(content()))] == ["table1", "table3", "table4"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"auc": [0.5] * 3}, "scores.auc: must have 4 values, one a seed, got 3"),
        ({"auc": [1.5] * 4}, "auc"),
        ({"confusion": [[1, 2], [3, 4]]}, "confusion: must be 3 rows of 3 counts"),
        ({"confusion": []}, "confusion: must be 3 rows of 3 counts"),
        ({"confusion_of_seeds": [[[1]]] * 4}, "confusion: must be 3 rows of 3 counts"),
        ({"calibration": {"count": [1], "right": [2], "confidence": [0.5]}}, "each bin must"),
        ({"calibration": {"count": [1], "right": [1], "confidence": [None]}}, "each bin must"),
        ({"calibration": {"count": [1], "right": [], "confidence": [0.5]}}, "each bin must"),
    ],
)
def test_scores_that_minifw_never_writes_are_refused(wrong: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        typed(content(**wrong))


def texts(count: int, **more: Any) -> list[str]:
    """Return the numbers in the cells of a matrix, as they are drawn."""
    chart = classes.confusion(typed(content(count, **more)))
    assert chart is not None
    with plots.defaults():
        figure = drawn.figure(chart)
    names = {"Full batch", "taken for", "true class", ""}
    written = [text.get_text() for text in figure.axes[0].texts]
    return [text for text in written if text not in names]


def test_a_matrix_of_many_classes_has_no_numbers() -> None:
    """Numbers are the shares of the class, a row; those of a class without samples are none."""
    assert sorted(texts(3)) == sorted(["4.8"] * 6 + ["90.5"] * 3)  # 5 and 95 of 105
    assert "<0.1" in texts(2, confusion=[[9999, 1], [0, 50]])
    assert texts(2, confusion=[[4, 12], [0, 0]]) == ["25.0", "75.0"]
    assert len(texts(20)) == 400
    assert texts(21) == []
    assert classes.confusion(typed(content(2, confusion=[[0, 0], [0, 0]]))) is None


def test_the_reliability_diagram_has_the_bins() -> None:
    chart = classes.calibration(typed(content()))
    assert chart is not None
    above, below = chart.panels
    _, line, dots, few = above.marks
    assert isinstance(line, Line)
    assert np.stack([line.x, line.y], 1) == pytest.approx(np.array([[90, 40], [99, 8000 / 95]]))
    assert isinstance(dots, Dots)
    assert isinstance(few, Dots)
    assert (dots.labels, few.labels) == (("95 answers",), ("5 answers",))
    assert few.shape == "cross"
    assert few.name == "a bin of fewer than 20 answers"
    (bars,) = below.marks
    assert isinstance(bars, Bars)
    assert np.asarray(bars.length) == pytest.approx([0] * 13 + [5, 95])
    assert "median calibration error 4.00 %" in above.title
    assert "all 4 seeds together" in chart.caption


def test_classes_are_drawn_where_a_seed_is_left() -> None:
    """With a caption below, since a picture in a folder has no text around it."""

    def drawings(**more: Any) -> dict[str, Any]:
        run: Any = SimpleNamespace(known={}, results=lambda: typed(content(2, **more)))
        return plots.drawings(run)

    assert [*drawings(confusion=[[0, 0], [0, 0]], calibration=None)] == ["errors"]
    found = drawings()
    assert [*found] == ["errors", "confusion", "calibration"]
    with plots.defaults():
        figure = found["confusion"]()
    assert figure.get_figwidth() == drawn.INCHES[1]
    assert "all 4 seeds together" in figure.texts[0].get_text().replace("\n", " ")


# --------------------------------------------------------------------------------------- regression


def test_each_target_of_several_has_its_own_rmse(minifw: Minifw) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3)) * [1, 1, 100]
    lines = ["x,small,large", *(",".join(map(str, row)) for row in rows)]
    Path("a.csv").write_text("\n".join(lines))
    Path("a.yaml").write_text(
        "name: a\ndata: {kind: csv, path: a.csv, task: regression, target: [small, large]}\n"
        "network: [{kind: linear, out_features: 2}]\nloss: mse\n"
        "train: {epochs: 3, eta: 0.1, mode: full-batch}\n"
    )
    shown = good(minifw("train", "a.yaml", "--seeds", 2, "--json")).json
    run = library.load(shown["run_dir"])
    found, data = run["full-batch"].target_rmse, run.data()
    assert found is not None
    assert [*found] == ["small", "large"]
    for place, seed in enumerate(run.seeds):
        outputs = run.network(seed).forward(data.test.inputs[place])
        scale = data.target_scale[place]
        for column, name in enumerate(found):
            pair = (data.test.targets[place][:, column], outputs[:, column])
            error = np.sqrt(mean_squared_error(*(side.numpy() for side in pair))) * scale[column]
            assert found[name][place] == pytest.approx(error, rel=1e-4)
    # The error of all is the root of the mean square of these.
    whole = np.sqrt(np.mean([values**2 for values in found.values()], 0))
    np.testing.assert_allclose(whole, run.test_error, rtol=1e-5)
    assert [name for name, _ in run.tables["table4"].rows] == ["RMSE of small", "RMSE of large"]
    with pytest.raises(UsageError, match="this run is a regression"):
        run.scores()
    one = good(minifw("train", "a.yaml", "--seeds", 1)).out
    assert "RMSE of small" in one


def test_a_run_without_scores_says_how_to_have_them(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = good(minifw("train", "simplenet", *THREE, "--json")).json["run_dir"]
    run = load(Path(path))
    values = run.results().content()
    del values["modes"]["full-batch"]["minifw"]["scores"]
    monkeypatch.setattr("minifw.runs.Run.results", lambda self: typed(values))
    old = library.load(path)
    with pytest.raises(UsageError, match=r"did not measure them; minifw train .*config\.yaml"):
        old.scores()
    assert not {"confusion", "calibration"} & {*plots.drawings(run)}


MIXES = """
from minifw import nn
import torch


class Theirs(torch.nn.Module):
    def forward(self, x):
        return x - x.mean(-2, keepdim=True)


@nn.layer(twin=nn.Twin(Theirs))
class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(-2, keepdim=True)

    def backward(self, gradient):
        return gradient - gradient.mean(-2, keepdim=True)
"""


@pytest.mark.parametrize("layer", ["python: mixes.Centred", "batch-norm1d"])
def test_all_that_is_evaluated_in_parts_is_as_evaluated_whole(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    """Errors, losses and scores of both arms, also where a layer mixes samples."""
    Path("mixes.py").write_text(MIXES)
    words = ("compare", "simplenet", *SMALL, "--seeds", 2, "--allow-code", "--json", "--set")
    network = f"network=[{{linear: 5}}, {{{layer}}}, relu, {{linear: 2}}]"
    if layer == "batch-norm1d":
        network = network.replace("{batch-norm1d}", "{batch-norm1d: {track_running_stats: false}}")
    settings = (
        "dtype=float64",
        "--set",
        "loss=cross-entropy",
        "--set",
        "train.epochs=3",
        "--set",
        "train.compile=false",
    )
    whole = library.load(good(minifw(*words, network, "--set", *settings)).json["run_dir"])
    monkeypatch.setattr("minifw.training.placement.EVALUATION_BYTES", 2000)
    parts = library.load(good(minifw(*words, network, "--set", *settings)).json["run_dir"])

    def numbers(run: library.Run) -> list[float]:
        found: list[float] = []
        for arms in json.loads((run.path / "results.json").read_text())["modes"].values():
            for arm in ("minifw", "pytorch"):
                kept = arms[arm]
                found += [*kept["train_loss"], *kept["test_loss"], *kept["test_error"]]
                found += [*kept["scores"]["log_loss"], *kept["scores"]["auc"]]
        return found

    np.testing.assert_allclose(numbers(parts), numbers(whole), rtol=1e-9)
