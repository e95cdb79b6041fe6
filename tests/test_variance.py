"""Variance: three seeds for three purposes, each lane its own run, and shares that are right."""

from __future__ import annotations

import csv
import io
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minifw as library
from conftest import Minifw
from minifw import runs
from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.errors import ArtefactError, UsageError
from minifw.experiment.build import build_data, build_loss, build_network
from minifw.library.progress import display
from minifw.statistics.components import components
from minifw.study import lanes, running
from minifw.study import variance as study
from minifw.study.variance import _of_test_set, _without

SETS = (
    "data.train=40", "data.test=30", "train.batch_size=15", "train.epochs=4", "train.eval_every=2",
)  # fmt: skip


def sets(*more: str) -> list[str]:
    return [word for each in (*SETS, *more) for word in ("--set", each)]


def measured(folder: str) -> dict[tuple[int, ...], float]:
    """Return the lines of metrics.csv for the training loss, by seeds (three or one) and epoch."""
    lines = csv.reader(io.StringIO((Path(folder) / "metrics.csv").read_text()))
    head = next(lines)
    assert head == ["run", "cell", "seed", "init", "order", "epoch", "metric", "value"]
    return {tuple(map(int, x[2:6])): float(x[7]) for x in lines if x[6] == "train_loss"}


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_a_lane_with_one_seed_for_all_is_the_run_with_that_seed(
    minifw: Minifw, compiled: str
) -> None:
    more = sets(f"train.compile={compiled}", "seed=3")
    crossed = minifw("variance", "simplenet-sgd", "--data", 3, "--init", 2, "--order", 3,
                     *more, "--json", "-q").json  # fmt: skip
    assert crossed["seeds"] == {"data": [3, 4, 5], "init": [3, 4], "order": [3, 4, 5]}
    loss = measured(crossed["run_dir"])
    for place, seed in enumerate((3, 4)):
        one = [*more, "--set", f"seed={seed}", "--json", "-q"]
        alone = minifw("train", "simplenet-sgd", *one).json
        assert crossed["test_error"][place][place][place] == alone["test_error"][0]
        assert loss[seed, seed, seed, 4] == alone["train_loss"][0]


def test_each_purpose_has_its_own_seed(minifw: Minifw) -> None:
    """The loss before training is that of the samples and weights of these seeds, by hand."""
    crossed = minifw("variance", "simplenet-sgd", "--data", 2, "--init", 3, "--order", 2,
                     *sets("dtype=float64"), "--json", "-q").json  # fmt: skip
    loss = measured(crossed["run_dir"])
    config = loading.load(find_config("simplenet-sgd"), [*SETS, "dtype=float64"])
    for data in range(2):
        for init in range(3):
            samples = build_data(config, [data], None)
            network = build_network(config, [init], len(samples.features))
            output = network.forward(samples.train.inputs)
            own = float(build_loss(config).function(output, samples.train.targets)[0])
            assert [loss[data, init, order, 0] for order in (0, 1)] == pytest.approx([own] * 2)
            assert loss[data, init, 0, 4] != loss[data, init, 1, 4], "another order"


def test_samples_are_drawn_once_for_each_seed_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    config = loading.load(find_config("simplenet-sgd"), [*SETS])
    drawn: list[Sequence[int]] = []

    def watched(config: Any, seeds: Sequence[int], *more: Any, **options: Any) -> Any:
        drawn.append(seeds)
        return build_data(config, seeds, *more, **options)

    monkeypatch.setattr(lanes, "build_data", watched)
    every = [lanes.Lane(0, data, init, 0) for data in (7, 2) for init in range(3)]
    made = lanes.stack(every, {0: config}, {0: None}, ()).data
    assert drawn == [[7, 2]]
    alone = build_data(config, [7, 7, 7, 2, 2, 2], None)
    for part, own in made.parts.items():
        assert torch.equal(own.inputs, alone.parts[part].inputs)
        assert torch.equal(own.targets, alone.parts[part].targets)
        assert torch.equal(own.class_numbers, alone.parts[part].class_numbers)
    assert np.array_equal(made.shift, alone.shift)
    assert np.array_equal(made.scale, alone.scale)


# ------------------------------------------------------------------------------- statistics


