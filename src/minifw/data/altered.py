"""Training samples made fewer or worse on purpose: a share, imbalance, wrong labels, noise.

Only the training samples of a seed are altered, after those for validation were taken from them, so
validation and test samples stay what they are. All that is random comes from one generator, of
which each purpose has its own child: the wrong labels are the same whatever noise the features
have, and those of a small share of wrong labels are among those of a larger one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minifw.data.generated import Floats, Integers, Points
from minifw.data.splitting import place_in_class, shares
from minifw.errors import DataError, did_you_mean, short_word

MOST_DRAWS = 1000
"""So many times the training samples are drawn at most to find enough samples of each class."""


@dataclass(frozen=True)
class Alteration:
    """What is done to the training samples of each seed, in this order.

    Attributes:
        share: the fraction of them that is kept: the first ones, of each class if stratified.
        imbalance: a ratio, at least 1: so many times as many samples as the last class has the
            first one, and those between lie on a geometric series (Cui et al., Class-Balanced Loss,
            2019); or the fraction of its samples that a class keeps, by its name.
        label_noise: the fraction of labels changed to another class, each as likely.
        feature_noise: the standard deviation of Gaussian noise, in units of each feature's own.

    """

    share: float = 1.0
    imbalance: float | Mapping[str, float] | None = None
    label_noise: float = 0.0
    feature_noise: float = 0.0

    @property
    def is_none(self) -> bool:
        """Whether all samples stay what they are."""
        return self == Alteration()

    @property
    def words(self) -> list[str]:
        """What is done, for captions."""
        said = []
        if self.share != 1:
            said.append(f"{100 * self.share:g} % of the training samples")
        if isinstance(self.imbalance, Mapping):
            of_each = (f"{short_word(k)} {100 * v:g} %" for k, v in self.imbalance.items())
            said.append(f"training classes thinned: {', '.join(of_each)}")
        elif self.imbalance is not None:
            said.append(f"training classes imbalanced {self.imbalance:g}:1")
        if self.label_noise:
            said.append(f"{100 * self.label_noise:g} % of training labels wrong")
        if self.feature_noise:
            said.append(f"noise of {self.feature_noise:g} sd on training features")
        return said

    def size(self, samples: int) -> int:
        """Return how many of so many training samples the `share` keeps.

        Raises:
            DataError: it keeps none.

        """
        kept = round(self.share * samples)
        if kept < 1:
            raise DataError(
                f"must leave at least 1 of the {samples} training samples, got {self.share:g}"
            )
        return kept

    def weights(self, classes: Sequence[str]) -> Floats:
        """Return the number of samples of each class in units of the largest, `(classes,)`.

        Raises:
            DataError: there is no class of a name.

        """
        count = len(classes)
        if not isinstance(self.imbalance, Mapping):
            places = np.arange(count) / max(1, count - 1)
            return np.asarray(float(self.imbalance or 1) ** -places)
        for name in self.imbalance:
            if name not in classes:
                hint = did_you_mean(name, map(short_word, classes))
                raise DataError(f"no class is '{short_word(name)}'{hint}")
        return np.array([self.imbalance.get(name, 1.0) for name in classes])

    def quotas(self, counts: Integers, classes: Sequence[str]) -> Integers:
        """Return how many samples of each class are kept of so many, `(classes,)`.

        With a ratio they are as many as there can be: one class keeps all.

        Raises:
            DataError: a class would have none.

        """
        weights = self.weights(classes)
        whole = counts if isinstance(self.imbalance, Mapping) else (counts / weights).min()
        return _some_of_each(np.rint(whole * weights).astype(np.int64), classes)

    def drawn_quotas(self, size: int, classes: Sequence[str]) -> Integers:
        """Return how many samples of each class are drawn, `(classes,)`, together `size`.

        Raises:
            DataError: a class would have none.

        """
        return _some_of_each(shares(self.weights(classes), size), classes)


def _some_of_each(quotas: Integers, classes: Sequence[str]) -> Integers:
    if not quotas.all():
        name = short_word(classes[int(quotas.argmin())])
        raise DataError(
            f"leaves no training sample of class '{name}'; less imbalance, or more samples"
        )
    return quotas


def altered(
    train: Points,
    by: Alteration,
    rng: np.random.Generator,
    classes: Sequence[str],
    *,
    stratified: bool = False,
    draw: Callable[[np.random.Generator, int], Points] | None = None,
    noisy: NDArray[np.bool_] | None = None,
) -> Points:
    """Return the training samples of a seed as they are trained on.

    Args:
        train: inputs `(n, features)`, with NaN where a value is missing, and labels or targets.
        by: what is done.
        rng: the seed's own generator for this.
        classes: their names; none of regression.
        stratified: whether a share is one of each class.
        draw: draws more samples, of generated data, until each class has its own; without it
            samples are left out.
        noisy: which features get noise, `(features,)`; by default all.

    Raises:
        DataError: a class has too few samples.

    """
    draws, labels, noise = rng.spawn(3)
    train = _first(train, by.size(len(train[1])), stratified)
    if by.imbalance is not None and draw is not None:
        train = _filled(train, by.drawn_quotas(len(train[1]), classes), draw, draws, classes)
    elif by.imbalance is not None:
        counts = np.bincount(_classes(train), minlength=len(classes))
        train = _kept(train, by.quotas(counts, classes))
    inputs, wanted = train
    if by.label_noise:
        wanted = _wrong(_classes(train), by.label_noise, len(classes), labels)
    if by.feature_noise:
        inputs = inputs + by.feature_noise * _spread(inputs, noisy) * noise.normal(
            size=inputs.shape
        )
    return inputs, wanted


def _classes(points: Points) -> Integers:
    return np.asarray(points[1], np.int64)


def _kept(points: Points, quotas: Integers) -> Points:
    """Return the first samples of each class, so many of each, in their order."""
    labels = _classes(points)
    kept = place_in_class(labels) < quotas[labels]
    return points[0][kept], points[1][kept]


def _first(points: Points, size: int, stratified: bool) -> Points:
    if not stratified:
        return points[0][:size], points[1][:size]
    return _kept(points, shares(np.bincount(_classes(points)), size))


def _filled(
    points: Points,
    quotas: Integers,
    draw: Callable[[np.random.Generator, int], Points],
    rng: np.random.Generator,
    classes: Sequence[str],
) -> Points:
    """Return samples with so many of each class: of those given, and of more that are drawn."""
    size, parts = len(points[1]), [_kept(points, quotas)]
    lacking = quotas - np.bincount(_classes(parts[0]), minlength=len(quotas))
    for _ in range(MOST_DRAWS):
        if not lacking.any():
            break
        parts.append(_kept(draw(rng, size), lacking))
        lacking = lacking - np.bincount(_classes(parts[-1]), minlength=len(quotas))
    if lacking.any():
        place = int(lacking.argmax())
        raise DataError(
            f"needs {quotas[place]} training samples of class '{short_word(classes[place])}', but "
            f"{MOST_DRAWS * size} draws gave only {quotas[place] - lacking[place]}"
        )
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _wrong(labels: Integers, share: float, classes: int, rng: np.random.Generator) -> Integers:
    """Return labels of which `round(share n)` are changed to another class, each as likely."""
    order = rng.permutation(len(labels))
    others = (labels + rng.integers(1, classes, len(labels))) % classes
    changed = order[: round(share * len(labels))]
    made = labels.copy()
    made[changed] = others[changed]
    return made


def _spread(inputs: Floats, noisy: NDArray[np.bool_] | None) -> Floats:
    """Return the standard deviation of each feature, `(features,)`, 0 of one that gets no noise."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a feature of gaps only
        # Scaling by a power of two changes no digit, and keeps squares from over- and underflow.
        unit = np.frexp(np.nanmax(np.abs(inputs), 0))[1]
        spread = np.ldexp(np.nanstd(np.ldexp(inputs, -unit), 0), unit)
        is_constant = np.nanmax(inputs, 0) == np.nanmin(inputs, 0)  # but for rounding
    spread = np.where(is_constant | np.isnan(spread), 0, spread)
    return spread if noisy is None else np.where(noisy, spread, 0)
