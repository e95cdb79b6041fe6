"""Runs that survive: interrupted, killed, damaged, held, resumed, listed and deleted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import COMPILED, ROOT, SMALL, Minifw, a_manifest
from minifw import nn, runs
from minifw.compile.compilers import find_compiler, why_none
from minifw.data.streams import BatchOrder
from minifw.errors import ArtefactError, StorageError, UsageError
from minifw.experiment import memory
from minifw.system import files
from minifw.training.checkpoint import Checkpoint
from minifw.training.history import History

IN_GROUPS = object()
STOPPING = (  # the seeds stop after different epochs, before the last
    "simplenet-sgd", "--set", "data.validation=10", "--set", "train.eval_every=1",
    "--set", "train.early_stopping={patience: 1}", "--set", "train.eta=0.2",
    "--set", "train.compile=false",
)  # fmt: skip
QUICK = (*SMALL, "--quiet", "--set", "train.epochs=6", "--set", "train.checkpoint_every=2")


def only_run(folder: Path = Path()) -> Path:
    (path,) = (folder / "runs").iterdir()
    return path


def manifest_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    return content


def computed(path: Path) -> dict[str, str]:
    return {
        name: digest
        for name, digest in manifest_of(path)["files"].items()
        if name.startswith("checkpoints/") or name == "metrics.jsonl"
    }


def begin(folder: Path, *words: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "minifw", *map(str, words)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(folder.glob("runs/*/checkpoints/*.safetensors")):  # something is kept
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


LONG = (
    "train",
    "simplenet",
    "--seeds",
    2,
    *SMALL,
    "--set",
    "train.epochs=1000000",
    "--set",
    "train.compile=false",
)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_signal_leaves_a_checkpoint(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = begin(tmp_path, *LONG)
    process.send_signal(number)
    out, err = process.communicate()
    path = only_run(tmp_path)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines()[-1] == (
        f"minifw: interrupted; to continue: minifw resume {path.relative_to(tmp_path)}"
    )
    run = runs.load(path)
    assert run.status() == "interrupted"
    epoch = run.manifest.parts["minifw-full-batch"].epoch
    assert run.manifest.parts["minifw-full-batch"].file.endswith(f".at-{epoch}.safetensors")
    assert run.faults() == run.strangers()[1:] == []  # the lock's file is there, empty
    assert (path / "lock").read_text() == ""


SECOND = """
import os, signal, time
from minifw.system.signals import on_signals
with on_signals() as stop:
    stop.patient = True
    os.kill(os.getpid(), signal.SIGINT)
    print("patient", stop.asked, flush=True)
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    finally:
        print("not at once")
