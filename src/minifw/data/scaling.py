"""Shift and scale of features and targets, and numbers that are beyond the dtype by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from minifw.data.encoding import Encoding
from minifw.data.generated import Floats, Points
from minifw.errors import DataError, short_word

LARGEST, SMALLEST = 1e150, 1e-150
"""Of targets: squares of such numbers are numbers of float64, and so are their sums."""
Normalize = Literal[True, False, "together"]
"""Whether features are normalised: each by its own numbers, or all by the same."""


def of_features(
    train: Floats, normalize: Normalize, encoding: Encoding | None
) -> tuple[Floats, Floats]:
    """Return shift and scale of each feature, `(features,)`, by the training samples of a seed.

    Each feature gets mean 0 and standard deviation 1. `together` all are shifted and scaled by the
    mean and standard deviation of all their numbers: by its own, a pixel that is nearly constant
    in training could become huge in others. What is no number by the `encoding` of a table stays.
    """
    if not normalize:
        return np.zeros(train.shape[1]), np.ones(train.shape[1])
    numeric = np.ones(train.shape[1], bool) if encoding is None else encoding.numeric
    known = train
    if normalize == "together" and (numbers := train[:, numeric]).size:
        known = numbers.reshape(-1, 1)
    shift, scale = shift_and_scale(known)
    return np.where(numeric, shift, 0.0), np.where(numeric, scale, 1.0)


def shift_and_scale(inputs: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each feature; 1 for a constant feature.

    Because of rounding the computed variance of a constant is rarely 0. So it is compared with the
    bound of its rounding error, as in scikit-learn's StandardScaler (Chan, Golub and LeVeque 1983).
    """
    # Scaling by a power of two changes no digit, and keeps squares from over- and underflow.
    unit = np.frexp(np.abs(inputs).max(0))[1]
    scaled = np.ldexp(inputs, -unit)
    samples, mean, std = len(inputs), scaled.mean(0), scaled.std(0)
    rounding = samples * np.finfo(np.float64).eps
    constant = std**2 <= rounding * std**2 + (rounding * mean) ** 2
    scale = np.ldexp(std, unit)
    return np.ldexp(mean, unit), np.where(constant | (scale == 0), 1, scale)  # 0: underflow


def check_range(values: Tensor, scale: Floats, what: str, names: Sequence[str], seed: int) -> None:
    """Raise a DataError where a column of `(n, columns)` is not of finite numbers."""
    fine = values.isfinite().all(0).numpy() & np.isfinite(scale)
    if not fine.all():
        name = short_word(names[int(fine.argmin())])
        beyond = str(values.dtype).removeprefix("torch.")
        mend = "data.normalize, dtype, or leaving it out by data.features"
        if what == "target":
            mend = "data.normalize_target, dtype, or another unit"
        raise DataError(
            f"with seed {seed}, {what} '{name}' has numbers beyond {beyond}; {mend} may help"
        )


def check_squares(draw: Sequence[Points], names: Sequence[str], seed: int) -> None:
    """Raise a DataError where squares of a target, or of its spread, are not numbers of float64.

    Errors are root mean squares in its own unit: they would be infinite, or 0.
    """
    wanted = np.concatenate([np.asarray(part[1], np.float64) for part in draw])
    largest = np.abs(wanted).max(0)
    spread = (wanted / 2).max(0) - (wanted / 2).min(0)
    for name, most, each in zip(names, largest, spread, strict=True):
        if most > LARGEST or 0 < each < SMALLEST:
            got = f"numbers up to {most:g}" if most > LARGEST else f"a spread of {2 * each:g}"
            raise DataError(
                f"with seed {seed}, target '{short_word(name)}' has {got}, of which squared errors "
                "are beyond float64; another unit helps"
            )
