"""Regression: targets are numbers, errors are RMSEs in their own unit."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.preprocessing import StandardScaler

import minifw as library
from conftest import Answer, Minifw
from minifw import nn
from minifw.data import Dataset, Samples, balance
from minifw.errors import MinifwError
from minifw.runs.directory import load
from minifw.statistics.measure import Measure, digits
from minifw.statistics.paired import compare
from minifw.training.evaluation import errors_of, fits_of

Floats = NDArray[np.float64]


def rmse(true: Any, found: Any) -> float:
    return float(np.sqrt(mean_squared_error(true, found)))


def numbers(samples: int = 60, targets: int = 1, seed: int = 0) -> tuple[Floats, Floats]:
    """Inputs of three features, and targets in quite different units."""
    rng = np.random.default_rng(seed)
    x = rng.normal([1, -20, 300], [1, 5, 100], (samples, 3))
    slopes = rng.normal(size=(3, targets)) / [[1], [5], [100]]
    y = (x @ slopes + 0.3 * rng.normal(size=(samples, targets))) * 10.0 ** np.arange(targets)
    return x, y + 1000


def linear(features: int, targets: int, stack: tuple[int, ...] = ()) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, targets, stack=stack, dtype=torch.float64))


def dataset(
    targets: int = 1, samples: int = 60, *, one: bool = False, **more: Any
) -> tuple[Dataset, Floats, Floats]:
    """A dataset, its test inputs and its test targets."""
    x, y = numbers(samples, targets)
    y = y[:, 0] if one else y
    cut = samples * 2 // 3
    made = Dataset.from_arrays(
        x[:cut], y[:cut], x[cut:], y[cut:], task="regression", dtype="float64", **more
    )
    return made, x[cut:], y[cut:]


# ----------------------------------------------------------------------------- against scikit-learn


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("normalize", [True, False])
def test_errors_are_those_of_scikit_learn_in_the_targets_own_unit(
    targets: int, normalize: bool
) -> None:
    data, x, y = dataset(targets, normalize_target=normalize)
    network = linear(3, targets)
    found = data.predict(network, x)  # untrained
    output = network.forward(data.test.inputs)
    assert errors_of(output, data.test) == pytest.approx(rmse(y, found), rel=1e-12)
    fits = fits_of(output, data.test)
    assert fits["r2"] == pytest.approx(r2_score(y, found), rel=1e-12)
    assert fits["mae"] == pytest.approx(mean_absolute_error(y, found), rel=1e-12)


def test_a_linear_network_with_weight_decay_is_ridge_regression() -> None:
    """1/n |y - Xw|² + decay/2 |w|² is ridge's |y - Xw|² + n decay/2 |w|², divided by n."""
    x, y = load_diabetes(return_X_y=True)
    cut, decay = 350, 0.2
    data = Dataset.from_arrays(
        x[:cut], y[:cut], x[cut:], y[cut:], task="regression", dtype="float64"
    )
    network = linear(10, 1)
    optimizer = nn.SGD(network, momentum=0.9, weight_decay=decay)
    history = library.fit(network, nn.LossMSE(), optimizer, data, epochs=1500, eta=0.05,
                          eval_every=1500)  # fmt: skip
    scaler, mean, sd = StandardScaler().fit(x[:cut]), y[:cut].mean(), y[:cut].std()
    ridge = Ridge(alpha=cut * decay / 2).fit(scaler.transform(x[:cut]), (y[:cut] - mean) / sd)
    theirs = ridge.predict(scaler.transform(x[cut:])) * sd + mean
    found = data.predict(network, x[cut:])
    assert found.shape == theirs.shape == (92,)
    assert f"RMSEs {history.train_error[-1]:.4g} training, " in repr(history)
    np.testing.assert_allclose(found, theirs, rtol=1e-9)
    assert history.test_error[-1] == pytest.approx(rmse(y[cut:], theirs), rel=1e-9)


