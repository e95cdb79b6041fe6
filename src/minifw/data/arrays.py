"""Arrays of a user's own program as a dataset, each fault in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minifw.data import cells
from minifw.data.dataset import Dataset, stack_seeds
from minifw.data.generated import Floats, Integers, Points
from minifw.errors import DataError, short, short_word

WHERE = "Dataset.from_arrays"
DTYPES = {"float32": torch.float32, "float64": torch.float64}

Pair = tuple[Any, Any]
"""Inputs and classes, as they come."""


def dataset(
    train: Pair, test: Pair, *, normalize: bool, one_hot: bool, dtype: str, device: str
) -> Dataset:
    """Return training and test samples as a dataset; see `Dataset.from_arrays`."""
    if dtype not in DTYPES:
        raise DataError(f"{WHERE}: dtype must be one of {', '.join(DTYPES)}, got {short(dtype)}")
    given = {"x": train, "x_test": test}
    inputs = {name: numbers(WHERE, name, pair[0]) for name, pair in given.items()}
    words = {name: _words(name.replace("x", "y"), pair[1]) for name, pair in given.items()}
    for name in given:
        _check_shapes(name, inputs[name], words[name][1])
    x, x_test = inputs["x"], inputs["x_test"]
    if x.shape[:-2] != x_test.shape[:-2] or x.shape[-1] != x_test.shape[-1]:
        raise DataError(
            f"{WHERE}: x_test must have the features of x, and its seeds if there are any, "
            f"got {x_test.shape} for x {x.shape}"
        )
    names = {cells.class_name(word) for found, _ in words.values() for word in found}
    classes = cells.in_order(names)
    if len(classes) < 2:
        raise DataError(
            f"{WHERE}: y and y_test must hold at least two classes, "
            f"all samples are '{short_word(classes[0])}'"
        )
    number = {name: place for place, name in enumerate(classes)}
    labels = {
        name: np.array([number[cells.class_name(word)] for word in found], np.int64)[codes]
        for name, (found, codes) in words.items()
    }
    stacked = x.ndim == 3
    pairs: list[list[Points]] = []
    for name in given:
        points = (inputs[name], labels[name])
        pairs.append(list(zip(*points, strict=True)) if stacked else [points])
    made = stack_seeds(
        zip(*pairs, strict=True),
        seeds=range(len(pairs[0])),
        features=_features(train[0], x.shape[-1]),
        classes=classes,
        normalize=normalize,
        one_hot=one_hot,
        dtype=DTYPES[dtype],
        device=device,
    )
    return made if stacked else made.of(0)


def numbers(where: str, name: str, values: object) -> Floats:
    """Return what a user gives as inputs as float64.

    Raises:
        DataError: it is no array of finite real numbers.

    """
    found = array(where, name, values)
    if found.dtype.kind not in "fiub":
        raise DataError(f"{where}: {name} must hold real numbers, got {_kind(found)}")
    with np.errstate(all="ignore"):
        made = np.ascontiguousarray(found, np.float64)
    if not np.isfinite(made).all():
        place = np.unravel_index(int((~np.isfinite(made)).argmax()), made.shape)
        shown = ", ".join(map(str, place))
        raise DataError(
            f"{where}: {name}[{shown}] must be a finite number, got {made[place]}; "
            "leave such samples out"
        )
    return made


def array(where: str, name: str, values: object) -> NDArray[Any]:
    """Return what a user gives as an array, of whatever it holds."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        raise DataError(f"{where}: {name} must be an array, its rows differ in shape") from None


def _kind(values: NDArray[Any]) -> str:
    return "text" if values.dtype.kind in "USO" else str(values.dtype)


def _words(name: str, values: object) -> tuple[list[str], Integers]:
    """Return the different classes as words, and the place of each sample's class there."""
    found = array(WHERE, name, values)
    if found.dtype.kind == "O" and all(isinstance(value, str) for value in found.flat):
        found = found.astype(str)  # as pandas keeps text
    if found.dtype.kind not in "iubfU":
        raise DataError(
            f"{WHERE}: {name} must hold classes (whole numbers, text or truth values), "
            f"got {found.dtype}"
        )
    if found.ndim not in (1, 2) or not found.size:
        raise DataError(
            f"{WHERE}: {name} must be (samples,) or (seeds, samples), one class a sample, "
            f"got {found.shape}"
        )
    different, codes = np.unique(found, return_inverse=True)
    words = [str(word) for word in different.tolist()]
    missing = [word for word in words if cells.missing(word)]
    if missing:
        raise DataError(
            f"{WHERE}: {name} must hold a class for each sample, got '{short_word(missing[0])}'; "
            "leave such samples out"
        )
    return words, codes.reshape(found.shape).astype(np.int64)


def _check_shapes(name: str, inputs: Floats, labels: Integers) -> None:
    target = name.replace("x", "y")
    if inputs.ndim not in (2, 3) or not inputs.size:
        raise DataError(
            f"{WHERE}: {name} must be (samples, features) or (seeds, samples, features), "
            f"got {inputs.shape}"
        )
    if labels.shape != inputs.shape[:-1]:
        raise DataError(
            f"{WHERE}: {target} must be {inputs.shape[:-1]}, one class for each sample of {name} "
            f"{inputs.shape}, got {labels.shape}"
        )


def _features(values: object, count: int) -> list[str]:
    """Return the names of a data frame's columns, else `x[0]`, `x[1]`, …"""
    names = [str(name) for name in getattr(values, "columns", ())]
    return names if len({*names}) == count else [f"x[{place}]" for place in range(count)]