def test_shares_of_made_up_errors() -> None:
    data, init, order = (np.array(v, float) for v in ([0, 2], [0, 4], [0, 6]))
    sums = data[:, None, None] + init[:, None] + order
    found = components(sums)  # variances 2, 8 and 18
    assert [*found.shares.values()] == pytest.approx([2 / 28, 8 / 28, 18 / 28, 0])
    assert found.total_sd == pytest.approx(math.sqrt(28))
    signs = np.array([-1.0, 1.0])
    both = signs[:, None, None] * signs[:, None] * np.ones(5)
    assert [*components(both).shares.values()] == [0, 0, 0, 1]


def test_the_share_of_the_test_set_by_hand() -> None:
    """An error of 10 % on 901 samples varies by 0.09 / 900: one point squared."""
    assert _of_test_set(np.full(7, 10.0), 901, 2.0) == pytest.approx(0.25)
    assert _of_test_set(np.full(7, 10.0), 901, 0.0) is None


def test_a_network_measured_again_varies_as_the_share_of_the_test_set_says() -> None:
    rng = np.random.default_rng(0)
    wrong = 100 * rng.binomial(50, 0.2, 20_000) / 50
    assert _of_test_set(wrong, 50, wrong.std()) == pytest.approx(1, abs=0.03)


def test_one_seed_that_makes_most_of_a_share_is_found() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(5, 10, 1)) + rng.normal(size=(1, 10, 1))
    errors[:, 7] += 20
    found = components(errors)
    without = _without(errors, found, 100)
    assert without is not None
    left = components(np.delete(errors, 7, 1))
    assert without == {
        "part": "init", "seed": 107, "share": left.shares["init"], "total_sd": left.total_sd,
    }  # fmt: skip
    low = found.intervals["init"]
    assert low is not None
    assert without["share"] < low[0]  # type: ignore[operator]
    few = errors[:3, :3]
    assert _without(few, components(few), 0) is None, "too few to leave one out"


# ------------------------------------------------------------------------------- the command


def test_json(minifw: Minifw) -> None:
    words = ("--data", 3, "--init", 3, "--order", 2, "--difference", 0.3, *sets())
    answer = minifw("variance", "simplenet-sgd", *words, "--json", "-q")
    assert (answer.code, answer.err) == (0, "")
    found = answer.json
    assert set(found["shares"]) == set(found["intervals"]) == {
        "data", "init", "order", "interaction",
    }  # fmt: skip
    assert sum(found["shares"].values()) == pytest.approx(1, abs=1e-12)
    for low, high in found["intervals"].values():
        assert 0 <= low <= high <= 1
    errors = np.array(found["test_error"])
    assert errors.shape == (3, 3, 2)
    again = components(errors)
    assert found["shares"] == again.shares
    assert found["seeds_needed"] == found["seeds_for"]["0.3"] == again.seeds_needed(0.3)
    assert list(found["seeds_for"]) == ["0.1", "0.25", "0.3", "0.5", "1", "2"]
    assert (found["networks"], found["diverged"], found["difference"]) == (18, 0, 0.3)
    run = runs.load(Path(found["run_dir"]))
    assert run.manifest.status == "complete"
    assert run.faults() == run.strangers() == []
    assert {
        "tables/shares.md", "tables/seeds.csv", "plots/variance.svg", "plots/variance.png",
        "cells.json", "metrics.csv", "study.json",
    } <= run.known.keys()  # fmt: skip


def test_what_is_printed(minifw: Minifw) -> None:
    words = ("--data", 2, "--init", 2, "--order", 2, *sets())
    answer = minifw("variance", "simplenet-sgd", *words)
    assert answer.code == 0
    for text in (
        "initial weights",
        "interaction",
        "= 8 networks",
        "For a difference of 0.5 points",
    ):
        assert text in answer.out
    assert "alone is expected to make" in answer.out.replace("\n", " ")


def test_full_batch_has_no_order(minifw: Minifw) -> None:
    answer = minifw("variance", "simplenet", "--data", 2, "--init", 3, *sets(), "--json", "-q")
    assert answer.err == (
        "minifw: full batch has no order of batches, so the order has one level\n"
    )
    found = answer.json
    assert found["counts"] == {"data": 2, "init": 3, "order": 1}
    assert (found["shares"]["order"], found["intervals"]["order"]) == (0, None)
    assert sum(found["shares"].values()) == pytest.approx(1)


