"""The content of decision.npz: what one network decides over the plane of two features."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Content = dict[str, Any]
Floats = NDArray[np.float64]


def read(file: bytes) -> Content:
    """Return all arrays of a decision.npz by their names; `experiment.decision` says which."""
    with np.load(io.BytesIO(file), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def of_mode(content: Mapping[str, Any], mode: str) -> Content:
    """Return the arrays of one mode by their short names; nothing if all its seeds diverged."""
    return {
        name.partition("/")[2]: array
        for name, array in content.items()
        if name.startswith(f"{mode}/")
    }


def scores_over_plane(content: Content) -> Floats:
    """Return the scores of all classes over the plane, `(y, x, classes)`.

    With many classes only the margin between the best two is known: the best class gets the margin,
    the second 0, and all others minus the margin.
    """
    if "scores" in content:
        scores = content["scores"].astype(float)
    else:
        best, second, margin = content["decision"], content["second"], content["margin"]
        margin = margin.astype(float)[..., None]
        classes = np.arange(max(best.max(), second.max()) + 1)
        scores = np.where(classes == best[..., None], margin, -margin)
        scores[second[..., None] == classes] = 0
    kept: Floats = np.clip(np.nan_to_num(scores), -1e30, 1e30)
    return kept
