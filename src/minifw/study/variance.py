"""Variance: how much of the spread of the test error each kind of seed makes.

A network has three seeds: of its samples, of its initial weights, of the order of its batches. A
run over seeds changes all three at once. Here they are crossed: each seed of one kind is combined
with each of the others, and all are lanes of one stack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minifw.config.model import Config
from minifw.config.source import Source
from minifw.data import Floats
from minifw.errors import ArtefactError, UsageError
from minifw.experiment.results import optimizer_name
from minifw.report import plots, variance
from minifw.report.tables import write_table
from minifw.runs import Run
from minifw.runs.results import of_measure
from minifw.runs.studies import MOST_CROSSED, STUDY, Crossing, Study, StudyResults
from minifw.runs.variance import VarianceOutcome
from minifw.statistics.components import Components, components
from minifw.study import planning
from minifw.study.planning import Plan
from minifw.study.rounds import Kind, Rounds

COUNTS = {"data": 10, "init": 10, "order": 5}
"""How many seeds of each purpose are crossed by default."""

DIFFERENCE = 0.5
DIFFERENCES = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Differences in points for which the seeds are counted, besides the one that is asked for."""

POWER = 0.8
NO_ORDER = "full batch has no order of batches, so the order has one level"


RELATIVE = 0.01
"""The usual difference of a regression: this share of the mean error, to one digit."""


def check_difference(name: str, points: float | None, regression: bool = False) -> None:
    """Raise a UsageError unless this is a difference of errors; `name` is that of the option."""
    if points is None or (regression and 0 < points < math.inf) or 0 < points <= 100:
        return
    most = "" if regression else " and at most 100 points"
    raise UsageError(f"{name}: must be above 0{most}, got {points:g}")


def notes(plan: Plan, counts: Mapping[str, int]) -> list[str]:
    """Return what is to be said if fewer seeds are crossed than were asked for."""
    crossed = plan.study.crossing
    assert crossed is not None
    return [NO_ORDER] if crossed.order < counts["order"] else []


def crossing(config: Config, counts: Mapping[str, int]) -> Crossing:
    """Return how many seeds of each purpose are crossed; in full batch there is no order.

    Raises:
        UsageError: nothing varies, or there are too many networks.

    """
    every = dict(counts) | ({"order": 1} if config.train.mode == "full-batch" else {})
    crossed = Crossing(**every)
    if max(every.values()) == 1:
        why = f"; {NO_ORDER}" if counts["order"] > 1 else ""
        which = "at least one of data, init and order must be 2 or more"
        raise UsageError(f"variance: nothing varies: {which}{why}")
    if (networks := crossed.data * crossed.init * crossed.order) > MOST_CROSSED:
        shown = " x ".join(map(str, every.values()))
        raise UsageError(
            f"variance: {shown} are {networks} networks; expects at most {MOST_CROSSED}"
        )
    return crossed


def plan(
    config: Config,
    source: Source,
    counts: Mapping[str, int],
    threads: int,
    difference: float | None = None,
    code: Mapping[str, bytes] | None = None,
) -> Plan:
    """Return the plan of a study of variance.

    Args:
        config: what is trained; `seed` is the first seed of each purpose.
        source: the places of its values.
        counts: how many seeds of `data`, `init` and `order` are crossed.
        threads: those of torch.
        difference: in the unit of errors, for which the seeds are counted; by default half a
            point, or of regression 1 % of the mean error.
        code: the user's Python files that the config names.

    Raises:
        UsageError: nothing varies, or there are too many networks.
        ConfigError, DataError: the config does not fit its data, or the machine.

    """
    if getattr(config.data, "folds", None) is not None:
        raise UsageError(
            "variance: the folds of data.folds are no independent draws of the data; "
            "--set data.folds=null divides the samples anew for each seed"
        )
    crossed = crossing(config, counts)
    most = max(crossed.data, crossed.init, crossed.order)
    study = Study(
        kind="variance",
        cells=[planning.cell(config.name, {}, config)],
        seeds=list(range(config.seed, config.seed + most)),
        threads=threads,
        crossing=crossed,
        options={"difference": _option(config, difference)},
    )
    return planning.plan(study, [config], [source], code)


