"""A seed trained again alone has the weights that the whole run gave it, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.data import BatchOrder
from minifw.errors import ArtefactError, DataError, UsageError
from minifw.experiment import Progress
from minifw.experiment import plan as plans
from minifw.experiment.build import build_loss, build_optimizer
from minifw.experiment.plan import Plan
from minifw.experiment.replay import replay, replay_steps
from minifw.experiment.running import start
from minifw.runs import Mode, Run
from minifw.training import Checkpoint, Learner


def planned(name: str, *settings: str, seeds: int = 3, modes: Sequence[Mode] = ()) -> Plan:
    config, source = loading.load_with_source(find_config(name), list(settings))
    return plans.plan(config, seeds, modes or [config.train.mode], source)


@contextmanager
def quiet(label: str, total: int) -> Iterator[Progress]:
    yield lambda done, text: None


def run_of(plan: Plan, folder: Path) -> Run:
    return start(plan, folder, quiet, lambda run: None).run


def kept(run: Run, mode: Mode) -> Checkpoint:
    """Return the checkpoint of all groups in a mode."""
    names = sorted(name for name in run.manifest.parts if name.startswith(f"minifw-{mode}"))
    files = [run.manifest.parts[name].file for name in names]
    return Checkpoint.joined([Checkpoint.from_bytes(run.read(file), file) for file in files])


CASES = {
    "full batch": ("simplenet", ["train.epochs=7"]),
    "batches": ("simplenet-sgd", ["train.epochs=3", "train.compile=false"]),
    "compiled": ("simplenet-sgd", ["train.epochs=3", "train.compile=true"]),
    "a schedule": (
        "simplenet-sgd",
        [
            "train.epochs=3",
            "optimizer=adam",
            "train.eta=0.01",
            "train.schedule=cosine",
            "train.compile=false",
        ],
    ),
    "early stopping": (
        "simplenet",
        [
            "train.epochs=60",
            "data.validation=0.2",
            "train.eval_every=1",
            "train.eta=0.3",
            "optimizer.momentum=0.9",
            "train.early_stopping.patience=2",
        ],
    ),
    "folds": ("iris", ["train.epochs=4", "data.folds=3", "seeds=3"]),
    "dropout and a branch": (
        "residual",
        ["train.epochs=3", 'network=[{linear: 8}, relu, {dropout: 0.5}, {linear: 2}]'],
    ),
    "batch normalisation": (
        "digits-cnn",
        [
            "train.epochs=1",
            "data.share=0.1",
            "network=[{linear: 8}, batch-norm1d, relu, {linear: 10}]",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_last_weights_are_those_of_the_run(case: str, tmp_path: Path) -> None:
    name, settings = CASES[case]
    run = run_of(planned(name, *settings), tmp_path)
    mode = run.manifest.modes[0]
    whole = kept(run, mode)
    last = run.manifest.parts[f"minifw-{mode}"].epoch
    for place, seed in enumerate(run.manifest.seeds):
        again = replay(run, seed, None, [0, last])
        first, end = again.weights
        for key, value in whole.weights.items():
            assert torch.equal(end[key][0], value[place]), (seed, key)
        assert any(not torch.equal(first[key], end[key]) for key in whole.weights), seed
    if case == "early stopping":
        assert len({*whole.history.stopped.tolist()} - {-1}) > 1, "seeds that stop at other times"


def test_in_groups_and_in_both_modes(tmp_path: Path) -> None:
    modes: tuple[Mode, Mode] = ("full-batch", "sgd")
    plan = planned("simplenet-sgd", "train.epochs=2", seeds=3, modes=modes)
    run = run_of(replace(plan, group_size=2), tmp_path)
    assert len(run.manifest.parts) == 4
    for mode in modes:
        for place, seed in enumerate(run.manifest.seeds):
            (end,) = replay(run, seed, mode, [2]).weights
            for key, value in kept(run, mode).weights.items():
                assert torch.equal(end[key][0], value[place])


def test_epochs_and_steps_on_the_way() -> None:
    """Against the bare step, taken one after the other."""
    settings = ("train.epochs=3", "optimizer.momentum=0.9", "train.schedule=cosine")
    plan = planned("simplenet-sgd", *settings, "train.compile=false")
    experiment = plan.draw([1])
    samples, network = experiment.data.train, experiment.network()
    learner = Learner(network, build_loss(plan.config), build_optimizer(plan.config, network))
    order, size = BatchOrder([1], samples.count), plan.batch_size("sgd")
    assert size is not None
    steps = -(-samples.count // size)
    each = [network.state_dict()]
    for epoch in range(3):
        batches = torch.split(order(), size, -1)
        for place, batch in enumerate(batches):
            factor = (1 + math.cos(math.pi * (epoch * steps + place) / (3 * steps))) / 2
            learner.step(*samples.in_order(batch), plan.config.train.eta * factor)
            each.append(network.state_dict())
    asked = [0, 1, steps, steps + 3, 2, 3 * steps - 1, 3 * steps]
    found = replay_steps(plan, 1, "sgd", asked)
    for step, weights in zip(asked, found.weights, strict=True):
        for key, value in each[step].items():
            torch.testing.assert_close(weights[key], value, rtol=1e-6, atol=1e-7)
    by_epochs = replay(plan, 1, "sgd", [2, 1])
    assert by_epochs.at == (2, 1)
    for weights, step in zip(by_epochs.weights, (2 * steps, steps), strict=True):
        for key, value in each[step].items():
            torch.testing.assert_close(weights[key], value, rtol=1e-6, atol=1e-7)
    network = by_epochs.network(0)
    assert not network.training
    assert torch.equal(network[0].weight, by_epochs.weights[0]["0.weight"])


def test_what_cannot_be_trained_again_is_said_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    rows = [f"{x},{x * x % 7},{'a' if x % 3 else 'b'}" for x in range(30)]
    file.write_text("\n".join(["x,y,kind", *rows]))
    data = f"data={{kind: csv, path: {file}, target: kind}}"
    run = run_of(planned("simplenet", data, "train.epochs=2"), tmp_path)
    assert replay(run, 0, None, [1]).weights
    with pytest.raises(UsageError, match="seed: must be 0 to 2, got 9"):
        replay(run, 9, None, [1])
    with pytest.raises(UsageError, match="mode: must be full-batch, got 'sgd'"):
        replay(run, 0, "sgd", [1])
    with pytest.raises(UsageError, match="epoch: must be 0 to 2, got 3"):
        replay(run, 0, None, [3])
    with pytest.raises(UsageError, match="step: must be 0 to 2, got 5"):
        replay_steps(run, 0, None, [5])
    file.write_text("\n".join(["x,y,kind", *reversed(rows)]))
    with pytest.raises(ArtefactError, match="points.csv") as caught:
        replay(run, 0, None, [1])
    assert len(caught.value.lines) == 1
    file.unlink()
    with pytest.raises(DataError, match="points.csv"):
        replay(run, 0, None, [1])


def test_a_diverged_seed_keeps_its_last_weights() -> None:
    again = replay(planned("simplenet", "train.epochs=50", "train.eta=1e6"), 0, None, [0, 50])
    assert again.diverged
    assert again.ended < 50
    assert all(value.isfinite().all() for value in again.weights[0].values())
    assert not all(value.isfinite().all() for value in again.weights[1].values())
