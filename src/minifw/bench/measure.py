"""The benchmark: compares a training step of minifw with that of its peers.

All arms train the same networks on the same samples in the same order, from the same weights, and
must end with the same weights before they are timed. Rounds are interleaved (A B C A B C …), so
that other load on the machine affects all arms alike.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from minifw import experiment
from minifw.bench.arms import ARMS, Arm, Problem, Regime, problem, simplenet
from minifw.errors import CheckError, UsageError
from minifw.experiment import ShowProgress, plan
from minifw.report import plots
from minifw.report.tables import Cell, Table
from minifw.runs import Files
from minifw.system.environment import environment

REGIMES = [
    *(Regime(s, b) for s in (1, 20, 100) for b in (1, 40, 1000)),
    *(Regime(20, 40, width) for width in (128, 512)),
]
QUICK = [Regime(1, 1), Regime(20, 40)]

# For the growth of cost one size changes; the others are those of 20 x 40.
SCALING = {
    "seeds": [Regime(seeds, 40) for seeds in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)],
    "batch": [Regime(20, batch) for batch in (1, 4, 10, 40, 100, 400, 1000, 4000)],
    "width": [Regime(20, 40, width) for width in (25, 50, 100, 200, 512)],
    "depth": [Regime(20, 40, 25, depth) for depth in (1, 2, 3, 5, 10)],
}
SCALING_EPOCHS = (1, 10, 100, 1000)

SAME, SAME_IN_EVERY_SEED = 1e-3, 0.1  # bounds for differences of weights, see `_same_weights`
PEAK = 1024  # rows and columns of the matrices whose product gives the machine's peak


# ---------------------------------------------------------------------------------------- timing


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Within this block the process, and so every arm, has `count` processors.

    JAX has no other setting, and keeps the number from its start: use one block per process.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if processors:
        os.sched_setaffinity(0, sorted(processors)[:count])
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if processors:
            os.sched_setaffinity(0, processors)


def run(
    base: Path,
    regimes: Sequence[Regime],
    arms: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    show_progress: ShowProgress,
) -> dict[str, Any]:
    """Time a step of each arm in each regime, and return all figures.

    Args:
        base: the packaged config of SimpleNet.
        regimes: the sizes.
        arms: names from `ARMS`; times are divided by those of the first.
        rounds: how often each arm is timed.
        seconds: about how long an arm trains in a round; at least one epoch.
        show_progress: called after each round.

    Raises:
        CheckError: two arms end with different weights.

    """
    measured = []
    for regime in regimes:
        with show_progress(f"{regime}", rounds) as progress:
            progress(0, "compiling, and comparing weights")
            measured.append(_measure(base, regime, arms, rounds, seconds, progress))
    return {
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "seconds_a_round": seconds,
        "arms": list(arms),
        "regimes": measured,
        **environment(),
    }


def _measure(
    base: Path,
    regime: Regime,
    names: Sequence[str],
    rounds: int,
    seconds: float,
    progress: Callable[[int, str], None],
) -> dict[str, Any]:
    given = regime.problem(base)
    arms = {name: regime.arms[name](given) for name in names}
    for arm in arms.values():
        done = 0.0
        while done < 1 - 1e-9:
            _, part = arm.train(1)
            done += part
    difference = _same_weights(given, arms)
    repeats = {name: max(1, round(seconds / arm.train(1)[0])) for name, arm in arms.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    peaks = []
    for number in range(rounds):
        for name, arm in arms.items():
            spent, epochs = arm.train(repeats[name])
            times[name].append(spent / (epochs * regime.steps))
        peaks.append(_peak(seconds / 4))
        progress(number + 1, "")
    first = times[names[0]]
    speed = [regime.flops / spent for spent in first]
    return {
        "network": regime.network,
        "seeds": regime.seeds,
        "batch": regime.batch,
        "width": regime.width,
        "depth": regime.depth,
        "steps": regime.steps,
        "weight_difference": difference,
        "microseconds": {name: spread([t * 1e6 for t in taken]) for name, taken in times.items()},
        "ratio": {
            name: spread([theirs / ours for theirs, ours in zip(times[name], first, strict=True)])
            for name in names[1:]
        },
        "gflops": median(speed) / 1e9,
        "peak_gflops": median(peaks) / 1e9,
        "part_of_peak": median(s / peak for s, peak in zip(speed, peaks, strict=True)),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and largest of the rounds."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def _same_weights(given: Problem, arms: dict[str, Arm]) -> float:
    """Return the difference of two arms after one epoch: the worst parameter's median over seeds.

    For each seed it is the norm of the parameter's difference divided by the norm of its change in
    training. A step that is wrong by a factor of 1.01 gives 0.01 in all seeds. Rounding in float32
    usually gives much less, but more in single seeds in which a ReLU switches differently. Hence
    one bound for the median and one for every seed (docs/decisions.md).
    """
    start = given.network().parameters()
    (first, expected), *others = ((name, arm.weights()) for name, arm in arms.items())
    largest = 0.0
    for name, found in others:
        for a, b, (parameter, before, _) in zip(expected, found, start, strict=True):
            difference = (a - b).flatten(1).norm(dim=1)
            way = (a - before).flatten(1).norm(dim=1)
            apart = torch.where(difference == 0, 0.0, difference / way)  # a seed may not change
            typical, worst = float(apart.median()), float(apart.max())
            if not (typical < SAME and worst < SAME_IN_EVERY_SEED):
                raise CheckError(
                    f"bench {given.regime}: {first} and {name} must end with the same weights; "
                    f"{parameter} differs by {typical:.2%} of its change in training (median over "
                    f"seeds; at most {worst:.2%})"
                )
            largest = max(largest, typical)
    return largest


def _peak(seconds: float) -> float:
    """Return the additions and multiplications per second of a large matrix product.

    It is the quickest of several, since threads of earlier work may slow the others; and the
    quicker of torch's and NumPy's library, since either may not know the processor.
    """
    left, right, result = (torch.rand(PEAK, PEAK) for _ in range(3))
    by_torch = partial(torch.mm, left, right, out=result)
    by_numpy = partial(np.matmul, left.numpy(), right.numpy(), out=result.numpy())
    quickest = math.inf
    for product in (by_numpy, by_torch):
        product()
        ends = time.perf_counter() + seconds / 2
        while (started := time.perf_counter()) < ends:
            product()
            quickest = min(quickest, time.perf_counter() - started)
    return 2 * PEAK**3 / quickest


# --------------------------------------------------------------------------------------- growth


def run_scaling(
    base: Path,
    arms: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    show_progress: ShowProgress,
) -> dict[str, Any]:
    """Measure how time and memory grow with seeds, batch, width, depth and epochs.

    Arguments as for `run`. PyTorch's loop is left out: its time is proportional to the seeds.
    """
    arms = [name for name in arms if name != "PyTorch"]
    sizes = list(dict.fromkeys(regime for group in SCALING.values() for regime in group))
    results = run(base, sizes, arms, rounds=rounds, seconds=seconds, show_progress=show_progress)
    measured = dict(zip(sizes, results.pop("regimes"), strict=True))
    results["growth"] = {
        name: [measured[regime] for regime in group] for name, group in SCALING.items()
    }
    ways = [name for name in arms if name.startswith("minifw")]
    with show_progress("memory", len(SCALING["seeds"])) as progress:
        results["memory"] = []
        for number, regime in enumerate(SCALING["seeds"]):
            full_batch = Regime(regime.seeds, 1000)
            peaks = {
                # The first time a library may be compiled, which takes longer than training.
                name: min(_in_new_process(_memory, base, full_batch, name) for _ in range(2))
                for name in ways
            }
            results["memory"].append({"seeds": regime.seeds, "batch": 1000, "megabytes": peaks})
            progress(number + 1, "")
    with show_progress("epochs", len(SCALING_EPOCHS)) as progress:
        results["epochs"] = []
        for number, epochs in enumerate(SCALING_EPOCHS):
            taken = {name: _in_new_process(_whole_run, base, epochs, name) for name in ways}
            results["epochs"].append({"epochs": epochs, "seconds": taken})
            progress(number + 1, "")
    return results


def _in_new_process(function: Callable[..., float], *arguments: Any) -> float:
    """Return the result of `function` in a new Python process."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(function, torch.get_num_threads(), *arguments).result()


