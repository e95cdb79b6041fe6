"""The estimate of memory: near what runs take, and a fault at the key that matters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import ROOT, Minifw
from minifw.config import loading
from minifw.experiment import memory
from minifw.experiment.plan import build_network
from minifw.system import machine
from minifw.training import placement

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
    experiment.run(plan, arms.split(), modes or [sound.train.mode], Path(folder), shown)
    return plan.sizes.bytes()
run("train.epochs=1", "data.train=40", "data.test=1")  # so that all code is there
before = psutil.Process().memory_info().rss
estimate = run("train.epochs=2", *overrides)
# Not getrusage: it begins with what the parent held when this process was started.
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 - before
print(peak / estimate)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's memory so")
@pytest.mark.parametrize(
    ("arms", "megabytes", "overrides"),
    [
        ("minifw", 2048, ["seeds=400"]),
        ("minifw", 2048, ["seeds=1", "data.train=400000"]),
        ("minifw", 2048, ["seeds=20", "data.test=300000"]),
        (
            "minifw",
            2048,
            ["seeds=400", "data.train=4000", "train.mode=sgd", "train.batch_size=1000"],
        ),
        (
            "minifw",
            2048,
            ["seeds=5", "network.2.linear=2000", "network.4.linear=2000", "data.train=100"],
        ),
        ("minifw vmap", 2048, ["seeds=5", "network.2.linear=2000", "network.4.linear=2000", "data.train=40"]),
        ("minifw", 100, ["seeds=2000"]),
        ("minifw vmap", 2048, ["seeds=300", "data.train=10", "data.test=10", "train.epochs=1000", "train.batch_size=10", "train.eval_every=1"]),
        ("minifw vmap", 200, ["seeds=600"]),
    ],
    ids=str,
)  # fmt: skip
def test_the_estimate_is_near_what_a_run_takes(
    tmp_path: Path, arms: str, megabytes: int, overrides: list[str]
) -> None:
    words = [str(tmp_path), arms, str(megabytes), str(ROOT / "src/minifw/examples/simplenet.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words, *overrides], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 1 / 1.5 < float(done.stdout) < 1.5


@pytest.mark.parametrize(
    ("overrides", "key", "words"),
    [
        (["seeds=100000"], "--set seeds=100000: seeds", "fewer seeds"),
        (["data.train=900000000"], "--set data.train=900000000: data.train", "fewer samples"),
        (["data.test=900000000"], "--set data.test=900000000: data.test", "fewer samples"),
        (["network.2.linear=100000", "network.4.linear=90000"], "network.2.out_features", "a narrower layer"),
        (["train.epochs=1000000000", "train.eval_every=1"], "train.eval_every", "fewer evaluations"),
    ],
)  # fmt: skip
def test_what_does_not_fit_names_the_key_to_change(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, overrides: list[str], key: str, words: str
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    given = [word for override in overrides for word in ("--set", override)]
    answer = minifw("train", "simplenet", *given)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("\n") == 1, answer.err
    assert f"{key}: needs about " in answer.err
    assert f"of memory, 1.0 GB are free; {words} would help" in answer.err
    assert not Path("runs").exists()


def test_a_limit_of_the_process_counts(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    code = (
        "import resource, psutil; from minifw.experiment import memory\n"
        "used = psutil.Process().memory_info().vms\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)\n"
        "assert 200 * 2**20 < memory.available() <= 300 * 2**20\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("seeds", [2, 5, 7, 400, 1000])
@pytest.mark.parametrize("rows", [40, 1000, 20000])
def test_parts_are_those_that_a_stack_is_divided_into(
    monkeypatch: pytest.MonkeyPatch, threads: int, seeds: int, rows: int
) -> None:
    config = loading.load(ROOT / "src/minifw/examples/simplenet.yaml")
    network = build_network(config, range(seeds), 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    in_memory = placement.seeds_in_memory(network, seeds, rows)
    size = memory.sizes(config, "full-batch", seeds, 2, 2, rows, 10, threads=threads)
    chosen = placement._divided(network, seeds, rows, in_memory, threads)
    held, workers = size._divided(seeds, rows)
    assert workers == chosen.threads
    # The weights are counted elsewhere.
    assert held == pytest.approx(min(seeds, chosen.seeds or seeds), rel=0.02)
    if workers > 1:
        assert held * workers * rows * 4 * size._width() <= placement.PLAIN_BYTES


def test_parameters_are_counted_as_the_network_has_them() -> None:
    config = loading.load(ROOT / "src/minifw/examples/simplenet.yaml")
    size = memory.sizes(config, "sgd", 1, 2, 2, 1000, 1000)
    assert size.weights() == 2 * 25 + 25 + 2 * (25 * 25 + 25) + 25 * 2 + 2


@pytest.mark.parametrize(
    ("count", "text"),
    [(80_900_000_000, "80.9 GB"), (1.5e12, "1.5 TB"), (12, "0.0 kB"), (999.7e9, "1000 GB")],
)
def test_bytes_in_words(count: float, text: str) -> None:
    assert machine.gigabytes(count) == text