def test_a_purpose_with_one_seed_is_not_measured(minifw: Minifw) -> None:
    words = ("--data", 1, "--init", 3, "--order", 3, *sets())
    answer = minifw("variance", "simplenet-sgd", *words)
    assert "There is one seed of data: its share is not measured." in answer.out
    one = minifw("variance", "simplenet-sgd", "--data", 3, "--init", 1, "--order", 1, *sets(),
                 "--json").json  # fmt: skip
    assert one["shares"] == {"data": 1, "init": 0, "order": 0, "interaction": 0}
    assert set(one["intervals"].values()) == {None}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["simplenet-sgd", "--data", 0], "--data: must be at least 1, got 0"),
        (["simplenet-sgd", "--difference", 0], "--difference: must be above 0 and at most 100"),
        (["simplenet-sgd", "--difference", "nan"], "--difference: must be above 0 and at most 100"),
        (["simplenet-sgd", "--data", 1, "--init", 1, "--order", 1], "nothing varies: at least one"),
        (["simplenet", "--data", 1, "--init", 1], "full batch has no order of batches"),
        (["simplenet", "--data", 1000, "--init", 1000], "1000 x 1000 x 1 are 1000000 networks"),
        (["simplenet", "--set", "train.epcohs=1"], "did you mean 'epochs'"),
    ],
)
def test_mistakes(minifw: Minifw, tmp_path: Path, words: list[object], says: str) -> None:
    answer = minifw("variance", *words)
    assert (answer.code, answer.out) == (2, "")
    assert says in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_diverged_networks_count_as_wrong_and_are_named(minifw: Minifw) -> None:
    words = ("--data", 3, "--init", 3, "--order", 2, *sets("train.eta=1", "train.epochs=20"))
    answer = minifw("variance", "simplenet-sgd", *words)
    found = minifw("variance", "simplenet-sgd", *words, "--json", "-q").json
    errors = np.array(found["test_error"], np.float64)
    gone = int(np.isnan(errors).sum())
    assert 0 < gone == found["diverged"] < errors.size
    assert f"{gone} of 18 networks diverged; each counts as 100 % error." in answer.out
    assert sum(found["shares"].values()) == pytest.approx(1)
    table = (Path(found["run_dir"]) / "tables/shares.md").read_text()
    assert f"{gone} of 18 networks diverged" in table


def test_if_all_diverge(minifw: Minifw) -> None:
    gone = sets("init.kind=normal", "init.std=1e9")
    words = ("--data", 2, "--init", 2, "--order", 1, *gone)
    answer = minifw("variance", "simplenet-sgd", *words, "--json", "-q")
    assert answer.code == 3
    assert answer.json["shares"] == dict.fromkeys(("data", "init", "order", "interaction"))
    assert answer.json["seeds_needed"] is answer.json["total_sd"] is None
    assert "all 4 networks diverged" in answer.err
    assert minifw("variance", "simplenet-sgd", *words).code == 3


