"""Early stopping: each network of a stack ends by its own samples for validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minifw import nn
from minifw.data import BatchOrder, Dataset, generator
from minifw.errors import UsageError
from minifw.training import EarlyStopping, History, Trainer, run_epochs
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.placement import Schedule

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


def samples(seeds: Sequence[int] = range(SEEDS)) -> Dataset:
    """Noise that is soon learned by heart, so that networks stop at different times."""
    parts: list[Any] = []
    for count in (24, 20, 20):
        draws = [generator(seed, "data") for seed in seeds]
        x = np.stack([draw.normal(size=(64, 3))[:count] for draw in draws])
        y = (x[..., 0] + np.stack([draw.normal(size=count) for draw in draws]) > 0).astype(int)
        parts += [x + len(parts), y]
    x, y, x_test, y_test, x_validation, y_validation = parts
    return Dataset.from_arrays(
        x, y, x_test - 2, y_test, x_validation=x_validation - 4, y_validation=y_validation,
        normalize=False, dtype="float64",
    )  # fmt: skip


class Case:
    """Networks of some seeds, with all that training needs."""

    def __init__(self, seeds: Sequence[int] = range(SEEDS), momentum: float = 0.9) -> None:
        self.data, stack = samples(seeds), (len(seeds),)
        draws = [generator(seed, "init") for seed in seeds]
        self.network = nn.Sequential(
            nn.Linear(3, 8, stack=stack, generators=draws, dtype=torch.float64),
            nn.Tanh(),
            nn.Linear(8, 2, stack=stack, generators=draws, dtype=torch.float64),
        )
        self.optimizer = nn.SGD(self.network, momentum=momentum)
        self.order = BatchOrder(seeds, 24)

    def fit(self, epochs: int = 60, eta: Any = 0.1, **more: Any) -> History:
        more = {"stopping": RULE, "schedule": Schedule()} | more
        return fit(
            self.network,
            nn.LossCrossEntropy(),
            self.optimizer,
            self.data,
            epochs=epochs,
            eta=eta,
            batch_size=8,
            next_order=self.order,
            **more,
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
            mine = np.array(getattr(own, name))[:, 0]
            other = np.array(getattr(history, name))[:, seed]
            np.testing.assert_array_equal(mine, other[: len(mine)])
            np.testing.assert_array_equal(own.final(name)[0], other[len(mine) :])
