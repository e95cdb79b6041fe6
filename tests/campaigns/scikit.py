"""minifw beside scikit-learn, on the same splits of the data sets that come with scikit-learn.

    python -m campaigns.scikit [--seeds 10] [DATA ...]

Prints the table of docs/data.md in Markdown, in about two minutes. For each seed both have the same
training and test samples, standardised by the training samples. What both minimise is made the same
as far as their keys allow:

- scikit-learn penalises no biases, minifw's `weight_decay` all parameters. So there is a third row,
  "linear, ones", where scikit-learn has a feature of ones in place of its biases, and both minimise
  the same. Ridge has no biases where features and targets are standardised.
- LogisticRegression: C Σ loss + |w|²/2 is the mean loss with weight_decay 1/(C n). Of two classes it
  has one vector of weights, w, minifw two, ±w/2, whose squares sum to half of that: twice the decay.
- Ridge: Σ (y - xw)² + α |w|² is the mean squared error with weight_decay 2 α/n.
- MLP…: the mean loss of a batch + α |w|²/(2 batch): weight_decay α/batch; that of regression is half
  the squared error, so 2 α/batch. Of two classes it has one output, minifw two. Adam has the same
  constants, batches are drawn anew in each epoch, and the last one is smaller. Initial weights and
  biases are scikit-learn's: both uniform, with Glorot's bound (see INIT).
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

import minifw
from minifw.statistics.intervals import interval
from minifw.statistics.paired import student

INIT = '''
"""Initial weights and biases as scikit-learn's networks have them."""

import numpy as np

from minifw import nn


class Glorot(nn.Initializer):
    """U(-b, b) for weights and biases, b = √(6 / (n_in + n_out))."""

    def draw_weight(self, generator, shape, fan_in, fan_out):
        bound = np.sqrt(6 / (fan_in + fan_out))
        return generator.uniform(-bound, bound, shape)

    draw_bias = draw_weight
