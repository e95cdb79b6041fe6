"""More seeds than memory likes: in groups, with the numbers of one stack to rounding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SMALL, Minifw
from minifw import nn, reference, runs
from minifw.config import loading
from minifw.experiment import memory
from minifw.experiment.build import build_loss, build_network
from minifw.experiment.plan import plan
from minifw.reference import training
from minifw.runs.arms import Arm
from minifw.training.checkpoint import Checkpoint
from minifw.training.evaluation import Evaluation, evaluate
from minifw.training.history import SERIES, History

SIMPLENET = Path(__file__).parent.parent / "src/minifw/examples/simplenet.yaml"
SEVEN = ("--seeds", 7, *SMALL, "--set", "train.epochs=6", "--set", "dtype=float64", "--quiet")


def run_in(minifw: Minifw, folder: str, *words: object) -> tuple[runs.Run, dict[str, Any]]:
    answer = minifw(*words, "--runs-dir", folder)
    assert answer.code == 0, answer.err
    (path,) = Path(folder).iterdir()
    run = runs.load(path)
    assert run.faults() == run.strangers() == []
    return run, run.read_json("results.json")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "simplenet-sgd"),
        ("train", "mine.yaml"),
        ("compare",),
        ("compare", "--reference", "vmap"),
    ],
    ids=" ".join,
)
def test_groups_give_the_numbers_of_one_stack(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    Path("d.csv").write_text("a,b,c\n" + "".join(f"{i},{i % 7},{i % 3}\n" for i in range(90)))
    Path("mine.yaml").write_text(
        "name: mine\ndata: {kind: csv, path: d.csv}\nnetwork: [{linear: 3}]\n"
        "loss: cross-entropy\ntrain: {eta: 0.1, epochs: 1}\n"
    )
    one, whole = run_in(minifw, "one", *words, *SEVEN)
    size = memory.Sizes.group_size
    monkeypatch.setattr(memory.Sizes, "group_size", lambda sizes: min(size(sizes), 3))
    three, grouped = run_in(minifw, "three", *words, *SEVEN)
    assert set(three.manifest.parts) == {
        f"{part}.group-{number}-of-3" for part in one.manifest.parts for number in (1, 2, 3)
    }
    for mode, arms in whole["modes"].items():
        for arm, values in arms.items():
            mine = grouped["modes"][mode][arm]
            assert mine["test_error"] == values["test_error"]
            assert mine["train_loss"] == pytest.approx(values["train_loss"], rel=1e-12)
    assert whole["seeds"] == list(range(7))
    for key in ("seeds", "about", "epochs", "eta", "data"):
        assert grouped[key] == whole[key]
    for mode, parity in whole.get("parity", {}).items():
        mine = grouped["parity"][mode]
        assert mine["same_test_error"] == parity["same_test_error"] == "7 of 7"
        difference = "max_gradient_difference_float64"
        assert mine[difference] == pytest.approx(parity[difference], abs=1e-15)
    lines = [
        [json.loads(line) for line in run.read("metrics.jsonl").splitlines()]
        for run in (one, three)
    ]
    for left, right in zip(*lines, strict=True):
        assert left["epoch"] == right["epoch"]
        assert right["train_loss"] == pytest.approx(left["train_loss"], rel=1e-12)


WATCH = """
import gc, sys, weakref
from minifw.cli import main
from minifw.experiment import memory
from minifw.training import placement
from minifw.experiment.plan import Plan
draw, held = Plan.draw, []
def watched(plan, seeds):
    if len(seeds) == 2:
        assert [ref() for ref in held] == [None] * len(held), "a group is still there"
    drawn = draw(plan, seeds)
    if len(seeds) == 2:
        held.append(weakref.ref(drawn.data.train.inputs))
    return drawn
Plan.draw = watched
memory.Sizes.group_size = lambda sizes: 2
placement.PLAIN_BYTES = 1  # parts of one seed
def left(code):
    assert (code, len(held)) == (0, 3), (code, held)
