"""minifw explain: every number that is shown is autograd's, and the numeric derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from conftest import ROOT, Minifw
from minifw import nn
from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.experiment import plan as plans
from minifw.experiment.plan import Plan
from minifw.experiment.replay import before_step
from minifw.explain import Explained, Gradient, Layer, Numbers, explain
from minifw.explain.model import PHASES, places
from minifw.nn.differences import TOLERANCE
from minifw.nn.wired import table
from minifw.reference.twins import criterion_like, layer_like

CONFIGS = sorted((ROOT / "src/minifw/examples").glob("*.yaml"))
LARGE = ("lenet",)
"""Configs whose kinds of layers smaller ones have too, digits-cnn for instance."""
GOLDEN = Path(__file__).parent / "explain-simplenet.txt"


def planned(config: str | Path, *words: str) -> Plan:
    settings = [word for word in words if word != "--set"]
    found, source = loading.load_with_source(find_config(str(config)), settings)
    return plans.plan(found, 1, [found.train.mode], source)


class Autograd:
    """The same step by PyTorch: each value and each input of each call knows its gradient."""

    def __init__(self, plan: Plan, samples: int, step: int) -> None:
        learner = before_step(plan, plan.seeds[0], None, step).learner
        network, data = learner.network, plan.draw(plan.seeds[:1]).data
        made = {id(module): layer_like(module, 0).double() for module in network}
        self.layers = [made[id(module)] for module in network]
        takes, ends = table(network)
        self.values = [data.train.inputs[0, :samples].double().requires_grad_()]
        self.given: list[list[Tensor]] = []
        for layer, numbers in zip(self.layers, takes, strict=True):
            given = [self.values[number] * 1 for number in numbers]
            self.given.append(given)
            self.values.append(layer(*given))
        self.output = torch.cat([self.values[end] for end in ends], -1)
        for value in [*self.values, self.output, *(each for some in self.given for each in some)]:
            value.retain_grad()
        targets = data.train.targets[0, :samples]
        targets = targets.double() if targets.is_floating_point() else targets
        self.loss = criterion_like(learner.loss, self.output)(self.output, targets)
        self.loss.backward()  # type: ignore[no-untyped-call]

    def check(self, found: Explained) -> None:
        """Compare all that is shown with the values and gradients."""
        for place, layer in enumerate(found.layers):
            if layer.position is None:  # it joins heads
                continue
            given = self.given[place]
            for numbers, value in zip(layer.inputs, given, strict=True):
                same(numbers, value)
            same(layer.output, self.values[place + 1])
            if layer.came is not None:
                same(layer.came.numbers, self.values[place + 1].grad)
            for gradient, value in zip(layer.given, given, strict=bool(layer.given)):
                same(gradient.numbers, value.grad)
            theirs = dict(self.layers[place].named_parameters())
            for each in layer.parameters:
                same(each.value, theirs[each.name])
                same(each.gradient.numbers, theirs[each.name].grad)
        same(found.cost.gradient.numbers, self.output.grad)
        assert found.cost.value == pytest.approx(float(self.loss.detach()), rel=1e-12)


def same(numbers: Numbers, value: Tensor | None) -> None:
    assert value is not None
    value = value.detach()
    assert numbers.shape == tuple(value.shape)
    assert numbers.norm == pytest.approx(float(value.norm()), rel=1e-9, abs=1e-12)
    shown = torch.stack([value[place] for place in places(tuple(value.shape))])
    ours = torch.tensor([number for row in numbers.rows for number in row], dtype=torch.float64)
    torch.testing.assert_close(ours, shown, rtol=1e-9, atol=1e-12)


def numeric(gradient: Gradient) -> None:
    """Each number that is shown has its difference beside it, which is the same."""
    if gradient.numeric is None:
        return
    for row, beside in zip(gradient.numbers.rows, gradient.numeric, strict=True):
        for ours, theirs in zip(row, beside, strict=True):
            if not math.isnan(theirs):
                assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-9)
    assert gradient.error <= TOLERANCE


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in LARGE else [], id=path.stem)
        for path in CONFIGS
    ],
)
def test_shipped_configs(path: Path, its_data: Any) -> None:
    plan = planned(path, *its_data(path))
    found = explain(plan, plan.seeds[0], samples=4)
    Autograd(plan, 4, 0).check(found)
    whole = 0
    for gradient in found.gradients:
        numeric(gradient)
        whole += gradient.numeric is None
    assert whole <= (path.stem == "grokking")  # of tokens, which have no derivative
    kinks = sum(gradient.kinks for gradient in found.gradients)
    assert kinks == 0 or path.stem == "lenet"  # equal maxima in the black borders
    shares = [layer.share for layer in found.layers]
    assert sum(shares) == pytest.approx(1)
    # Nothing before the first trained layer gets a gradient; all later ones hand theirs on.
    first = next(place for place, layer in enumerate(found.layers) if layer.parameters)
    assert all(layer.came is None for layer in found.layers[:first])
    assert all(layer.came is not None for layer in found.layers[first:])
    onward = [layer for layer in found.layers[first + 1 :] if layer.takes != ("the data",)]
    assert all(layer.given for layer in onward)
    assert {moment.phase for moment in found.moments} == {*PHASES}


@pytest.mark.parametrize(
    "words",
    [
        ("simplenet", "optimizer.momentum=0.9"),
        ("simplenet-sgd", "optimizer=adam", "train.eta=0.01", "train.schedule=cosine"),
        ("diabetes", "train.epochs=100"),
        ("two-branch",),
    ],
    ids=" ".join,
)
def test_after_some_steps(words: tuple[str, ...]) -> None:
    plan = planned(*words)
    found = explain(plan, plan.seeds[0], samples=5, step=7)
    Autograd(plan, 5, 7).check(found)
    for gradient in found.gradients:
        numeric(gradient)
    # The update is that of the optimiser as it is after seven steps.
    ready = before_step(plan, plan.seeds[0], None, 7)
    learner, data = ready.learner, plan.draw(plan.seeds[:1]).data.train
    before = learner.network.state_dict()
    learner.step(data.inputs[:, :5], data.targets[:, :5], ready.eta)
    for place, layer in enumerate(found.layers):
        for each in layer.parameters:
            name = f"{place}.{each.name}"
            change = learner.network.state_dict()[name] - before[name]
            assert each.change.norm == pytest.approx(float(change.norm()), rel=2e-3)
    assert found.eta == ready.eta


def test_random_layers_draw_the_same_each_time() -> None:
    network = "network=[{linear: 8}, relu, {dropout: 0.5}, {linear: 2}]"
    found = explain(planned("simplenet", network), 0, samples=6)
    dropout = found.layers[2]
    zeros = [value == 0 for row in dropout.output.rows for value in row]
    assert 0 < sum(zeros) < len(zeros)
    for gradient in found.gradients:
        numeric(gradient)


def test_a_module_that_is_used_twice() -> None:
    network = (
        "network=[{linear: 5}, {kind: tanh}, {linear: 5, name: again}, {kind: tanh}, "
        "{use: again}, {linear: 2}]"
    )
    found = explain(planned("simplenet", network), 0)
    first, second = found.layers[2], found.layers[4]
    assert (first.again, second.again) == (False, True)
    assert first.parameters
    assert not second.parameters
    for gradient in found.gradients:  # those of the parameters are sums over both uses
        numeric(gradient)


def test_dead_units_and_norms_by_hand() -> None:
    plan = planned("simplenet", "network=[{linear: 3}, relu, {linear: 2}]")
    experiment = plan.draw([0])
    network, inputs = experiment.network(), experiment.data.train.inputs[0]
    network[0].bias[0, 1] = -1e3
    hidden = (inputs @ network[0].weight[0].T + network[0].bias[0]).clamp(min=0)
    experiment._prepared.append(network)
    object.__setattr__(plan, "draw", lambda seeds: experiment)
    dead = explain(plan, 0).layers[1].dead
    assert dead is not None
    assert (dead.units, dead.samples) == (3, len(inputs))
    assert dead.always == int((hidden == 0).all(0).sum()) >= 1
    assert dead.in_step == int((hidden[:4] == 0).all(0).sum())


def test_a_mistake_shows_beside_the_differences(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = nn.Linear.accumulate

    def doubled(self: nn.Linear, gradient: Tensor) -> None:
        right(self, gradient)
        self.weight_grad.mul_(2)

    monkeypatch.setattr(nn.Linear, "accumulate", doubled)
    found = explain(planned("simplenet"), 0)
    wrong = {gradient.numbers.name for gradient in found.gradients if gradient.error > 1e-6}
    assert wrong == {"dL/dweight"}
    answer = minifw("explain", "simplenet")
    said = " ".join(answer.out.split())
    assert "4 gradients differ, dL/dweight by 5e-01; minifw gradcheck simplenet" in said
    assert answer.code == 0


def lines_of(found: Explained, layer: Layer) -> list[str]:
    """The lines of code that made something in a layer, forward and then backward."""
    place = found.layers.index(layer)
    return [found.code[one.line].strip() for one in found.moments if one.layer == place]


def test_each_line_of_code_has_the_number_that_it_makes() -> None:
    found = explain(planned("simplenet"), 0)
    assert lines_of(found, found.layers[2]) == [
        "y = product(x, self.weight.mT, self.bias)  # y = x Wᵀ + b",
        "add_product(self.weight_grad, gradient.mT, x)  # dL/dW += (dL/dy)ᵀ x",
        "of_bias = torch.sum(gradient, -2, out=buffer(gradient))  # Σ over samples of dL/dy",
        "self.bias_grad.add_(of_bias)  # dL/db += Σ over samples of dL/dy",
        "return product(gradient, self.weight)  # dL/dx = dL/dy W",
    ]
    made: dict[tuple[int | None, str], Numbers] = {
        (moment.layer, each.name): each for moment in found.moments for each in moment.made
    }
    for place, layer in enumerate(found.layers):
        assert made[place, "y"] == layer.output
        for gradient in layer.given:
            assert made[place, "dL/dx"] == gradient.numbers
        for each in layer.parameters:
            shown = made[place, f"{each.name}_grad"]
            assert shown.rows == each.gradient.numbers.rows
    assert made[None, "L"].rows == ((found.cost.value,),)
    assert made[None, "dL/d(output)"].rows == found.cost.gradient.numbers.rows
    phases = [PHASES.index(moment.phase) for moment in found.moments]
    assert phases == sorted(phases)


def test_memory_that_nothing_was_written_to_is_not_shown() -> None:
    first, second = (explain(planned("digits-cnn"), 0, samples=2) for _ in range(2))
    assert first == second
    for moment in first.moments:
        for each in moment.made:
            assert all(math.isfinite(value) for row in each.rows for value in row), moment


@pytest.mark.skipif(
    int(metadata.version("rich").split(".")[0]) < 15, reason="older Rich spaces columns otherwise"
)
def test_the_terminal_is_as_it_was_drawn(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden picture, at 80 columns, into a pipe; nothing in it is wider, or has a colour."""
    monkeypatch.setenv("COLUMNS", "80")
    answer = minifw("explain", "simplenet")
    assert answer.code == 0
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "\x1b" not in answer.out
    assert answer.out == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_other_widths(minifw: Minifw, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    answer = minifw("explain", "two-heads", "--samples", 2)
    assert max(map(len, answer.out.splitlines())) <= columns


def test_json_has_everything(minifw: Minifw) -> None:
    answer = minifw("explain", "two-heads", "--json", "--step", 3, "--samples", 3)
    assert answer.code == 0
    found = answer.json
    assert (found["step"], found["samples"], found["seed"]) == (3, 3, 0)
    names = [(layer["position"], layer["name"], layer["takes"]) for layer in found["layers"]]
    assert names == [
        (0, None, ["the data"]),
        (1, "code", ["layer 0"]),
        (2, "digit", ["layer 1, code"]),
        (3, "image", ["layer 1, code"]),
        (None, None, ["layer 2, digit", "layer 3, image"]),
    ]
    assert found["layers"][0]["parameters"][0]["gradient"]["numeric"]


FAULTS: list[tuple[Sequence[object], str]] = [
    (("--samples", 0), "--samples: must be at least 1, got 0"),
    (("--samples", 5000), "--samples: must be 1 to the 1000 training samples, got 5000"),
    (("--step", -1), "--step: must be at least 0, got -1"),
    (("--step", 10**6), "--step: must be 0 to 999, got 1000000"),
    (("--seed", -1), "--seed: must be 0 to 4294967296, got -1"),
    (
        ("--step", 900, "--set", "train.eta=1e9"),
        "--step: seed 0 diverged in epoch 2, so that there is no step 900; must be 0 to 1",
    ),
    (
        ("--samples", 1, "--set", "network=[{linear: 4}, batch-norm1d, {linear: 2}]"),
        "--samples: layer 1, BatchNorm1d(4), needs 2 or more in training, got 1",
    ),
]


@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_faults_are_one_line(minifw: Minifw, words: Sequence[object], message: str) -> None:
    answer = minifw("explain", "simplenet", *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines() == [message]


def test_a_step_of_a_network_that_diverged_says_so(minifw: Minifw) -> None:
    words = ("simplenet-sgd", "--set", "train.eta=1e30", "--samples", 1)
    answer = minifw("explain", *words, "--step", 2)
    assert answer.code == 0
    assert "kink" not in answer.out
    assert "nan" in answer.out
    assert "after 2 steps" in answer.out
    assert "Not all numbers of this step are finite" in answer.out
    assert "Not all" not in minifw("explain", *words).out
    assert "after 1 step," in minifw("explain", *words, "--step", 1).out
