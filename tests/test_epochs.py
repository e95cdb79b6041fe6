"""The loop over epochs, and the one step: what is called, in which order, and by whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.compile import CannotCompileError
from minifw.training.compiled import Steps
from minifw.training.epochs import Trainer, run_epochs
from minifw.training.fit import fit
from minifw.training.history import SERIES, History
from minifw.training.learner import Learner
from test_training import experiment_of, network_of

GONE = np.array([True])


class Noting(Trainer):
    """Notes what it is asked for; the network diverges in one epoch, and is seen to in another."""

    def __init__(self, diverges: int = -1, seen: int = -1) -> None:
        self.diverges, self.seen = diverges, seen
        self.calls: list[str] = []

    def train_epoch(self, order: Tensor | None) -> None:
        self.calls.append("train" if order is None else f"train {order.item()}")

    def find_diverged(self, history: History, now: bool) -> None:
        self.calls.append("look now" if now else "look")
        if history.epoch == self.seen:
            history.diverge(GONE, self.diverges)
            history.epoch = self.diverges

    def evaluate(self, history: History, last: bool) -> None:
        self.calls.append(f"{'last ' if last else ''}evaluation of {history.epoch}")
        history.record(history.epoch, *(np.zeros(1) for _ in SERIES))

    def wait(self) -> None:
        self.calls.append("wait")

    def heard(self) -> str:
        return ", ".join(call for call in self.calls if call != "wait")


def test_evaluations_come_first_at_every_nth_epoch_and_last() -> None:
    trainer, epochs, orders = Noting(), [], iter(torch.arange(10, 15))
    history = run_epochs(
        trainer, 5, next_order=lambda: next(orders), eval_every=2,
        on_epoch=lambda epoch, history: epochs.append((epoch, history.epochs[-1])),
        history=History.of((1,)),
    )  # fmt: skip
    assert trainer.heard() == (
        "evaluation of 0, train 10, look, train 11, look now, evaluation of 2, train 12, look, "
        "train 13, look now, evaluation of 4, train 14, look now, last evaluation of 5"
    )
    assert (history.epochs, history.epoch) == ([0, 2, 4, 5], 5)
    assert epochs == [(1, 0), (2, 2), (3, 2), (4, 4), (5, 5)]


def test_a_history_goes_on_where_it_ended() -> None:
    trainer, history = Noting(), History.of((1,))
    history.record(0, *(np.zeros(1) for _ in SERIES))
    history.epoch = 3
    run_epochs(trainer, 4, history=history)
    assert trainer.heard() == "train, look now, last evaluation of 4"
    run_epochs(trainer, 4, history=history)
    assert trainer.calls.count("train") == 1  # nothing is left to do


def test_the_end_comes_early_when_all_have_diverged() -> None:
    trainer, epochs = Noting(diverges=3, seen=5), []
    history = run_epochs(trainer, 9, eval_every=7, history=History.of((1,)),
                         on_epoch=lambda epoch, history: epochs.append(epoch))  # fmt: skip
    assert trainer.heard().endswith("train, look, last evaluation of 3")
    assert epochs == [1, 2, 3, 4, 5]  # each that was trained
    assert (history.epochs, history.epoch) == ([0, 3], 3)
    assert np.isnan(history.test_error[-1]).all()


def test_clocks_wait_for_the_device_and_leave_out_what_is_not_training() -> None:
    trainer = Noting()
    history = run_epochs(trainer, 1, history=History.of((1,)))
    # What was started before does not count, what is started does.
    assert trainer.calls == [
        "wait", "evaluation of 0", "wait", "wait", "train", "wait",
        "wait", "look now", "last evaluation of 1", "wait",
    ]  # fmt: skip
    assert history.seconds > 0 < history.evaluation_seconds


# ------------------------------------------------------------------------------------- the step


def learner_of(tmp_path: Path) -> tuple[Learner, Tensor, Tensor]:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    learner = Learner(network, nn.LossMSE("sample"), nn.SGD(network, 0.9))
    return learner, exp.data.train.inputs, exp.data.train.targets


def test_a_learner_on_copies_leaves_its_own_state_and_on_views_changes_it(tmp_path: Path) -> None:
    learner, inputs, targets = learner_of(tmp_path)
    before = [value.clone() for value in learner.state]
    assert len(before) == 2 * 6  # weights and biases of three layers, and the momentum of each
    copies = [value.clone() for value in before]
    output = learner.on(copies).step(inputs, targets, 0.1)
    assert torch.equal(output, learner.network.forward(inputs))
    assert all(torch.equal(a, b) for a, b in zip(learner.state, before, strict=True))
    learner.on([value[1:2] for value in learner.state]).step(inputs[1:2], targets[1:2], 0.1)
    for value, copy, start in zip(learner.state, copies, before, strict=True):
        torch.testing.assert_close(value[1], copy[1], rtol=1e-12, atol=1e-14)
        assert not torch.equal(value[1], start[1])
        assert torch.equal(value[::2], start[::2])


def test_results_of_a_step_come_in_its_order(tmp_path: Path) -> None:
    learner, inputs, targets = learner_of(tmp_path)
    output = learner.step(inputs, targets, 0.1)
    results = [*learner.results()]
    assert [position for position, _ in results] == [
        *(0, 1, 2, 3, 4), *(4, 4, 2, 2, 0, 0), *(0, 0, 2, 2, 4, 4)
    ]  # fmt: skip
    values = [value for _, value in results]
    assert values[4] is output
    gradients = [gradient for _, _, gradient in learner.network.parameters()]
    assert all(a is b for a, b in zip(values[5:11], reversed(gradients), strict=True))
    assert all(a is b for a, b in zip(values[11:], learner.weights, strict=True))


def test_fit_the_search_for_a_fault_and_the_compiler_take_the_same_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    optimizer, loss = nn.SGD(network), nn.LossMSE("sample")
    right, stacks = Learner.step, []

    def spoiled(self: Learner, inputs: Tensor, *of: Any) -> Tensor:
        """The step, and then a weight of the second layer of seed 1 that is infinite."""
        stacks.append(len(inputs))
        output = right(self, inputs, *of)
        self.weights[2][1 if len(inputs) == 3 else 0, 0, 0] = torch.inf
        return output

    monkeypatch.setattr(Learner, "step", spoiled)
    history = fit(network, loss, optimizer, exp.data, epochs=1, eta=0.05)
    assert stacks == [3, 1]  # training; the search, in the network that diverged
    assert history.diverged_layer.tolist() == [-1, 2, -1]  # no other step would find it there

    def no_more(*of: Any) -> Tensor:
        raise RuntimeError("recorded")

    monkeypatch.setattr(Learner, "step", no_more)
    with pytest.raises(CannotCompileError, match="RuntimeError: recorded"):
        Steps(Learner(network, loss, optimizer), exp.data.train, 40)
