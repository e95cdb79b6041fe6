"""What came out, in sentences that a paper can have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minifw.page.arms import Side, groups, of_results
from minifw.report.words import between, listed, many, seeds_named, sentence
from minifw.runs.results import Results
from minifw.statistics.measure import Measure

WAYS = {"full-batch": "in full batch", "sgd": "in batches"}


def of_run(results: Results) -> str:
    """Return the result of a run of train, or of a comparison with PyTorch."""
    measure, said = results.measured, []
    for mode, inside in zip(results.modes, groups(of_results(results)).values(), strict=True):
        several = f"{WAYS[mode]}, " if len(results.modes) > 1 else ""
        of_arms = [figures(side, measure, side.name if len(inside) > 1 else "") for side in inside]
        said.append(sentence(several + "; ".join(of_arms)))
        if results.pairs is not None and mode in results.pairs:
            pair = results.pairs[mode]
            said.append(sentence(pair.sentence, named=True))
            if pair.warning is not None:
                said.append(sentence(pair.warning))
    return " ".join([*said, *map(sentence, _beside(results))])


def brief(results: Results) -> list[str]:
    """Return the errors of each mode in a sentence, those of minifw's networks."""
    ours = [side for side in of_results(results) if not side.twin]
    return [described(side, results.measured, len(ours) > 1) for side in ours]


def described(side: Side, measure: Measure, several: bool) -> str:
    """Return the errors of an arm as a sentence, with its name where there are `several`."""
    if not several:
        return sentence(figures(side, measure))
    group = f"{side.group}: " if side.group else ""
    return sentence(f"{group}{figures(side, measure, side.name)}")


def figures(side: Side, measure: Measure, who: str = "") -> str:
    """Return the errors of one arm in words, with the seeds that diverged by their names.

    >>> the median test error was 3.55 % (95 % interval 2.75 to 4.30 %, 20 seeds)
    """
    summary, count = side.summary, len(side.seeds)
    gone = [seed for seed, left in zip(side.seeds, side.left, strict=True) if not left]
    of = f" of {who}" if who else ""
    if summary.median is None or summary.mean is None:
        if count == 1:
            return f"seed {side.seeds[0]}{of} diverged, so there is no test {measure.name}"
        return f"all {count:,} seeds{of} diverged, so there is no test {measure.name}"
    left = count - len(gone)
    lost = f"; {seeds_named(gone)} diverged and {'is' if len(gone) == 1 else 'are'} left out"
    lost = lost if gone else ""
    over = many(left, "seed") if not gone else f"{left:,} of {many(count, 'seed')}"
    if left == 1:
        return f"the test {measure.name}{of} was {measure.figure(summary.median)} ({over}{lost})"
    if summary.min == summary.max:
        which = "both" if left == 2 else f"all {left:,}"
        each = f"{which} seeds{of} had the same test {measure.name}"
        return f"{each}, {measure.figure(summary.median)}" + (f" ({over}{lost})" if gone else "")
    if side.overlap is None:
        name, middle, ends = "median", summary.median, summary.median_interval
    else:
        name, middle, ends = "mean", summary.mean, summary.mean_interval
    interval = "" if ends is None else f"95 % interval {between(measure, ends)}, "
    return (
        f"the {name} test {measure.name}{of} was {measure.figure(middle)} ({interval}{over}{lost})"
    )


def _beside(results: Results) -> list[str]:
    """Return what errors are to be compared with: guessing, and of regression what is explained."""
    data, measure = results.data, results.measured
    if data.mean_error is not None:
        fits = [
            float(np.median(known))
            for arms in results.modes.values()
            if (known := [r2 for r2 in arms["minifw"].r2 or () if r2 is not None])
        ]
        rmse = measure.figure(data.mean_error)
        guess = f"guessing the mean of the training samples gives an RMSE of {rmse}"
        shown = listed([f"{r2:.3f}".replace("-", "−") for r2 in fits])
        middle = "the median R²" if len(results.seeds) > 1 else "R²"
        was = "was" if len(fits) == 1 else "were"
        return [f"{guess}; {middle} {was} {shown}" if fits else guess]
    if data.majority_error is None:
        return []
    error = f"{data.majority_error:.1f} %"
    return [f"always guessing the most frequent class gives an error of {error}"]


def stops(sides: Sequence[Side]) -> list[str]:
    """Return when seeds stopped early, a sentence for each arm that has some."""
    return [
        f"{side.full_name}: {len(side.stopped)} of {many(len(side.seeds), 'seed')} stopped early, "
        f"after epoch {min(side.stopped)} to {max(side.stopped)}"
        for side in sides
        if side.stopped
    ]
