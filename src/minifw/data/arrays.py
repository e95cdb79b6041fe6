"""Arrays of a user's own program as a dataset or new samples, each fault in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minifw.data import cells
from minifw.data.generated import Floats, Integers, Points
from minifw.errors import DataError, did_you_mean, short_word
from minifw.statistics.measure import Task

if TYPE_CHECKING:
    from minifw.data.dataset import Dataset

WHERE = "Dataset.from_arrays"

Pair = tuple[Any, Any]
"""Inputs and classes or targets, as given."""


class Given(NamedTuple):
    """Samples as a program has given them: training and test points for each seed.

    A third entry of `draws` are points for validation, if given. `stacked` tells whether there are
    several seeds, or one network's samples without a stack. Of regression `targets` are the names
    of the targets, and `one_target` tells whether they came as one number for each sample.
    """

    draws: list[tuple[Points, ...]]
    features: list[str]
    classes: list[str]
    stacked: bool
    targets: list[str] = []  # noqa: RUF012, never changed
    one_target: bool = False


def given(
    train: Pair,
    test: Pair,
    validation: Pair = (None, None),
    task: str = "classification",
) -> Given:
    """Check the samples of each purpose, and number their classes; see `Dataset.from_arrays`."""
    if task not in get_args(Task):
        near = did_you_mean(str(task), get_args(Task))
        raise DataError(f"{WHERE}: task must be classification or regression, got {task!r}{near}")
    pairs = {"x": train, "x_test": test}
    if (validation[0] is None) != (validation[1] is None):
        raise DataError(f"{WHERE}: x_validation and y_validation must be given together")
    if validation[0] is not None:
        pairs["x_validation"] = validation
    inputs = {name: numbers(WHERE, name, pair[0]) for name, pair in pairs.items()}
    if task == "regression":
        return _of_numbers(pairs, inputs)
    words = {name: _words(name.replace("x", "y"), pair[1]) for name, pair in pairs.items()}
    for name in pairs:
        _check_shapes(name, inputs[name], words[name][1])
    x = inputs["x"]
    _check_alike(inputs)
    named = {name: {*map(cells.class_name, found)} for name, (found, _) in words.items()}
    for name in pairs:
        if named["x"].isdisjoint(named[name]):  # such as numbers there and truth values here
            known, came = (short_word(", ".join(cells.in_order(named[n]))) for n in ("x", name))
            what = f"must hold classes of y, which are {known}, got {came}"
            raise DataError(f"{WHERE}: {name.replace('x', 'y')} {what}")
    classes, number = cells.numbered([word for found, _ in words.values() for word in found])
    if len(classes) < 2:
        raise DataError(
            f"{WHERE}: y and y_test must hold at least two classes, "
            f"all samples are '{short_word(classes[0])}'"
        )
    stacked = x.ndim == 3
    parts: list[list[Points]] = []
    for name, (found, codes) in words.items():
        labels = np.array([number[word] for word in found], np.int64)[codes]
        points = (inputs[name], labels)
        parts.append(list(zip(*points, strict=True)) if stacked else [points])
    draws = list(zip(*parts, strict=True))
    return Given(draws, _names("x", train[0], x.shape[-1]), classes, stacked)


def _of_numbers(pairs: dict[str, Pair], inputs: dict[str, Floats]) -> Given:
    """Check targets that are numbers: one for each sample, or several."""
    targets = {name: numbers(WHERE, name.replace("x", "y"), pairs[name][1]) for name in pairs}
    for name, x in inputs.items():
        y, target = targets[name], name.replace("x", "y")
        _check_inputs(name, x)
        if y.shape[: x.ndim - 1] != x.shape[:-1] or y.ndim > x.ndim or not y.size:
            raise DataError(
                f"{WHERE}: {target} must be {x.shape[:-1]}, or {_open(x.shape[:-1])}, targets), a "
                f"number or several for each sample of {name} {x.shape}, got {y.shape}"
            )
        if y.shape[x.ndim - 1 :] != targets["x"].shape[inputs["x"].ndim - 1 :]:
            raise DataError(
                f"{WHERE}: {target} must have as many targets for each sample as y, "
                f"{targets['x'].shape}, got {y.shape}"
            )
    _check_alike(inputs)
    x = inputs["x"]
    one, stacked = targets["x"].ndim < x.ndim, x.ndim == 3
    parts: list[list[Points]] = []
    for name, y in targets.items():
        points = (inputs[name], y[..., None] if one else y)
        parts.append(list(zip(*points, strict=True)) if stacked else [points])
    names = ["y"]
    if not one:
        names = _names("y", pairs["x"][1], targets["x"].shape[-1])
    elif isinstance(called := getattr(pairs["x"][1], "name", None), str):
        names = [called]  # of a pandas Series
    draws = list(zip(*parts, strict=True))
    return Given(draws, _names("x", pairs["x"][0], x.shape[-1]), [], stacked, names, one)


def _open(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}"


def _check_alike(inputs: dict[str, Floats]) -> None:
    """Raise unless all inputs have the same features, and the same seeds."""
    x = inputs["x"]
    for name, other in inputs.items():
        if x.shape[:-2] != other.shape[:-2] or x.shape[-1] != other.shape[-1]:
            raise DataError(
                f"{WHERE}: {name} must have the features of x, and its seeds if there are any, "
                f"got {other.shape} for x {x.shape}"
            )


def inputs(data: Dataset, x: object) -> Tensor:
    """Return new samples as the networks of a dataset take them; see `Dataset.inputs`."""
    where = "Dataset.inputs"
    encoding, prepared = data.encoding, data.prepared
    samples = given = numbers(
        where, "x", x, gaps=encoding is not None and encoding.fill is not None
    )
    seeds, features = data.shift.shape[:-1], len(data.features)
    if samples.ndim == 2 and seeds:
        samples = np.broadcast_to(samples, (*seeds, *samples.shape))
    wanted = (*seeds, given.shape[-2] if given.ndim > 1 else 0, features)
    if samples.shape != wanted or not samples.size:
        shown = ", ".join(map(short_word, data.features[:5])) + (", …" if features > 5 else "")
        own = f" or ({seeds[0]}, samples, {features})" if seeds else ""
        raise DataError(
            f"{where}: x must be (samples, {features}){own}, a column each for {shown}, "
            f"got {given.shape}"
        )
    if encoding is not None and prepared is not None:
        samples = encoding.applied(samples, prepared)
    with np.errstate(all="ignore"):
        normal = (samples - data.shift[..., None, :]) / data.scale[..., None, :]
    made = torch.from_numpy(normal).to(data.train.inputs)
    if not made.isfinite().all():
        beyond = str(made.dtype).removeprefix("torch.")
        raise DataError(f"{where}: x has numbers that come to more than {beyond} can hold")
    return made


def classes_of(data: Dataset, output: Tensor) -> NDArray[np.str_]:
    """Return the names of the classes with the largest outputs; see `Dataset.classes_of`."""
    where, names = "Dataset.classes_of", np.array(data.classes)
    if data.measure.targets:
        raise DataError(f"{where}: there are no classes by regression; values_of gives numbers")
    _check_output(where, output, len(names), "class")
    named: NDArray[np.str_] = names[output.max(-1).indices.numpy(force=True)]
    return named


def values_of(data: Dataset, output: Tensor) -> Floats:
    """Return outputs in the targets' own unit; see `Dataset.values_of`."""
    where, count = "Dataset.values_of", len(data.measure.targets)
    if not count:
        raise DataError(f"{where}: there are no numbers by classification; classes_of gives names")
    _check_output(where, output, count, "target")
    shift, scale = data.target_shift[..., None, :], data.target_scale[..., None, :]
    values: Floats = output.double().numpy(force=True) * scale + shift
    return values[..., 0] if data.one_target else values