@pytest.mark.parametrize("loss", [nn.LossMSE(), nn.LossL1(), nn.LossHuber(delta=0.5)])
def test_each_network_of_a_stack_is_as_alone(loss: nn.Loss) -> None:
    seeds = [numbers(40, 2, seed) for seed in range(3)]
    x, y = (np.stack(each) for each in zip(*seeds, strict=True))
    parts = x[:, :30], y[:, :30], x[:, 30:], y[:, 30:]
    data = Dataset.from_arrays(*parts, task="regression", dtype="float64")
    network = linear(3, 2, (3,))
    alone = [
        network.with_parameters([v[k : k + 1].clone() for _, v, _ in network.parameters()])
        for k in range(3)
    ]
    together = library.fit(network, loss, nn.SGD(network), data, epochs=20, eta=0.1, batch_size=7)
    for k, one in enumerate(alone):
        some = (part[k : k + 1] for part in parts)
        own = Dataset.from_arrays(*some, task="regression", dtype="float64")
        history = library.fit(one, loss, nn.SGD(one), own, epochs=20, eta=0.1, batch_size=7, seed=k)
        assert [float(e[0]) for e in history.test_error] == [
            float(e[k]) for e in together.test_error
        ]
        assert np.array_equal(data.of([k]).predict(one, x[k]), own.predict(one, x[k]))


def test_predictions_have_the_form_of_the_targets() -> None:
    for one, shape in ((True, (20,)), (False, (20, 1))):
        data, x, _ = dataset(one=one)
        assert data.predict(linear(3, 1), x).shape == shape
        assert data.predict(linear(3, 1, (4,)), x).shape == (4, *shape)
    assert repr(data) == ("<Dataset: 40 training and 20 test samples, 3 features, 1 target: y[0]>")


@pytest.mark.parametrize("normalize", [True, False])
def test_guessing_is_the_mean_of_the_training_samples(normalize: bool) -> None:
    made, _, y = dataset(2, normalize_target=normalize)
    _, known = numbers(60, 2)
    shares, error = balance(made.repeated(2))
    assert shares.shape == (2, 0)
    np.testing.assert_allclose(error, [rmse(y, known[:40].mean(0) + 0 * y)] * 2, rtol=1e-12)


def test_samples_without_a_scale_are_in_their_own_unit() -> None:
    y = torch.tensor([[1.0], [3.0]])
    samples = Samples(y, y)
    assert (samples.stack, samples.count) == ((), 2)
    assert float(errors_of(y + torch.tensor([[3.0], [4.0]]), samples)) == pytest.approx(12.5**0.5)