def test_a_killed_study_is_resumed_to_the_same_results(minifw: Minifw, tmp_path: Path) -> None:
    long = sets("train.epochs=600", "train.compile=false", "train.eval_every=100")
    words = ["variance", "simplenet-sgd", "--data", "2", "--init", "2", "--order", "2", *long]
    whole = minifw(*words, "--json", "-q", "--runs-dir", "whole").json
    process = subprocess.Popen(
        [sys.executable, "-m", "minifw", *words, "-q"],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        while not list(tmp_path.glob("runs/*/jobs/*.partial")):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    (path,) = (tmp_path / "runs").iterdir()
    answer = minifw("resume", path.name, "--json", "-q")
    assert answer.code == 0
    left = {"run_dir": "", "seconds": 0}
    assert answer.json | left == whole | left
    assert measured(answer.json["run_dir"]) == measured(whole["run_dir"])


def test_any_division_gives_the_same_results(tmp_path: Path) -> None:
    config = loading.load(find_config("simplenet-sgd"), [*SETS])
    plan = study.plan(config, Source("a"), {"data": 3, "init": 2, "order": 3}, 1)
    found = [
        running.start(plan, study.Variance(), config, tmp_path, display(quiet=True), print,
                      pieces=pieces)
        for pieces in (1, 5)
    ]  # fmt: skip
    assert len(list((found[1].run.path / "jobs").iterdir())) == 5
    whole, divided = ((x.results.cells, x.results.outcome, measured(str(x.run.path)))
                       for x in found)  # fmt: skip
    assert divided == whole


@pytest.mark.parametrize(
    "change", [{"crossing": None}, {"options": {}}, {"options": {"difference": "x"}}]
)
def test_a_study_from_anybody_is_checked(minifw: Minifw, change: dict[str, Any]) -> None:
    words = ("--data", 2, "--init", 2, "--order", 2, *sets())
    run = runs.load(Path(minifw("variance", "simplenet-sgd", *words, "--json").json["run_dir"]))
    content: Any = run.read_json("study.json")
    run.write_json("study.json", content | change)
    run.commit(status="interrupted")
    answer = minifw("resume", run.path, "-q")
    assert answer.code == 4
    assert answer.err == ("study.json: a study of variance needs a crossing and a difference\n")


# ------------------------------------------------------------------------------- from Python


def test_from_python(tmp_path: Path, minifw: Minifw) -> None:
    small = {key: float(value) if "." in value else int(value)
             for key, _, value in (each.partition("=") for each in SETS)}  # fmt: skip
    found = library.variance(
        "simplenet", mode="sgd", data=3, init=2, order=2, overrides=small, runs_dir=tmp_path
    )
    answer = minifw("variance", "simplenet-sgd", "--data", 3, "--init", 2, "--order", 2, *sets(),
                    "--json", "-q").json  # fmt: skip
    assert found.shares == answer["shares"]
    assert {k: v and list(v) for k, v in found.intervals.items()} == answer["intervals"]
    assert found.errors.tolist() == answer["test_error"]
    assert found.total_sd == answer["total_sd"]
    assert found.seeds == answer["seeds"]
    assert found.seeds_needed(0.5) == answer["seeds_needed"]
    assert found.seeds_needed(0.5, power=0.99) > answer["seeds_needed"]
    frame = found.frame()
    assert {"seed", "init", "order", "epoch", "metric", "value"} < set(frame.columns)
    last = frame[(frame.metric == "test_error") & (frame.epoch == 4)]
    by_seeds = last.set_index(["seed", "init", "order"]).value
    assert by_seeds[2, 1, 0] == found.errors[2, 1, 0]
    assert "initial weights" in found.table().markdown()
    assert "<table>" in found._repr_html_()
    assert found.figure()._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert repr(found).endswith("complete, 3 data × 2 init × 2 order = 12 networks>")
    again = library.load(found.path)
    assert isinstance(again, library.Variance)
    assert again.shares == found.shares


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"data": 0}, "data: must be a whole number of at least 1"),
        ({"order": 2.5}, "order: must be a whole number"),
        ({"difference": -1}, "difference: must be above 0"),
        ({"difference": "1"}, "difference: must be a number"),
        ({"data": 1, "init": 1}, "nothing varies"),
    ],
)
def test_mistakes_from_python(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        library.variance("simplenet", runs_dir=tmp_path / "runs", **given)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shares": {"data": 2.0}}, "shares"),
        ({"counts": {"data": 3, "init": 2, "order": 2}}, "a test error for each"),
        ({"shares": {}}, "a share and an interval of each part"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_outcome_from_anybody_is_checked(
    minifw: Minifw, change: dict[str, Any], says: str
) -> None:
    words = ("--data", 2, "--init", 2, "--order", 2, *sets())
    run = runs.load(Path(minifw("variance", "simplenet-sgd", *words, "--json").json["run_dir"]))
    content: Any = run.read_json("cells.json")
    content["outcome"] |= change
    run.write_json("cells.json", content)
    run.commit()
    with pytest.raises(ArtefactError, match=says):
        library.load(run.path)
    shown = minifw("runs", "show", run.path)
    assert (shown.code, "Traceback" in shown.err) == (4, False)
