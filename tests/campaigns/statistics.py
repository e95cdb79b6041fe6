"""Whether intervals cover and tests err as often as they say, by simulated experiments.

    python -m campaigns.statistics [--experiments 5000]

Prints the tables of docs/statistics.md in Markdown; it takes some minutes. Ends with 1 if the test of no
difference errs more often than at its level.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minifw.statistics.components import PARTS, Components, components
from minifw.statistics.intervals import Statistic, interval
from minifw.statistics.paired import sign_flip, student, wilson
from minifw.statistics.selection import optimism

Floats = NDArray[np.float64]

NUMBERS = (5, 10, 20)
STATISTICS: tuple[Statistic, ...] = ("mean", "median")
STEP = 0.5


@dataclass(frozen=True)
class Kind:
    """A distribution of errors, `draw(rng, n)`, and what is true of it."""

    draw: Callable[[np.random.Generator, int], Floats]
    mean: float
    median: float
    sd: float = 1.0


KINDS = {
    "normal": Kind(lambda rng, n: rng.normal(size=n), 0, 0),
    "exponential": Kind(lambda rng, n: rng.exponential(size=n), 1, math.log(2)),
    "lognormal": Kind(
        lambda rng, n: rng.lognormal(size=n), math.exp(0.5), 1, math.sqrt(math.e**2 - math.e)
    ),
    # Twice its step: as few different errors as a small test set gives.
    "tied": Kind(
        lambda rng, n: np.round(rng.normal(0.3, 1, size=n) / STEP) * STEP,
        0.3, STEP, math.sqrt(1 + STEP**2 / 12),
    ),
}  # fmt: skip


def coverage(kind: str, statistic: Statistic, n: int, experiments: int, seed: int = 0) -> float:
    """Return how often the 95 % interval of n errors holds the true value."""
    rng, of, held = np.random.default_rng(seed), KINDS[kind], 0
    truth = of.mean if statistic == "mean" else of.median
    for _ in range(experiments):
        found = interval(of.draw(rng, n), statistic)
        assert found is not None
        held += found[0] <= truth <= found[1]
    return held / experiments


CONCLUSIONS = ("wrong difference", "right difference", "wrongly the same", "rightly the same")


def conclusions(kind: str, n: int, experiments: int, seed: int = 0) -> dict[str, float]:
    """Return how often each conclusion is drawn at 5 % from two arms of n errors of this kind.

    A difference is one of the errors' standard deviation, or none; the margin is as large. With
    "one arm exponential" the other one always has the same error.
    """
    rng, count = np.random.default_rng(seed), dict.fromkeys(CONCLUSIONS, 0)
    one = kind.startswith("one arm ")
    of = KINDS[kind.removeprefix("one arm ")]
    for _ in range(experiments):
        noise = of.draw(rng, n) - (of.mean if one else of.draw(rng, n))
        apart = noise + of.sd
        count["wrong difference"] += sign_flip(noise)[0] <= 0.05
        count["right difference"] += sign_flip(apart)[0] <= 0.05
        count["wrongly the same"] += _inside(student(apart, 0.9), of.sd)
        count["rightly the same"] += _inside(student(noise, 0.9), of.sd)
    return {name: number / experiments for name, number in count.items()}


def _inside(found: tuple[float, float] | None, margin: float) -> bool:
    return found is not None and -margin < found[0] and found[1] < margin


def improvement(kind: str, n: int, experiments: int, seed: int = 0) -> float:
    """Return how often the interval of the probability of improvement holds the true one."""
    rng, of, held = np.random.default_rng(seed), KINDS[kind], 0

    def score(pairs: int) -> float:
        differences = of.draw(rng, pairs) - of.draw(rng, pairs) - STEP
        return float(((differences < 0) + (differences == 0) / 2).mean())

    truth = score(2_000_000)
    for _ in range(experiments):
        low, high = wilson(score(n), n)
        held += low <= truth <= high
    return held / experiments


EFFECTS = {"data": 0.7, "init": 0.4, "order": 0.3, "interaction": 0.6}
"""Standard deviations; that of the interaction is in a part of data and init, and in a rest."""


def crossed(kind: str, levels: Sequence[int], rng: np.random.Generator) -> Floats:
    """Return errors (data, init, order) with random effects of this kind."""
    of = KINDS[kind]

    def effect(sd: float, *shape: int) -> Floats:
        return sd * (of.draw(rng, math.prod(shape)).reshape(shape) - of.mean) / of.sd

    a, b, c = levels
    half = EFFECTS["interaction"] / math.sqrt(2)
    return (
        effect(EFFECTS["data"], a, 1, 1) + effect(EFFECTS["init"], 1, b, 1)
        + effect(EFFECTS["order"], 1, 1, c) + effect(half, a, b, 1) + effect(half, a, b, c)
    )  # fmt: skip


def shares(kind: str, levels: Sequence[int], experiments: int, seed: int = 0) -> dict[str, float]:
    """Return how often the 95 % interval of each share holds the true one."""
    rng = np.random.default_rng(seed)
    found = [components(crossed(kind, levels, rng)) for _ in range(experiments)]
    result = {}
    for part in PARTS:
        truth = EFFECTS[part] ** 2 / sum(sd**2 for sd in EFFECTS.values())
        held = 0
        for each in found:
            low, high = each.intervals[part] or (math.nan, math.nan)
            held += low <= truth <= high
        result[part] = held / experiments
    return result


def power(difference: float, experiments: int, seed: int = 0) -> tuple[int, float]:
    """Return the seeds said to be needed for 80 % power, and how often they show the difference.

    Errors are normal with standard deviation 1.
    """
    rng = np.random.default_rng(seed)
    n = Components({}, {}, 1.0, {}, 0).seeds_needed(difference)
    noise = rng.normal(size=(2, experiments, n))
    shown = [sign_flip(each)[0] <= 0.05 for each in noise[0] - noise[1] + difference]
    return n, sum(shown) / experiments


def luck(cells: int, spread: float, n: int, experiments: int, seed: int = 0) -> tuple[float, float]:
    """Return by how much winners looked better than they were, and by how much it was said.

    Errors are normal with standard deviation 1, the cells' true errors with `spread`.
    """
    rng, true, said = np.random.default_rng(seed), 0.0, 0.0
    for _ in range(experiments):
        truth = spread * rng.normal(size=(cells, 1))
        errors = truth + rng.normal(size=(cells, n))
        medians = np.median(errors, 1)
        winner = medians.argmin()
        true += truth[winner, 0] - medians[winner]
        found = optimism(errors.tolist(), halves=200)
        assert found is not None
        said += found.optimism
    return true / experiments, said / experiments


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> int:
    """Print all tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--experiments", type=int, default=5000)
    times = parser.parse_args().experiments
    numbers = [f"n = {n}" for n in NUMBERS]
    print(
        table(
            ["95 % interval holds the true", *numbers],
            (
                [f"{statistic}, {kind}"]
                + [percent(coverage(kind, statistic, n, times)) for n in NUMBERS]
                for statistic in STATISTICS
                for kind in KINDS
            ),
        ),
        flush=True,
    )
    drawn = {
        (kind, n): conclusions(kind, n, times)
        for kind in (*KINDS, "one arm exponential")
        for n in NUMBERS
    }
    print()
    print(
        table(
            ["concluded at 5 %", *CONCLUSIONS],
            (
                [f"{kind}, n = {n}", *(percent(found[what]) for what in CONCLUSIONS)]
                for (kind, n), found in drawn.items()
            ),
        ),
        flush=True,
    )
    print()
    print(
        table(
            ["95 % interval of the probability of improvement", *numbers],
            ([kind, *(percent(improvement(kind, n, times)) for n in NUMBERS)] for kind in KINDS),
        ),
        flush=True,
    )
    print()
    print(
        table(
            ["95 % interval of a share", *PARTS],
            (
                [f"{kind}, {' × '.join(map(str, levels))}"]
                + [percent(held) for held in shares(kind, levels, times).values()]
                for kind in ("normal", "exponential")
                for levels in ((5, 5, 5), (10, 10, 5), (20, 20, 10))
            ),
        ),
        flush=True,
    )
    print()
    print(
        table(
            ["difference / standard deviation", "seeds needed", "power"],
            (
                [f"{difference:g}", f"{n}", percent(reached)]
                for difference in (0.8, 1.0, 1.5, 2.0)
                for n, reached in [power(difference, times)]
            ),
        ),
        flush=True,
    )
    print()
    print(
        table(
            ["cells", "spread of true errors", "seeds", "optimism", "as estimated"],
            (
                [f"{cells}", f"{spread:g}", f"{n}", *(f"{figure:.2f}" for figure in figures)]
                for cells in (2, 10, 50)
                for spread in (0.0, 0.3)
                for n in (10, 20)
                for figures in [luck(cells, spread, n, times // 5)]
            ),
        ),
        flush=True,
    )
    bound = 0.05 + 3 * math.sqrt(0.05 * 0.95 / times)
    return int(any(drawn[kind, n]["wrong difference"] > bound for kind in KINDS for n in NUMBERS))


if __name__ == "__main__":
    raise SystemExit(main())