X, Y = numbers(12)
BAD: dict[str, tuple[Any, str]] = {
    "no such task": ({"task": "regresion"}, "did you mean 'regression'"),
    "text": ({"y": ["a"] * 12}, "y must hold real numbers, got text"),
    "not finite": ({"y": np.where(np.arange(12) == 3, np.nan, Y[:, 0])}, r"y\[3\] must be"),
    "too few": ({"y": Y[:5]}, r"y must be \(12,\), or \(12, targets\)"),
    "too deep": ({"y": Y[..., None]}, r"y must be \(12,\), or \(12, targets\)"),
    "other targets": ({"y_test": np.ones((12, 2))}, r"as many targets for each sample as y"),
    "too large": ({"y": Y * 1e300, "normalize_target": False}, "target 'y.*beyond float32"),
    "squares too large": ({"y": Y * 1e200}, "numbers up to .*, of which squared errors are beyond"),
    "far apart": ({"y": np.where(Y > 0, 1.7e308, -1.7e308)}, "numbers beyond float32"),
    "squares too small": (
        {"y": Y * 1e-200, "y_test": Y * 1e-200},
        "a spread of .*, of which squared errors are beyond float64; another unit helps",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_arrays_that_do_not_fit(name: str) -> None:
    changes, message = BAD[name]
    given = {"x": X, "y": Y, "x_test": X, "y_test": Y, "task": "regression"} | changes
    with pytest.raises(MinifwError, match=message) as raised:
        Dataset.from_arrays(**given)
    assert "\n" not in str(raised.value)


def test_what_is_for_the_other_task_is_refused() -> None:
    data, x, _ = dataset()
    network = linear(3, 2)
    for loss, message in (
        (nn.LossCrossEntropy(), "is for classification, the data are for regression"),
        (nn.LossMSE(), "one output for each target; it has 2, the data has 1 target"),
    ):
        with pytest.raises(MinifwError, match=message):
            library.fit(network, loss, nn.SGD(network), data, epochs=1, eta=0.1)
    output = network.forward(data.inputs(x))
    with pytest.raises(MinifwError, match="no classes by regression; values_of gives numbers"):
        data.classes_of(output)
    with pytest.raises(MinifwError, match="one output for each target"):
        data.values_of(output)


# -------------------------------------------------------------------------------- the command line

CONFIG = """\
name: numbers
data: {kind: csv, path: numbers.csv, task: regression, target: %s, unit: mg%s}
network: [{linear: 8}, tanh, {linear: %d}]
loss: mse
train: {eta: 0.1, epochs: 30, eval_every: 10, batch_size: 16}
"""


def write(targets: int = 1, more: str = "") -> tuple[Floats, Floats]:
    """Write a data file and a config that reads it."""
    x, y = numbers(50, targets)
    names = [f"y{k}" for k in range(targets)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["a", "b", "c", *names])
    writer.writerows(np.concatenate([x, y], 1).tolist())
    Path("numbers.csv").write_text(text.getvalue())
    target = "y0" if targets == 1 else f"[{', '.join(names)}]"
    Path("a.yaml").write_text(CONFIG % (target, more, targets))
    return x, y


def good(answer: Answer) -> Answer:
    assert answer.code == 0, answer.err
    return answer


def test_a_run_of_a_file_from_config_to_predictions(minifw: Minifw) -> None:
    x, y = write(2)
    answer = good(minifw("train", "a.yaml", "--seeds", 3, "--set", "dtype=float64", "--json")).json
    run = load(Path(answer["run_dir"]))
    assert (answer["measure"], answer["unit"]) == ("rmse", "mg")
    assert answer["data"]["targets"] == ["y0", "y1"]
    assert "class_balance" not in answer["data"]
    # Seed 0 trains and tests on what predict is asked about below: its own RMSE comes out again.
    rows = good(minifw("predict", run.path, "numbers.csv", "--seed", 0, "--json")).json
    assert (rows["targets"], rows["unit"]) == (["y0", "y1"], "mg")
    found = np.array([[row["y0"], row["y1"]] for row in rows["rows"]])
    assert rows["compared"]["rmse"] == pytest.approx(rmse(y, found), rel=1e-5)
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0,)))
    test = rng.permutation(50)[40:]
    assert answer["test_error"][0] == pytest.approx(rmse(y[test], found[test]), rel=1e-4)
    assert answer["mae"][0] == pytest.approx(mean_absolute_error(y[test], found[test]), rel=1e-4)
    assert answer["r2"][0] == pytest.approx(r2_score(y[test], found[test]), rel=1e-4)
    mean = y[np.setdiff1d(np.arange(50), test)].mean(0)
    guessed = [float(np.sqrt(((y[test] - mean) ** 2).mean()))]
    assert run.results().data.mean_error is not None
    # All seeds: their mean and standard deviation; and from Python the same.
    line = next(csv.DictReader(io.StringIO(good(minifw("predict", run.path, "numbers.csv")).out)))
    own = library.load(run.path).estimate(x)
    assert [*line] == ["row", "y0", "y1", "spread y0", "spread y1"]
    assert float(line["y0"]) == pytest.approx(own.values[0, 0], rel=1e-6)
    assert float(line["spread y1"]) == pytest.approx(own.each[:, 0, 1].std(ddof=1), rel=1e-6)
    np.testing.assert_allclose(own.each[0], found, rtol=1e-6)
    one = good(minifw("train", "a.yaml", "--seeds", 1, "--set", "dtype=float64"))
    assert "left out" not in one.err
    assert f"has a test RMSE of {digits(guessed[0])} mg" in " ".join(one.out.split())
    assert f"test RMSE {digits(answer['test_error'][0])} mg (MAE" in one.out
    assert "%" not in one.out


def test_tables_and_figures_speak_of_the_rmse(minifw: Minifw) -> None:
    write()
    run = load(Path(good(minifw("train", "a.yaml", "--seeds", 3, "--json")).json["run_dir"]))
    text = run.read_text("tables/table1.md")
    assert "test RMSE of y0, of 'numbers'" in text
    assert "Guessing the mean: " in text
    assert "R², median" in text
    assert "%" not in text.replace("95 %", "")
    assert json.loads(run.read("tables/table1.json"))["unit"] == "mg"
    assert {"plots/predicted.svg", "predicted.npz"} <= {*run.known}
    assert "decision.npz" not in run.known
    figure = library.load(run.path).figure("predicted")
    axis, _ = figure.axes  # and the legend's
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    boxes = [label.get_window_extent() for label in axis.get_xticklabels()]
    assert all(left.x1 + 4 < right.x0 for left, right in pairwise(boxes)), "numbers touch"
    with np.load(io.BytesIO(run.read("predicted.npz"))) as arrays:
        error = rmse(arrays["full-batch/true"], arrays["full-batch/predicted"])
        assert error == pytest.approx(float(arrays["full-batch/error"]), rel=1e-5)
    listed = good(minifw("runs", "ls")).out
    assert f"{digits(run.results().modes['full-batch']['minifw'].summary.median or 0)} mg" in listed
    shown = good(minifw("runs", "show", run.path)).out
    assert "test RMSE" in shown


