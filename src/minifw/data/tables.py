"""Tables that need no file: data sets that come with scikit-learn, and all cases of a rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from minifw.data import cells
from minifw.data.generated import Floats, Integers
from minifw.data.table import Table
from minifw.errors import ArtefactError, DataError

LOADERS = {
    "digits": "load_digits",
    "iris": "load_iris",
    "wine": "load_wine",
    "breast-cancer": "load_breast_cancer",
    "diabetes": "load_diabetes",
}
"""The functions of `sklearn.datasets` that need no network, by the name of their data."""

PROGRESSION = "progression"
"""The target of `diabetes`, a measure of the disease's progression within a year."""


def read_sklearn(name: str, *, expected: str | None = None) -> Table:
    """Return a data set that comes with scikit-learn, in its own units: nothing is scaled.

    All but `diabetes`, a regression, have classes, which are ordered by their names as those of a
    file are. `expected` is the checksum that samples and names must have.

    Raises:
        DataError: scikit-learn is not installed.
        ArtefactError: these are not the expected samples.

    """
    try:
        from sklearn import datasets
    except ImportError:
        how = "pip install 'minifw[sklearn]'"
        raise DataError(
            f"data.kind: sklearn needs scikit-learn, which is not installed; {how}"
        ) from None
    # Its own scaling of `diabetes` would know the test samples.
    options = {"scaled": False} if name == "diabetes" else {}
    loaded = getattr(datasets, LOADERS[name])(**options)
    inputs = np.asarray(loaded.data, np.float64)
    features = [str(feature) for feature in loaded.feature_names]
    if name == "diabetes":
        numbers = np.asarray(loaded.target, np.float64)[:, None]
        table = _table(inputs, numbers, features, (), PROGRESSION, (PROGRESSION,))
    else:
        words = [str(word) for word in loaded.target_names]
        classes, number = cells.numbered(words)
        labels = np.array([number[word] for word in words], np.int64)[loaded.target]
        table = _table(inputs, labels, features, classes, "target")
    if expected not in (None, table.checksum):
        raise ArtefactError(
            f"data.name: scikit-learn's '{name}' has changed since the run began, as "
            "it may with another version of scikit-learn; minifw train makes a new run"
        )
    return table


def modular_addition(modulus: int) -> Table:
    """Return all pairs of numbers below `modulus` and the class (a + b) mod `modulus` of each.

    Inputs are the two numbers, `(modulus², 2)`, as in Power et al., "Grokking: generalization
    beyond overfitting on small algorithmic datasets", 2022.
    """
    pairs = np.indices((modulus, modulus)).reshape(2, -1).T
    classes = [str(number) for number in range(modulus)]
    return _table(pairs.astype(np.float64), pairs.sum(1) % modulus, ["a", "b"], classes, "sum")


def parity(bits: int) -> Table:
    """Return all rows of so many bits, `(2**bits, bits)`, and whether the number of ones is odd."""
    rows = np.indices((2,) * bits).reshape(bits, -1).T
    names = [f"bit{place}" for place in range(bits)]
    return _table(rows.astype(np.float64), rows.sum(1) % 2, names, ["0", "1"], "parity")


def _table(
    inputs: Floats,
    labels: Integers | Floats,
    features: Sequence[str],
    classes: Sequence[str],
    target: str,
    targets: tuple[str, ...] = (),
) -> Table:
    """Return a table with the SHA-256 of its numbers and names; see `Table` for the arguments."""
    found = hashlib.sha256(json.dumps([features, classes]).encode())
    for values in (inputs.astype("<f8"), labels.astype("<f8" if targets else "<i8")):
        found.update(values.tobytes())
    names = tuple(features), tuple(classes)
    return Table(inputs, labels, *names, found.hexdigest(), target, targets)
