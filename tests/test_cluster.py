"""Jobs on a cluster: the results are those of one process, whatever happens to workers."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest
import torch

from campaigns import workers
from conftest import Minifw
from minifw import nn, runs
from minifw.compile import CannotCompileError
from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.errors import (
    ConfigError,
    DataError,
    Interrupted,
    MinifwError,
    StorageError,
    UsageError,
    WorkerError,
)
from minifw.library.progress import display
from minifw.runs.studies import Study
from minifw.study import cluster as cluster_module
from minifw.study import connecting, planning, running, worker
from minifw.study.cluster import Cluster, OnWorkers
from minifw.study.connecting import Address
from minifw.study.division import as_stored
from minifw.study.executors import InProcess
from minifw.study.planning import Plan
from minifw.study.rounds import Kind
from minifw.study.running import MakeExecutor, Outcome
from minifw.study.store import Store
from minifw.study.worker import Task
from minifw.system import files
from minifw.system.environment import installed_version
from minifw.system.signals import Stop
from minifw.training.learner import Learner
from minifw.training.steady import check_steady

pytestmark = pytest.mark.xdist_group("cluster")

SMALL = (
    "data.train=40", "data.test=30", "train.batch_size=15", "train.epochs=4", "train.eval_every=2",
)  # fmt: skip
QUIET = display(quiet=True)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two local workers, for all tests: they take seconds to begin."""
    with connecting.local(2) as made:
        yield made


def a_plan(*sets: Sequence[str], seeds: int = 3, own: Path | None = None) -> Plan:
    """Return a plan of these cells; those of the config `own` come last."""
    given = [*SMALL, f"seeds={seeds}"]
    cells = [loading.load(find_config("simplenet"), [*given, *each]) for each in sets]
    code: Mapping[str, bytes] = {}
    if own is not None:
        parsed = loading.read(own, allow_code=True)
        cells.append(parsed.config(given)[0])
        code = parsed.code.files
    study = Study.model_validate(
        {
            "kind": "sweep",
            "cells": [planning.cell(f"cell {k}", {}, cell) for k, cell in enumerate(cells)],
            "seeds": [*range(seeds)],
            "threads": 1,
        }
    )
    return planning.plan(study, cells, [Source(str(k)) for k in range(len(cells))], code)


def do(plan: Plan, folder: Path, executor: MakeExecutor = InProcess, pieces: Any = 1) -> Outcome:
    note = lambda text: None  # noqa: E731
    return running.start(
        plan, Kind(), plan.configs[0], folder, QUIET, note, executor=executor, pieces=pieces
    )


def same(one: Outcome, other: Outcome) -> None:
    """Check that all that was computed is the same, byte for byte."""
    assert one.results.cells == other.results.cells
    ours, theirs = (each.run.read_text("metrics.csv") for each in (one, other))
    assert ours.replace(one.run.path.name, "") == theirs.replace(other.run.path.name, "")


