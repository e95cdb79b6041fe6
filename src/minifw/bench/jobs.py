"""Whole jobs side by side: processes from their start to their end, with all that users wait for.

A job of minifw is `minifw train`: imports, compiling, training, tables, figures. It is timed with
an empty cache of compiled steps and with a full one. JAX's job is the program `jax_job.py`, which
keeps nothing between its runs. Jobs are interleaved, so that other load affects all alike.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from minifw.bench.measure import spread
from minifw.config import loading
from minifw.config.packaged import packaged_config
from minifw.errors import CheckError
from minifw.experiment import ShowProgress
from minifw.report.tables import Cell, Table
from minifw.system.environment import environment

CONFIGS, SEEDS = ("simplenet-sgd", "simplenet"), 20
EMPTY, FULL, JAX = "minifw, empty cache", "minifw, full cache", "JAX"
APART = 4
"""How many standard errors the median errors of two arms may be apart."""


@dataclass(frozen=True)
class Job:
    """A config that is trained from beginning to end, over some seeds."""

    config: str
    seeds: int
    epochs: int | None = None
    """None: those of the config."""

    def command(self, arm: str, out: Path) -> list[str]:
        """Return the command of an arm; it leaves its results in the folder `out`."""
        path = packaged_config(self.config)
        given = [] if self.epochs is None else [f"train.epochs={self.epochs}"]
        train = loading.load(path, given).train
        python = [sys.executable, "-P"]  # not the modules of the current folder
        seeds = ["--seeds", str(self.seeds)]
        if arm == JAX:
            script = Path(__file__).parent / "jax_job.py"
            batch = ["--batch", str(train.batch_size)] if train.mode == "sgd" else []
            times = ["--epochs", str(train.epochs), "--eval-every", str(train.eval_every)]
            return [*python, str(script), *seeds, *batch, *times, "--out", str(out)]
        return [
            *python, "-m", "minifw", "train", str(path), *seeds,
            *(word for value in given for word in ("--set", value)),
            "--threads", str(torch.get_num_threads()), "--runs-dir", str(out), "--quiet", "--json",
        ]  # fmt: skip


@dataclass(frozen=True)
class Done:
    """A job that ended: its time, that of all its threads, and the test errors in percent."""

    seconds: float
    cpu_seconds: float
    test_error: list[float | None]
    compiled: bool | None = None


def present() -> tuple[list[str], dict[str, str]]:
    """Return the arms that can run here, and the reason for each that cannot."""
    if find_spec("jax") is not None:
        return [EMPTY, FULL, JAX], {}
    return [EMPTY, FULL], {JAX: "it is not installed (`pip install jax`, the extra `bench`)"}


def run(
    jobs: Sequence[Job], arms: Sequence[str], *, rounds: int, show_progress: ShowProgress
) -> dict[str, Any]:
    """Run every job `rounds` times in each arm, and return all figures.

    Raises:
        CheckError: a process failed, or two arms do not end with the same kind of errors.

    """
    done: dict[Job, dict[str, list[Done]]] = {job: {arm: [] for arm in arms} for job in jobs}
    total = (rounds + 1) * len(jobs)
    with tempfile.TemporaryDirectory() as scratch, show_progress("jobs", total) as progress:
        folder = Path(scratch)
        for number in range(rounds + 1):
            for position, job in enumerate(jobs):
                for arm in arms:
                    cache = "full" if arm == FULL else f"{number}-{job.config}-{arm}"
                    if number == 0 and arm == EMPTY:
                        continue  # the first round fills caches, and is not counted
                    ended = run_process(job, arm, folder, folder / "caches" / cache)
                    if number > 0:
                        done[job][arm].append(ended)
                progress(number * len(jobs) + position + 1, "")
    return {
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "arms": list(arms),
        "jobs": [figures(job, of_arms) for job, of_arms in done.items()],
        **environment(),
    }


def run_process(job: Job, arm: str, folder: Path, cache: Path) -> Done:
    """Run a job as a process of its own, with this folder for its cache.

    `folder` is for the results, and for matplotlib's list of fonts, which all processes share.
    """
    out = folder / "results"
    surroundings = os.environ | {
        "XDG_CACHE_HOME": str(cache),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "MPLBACKEND": "agg",
    }
    before, started = _cpu_seconds(), time.perf_counter()
    ended = subprocess.run(
        job.command(arm, out), env=surroundings, stdin=subprocess.DEVNULL, capture_output=True
    )
    seconds, cpu = time.perf_counter() - started, _cpu_seconds() - before
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CheckError(f"bench {job.config}: {arm} ended with code {ended.returncode}: {said}")
    if arm == JAX:
        results = json.loads((out / "results.json").read_text())
        return Done(seconds, cpu, results["test_error"][-1])
    answer = json.loads(ended.stdout)
    results = json.loads((Path(answer["run_dir"]) / "results.json").read_text())
    compiled = results["modes"][answer["mode"]]["minifw"]["compiled"]
    return Done(seconds, cpu, answer["test_error"], compiled)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(job: Job, done: Mapping[str, Sequence[Done]]) -> dict[str, Any]:
    """Return the figures of a job's rounds in each arm.

    Raises:
        CheckError: JAX does not end with errors like minifw's.

    """
    errors = {arm: _left(of_arm[-1].test_error) for arm, of_arm in done.items()}
    if JAX in done:
        check_alike(job, errors[FULL], errors[JAX])
    return {
        "config": job.config,
        "seeds": job.seeds,
        "epochs": job.epochs,
        "compiled": done[FULL][-1].compiled,
        "seconds": {arm: spread([x.seconds for x in of]) for arm, of in done.items()},
        "cpu_seconds": {arm: spread([x.cpu_seconds for x in of]) for arm, of in done.items()},
        "ratio": {
            arm: spread([x.seconds / y.seconds for x, y in zip(of, done[JAX], strict=True)])
            for arm, of in done.items()
            if JAX in done and arm != JAX
        },
        "median_test_error": {arm: median(values) for arm, values in errors.items()},
    }


def _left(errors: Sequence[float | None]) -> list[float]:
    """Return the errors of the seeds that have not diverged."""
    return [error for error in errors if error is not None and math.isfinite(error)]


def check_alike(job: Job, ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Raise a CheckError if two medians over seeds are further apart than chance explains.

    Each arm draws its own samples and weights. A median's standard error is that of a normal
    distribution with the same quartiles, and at least that of one sample in a thousand.
    """
    errors = []
    for values in (ours, theirs):
        low, high = np.percentile(values, [25, 75])
        errors.append(1.2533 * max((high - low) / 1.349, 0.1) / math.sqrt(len(values)))
    apart, most = abs(median(ours) - median(theirs)), APART * math.hypot(*errors)
    if apart > most:
        raise CheckError(
            f"bench {job.config}: minifw and JAX must end with the same errors; the medians of the "
            f"test error, {median(ours):.2f} and {median(theirs):.2f} %, may differ by {most:.2f}"
        )


def table(results: dict[str, Any]) -> Table:
    """Return the results as a table: seconds of each arm, and minifw's as a part of JAX's."""
    arms, threads = results["arms"], results["threads"]
    rows: list[tuple[str, list[Cell]]] = []
    for job in results["jobs"]:
        cells: list[Cell] = [f"{job['seconds'][arm]['median']:.2f}" for arm in arms]
        cells += [f"{part['median']:.2f}" for part in job["ratio"].values()]
        rows.append((job["config"], cells))
    seeds = results["jobs"][0]["seeds"]
    caption = (
        f"A whole process with {seeds} seeds, seconds, and minifw's as a part of JAX's: medians of "
        f"{results['rounds']} interleaved rounds, {threads} thread{'s' if threads > 1 else ''}."
    )
    parts = [f"{arm.removeprefix('minifw, ')} / JAX" for arm in results["jobs"][0]["ratio"]]
    return Table(caption, ["job", *arms, *parts], rows)
