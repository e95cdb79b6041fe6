"""Compiled steps: the numbers of plain steps, for every module, loss and stack; or a line that says why not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import LOSSES, MODULES, LossCase, linear, normal
from joined import Flat, Split, rows, shapes
from minifw import data, nn
from minifw.compile import CannotCompileError
from minifw.compile.compilers import find_compiler
from minifw.errors import NotCompiledWarning, ShapeError, UsageError
from minifw.experiment.build import build_loss
from minifw.training import compiled, evaluation, shards
from minifw.training.compiled import Steps
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.history import History
from minifw.training.learner import Learner
from minifw.training.placement import (
    PLAIN_BYTES,
    TOO_FEW,
    TOO_LARGE,
    Compiling,
    Schedule,
    StepSizes,
    decide,
    scheduled,
    why_plain,
    work,
)
from minifw.training.shards import compile_steps, divide
from test_training import experiment_of, network_of

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")


class Around(nn.Graph):
    """The layers of a chain, used more than once."""

    def __init__(self, *chain: nn.Module) -> None:
        self.register_modules(*chain)

    def connect(self, x: nn.Variable) -> nn.Variable:
        first, sigmoid, second, tanh, last = self
        y: nn.Variable = tanh(second(sigmoid(first(x))))
        z: nn.Variable = last(y + tanh(second(first(x))))
        z += last(y)
        return z


# Five seeds on two threads: one has a seed less. The last batch of 40 samples by 15 is cut short.
# The second case is an epoch of one step, of a graph that uses its modules twice.
CASES: dict[str, tuple[list[str], int, type[nn.Network]]] = {
    "sgd": (["optimizer.momentum=0.9"], 15, nn.Sequential),
    "cross-entropy": (["loss.kind=cross-entropy", "network.1=sigmoid"], 40, Around),
}


@needs_compiler
@pytest.mark.parametrize("case", CASES)
def test_compiled_training_is_plain_training(tmp_path: Path, case: str) -> None:
    overrides, batch_size, shape = CASES[case]
    exp = experiment_of(tmp_path, *overrides, seeds=5)
    ends = []
    for plan in (Schedule(), *(Schedule(Division(3, n), compiled=True) for n in (2, 1))):
        network, loss = shape(*network_of(exp)), build_loss(exp.config)
        optimizer = nn.SGD(network, exp.config.optimizer.momentum)
        history = fit(
            network, loss, optimizer, exp.data, epochs=4, eta=0.05, batch_size=batch_size,
            next_order=data.BatchOrder(exp.seeds, 40), schedule=plan,
        )  # fmt: skip
        ends.append((network.state_dict(), optimizer.state, history))
    (plain, velocity, expected), *others = ends
    for state, momenta, history in others:
        for name, value in plain.items():
            torch.testing.assert_close(state[name], value, rtol=1e-12, atol=1e-14)
        for name, value in velocity.items():
            torch.testing.assert_close(momenta[name], value, rtol=1e-11, atol=1e-13)
        np.testing.assert_array_equal(history.test_error, expected.test_error)
        np.testing.assert_allclose(history.train_loss, expected.train_loss, rtol=1e-12)
        assert (history.compiled, history.not_compiled) == (True, None)
    assert all(torch.equal(value, others[1][0][name]) for name, value in others[0][0].items())
    start = network_of(exp).state_dict()
    assert not any(torch.equal(value, start[name]) for name, value in plain.items())


class MeanApart(nn.Module):
    """Takes away the mean over all samples that it gets: samples are not independent."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(-2, keepdim=True)

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient - gradient.mean(-2, keepdim=True)


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_many_samples_are_evaluated_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool, mixes: bool
) -> None:
    """The errors are those of all at once; where samples are not independent, it is all at once."""
    exp = experiment_of(tmp_path, seeds=3)
    taken: list[int] = []

    class Counts(nn.ReLU):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            taken.append(x.shape[-2])
            return super().forward(x)

    ends = []
    for at_once in (None, 7):
        modules = [*network_of(exp), *([MeanApart()] if mixes else [])]
        network, loss = nn.Sequential(Counts(), *modules), build_loss(exp.config)
        taken.clear()
        history = fit(
            network, loss, nn.SGD(network), exp.data, epochs=3, eta=0.05, batch_size=15,
            next_order=data.BatchOrder(exp.seeds, 40), schedule=Schedule(compiled=compiled, rows=at_once),
        )  # fmt: skip
        ends.append((network.state_dict(), history, max(taken)))
    (weights, whole, _), (others, parts, most) = ends
    assert all(torch.equal(value, others[name]) for name, value in weights.items())
    np.testing.assert_array_equal(parts.test_error, whole.test_error)
    np.testing.assert_allclose(parts.train_loss, whole.train_loss, rtol=1e-12)
    if not compiled:
        assert most == (exp.data.train.count if mixes else 15)  # that of a step