def _check_output(where: str, output: Tensor, count: int, each: str) -> None:
    """Raise unless an output is a tensor with so many finite columns, one for `each`."""
    if not isinstance(output, Tensor) or output.ndim < 1 or output.shape[-1] != count:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise DataError(
            f"{where}: output must be a tensor (…, samples, {count}), one output for each "
            f"{each}, got {got}"
        )
    fine = output.isfinite()
    if not fine.all():
        own = output.ndim > 2
        bad = (~fine.flatten(1).all(1)).nonzero().flatten().tolist() if own else []
        who = f" of network {', '.join(map(str, bad[:5]))}{', …' if len(bad) > 5 else ''}"
        raise DataError(
            f"{where}: the outputs{who if own else ''} must be finite numbers; those of a network "
            "that diverged are not"
        )


def numbers(where: str, name: str, values: object, *, gaps: bool = False) -> Floats:
    """Return inputs as a float64 array; with `gaps` some may be NaN.

    Raises:
        DataError: they are not an array of finite real numbers.

    """
    found = array(where, name, values)
    if found.dtype.kind not in "fiub":
        raise DataError(f"{where}: {name} must hold real numbers, got {_kind(found)}")
    with np.errstate(all="ignore"):
        made = np.ascontiguousarray(found, np.float64)
    wrong = np.isinf(made) if gaps else ~np.isfinite(made)
    if wrong.any():
        place = np.unravel_index(int(wrong.argmax()), made.shape)
        shown = ", ".join(map(str, place))
        raise DataError(
            f"{where}: {name}[{shown}] must be a finite number, got {made[place]}; "
            "leave such samples out"
        )
    return made