def test_compare_with_pytorch_and_its_margin(minifw: Minifw) -> None:
    write()
    answer = good(minifw("compare", "a.yaml", "--seeds", 3, "--json")).json
    guessing = answer["data"]["mean_error"]
    assert answer["margin"] == pytest.approx(0.01 * guessing)
    for mode in ("full-batch", "sgd"):
        assert answer["parity"][mode]["same_test_error"] == "3 of 3"
        assert answer["parity"][mode]["max_gradient_difference_float64"] < 1e-12
        ours, theirs = (answer["test_error"][mode][arm] for arm in ("minifw", "pytorch"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
        fits = answer["r2"][mode]
        np.testing.assert_allclose(fits["minifw"], fits["pytorch"], rtol=1e-3)
        pair = answer["pairs"][mode]
        assert pair["equivalent"]
        assert "RMSE" in pair["sentence"]
        assert "point" not in pair["sentence"]
        assert f"within {answer['margin']:.4g} mg" in pair["sentence"]
    own = good(minifw("compare", "a.yaml", "--seeds", 2, "--margin", 7, "--json")).json
    assert own["margin"] == 7


def test_studies_speak_of_the_rmse(minifw: Minifw) -> None:
    write(1, ", validation: 0.25")
    swept = good(minifw("sweep", "a.yaml", "--over", "train.eta=0.02,0.2", "--seeds", 4))
    assert "validation RMSE" in swept.out
    assert " mg, 95 % interval" in swept.out
    spread = good(minifw("variance", "a.yaml", "--data", 2, "--init", 2))
    assert "standard deviations in mg" in spread.out
    assert "finite test set" not in spread.out
    Path("b.yaml").write_text(Path("a.yaml").read_text().replace("linear: 8", "linear: 3"))
    Path("b.yaml").write_text(Path("b.yaml").read_text().replace("name: numbers", "name: other"))
    words = good(minifw("compare", "a.yaml", "b.yaml", "--seeds", 6, "--margin", 5))
    assert "test RMSE in mg over 6 seeds" in words.out
    assert "within ±5 mg" in " ".join(words.out.split())


def test_errors_of_two_kinds_are_not_compared(minifw: Minifw) -> None:
    write()
    small = ("--seeds", 2, "--set", "train.epochs=2", "--json")
    runs = [good(minifw("train", c, *small)).json["run_dir"] for c in ("a.yaml", "simplenet")]
    answer = minifw("compare", *runs)
    assert answer.code == 2
    assert "arms must have errors of one kind: " in answer.err
    assert "test RMSE of y0, mg" in answer.err
    answer = minifw("compare", "a.yaml", "simplenet", "--seeds", 2)
    assert answer.code == 2
    assert "arms must have errors of one kind: " in answer.err


def test_an_archive_and_a_generated_curve(minifw: Minifw) -> None:
    x, y = numbers(40, 2)
    np.savez("numbers.npz", x=x, y=y)
    write(2)
    Path("a.yaml").write_text(
        Path("a.yaml").read_text().replace("csv, path: numbers.csv", "npz, path: numbers.npz")
        .replace("target: [y0, y1]", "target: y")
    )  # fmt: skip
    run = good(minifw("train", "a.yaml", "--set", "data.normalize_target=false", "--set",
                      "train.eta=1e-4", "--json")).json  # fmt: skip
    assert run["data"]["targets"] == ["y[0]", "y[1]"]
    rows = good(minifw("predict", run["run_dir"], "numbers.npz", "--json")).json
    assert rows["compared"]["samples"] == 40
    Path("sine.yaml").write_text(
        "name: sine\ndata: {kind: sine, train: 80, test: 50, noise: 0}\n"
        "network: [{linear: 20}, tanh, {linear: 1}]\nloss: mse\noptimizer: adam\n"
        "train: {eta: 0.03, epochs: 150}\n"
    )
    run = good(minifw("train", "sine.yaml", "--json")).json
    assert run["data"]["mean_error"] == pytest.approx(0.5**0.5, rel=0.15)
    assert run["r2"][0] > 0.95


OWN = """
def flat(rng, samples):
    x = rng.normal(size=(samples, 2))
    return x, x.sum(1)


def two(rng, samples):
    x = rng.normal(size=(samples, 1))
    return x, x * [[1.0, 2.0]]
"""


def test_a_function_of_ones_own(minifw: Minifw) -> None:
    Path("mine.py").write_text(OWN)
    text = ("name: own\ndata: {python: mine.%s, train: 30, test: 20%s}\nnetwork: [{linear: %d}]\n"
            "loss: mse\ntrain: {eta: 0.1, epochs: 60}\n")  # fmt: skip
    for name, targets in (("flat", ["y"]), ("two", ["y1", "y2"])):
        Path("a.yaml").write_text(text % (name, ", task: regression", len(targets)))
        run = good(minifw("train", "a.yaml", "--allow-code", "--json")).json
        assert run["data"]["targets"] == targets
        assert run["test_error"][0] < 0.05 * run["data"]["mean_error"]
    Path("a.yaml").write_text(text % ("flat", "", 2))
    answer = minifw("validate", "a.yaml", "--allow-code")
    assert "classes must be whole numbers from 0 on, got float64; task: regression" in answer.err


FAULTS = {
    "loss=cross-entropy": "loss: cross-entropy is for classification, and data.task is regression",
    "data.task=classification": "data.unit: is for regression only",
    "network.2.linear=3": "1 target ('y0'), the last layer has 3 outputs; --set network.2.out_features=1",
    "data.target=[y0, a]": "2 targets ('y0', 'a'), the last layer has 1 output; --set network.2.out_features=2",
    "data.target=[y0, y0]": "data.target names column 'y0' twice",
    "data.target=[y0, z]": "there is no column 'z'",
    "data.task=regresion": "data.task: must be one of classification, regression",
    "data.split=stratified": "data.split",
}


@pytest.mark.parametrize("change", FAULTS)
def test_faults_of_a_config(minifw: Minifw, change: str) -> None:
    write()
    answer = minifw("validate", "a.yaml", "--set", change)
    assert answer.code == 2
    assert FAULTS[change] in answer.err
    assert "Traceback" not in answer.err


def test_a_column_of_text_is_no_target(minifw: Minifw) -> None:
    write()
    lines = Path("numbers.csv").read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ",red"
    Path("numbers.csv").write_text("\n".join(lines) + "\n")
    answer = minifw("validate", "a.yaml")
    assert answer.err.rpartition("/")[2] == (
        "numbers.csv:4: 1 cell is not a number: 'y0' (line 4: 'red'); "
        "data.task: classification takes classes\n"
    )
    classes = "{kind: modular-addition, task: regression}"
    answer = minifw("validate", "simplenet", "--set", f"data={classes}")
    assert "data.task: must be classification: the targets here are classes" in answer.err
    answer = minifw("validate", "simplenet", "--set", "data.task=regression")
    assert "data.task: unknown key" in answer.err


# ------------------------------------------------------------------------------------- the measure


def test_how_figures_are_written() -> None:
    shown = {0.0: "0", 3.0: "3.000", 123456.7: "123457", 0.0123456: "0.01235", -2.5: "−2.500",
             1e-9: "1.000e-09", 1.5e7: "1.500e+07"}  # fmt: skip
    for number, text in shown.items():
        assert digits(number) == text, number
    percent, mg, bare = Measure(), Measure(("y",), "mg"), Measure(("y", "z"))
    assert [m.figure(3.4) for m in (percent, mg, bare)] == ["3.40 %", "3.400 mg", "3.400"]
    assert [m.size(1) for m in (percent, mg, bare)] == ["1 point", "1 mg", "1"]
    assert bare.axis() == "test RMSE of all targets (y, z)"
    assert percent.worst([3.0]) == 100
    assert mg.worst([3.0], 5.0) == 5
    assert mg.worst([3.0, 8.0], 5.0) == 8


def test_a_seed_that_diverged_counts_as_the_worst() -> None:
    measure = Measure(("y",), "mg")
    pair = compare([1.0, 2.0, None], [1.5, 2.5, 3.0], worst=9.0, measure=measure)
    assert pair.difference == pytest.approx((-0.5 - 0.5 + 6) / 3)
    assert "counted as 9.000 mg: 1 of a." in pair.sentence()
    assert "measure" not in pair.content()
