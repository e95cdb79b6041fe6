"""All samples of a data set that is a table, before they are divided and normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifw.data.encoding import Encoding
from minifw.data.generated import Floats, Integers


@dataclass(frozen=True)
class Table:
    """All samples of a table, in its order, with the names of features and classes.

    Inputs are float64, or bytes of images. They are NaN where a value is missing and the training
    samples of each seed say with what it is filled; see `encoding`. Of regression `labels` are
    numbers, `(samples, targets)`, there are no classes, and `targets` are the names of the columns.
    """

    inputs: NDArray[Any]
    labels: Integers | Floats
    features: tuple[str, ...]
    classes: tuple[str, ...]
    checksum: str
    """SHA-256 of the bytes that were parsed."""
    target: str
    """Column or array of the classes or the numbers; several columns are joined by commas."""
    targets: tuple[str, ...] = ()
    encoding: Encoding | None = None
    """How columns became features; None: each is one as it stands."""
    groups: Integers | None = None
    """The number of each sample's group, for a split that keeps groups together."""
    tests: int = 0
    """How many samples, the last ones, are from `data.test_path`."""
    notes: tuple[str, ...] = ()
    """What was noticed, left out or filled, a line each."""
    unnamed: int | None = None
    """How many columns its file has, where that gives them no names."""

    @property
    def is_numeric(self) -> bool:
        """Whether all features are numbers, without gaps."""
        if self.encoding is None:
            return True
        return bool(self.encoding.numeric.all()) and not bool(np.isnan(self.inputs).any())

    @property
    def class_numbers(self) -> Integers:
        """The labels, of classification."""
        assert not self.targets
        return self.labels.astype(np.int64, copy=False)
