"""Stand-in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Errors = Sequence[float | None]


def rank(arms: Sequence[Errors]) -> list[int]:
    """Return ranks."""
    full = [[100.0 if e is None or np.isnan(e) else e for e in errors] for errors in arms]
    keys = [(float(np.median(e)), float(np.mean(e)), k) for k, e in enumerate(full)]
    places = {key: place for place, key in enumerate(sorted(keys), 1)}
    return [places[key] for key in keys]


def interval(errors: Errors) -> tuple[float, float] | None:
    """Return an interval of the median."""
    left = np.array([e for e in errors if e is not None])
    if len(left) < 2:
        return None
    rng = np.random.default_rng(0)
    draws = np.median(left[rng.integers(len(left), size=(2000, len(left)))], axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
