"""What trained networks of a regression say of new samples: numbers, in the targets' own unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minifw.data import Floats
from minifw.experiment.prediction import Networks, outputs_of


@dataclass(frozen=True)
class Estimates:
    """The predictions of networks for n samples, in the targets' own unit.

    `values` (n, targets) are the means over the networks, `spread` their standard deviations over
    the networks (n - 1), `each` (seeds, n, targets) what each network says.
    """

    values: Floats
    spread: Floats
    each: Floats


@dataclass(frozen=True)
class Compared:
    """The predictions compared with the numbers in the file.

    `samples` is the number of samples with a number for each target in the file, `rmse` and `mae`
    are over these samples and all targets, in their own unit.
    """

    samples: int
    rmse: float | None
    mae: float | None


def predict(networks: Networks, samples: Floats) -> Estimates:
    """Return the networks' predictions for samples `(n, features)` in the data's units.

    Raises:
        DataError: a number is too large for the networks' dtype.

    """
    shift, scale = networks.target_shift[:, None], networks.target_scale[:, None]
    parts = [output.double().numpy() for output in outputs_of(networks, samples)]
    each = np.concatenate(parts, 1) * scale + shift
    values = each.mean(0)
    spread = each.std(0, ddof=1) if len(each) > 1 else np.zeros_like(values)
    return Estimates(values, spread, each)


def compare(found: Estimates, known: Floats) -> Compared:
    """Return the comparison with the numbers in the file, `(n, targets)`; NaN is unknown."""
    rows = np.isfinite(known).all(1)
    differences = found.values[rows] - known[rows]
    if not rows.any():
        return Compared(0, None, None)
    rmse = float(np.sqrt((differences**2).mean()))
    return Compared(int(rows.sum()), rmse, float(np.abs(differences).mean()))


def lines(found: Estimates, networks: Networks, every_seed: bool) -> Iterator[dict[str, Any]]:
    """Yield the table's row for each sample, by the names of the columns."""
    targets, several = networks.about.targets, len(networks.seeds) > 1
    for row in range(len(found.values)):
        line: dict[str, Any] = {"row": row + 1}
        line |= _named("", targets, found.values[row])
        if several:
            line |= _named("spread ", targets, found.spread[row])
        if every_seed:
            for seed, own in zip(networks.seeds, found.each[:, row], strict=True):
                line |= _named(f"seed {seed} ", targets, own)
        yield line


def _named(word: str, targets: list[str], values: Floats) -> dict[str, float]:
    """Return numbers, which float32 networks give to about six digits, by column."""
    pairs = zip(targets, values.tolist(), strict=True)
    return {f"{word}{name}": float(f"{value:.7g}") for name, value in pairs}