main.leave_process = left
gc.set_threshold(0)  # as it may not look for long; nobody else may turn that back
gc.set_threshold = print
main.main()
"""


@pytest.mark.parametrize(
    "words",
    [pytest.param(("train",), marks=pytest.mark.slow), ("compare", "--reference", "vmap")],
)
def test_a_group_is_gone_before_the_next_is_drawn(tmp_path: Path, words: tuple[str, ...]) -> None:
    """In a process of its own: what torch imports when it first trains holds what is around."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words, "simplenet", "--seeds", "6", *map(str, SEVEN[2:])],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_group_that_ends_early_is_nan_from_there_on() -> None:
    going, gone = History.of((2,)), History.of((1,))
    for epoch in (0, 1, 2):
        going.record(epoch, *(np.full(2, 10.0 * epoch) for _ in SERIES))
    gone.record(0, *(np.full(1, 7.0) for _ in SERIES))
    gone.diverge(np.array([True]), 1)
    gone.record(1, *(np.full(1, 7.0) for _ in SERIES))
    going.epoch, gone.epoch, going.seconds, gone.seconds = 2, 1, 3.0, 4.0
    for histories in ([going, gone], [gone, going]):
        joined = History.joined(histories)
        order = [0, 1, 2] if histories[0] is going else [2, 0, 1]
        assert (joined.epoch, joined.epochs, joined.seconds) == (2, [0, 1, 2], 7.0)
        assert joined.diverged.tolist() == np.array([-1, -1, 1])[order].tolist()
        expected = np.array([[0, 0, 7], [10, 10, np.nan], [20, 20, np.nan]])[:, order]
        for name in SERIES:
            np.testing.assert_array_equal(np.stack(getattr(joined, name)), expected)


def test_a_group_leaves_weights_and_history_alone(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what only a training that goes on needs: with many groups that would be a lot."""
    left: list[Checkpoint] = []
    joined = Checkpoint.joined

    def watched(groups: list[Checkpoint]) -> Checkpoint:
        left.extend(groups)
        return joined(groups)

    monkeypatch.setattr(Checkpoint, "joined", watched)
    monkeypatch.setattr(memory.Sizes, "group_size", lambda sizes: 3)
    run_in(minifw, "runs", "train", "simplenet-sgd", *SEVEN, "--set", "optimizer.momentum=0.9")
    assert len(left) == 3
    assert all(not group.optimizer and group.generators is None for group in left)


def test_the_last_epoch_is_that_of_the_group_that_came_furthest() -> None:
    """With as many evaluations: those after 8 and after 10 epochs where each tenth is looked at."""
    going, gone = History.of((1,)), History.of((1,))
    gone.diverge(np.array([True]), 8)
    for history, last in ((going, 10), (gone, 8)):
        for epoch in (0, last):
            history.record(epoch, *(np.full(1, 1.0) for _ in SERIES))
        history.epoch = last
    for histories in ([going, gone], [gone, going]):
        joined = History.joined(histories)
        assert (joined.epoch, joined.epochs) == (10, [0, 10])


def test_groups_hold_what_memory_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    def groups(seeds: int, *arms: Arm) -> list[int]:
        config = loading.load(SIMPLENET, [f"seeds={seeds}"])
        return [len(g) for g in plan(config, 1, ["full-batch"], arms=["minifw", *arms]).groups]

    monkeypatch.chdir(Path(__file__).parent.parent)
    assert groups(1) == [1]
    assert groups(3000) == [3000]
    many = groups(99_999)
    assert len(many) > 2
    assert sum(many) == 99_999
    assert max(many) - min(many) < len(many)
    assert max(groups(3000, "vmap")) < 3000
    size = memory.sizes(loading.load(SIMPLENET), "sgd", 1, 2, 2, 10**9, 1)
    assert size.group_size() == 1  # no less than one
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    smaller = groups(3000)  # where less is free
    assert max(smaller) < 3000 == sum(smaller)


def test_weights_of_the_pytorch_arm_are_evaluated_together_if_they_are_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many as memory likes go through minifw at once; the last ones through PyTorch itself."""
    config = loading.load(SIMPLENET, ["seeds=1"])
    drawn = plan(config, 1, ["full-batch"]).draw([0])
    network = build_network(config, [0], 2)
    together: list[int] = []

    def counted(stack: nn.Network, *of: Any) -> Evaluation:
        together.append(len(stack.parameters()[0].value))
        return evaluate(stack, *of)

    monkeypatch.setattr(training, "evaluate", counted)

    def of_ten(most: int) -> tuple[list[int], History]:
        monkeypatch.setattr(training, "AT_ONCE_BYTES", most)
        together.clear()
        result = reference.fit(
            network, build_loss(config), nn.SGD(network), drawn.data, [0],
            epochs=9, eta=0.1, batch_size=None, eval_every=1,
        )  # fmt: skip
        return list(together), result.history

    a_network = 4 * (3 * 1427 + 4 * 1000 * 77)  # weights thrice, and four results of 77 a sample
    assert of_ten(4 * a_network)[0] == [4, 4, 1]
    (none, alone), (nine, at_once) = of_ten(a_network), of_ten(99 * a_network)
    assert (none, nine) == ([], [9])
    for name in SERIES:
        np.testing.assert_allclose(getattr(alone, name), getattr(at_once, name), rtol=1e-5)
