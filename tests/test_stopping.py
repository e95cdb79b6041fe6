"""Early stopping: each network of a stack ends by its own samples for validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.data import BatchOrder, Dataset, generator
from minifw.errors import ArtefactError, DtypeError, UsageError
from minifw.training import (
    Checkpoint,
    EarlyStopping,
    History,
    Trainer,
    evaluate,
    run_epochs,
    shards,
)
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.placement import Schedule
from minifw.training.workers import Workers

# ------------------------------------------------------------------------- the rule, by hand

NAN = float("nan")


class Given(Trainer):
    """Networks whose one weight is the number of their steps, and whose validation loss is given.

    `losses` has a column for each network, a row for each epoch, the first before training.
    """

    def __init__(self, losses: Sequence[Sequence[float]]) -> None:
        self.losses = np.array(losses, np.float64)
        self.weight = torch.zeros(self.losses.shape[1:], dtype=torch.float64)
        self.left = torch.ones_like(self.weight, dtype=torch.bool)

    def train_epoch(self, order: Tensor | None) -> None:
        self.weight += self.left

    def evaluate(self, history: History, last: bool) -> None:
        now = self.losses[history.epoch]
        weight = self.weight.numpy().copy()
        history.record(history.epoch, weight, now, weight, now, 10 * now, now)

    def tensors(self) -> Mapping[str, Tensor]:
        return {"weight": self.weight}

    def leave(self, history: History) -> None:
        self.left = torch.from_numpy(~history.ended)


def followed(
    losses: Sequence[Any], epochs: int | None = None, **rule: Any
) -> tuple[Given, History]:
    trainer = Given(losses)
    until = len(losses) - 1 if epochs is None else epochs
    history = History.of(tuple(trainer.weight.shape))
    run_epochs(trainer, until, history=history, stopping=EarlyStopping(**rule))
    return trainer, history


# One network a row: the validation loss after 0, 1, … epochs, patience and min_delta; then the
# epoch after which it stops (-1: never) and that of its best.
CURVES: dict[str, tuple[list[float], int, float, int, int]] = {
    "the best, then twice worse": ([5, 4, 3, 3.5, 3.2, 1, 1], 2, 0, 4, 2),
    "an equal value is no better": ([5, 4, 4, 4, 1, 1, 1], 2, 0, 3, 1),
    "a new best begins the count again": ([5, 6, 4, 5, 3, 4, 4], 2, 0, 6, 4),
    "patience 1": ([5, 4, 4.5, 1, 1, 1, 1], 1, 0, 2, 1),
    "never better than at the start": ([1, 2, 2, 2, 2, 2, 2], 3, 0, 3, 0),
    "better until the end": ([7, 6, 5, 4, 3, 2, 1], 1, 0, -1, 6),
    "many small steps are a large one": ([5, 4.5, 4.2, 3.9, 3.5, 3.2, 2.8], 3, 1, -1, 6),
    "too little for too long": ([5, 4.5, 4.2, 4.1, 1, 1, 1], 3, 1, 3, 0),
    "by exactly min_delta is no better": ([5, 4, 3, 2, 2, 2, 2], 1, 1, 1, 0),
    "not a number is no better": ([5, 4, NAN, NAN, NAN, NAN, NAN], 3, 0, 4, 1),
    "a number is better than none": ([NAN, 9, 10, 10, 1, 1, 1], 2, 0, 3, 1),
}


@pytest.mark.parametrize("case", CURVES)
def test_a_network_stops_after_so_many_evaluations_without_a_new_best(case: str) -> None:
    losses, patience, min_delta, stopped, best = CURVES[case]
    trainer, history = followed(losses, patience=patience, min_delta=min_delta)
    assert (int(history.stopped), int(history.best_epoch)) == (stopped, best)
    assert history.epoch == (stopped if stopped >= 0 else len(losses) - 1)
    assert trainer.weight == best  # of that epoch, since a step adds 1
    np.testing.assert_array_equal(history.final("validation_loss"), losses[best])
    assert history.final("train_loss") == best


def test_the_networks_of_a_stack_stop_alone_and_change_no_more() -> None:
    columns = [[5, 4, 3, 4, 4, 4, 4], [5, 6, 7, 8, 9, 9, 9], [7, 6, 5, 4, 3, 2, 1]]
    trainer, history = followed(list(zip(*columns, strict=True)), patience=2)
    assert history.stopped.tolist() == [4, 2, -1]
    assert history.best_epoch.tolist() == [2, 0, 6]
    assert trainer.weight.tolist() == [2, 0, 6]
    # What was measured later is that of the weights that are kept.
    measured = np.array(history.train_loss)
    assert measured[:, 0].tolist() == [0, 1, 2, 3, 4, 2, 2]
    assert measured[:, 1].tolist() == [0, 1, 2, 0, 0, 0, 0]


def test_last_weights_may_be_kept() -> None:
    trainer, history = followed([5, 4, 3, 4, 4, 4, 4], patience=2, restore="last")
    assert (int(history.stopped), int(history.best_epoch), float(trainer.weight)) == (4, 2, 4)
    assert history.final("validation_loss") == 4
    assert not history.best


def test_the_error_may_be_watched() -> None:
    """Ten times the loss here, so that min_delta says which of both is meant."""
    losses = [5, 4.5, 4, 3.5, 3, 2.5, 2]
    _, history = followed(losses, patience=1, min_delta=2, monitor="error")
    assert int(history.stopped) == -1
    _, history = followed(losses, patience=1, min_delta=2)
    assert int(history.stopped) == 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"patience": True}, "patience must be a whole number of at least 1, got True"),
        ({"patience": 2.0}, "patience must be a whole number of at least 1, got 2.0"),
        ({"min_delta": -1}, "min_delta must be a finite number of at least 0, got -1"),
        ({"min_delta": NAN}, "min_delta must be a finite number of at least 0, got nan"),
        ({"monitor": "test"}, "monitor must be loss or error, got 'test'"),
        ({"restore": "first"}, "restore must be best or last, got 'first'"),
    ],
)
def test_a_rule_with_a_wrong_value_is_refused_in_words(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"^EarlyStopping: {words}$"):
        EarlyStopping(**rule)


# ----------------------------------------------------------------------------- with real networks

SEEDS = 6
RULE = EarlyStopping(patience=3)
GOES_ON = 4  # a seed that does not stop


def samples(seeds: Sequence[int] = range(SEEDS)) -> Dataset:
    """Noise that is soon learned by heart, so that networks stop at different times."""
    parts: list[Any] = []
    for count in (24, 20, 20):
        draws = [generator(seed, "data") for seed in seeds]
        x = np.stack([draw.normal(size=(64, 3))[:count] for draw in draws])
        y = (x[..., 0] + 1.5 * np.stack([draw.normal(size=count) for draw in draws]) > 0).astype(
            int
        )
        parts += [x + len(parts), y]
    x, y, x_test, y_test, x_validation, y_validation = parts
    return Dataset.from_arrays(
        x, y, x_test - 2, y_test, x_validation=x_validation - 4, y_validation=y_validation,
        normalize=False, dtype="float64",
    )  # fmt: skip


class Case:
    """Networks of some seeds, with all that training needs."""

    def __init__(
        self, seeds: Sequence[int] = range(SEEDS), momentum: Any = 0.9, states: bool = False
    ) -> None:
        self.data, stack = samples(seeds), (len(seeds),)
        draws = [generator(seed, "init") for seed in seeds]
        own: dict[str, Any] = {"stack": stack, "dtype": torch.float64}
        more = [nn.BatchNorm1d(8, **own), nn.Dropout(0.2, **own)] if states else []
        self.network = nn.Sequential(
            nn.Linear(3, 8, generators=draws, **own),
            nn.Tanh(),
            *more,
            nn.Linear(8, 2, generators=draws, **own),
        )
        self.network.reseed([generator(seed, "dropout") for seed in seeds])
        self.optimizer = nn.SGD(self.network, momentum=momentum)
        self.order = BatchOrder(seeds, 24)

    def fit(self, epochs: int = 60, eta: Any = 0.1, **more: Any) -> History:
        given: dict[str, Any] = {"stopping": RULE, "schedule": Schedule()} | more
        return fit(
            self.network,
            nn.LossCrossEntropy(),
            self.optimizer,
            self.data,
            epochs=epochs,
            eta=eta,
            batch_size=8,
            next_order=self.order,
            **given,
        )

    @property
    def state(self) -> list[Tensor]:
        return [*self.network.state_dict().values(), *self.optimizer.state.values()]


COMPILED = Schedule(compiled=True)
SCHEDULES = {
    "plain": Schedule(),
    "plain, in shards": Schedule(Division(2, 2), Division(3, 1)),
    "compiled": COMPILED,
    "compiled, in shards": Schedule(Division(2, 2), Division(2, 2), compiled=True),
}


@pytest.mark.parametrize("how", SCHEDULES)
def test_a_network_of_a_stack_stops_as_it_does_alone(how: str) -> None:
    """Bit for bit: weights, what the optimizer remembers, and all that was measured."""
    whole = Case()
    history = whole.fit(schedule=SCHEDULES[how])
    assert len({*history.stopped.tolist()}) > 3  # at different times
    for seed in range(SEEDS):
        alone = Case([seed])
        own = alone.fit(schedule=Schedule(compiled=SCHEDULES[how].compiled))
        for mine, other in zip(alone.state, whole.state, strict=True):
            assert torch.equal(mine[0], other[seed])
        for name in ("stopped", "best_epoch", "kept", "diverged"):
            assert getattr(own, name)[0] == getattr(history, name)[seed]
        for name in own.series:
            values = np.array(getattr(own, name))[:, 0]
            among = np.array(getattr(history, name))[:, seed]
            np.testing.assert_array_equal(values, among[: len(values)])
            np.testing.assert_array_equal(own.final(name)[0], among[len(values) :])


@pytest.mark.parametrize("how", ["plain", "compiled, in shards"])
def test_states_of_modules_stop_and_are_restored_as_weights_are(how: str) -> None:
    """Running means of the best evaluation, and each network's own stream of random numbers."""
    whole = Case(states=True)
    history = whole.fit(schedule=SCHEDULES[how])
    assert (history.stopped >= 0).sum() >= 3
    for seed in range(SEEDS):
        alone = Case([seed], states=True)
        own = alone.fit(schedule=Schedule(compiled=SCHEDULES[how].compiled))
        assert own.stopped[0] == history.stopped[seed]
        assert len(alone.state) == len(whole.state)
        for mine, other in zip(alone.state, whole.state, strict=True):
            assert torch.equal(mine[0], other[seed])
    again = evaluate(
        whole.network, nn.LossCrossEntropy(), whole.data.train, whole.data.test, nn.Buffers(), None,
        whole.data.validation,
    )  # fmt: skip
    for name, values in zip(history.series, again, strict=True):
        np.testing.assert_allclose(history.final(name), values, rtol=1e-12, err_msg=name)


