"""Training: what `fit` computes and records, and that PyTorch's arm computes the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from cases import Residual, linear
from minifw import data, experiment, nn, reference
from minifw.config import loading
from minifw.errors import ConfigError, ModuleError, ShapeError, UsageError
from minifw.experiment import build, plan, results
from minifw.experiment.arms import TRAIN
from minifw.reference import training
from minifw.runs.arms import MODES, Arm, Mode
from minifw.training import placement, shards
from minifw.training.checkpoint import Checkpoint
from minifw.training.division import Division
from minifw.training.evaluation import errors_of
from minifw.training.fit import fit
from minifw.training.history import History
from minifw.training.learner import Learner

TEXT = """
name: small
data: {kind: disk, train: 40, test: 30}
network: [{linear: 6}, relu, {linear: 5}, tanh, {linear: 2}]
loss: {kind: mse, reduction: sample}
train: {eta: 0.05, epochs: 6, eval_every: 2, batch_size: 15}
"""


def experiment_of(tmp_path: Path, *overrides: str, seeds: int = 3) -> plan.Experiment:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return plan.build(loading.load(path, ["dtype=float64", *overrides]), seeds, list(MODES))


def quiet(done: int, text: str) -> None:
    """No progress."""


def compared(tmp_path: Path, *overrides: str, seeds: int = 3) -> plan.Experiment:
    """The same for two arms in both modes."""
    exp = experiment_of(tmp_path, *overrides, seeds=seeds)
    made = plan.plan(exp.config, seeds, list(MODES), arms=["minifw", "pytorch"])
    return made.draw(made.seeds)


def of_both(arm: Arm) -> list[Arm]:
    return ["minifw", arm]


def network_of(exp: plan.Experiment) -> nn.Network:
    return build.build_network(exp.config, exp.seeds, 2)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("batch_size", [None, 15, 40, 100])
def test_fit_is_the_loop_that_a_person_would_write(
    tmp_path: Path, batch_size: int | None, momentum: float
) -> None:
    exp = experiment_of(tmp_path)
    loss, network, by_hand = nn.LossMSE("sample"), network_of(exp), network_of(exp)
    sgd = batch_size is not None
    next_order = data.BatchOrder(exp.seeds, 40) if sgd else None
    fit(network, loss, nn.SGD(network, momentum), exp.data, epochs=3, eta=0.05,
        batch_size=batch_size, next_order=next_order)  # fmt: skip
    next_order = data.BatchOrder(exp.seeds, 40)
    optimizer = nn.SGD(by_hand, momentum)
    for _ in range(3):
        order = next_order() if sgd else torch.arange(40).expand(3, 40)
        for start in range(0, 40, batch_size or 40):
            x, target = exp.data.train.in_order(order[:, start : start + (batch_size or 40)])
            by_hand.reset_gradient()
            output = by_hand.forward(x)
            by_hand.backward(loss.grad(output, target))
            optimizer.step(0.05)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, by_hand.state_dict()[name], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("classes", [1, 2, 3, 17])
def test_the_class_of_a_sample_is_the_first_of_its_largest_outputs(classes: int) -> None:
    rng = np.random.default_rng(classes)
    outputs = rng.integers(0, 3, (4, 200, classes)).astype(np.float32)  # with many ties
    outputs[rng.random(outputs.shape) < 0.1] = np.inf
    outputs[3, rng.random((200, classes)) < 0.1] = np.nan
    labels = rng.integers(0, classes, (4, 200))
    expected = 100 * (outputs.argmax(-1) != labels).mean(-1)

    def given(outputs: Any, labels: Any) -> tuple[Tensor, data.Samples]:
        y, classes = torch.from_numpy(outputs), torch.from_numpy(labels)
        return y, data.Samples(y, y, classes)

    found = errors_of(*given(outputs, labels))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # A single network, without the stack's dimension.
    one = errors_of(*given(outputs[0], labels[0]))
    assert one == pytest.approx(expected[0])


def test_history_holds_loss_and_errors_of_the_epochs(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network, loss = network_of(exp), nn.LossMSE("sample")
    seen: list[int] = []
    history = fit(network, loss, nn.SGD(network), exp.data, epochs=5, eta=0.05, eval_every=2,
                  on_epoch=lambda epoch, history: seen.append(epoch))  # fmt: skip
    assert history.epochs == [0, 2, 4, 5]
    assert seen == [1, 2, 3, 4, 5]
    assert history.seconds > 0
    test = exp.data.test
    output = network.forward(test.inputs)
    wrong = (output.argmax(-1) != test.class_numbers).numpy()
    np.testing.assert_array_equal(history.test_error[-1], 100 * wrong.sum(1) / 30)
    train_output = network.forward(exp.data.train.inputs)
    expected = loss.function(train_output, exp.data.train.targets).numpy()
    np.testing.assert_array_equal(history.train_loss[-1], expected)
    assert (history.diverged == -1).all()


@pytest.mark.parametrize("mode", ["full-batch", "sgd"])
def test_seed_k_of_a_stack_is_seed_k_alone(tmp_path: Path, mode: Mode) -> None:
    many = experiment.train_minifw(experiment_of(tmp_path), mode, quiet)
    one = experiment.train_minifw(experiment_of(tmp_path, "seed=2", seeds=1), mode, quiet)
    for name, value in one.weights.items():
        torch.testing.assert_close(value[0], many.weights[name][2], rtol=1e-12, atol=1e-13)
    assert [e[2] for e in many.history.test_error] == [e[0] for e in one.history.test_error]


@pytest.mark.parametrize("mode", ["full-batch", "sgd"])
@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["loss.reduction=mean"],
        ["loss.reduction=sum", "train.eta=0.001"],
        ["loss.kind=cross-entropy"],
        ["loss.kind=cross-entropy", "loss.reduction=sum", "train.eta=0.001"],
        ["optimizer.momentum=0.9", "init=xavier-normal"],
        ["optimizer.weight_decay=0.3"],
        ["optimizer.weight_decay=0.3", "optimizer.momentum=0.9"],
        ["network.0={linear: {out_features: 6, bias: false}}", "network.3=sigmoid"],
        ["data={kind: spirals, classes: 3, train: 40, test: 30}", "network.4.linear=3"],
    ],
    ids=str,
)
@pytest.mark.parametrize("arm", ["pytorch", "vmap"])
def test_pytorch_computes_the_same(
    tmp_path: Path, mode: Mode, changes: list[str], arm: Arm
) -> None:
    exp = experiment_of(tmp_path, *changes)
    ours, theirs = (TRAIN[name](exp, mode, quiet) for name in of_both(arm))
    assert list(ours.weights) == list(theirs.weights)
    for name, value in ours.weights.items():
        torch.testing.assert_close(value, theirs.weights[name], rtol=1e-11, atol=1e-12)
    assert ours.history.epochs == theirs.history.epochs
    np.testing.assert_array_equal(ours.history.test_error, theirs.history.test_error)
    np.testing.assert_allclose(ours.history.train_loss, theirs.history.train_loss, rtol=1e-11)
    assert results.gradient_differences(exp, mode, network_of(exp)).max() <= 1e-12
    start = network_of(exp)
    assert any(not torch.equal(v, ours.weights[n]) for n, v, _ in start.parameters())


def test_a_wrong_formula_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment_of(tmp_path)
    right = nn.ReLU.backward
    monkeypatch.setattr(nn.ReLU, "backward", lambda self, g: right(self, g) * (1 + 1e-9))
    assert results.gradient_differences(exp, "full-batch", network_of(exp)).min() > 1e-11


def test_a_seed_without_finite_gradients_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = compared(tmp_path)
    exp.data.train.inputs[1] = torch.nan
    right = nn.ReLU.backward
    monkeypatch.setattr(nn.ReLU, "backward", lambda self, g: right(self, g) * (1 + 1e-9))
    for mode in MODES:
        found = results.gradient_differences(exp, mode, network_of(exp))
        assert np.isnan(found).tolist() == [False, True, False]
        assert min(found[0], found[2]) > 1e-11
        observed = results.observe(exp, {})
        np.testing.assert_array_equal(observed.gradients[mode]["float64"], found)


def test_gradients_are_looked_at_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = compared(tmp_path, "dtype=float32", seeds=5)
    exp.data.train.inputs[3] = torch.nan
    whole = results.observe(exp, {}).gradients
    monkeypatch.setattr(results, "GRADIENT_BYTES", 2 * 40 * 2 * 8)  # two seeds
    parts = results.observe(exp, {}).gradients
    for mode in MODES:
        for dtype, most in (("float32", 1e-5), ("float64", 1e-13)):
            for found in (whole[mode][dtype], parts[mode][dtype]):
                assert np.isnan(found).tolist() == [False, False, False, True, False]
                assert np.nanmax(found) < most


def diverging(tmp_path: Path) -> tuple[plan.Experiment, nn.Network]:
    """Three seeds; the network of the second starts so large that it diverges."""
    exp = experiment_of(tmp_path, "train.epochs=30")
    network = network_of(exp)
    last = network[4]
    assert isinstance(last, nn.Linear)
    last.weight[1] *= 1e200
    return exp, network


def train_on(exp: plan.Experiment, network: nn.Network, **more: Any) -> History:
    return fit(network, nn.LossMSE("sample"), nn.SGD(network), exp.data, epochs=30, eta=0.05,
               eval_every=10, **more)  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_a_seed_that_diverges_is_marked_and_the_others_go_on(tmp_path: Path) -> None:
    exp, network = diverging(tmp_path)
    history = train_on(exp, network)
    assert list(history.diverged >= 0) == [False, True, False]
    assert history.diverged[1] <= 3
    assert np.isnan([errors[1] for errors in history.test_error[1:]]).all()
    healthy = network_of(exp)
    expected = train_on(exp, healthy)
    for seed in (0, 2):
        assert [e[seed] for e in history.test_error] == [e[seed] for e in expected.test_error]


def test_weights_that_are_not_finite_are_seen_when_the_loss_is(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    first = network[0]
    assert isinstance(first, nn.Linear)
    assert first.bias is not None
    first.bias[1] = -torch.inf  # behind a ReLU: the outputs and the loss stay finite
    assert list(train_on(exp, network).diverged >= 0) == [False, True, False]


def test_pytorch_sees_weights_that_are_not_finite_when_it_evaluates_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment_of(tmp_path, "train.epochs=30", "train.eval_every=4")
    train, calls = reference.Loop.train, []

    def spoiled(self: reference.Loop, *of: Any) -> torch.Tensor:
        calls.append(self)
        if len(calls) == 30 + 9:  # the second seed; behind a ReLU the loss stays finite
            [*self.net.parameters()][1].data[0] = -torch.inf
        return train(self, *of)

    monkeypatch.setattr(reference.Loop, "train", spoiled)
    history = experiment.train_pytorch(exp, "full-batch", quiet).history
    assert list(history.diverged) == [-1, 12, -1]
    known = [epoch for epoch, loss in zip(history.epochs, history.train_loss, strict=True)
             if np.isfinite(loss[1])]  # fmt: skip
    assert known == [0, 4, 8]
    assert np.isfinite(np.array(history.train_loss)[:, [0, 2]]).all()


def test_training_ends_when_all_have_diverged(tmp_path: Path) -> None:
    # Not one evaluation is due between the first and the epoch in which all diverge.
    exp = experiment_of(tmp_path, "train.eta=1e30", "train.epochs=50", "train.eval_every=40")
    ends = []
    for run in TRAIN.values():
        history = run(exp, "full-batch", quiet).history
        assert (history.diverged >= 0).all()
        assert np.isnan(history.test_error[-1]).all()
        assert history.epochs == [0, history.epoch]
        assert history.epoch == history.diverged.max() < 40
        ends.append(history.epoch)
    assert max(ends) - min(ends) <= 1  # rounding may move the epoch by one


@pytest.mark.parametrize("arm", ["pytorch", "vmap"])
def test_both_arms_call_the_same_seeds_diverged(tmp_path: Path, arm: Arm) -> None:
    changes = ("train.eta=2.0", "dtype=float32", "train.epochs=40", "network.3=relu")
    exp = experiment_of(tmp_path, *changes, seeds=8)
    ours, theirs = (TRAIN[name](exp, "full-batch", quiet).history.diverged for name in of_both(arm))
    assert list(ours >= 0) == list(theirs >= 0)
    assert np.abs(ours - theirs).max() <= 1  # rounding may move the epoch by one
    assert 0 < (ours >= 0).sum() < 8


def test_pytorch_joins_its_seeds_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment_of(tmp_path, seeds=5)
    whole = experiment.train_pytorch(exp, "sgd", quiet)
    joined, sizes = Checkpoint.joined, []

    def counted(groups: Sequence[Checkpoint]) -> Checkpoint:
        sizes.append(len(groups))
        return joined(groups)

    monkeypatch.setattr(Checkpoint, "joined", counted)
    monkeypatch.setattr(training, "WAITING", 2)
    parts = experiment.train_pytorch(exp, "sgd", quiet)
    assert sizes == [2, 2, 2, 2, 1]
    assert parts.history.epochs == whole.history.epochs
    assert all(torch.equal(value, parts.weights[name]) for name, value in whole.weights.items())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "eta 0": ({"eta": 0}, "eta must be a number above 0 and finite, got 0"),
    "eta < 0": ({"eta": -0.1}, "eta must be a number above 0 and finite, got -0.1"),
    "eta nan": ({"eta": np.nan}, "eta must be a number above 0 and finite, got nan"),
    "eta inf": ({"eta": np.inf}, "eta must be a number above 0 and finite, got inf"),
    "eta text": ({"eta": "0.1"}, "eta must be a number above 0 and finite, got '0.1'"),
    "eta whole": ({"eta": 10**5000}, "eta must be .* finite, got one of more than 308 digits"),
    "eta large": ({"eta": 3.5e38}, r"eta must be above 0 and finite in float32, got 3.5e\+38: inf"),
    "eta small": ({"eta": 1e-50}, "eta must be above 0 and finite in float32, got 1e-50: 0.0"),
    "epochs": ({"epochs": -1}, "epochs must be a whole number of at least 0, got -1"),
    "epochs 1.5": ({"epochs": 1.5}, "epochs must be a whole number of at least 0, got 1.5"),
    "eval_every": ({"eval_every": 0}, "eval_every must be a whole number of at least 1, got 0"),
    "batch_size": ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
    "batch_size 2.0": ({"batch_size": 2.0}, "batch_size must be a whole number .* got 2.0"),
    "batch_size true": ({"batch_size": True}, "batch_size must be a whole number .* got True"),
    "network": (
        {"network": nn.Linear(2, 2)},
        "network must be a minifw Network, got Linear; Sequential",
    ),
    "loss": ({"loss": "mse"}, "loss must be a minifw Loss, got str"),
    "optimizer": ({"optimizer": 0.1}, "optimizer must be a minifw Optimizer, got float"),
    "data": ({"data": None}, "data must be a minifw Dataset, got NoneType"),
    "history": (
        {"history": History.of((2,))},
        r"history must be that of networks \(3,\), got \(2,\)",
    ),
    "order": (
        {"next_order": lambda: torch.zeros(3, 7, dtype=torch.int64)},
        r"next_order must give an order of shape \(3, 40\), .* got \(3, 7\) of int64",
    ),
    "order of float": (
        {"next_order": lambda: torch.zeros(3, 40)},
        r"next_order must give an order .*, one position of int64 .* got \(3, 40\) of float32",
    ),
    "order of NumPy": (
        {"next_order": lambda: np.zeros((3, 40), np.int64)},
        "next_order must give an order .* got ndarray",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named_and_changes_nothing(tmp_path: Path, case: str) -> None:
    exp = experiment_of(tmp_path, "dtype=float32")
    network = network_of(exp)
    before = network.state_dict()
    more, message = WRONG[case]
    given = {"network": network, "loss": nn.LossMSE(), "optimizer": nn.SGD(network),
             "data": exp.data, "epochs": 2, "eta": 0.1, **more}  # fmt: skip
    with pytest.raises(ModuleError, match=f"^fit: {message}") as raised:
        fit(**given)
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[name]) for name, value, _ in network.parameters())


def test_the_optimizer_must_be_that_of_the_network(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network, other = network_of(exp), nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(
        ModuleError,
        match=r"^fit: the optimizer, SGD\(momentum=0.9\), belongs to another network, "
        r"Sequential\(Linear\(2, 2\)\); SGD\(network\) makes one of this$",
    ):
        fit(network, nn.LossMSE(), nn.SGD(other, 0.9), exp.data, epochs=1, eta=0.1)


class Late(nn.SGD):
    """A velocity that comes up in the first step; or one that each step makes anew."""

    def step(self, eta: torch.Tensor | float) -> None:
        super().step(eta)
        for name, _, gradient in self.network.parameters():
            self.state[name] = self.state.get(name, 0) * 0.5 + gradient


class Counts(nn.SGD):
    """Has a state without the dimensions of the stack."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.state["steps"] = torch.zeros(())