"""


def test_a_second_signal_ends_the_process_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", SECOND], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "patient 2\n", "")


def test_runs_of_the_same_second_have_directories_of_their_own(tmp_path: Path) -> None:
    paths = {runs.create(tmp_path, a_manifest()).path for _ in range(20)}
    assert len(paths) == 20
    assert all(path.is_dir() for path in paths)


def test_a_killed_run_reads_as_crashed_and_a_live_one_is_held(
    tmp_path: Path, minifw: Minifw
) -> None:
    process = begin(tmp_path, *LONG)
    path = only_run(tmp_path)
    try:
        assert runs.load(path).status() == "running"
        for words in (("resume", path), ("runs", "rm", "--yes", path)):
            answer = minifw(*words)
            assert answer.code == 2
            assert answer.err == f"{path}: process {process.pid} is at work on this run\n"
    finally:
        process.kill()
        process.communicate()
    assert runs.load(path).status() == "crashed"
    assert path.name in minifw("runs", "ls", "--status", "crashed").out
    # The same process id, used by another process: the start time tells.
    (path / "lock").write_text(
        json.dumps({"pid": os.getpid(), "started": 1.0, "host": os.uname().nodename})
    )
    assert runs.load(path).status() == "crashed"


@pytest.mark.parametrize(
    "words",
    [
        ("train", "simplenet", "--seeds", 3),
        ("train", "simplenet-sgd", "--seeds", 3, "--set", "optimizer.momentum=0.9"),
        (
            "train",
            "simplenet-sgd",
            "--seeds",
            3,
            "--set",
            "optimizer=adam",
            "--set",
            "train.eta=0.01",
            "--set",
            "train.schedule=one-cycle",
        ),
        pytest.param(
            ("train", *COMPILED),
            marks=[
                pytest.mark.skipif(find_compiler() is None, reason="no C compiler"),
                pytest.mark.xdist_group("compiled run"),
            ],
        ),
        ("compare", "--seeds", 2, "--set", "data.validation=0.3"),
        pytest.param(("compare", "--seeds", 2, "--reference", "vmap"), marks=pytest.mark.slow),
        ("train", "simplenet-sgd", "--seeds", 3, IN_GROUPS),
        ("train", *STOPPING, "--seeds", 4),
        ("compare", *STOPPING, "--seeds", 2),
        ("train", "simplenet-sgd", "--seeds", 3, "--set", "data.validation=10", IN_GROUPS),
        pytest.param(
            ("compare", "--seeds", 3, "--reference", "vmap", IN_GROUPS), marks=pytest.mark.slow
        ),
    ],
)
def test_resume_ends_where_the_whole_run_does(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, words: Sequence[object]
) -> None:
    """Cut off after every checkpoint that there is, and resumed each time."""
    together = memory.Sizes.group_size
    if words[-1] is IN_GROUPS:
        words = words[:-1]
        monkeypatch.setattr(memory.Sizes, "group_size", lambda size: 2)
    command, *words = words
    assert minifw(command, *QUICK, *words, "--runs-dir", "whole").code == 0
    (whole,) = Path("whole").iterdir()
    publish = runs.Run.commit
    commits = 0

    def cut(run: runs.Run, **changes: Any) -> None:
        nonlocal commits
        publish(run, **changes)
        if not changes:  # a checkpoint
            commits += 1
            raise KeyboardInterrupt

    monkeypatch.setattr(runs.Run, "commit", cut)
    answer = minifw(command, *QUICK, *words)
    monkeypatch.setattr(memory.Sizes, "group_size", together)  # the groups stay as they were
    while answer.code == 130:
        answer = minifw("resume", only_run(), "--quiet")
    assert answer.code == 0, answer.err
    assert commits >= 3 if command == "train" else commits >= 4
    assert computed(only_run()) == computed(whole)
    assert minifw("runs", "verify", only_run()).code == 0
    assert runs.load(only_run()).strangers() == []
    again = minifw("resume", only_run())
    assert again.code == 2
    assert again.err.endswith("this run is complete; nothing is left to do\n")


def test_resume_refuses_what_has_changed(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("d.csv").write_text("a,b,c\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60)))
    Path("c.yaml").write_text(
        "name: c\ndata: {kind: csv, path: d.csv}\nnetwork: [{linear: 2}]\nloss: mse\n"
        "train: {eta: 0.1, epochs: 4, checkpoint_every: 1}\n"
    )
    publish = runs.Run.write

    def failing(run: runs.Run, name: str, content: str | bytes) -> None:
        if name == "metrics.jsonl":
            raise KeyboardInterrupt
        publish(run, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "write", failing)
        assert minifw("train", "c.yaml", "-q").code == 130
    path = only_run()
    Path("d.csv").write_text(Path("d.csv").read_text() + "1,1,1\n")
    answer = minifw("resume", path)
    assert answer.code == 4
    assert "d.csv: this data file has changed since" in answer.err
    Path("d.csv").unlink()
    answer = minifw("resume", path)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.endswith("d.csv: cannot be read as data: No such file or directory\n")
    (path / "config.yaml").write_text((path / "config.yaml").read_text() + "\n")
    answer = minifw("resume", path)
    assert answer.code == 4
    assert answer.err.startswith(f"{path}/config.yaml: damaged: its SHA-256 must be ")
    (path / "manifest.json").write_text("{}")
    assert minifw("resume", path).err == (
        f"{path}/manifest.json: not the manifest of a run of this minifw\n"
    )


def test_a_full_disk_ends_training_when_it_is_full(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, last = files.publish, 0

    def full(target: Path, data: bytes, root: Path) -> str:
        if ".at-" in target.name:
            raise StorageError(f"{target}: cannot be written: No space left on device")
        return publish(target, data, root=root)

    def on_epoch(label: str, total: int) -> Any:
        def progress(done: int, text: str) -> None:
            nonlocal last
            last = done

        return nullcontext(progress)

    monkeypatch.setattr("minifw.runs.directory.publish", full)
    monkeypatch.setattr("minifw.cli.training.display", lambda quiet: on_epoch)
    answer = minifw("train", "simplenet", *SMALL, "--set", "train.epochs=20000")
    path = only_run()
    assert (answer.code, answer.out) == (6, "")
    assert answer.err == (
        f"{path}/checkpoints/minifw-full-batch.at-50.safetensors: "
        "cannot be written: No space left on device\n"
    )
    assert last < 20000
    assert runs.load(path).status() == "failed"


def test_the_manifest_is_written_last(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def noting(target: Path, data: bytes, root: Path) -> str:
        written.append(target.name)
        return files.publish(target, data, root=root)

    monkeypatch.setattr("minifw.runs.directory.publish", noting)
    assert minifw("train", "simplenet", *QUICK).code == 0
    assert len(set(written)) > 10
    assert written[-1] == "manifest.json"


def test_another_thread_count_warns(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "minifw.system.machine.processors", lambda: 2
    )  # torch can have more threads than those
    with monkeypatch.context() as patch:
        patch.setattr("minifw.report.plots.write_plots", _interrupt)
        assert minifw("train", "simplenet", *QUICK, "--threads", 1).code == 130
    answer = minifw("resume", only_run(), "-q", "--threads", 2)
    assert answer.code == 0
    assert answer.err.startswith("minifw: this run began on 1 thread(s); on 2 its sums are rounded")


def test_a_run_of_many_threads_goes_on_with_those_that_may_be_used(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("minifw.report.plots.write_plots", _interrupt)
        assert minifw("train", "simplenet", *QUICK).code == 130
    path = only_run()
    run = runs.load(path)
    with run.held():
        run.commit(threads=9)
    # What the machine has does not count: `taskset` or a container may leave one of many.
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    answer = minifw("resume", path, "-q")
    assert (answer.code, answer.err) == (
        2,
        f"{path}: this run began on 9 threads, this process may use 1 CPU(s); "
        "--threads 1 resumes it on those\n",
    )
    assert minifw("resume", path, "-q", "--threads", 1).code == 0


def test_a_run_that_failed_and_went_on_has_no_error(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(run: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("minifw.report.plots.write_plots", failing)
        assert minifw("train", "simplenet", *QUICK).code == 6
    path = only_run()
    assert runs.load(path).manifest.error == "the disk is full"
    assert minifw("resume", path, "-q").code == 0
    assert runs.load(path).manifest.error is None
    assert "error" not in minifw("runs", "show", path, "--json").json["manifest"]


@pytest.mark.parametrize("way", ["auto", "true"])
def test_a_run_that_began_compiled_needs_a_compiler(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("minifw.report.plots.write_plots", _interrupt)
        assert minifw("train", "simplenet", *QUICK, "--set", "train.compile=false").code == 130
    run = runs.load(only_run())
    if way == "auto":
        (part,) = run.manifest.parts.values()
        part.compiled, part.finished = True, False
    else:
        config = run.read_text("config.yaml")
        run.write("config.yaml", config.replace("compile: false", "compile: true"))
    run.commit()
    before = manifest_of(run.path)
    monkeypatch.setenv("CC", "no-such-compiler")
    answer = minifw("resume", run.path, "-q")
    assert (answer.code, answer.err) == (
        2,
        f"{run.path}: this run began with compiled steps; resuming it needs a C compiler, and "
        f"{why_none()}\n",
    )
    assert manifest_of(run.path) == before  # it did not fail, it did not go on


def _interrupt(run: object) -> None:
    raise KeyboardInterrupt


def test_list_show_diff_verify_and_rm(minifw: Minifw, tmp_path: Path) -> None:
    assert minifw("train", "simplenet", *QUICK).code == 0
    first = only_run()
    minifw("train", "simplenet", *QUICK, "--set", "train.eta=0.1")
    (second,) = set(Path("runs").iterdir()) - {first}
    rows = minifw("runs", "ls", "--json").json["runs"]
    assert [row["run"] for row in rows] == sorted([first.name, second.name])
    assert {row["status"] for row in rows} == {"complete"}
    assert len(minifw("runs", "ls", "--name", first.name[-6:]).out.splitlines()) == 2
    assert "status    complete" in minifw("runs", "show", first.name[-6:]).out
    assert minifw("runs", "show", first, "--json").json["env"]["threads"] >= 1
    answer = minifw("runs", "diff", first, second)
    assert [line.split() for line in answer.out.splitlines() if "train." in line] == [
        ["train.eta", "0.01", "0.1"]
    ]
    assert minifw("runs", "verify", first).out == f"{first}: all 26 files are as written\n"
    (first / "results.json").unlink()
    broken = minifw("runs", "verify", first, second)
    assert (broken.code, broken.err) == (
        4, f"{first}/results.json: this file of the run is missing\n",
    )  # fmt: skip
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (first / "link").symlink_to(outside, target_is_directory=True)
    Path("runs/linked").symlink_to(second.absolute(), target_is_directory=True)
    assert minifw("runs", "rm", first).code == 2  # nobody can be asked
    assert minifw("runs", "rm", "--yes", "runs/linked").code == 2
    assert minifw("runs", "rm", "--yes", outside).code == 2
    assert minifw("runs", "rm", "--yes", first).code == 0
    assert not first.exists()
    assert (outside / "precious").read_text() == "mine"
    assert second.exists()


def test_divergence_names_epoch_and_layer(minifw: Minifw) -> None:
    answer = minifw("train", "simplenet", *QUICK, "--seeds", 2, "--set", "train.eta=1e30")
    assert answer.code == 3
    assert (
        ", the first in epoch 2, where the first value that is not finite is in network."
        in answer.err
    )


def test_the_layer_is_that_of_the_first_value_that_is_not_finite() -> None:
    """A weight of the third module overflows its output, in the second network alone."""
    from minifw.data import Dataset, Samples
    from minifw.training.fit import fit

    generators = [np.random.default_rng(seed) for seed in range(2)]
    network = nn.Sequential(
        nn.Linear(2, 3, stack=(2,), generators=generators), nn.ReLU(),
        nn.Linear(3, 3, stack=(2,), generators=generators), nn.Tanh(),
        nn.Linear(3, 2, stack=(2,), generators=generators),
    )  # fmt: skip
    third = network[2]
    assert isinstance(third, nn.Linear)
    third.weight[1] = float("inf")
    x, labels = torch.rand(2, 10, 2) + 1, torch.zeros(2, 10, dtype=torch.int64)
    samples = Samples(x, torch.rand(2, 10, 2), labels)
    ones = np.ones((2, 2))
    data = Dataset(samples, samples, ("a", "b"), ("0", "1"), ones, ones)
    history = fit(network, nn.LossMSE(), nn.SGD(network), data, epochs=1, eta=0.1)
    assert history.diverged.tolist() == [-1, 1]
    assert history.diverged_layer.tolist() == [-1, 2]


def test_a_checkpoint_refuses_what_it_does_not_know() -> None:
    network = nn.Sequential(nn.Linear(2, 3, stack=(2,), generators=[np.random.default_rng(0)] * 2))
    optimizer, order = nn.SGD(network, 0.9), BatchOrder([0, 1], 5)
    order()
    content = Checkpoint.of(network, History.of((2,)), optimizer, order)
    back = Checkpoint.from_bytes(content.to_bytes(), "x")
    assert back.to_bytes() == content.to_bytes()
    fresh = BatchOrder([0, 1], 5)
    back.restore(network, optimizer, fresh, "x")
    assert torch.equal(fresh(), order())
    back.weights["state/surprise"] = torch.zeros(1)
    with pytest.raises(ArtefactError, match="x: this minifw does not know 'state/surprise'"):
        Checkpoint.from_bytes(back.to_bytes(), "x")
    with pytest.raises(ArtefactError, match="not the checkpoint of a training with this config"):
        content.restore(network, nn.SGD(network), order, "x")
    with pytest.raises(ArtefactError, match="x: not a checkpoint: "):
        Checkpoint.from_bytes(b"\x80\x04N.", "x")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("campaign", "size"),
    [("kill", ("--kills", "6")), ("damage", ("--flips", "200", "--cuts", "200")), ("faults", ("--every", "25"))],
)  # fmt: skip
def test_a_short_campaign(campaign: str, size: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"campaigns.{campaign}", *size],
        cwd=ROOT / "tests", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_word_that_means_several_runs_names_the_newest(tmp_path: Path) -> None:
    names = [f"2026010{day}T000000Z-own-00000{day}" for day in range(1, 6)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    with pytest.raises(UsageError) as raised:
        runs.find(tmp_path, "own")
    assert str(raised.value) == (
        f"own: 5 runs in {tmp_path} are named so; the newest 3: {', '.join(names[:1:-1])}"
    )
    for name in names[1:3]:
        (tmp_path / name).rename(tmp_path / f"{name}-b")
    with pytest.raises(UsageError, match=f"2 runs .*; newest first: {names[2]}-b, {names[1]}-b$"):
        runs.find(tmp_path, "-b")
