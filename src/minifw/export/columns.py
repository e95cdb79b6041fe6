"""Rows of numbers, one for each column of a data file: what a network in another program takes.

A word is its place among the words of its column; any other number is a word that the network does
not know. A gap is NaN. So a row has as many numbers as the file has columns, whatever becomes of
them inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minifw.data import Floats
from minifw.data.encoding import MISSING, Encoding
from minifw.experiment import estimates, prediction
from minifw.export.parcel import Parcel


def rows_of(encoding: Encoding, samples: Floats) -> Floats:
    """Return rows `(n, columns)` for samples `(n, features)`, in which words are one-hot."""
    if not encoding.words:
        return samples
    made, first = np.empty((len(samples), len(encoding.columns))), 0
    for place, column in enumerate(encoding.columns):
        after = first + len(column.features)
        own = samples[:, first:after]
        made[:, place] = own.argmax(1) if column.kind == "words" else own[:, 0]
        first = after
    return made


@dataclass(frozen=True)
class Preparation:
    """What is done to a row before the network, as plain numbers.

    `words` has for each column how many words it has, None for numbers, and `gaps` the place of the
    word that stands for a gap; all else is by feature.
    """

    words: list[int | None]
    gaps: list[int]
    fill: list[float]
    known: list[bool]
    shift: list[float]
    scale: list[float]

    @classmethod
    def of(cls, parcel: Parcel) -> Preparation:
        """Return that of the one network of a parcel."""
        networks = parcel.networks
        encoding, prepared = networks.about.coded, networks.prepared
        words: list[int | None] = []
        gaps = []
        for column in encoding.columns:
            count = len(column.categories) if column.kind == "words" else None
            words.append(count)
            lacks = count is not None and MISSING in column.categories
            gaps.append(column.categories.index(MISSING) if lacks else count or 0)
        features = len(networks.about.features)
        fills = prepared is not None and encoding.fill is not None
        return cls(
            words,
            gaps,
            prepared.fill[0].tolist() if prepared and fills else [np.nan] * features,
            prepared.known[0].tolist() if prepared else [True] * features,
            networks.shift[0].tolist(),
            networks.scale[0].tolist(),
        )


@dataclass(frozen=True)
class Ends:
    """What is done with the outputs of a network: as the arguments of `reference.rows.Model`."""

    columns: tuple[int, int]
    probability: bool
    target_shift: list[float]
    target_scale: list[float]

    @classmethod
    def of(cls, parcel: Parcel) -> Ends:
        """Return that of the one network of a parcel."""
        networks, about = parcel.networks, parcel.networks.about
        asked = networks.columns or slice(0, about.outputs)
        return cls(
            (asked.start, asked.stop),
            about.score == "probability",
            networks.target_shift[0].tolist(),
            networks.target_scale[0].tolist(),
        )


def samples_to_try(parcel: Parcel, count: int = 64) -> Floats:
    """Return made-up samples `(count, features)` in the data's units, for a check.

    Numbers are as far from their means as training samples; one-hot features are one-hot.
    """
    networks, rng = parcel.networks, np.random.default_rng(0)
    tokens = [n for m in networks.network.modules() if (n := getattr(m, "num_embeddings", 0))]
    shape = (count, len(networks.about.features))
    if tokens:
        made = rng.integers(0, min(tokens), shape).astype(float)
    else:
        made = networks.shift[0] + networks.scale[0] * rng.normal(size=shape)
    for words in networks.about.coded.words:
        width = words.stop - words.start
        made[:, words] = np.eye(width)[rng.integers(0, width, count)]
    return made


def said_by_minifw(parcel: Parcel, samples: Floats) -> Floats:
    """Return what minifw predicts for samples: the scores of classes, or numbers."""
    networks = parcel.networks
    if networks.about.targets:
        return estimates.predict(networks, samples).values
    return prediction.predict(networks, samples).scores
