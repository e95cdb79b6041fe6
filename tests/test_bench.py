"""The benchmark: that it trains what it says, checks it, and reports it. No test asserts a time."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from conftest import ROOT, Minifw
from minifw import nn
from minifw.bench import arms, jobs, lenet, measure
from minifw.bench.arms import Regime
from minifw.config import loading
from minifw.errors import CheckError, UsageError
from minifw.experiment import Progress

SMALL = Regime(2, 20, 4)
PLAIN = ["minifw, plain", "PyTorch", "PyTorch vmap"]


@pytest.fixture
def given() -> arms.Problem:
    return arms.problem(ROOT / "src/minifw/examples/simplenet.yaml", SMALL)


@pytest.mark.slow
def test_arms_train_the_same_networks(given: arms.Problem) -> None:
    names = [*PLAIN, *({"minifw", "JAX"} - set(arms.present()[1]))]
    made = {name: arms.ARMS[name](given) for name in names}
    epochs = dict.fromkeys(made, 0.0)
    for name, arm in made.items():
        while epochs[name] < 2:
            seconds, part = arm.train(1)
            assert seconds > 0
            epochs[name] += part
    assert set(epochs.values()) == {2}
    start = next(value for _, value, _ in given.network().parameters())
    expected = made[PLAIN[0]].weights()
    assert not torch.allclose(expected[0], start, atol=1e-3)
    for arm in made.values():
        torch.testing.assert_close(arm.weights(), expected, rtol=1e-4, atol=1e-5)


def one_seed(self: nn.LossMSE, output: Tensor, target: Tensor) -> Tensor:
    gradient = right(self, output, target)
    gradient[0] *= 1.5
    return gradient


right = nn.LossMSE.grad
WRONG = {
    "in all seeds, a little": lambda self, *of: right(self, *of) * 1.002,
    "in one seed of three": one_seed,
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_factor_is_found(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(nn.LossMSE, "grad", WRONG[case])
    expected = r"bench 3 x 20 x 4: .* must end with the same weights; 0.weight differs by .*% of its change"
    with pytest.raises(CheckError, match=expected):
        measure.run(
            ROOT / "src/minifw/examples/simplenet.yaml", [Regime(3, 20, 4)], PLAIN[:2],
            rounds=1, seconds=0.0, show_progress=no_progress,
        )  # fmt: skip
    assert CheckError.exit_code == 5


def no_progress(label: str, total: int) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, text: None)


def test_the_problem_is_the_same_whatever_a_user_makes_of_the_config(tmp_path: Path) -> None:
    packaged, edited = ROOT / "src/minifw/examples/simplenet.yaml", tmp_path / "simplenet.yaml"
    text = packaged.read_text()
    for old, new in (
        ("momentum: 0.0", "momentum: 0.9"), ("eta: 1e-2", "eta: 0.3"), ("seed: 0", "seed: 7"),
        ("kind: mse ", "kind: cross-entropy "), ("dtype: float32", "dtype: float64"),
        ("init: pytorch", "init: zeros"), ("center: [0.5, 0.5]", "center: [0.0, 0.0]"),
    ):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    edited.write_text(text)
    assert loading.load(edited) != loading.load(packaged)
    assert arms.problem(edited, SMALL).config == arms.problem(packaged, SMALL).config


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="only Linux can hold a process to processors"
)
def test_threads_and_processors_are_given_back() -> None:
    before = torch.get_num_threads(), os.sched_getaffinity(0)
    with measure.on_threads(1):
        assert (torch.get_num_threads(), len(os.sched_getaffinity(0))) == (1, 1)
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == before


def test_flops_are_those_of_the_products() -> None:
    # 2-25-25-25-2: 1350 weights, 50 of them in the first layer, whose inputs need no gradient.
    assert Regime(20, 1000).flops == 20 * 1000 * (2 * 1350 * 3 - 2 * 50)


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")


@pytest.mark.parametrize("which", ["plain ways", pytest.param("all", marks=pytest.mark.slow)])
def test_the_command_writes_what_it_prints(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    if which != "all":
        no_compiler(monkeypatch)
        monkeypatch.setattr(arms, "find_spec", lambda name: None)
    sizes = ("--regime", "2x100x4", "--regime", "1x100x4", "--quick", "--rounds", 2)
    answer = minifw("bench", *sizes)
    assert answer.code == 0, answer.err
    results = json.loads(Path("benchmarks/quick.json").read_text())
    text = Path("benchmarks/quick.md").read_text()
    for regime in ("2 × 100 × 4", "1 × 100 × 4"):
        (row,) = [line.split("|")[1:-1] for line in text.splitlines() if f"| {regime} |" in line]
        assert [cell for line in answer.out.splitlines() if regime in line
                for cell in line.split()] == " ".join(row).split()  # fmt: skip
    assert max(map(len, answer.out.splitlines())) <= 80
    assert [r["seeds"] for r in results["regimes"]] == [2, 1]
    assert results["rounds"] == 2
    first, *others = results["arms"]
    assert {*PLAIN} <= {first, *others}
    for regime in results["regimes"]:
        assert 0 < regime["part_of_peak"] < 1
        assert 0 <= regime["weight_difference"] < measure.SAME
        assert regime["weight_difference"] > 0 or which != "all"
        for name in others:
            spread = regime["ratio"][name]
            assert 0 < spread["min"] <= spread["median"] <= spread["max"]
    shown = minifw("bench", *sizes[2:4], "--quick", "--rounds", 1, "--json", "--quiet")
    assert shown.json.keys() == results.keys()
    assert shown.err == "" or which != "all"


def test_what_is_missing_is_said_and_left_out(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_compiler(monkeypatch)
    monkeypatch.setattr(arms, "find_spec", lambda name: None)
    answer = minifw("bench", "--quick", "--regime", "1x100x4", "--rounds", 1)
    assert answer.code == 0, answer.err
    assert "bench: JAX is left out: it is not installed (`pip install jax`" in answer.err
    assert (
        "bench: minifw is left out: it needs a C compiler, and CC names 'no-such-compiler'"
        in answer.err
    )
    text = Path("benchmarks/quick.md").read_text()
    assert "| minifw, plain, µs | PyTorch | PyTorch vmap |" in text


@pytest.mark.parametrize("way", ["here", pytest.param("processes", marks=pytest.mark.slow)])
def test_growth_is_measured_and_drawn(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "here":  # what a process of its own would measure, measured in this one
        monkeypatch.setattr(
            measure, "ProcessPoolExecutor", lambda count, mp_context: ThreadPoolExecutor(count)
        )
    no_compiler(monkeypatch)
    monkeypatch.setattr(arms, "find_spec", lambda name: None)
    some = [Regime(1, 100, 4), Regime(2, 100, 4)][: 1 if way == "here" else 2]
    sizes = dict.fromkeys(measure.SCALING, some)
    monkeypatch.setattr(measure, "SCALING", sizes)
    monkeypatch.setattr(measure, "SCALING_EPOCHS", (1, 2))
    answer = minifw("bench", "--scaling", "--rounds", 1)
    assert answer.code == 0, answer.err
    assert answer.out == "benchmarks/scaling.svg\n"
    results = json.loads(Path("benchmarks/scaling.json").read_text())
    assert list(results["growth"]) == ["seeds", "batch", "width", "depth"]
    found = [point["megabytes"]["minifw, plain"] for point in results["memory"]]
    assert min(found) > 0 or way == "here"
    assert [point["epochs"] for point in results["epochs"]] == [1, 2]
    drawn = Path("benchmarks/scaling.svg").read_text()
    assert drawn.count('<g id="axes_') == 6
    both = minifw("bench", "--scaling", "--quick")
    assert (both.code, both.out) == (2, "")
    assert both.err.startswith("--scaling: uses its own sizes")


# ------------------------------------------------------------------------------------ whole jobs


def as_if(job: jobs.Job, arm: str, folder: Path, cache: Path) -> jobs.Done:
    """A process that takes 2 s and with a full cache 1, where JAX takes 4; it leaves its cache."""
    full = arm == jobs.FULL and cache.exists()
    cache.mkdir(parents=True, exist_ok=True)
    seconds = 4.0 if arm == jobs.JAX else 1.0 if full else 2.0
    return jobs.Done(seconds, 2 * seconds, [1.0, 1.5, None, 2.0], None if arm == jobs.JAX else full)


def test_jobs_are_interleaved_with_an_empty_and_a_full_cache(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, str, bool]] = []

    def process(job: jobs.Job, arm: str, folder: Path, cache: Path) -> jobs.Done:
        called.append((job.config, arm, cache.exists()))
        return as_if(job, arm, folder, cache)

    monkeypatch.setattr(jobs, "run_process", process)
    monkeypatch.setattr(jobs, "present", lambda: ([jobs.EMPTY, jobs.FULL, jobs.JAX], {}))
    answer = minifw("bench", "--jobs", "--rounds", 2)
    assert answer.code == 0, answer.err
    arms_of = [
        (config, arm) for config in jobs.CONFIGS for arm in (jobs.EMPTY, jobs.FULL, jobs.JAX)
    ]
    counted = called[4:]  # before, each job filled the cache, and JAX's imports were read once
    assert [(config, arm) for config, arm, _ in counted] == arms_of * 2
    assert {arm for _, arm, filled in counted if filled} == {jobs.FULL}
    results = json.loads(Path("benchmarks/jobs.json").read_text())
    for job in results["jobs"]:
        assert job["ratio"][jobs.EMPTY]["median"] == 0.5
        assert job["ratio"][jobs.FULL] == {"median": 0.25, "min": 0.25, "max": 0.25}
        assert job["cpu_seconds"][jobs.JAX]["median"] == 8
        assert job["median_test_error"][jobs.JAX] == 1.5
        assert job["compiled"] is True
    text = Path("benchmarks/jobs.md").read_text()
    assert "| simplenet-sgd | 2.00 | 1.00 | 4.00 | 0.50 | 0.25 |" in text
    both = minifw("bench", "--jobs", "--regime", "20x40")
    assert (both.code, both.out) == (2, "")
    assert both.err.startswith("--jobs: uses its own sizes")


def test_jobs_that_end_with_other_errors_are_found() -> None:
    job = jobs.Job("simplenet-sgd", 20)
    rng = torch.Generator().manual_seed(1)
    ours, same = (torch.normal(1.2, 0.4, (20,), generator=rng).tolist() for _ in range(2))
    jobs.check_alike(job, ours, same)
    with pytest.raises(
        CheckError, match="minifw and JAX must end with the same errors; the medians"
    ):
        jobs.check_alike(job, ours, [error + 1 for error in same])


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    job = jobs.Job("simplenet-sgd", 20, epochs=1)
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(
        CheckError, match=r"bench simplenet-sgd: minifw, .* ended with code 6: .*directory"
    ):
        jobs.run_process(job, jobs.EMPTY, tmp_path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("config", jobs.CONFIGS)
def test_whole_jobs_are_alike(config: str, tmp_path: Path) -> None:
    """The processes themselves, of few epochs; JAX's program is the same training."""
    job = jobs.Job(config, 8, epochs=4)
    done = {arm: [jobs.run_process(job, arm, tmp_path, tmp_path)] for arm in jobs.present()[0]}
    found = jobs.figures(job, done)
    for arm, (ended,) in done.items():
        assert len(ended.test_error) == 8
        assert 0 < found["median_test_error"][arm] < 100
        assert ended.seconds > 0
    assert (tmp_path / "results/errors.png").exists() == (jobs.JAX in done)


