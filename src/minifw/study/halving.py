"""Successive halving: all cells train for a while, the better ones go on, and so forth.

Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
optimization". All cells have the same seeds, so a rung compares like with like. A cell that goes on
has the bits of an unbroken training.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from minifw.config.model import Config
from minifw.statistics.selection import rank
from minifw.study.lanes import Lane
from minifw.study.planning import Plan
from minifw.study.rounds import Found, Round, Rounds


def rungs(config: Config, factor: int) -> list[int]:
    """Return the epochs after which cells are compared, the last of which is that of the config.

    Each is `factor` times the one before, rounded up to an epoch that is evaluated anyway.
    """
    epochs, every = config.train.epochs, config.train.eval_every
    found = [epochs]
    while (before := -(-found[0] // (factor * every)) * every) < found[0]:
        found.insert(0, before)
        if before == every:
            break
    return found


def rounds(plan: Plan, pieces: int, factor: int) -> Rounds:
    """Yield a round for each rung; after it, the best 1/`factor` of the cells are left.

    Configs may train for different numbers of epochs: each has its own rungs, and all have as many
    as the one with the fewest.
    """
    steps = {cell: rungs(config, factor) for cell, config in enumerate(plan.configs)}
    count = min(map(len, steps.values()))
    lanes, found = plan.lanes, None
    for number in range(count):
        last = number == count - 1
        jobs = plan.jobs(
            lanes,
            pieces=pieces,
            label="" if last and number == 0 else f"rung-{number + 1}.",
            until=partial(_rung, factor, number - count),
            begun=None if found is None else found.latest,
            keeps=not last,
        )
        found = yield Round(plan, jobs)
        if not last:
            left = best(found, lanes, factor)
            lanes = [lane for lane in lanes if lane.cell in left]


def _rung(factor: int, place: int, config: Config) -> int:
    return rungs(config, factor)[place]


def best(found: Found, lanes: list[Lane], factor: int) -> set[int]:
    """Return the best 1/`factor` of the cells, by their validation errors; at least one."""
    cells = [*dict.fromkeys(lane.cell for lane in lanes)]
    ranks = rank([[*_errors(found, lanes, cell)] for cell in cells])
    keep = -(-len(cells) // factor)
    return {cell for place, cell in sorted(zip(ranks, cells, strict=True))[:keep]}


def _errors(found: Found, lanes: list[Lane], cell: int) -> Iterator[float]:
    for lane in lanes:
        if lane.cell == cell:
            result, position = found.of(lane)
            yield float(result.history.validation_error[-1][position])