def test_workers_give_the_results_of_one_process(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = a_plan([], ["train.mode=sgd"])
    alone, together = do(plan, tmp_path), do(plan, tmp_path, cluster.executor, cluster.pieces)
    same(alone, together)
    assert len(Store(together.run).names()) == 6  # 2 shapes x 3 seeds; for 8 jobs
    assert together.run.strangers() == []
    assert capfd.readouterr() == ("", "")


def test_results_come_over_the_wire_where_no_folder_is_shared(
    cluster: Cluster, tmp_path: Path
) -> None:
    plan, elsewhere = a_plan([]), tmp_path / "elsewhere"

    def executor(store: Store, stop: Stop) -> OnWorkers:
        made = cluster.executor(store, stop)
        made.folder = elsewhere  # which the workers do not have
        return made

    same(do(plan, tmp_path), do(plan, tmp_path, executor, 3))
    assert not elsewhere.exists()


def test_workers_killed_at_random_lose_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """The campaign `workers` does the same with 1,000 jobs."""
    plan, base = workers.a_sweep(20)
    wanted, _ = workers.do(plan, base, tmp_path, InProcess, 1)
    with workers.Killing(cluster, most=3, seconds=0.3) as killing:
        found, results = workers.do(plan, base, tmp_path, cluster.executor, 20)
        assert found == wanted
        assert results == 20
    assert killing.kills > 0  # how many depends on the machine's speed


def test_what_another_thread_draws_is_not_a_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's threads draw random numbers, so that a worker would train plainly now and then."""
    network = nn.Sequential(nn.Linear(2, 2, stack=(2,)))
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    step, left = Learner.step, [3]

    def beside(*words: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            random.random()
        return step(*words)

    monkeypatch.setattr(Learner, "step", beside)
    samples = torch.zeros(2, 4, 2)
    check_steady(learner, samples, samples)
    assert left == [0]
    left[0] = 10**6
    with pytest.raises(CannotCompileError, match="Python's generator of random numbers"):
        check_steady(learner, samples, samples)


# ------------------------------------------------------------------- what a job or a worker does wrong

DEADLY = """
import multiprocessing, os, signal
from pathlib import Path

from minifw import nn


class Mine(nn.ReLU):
    def forward(self, x):
        if multiprocessing.parent_process() is not None and Path({marker!r}).exists():
            {does}
        return super().forward(x)
"""
KILLS = "os.kill(os.getpid(), signal.SIGKILL)"


def own_config(folder: Path, does: str) -> Path:
    """Return a config with a layer that does this in a worker, as long as `marker` is there."""
    marker = folder / "marker"
    marker.touch()
    (folder / "mine.py").write_text(DEADLY.format(marker=str(marker), does=does))
    text = find_config("simplenet").read_text().replace("- relu", "- {python: mine.Mine}", 1)
    (folder / "own.yaml").write_text(text)
    return folder / "own.yaml"


def test_jobs_that_kill_their_workers_are_named_and_all_others_are_done(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.client.cluster.scheduler, "allowed_failures", 0)  # soon suspected
    plan = a_plan([], seeds=2, own=own_config(tmp_path, KILLS))
    with pytest.raises(WorkerError) as caught:
        do(plan, tmp_path / "runs", cluster.executor, 2)
    assert caught.value.exit_code == 7
    (path,) = (tmp_path / "runs").iterdir()
    for number, line in enumerate(sorted(caught.value.lines), 1):  # none that only waited there
        told = f"shape-1.{number}-of-2 (1 networks of cell 1): its workers ended again and again"
        assert line.startswith(told)
        assert line.endswith(f"minifw resume {path}")
    assert len(caught.value.lines) == 2
    assert Store(runs.load(path)).there() == ["shape-0.1-of-2", "shape-0.2-of-2"]
    assert runs.load(path).status() == "failed"
    (tmp_path / "marker").unlink()
    note = lambda text: None  # noqa: E731
    kinds = {"sweep": Kind()}
    done = running.resume(path, kinds, QUIET, note, cluster.executor, 2, allow_code=True)
    same(do(plan, tmp_path / "runs"), done)


def test_what_a_users_code_raises_in_a_worker_is_one_line(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    does = "print('from a layer'); raise ValueError('no')"
    plan = a_plan([], own=own_config(tmp_path, does))
    with pytest.raises(MinifwError, match=r"mine\.py:11: ValueError: no$"):
        do(plan, tmp_path / "runs", cluster.executor, 1)
    (path,) = (tmp_path / "runs").iterdir()
    assert Store(runs.load(path)).there() == ["shape-0.1-of-1"]  # it had begun
    out, err = capfd.readouterr()
    assert out == ""  # where results belong
    assert "distributed" not in err


def test_an_error_of_a_worker_keeps_its_class_and_lines() -> None:
    for fault in (ConfigError(["one", "two"]), DataError("one"), StorageError("full")):
        back = cluster_module._error(type(fault).__name__, [*fault.lines])
        assert (type(back), back.lines) == (type(fault), fault.lines)


# ---------------------------------------------------------------------- jobs that are done already


def test_a_resumed_study_keeps_its_division(cluster: Cluster, tmp_path: Path) -> None:
    class Stopping(InProcess):
        def run(self, *words: Any) -> Iterator[Any]:
            yield next(iter(super().run(*words)))
            raise Interrupted(signal.SIGTERM)

    plan = a_plan([], ["train.mode=sgd"], seeds=6)
    with pytest.raises(Interrupted):
        do(plan, tmp_path / "runs", Stopping, 3)
    (path,) = (tmp_path / "runs").iterdir()
    first = path / "jobs" / "shape-0.1-of-3.job"
    before = first.stat()
    (path / "jobs" / "shape-1.1-of-1.partial").write_text("of one process, before")
    note = lambda text: None  # noqa: E731
    done = running.resume(path, {"sweep": Kind()}, QUIET, note, cluster.executor, 2)
    assert done.run.strangers() == []
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    of_first = [f"shape-0.{k}-of-3" for k in (1, 2, 3)]  # as it was begun
    assert Store(done.run).names() == [*of_first, "shape-1.1-of-2", "shape-1.2-of-2"]
    same(do(plan, tmp_path / "runs"), done)


def test_jobs_that_continue_are_divided_with_their_beginnings() -> None:
    plan = a_plan([], seeds=5)
    places = {lane: ("rung-1.shape-0.1-of-1", k) for k, lane in enumerate(plan.lanes)}
    two, three = (
        plan.jobs(plan.lanes, pieces=pieces, label="rung-2.", begun=places) for pieces in (2, 3)
    )
    assert as_stored(two, [three[1].id, "rung-1.shape-0.1-of-1"]) == three
    assert as_stored(two, []) == two
    assert as_stored(two, ["rung-2.shape-0.1-of-999999999"])[-1].lanes == (plan.lanes[-1],)


def test_a_result_that_is_there_is_not_made_again(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan([])
    done = do(plan, tmp_path)
    (job,) = plan.jobs(plan.lanes)
    token = files.TEMPORARY + "token"
    (done.run.path / token).write_text(token)
    task: Task = {
        "job": job.model_dump_json().encode(),
        "begun": None, "folder": str(done.run.path), "token": token, "expected": None,
    }  # fmt: skip
    monkeypatch.setattr("minifw.study.jobs.run", None)
    assert worker.work(task) == {"stored": True}


# ------------------------------------------------------------------------------------- a scheduler


def at(cluster: Cluster, **more: Any) -> Address:
    return Address(cluster.client.scheduler.address, **more)


def test_a_scheduler_that_is_there_is_used(cluster: Cluster, minifw: Minifw) -> None:
    words: list[object] = [
        "sweep",
        "simplenet",
        "--over",
        "train.batch_size=10,20",
        "--seeds",
        3,
        "--json",
    ]
    for each in (*SMALL, "data.validation=0.2"):
        words += ["--set", each]
    alone = minifw(*words, "--threads", 1).json
    answer = minifw(*words, "--scheduler", at(cluster).text)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["cells"] == alone["cells"]


def test_a_worker_must_be_as_the_command_is(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan([])
    # minifw is first in what a message says, and must be the same.
    versions = {"minifw": installed_version("minifw"), "torch": "1.0", "numpy": "1.0"}
    monkeypatch.setattr(worker, "installed_version", versions.get)
    here = worker.surroundings()
    with (
        pytest.raises(UsageError, match=r"has another minifw|torch .*, here 1\.0.*--allow-mixed"),
        connecting.remote(at(cluster)),
    ):
        pass
    late = Cluster(cluster.client, "a worker that came later", here)
    with pytest.raises(UsageError, match=r"differs: torch .*, here 1\.0.*--allow-mixed permits it"):
        do(plan, tmp_path, late.executor)
    with connecting.remote(at(cluster, allow_mixed=True)) as mixed:
        do(plan, tmp_path, mixed.executor)


def test_a_worker_without_minifw_is_told(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def surroundings(): return {'minifw': '1'}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        connecting, "surroundings", importlib.import_module("only_here").surroundings
    )
    with (
        pytest.raises(UsageError, match=r"cannot use minifw: .*No module named .*only_here"),
        connecting.remote(at(cluster)),
    ):
        pass


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Any]:
    """A certificate that has signed itself, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command = ["openssl", *what, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return {"tls_ca": str(cert), "tls_cert": str(cert), "tls_key": str(key)}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_connection_with_tls(certificates: dict[str, Any], tmp_path: Path) -> None:
    cert, key = certificates["tls_cert"], certificates["tls_key"]
    security = distributed.Security(
        tls_ca_file=cert, tls_scheduler_cert=cert, tls_scheduler_key=key, tls_worker_cert=cert,
        tls_worker_key=key, tls_client_cert=cert, tls_client_key=key, require_encryption=True,
    )  # fmt: skip
    plan = a_plan([])
    with (
        connecting._quiet(),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tls://", host="127.0.0.1",
            dashboard_address=None, security=security,
        ) as there,
    ):  # fmt: skip
        assert there.scheduler_address.startswith("tls://")
        with connecting.remote(Address(there.scheduler_address, **certificates)) as tls:
            same(do(plan, tmp_path), do(plan, tmp_path, tls.executor))
        with (
            pytest.raises(UsageError, match="no connection: .*TLS"),
            connecting.remote(Address(there.scheduler_address)),
        ):
            pass


@pytest.mark.parametrize(
    ("address", "more", "told"),
    [
        ("here", {}, "must be HOST:PORT"),
        ("ftp://localhost:1", {}, "must be HOST:PORT"),
        ("10.1.2.3:8786", {}, "is another machine, which can run any code here; --allow-remote"),
        ("localhost.evil.org:8786", {}, "is another machine"),
        ("tls://10.1.2.3:8786", {}, "is another machine"),
        ("10.1.2.3:8786", {"allow_remote": True}, "needs TLS: tls://10.1.2.3:8786"),
        ("tcp://[2001:db8::1]:8786", {"allow_remote": True}, "needs TLS"),
    ],
)
def test_only_loopback_addresses_without_permission_and_tls(
    address: str, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Address(address, **more).url()
    (line,) = caught.value.lines
    assert line.startswith("--scheduler: ")
    assert told in line


def test_addresses_that_are_allowed() -> None:
    for text in ("127.0.0.1:1", "localhost:1", "tcp://[::1]:1", "tls://127.8.8.8:1"):
        assert Address(text).url().endswith(text)
    assert Address("h:1", allow_remote=True, tls_ca="ca.pem").url() == "tls://h:1"


def test_a_scheduler_that_is_not_there(minifw: Minifw) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("sweep", "simplenet", "--over", "train.eta=0.1,0.2")
    answer = minifw(*words, "--scheduler", f"127.0.0.1:{port}")
    told = f"--scheduler: tcp://127.0.0.1:{port}: nobody answers: Connection refused\n"
    assert (answer.code, answer.err) == (2, told)
    assert not Path("runs").exists()


def test_what_answers_but_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "CONNECTING", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address(f"127.0.0.1:{other.getsockname()[1]}")
        with (
            pytest.raises(UsageError, match="no connection: .*is it a Dask"),
            connecting.remote(address),
        ):
            pass


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--workers", 0], "--workers: must be at least 1, got 0"),
        (["--workers", 10**6], "--workers: must be at most the "),
        (["--workers", 1, "--threads", 2], "--threads: a worker trains on one thread, got 2"),
        (["--workers", 1, "--allow-remote"], "--allow-remote: only with --scheduler ADDRESS"),
        (["--tls-ca", "ca.pem"], "--tls-ca: only with --scheduler ADDRESS"),
        (["--scheduler", "localhost:1", "--tls-ca", "ca.pem"], "ca.pem: there is no such file"),
    ],
)
def test_options_that_do_not_fit(minifw: Minifw, words: list[object], told: str) -> None:
    answer = minifw("sweep", "simplenet", "--over", "train.eta=0.1,0.2", *words)
    assert answer.code == 2
    assert answer.err.startswith(told)
    assert answer.err.count("\n") == 1


def test_without_the_extra_it_is_told(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minifw.cli.workers.find_spec", lambda name: None)
    for words in (["--workers", 2], ["--scheduler", "localhost:1"]):
        answer = minifw("sweep", "simplenet", "--over", "train.eta=0.1,0.2", *words)
        told = f"{words[0]} needs minifw[cluster]: pip install 'minifw[cluster]'\n"
        assert (answer.code, answer.err) == (2, told)


# ----------------------------------------------------------------------------------------- signals


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_worker_outlives_the_command(number: signal.Signals, tmp_path: Path) -> None:
    words = ["sweep", "simplenet", "--over", "train.eta=0.1,0.2", "--seeds", "8", "--workers", "2"]
    command = [sys.executable, "-m", "minifw", *words, "--set", "train.epochs=100000"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as process:
        while not [*tmp_path.glob("runs/*/jobs/*.partial")]:
            assert process.poll() is None
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert out == b""
    if number != signal.SIGKILL:
        (path,) = (tmp_path / "runs").iterdir()
        assert err.decode().splitlines()[-1].endswith(f"minifw resume runs/{path.name}")
        assert runs.load(path).status() == "interrupted"
    assert psutil.wait_procs(children, timeout=30)[1] == []
