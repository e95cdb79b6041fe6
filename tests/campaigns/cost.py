"""What checkpoints cost: `simplenet` trained with one every 50 epochs and with none, in turns.

    python -m campaigns.cost --rounds 21

The time is that of training with its evaluations, from the first epoch to the last checkpoint.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minifw import experiment
from minifw.config import loading
from minifw.config.packaged import PACKAGED
from minifw.experiment.plan import plan as make_plan


def seconds(seeds: int, every: int) -> float:
    """Return what training takes, as a run in a directory of its own."""
    overrides = [f"seeds={seeds}", f"train.checkpoint_every={every}"]
    given = loading.load(PACKAGED / "simplenet.yaml", overrides)
    plan = make_plan(given, seeds, ["full-batch"])
    took = 0.0

    @contextmanager
    def clock(label: str, total: int) -> Iterator[experiment.Progress]:
        nonlocal took
        started = time.perf_counter()
        yield lambda done, text: None
        took = time.perf_counter() - started

    with tempfile.TemporaryDirectory(prefix="minifw-cost-") as folder:
        experiment.start(plan, Path(folder), clock)
    return took


def main() -> int:
    """Print the cost for 1 and for 20 seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    for seeds in (1, 20):
        seconds(seeds, 50)
        pairs = [(seconds(seeds, 50), seconds(seeds, 10**9)) for _ in range(given.rounds)]
        ratios = sorted(100 * (kept / bare - 1) for kept, bare in pairs)
        quarter = len(ratios) // 4
        print(
            f"simplenet, {seeds} seed(s), 1000 epochs: a checkpoint every 50 epochs costs "
            f"{statistics.median(ratios):.1f} % (median of {given.rounds} pairs, quartiles "
            f"{ratios[quarter]:.1f} to {ratios[-1 - quarter]:.1f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