@pytest.mark.parametrize("size", [None, 2])
def test_a_state_that_parts_would_lose_is_named(tmp_path: Path, size: int | None) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    start, plan = network.state_dict(), placement.Schedule(Division(size))
    late, new = Late(network), Late(network)
    new.step(0.0)
    must = r"Late\(.*\): the state must be complete after __init__, .* and changed in place by step"
    for optimizer, message in (
        (
            late,
            rf"{must}, as by mul_, add_ or copy_; got \[\] before a step and \[0.weight: \(3, 6, 2\) of float64, ",
        ),
        (new, must),
        (
            Counts(network),
            r"Counts.*: state\['steps'\] must begin with the stack \(3,\), got \(\)",
        ),
    ):
        with pytest.raises(ModuleError, match=f"^{message}") as raised:
            fit(network, nn.LossMSE(), optimizer, exp.data, epochs=2, eta=0.1, schedule=plan)
        assert "\n" not in str(raised.value)
    assert not late.state
    assert all(torch.equal(value, start[name]) for name, value, _ in network.parameters())


class Scale(nn.Module):
    """y = s x, with one s for all networks."""

    def __init__(self) -> None:
        self.register_parameter("s", torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.s * x
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        (x,) = self.recall(gradient).inputs
        self.s_grad += (gradient * x).sum()
        return self.s * gradient


def test_a_parameter_that_all_networks_share_is_named(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    message = (
        r"^Scale\(\): parameter '{}.s' must begin with the stack \(3,\), so that each network has "
        r"its own, got \(\) of float64; make it with stack=stack, as torch.full\(\(\*stack, …\), …\)$"
    )
    with pytest.raises(ShapeError, match=message.format(f"{len(network_of(exp))}.0")):
        nn.SGD(nn.Sequential(*network_of(exp), nn.Sequential(Scale())))
    network = nn.Sequential(Scale())
    with pytest.raises(ShapeError, match=message.format("0")):  # the data know the stack
        fit(network, nn.LossMSE(), nn.SGD(network), exp.data, epochs=1, eta=0.1)
    single = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64), Scale())
    fit(single, nn.LossMSE(), nn.SGD(single), exp.data.of(0), epochs=1, eta=0.1)
    assert single[1].s != 0.5