'''

Floats = NDArray[np.float64]
Model = Literal["linear", "linear, ones", "MLP"]
MODELS: tuple[Model, ...] = ("linear", "linear, ones", "MLP")

DATA = ("iris", "wine", "breast-cancer", "digits", "diabetes")
SEEDS = 10
HIDDEN = (32,)
ROUNDING = 1e-6
EPOCHS, BATCH, ETA = 100, 32, 1e-3
C, ALPHA_RIDGE, ALPHA_MLP = 1.0, 10.0, 0.1


@dataclass(frozen=True)
class Beside:
    """Test errors of both, `(seeds,)`: percent, or by regression the root mean squared error.

    `differ` is the mean percentage of test samples of which both say another class; by regression,
    the root mean squared difference of what both predict.
    """

    data: str
    model: Model
    ours: Floats
    theirs: Floats
    differ: float

    @property
    def is_regression(self) -> bool:
        return self.data == "diabetes"

    @property
    def between(self) -> tuple[float, float, float]:
        """The mean of the paired differences, ours - theirs, with its 95 % interval."""
        differences = self.ours - self.theirs
        low, high = student(differences, 0.95) or (np.nan, np.nan)
        return float(differences.mean()), low, high

    @property
    def same(self) -> bool:
        """Whether the interval of the difference holds 0."""
        _, low, high = self.between
        return low - ROUNDING <= 0 <= high + ROUNDING


def config(name: str, model: Model, train: int, classes: int) -> dict[str, Any]:
    """Return the config of a data set and model."""
    regression = name == "diabetes"
    outputs = 1 if regression else classes
    data: dict[str, Any] = {"kind": "sklearn", "name": name}
    if not regression:
        data["split"] = "stratified"
    twice = 2 if regression or classes == 2 else 1
    if model != "MLP":
        penalty = twice * (ALPHA_RIDGE / train if regression else 1 / (C * train))
        steps: dict[str, Any] = {"mode": "full-batch", "epochs": 1000, "eta": 0.05, "eval_every": 1000,
                                 "schedule": "cosine"}  # fmt: skip
        network: list[Any] = [{"linear": outputs}]
    else:
        penalty = ALPHA_MLP / BATCH * (2 if regression else 1)
        steps = {
            "mode": "sgd",
            "batch_size": BATCH,
            "epochs": EPOCHS,
            "eta": ETA,
            "eval_every": EPOCHS,
        }
        network = [layer for width in HIDDEN for layer in ({"linear": width}, "relu")]
        network.append({"linear": outputs})
    return {
        "name": name, "dtype": "float64", "data": data, "network": network,
        "init": {"python": "glorot.Glorot"}, "loss": "mse" if regression else "cross-entropy",
        "optimizer": {"kind": "adam", "weight_decay": penalty}, "train": steps,
    }  # fmt: skip


def estimator(name: str, model: Model, seed: int) -> Any:
    """Return scikit-learn's model."""
    has_bias = model == "linear"
    if model != "MLP" and name == "diabetes":
        return Ridge(alpha=ALPHA_RIDGE, fit_intercept=has_bias)
    if model != "MLP":
        return LogisticRegression(C=C, fit_intercept=has_bias, max_iter=10_000, tol=1e-8)
    make = MLPRegressor if name == "diabetes" else MLPClassifier
    return make(
        hidden_layer_sizes=HIDDEN, alpha=ALPHA_MLP, batch_size=BATCH, learning_rate_init=ETA,
        max_iter=EPOCHS, n_iter_no_change=EPOCHS + 1, tol=0, random_state=seed,
    )  # fmt: skip


def beside(name: str, model: Model, seeds: int = SEEDS) -> Beside:
    """Train both on the same samples of each seed."""
    train, classes = SIZES[name]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "glorot.py").write_text(INIT, encoding="utf-8")
        path = Path(folder, "a.yaml")
        path.write_text(yaml.safe_dump(config(name, model, train, classes)), encoding="utf-8")
        run = minifw.train(path, seeds=seeds, runs_dir=folder, allow_code=True, progress=False)
        data = run.data()
        assert data.train.count == train
        theirs, differ = [], []
        for place, seed in enumerate(run.seeds):
            x, x_test = (part.inputs[place].numpy() for part in (data.train, data.test))
            if model == "linear, ones":
                x, x_test = (np.insert(part, 0, 1, axis=1) for part in (x, x_test))
            output = run.network(seed)(data.test.inputs[place])
            fitted = estimator(name, model, seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # it ends after all epochs
                if data.measure.targets:
                    y, y_test = (
                        part.targets[place, :, 0].numpy() for part in (data.train, data.test)
                    )
                    unit = data.target_scale[place, 0]
                    said = fitted.fit(x, y).predict(x_test)
                    theirs.append(unit * np.sqrt(np.mean((said - y_test) ** 2)))
                    differ.append(unit * np.sqrt(np.mean((said - output[:, 0].numpy()) ** 2)))
                else:
                    y, y_test = (
                        part.class_numbers[place].numpy() for part in (data.train, data.test)
                    )
                    said = fitted.fit(x, y).predict(x_test)
                    theirs.append(100 * np.mean(said != y_test))
                    differ.append(100 * np.mean(said != output.argmax(-1).numpy()))
        return Beside(
            name, model, np.array(run.test_error), np.array(theirs), float(np.mean(differ))
        )


SIZES = {
    "iris": (120, 3),
    "wine": (142, 3),
    "breast-cancer": (455, 2),
    "digits": (1438, 10),
    "diabetes": (354, 1),
}
"""Training samples and classes of each data set, of which a fifth is for testing."""


HEAD = """\
| data | model | minifw: median | scikit-learn: median | difference of means | differ |
| --- | --- | --- | --- | --- | --- |"""


def row(result: Beside) -> str:
    """Return a line of the table in Markdown; intervals are of 95 %."""
    unit = "" if result.is_regression else " %"
    cells = [result.data, result.model]
    for errors in (result.ours, result.theirs):
        low, high = interval(errors, "median") or (np.nan, np.nan)
        cells.append(f"{np.median(errors):.2f}{unit} ({low:.2f} to {high:.2f})")
    mean, low, high = (round(value, 2) + 0.0 for value in result.between)  # no -0.00
    cells.append(f"{mean:+.2f} ({low:+.2f} to {high:+.2f})")
    cells.append(f"{result.differ:.2f}{unit}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", default=DATA)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    asked = parser.parse_args()
    print(HEAD)
    for name in asked.data:
        for model in MODELS:
            if (name, model) == ("diabetes", "linear, ones"):
                continue
            print(row(beside(name, model, asked.seeds)), flush=True)


if __name__ == "__main__":
    main()