RATES = [0.1, 0.05, 0.2, 1.7e308, 0.1, 0.02]


@pytest.mark.parametrize("how", ["plain", "compiled, in shards"])
def test_so_does_one_beside_others_that_diverge_or_have_other_rates(how: str) -> None:
    whole = Case(momentum=[0.9, 0.5, 0.0, 0.9, 0.8, 0.9])
    history = whole.fit(eta=RATES, schedule=SCHEDULES[how])
    assert (history.diverged >= 0).tolist() == [seed == 3 for seed in range(SEEDS)]
    assert (history.stopped >= 0).sum() >= 3
    assert history.stopped[3] == -1
    for seed in range(SEEDS):
        alone = Case([seed], momentum=[whole.optimizer.state["momentum"][seed].item()])
        own = alone.fit(eta=RATES[seed], schedule=Schedule(compiled=SCHEDULES[how].compiled))
        assert own.stopped[0] == history.stopped[seed]
        assert own.diverged[0] == history.diverged[seed]
        np.testing.assert_array_equal(own.final("test_error")[0], history.final("test_error")[seed])
        for mine, other in zip(alone.state, whole.state, strict=True):
            assert torch.equal(mine[0].nan_to_num(7), other[seed].nan_to_num(7))


def test_a_single_network_stops_as_a_stack_of_one() -> None:
    stack = Case([0])
    history = stack.fit()
    one = Case([0])
    network = one.network.with_parameters([v[0].clone() for _, v, _ in one.network.parameters()])
    optimizer = nn.SGD(network, momentum=0.9)
    own = fit(
        network, nn.LossCrossEntropy(), optimizer, one.data.of(0), epochs=60, eta=0.1,
        batch_size=8, next_order=lambda: one.order()[0], stopping=RULE, schedule=Schedule(),
    )  # fmt: skip
    assert int(own.stopped) == history.stopped[0] > 0
    for (_, mine, _), (_, other, _) in zip(
        network.parameters(), stack.network.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, other[0])