def test_what_an_evaluation_holds_decides_how_many_samples_it_takes() -> None:
    """Of LeNet's 10,000 test images some thousands, so that its steps can be recorded."""
    lenet = StepSizes((6 * 28 * 28, 16 * 10 * 10, 120, 84, 10), 61_706, 4)
    rows = lenet.rows_at_once(10_000)
    assert rows == 2**28 // (2 * 4 * (4704 + 1600 + 214))
    assert lenet.recording_bytes(128, rows, 784) < PLAIN_BYTES
    assert lenet.recording_bytes(128, 10_000, 784) > PLAIN_BYTES
    assert scheduled(lenet, 5, 128, 10_000, 2).rows == rows
    small = StepSizes((25, 25, 25, 2), 1427, 4)
    assert small.rows_at_once(10_000) == 10_000
    assert scheduled(small, 5, 128, 10_000, 2).rows is None


# ------------------------------------------------------------------ every module, loss and stack


NOT_COMPILED = {
    "BatchNorm2d without any tensor": "without tensors of its own it takes the stack to "
    "have the dimensions that it was made for, and a step is recorded with one",
}
"""What is not compiled in stacks of no or several dimensions, and why; all else of the table is."""


class SideBySide(nn.Graph):
    """Every module of the table at once, each on its own features: one step for all of them."""

    def __init__(self, stack: tuple[int, ...]) -> None:
        cases = [case for case in MODULES if len(stack) == 1 or case.name not in NOT_COMPILED]
        self.counts = [len(case.inputs) for case in cases]
        self.members = [case.make(stack) for case in cases]
        self.inputs = [one for case in cases for one in case.inputs]
        self.split = Split(shapes(self.inputs))
        self.join = Flat(self.split)
        self.register_modules(self.split, *self.members, self.join)

    def connect(self, x: nn.Variable) -> nn.Variable:
        pieces = iter(self.split(x))
        outputs: list[nn.Variable] = []
        for count, module in zip(self.counts, self.members, strict=True):
            y = module(*(next(pieces) for _ in range(count)))
            outputs += y if isinstance(y, tuple) else (y,)
        joined: nn.Variable = self.join(*outputs)
        return joined


def samples_of(x: Tensor, target: Tensor) -> data.Samples:
    return data.Samples(x, target, torch.zeros(x.shape[:-1], dtype=torch.int64))


def compiled_and_plain(
    network: nn.Network, loss: nn.Loss, x: Tensor, target: Tensor, batch_size: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Take an epoch's steps over `(…, n, …)` in both ways; return weights, momenta, last outputs."""
    learner = Learner(network.train(), loss, nn.SGD(network, 0.9))
    other = learner.on([value.clone() for value in learner.state])
    samples = samples_of(x, target)
    last, sound = Steps(learner, samples, batch_size).on(learner, samples).run(None, 0.05)
    assert sound
    dim = len(samples.stack)
    for batch, of_batch in zip(
        x.split(batch_size, dim), target.split(batch_size, dim), strict=True
    ):
        output = other.step(batch, of_batch, 0.05)
    return [*learner.state, last], [*other.state, output]


@needs_compiler
@pytest.mark.parametrize("stack", [(3,), (), (2, 3)], ids=str)
def test_every_module_computes_the_same_compiled(stack: tuple[int, ...]) -> None:
    network = SideBySide(stack)
    x = rows(network.inputs, stack, 14)
    start = [value.clone() for _, value, _ in network.parameters()]
    target = 0 * network.forward(x) + normal(1)
    ours, theirs = compiled_and_plain(network, nn.LossMSE("sample"), x, target, 6)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)
    for value, before in zip(ours, start, strict=False):
        assert not torch.allclose(value, before)  # every parameter has moved