@pytest.mark.parametrize("text", ["20", "20x", "0x40", "20x40x25x3", "axb", "-1x4"])
def test_a_size_must_be_one(text: str) -> None:
    with pytest.raises(UsageError, match=r"--regime: must be SEEDSxBATCH .*, got '"):
        measure.parse(text)
    assert measure.parse("20 x 40 x 128") == Regime(20, 40, 128)


def test_the_readme_quotes_the_figures() -> None:
    """Each row of the table in docs/performance.md stands in the file that the benchmark wrote."""
    written = (ROOT / "benchmarks" / "steps.md").read_text().splitlines()
    page = (ROOT / "docs/performance.md").read_text().splitlines()
    rows = [line for line in written if line.startswith("| ")]
    assert len(rows) == len(measure.REGIMES) + 2
    for row in rows:
        assert row in page


# ----------------------------------------------------------------------------------------- LeNet


def test_lenet_is_trained_alike(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are compared before arms are timed; those that are missing are said."""
    no_compiler(monkeypatch)
    monkeypatch.setattr(arms, "find_spec", lambda name: None)
    monkeypatch.setattr(lenet, "REGIMES", [lenet.LeNet(2, 3)])
    answer = minifw("bench", "--lenet", "--quick", "--rounds", 1)
    assert answer.code == 0, answer.err
    assert "bench: JAX is left out: it is not installed" in answer.err
    results = json.loads(Path("benchmarks/lenet-quick.json").read_text())
    assert results["arms"] == ["minifw, plain", "PyTorch"]
    (regime,) = results["regimes"]
    assert (regime["network"], regime["seeds"], regime["batch"]) == ("LeNet", 2, 3)
    assert 0 < regime["weight_difference"] < measure.SAME
    assert "| 2 × 3 |" in Path("benchmarks/lenet-quick.md").read_text()
    both = minifw("bench", "--lenet", "--regime", "20x40")
    assert (both.code, both.out) == (2, "")
    assert both.err.startswith("--lenet: uses its own sizes")


def test_lenet_whose_step_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = nn.MaxPool2d.backward
    monkeypatch.setattr(nn.MaxPool2d, "backward", lambda self, g: right(self, g) * 1.01)
    with pytest.raises(CheckError, match=r"bench LeNet 2 x 3: .* must end with the same weights"):
        measure.run(
            ROOT / "src/minifw/examples/simplenet.yaml", [lenet.LeNet(2, 3)],
            ["minifw, plain", "PyTorch"], rounds=1, seconds=0.0, show_progress=no_progress,
        )  # fmt: skip


@pytest.mark.slow
def test_lenet_in_jax_is_the_same(minifw: Minifw) -> None:
    pytest.importorskip("jax")
    given = lenet.LeNet(2, 4).problem(ROOT / "src/minifw/examples/simplenet.yaml")
    ours, theirs = (lenet.ARMS[name](given) for name in ("minifw, plain", "JAX"))
    for arm in (ours, theirs):
        arm.train(1)
    torch.testing.assert_close(ours.weights(), theirs.weights(), rtol=1e-4, atol=1e-5)


def test_lenets_flops_are_those_of_the_products() -> None:
    # Forward, in multiplications: 117,600 and 240,000 at the places of the convolutions.
    forward = 117_600 + 240_000 + 48_000 + 10_080 + 840
    assert lenet.LeNet(1, 1).flops == 6 * forward - 2 * 117_600