def array(where: str, name: str, values: object) -> NDArray[Any]:
    """Return what a user gives as an array, of whatever it holds."""
    if isinstance(values, torch.Tensor):
        try:
            values = values.detach().cpu().numpy()
        except (TypeError, RuntimeError) as fault:  # sparse, say, or bfloat16
            what = f"must be a tensor that NumPy can hold: {str(fault).partition(chr(10))[0]}"
            raise DataError(f"{where}: {name} {what}") from None
    if np.ma.is_masked(values):
        raise DataError(f"{where}: {name} has values that are masked; leave such samples out")
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        raise DataError(f"{where}: {name} must be an array, its rows differ in shape") from None


def _kind(values: NDArray[Any]) -> str:
    return "text" if values.dtype.kind in "US" else str(values.dtype)


def _words(name: str, values: object) -> tuple[list[str], Integers]:
    """Return the different classes as words, and the place of each sample's class there."""
    found = array(WHERE, name, values)
    if found.dtype.kind == "O" and all(isinstance(value, str) for value in found.flat):
        found = found.astype(str)  # pandas holds text as objects
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
    if found.dtype.kind == "f":
        _check_few(name, different, found.size)
    words = [str(word) for word in different.tolist()]
    missing = [word for word in words if cells.missing(word)]
    if missing:
        raise DataError(
            f"{WHERE}: {name} must hold a class for each sample, got '{short_word(missing[0])}'; "
            "leave such samples out"
        )
    return words, codes.reshape(found.shape).astype(np.int64)


def _check_few(name: str, different: NDArray[np.floating[Any]], samples: int) -> None:
    """Raise where numbers are measured rather than classes: many are not whole, and differ."""
    broken = different[np.isfinite(different) & (different != np.rint(different))]
    if len(broken) > max(2, min(20, samples // 2)):
        raise DataError(
            f"{WHERE}: {name} holds {len(broken)} different numbers that are not whole, such as "
            f'{broken[0]:g}, and each would be a class; task="regression" predicts '
            f"numbers; np.digitize makes classes of ranges, and as text ({name}.astype(str)) each "
            "number is one"
        )


def _check_shapes(name: str, inputs: Floats, labels: Integers) -> None:
    target = name.replace("x", "y")
    _check_inputs(name, inputs)
    if labels.shape != inputs.shape[:-1]:
        raise DataError(
            f"{WHERE}: {target} must be {inputs.shape[:-1]}, one class for each sample of {name} "
            f"{inputs.shape}, got {labels.shape}"
        )


def _check_inputs(name: str, inputs: Floats) -> None:
    if inputs.ndim not in (2, 3) or not inputs.size:
        raise DataError(
            f"{WHERE}: {name} must be (samples, features) or (seeds, samples, features), "
            f"got {inputs.shape}"
        )


def _names(array: str, values: object, count: int) -> list[str]:
    """Return the names of a DataFrame's columns, else `x[0]`, `x[1]`, …"""
    names = [str(name) for name in getattr(values, "columns", ())]
    return names if len({*names}) == count else [f"{array}[{place}]" for place in range(count)]