class Variance(Kind):
    """Trains all combinations of seeds at once."""

    def rounds(self, plan: Plan, pieces: int) -> Rounds:
        _asked(plan.study)  # before anything is trained
        return super().rounds(plan, pieces)

    def outcome(self, plan: Plan, results: StudyResults) -> dict[str, object]:
        """Return the shares with their intervals, and how many seeds differences need."""
        crossed, wanted = _asked(plan.study)
        measure = plan.shapes[0].measure
        counts = crossed.model_dump()
        (cell,) = results.cells
        errors = np.array(cell.test_error, np.float64).reshape(*counts.values())
        known = errors[~np.isnan(errors)]
        worst = measure.worst(known.tolist())
        found = components(errors, worst=worst)
        diverged = int(np.isnan(errors).sum())
        some = diverged < errors.size
        counted = np.where(np.isnan(errors), worst, errors)
        difference = _difference(wanted, float(counted.mean()))
        others: tuple[float, ...] = DIFFERENCES
        if measure.targets:
            usual = _difference(None, float(counted.mean()))
            others = tuple(usual / DIFFERENCE * each for each in DIFFERENCES)
        asked = sorted({*others, difference})

        def needed(points: float) -> int | None:
            return found.seeds_needed(points, POWER) if some else None

        outcome = {
            "mode": plan.configs[0].train.mode,
            "optimizer": optimizer_name(plan.configs[0]),
            "counts": crossed,
            "seed": plan.study.seeds[0],
            "shares": found.shares,
            "intervals": {name: pair and list(pair) for name, pair in found.intervals.items()},
            "total_sd": found.total_sd if some else None,
            "mean": float(counted.mean()),
            "without": _without(counted, found, plan.study.seeds[0]),
            **of_measure(measure),
            "diverged": diverged,
            "test_samples": plan.shapes[0].test,
            "test_set": (
                None
                if measure.targets
                else _of_test_set(counted, plan.shapes[0].test, found.total_sd)
            ),
            "difference": difference,
            "power": POWER,
            "seeds_needed": needed(difference),
            "seeds_for": {f"{each:g}": needed(each) for each in asked},
        }
        return VarianceOutcome.model_validate(outcome).model_dump(mode="json")

    def write(self, run: Run, plan: Plan, results: StudyResults) -> None:
        report = variance.Report.of(results)
        for name, table in variance.tables(report).items():
            write_table(run, name, table)
        for name, draw in variance.drawings(report).items():
            plots.write_figure(run, f"{plots.FOLDER}/{name}", draw)


def _option(config: Config, difference: float | None) -> float | None:
    """Return the difference as an option; None of regression is relative to the error."""
    if difference is None:
        return None if config.data.is_regression else DIFFERENCE
    return float(difference)


def _difference(wanted: float | None, mean: float) -> float:
    """Return the difference for which seeds are counted: the wanted one, or a relative one."""
    if wanted is not None:
        return wanted
    return float(f"{RELATIVE * mean:.0e}") if mean > 0 else 1.0


def _asked(study: Study) -> tuple[Crossing, float | None]:
    """Return what is crossed, and the difference for which seeds are counted.

    Raises:
        ArtefactError: a study.json that minifw never wrote.

    """
    difference = study.options.get("difference", 0.0)
    fits = difference is None or (isinstance(difference, float) and 0 < difference < math.inf)
    if study.crossing is None or not fits:
        raise ArtefactError(f"{STUDY}: a study of variance needs a crossing and a difference")
    return study.crossing, difference


def _without(errors: Floats, found: Components, first: int) -> dict[str, object] | None:
    """Return what is found without the seed that is farthest from the others.

    It is of the purpose with the largest share. One seed of ten may make most of a share, and the
    intervals, which take effects as normal, do not show it.
    """
    part = max(COUNTS, key=lambda name: found.shares[name] or 0)
    axis = [*COUNTS].index(part)
    if errors.shape[axis] < 4 or not found.shares[part]:
        return None
    means = np.moveaxis(errors, axis, 0).reshape(errors.shape[axis], -1).mean(1)
    far = int(np.abs(means - np.median(means)).argmax())
    left = components(np.delete(errors, far, axis))
    share = left.shares[part]
    return {"part": part, "seed": first + far, "share": share, "total_sd": left.total_sd}


def _of_test_set(errors: Floats, samples: int, total_sd: float) -> float | None:
    """Return the share of the variance that is expected from the finite test set alone.

    A network that is wrong with probability p has p (1 - p) / n as variance of its error on n
    samples (binomial); e (1 - e) / (n - 1) of a measured error e has this as its mean.
    """
    if samples < 2 or total_sd == 0:
        return None
    wrong = errors / 100
    expected = float((wrong * (1 - wrong)).mean()) / (samples - 1)
    return expected * 100**2 / total_sd**2
