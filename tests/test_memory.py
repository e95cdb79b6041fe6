"""The estimate of memory: near what runs take, and a fault at the key that matters."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from conftest import ROOT, Minifw
from minifw import experiment
from minifw.config import loading
from minifw.data import Samples
from minifw.experiment import Progress, memory
from minifw.experiment.build import build_network
from minifw.experiment.plan import plan
from minifw.runs.arms import ARMS, MODES, Arm, Mode
from minifw.system import machine
from minifw.training.placement import StepSizes

SIMPLENET = ROOT / "src/minifw/examples/simplenet.yaml"


class Counted(TorchDispatchMode):
    """Counts the bytes of all tensors and arrays that there are, and remembers the most.

    What a process holds beside, and what the C library keeps, is not in it: the count is the same
    each time. Arrays and Python's objects are counted by tracemalloc, tensors' memory here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, tuple[StorageWeakRef, int]] = {}
        self.start, self.most = tracemalloc.get_traced_memory()[0], 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        results = operation(*args, **(kwargs or {}))
        given = {storage.data_ptr() for storage in storages((args, kwargs))}
        for key in [key for key, (storage, _) in self.held.items() if storage.expired()]:
            del self.held[key]
        self._note(tracemalloc.get_traced_memory()[1])  # the most since the operation before
        for storage in storages(results):
            reference = StorageWeakRef(storage)
            if reference.cdata in self.held or storage.data_ptr() not in given:
                self.held[reference.cdata] = reference, storage.nbytes()
        self._note(tracemalloc.get_traced_memory()[0])
        tracemalloc.reset_peak()
        return results

    def _note(self, arrays: int) -> None:
        tensors = sum(size for _, size in self.held.values())
        self.most = max(self.most, tensors + arrays - self.start)


def storages(values: Any) -> list[torch.UntypedStorage]:
    return [x.untyped_storage() for x in tree_leaves(values) if isinstance(x, torch.Tensor)]


def shown(label: str, total: int) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, text: None)


WIDE = ("network.2.linear=1000", "network.4.linear=1000", "data.train=40", "data.test=100")


# Beside the other tests of a process the count was once 3 MB higher, for a reason not found; alone it
# was not. Cases of some 20 MB and more keep the ratio meaningful.
@pytest.mark.parametrize(
    ("arms", "group_megabytes", "overrides"),
    [
        ("minifw", 2048, ["seeds=40"]),
        pytest.param("minifw", 2048, ["seeds=1", "data.train=40000"], marks=pytest.mark.slow),
        pytest.param("minifw", 2048, ["seeds=4", "data.test=30000"], marks=pytest.mark.slow),
        ("minifw", 2048, ["seeds=40", "data.train=4000", "train.mode=sgd", "train.batch_size=1000"]),
        # Three parts of different sizes are evaluated, each in memory of its own.
        ("minifw", 2048, ["seeds=40", "data.train=1000", "data.test=1500", "data.validation=490"]),
        pytest.param("minifw", 2048, ["seeds=6", *WIDE], marks=pytest.mark.slow),
        pytest.param("minifw vmap", 2048, ["seeds=6", *WIDE], marks=pytest.mark.slow),
        pytest.param("minifw", 2048, ["seeds=1", "data.train=40000", "train.compile=true"], marks=pytest.mark.slow),
        ("minifw", 10, ["seeds=200"]),
        pytest.param(
            "minifw", 2048,
            ["seeds=400", "data.train=10", "data.test=10", "train.epochs=60", "train.eval_every=1"],
            marks=pytest.mark.slow,
        ),
        pytest.param("minifw vmap", 24, ["seeds=32"], marks=pytest.mark.slow),
    ],
    ids=str,
)  # fmt: skip
def test_the_estimate_is_near_what_a_run_takes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arms: str,
    group_megabytes: int,
    overrides: list[str],
) -> None:
    """By a count of what it holds, exact for one thread; tests/campaigns/resident.py asks Linux."""
    monkeypatch.setattr(memory, "GROUP_BYTES", group_megabytes * 2**20)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr("minifw.report.plots.write_plots", lambda run: None)  # most of the time
    config = loading.load(SIMPLENET, ["train.epochs=2", "train.compile=false", *overrides])
    names: list[Arm] = [arm for arm in ARMS if arm in arms.split()]
    modes: list[Mode] = [*MODES] if len(names) > 1 else [config.train.mode]
    made = plan(config, 1, modes, arms=names)
    once = plan(loading.load(SIMPLENET, ["train.epochs=1", "data.train=40"]), 1, modes, arms=names)
    tracemalloc.start()
    try:
        with Counted():  # so that all code is there
            experiment.start(once, tmp_path, shown)
        with Counted() as counted:
            experiment.start(made, tmp_path, shown)
    finally:
        tracemalloc.stop()
    # Of a checkpoint's bytes the library that writes them has a copy, which nobody counts; and
    # the estimate has all that a step of PyTorch may leave with the C library.
    least = 0.5 if "vmap" in names else 1 / 1.5
    assert least < counted.most / made.sizes.bytes() < 1.5


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


@pytest.mark.parametrize(
    "overrides",
    [[], ["network=[{linear: {out_features: 7, bias: false}}, tanh, {linear: 2}]"]],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_is_counted_from_a_config_as_from_its_network(
    overrides: list[str], dtype: str
) -> None:
    config = loading.load(
        ROOT / "src/minifw/examples/simplenet.yaml", [f"dtype={dtype}", *overrides]
    )
    size = memory.sizes(config, "sgd", 3, 2, 2, 1000, 1000)
    inputs = torch.zeros(3, 1, 2, dtype=getattr(torch, dtype))
    samples = Samples(inputs, inputs, torch.zeros(3, 1, dtype=torch.int64))
    assert size.step == StepSizes.of(build_network(config, range(3), 2), samples)
    if not overrides:
        assert size.step.weights == 2 * 25 + 25 + 2 * (25 * 25 + 25) + 25 * 2 + 2


@pytest.mark.parametrize(
    ("count", "text"),
    [(80_900_000_000, "80.9 GB"), (1.5e12, "1.5 TB"), (12, "0.0 kB"), (999.7e9, "1000 GB")],
)
def test_bytes_in_words(count: float, text: str) -> None:
    assert machine.gigabytes(count) == text
