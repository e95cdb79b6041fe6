"""How a stack is divided: who is at work on it, on how many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch

from minifw import data, nn
from minifw.training import evaluation, placement
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.placement import Schedule, StepSizes


def dataset(seeds: int, samples: int) -> data.Dataset:
    draws = [
        [data.disk(data.generator(s, "data"), samples, (0.5, 0.5), 0.4)] * 2 for s in range(seeds)
    ]
    return data.stack_seeds(
        ((train, test) for train, test in draws), seeds=range(seeds), features="xy", classes="01",
        normalize=True, one_hot=True, dtype=torch.float32,
    )  # fmt: skip


def network(seeds: int, width: int = 25) -> nn.Sequential:
    generators = [data.generator(s, "init") for s in range(seeds)]
    first = nn.Linear(2, width, stack=(seeds,), generators=generators)
    return nn.Sequential(
        first, nn.ReLU(), nn.Linear(width, 2, stack=(seeds,), generators=generators)
    )


@pytest.fixture
def two_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("two_threads")
def test_no_thread_of_torch_is_waited_for_where_a_stack_can_be_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_work: set[int] = set()
    of_torch: set[int] = set()
    both = threading.Barrier(2)
    of_linear = nn.Linear.forward

    def forward(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-2] == 1:  # the sample by which fit checks its arguments
            return of_linear(self, x)
        me = threading.get_ident()
        if len(at_work) < 2 and me not in at_work:
            at_work.add(me)
            both.wait(timeout=60)  # for the other thread: it is at work at the same time
        of_torch.add(torch.get_num_threads())
        return of_linear(self, x)

    monkeypatch.setattr(nn.Linear, "forward", forward)
    samples, stack = dataset(9, 1000), network(9)
    plan = placement.for_data(stack, samples, None, 2, False)
    fit(stack, nn.LossMSE(), nn.SGD(stack), samples, epochs=2, eta=0.1, schedule=plan)
    assert len(at_work) == 2
    assert of_torch == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("seeds", [1, 2])
def test_no_thread_of_torch_is_waited_for_where_divergence_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    of_torch: list[int] = []
    of_shard = evaluation.finite

    def finite(*of: Any) -> Any:
        of_torch.append(torch.get_num_threads())
        return of_shard(*of)

    monkeypatch.setattr("minifw.training.shards.finite", finite)
    samples, stack = dataset(seeds, 40), network(seeds)
    fit(stack, nn.LossMSE(), nn.SGD(stack), samples, epochs=3, eta=0.1)
    assert of_torch == [1, 1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_numbers_do_not_depend_on_how_the_stack_is_divided() -> None:
    samples, ends = dataset(5, 700), []
    for plan in (
        Schedule(Division(threads=1)),
        Schedule(Division(3, 2)),
        Schedule(Division(1, 2)),
        Schedule(Division(2, 1), Division(4, 2)),
    ):
        stack = network(5)
        history = fit(
            stack,
            nn.LossMSE(),
            nn.SGD(stack),
            samples,
            epochs=6,
            eta=0.1,
            eval_every=2,
            schedule=plan,
        )
        ends.append((stack.state_dict(), history))
    for state, history in ends[1:]:
        for name, value in ends[0][0].items():
            assert torch.equal(state[name], value)
        for series in ("train_loss", "train_error", "test_error"):
            np.testing.assert_array_equal(getattr(history, series), getattr(ends[0][1], series))


@pytest.mark.usefixtures("two_threads")
def test_steps_and_evaluations_share_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every thread has memory of its own for results.
    at_work: dict[int, set[int]] = {}
    both = threading.Barrier(2)
    reuse = nn.Buffers.reuse_in_thread

    def reuse_in_thread(self: nn.Buffers, key: torch.Size) -> AbstractContextManager[None]:
        mine = at_work.setdefault(key[-2], set())
        if len(mine) < 2 and threading.get_ident() not in mine:
            mine.add(threading.get_ident())
            both.wait(timeout=60)  # for the other thread, so that each takes a shard
        mine.add(threading.get_ident())
        return reuse(self, key)

    monkeypatch.setattr(nn.Buffers, "reuse_in_thread", reuse_in_thread)
    stack = network(4)
    fit(stack, nn.LossMSE(), nn.SGD(stack), dataset(4, 40), epochs=3, eta=0.1, batch_size=10,
        schedule=Schedule(Division(1, 2), Division(2, 2)))  # fmt: skip
    assert at_work.keys() == {10, 40}
    assert at_work[10] == at_work[40]
    assert len(at_work[10]) == 2


def test_small_steps_take_one_thread_and_their_evaluation_more() -> None:
    step = StepSizes((25, 2), 127, 4)
    for seeds, batch, expected in (
        (1, 1000, [(1, 1), (1, 1)]),
        (5, 1000, [(5, 1), (5, 1)]),
        (20, 40, [(20, 1), (5, 4)]),
        (20, 1000, [(5, 4), (5, 4)]),
        (3, 10_000, [(1, 3), (3, 1)]),
    ):
        plan = placement.scheduled(step, seeds, batch, 1000, 4)
        assert plan.evaluation is not None
        found = [
            (min(seeds, part.seeds or 0), part.threads) for part in (plan.training, plan.evaluation)
        ]
        assert found == expected


def test_compiled_steps_take_the_threads_that_an_epoch_is_worth() -> None:
    step = StepSizes((25, 25, 25, 2), 1427, 4)
    for seeds, batch, samples, expected in (
        (1, 40, 100_000, (1, 1)),  # a network is never divided
        (20, 40, 1000, (5, 4)),
        (18, 1000, 1000, (5, 4)),
        (20, 40, 40, (20, 1)),  # one short step an epoch
        (3, 40, 100_000, (1, 3)),
    ):
        plan = placement.scheduled(step, seeds, batch, samples, 4, placement.Compiling(True))
        assert plan.compiled
        assert plan.training == expected
        assert placement.work(step, seeds, batch, 9, samples, 4).threads == expected[1]


def test_a_layer_is_as_large_as_a_forward_pass_shows_it() -> None:
    """Whatever module it is: here one that stands twice, in a network within the network."""
    stack, layer = (3,), nn.Linear(4, 4, stack=(3,), bias=False)
    inner = nn.Sequential(layer, nn.Tanh(), nn.Sequential(layer))
    whole = nn.Sequential(nn.Linear(2, 4, stack=stack), nn.ReLU(), inner, nn.Sigmoid())
    expected = StepSizes((4, 4, 4), 2 * 4 + 4 + 4 * 4, 4)
    assert StepSizes.of(whole, dataset(3, 5).train) == expected
    assert StepSizes.of(nn.Sequential(nn.Tanh()), dataset(3, 5).train) == StepSizes((), 0, 4)