class Elsewhere(nn.Optimizer):
    """Remembers something, where and when it is told to."""

    def __init__(
        self,
        network: nn.Module,
        at_once: Callable[[Any], object] = lambda self: None,
        in_step: Callable[[Any], object] = lambda self: None,
    ) -> None:
        super().__init__(network)
        self.in_step, self.t = in_step, 0
        at_once(self)

    def step(self, eta: torch.Tensor | float) -> None:
        self.in_step(self)
        self.network.update_parameters(eta)


def keep(name: str, make: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda self: setattr(self, name, make(self))


def like(self: Any) -> list[torch.Tensor]:
    return [torch.zeros_like(value) for _, value, _ in self.network.parameters()]


LOST = r"^Elsewhere\(\): the tensor in 'v' would be lost .*, got \(3, .*; keep .* in self.state\['name'\]"
OTHERS = r"^Elsewhere\(\): holds {} in 'v', so that .* self.network.parameters\(\)$"
ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "tensors": ({"at_once": keep("v", like)}, LOST),
    "by name": ({"at_once": keep("v", lambda self: {"a": like(self)})}, LOST),
    "an array": ({"at_once": keep("v", lambda self: np.zeros(3))}, "the tensor in 'v' .* ndarray"),
    "in step": ({"in_step": keep("v", like)}, LOST),
    "a counter": (
        {"in_step": keep("t", lambda self: self.t + 1)},
        r"^Elsewhere\(\): step changes the number 't', .* torch.zeros\(network.stack\) in self.state\['t'\]",
    ),
    "parameters": (
        {"at_once": keep("v", lambda self: self.network.parameters())},
        OTHERS.format("the network's '0.weight'"),
    ),
    "a layer": ({"at_once": keep("v", lambda self: self.network[0])}, OTHERS.format(r"Linear\(2, 6\)")),
    "an optimizer": (
        {"at_once": keep("v", lambda self: nn.SGD(self.network))},
        OTHERS.format(r"SGD\(momentum=0.0\)"),
    ),
    "a number in state": (
        {"at_once": lambda self: self.state.update(t=0)},
        r"^Elsewhere\(\): state\['t'\] must be a tensor, got int; a number that changes is torch.zeros\(network.stack\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
def test_what_an_optimizer_remembers_elsewhere_is_named(tmp_path: Path, case: str) -> None:
    exp, (given, message) = experiment_of(tmp_path), ELSEWHERE[case]
    network = network_of(exp)
    optimizer = Elsewhere(network, **given)
    with pytest.raises(ModuleError, match=message) as raised:
        fit(network, nn.LossMSE(), optimizer, exp.data, epochs=1, eta=0.1)
    assert "\n" not in str(raised.value)


def test_what_is_refused_at_once_is_not_tried(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    optimizer: Any = Elsewhere(network, keep("v", like), lambda self: self.v[0].add_(1))
    with pytest.raises(ModuleError, match=LOST):
        fit(network, nn.LossMSE(), optimizer, exp.data, epochs=1, eta=0.1)
    assert not optimizer.v[0].any()


def test_an_optimizer_may_hold_what_a_step_does_not_change(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    optimizer = Elsewhere(network, keep("betas", lambda self: (0.9, [0.99], {"a": 1}, "text")))
    start = network.state_dict()
    fit(network, nn.LossMSE(), optimizer, exp.data, epochs=1, eta=0.1)
    assert not torch.equal(network.state_dict()["0.weight"], start["0.weight"])


def test_an_optimizer_that_forgot_its_base_is_named(tmp_path: Path) -> None:
    class Forgot(nn.Optimizer):
        def __init__(self, network: nn.Module) -> None:
            pass

        def step(self, eta: torch.Tensor | float) -> None: ...

    exp = experiment_of(tmp_path)
    network = network_of(exp)
    message = r"^Forgot: has no network; __init__ must begin with super\(\).__init__\(network\)$"
    with pytest.raises(ModuleError, match=message):
        fit(network, nn.LossMSE(), Forgot(network), exp.data, epochs=1, eta=0.1)
    assert not hasattr(Forgot(network), "other")


@pytest.mark.parametrize("size", [None, 2])
def test_momentum_that_is_set_later_is_that_of_the_start(tmp_path: Path, size: int | None) -> None:
    exp, ends = experiment_of(tmp_path), []
    for later in (False, True):
        network = network_of(exp)
        optimizer = nn.SGD(network, 0.0 if later else 0.9)
        optimizer.momentum = 0.9
        fit(network, nn.LossMSE(), optimizer, exp.data, epochs=2, eta=0.05, batch_size=15,
            schedule=placement.Schedule(Division(size)))  # fmt: skip
        ends.append(network.state_dict() | {f"v of {k}": v for k, v in optimizer.state.items()})
    assert len(ends[0]) == 12
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_momentum_may_begin_between_two_epochs(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network, by_hand = network_of(exp), network_of(exp)
    optimizer = nn.SGD(network)

    def on_epoch(epoch: int, history: History) -> None:
        optimizer.momentum = 0.9

    fit(network, nn.LossMSE(), optimizer, exp.data, epochs=3, eta=0.05, on_epoch=on_epoch)
    optimizer = nn.SGD(by_hand)
    for epochs in (1, 2):  # of one epoch, then of two
        fit(by_hand, nn.LossMSE(), optimizer, exp.data, epochs=epochs, eta=0.05)
        optimizer.momentum = 0.9
    assert all(torch.equal(v, by_hand.state_dict()[n]) for n, v, _ in network.parameters())


class Mean(nn.LossMSE):
    """Mixes the networks of a stack."""

    def function(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return super().function(output, target).mean()


def test_what_does_not_fit_the_network_is_named(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    sgd, mse, right = nn.SGD(network), nn.LossMSE(), exp.data
    train, test = right.train, right.test

    def of(name: str, **changes: torch.Tensor) -> data.Dataset:
        return dataclasses.replace(
            right, **{name: dataclasses.replace(getattr(right, name), **changes)}
        )

    for samples, loss, message in (
        (right.of(slice(2)), mse, r"Linear\(2, 6\).forward: expects an input of shape \(3, "),
        (of("test", inputs=test.inputs.float()), mse, "Linear.*: expects a tensor of torch.float64"),
        (of("test", inputs=test.inputs[..., :1]), mse, "Linear.*: expects an input of shape"),
        (of("test", labels=test.class_numbers[:2]), mse, r"fit: the test labels must be \(3, samples\)"),
        (of("test", labels=test.class_numbers + 1), mse, "fit: the test classes must be from 0 to 1, .* 2$"),
        (of("train", labels=train.class_numbers - 1), mse, "fit: the training classes must be .* got -1 to"),
        (of("train", labels=train.class_numbers.double()), mse, "fit: the training labels must be int64"),
        (of("train", targets=train.targets[:, :7]), mse, "fit: the training targets must begin with"),
        (of("train", inputs=train.inputs[:, :7]), mse, "fit: the training inputs must begin with"),
        (of("train", targets=train.class_numbers), mse, "LossMSE.*: expects a target of the output's"),
        (
            of("train", targets=train.class_numbers + 2 * (torch.arange(40) == 9)),
            nn.LossCrossEntropy(),
            "fit: the training classes must be from 0 to 1, as the network has 2 outputs",
        ),
        (right, Mean(), r"fit: Mean.* must give one loss for each network, of shape \(3,\), got"),
    ):  # fmt: skip
        with pytest.raises(ModuleError, match=f"^{message}"):
            fit(network, loss, sgd, samples, epochs=1, eta=0.1)
    start = network_of(exp).state_dict()
    assert all(torch.equal(value, start[name]) for name, value, _ in network.parameters())


def test_no_epochs_only_evaluate(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    history = fit(network, nn.LossMSE(), nn.SGD(network), exp.data, epochs=0, eta=0.1)
    assert (history.epochs, history.epoch) == ([0], 0)
    start = network_of(exp).state_dict()
    assert all(torch.equal(value, start[name]) for name, value, _ in network.parameters())


@pytest.mark.parametrize("batch_size", [None, 15])
def test_fit_chooses_its_schedule_by_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int | None
) -> None:
    exp = experiment_of(tmp_path)
    asked: list[tuple[Any, ...]] = []
    right = placement.scheduled

    def scheduled(*sizes: Any) -> placement.Schedule:
        asked.append(sizes)
        return right(*sizes)

    def decide(*of: Any) -> placement.Compiling:
        asked.append(of)
        return placement.Compiling(False)

    monkeypatch.setattr(placement, "scheduled", scheduled)
    monkeypatch.setattr(placement, "decide", decide)
    network = network_of(exp)
    history = fit(network, nn.LossMSE("sample"), nn.SGD(network), exp.data, epochs=6, eta=0.05,
                  batch_size=batch_size)  # fmt: skip
    step = placement.StepSizes((6, 5, 2), 2 * 6 + 6 + 6 * 5 + 5 + 5 * 2 + 2, 8)
    to_do = placement.work(step, 3, batch_size or 40, 6, 40, torch.get_num_threads())
    assert to_do.steps == 6 * (3 if batch_size else 1)
    assert asked[0] == ("auto", placement.why_plain(to_do), True)
    assert asked[1][:4] == (step, 3, batch_size or 40, 40)
    # Going on, it keeps to the way, for the sums would be rounded in another order.
    fit(network, nn.LossMSE("sample"), nn.SGD(network), exp.data, epochs=7, eta=0.05,
        batch_size=batch_size, history=history)  # fmt: skip
    assert asked[2][0] is False


def test_fit_divides_what_memory_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment_of(tmp_path)
    seeds: list[slice] = []
    right = shards.Shard.train

    def noting(shard: shards.Shard, *of: Any) -> Any:
        seeds.append(shard.seeds)
        return right(shard, *of)

    monkeypatch.setattr(shards.Shard, "train", noting)
    monkeypatch.setattr(placement, "PLAIN_BYTES", 1)
    train_on(exp, network_of(exp))
    assert seeds[:4] == [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 1)]


def alone(
    exp: plan.Experiment, stacked: nn.Network, seed: int
) -> tuple[nn.Sequential, data.Dataset]:
    """One network of a stack, and its data, without the stack's dimension."""
    network = nn.Sequential(*(nn.Linear(m.in_features, m.out_features, dtype=torch.float64)
                              if isinstance(m, nn.Linear) else m for m in network_of(exp)))  # fmt: skip
    network.load_state_dict({name: value[seed] for name, value in stacked.state_dict().items()})
    of_one = {name: getattr(exp.data, name).of(seed) for name in ("train", "test")}
    return network, dataclasses.replace(exp.data, **of_one)


@pytest.mark.parametrize("batch_size", [None, 15])
def test_one_network_without_a_stack_can_be_fitted(tmp_path: Path, batch_size: int | None) -> None:
    exp = experiment_of(tmp_path, seeds=1)
    stacked = network_of(exp)
    network, samples = alone(exp, stacked, 0)
    orders = [data.BatchOrder(exp.seeds, 40) for _ in range(2)]
    history = train_on(exp, stacked, next_order=orders[0], batch_size=batch_size)
    solo = fit(network, nn.LossMSE("sample"), nn.SGD(network), samples, epochs=30, eta=0.05,
               eval_every=10, next_order=lambda: orders[1]()[0], batch_size=batch_size)  # fmt: skip
    np.testing.assert_allclose(solo.train_loss, np.array(history.train_loss)[:, 0], rtol=1e-12)
    assert solo.test_error[-1].shape == ()


@pytest.mark.parametrize("shuffled", [False, True])
def test_one_network_without_a_stack_diverges_where_it_does_in_one(
    tmp_path: Path, shuffled: bool
) -> None:
    exp, network = diverging(tmp_path)
    single, samples = alone(exp, network, 1)
    order = data.BatchOrder(exp.seeds, 40)() if shuffled else torch.arange(40).expand(3, 40)
    expected = train_on(exp, network, next_order=lambda: order, batch_size=15)
    solo = fit(single, nn.LossMSE("sample"), nn.SGD(single), samples, epochs=30, eta=0.05,
               batch_size=15, next_order=(lambda: order[1]) if shuffled else None)  # fmt: skip
    assert solo.diverged == expected.diverged[1] >= 0
    assert solo.diverged_layer == expected.diverged_layer[1] >= 0
    assert np.isnan(solo.test_error[-1])


def test_a_stack_in_two_dimensions_is_refused(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = nn.Sequential(nn.Linear(2, 2, stack=(2, 3), dtype=torch.float64))
    both = {name: getattr(exp.data, name).repeated(2) for name in ("train", "test")}
    samples = dataclasses.replace(exp.data, **both)
    with pytest.raises(ModuleError, match=r"^fit: .* in one dimension, got a stack \(2, 3\)$"):
        fit(network, nn.LossMSE(), nn.SGD(network), samples, epochs=1, eta=0.1)


class Silent(nn.Module):
    """Changes nothing, and keeps nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def backward(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class OnlyInput(Silent):
    """Keeps its input, as the shortest module that needs it does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.input = x
        return x


@pytest.mark.parametrize("kind", [Silent, OnlyInput])
@pytest.mark.parametrize("places", [(0,), (1,), (2,), (3,), (0, 1), (3, 3), (0, 2, 2, 3)])
def test_the_layer_that_diverged_is_counted_with_modules_that_keep_nothing(
    tmp_path: Path, places: tuple[int, ...], kind: type[nn.Module]
) -> None:
    exp = experiment_of(tmp_path)
    layers = [linear for linear in network_of(exp) if isinstance(linear, nn.Linear)]
    layers[1].weight *= torch.tensor([1, torch.inf, 1]).reshape(3, 1, 1)
    modules: list[nn.Module] = [*layers]
    for place in reversed(places):
        modules.insert(place, kind())
    network = nn.Sequential(*modules)
    history = fit(network, nn.LossMSE(), nn.SGD(network), exp.data, epochs=1, eta=0.05)
    assert history.diverged_layer.tolist() == [-1, modules.index(layers[1]), -1]


class Residuals(nn.Graph):
    """A layer, one residual block twice, and a layer."""

    def __init__(self, stack: tuple[int, ...]) -> None:
        self.first, self.last = linear(2, 4, stack), linear(4, 2, stack)
        self.block = Residual(stack)
        self.register_modules(self.first, self.block, self.last)

    def connect(self, x: nn.Variable) -> nn.Variable:
        y: nn.Variable = self.last(self.block(self.block(self.first(x))))
        return y


@pytest.mark.parametrize("division", [None, Division(2)], ids=str)
def test_a_graph_is_trained_as_autograd_trains_it(
    tmp_path: Path, division: Division | None
) -> None:
    exp = experiment_of(tmp_path)
    network = Residuals((3,))
    leaves = [value.clone().requires_grad_() for _, value, _ in network.parameters()]
    fit(network, nn.LossMSE("sample"), nn.SGD(network), exp.data, epochs=5, eta=0.05,
        schedule=placement.Schedule(division or Division()))  # fmt: skip
    inputs, targets = exp.data.train.inputs, exp.data.train.targets
    for _ in range(5):
        w, b, v, c, u, d = leaves
        y = inputs @ w.mT + b.unsqueeze(-2)
        for _ in range(2):
            y = y + (y @ v.mT + c.unsqueeze(-2)).tanh()
        loss = (y @ u.mT + d.unsqueeze(-2) - targets).square().sum() / 40
        for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
            leaf.data -= 0.05 * gradient
    for (_, value, _), leaf in zip(network.parameters(), leaves, strict=True):
        torch.testing.assert_close(value, leaf.detach(), rtol=1e-11, atol=1e-12)


def test_a_graph_that_diverges_names_its_module(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = Residuals((3,))
    network.block.inner.weight[1] = torch.inf
    history = fit(network, nn.LossMSE(), nn.SGD(network), exp.data, epochs=1, eta=0.05)
    assert history.diverged_layer.tolist() == [-1, 1, -1]


def test_the_twin_refuses_what_it_does_not_know() -> None:
    class Odd(nn.Module):
        pass

    with pytest.raises(UsageError, match=r"Odd \(test_training.py:\d+\): there is no PyTorch twin"):
        reference.twin(nn.Sequential(Odd()), 0)


def test_an_epoch_on_a_gpu_mixes_no_devices() -> None:
    """Tensors without numbers stand for those of a GPU, which this machine need not have."""

    layers = [nn.Linear(2, 5), nn.Linear(5, 5), nn.Linear(5, 2)]
    with FakeTensorMode():
        for layer in layers:
            layer.weight = torch.zeros(3, *layer.weight.shape, device="cuda")
            layer.bias = torch.zeros(3, layer.out_features, device="cuda")
        first, second, last = layers
        network = nn.Sequential(first, nn.ReLU(), second, nn.Tanh(), nn.Sigmoid(), last)
        classes = torch.zeros(3, 40, dtype=torch.int64, device="cuda")
        inputs = torch.zeros(3, 40, 2, device="cuda")
        for loss, targets in ((nn.LossMSE(), inputs), (nn.LossCrossEntropy(), classes)):
            samples = data.Samples(inputs, targets, classes)
            learner = Learner(network, loss, nn.SGD(network, 0.9))
            one = np.ones((3, 2))
            drawn = data.Dataset(samples, samples, ("x", "y"), ("0", "1"), one, one)
            shard = shards.Shard(learner, drawn, slice(None), nn.Buffers())
            output, target = shard.train(None, 15, 0.1)
            values = [output, target, network.forward(inputs), loss.function(output, target)]
            values += samples.in_order(classes)
            values += [tensor for p in network.parameters() for tensor in (p.value, p.gradient)]
            assert {str(value.device) for value in values} == {"cuda:0"}


def test_cuda_without_a_gpu_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"^small: device: 'cuda' needs a GPU and a CUDA build"):
        experiment_of(tmp_path, "device=cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match=r"^small: train.compile: true is for device: cpu only"):
        experiment_of(tmp_path, "device=cuda", "train.compile=true")
