"""Folds: parts of the samples, each of which is tested by networks trained on all others."""

from __future__ import annotations

import heapq

import numpy as np

from minifw.data.generated import Integers
from minifw.errors import DataError


def folds(
    rng: np.random.Generator,
    samples: int,
    count: int,
    strata: Integers | None = None,
    groups: Integers | None = None,
) -> Integers:
    """Return the number of each sample's fold, drawn anew: one division of the samples.

    Folds differ in size by at most one sample. With `strata`, the class of each sample, they differ
    by at most one in each class too, as in scikit-learn's StratifiedKFold: the samples of one class
    after the other are dealt out to the folds in turn. With `groups`, the group of each sample,
    each group is in one fold: from the largest on, each goes to the fold that has the fewest
    samples so far, as in GroupKFold. So the sizes are the same in each division.
    """
    if groups is not None:
        return _whole(rng, groups, count)[groups]
    order = rng.permutation(samples)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    found = np.empty(samples, np.int64)
    found[order] = np.arange(samples) % count
    return found


def _whole(rng: np.random.Generator, groups: Integers, count: int) -> Integers:
    """Return the fold of each group."""
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))  # of equal ones
    order = order[np.argsort(-sizes[order], kind="stable")]
    found = np.empty(len(sizes), np.int64)
    lightest = [(0, fold) for fold in range(count)]
    for group in order.tolist():
        held, fold = lightest[0]
        found[group] = fold
        heapq.heapreplace(lightest, (held + int(sizes[group]), fold))
    return found


def fold_sizes(samples: int, count: int, groups: Integers | None = None) -> Integers:
    """Return how many samples each fold has, in each division; in no order.

    Raises:
        DataError: there are not so many samples, or groups.

    """
    there, what = samples, "samples"
    if groups is not None:
        there, what = len(np.unique(groups)), "groups"
    if there < count:
        raise DataError(f"must be at most the {there} {what} that there are, got {count}")
    if groups is None:
        return np.bincount(np.arange(samples) % count)
    return np.bincount(folds(np.random.default_rng(0), samples, count, groups=groups))