def _memory(threads: int, base: Path, regime: Regime, name: str) -> float:
    """Return the peak memory of training in units of 2^20 bytes, without samples and code."""
    torch.set_num_threads(threads)
    given = problem(base, regime)
    arm = ARMS[name](given)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    arm.train(1)
    return (_status("VmHWM") - before) / 2**10


def _status(key: str) -> int:
    """Return an entry of this process's status, in KiB (Linux only)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def _whole_run(threads: int, base: Path, epochs: int, name: str) -> float:
    """Return the seconds from building the network to the last evaluation, 20 seeds, batches of 40.

    Compiled steps use a library from an earlier run; compiling it is not included.
    """
    torch.set_num_threads(threads)
    compile_ = "true" if name == "minifw" else "false"
    config = simplenet(
        base, "seeds=20", "data={kind: disk, train: 1000, test: 1000}", "train.batch_size=40",
        f"train.epochs={epochs}", f"train.compile={compile_}",
    )  # fmt: skip
    built = plan.build(config, 1, ["sgd"])
    if name == "minifw":
        warm = config.train.model_copy(update={"epochs": 1})
        first = plan.build(config.model_copy(update={"train": warm}), 1, ["sgd"])
        experiment.train_minifw(first, "sgd", lambda done, text: None)
    started = time.perf_counter()
    experiment.train_minifw(built, "sgd", lambda done, text: None)
    return time.perf_counter() - started


# --------------------------------------------------------------------------------------- results


def table(results: dict[str, Any]) -> Table:
    """Return the results as a table: microseconds, and the ratios of the other arms' times."""
    ours, *others = results["arms"]
    what = "" if (sized := results["regimes"][0]["network"] == "SimpleNet") else "LeNet in "
    rows: list[tuple[str, list[Cell]]] = []
    for regime in results["regimes"]:
        name = f"{regime['seeds']} × {regime['batch']}"
        if sized:
            name += f" × {regime['width']}"
        cells: list[Cell] = [_digits(regime["microseconds"][ours]["median"])]
        cells += [f"{_digits(regime['ratio'][other]['median'])}×" for other in others]
        cells += [_digits(regime["gflops"]), f"{100 * regime['part_of_peak']:.0f} %"]
        rows.append((name, cells))
    threads = results["threads"]
    caption = (
        f"A training step of {what}{ours}, and how many times as long the others take: medians of "
        f"{results['rounds']} interleaved rounds, {threads} thread{'s' if threads > 1 else ''}."
    )
    head = [
        "seeds × batch × width" if sized else "seeds × batch",
        f"{ours}, µs",
        *others,
        "GFLOP/s",
        "of peak",
    ]
    return Table(caption, head, rows)


def _digits(value: float) -> str:
    """Return a number to three digits, or to all digits before the point if these are more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def write(results: dict[str, Any], made: Table | None, folder: Path, name: str) -> Path:
    """Write the results as JSON and as a table, or without one as a figure of growth.

    Return the path of the table or figure.
    """
    files = Files(folder)
    files.write_json(f"{name}.json", results)
    if made is None:
        ending = "svg" if plots.write_scaling(files, name) else "json"
    else:
        ending = "md"
        files.write(f"{name}.md", made.markdown())
    return folder / f"{name}.{ending}"


def parse(text: str) -> Regime:
    """Return the regime for `20x40` or `20x40x128`.

    Raises:
        UsageError: the text has another form.

    """
    sizes = text.replace(" ", "").split("x")
    if len(sizes) not in (2, 3) or not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise UsageError(
            f"--regime: must be SEEDSxBATCH or SEEDSxBATCHxWIDTH, as 20x40, got '{text}'"
        )
    return Regime(*map(int, sizes))
