"""Kill `minifw train` and `minifw compare` at random moments by SIGKILL, resume, compare.

    python -m campaigns.kill --kills 200

Each run is killed, resumed, and often killed again while it goes on, until it is complete. Then
all that it computed must have the checksums of a run that was never interrupted, and no file may
be damaged, missing or left over.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from campaigns._processes import hashes, run_of, start, wait
from minifw import runs

SMALL = ("-q", "--set", "data.train=200", "--set", "data.test=100", "--set", "train.eval_every=5")
EVERY = ("--set", "train.checkpoint_every=3")
COMMANDS = {
    "train": ("train", "simplenet", "--seeds", 4, *SMALL, *EVERY, "--set", "train.epochs=400"),
    "train, sgd, momentum": (
        "train", "simplenet-sgd", "--seeds", 3, *SMALL, *EVERY, "--set", "train.epochs=60",
        "--set", "optimizer.momentum=0.9",
    ),
    "train, early stopping": (
        "train", "simplenet-sgd", "--seeds", 6, *SMALL, *EVERY, "--set", "train.epochs=120",
        "--set", "data.validation=0.3", "--set", "train.eval_every=1",
        "--set", "train.early_stopping={patience: 10}", "--set", "train.eta=0.05",
    ),
    "sweep": (        "sweep", "simplenet-sgd", "--seeds", 3, *SMALL, "--set", "train.epochs=40",
        "--over", "train.eta=0.01,0.1", "--over", "optimizer.momentum=0,0.9",
        "--over", "network.0.linear=9,11", "--halving", 2,
        "--set", "data.validation=0.3", "--set", "train.early_stopping={patience: 2}",
    ),
    "compare": ("compare", "--seeds", 3, *SMALL, *EVERY, "--set", "train.epochs=30"),
}  # fmt: skip


def one(
    words: tuple[object, ...], expected: dict[str, str], seconds: float, chance: random.Random
) -> tuple[int, list[str]]:
    """Kill and resume one run until it is complete; return the number of kills, and what is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="minifw-kill-"))
    kills, command = 0, words
    try:
        while True:
            process = start(folder, *command)
            # Most of the time somewhere in the run; now and then a run ends before it is killed.
            time.sleep(chance.uniform(0, 1.05 * seconds))
            os.kill(process, signal.SIGKILL)
            killed = wait(process) == -signal.SIGKILL
            kills += killed
            entries = runs.entries(folder / "runs")
            if not entries:
                continue  # it had not begun: the same command again
            (entry,) = entries
            if entry.run is None:  # killed before its first manifest: nothing to go on with
                shutil.rmtree(entry.path)
                continue
            if entry.status not in ("crashed", "complete"):
                return kills, [f"status {entry.status} after a kill"]
            if entry.status == "complete":
                if kills == 0:
                    shutil.rmtree(entry.path)
                    continue
                break
            command = ("resume", entry.path, "-q")
            if chance.random() < 0.5:
                code = wait(start(folder, *command))
                if code != 0:
                    return kills, [f"resume ended with {code}", (folder / "output").read_text()]
                break
        run = runs.load(run_of(folder))
        wrong = run.faults() + [f"{name}: left over" for name in run.strangers()]
        if hashes(run.path) != expected:
            wrong.append(f"{run.path}: other results than without a kill")
        return kills, wrong
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Run the campaign; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS, help="kill this command alone")
    given = parser.parse_args()
    chance = random.Random(given.seed)

    commands = {given.only: COMMANDS[given.only]} if given.only else COMMANDS
    undisturbed = {}
    for name, words in commands.items():
        folder = Path(tempfile.mkdtemp(prefix="minifw-kill-"))
        started = time.monotonic()
        code = wait(start(folder, *words))
        if code:
            sys.exit(f"{name} ended with {code}:\n{(folder / 'output').read_text()}")
        undisturbed[name] = hashes(run_of(folder)), time.monotonic() - started
        shutil.rmtree(folder)

    kills = completed = 0
    failed: list[str] = []
    names = list(commands)
    while kills < given.kills:
        name = names[(completed + len(failed)) % len(names)]
        more, wrong = one(COMMANDS[name], *undisturbed[name], chance)
        kills += more
        completed += not wrong
        failed += [f"{name}: {line}" for line in wrong]
        if sys.stderr.isatty():
            print(f"\r{kills} kills, {completed} runs", end="", file=sys.stderr)
    print(
        f"{kills} kills by SIGKILL in {completed} runs: {completed} of {completed + len(failed)} "
        "ended with the checksums of a run without a kill, and with no file damaged or left over"
    )
    print("\n".join(failed))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
