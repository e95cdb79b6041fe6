"""minifw beside scikit-learn, on the same splits of the data sets that come with scikit-learn.

    python -m campaigns.scikit [--seeds 10] [DATA ...]

Prints the table of docs/data.md in Markdown, in about two minutes. For each seed both have the same
training and test samples, standardised by the training samples. What both minimise is made the same
as far as their keys allow:

- scikit-learn divides penalties by 2, and penalises no biases; minifw's `weight_decay` is of all
  parameters. Standardised features leave little for biases to do.
- LogisticRegression: C Σ loss + |w|²/2 is the mean loss with weight_decay 1/(C n). Of two classes it
  has one vector of weights, w, minifw two, ±w/2, whose squares sum to half of that: twice the decay.
- Ridge: Σ (y - xw)² + α |w|² is the mean squared error with weight_decay 2 α/n.
- MLP…: the mean loss of a batch + α |w|²/(2 batch): weight_decay α/batch; that of regression is half
  the squared error, so 2 α/batch. Of two classes it has one output, minifw two. Adam has the same
  constants, batches are drawn anew in each epoch, and the last one is smaller. Initial weights are
  Glorot's in both; biases are drawn likewise by scikit-learn, and are 0 in minifw.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

import minifw
from minifw.statistics.intervals import interval
from minifw.statistics.paired import student

Floats = NDArray[np.float64]
Model = Literal["linear", "MLP"]

DATA = ("iris", "wine", "breast-cancer", "digits", "diabetes")
SEEDS = 10
HIDDEN = (32,)
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
        return low <= 0 <= high


def config(name: str, model: Model, train: int, classes: int) -> dict[str, Any]:
    """Return the config of a data set and model."""
    regression = name == "diabetes"
    outputs = 1 if regression else classes
    data: dict[str, Any] = {"kind": "sklearn", "name": name}
    if not regression:
        data["split"] = "stratified"
    twice = 2 if regression or classes == 2 else 1
    if model == "linear":
        penalty = twice * (ALPHA_RIDGE / train if regression else 1 / (C * train))
        steps: dict[str, Any] = {"mode": "full-batch", "epochs": 2000, "eta": 0.05, "eval_every": 2000,
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
        "name": f"{name}-{model}".lower(), "dtype": "float64", "data": data, "network": network,
        "init": "xavier-uniform", "loss": "mse" if regression else "cross-entropy",
        "optimizer": {"kind": "adam", "weight_decay": penalty}, "train": steps,
    }  # fmt: skip


def estimator(name: str, model: Model, seed: int) -> Any:
    """Return scikit-learn's model."""
    if model == "linear":
        return (
            Ridge(alpha=ALPHA_RIDGE)
            if name == "diabetes"
            else LogisticRegression(C=C, max_iter=10_000, tol=1e-8)
        )
    make = MLPRegressor if name == "diabetes" else MLPClassifier
    return make(
        HIDDEN, alpha=ALPHA_MLP, batch_size=BATCH, learning_rate_init=ETA, max_iter=EPOCHS,
        n_iter_no_change=EPOCHS + 1, tol=0, random_state=seed,
    )  # fmt: skip


def beside(name: str, model: Model, seeds: int = SEEDS) -> Beside:
    """Train both on the same samples of each seed."""
    train, classes = SIZES[name]
    with tempfile.TemporaryDirectory() as folder:
        run = minifw.train(
            config(name, model, train, classes), seeds=seeds, runs_dir=folder, progress=False
        )
        data = run.data()
        assert data.train.count == train
        theirs, differ = [], []
        for place, seed in enumerate(run.seeds):
            x, x_test = (part.inputs[place].numpy() for part in (data.train, data.test))
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


def rows(results: list[Beside]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| data | model | minifw: median | scikit-learn: median | difference of means | predictions that differ |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for each in results:
        unit = "" if each.is_regression else " %"
        cells = [each.data, each.model]
        for errors in (each.ours, each.theirs):
            low, high = interval(errors, "median") or (np.nan, np.nan)
            cells.append(f"{np.median(errors):.2f}{unit} ({low:.2f} to {high:.2f})")
        mean, low, high = each.between
        cells.append(f"{mean:+.2f} ({low:+.2f} to {high:+.2f})")
        cells.append(f"{each.differ:.2f}{unit}")
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", default=DATA)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    asked = parser.parse_args()
    results = [
        beside(name, model, asked.seeds) for name in asked.data for model in ("linear", "MLP")
    ]
    print("\n".join(rows(results)))


if __name__ == "__main__":
    main()