@needs_compiler
@pytest.mark.parametrize("stack", [(3,), (), (2, 3)], ids=str)
def test_every_module_is_evaluated_compiled(stack: tuple[int, ...]) -> None:
    """In the mode of use: nothing is dropped, and no running mean moves."""
    network = SideBySide(stack)
    learner = Learner(network.train(), nn.LossMSE(), nn.SGD(network))
    x = rows(network.inputs, stack, 7)
    network.forward(x)  # so that running means are some numbers
    state = [value.clone() for value in learner.state]
    samples = samples_of(x, torch.zeros(*stack, 7, 1, dtype=x.dtype))
    output = compiled.Outputs(learner, samples).of(learner, samples)
    assert all(torch.equal(a, b) for a, b in zip(learner.state, state, strict=True))
    torch.testing.assert_close(output, network.eval().forward(x), rtol=1e-11, atol=1e-13)


@needs_compiler
def test_each_network_computes_what_it_does_alone_compiled() -> None:
    """Bit for bit, with all modules: in any stack, and with random numbers too."""
    network = SideBySide((3,))
    learner = Learner(network.train(), nn.LossMSE("sample"), nn.SGD(network, 0.9))
    samples = samples_of(x := rows(network.inputs, (3,), 14), 0 * network.forward(x))
    steps = Steps(learner, samples, 6)
    alone = [
        (
            learner.on([value[k : k + 1].clone() for value in learner.state]),
            samples.of(slice(k, k + 1)),
        )
        for k in range(3)
    ]
    steps.on(learner, samples).run(None, 0.05)
    for k, (one, some) in enumerate(alone):
        steps.on(one, some).run(None, 0.05)
        for value, own in zip(learner.state, one.state, strict=True):
            assert torch.equal(value[k], own[0])


