"""Successive halving: all cells train for a while, the better ones go on, and so forth.

Jamieson and Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter
optimization", algorithm 1: there are no more rungs than the number of cells needs, so the last
cells are compared at the end of their training. All cells have the same seeds, so a rung compares
like with like. A cell that goes on has the bits of an unbroken training.
"""

from __future__ import annotations

from minifw.config.model import Config
from minifw.statistics.selection import rank
from minifw.study.lanes import Lane
from minifw.study.planning import Plan
from minifw.study.rounds import Found, Round, Rounds


def rungs(config: Config, factor: int, cells: int) -> list[int]:
    """Return the epochs after which cells are compared, the last of which is that of the config.

    Each is `factor` times the one before, rounded up to an epoch that is evaluated anyway. Cells
    are stopped at least once, and until at most `factor` of them are left for the last rung.
    """
    epochs, every = config.train.epochs, config.train.eval_every
    found, left = [epochs], cells
    while left > factor or (left > 1 and len(found) == 1):
        before = -(-found[0] // (factor * every)) * every
        if before >= found[0]:
            break
        found.insert(0, before)
        left = -(-left // factor)
    return found


def rounds(plan: Plan, pieces: int, factor: int) -> Rounds:
    """Yield a round for each rung; after it, the best 1/`factor` of the cells are left.

    Configs may train for different numbers of epochs: each has its own rungs, and all have as many
    as the one with the fewest.
    """
    steps = {cell: rungs(each, factor, len(plan.configs)) for cell, each in enumerate(plan.configs)}
    count = min(map(len, steps.values()))
    lanes, found = plan.lanes, None
    for place in range(-count, 0):
        ends = {cell: epochs[place] for cell, epochs in steps.items()}
        jobs = plan.jobs(
            lanes,
            pieces=pieces,
            label="" if count == 1 else f"rung-{count + place + 1}.",
            until=ends,
            begun=None if found is None else found.latest,
            keeps=place < -1,
        )
        found = yield Round(plan, jobs)
        if place < -1:
            left = best(found, lanes, factor)
            lanes = [lane for lane in lanes if lane.cell in left]


def best(found: Found, lanes: list[Lane], factor: int) -> set[int]:
    """Return the best 1/`factor` of the cells, by their validation errors; at least one."""
    errors: dict[int, list[float]] = {}
    for lane in lanes:
        result, position = found.of(lane)
        errors.setdefault(lane.cell, []).append(result.history.final("validation_error")[position])
    ranks = rank([*errors.values()])
    keep = -(-len(errors) // factor)
    return {cell for _, cell in sorted(zip(ranks, errors, strict=True))[:keep]}
