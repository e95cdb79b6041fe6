"""Whether intervals cover and tests err as often as they say, by simulated experiments.

    python -m campaigns.statistics [--experiments 5000]

Prints Markdown tables, those of docs/statistics.md. Ends with 1 if a figure that the page calls
right is wrong by more than chance.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minifw.statistics.intervals import Statistic, interval
from minifw.statistics.paired import compare

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]

NUMBERS = (5, 10, 20)
STEP = 0.5


@dataclass(frozen=True)
class Kind:
    """A distribution with standard deviation 1, but for `tied`, that is 1 before it is rounded."""

    draw: Draw
    mean: float
    median: float


KINDS = {
    "normal": Kind(lambda rng, n: rng.normal(size=n), 0, 0),
    "exponential": Kind(lambda rng, n: rng.exponential(size=n), 1, math.log(2)),
    "lognormal": Kind(lambda rng, n: rng.lognormal(size=n), math.exp(0.5), 1),
    "tied": Kind(lambda rng, n: np.round(rng.normal(0.3, 1, size=n) / STEP) * STEP, 0.3, STEP),
}


def coverage(kind: str, statistic: Statistic, n: int, experiments: int) -> float:
    """Return how often the 95 % interval holds the true value."""
    rng, of, held = np.random.default_rng(1), KINDS[kind], 0
    truth = of.mean if statistic == "mean" else of.median
    for _ in range(experiments):
        found = interval(of.draw(rng, n), statistic)
        assert found is not None
        held += found[0] <= truth <= found[1]
    return held / experiments


def pairs(kind: str, n: int, experiments: int) -> dict[str, float]:
    """Return how often each conclusion is drawn from differences of this kind, less their mean."""
    rng, of = np.random.default_rng(2), KINDS[kind]
    found = dict.fromkeys(("size", "power", "wrongly the same", "rightly the same"), 0)
    zeros = np.zeros(n)
    for _ in range(experiments):
        noise = of.draw(rng, n) - of.mean
        found["size"] += compare(noise, zeros).p <= 0.05
        found["power"] += compare(noise + 1, zeros).p <= 0.05
        found["wrongly the same"] += bool(compare(noise + 1, zeros, margin=1).equivalent)
        found["rightly the same"] += bool(compare(noise, zeros, margin=1).equivalent)
    return {name: count / experiments for name, count in found.items()}


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--experiments", type=int, default=5000)
    experiments = parser.parse_args().experiments

    def covered() -> Iterator[Sequence[str]]:
        for kind in KINDS:
            for statistic in ("mean", "median"):
                shares = (coverage(kind, statistic, n, experiments) for n in NUMBERS)  # type: ignore[arg-type]
                yield [f"{kind}, {statistic}", *(f"{100 * share:.1f} %" for share in shares)]

    print(table(["95 % interval of", *(f"n = {n}" for n in NUMBERS)], covered()), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