@needs_compiler
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_every_loss_computes_the_same_compiled(case: LossCase) -> None:
    network = nn.Sequential(linear(4, 3, (2,)))
    target = case.target((2,))
    x = normal(2, target.shape[1], 4)
    ours, theirs = compiled_and_plain(network, case.make("mean"), x, target, len(x[0]) // 2)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@needs_compiler
def test_weights_that_are_no_views_of_one_memory_are_trained_all_the_same() -> None:
    layer = linear(4, 3, (2, 3))
    spread = torch.zeros(3, 2, 3, 4, dtype=torch.float64).transpose(0, 1)  # not to be flattened
    (_, weight, _), (_, bias, _) = layer.parameters()
    network = nn.Sequential(layer.with_parameters([spread.copy_(weight), bias]))
    x, target = normal(2, 3, 8, 4), normal(2, 3, 8, 3)
    ours, theirs = compiled_and_plain(network, nn.LossMSE(), x, target, 8)
    assert ours[0] is spread
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


class Shared(nn.SGD):
    """Remembers one number for the whole stack."""

    def __init__(self, network: nn.Network) -> None:
        super().__init__(network)
        self.state["all"] = torch.zeros(1)


def test_what_networks_share_is_not_compiled() -> None:
    network = nn.Sequential(linear(4, 3, (2,)))
    learner = Learner(network, nn.LossMSE(), Shared(network))
    with pytest.raises(
        CannotCompileError, match=r"keeps a tensor \(1,\), which is not one for each"
    ):
        Steps(learner, samples_of(normal(2, 8, 4), normal(2, 8, 3)), 4)


@needs_compiler
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("batch_size", [15, 40])
def test_the_last_batch_has_its_own_targets(tmp_path: Path, ordered: bool, batch_size: int) -> None:
    exp = experiment_of(tmp_path, "loss.kind=cross-entropy", seeds=3)
    order = data.BatchOrder(exp.seeds, 40)() if ordered else None
    ends = []
    for quick in (False, True):
        network = network_of(exp)
        learner = Learner(network, nn.LossCrossEntropy(), nn.SGD(network))
        shards = divide(learner, exp.data, 2)
        if quick:
            steps, _ = compile_steps(learner, exp.data, batch_size)
            for shard in shards:
                shard.compiled = steps.on(shard.learner, shard.train_samples)
        ends.append([shard.train(order, batch_size, 0.1) for shard in shards])
    for (output, targets), (quick_output, quick_targets) in zip(*ends, strict=True):
        torch.testing.assert_close(quick_output, output, rtol=1e-11, atol=1e-13)
        assert torch.equal(quick_targets, targets)


@needs_compiler
@pytest.mark.parametrize("position", [-1, 8])
def test_no_order_reaches_beyond_the_samples(position: int) -> None:
    network = nn.Sequential(linear(4, 3, (2,)))
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    samples = samples_of(normal(2, 8, 4), normal(2, 8, 3))
    order = torch.arange(8).repeat(2, 1)
    order[1, 5] = position
    with pytest.raises(ShapeError, match=f"positions must be 0 to 7, got .*{position}"):
        Steps(learner, samples, 4).on(learner, samples).run(order, 0.1)


@needs_compiler
def test_what_is_not_finite_stays_where_it_is_plainly() -> None:
    """ReLU picks by a comparison there, not by bits; neighbours in the stack are none the wiser."""

    def trained(compiled_way: bool, x: Tensor) -> list[Tensor]:
        draws = [data.generator(seed, "init") for seed in range(3)]
        layers = [nn.Linear(4, 8, stack=(3,), generators=draws), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(8, 2, stack=(3,), generators=draws))
        learner = Learner(network, nn.LossMSE("sample"), nn.SGD(network))
        target = torch.zeros(*x.shape[:-1], 2)
        if compiled_way:
            samples = samples_of(x, target)
            _, sound = Steps(learner, samples, 6).on(learner, samples).run(None, 0.01)
            assert not sound
        else:
            for batch, wanted in zip(x.split(6, 1), target.split(6, 1), strict=True):
                learner.step(batch, wanted, 0.01)
        return learner.weights

    usual = torch.rand(3, 24, 4)
    for special in (math.nan, math.inf, -math.inf, 3e38):
        x = usual.clone()
        x[1, 8, 3] = special
        for ours, plain in zip(trained(True, x), trained(False, x), strict=True):
            assert torch.equal(ours.isfinite(), plain.isfinite())
            torch.testing.assert_close(ours[[0, 2]], plain[[0, 2]])


# ------------------------------------------------------------------------------- bit for bit

COMPILED = Schedule(Division(2, 2), compiled=True)


def ends_of(
    seeds: list[int], schedule: Schedule, samples: data.Dataset, *parts: int
) -> dict[str, Tensor]:
    """Train the disk's networks of these seeds for some epochs, then others; return weights."""
    draws = [data.generator(seed, "init") for seed in seeds]
    network = nn.Sequential(
        nn.Linear(2, 9, stack=(len(seeds),), generators=draws), nn.Tanh(),
        nn.Linear(9, 2, stack=(len(seeds),), generators=draws),
    )  # fmt: skip
    optimizer, order = nn.SGD(network, 0.9), data.BatchOrder(seeds, 40)
    history, epochs = None, 0
    for part in parts:
        epochs += part
        history = fit(
            network, nn.LossMSE("sample"), optimizer, samples, epochs=epochs, eta=0.05,
            batch_size=15, next_order=order, schedule=schedule, history=history,
        )  # fmt: skip
    return network.state_dict() | optimizer.state


@needs_compiler
def test_a_seed_is_the_same_in_any_stack_on_any_threads_and_with_a_break(tmp_path: Path) -> None:
    samples = experiment_of(tmp_path, "dtype=float32", seeds=5).data
    whole = ends_of([*range(5)], COMPILED, samples, 4)
    again = [
        ends_of([*range(5)], COMPILED, samples, 4),
        ends_of([*range(5)], COMPILED, samples, 1, 3),
        ends_of([*range(5)], Schedule(Division(5, 1), compiled=True), samples, 4),
        ends_of([*range(5)], Schedule(Division(1, 4), compiled=True), samples, 4),
    ]
    for name, value in whole.items():
        assert all(torch.equal(end[name], value) for end in again)
    alone = ends_of([3], COMPILED, samples.of(slice(3, 4)), 4)
    some = ends_of([2, 3, 4], COMPILED, samples.of(slice(2, 5)), 4)
    for name, value in whole.items():
        assert torch.equal(alone[name][0], value[3])
        assert torch.equal(some[name], value[2:])


def reshaped(orders: data.BatchOrder, shape: tuple[int, ...]) -> Tensor:
    return orders().reshape(shape)


@needs_compiler
def test_networks_are_evaluated_by_compiled_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment_of(tmp_path, seeds=3)  # 40 samples for training, 30 for testing
    network, found = network_of(exp), []

    def evaluate(network: nn.Network, *of: Any) -> Any:
        _, train, test, _, outputs, *_ = of
        for part in (train, test):
            expected = network.forward(part.inputs)
            torch.testing.assert_close(outputs(part), expected, rtol=1e-12, atol=1e-14)
            found.append(tuple(part.labels.shape))
        return evaluation.evaluate(network, *of)

    monkeypatch.setattr(shards, "evaluate", evaluate)
    fit(
        network, build_loss(exp.config), nn.SGD(network), exp.data, epochs=0, eta=0.05,
        schedule=Schedule(Division(3, 1), Division(2, 1), compiled=True),
    )  # fmt: skip
    assert found == [(2, 40), (2, 30), (1, 40), (1, 30)]


@needs_compiler
def test_a_single_network_is_one_of_a_stack(tmp_path: Path) -> None:
    samples = experiment_of(tmp_path, "dtype=float32", seeds=2).data
    ends = []
    for stack, own in (((1,), samples.of(slice(1, 2))), ((), samples.of(1))):
        draws = [data.generator(1, "init")]
        network = nn.Sequential(nn.Linear(2, 2, stack=stack, generators=draws))
        orders = data.BatchOrder([1], 40)
        history = fit(
            network, nn.LossMSE(), nn.SGD(network), own, epochs=3, eta=0.1, batch_size=15,
            next_order=partial(reshaped, orders, (*stack, 40)),
            schedule=Schedule(compiled=True),
        )  # fmt: skip
        assert history.compiled
        ends.append(network.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(value[0], ends[1][name])


@needs_compiler
def test_divergence_is_found_in_the_same_epoch_and_layer(tmp_path: Path) -> None:
    samples, seeds = experiment_of(tmp_path, seeds=5).data, range(5)
    for seed in seeds:
        samples.train.inputs[seed] *= 1.4**seed  # the larger, the sooner
    histories = []
    for schedule in (Schedule(), Schedule(Division(3, 2), compiled=True)):
        draws = [data.generator(seed, "init") for seed in seeds]
        layers = (linear(a, b, (5,), generators=draws) for a, b in ((2, 6), (6, 2)))
        network = nn.Sequential(next(layers), nn.ReLU(), next(layers))
        histories.append(
            fit(network, nn.LossMSE("sample"), nn.SGD(network), samples, epochs=8, eta=0.4,
                batch_size=25, schedule=schedule)
        )  # fmt: skip
    plain, quick = histories
    assert plain.diverged.tolist() == [-1, -1, -1, 5, 4]
    np.testing.assert_array_equal(quick.diverged, plain.diverged)
    np.testing.assert_array_equal(quick.diverged_layer, plain.diverged_layer)


# --------------------------------------------------------------------------- where it is not so


class Wave(nn.Tanh):
    """Computes what compiled steps do not cover."""

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.special.bessel_j0(super().forward(x))
        return found


class Counting(nn.SGD):
    """Asks a tensor for its number in a step, which no recording can answer."""

    def step(self, eta: Tensor | float) -> None:
        float(sum(gradient.sum() for _, _, gradient in self.network.parameters()))
        super().step(eta)


class Fading(nn.ReLU):
    """Which call it is, no compiled step can know."""

    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) / self.calls


class Unstacked(nn.ReLU):
    """Takes a single network's batches only."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim > 2:
            raise IndexError("two dimensions, please\nreally")
        return super().forward(x)


def wave(exp: Any) -> tuple[nn.Network, Callable[[nn.Network], nn.Optimizer], data.Dataset]:
    return nn.Sequential(*network_of(exp), Wave()), nn.SGD, exp.data


def counting(exp: Any) -> tuple[nn.Network, Callable[[nn.Network], nn.Optimizer], data.Dataset]:
    return network_of(exp), Counting, exp.data


def fading(exp: Any) -> tuple[nn.Network, Callable[[nn.Network], nn.Optimizer], data.Dataset]:
    return nn.Sequential(*network_of(exp), Fading()), nn.SGD, exp.data


def unstacked(exp: Any) -> tuple[nn.Network, Callable[[nn.Network], nn.Optimizer], data.Dataset]:
    return nn.Sequential(linear(2, 2, ()), Unstacked()), nn.SGD, exp.data.of(0)


@needs_compiler
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (
            wave,
            r"there is no C for aten\.special_bessel_j0 in 5 Wave\(\)\.forward: found: Tensor = torch\.special\.bessel_j0",
        ),
        (counting, r"[^\n]+ in Counting\(momentum=0\.0\)\.step: float\(sum"),
        (fading, r"a step changes 5 Fading\.calls, which is not in the state"),
        (unstacked, r"IndexError: two dimensions, please"),
    ],
)
def test_what_is_not_covered_is_one_line_and_plain(tmp_path: Path, made: Any, why: str) -> None:
    exp = experiment_of(tmp_path, seeds=2)
    network, optimizer, samples = made(exp)
    schedule = Schedule(compiled=True)

    def train(schedule: Schedule, history: History | None = None) -> History:
        return fit(network, nn.LossMSE(), optimizer(network), samples, epochs=2, eta=0.1,
                   batch_size=40, schedule=schedule, history=history)  # fmt: skip

    with pytest.raises(
        UsageError,
        match=rf"^train\.compile: steps cannot be compiled: {why}[^\n]*; false trains plainly$",
    ):
        train(schedule)
    begun = History.of(tuple(samples.train.labels.shape[:-1]))
    with pytest.raises(
        UsageError, match=rf"^steps cannot be compiled: {why}[^\n]*; this training began"
    ):
        train(schedule, begun)
    with pytest.warns(
        NotCompiledWarning, match=rf"^steps are not compiled: {why}[^\n]*; training is plain$"
    ):
        history = train(replace(schedule, otherwise=Schedule()))
    assert (history.epoch, history.compiled) == (2, False)
    assert history.not_compiled is not None


@needs_compiler
@pytest.mark.parametrize("thing", ["optimizer", "loss"])
def test_a_number_that_on_epoch_changes_is_an_error_where_it_would_be_ignored(
    tmp_path: Path, thing: str
) -> None:
    exp = experiment_of(tmp_path, seeds=3)

    def train(schedule: Schedule) -> History:
        network, loss = network_of(exp), nn.LossMSE("sample")
        optimizer = nn.SGD(network, 0.9)

        def on_epoch(epoch: int, history: History) -> None:
            if epoch == 2:
                changed: Any = optimizer if thing == "optimizer" else loss
                setattr(
                    changed, *(("momentum", 0.5) if changed is optimizer else ("reduction", "sum"))
                )

        return fit(network, loss, optimizer, exp.data, epochs=3, eta=0.01, batch_size=10,
                   schedule=schedule, on_epoch=on_epoch)  # fmt: skip

    assert train(Schedule()).epoch == 3  # one part, plainly: the next epoch has the new number
    for schedule in (Schedule(compiled=True), Schedule(Division(2, 1))):
        with pytest.raises(
            UsageError, match=r"^fit: on_epoch changed (SGD\.momentum|LossMSE\.reduction)"
        ):
            train(schedule)


def test_a_program_that_fails_is_told_once_and_the_other_one_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def program(*of: Any) -> Any:
        batch = of[4]
        done.append(batch)
        if batch == 10:
            raise CannotCompileError("gcc: step.c:1: error: no")
        return SimpleNamespace(library=None)

    monkeypatch.setattr(compiled, "Program", program)
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    with pytest.raises(CannotCompileError, match="^gcc: step.c:1: error: no$"):
        Steps(Learner(network, nn.LossMSE(), nn.SGD(network)), exp.data.train, 15)
    assert sorted(done) == [10, 15]


def test_true_without_a_compiler_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UsageError, match="^train.compile: true needs a C compiler, .*install"):
        experiment_of(tmp_path, "train.compile=true")
    experiment_of(tmp_path, "train.compile=auto")


def test_auto_without_a_compiler_is_plain_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    exp = experiment_of(tmp_path, "train.epochs=1000000")
    schedule = exp.plan.schedule("sgd", 3)
    assert not schedule.compiled
    network = network_of(exp)
    with pytest.warns(
        NotCompiledWarning, match="compiling needs a C compiler, and CC names 'no-such"
    ):
        history = fit(network, nn.LossMSE(), nn.SGD(network), exp.data, epochs=1, eta=0.1,
                      schedule=schedule)  # fmt: skip
    assert history.not_compiled == exp.plan.compiling["sgd"].why


@needs_compiler
def test_auto_compiles_where_it_saves_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decide("auto", TOO_FEW, True) == (False, False, TOO_FEW, False)
    assert decide("auto", "", True) == (True, True, "", False)  # or plainly where it fails
    assert decide("auto", "", False) == (False, False, "only for device: cpu", False)
    assert decide(False, "", True) == (False, False, "train.compile: false", False)
    assert decide(True, TOO_FEW, True) == (True, False, "", False)
    monkeypatch.setenv("CC", "no-such-compiler")
    assert decide("auto", TOO_FEW, True) == (False, False, TOO_FEW, False)
    assert decide("auto", "", True)[::3] == (False, True)
    with pytest.raises(UsageError, match="train.compile: true needs a C compiler"):
        decide(True, "", True)


def test_compiling_saves_time_from_so_many_steps_on() -> None:
    step = StepSizes((25, 25, 25, 2), 1427, 4)
    for seeds, batch in ((1, 1), (20, 40), (20, 1000)):
        few, many = (work(step, seeds, batch, epochs, batch, 1) for epochs in (10, 100_000))
        assert (few.saves_time, many.saves_time) == (False, True)
        assert many.plain() == pytest.approx(10_000 * few.plain())
        assert many.compiling() == few.compiling()
    one, two = (work(step, 20, 1000, 10, 1000, threads) for threads in (1, 2))
    assert two.plain() < one.plain()
    assert two.compiled() == one.compiled() / 2
    larger = work(step, 1, 100_000, 1000, 100_000, 1, features=784, evaluated=100_000)
    assert (why_plain(larger), why_plain(few), why_plain(many)) == (TOO_LARGE, TOO_FEW, "")
    ten = work(StepSizes((25,) * 10, 6000, 4), 1, 1, 1, 1, 1)
    assert ten.different < 4  # equal layers are compiled once


# ------------------------------------------------------------------------------- shards, memory


def test_inner_layers_count_where_memory_does(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, seeds=5)
    network = network_of(exp)
    nested = nn.Sequential(nn.Sequential(*network))
    sizes = [StepSizes.of(net, exp.data.train) for net in (network, nested)]
    assert sizes[0] == sizes[1] == StepSizes((6, 5, 2), 2 * 6 + 6 + 6 * 5 + 5 + 5 * 2 + 2, 8)


def test_shards_of_a_stack_give_the_numbers_of_the_whole(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, "optimizer.momentum=0.9", seeds=5)
    ends = []
    for plan in (None, Schedule(Division(2)), Schedule(Division(1, 1))):
        network = network_of(exp)
        optimizer = nn.SGD(network, 0.9)
        history = fit(
            network, nn.LossMSE("sample"), optimizer, exp.data, epochs=3, eta=0.05, batch_size=15,
            next_order=data.BatchOrder(exp.seeds, 40), schedule=plan,
        )  # fmt: skip
        ends.append((network.state_dict() | optimizer.state, history))
    for state, history in ends[1:]:
        for name, value in ends[0][0].items():
            torch.testing.assert_close(state[name], value, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(history.test_error, ends[0][1].test_error)


def test_what_a_shard_returns_is_not_lost_to_the_next_one_of_its_thread(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, seeds=4)
    network = network_of(exp)
    learner = Learner(network, nn.LossMSE("sample"), nn.SGD(network))
    ends = []
    for shard in divide(learner, exp.data, 2):
        output, _ = shard.train(None, 15, 0.05)
        ends.append((output, output.clone()))
    for output, then in ends:
        assert torch.equal(output, then)


def test_shards_share_memory_and_keep_to_the_estimate(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, seeds=6)
    network = network_of(exp)
    held = []
    for size in (6, 2, 1):
        learner = Learner(network, nn.LossMSE("sample"), nn.SGD(network))
        shards = divide(learner, exp.data, size)
        for shard in shards:
            shard.train(None, 40, 0.01)
            shard.evaluate()
        passes = [p for kept in {shard.buffers for shard in shards} for p in kept._passes.values()]
        held.append(sum(tensor.nbytes for each in passes for tensor in each.tensors))
    assert held[0] == 3 * held[1] == 6 * held[2] > 0
    # A step takes what is reckoned with, and the evaluation of 30 samples less than another.
    a_step = StepSizes.of(network, exp.data.train).step_bytes(40)
    assert a_step / 2 < held[2] <= 2 * a_step


def test_every_seed_is_in_one_shard(tmp_path: Path) -> None:
    for seeds in (1, 2, 7, 20):
        exp = experiment_of(tmp_path, seeds=seeds)
        network = network_of(exp)
        sgd = nn.SGD(network)
        for batch in (1, 1000, 10_000_000):
            for given in (True, False):
                step = StepSizes.of(network, exp.data.train)
                size = scheduled(step, seeds, batch, batch, 2, Compiling(given)).training.seeds
                shards = divide(Learner(network, nn.LossMSE(), sgd), exp.data, size)
                covered = [seed for shard in shards for seed in range(seeds)[shard.seeds]]
                assert covered == list(range(seeds))
                assert len(shards) == 1 or batch > 1 or given
        assert len(shards) == seeds  # one at a time is all that memory has place for


@pytest.mark.parametrize("compiled_way", [False, True])
def test_shards_are_at_work_at_the_same_time_and_share_the_memory_for_it(
    compiled_way: bool,
) -> None:
    step = StepSizes((6, 5, 2), 65, 8)
    samples = PLAIN_BYTES // (24 * step.step_bytes(1))  # some 24 seeds fill it
    at_once = step.networks_in(PLAIN_BYTES, samples)
    divided = scheduled(step, 64, 1, samples, 4, Compiling(compiled_way)).evaluation
    assert divided is not None
    size = divided.seeds
    assert size is not None
    assert size > 1
    assert at_once == pytest.approx(24, abs=1)
    assert size * 4 <= at_once < (size + 2) * 4


class Twice(nn.Module):
    """x, and 2 x whenever a number beside the state says so."""

    def __init__(self, doubled: Callable[[Any], bool]) -> None:
        self.doubled = doubled
        self.count, self.seen = 0, list[int]()
        self.generator = np.random.default_rng(0)

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.factor = 2.0 if self.doubled(self) else 1.0
        return x * self.factor

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient * self.factor


class Seen(Twice):
    """The same with a list."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(0)
        self.factor = 2.0 if self.doubled(self) else 1.0
        return x * self.factor


class Draws(Twice):
    """The same without the counters."""

    def forward(self, x: Tensor) -> Tensor:
        self.input = x
        self.factor = 2.0 if self.doubled(self) else 1.0
        return x * self.factor


# All of these give the same in the first steps.
BESIDE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "counter": (lambda: Twice(lambda m: m.count > 30), "changes 1 Twice.count,"),
    "list": (lambda: Seen(lambda m: len(m.seen) > 30), "changes the length of 1 Seen.seen,"),
    "python": (lambda: Draws(lambda m: random.random() < 0.01), "changes Python's generator"),
    "numpy": (lambda: Draws(lambda m: np.random.random() < 0.01), "changes NumPy's generator"),
    "own": (lambda: Draws(lambda m: m.generator.random() < 0.01), "changes 1 Draws.generator,"),
    "text": (lambda: Draws(lambda m: "nan" in f"{m.input}"), "Tensor.__format__ takes numbers"),
}


@needs_compiler
@pytest.mark.parametrize("case", BESIDE)
def test_what_a_step_keeps_beside_the_state_is_not_compiled(tmp_path: Path, case: str) -> None:
    make, why = BESIDE[case]
    exp = experiment_of(tmp_path, seeds=2)
    found = []
    for schedule in (Schedule(), Schedule(compiled=True, otherwise=Schedule())):
        random.seed(0)
        np.random.seed(0)
        first, *others = network_of(exp)
        network = nn.Sequential(first, make(), *others[1:])
        optimizer = nn.SGD(network)
        arguments: Any = {"epochs": 8, "eta": 0.1, "batch_size": 5, "schedule": schedule}
        if schedule.compiled:
            with pytest.warns(NotCompiledWarning, match=why):
                history = fit(network, nn.LossMSE(), optimizer, exp.data, **arguments)
            assert not history.compiled
        else:
            fit(network, nn.LossMSE(), optimizer, exp.data, **arguments)
        found.append([value for _, value, _ in network.parameters()])
    for plain, other in zip(*found, strict=True):  # no number was drawn that plainly is not
        assert torch.equal(plain, other)