@pytest.mark.parametrize("restore", ["best", "last"])
@pytest.mark.parametrize("how", SCHEDULES)
def test_a_network_that_has_stopped_changes_no_more(how: str, restore: Any) -> None:
    case, seen = Case(), {}

    def watch(epoch: int, history: History) -> None:
        for seed in np.flatnonzero(history.stopped == epoch):
            seen[int(seed)] = [value[seed].clone() for value in case.state]

    rule = replace(RULE, restore=restore)
    history = case.fit(schedule=SCHEDULES[how], on_epoch=watch, stopping=rule)
    assert [*seen] != []
    assert history.stopped.max() > history.stopped[next(iter(seen))], "others went on"
    for seed, state in seen.items():
        for value, now in zip(state, case.state, strict=True):
            assert torch.equal(value, now[seed])


@pytest.mark.parametrize("how", SCHEDULES)
def test_steps_are_taken_only_with_networks_that_are_left(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    take = shards.Shard.train

    def counted(shard: shards.Shard, *given: Any) -> Any:
        trained.append(len(shard.train_samples.inputs))
        return take(shard, *given)

    monkeypatch.setattr(shards.Shard, "train", counted)
    history = Case().fit(schedule=SCHEDULES[how])
    ends = np.where(history.stopped < 0, history.epoch, history.stopped)
    assert sum(trained) == ends.sum() < SEEDS * history.epoch


def test_the_part_that_is_left_keeps_all_threads_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each shard has one thread, as before: more would give other last bits."""
    calls: list[tuple[int, int]] = []
    call = Workers.call

    def watched(workers: Workers, work: Sequence[Any], threads: int) -> list[Any]:
        calls.append((len(work), threads))
        return call(workers, work, threads)

    monkeypatch.setattr(Workers, "call", watched)
    history = Case([0, 1, 2]).fit(schedule=SCHEDULES["plain, in shards"])
    assert (history.stopped < 0).tolist() == [False, False, True]
    two = history.stopped.max()  # so many epochs have at least two networks
    assert calls[1::2] == [(2, 2)] * two + [(1, 1)] * (60 - two), "shards and threads of training"


def test_what_on_epoch_writes_to_a_network_is_trained_on() -> None:
    """Also after others have stopped, when the steps are taken with copies."""

    def halve(epoch: int, history: History) -> None:
        if epoch == 30:
            assert history.stopped.max() > 0
            for _, value, _ in case.network.parameters():
                value[GOES_ON] *= 0.5

    case = Case()
    case.fit(epochs=31, on_epoch=halve, stopping=replace(RULE, restore="last"))
    alone = Case([GOES_ON])

    def halve_alone(epoch: int, history: History) -> None:
        if epoch == 30:
            for _, value, _ in alone.network.parameters():
                value *= 0.5

    history = alone.fit(epochs=31, on_epoch=halve_alone, stopping=replace(RULE, restore="last"))
    assert history.stopped[0] == -1, "this one goes on"
    for mine, other in zip(alone.state, case.state, strict=True):
        assert torch.equal(mine[0], other[GOES_ON])


@pytest.mark.parametrize("how", ["plain", "plain, in shards", "compiled"])
def test_what_on_epoch_measures_changes_nothing(how: str) -> None:
    """It gets the network in use: nothing is drawn, no running mean moves, and training goes on."""
    case, other = Case(states=True), Case(states=True)

    def measure(epoch: int, history: History) -> None:
        assert not any(module.training for module in case.network.modules())
        case.network.forward(case.data.test.inputs)
        case.network.train(epoch % 2 == 0)  # as one writes for PyTorch, or forgets

    case.fit(epochs=6, on_epoch=measure, schedule=SCHEDULES[how])
    other.fit(epochs=6, schedule=SCHEDULES[how])
    assert case.network.training
    assert all(map(torch.equal, case.state, other.state))


def test_a_number_that_on_epoch_changes_is_named_after_others_have_stopped() -> None:
    """Also where training goes on without the rule: its steps are taken with copies."""
    case = Case()
    history = case.fit(epochs=20)
    assert history.stopped.max() > 0

    def change(epoch: int, history: History) -> None:
        case.optimizer.momentum = 0.5

    with pytest.raises(UsageError, match="fit: on_epoch changed SGD.momentum, but training keeps"):
        case.fit(epochs=22, history=history, stopping=None, on_epoch=change)


def test_the_test_set_decides_nothing() -> None:
    case, other = Case(), Case()
    test = other.data.test
    assert test.labels is not None
    flipped = replace(test, labels=1 - test.labels, targets=test.targets.flip(-1))
    other.data = replace(other.data, test=flipped)
    history, theirs = case.fit(), other.fit()
    assert history.stopped.tolist() == theirs.stopped.tolist()
    assert history.best_epoch.tolist() == theirs.best_epoch.tolist()
    assert all(map(torch.equal, case.state, other.state))
    assert history.final("test_error").tolist() != theirs.final("test_error").tolist()


def test_the_errors_are_those_of_the_weights_that_were_kept() -> None:
    """Measured again, of networks that stopped and of others."""
    case = Case()
    history = case.fit(epochs=14)
    assert {*(history.stopped >= 0)} == {True, False}
    assert (history.kept >= 0).sum() >= 3
    again = evaluate(
        case.network, nn.LossCrossEntropy(), case.data.train, case.data.test, nn.Buffers(), None,
        case.data.validation,
    )  # fmt: skip
    for name, values in zip(history.series, again, strict=True):
        np.testing.assert_allclose(history.final(name), values, rtol=1e-12, err_msg=name)


# --------------------------------------------------------------------- breaks, and going on later


@pytest.mark.parametrize("how", ["plain", "plain, in shards", "compiled"])
def test_a_break_changes_nothing(how: str) -> None:
    """With the state of any epoch as the bytes of a checkpoint: before and after networks stop."""
    whole, kept = Case(), {}

    def keep(epoch: int, history: History) -> None:
        state = Checkpoint.of(whole.network, history, whole.optimizer, whole.order)
        kept[epoch] = state.to_bytes()

    history = whole.fit(schedule=SCHEDULES[how], on_epoch=keep)
    last = Checkpoint.of(whole.network, history, whole.optimizer, whole.order).to_bytes()
    first = history.stopped[history.stopped >= 0].min()
    for epoch in (1, first - 1, first, first + 1, history.epoch):
        case = Case()
        begun = Checkpoint.from_bytes(kept[epoch], "x")
        begun.check(case.network, 60, False, "x", True)
        before = begun.restore(case.network, case.optimizer, case.order, "x")
        before.compiled = history.compiled
        after = case.fit(schedule=SCHEDULES[how], history=before)
        found = Checkpoint.of(case.network, after, case.optimizer, case.order)
        assert found.to_bytes() == last


def test_training_goes_on_after_it_has_ended_with_the_best_weights() -> None:
    """Those that did not stop go on from their last weights: bit for bit as in one training."""
    whole = Case()
    history = whole.fit(epochs=60)
    parts = Case()
    before = parts.fit(epochs=28)
    assert before.last
    assert before.kept[GOES_ON] == 27, "while in the end it keeps its last ones"
    assert history.kept[GOES_ON] == -1
    best = [value.clone() for value in parts.state]
    after = parts.fit(epochs=60, history=before)
    assert after.kept.tolist() == history.kept.tolist()
    assert after.stopped.tolist() == history.stopped.tolist()
    assert all(map(torch.equal, whole.state, parts.state))
    assert not all(map(torch.equal, best, parts.state))
    for name in history.series:
        np.testing.assert_array_equal(getattr(after, name), getattr(history, name))


def test_joined_stacks_go_on_as_each_would_alone() -> None:
    """As halving does it: one stack has stopped altogether, the other has last weights to go on."""
    whole = Case()
    history = whole.fit()
    order = np.argsort(np.where(history.stopped < 0, 10**6, history.stopped))
    early = [int(order[0])]
    others = [seed for seed in range(SEEDS) if seed not in early]
    until = 28
    late = (history.best_epoch < until) & (history.stopped > until)
    assert late.any(), "its best weights are from before"
    states = []
    for seeds in (early, others):
        case = Case(seeds)
        own = case.fit(epochs=until)
        states.append(Checkpoint.of(case.network, own, case.optimizer, case.order))
    assert not states[0].history.last
    assert states[1].history.last
    joined = Checkpoint.from_bytes(Checkpoint.joined(states).to_bytes(), "x")
    seeds = [*early, *others]
    case = Case(seeds)
    before = joined.restore(case.network, case.optimizer, case.order, "x")
    after = case.fit(history=before)
    assert after.stopped.tolist() == history.stopped[seeds].tolist()
    for mine, other in zip(case.state, whole.state, strict=True):
        assert torch.equal(mine, other[seeds])


def test_on_epoch_may_stop_training_and_it_may_go_on() -> None:
    """The history is whole, with an evaluation at its end, and a break changes nothing."""
    whole = Case()
    plain: dict[str, Any] = {"stopping": None, "eval_every": 5, "epochs": 12}
    history = whole.fit(**plain)
    parts = Case()
    seen = []

    def stop(epoch: int, history: History) -> None:
        seen.append(epoch)
        if epoch == 7:
            history.stop()

    before = parts.fit(**plain, on_epoch=stop)
    assert (before.epoch, before.epochs, seen) == (7, [0, 5, 7], [*range(1, 8)])
    after = parts.fit(**plain, history=before)
    assert after.epochs == [0, 5, 7, 10, 12]
    assert all(map(torch.equal, whole.state, parts.state))
    for name in history.series:
        values = dict(zip(after.epochs, getattr(after, name), strict=True))
        for epoch, value in zip(history.epochs, getattr(history, name), strict=True):
            np.testing.assert_array_equal(values[epoch], value)


def test_a_stop_by_hand_gives_the_best_weights_too() -> None:
    case = Case()
    history = case.fit(on_epoch=lambda epoch, history: epoch == 9 and history.stop())
    assert history.epochs[-1] == 9
    assert (history.kept[history.ended] >= 0).all()
    assert (history.best_epoch < 9).any()
    other = Case()
    assert other.fit(epochs=9).kept.tolist() == history.kept.tolist()
    assert all(map(torch.equal, case.state, other.state))


def test_without_samples_for_validation_one_line_says_what_is_missing() -> None:
    case = Case()
    case.data = replace(case.data, validation=None)
    with pytest.raises(UsageError, match=r"^fit: stopping needs samples for validation.*x_valid"):
        case.fit()
    with pytest.raises(DtypeError, match=r"must be a minifw EarlyStopping.*, got dict"):
        Case().fit(stopping={"patience": 3})


def test_a_damaged_checkpoint_is_refused() -> None:
    case = Case()
    history = case.fit(epochs=14)
    good = Checkpoint.of(case.network, history, case.optimizer, case.order)
    good.check(case.network, 60, False, "x")
    for change in (
        {"best": {"0.weight": torch.zeros(2)}},
        {"best_epoch": np.full(SEEDS, 15)},
        {"stopped": np.full(SEEDS, 3), "best_epoch": np.full(SEEDS, -1)},
    ):
        bad = replace(good, history=replace(history, **change))
        with pytest.raises(ArtefactError, match="not the checkpoint of a training with this"):
            bad.check(case.network, 60, False, "x")
