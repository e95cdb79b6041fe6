"""Compare the estimate of memory with what Linux says that a run takes.

    python -m campaigns.resident

Each run has a process of its own. What a process holds depends on the C library too, and on what
else the machine does: tests/test_memory.py counts tensors and arrays instead.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

MEASURE = """
import sys
from contextlib import nullcontext
from pathlib import Path
import psutil
from minifw.experiment.plan import plan as make_plan
from minifw import experiment
from minifw.config import loading
from minifw.experiment import memory
folder, arms, megabytes, config, *overrides = sys.argv[1:]
memory.GROUP_BYTES = int(megabytes) * 2**20
modes = ["full-batch", "sgd"] if len(arms.split()) > 1 else []
def run(*overrides):
    sound = loading.load(Path(config), [*overrides, "train.compile=false"])
    plan = make_plan(sound, 1, modes or [sound.train.mode], arms=arms.split())
    shown = lambda label, total: nullcontext(lambda done, text: None)
    experiment.start(plan, Path(folder), shown)
    return plan.sizes.bytes()
run("train.epochs=1", "data.train=40", "data.test=1")  # so that all code is there
before = psutil.Process().memory_info().rss
estimate = run("train.epochs=2", *overrides)
# Not getrusage: it begins with what the parent held when this process was started.
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 - before
print(peak / estimate)
"""

CASES = [
    ("minifw", 2048, ["seeds=400"]),
    ("minifw", 2048, ["seeds=1", "data.train=400000"]),
    ("minifw", 2048, ["seeds=20", "data.test=300000"]),
    ("minifw", 2048, ["seeds=400", "data.train=4000", "train.mode=sgd", "train.batch_size=1000"]),
    ("minifw", 2048, ["seeds=5", "network.2.linear=2000", "network.4.linear=2000", "data.train=100"]),
    ("minifw vmap", 2048, ["seeds=5", "network.2.linear=2000", "network.4.linear=2000", "data.train=40"]),
    ("minifw", 100, ["seeds=2000"]),
    ("minifw vmap", 2048, ["seeds=300", "data.train=10", "data.test=10", "train.epochs=1000", "train.batch_size=10", "train.eval_every=1"]),
    ("minifw vmap", 200, ["seeds=600"]),
]  # fmt: skip


def main() -> int:
    """Run the campaign; 0 if every run took the estimate within a factor of 1.5."""
    wrong = 0
    for arms, megabytes, overrides in CASES:
        with tempfile.TemporaryDirectory(prefix="minifw-resident-") as folder:
            words = [folder, arms, str(megabytes), "../src/minifw/examples/simplenet.yaml"]
            done = subprocess.run(
                [sys.executable, "-c", MEASURE, *words, *overrides], capture_output=True, text=True
            )
        if done.returncode:
            sys.exit(done.stderr)
        factor = float(done.stdout)
        wrong += not 1 / 1.5 < factor < 1.5
        print(
            f"{arms}, groups of {megabytes} MB, {' '.join(overrides)}: {factor:.2f} of the estimate"
        )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
