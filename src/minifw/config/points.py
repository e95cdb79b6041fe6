"""What a user's own function of data has drawn, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minifw.data import Floats, Points, arrays
from minifw.errors import DataError, short


def own_points(
    make: Callable[..., Any],
    drawn: object,
    samples: int,
    features: int | None = None,
    classes: int | None = None,
    targets: Sequence[str] | None = (),
) -> Points:
    """Return what a user's own function has drawn as float64 and int64; None: any number will do.

    With names of `targets` the second are numbers of float64, `(samples, targets)`.

    Raises:
        DataError: it is not so many points and the class, or the numbers, of each.

    """
    where, code = getattr(make, "__name__", "the function"), getattr(make, "__code__", None)
    if code is not None:
        where = f"{where} ({Path(code.co_filename).name}:{code.co_firstlineno})"
    points = f"({samples}, {features or 'features'})"
    must = f"{where}: must return two values, points {points} and their classes ({samples},)"
    if targets is None or targets:
        must = f"{where}: must return two values, points {points} and their targets ({samples},"
        must += f"), or ({samples}, {len(targets or ()) or 'targets'}),"
    if not isinstance(drawn, tuple | list) or len(drawn) != 2:
        several = isinstance(drawn, tuple | list)
        came = f"{len(drawn)} values" if several else _came(drawn)  # type: ignore[arg-type]
        raise DataError(f"{must}, got {came}")
    inputs = arrays.numbers(where, "points", drawn[0])
    if targets is None or targets:
        return inputs, _own_numbers(where, must, inputs, drawn[1], samples, features, targets)
    labels = arrays.array(where, "classes", drawn[1])
    if inputs.ndim == 1 and labels.ndim == 2:
        raise DataError(f"{must}; they are swapped, got {inputs.shape} and {labels.shape}")
    if inputs.ndim != 2 or inputs.shape[1] != (features or inputs.shape[1] or 1):
        raise DataError(f"{must}, got points {inputs.shape}")
    if len(inputs) != samples or labels.shape != (samples,):
        raise DataError(f"{must}, got {inputs.shape} and {labels.shape}")
    whole = labels.dtype.kind in "iub" or (
        labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all())
    )
    if not whole or not np.isfinite(labels).all():
        is_text = labels.dtype.kind in "USO"
        came = f"text, as {short(str(labels[0]))}" if is_text else str(labels.dtype)
        numbers = "" if is_text else "; task: regression takes numbers"
        raise DataError(f"{where}: classes must be whole numbers from 0 on, got {came}{numbers}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= (classes or high + 1):
        most = "on" if classes is None else f"to {classes - 1}"
        raise DataError(f"{where}: classes must be numbers from 0 {most}, got {low} to {high}")
    return inputs, labels.astype(np.int64)


def _own_numbers(
    where: str,
    must: str,
    inputs: Floats,
    drawn: object,
    samples: int,
    features: int | None,
    targets: Sequence[str] | None,
) -> Floats:
    """Return the targets of a user's own function for regression, `(samples, targets)`."""
    wanted = arrays.numbers(where, "targets", drawn)
    if wanted.ndim == 1:
        wanted = wanted[:, None]
    fits = inputs.ndim == 2 and inputs.shape[1] == (features or inputs.shape[1] or 1)
    count = len(targets or ()) or wanted.shape[-1]
    if not fits or len(inputs) != samples or wanted.shape != (samples, count) or not count:
        raise DataError(f"{must} got {inputs.shape} and {wanted.shape}")
    return wanted


def _came(value: object) -> str:
    """Return what came in place of two values: its shape and kind, or its type."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{dtype} of {tuple(shape)}"
