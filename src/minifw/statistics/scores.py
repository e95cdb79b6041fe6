"""What is measured of classifiers besides their error, for a whole stack at once.

Arrays begin with the stack, `(…)`; there are n samples and C classes. `labels` are the classes of
the samples, `chosen` those that a network chooses, both `(…, n)` of int64 from 0 to C - 1, and
`outputs` are the network's, `(…, n, C)`.

Outputs are logits whose probabilities are their `softmax`; or, of losses that ask each output for
a yes or no of its own, the `sigmoid`s divided by their sum; or no probabilities at all, as with the
squared error of one-hot rows. Then there are neither log loss nor calibration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Link = Literal["softmax", "sigmoid"]
"""What makes probabilities of outputs."""

BINS = 15
"""Bins of equal width for the largest probability, as many as in Guo et al. 2017."""


@dataclass(frozen=True)
class Calibration:
    """The samples by the probability of the class that was chosen, in `BINS` bins, `(…, BINS)`.

    Bin k, from 0, has the probabilities above k / BINS and up to (k + 1) / BINS: `count` samples,
    of which `right` are of the class that was chosen; `confidence` is the sum of their
    probabilities.
    """

    count: Integers
    right: Integers
    confidence: Floats

    @property
    def error(self) -> Floats:
        """The expected calibration error in percentage points, `(…)`; NaN without samples.

        That is Σ count / n · |right / count - mean probability| over the bins. Source: Naeini et
        al. 2015, "Obtaining well calibrated probabilities using Bayesian binning"; Guo et al. 2017,
        "On calibration of modern neural networks".
        """
        gaps = np.abs(self.right - self.confidence).sum(-1)
        samples = self.count.sum(-1)
        return np.asarray(100 * gaps / np.where(samples > 0, samples, np.nan), np.float64)


@dataclass(frozen=True)
class Scores:
    """The scores of each network of a stack, `(…)`, and the counts that they are made of.

    Attributes:
        balanced_error: 100 minus the mean recall over the classes, in percent.
        auc: the area under the ROC curve; NaN where a class is missing.
        confusion: `(…, C, C)`: how many samples of the class of a row were taken for that of a
            column.
        log_loss: the mean of -log probability of the samples' classes; None without probabilities.
        calibration: the bins of a reliability diagram; None without probabilities.

    """

    balanced_error: Floats
    auc: Floats
    confusion: Integers
    log_loss: Floats | None
    calibration: Calibration | None


def score(outputs: NDArray[np.floating], labels: Integers, chosen: Integers,
          link: Link | None) -> Scores:  # fmt: skip
    """Return the scores of networks with these outputs, whose probabilities `link` makes.

    The AUC ranks samples by the log odds of a class where there are probabilities, which have its
    order and do not end at 1 by rounding; else by the output of the class.
    """
    values = outputs.astype(np.float64)
    counts = confusion(labels, chosen, values.shape[-1])
    if link is None:
        return Scores(balanced_error(counts), auc(labels, values), counts, None, None)
    if link == "sigmoid":
        values = _log_sigmoid(values)  # σ / Σ σ is the softmax of log σ
    logs = log_softmax(values)
    largest = np.exp(np.take_along_axis(logs, chosen[..., None], -1)[..., 0])
    return Scores(
        balanced_error(counts),
        auc(labels, log_odds(values)),
        counts,
        log_loss(labels, logs),
        calibration(largest, chosen == labels),
    )


def confusion(labels: Integers, chosen: Integers, classes: int) -> Integers:
    """Return how many samples of class r were taken for class c, `(…, r, c)`."""
    stack = labels.shape[:-1]
    networks = np.arange(math.prod(stack)).reshape(*stack, 1)
    cells = (networks * classes + labels) * classes + chosen
    counts = np.bincount(cells.ravel(), minlength=networks.size * classes**2)
    return counts.reshape(*stack, classes, classes).astype(np.int64)


def balanced_error(counts: Integers) -> Floats:
    """Return 100 minus the mean recall in percent from confusion matrices, `(…)`.

    A class without samples has no recall and is left out of the mean, as by scikit-learn's
    `balanced_accuracy_score`. Source: Brodersen et al. 2010, "The balanced accuracy and its
    posterior distribution".
    """
    of_class = counts.sum(-1)
    wrong = of_class - counts.diagonal(axis1=-2, axis2=-1)
    shares = wrong / np.maximum(of_class, 1)
    return np.asarray(100 * shares.sum(-1) / (of_class > 0).sum(-1), np.float64)


def auc(labels: Integers, values: Floats) -> Floats:
    """Return the area under the ROC curve, `(…)`, of values `(…, n, C)` that speak for a class.

    With two classes it is how often a sample of class 1 has a larger value[1] - value[0] than one
    of class 0, over all pairs of such samples; equal ones count half (the Mann-Whitney statistic).
    With more it is the mean over the classes of one against the rest, each by its own value, every
    class with the same weight: scikit-learn's `roc_auc_score(multi_class="ovr")`. NaN where a class
    has no sample, or a value is NaN. Source: Hanley and McNeil 1982, "The meaning and use of the
    area under a ROC curve"; Fawcett 2006, "An introduction to ROC analysis".
    """
    if values.shape[-1] == 2:
        return _auc(labels == 1, values[..., 1] - values[..., 0])
    mine = labels[..., None, :] == np.arange(values.shape[-1])[:, None]  # (…, C, n)
    return np.asarray(_auc(mine, np.swapaxes(values, -1, -2)).mean(-1))


def _auc(positive: NDArray[np.bool_], values: Floats) -> Floats:
    """Return the AUC of values `(…, n)`, sorting all rows of the stack at once."""
    order = values.argsort(-1)
    values = np.take_along_axis(values, order, -1)
    positive = np.take_along_axis(positive, order, -1)
    begins = np.ones(values.shape, bool)  # a group of equal values
    begins[..., 1:] = values[..., 1:] != values[..., :-1]
    ends = np.ones(values.shape, bool)
    ends[..., :-1] = begins[..., 1:]
    negatives = np.cumsum(~positive, -1)
    # Of each sample: the negatives before its group of equal values, and up to the group's end.
    before = np.maximum.accumulate(np.where(begins, negatives - ~positive, 0), -1)
    until = np.where(ends, negatives, values.shape[-1])[..., ::-1]
    until = np.minimum.accumulate(until, -1)[..., ::-1]
    wins = ((before + until) * positive).sum(-1) / 2
    of_positive = positive.sum(-1)
    pairs = of_positive * (values.shape[-1] - of_positive)
    gone = (pairs == 0) | np.isnan(values[..., -1])  # NaN is sorted to the end
    return np.where(gone, np.nan, wins / np.maximum(pairs, 1))


def log_loss(labels: Integers, logs: Floats) -> Floats:
    """Return the mean over the samples of -log p of their class, natural logarithm, `(…)`.

    `logs` are log probabilities `(…, n, C)`. Source: Bishop 2006, Pattern Recognition and Machine
    Learning, section 4.3.4.
    """
    return np.asarray(-np.take_along_axis(logs, labels[..., None], -1)[..., 0].mean(-1))


def calibration(largest: Floats, right: NDArray[np.bool_]) -> Calibration:
    """Return the bins of the probabilities `(…, n)` of the chosen classes; see `Calibration`.

    A probability within 1e-9 of a border is on it: 1/3, that of three equal outputs, is in the same
    bin whatever its last bit. A network with NaN among them, of outputs that overflowed, has no
    samples in the bins.
    """
    stack = largest.shape[:-1]
    networks = np.arange(math.prod(stack)).reshape(*stack, 1)
    known = np.broadcast_to(~np.isnan(largest).any(-1, keepdims=True), largest.shape)
    values = np.where(known, largest, 0)
    place = np.clip(np.ceil((values * BINS).round(9)).astype(np.int64) - 1, 0, BINS - 1)
    cells = (networks * BINS + place).ravel()

    def total(weights: NDArray[np.generic]) -> NDArray[np.generic]:
        sums = np.bincount(cells, weights.ravel(), networks.size * BINS)
        return sums.reshape(*stack, BINS)

    return Calibration(
        total(known).astype(np.int64),
        total(known & right).astype(np.int64),
        total(values).astype(np.float64),
    )


def log_softmax(values: Floats) -> Floats:
    """Return log softmax over the last dimension; the largest is subtracted, so none overflows."""
    below = values - values.max(-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(-1, keepdims=True)))


def log_odds(values: Floats) -> Floats:
    """Return log(p / (1 - p)) of softmax `(…, n, C)`, exact where p rounds to 1.

    1 - p is the sum of the others, of which the largest, 1 after scaling, is left out in its own
    case; in that of the others it cancels nothing.
    """
    below = values - values.max(-1, keepdims=True)
    powers = np.exp(below)
    top = values.argmax(-1)[..., None]
    np.put_along_axis(powers, top, 0, -1)
    others = powers.sum(-1, keepdims=True)
    rest = 1 + others - powers
    np.put_along_axis(rest, top, others, -1)
    with np.errstate(divide="ignore"):  # the others are so small that p is 1 in float64
        return np.asarray(below - np.log(rest))


def _log_sigmoid(values: Floats) -> Floats:
    return np.asarray(np.minimum(values, 0) - np.log1p(np.exp(-np.abs(values))))
