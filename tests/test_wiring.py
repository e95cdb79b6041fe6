"""Graphs in a config: names, `from`, `use`, short forms with options, and heads with a loss each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import Minifw
from minifw import nn
from minifw.config import loading
from minifw.config.model import Config
from minifw.errors import ConfigError, ModuleError, ShapeError
from minifw.experiment import build
from minifw.training import errors_of

HEAD = "name: a\ndtype: float64\ndata: {kind: disk, train: 60, test: 40}\n"
TAIL = "train: {eta: 0.1, epochs: 4, batch_size: 20, eval_every: 2}\n"
RESIDUAL = f"""{HEAD}network:
  - {{linear: 5, name: start}}
  - tanh
  - {{linear: 5, name: block}}
  - {{add: [start, block], name: sum}}
  - {{kind: tanh, name: bent}}
  - {{use: block, from: bent, name: again}}
  - multiply: [sum, again]
  - linear: 2
loss: mse
{TAIL}"""
HEADS = f"""{HEAD}network:
  - linear: 5
  - {{kind: tanh, name: shared}}
  - {{linear: 2, name: copy}}
  - {{linear: 2, from: shared, name: classes}}
loss:
  - {{of: copy, kind: mse, target: inputs, weight: 0.5}}
  - {{of: classes, kind: cross-entropy}}
{TAIL}"""
NORMED = f"""{HEAD}network:
  - {{linear: 5, name: start}}
  - batch-norm1d
  - {{kind: relu, name: bent}}
  - add: [start, bent]
  - linear: 2
loss: mse
{TAIL}"""


def run_dirs() -> list[Path]:
    return sorted(path for path in Path("runs").iterdir() if path.is_dir())


def config_of(text: str, *overrides: str) -> Config:
    Path("a.yaml").write_text(text)
    return loading.load(Path("a.yaml"), overrides)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# ------------------------------------------------------------------------------------ what it is


def test_without_names_it_is_the_chain_that_it_was() -> None:
    config = config_of(f"{HEAD}network:\n  - linear: 5\n  - relu\n  - linear: 2\nloss: mse\n{TAIL}")
    network = build.build_network(config, [0, 1], 2)
    assert type(network) is nn.Sequential
    assert [*network.state_dict()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    dumped = loading.dump(config)
    assert "from" not in dumped
    assert dumped.count("name:") == 1


def test_names_alone_change_nothing() -> None:
    chain = "network:\n  - linear: 5\n  - relu\n  - linear: 2\nloss: mse\n"
    named = chain.replace("- linear: 5", "- {linear: 5, name: x, from: inputs}")
    named = named.replace("- relu", "- {relu: {}, from: x}")
    networks = [
        build.build_network(config_of(HEAD + text + TAIL), [3], 2) for text in (chain, named)
    ]
    assert type(networks[1]) is nn.Sequential
    for a, b in zip(*(each.state_dict().values() for each in networks), strict=True):
        assert torch.equal(a, b)


def by_hand(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network of RESIDUAL as a formula."""

    def linear(position: int, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(
            x, weights[f"{position}.weight"], weights[f"{position}.bias"]
        )

    start = linear(0, x)
    total = start + linear(2, start.tanh())
    return linear(7, total * linear(2, total.tanh()))


def test_the_network_is_the_formula_and_so_are_its_gradients() -> None:
    network = build.build_network(config_of(RESIDUAL), [0, 1, 2], 2)
    names = ["0.weight", "0.bias", "2.weight", "2.bias", "7.weight", "7.bias"]
    assert [name for name, _, _ in network.parameters()] == names  # the block's once
    x = torch.randn(3, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = network.forward(x)
    network.reset_gradient()
    back = network.backward(y)
    for seed in range(3):
        weights = {n: v[seed].clone().requires_grad_() for n, v, _ in network.parameters()}
        mine = x[seed].clone().requires_grad_()
        wanted = by_hand(weights, mine)
        assert torch.allclose(y[seed], wanted, rtol=1e-13, atol=1e-14)
        wanted.backward(wanted.detach())  # type: ignore[no-untyped-call]
        assert mine.grad is not None
        assert torch.allclose(back[seed], mine.grad, rtol=1e-12, atol=1e-13)
        for name, _, gradient in network.parameters():
            theirs = weights[name].grad
            assert theirs is not None
            assert torch.allclose(gradient[seed], theirs, rtol=1e-12, atol=1e-13), name


def test_a_run_keeps_what_it_is() -> None:
    for text in (RESIDUAL, HEADS):
        config = config_of(text)
        dumped = loading.dump(config)
        assert loading.of_run(dumped, Path("b.yaml")) == config
        assert loading.of_run(loading.compact(config), Path("b.yaml")) == config


def test_show_says_who_takes_what(minifw: Minifw) -> None:
    Path("a.yaml").write_text(RESIDUAL)
    layers = minifw("show", "a.yaml", "--json").json["network"]
    assert layers[3] == {
        "layer": "add", "output": 5, "parameters": 0, "operations": 5, "name": "sum",
        "from": [0, 2],
    }  # fmt: skip
    assert (layers[5]["layer"], layers[5]["parameters"], layers[5]["from"]) == ("use block", 0, [4])
    assert layers[0]["from"] == ["inputs"]
    assert "add" in minifw("show", "a.yaml").out


def test_a_short_form_with_options_can_be_overridden() -> None:
    text = RESIDUAL.replace("{linear: 5, name: start}", "{linear: 5, bias: false, name: start}")
    assert config_of(text).network[0].bias is False
    config = config_of(text, "network.0.out_features=5", "network.0.bias=true", "network.1=relu")
    assert (config.network[0].bias, config.network[0].name) == (True, "start")
    layer = config_of(text, "network.0.linear=5", "network.0.init=zeros").network[0]
    assert (layer.out_features, layer.init.kind) == (5, "zeros")


# ---------------------------------------------------------------------------- what is done with it


@pytest.mark.parametrize("reference", ["pytorch", "vmap"])
@pytest.mark.parametrize("text", [RESIDUAL, HEADS, NORMED], ids=["residual", "heads", "normed"])
def test_pytorch_takes_the_same_steps(minifw: Minifw, text: str, reference: str) -> None:
    """Weights, and the running numbers of batch normalisation, which the test errors need."""
    Path("a.yaml").write_text(text)
    answer = minifw("compare", "a.yaml", "--seeds", 2, "--reference", reference, "--json")
    assert answer.code == 0, answer.err
    for parity in answer.json["parity"].values():
        assert parity["max_gradient_difference"] < 1e-11
        assert parity["max_weight_difference"] < 1e-12
        assert parity["same_test_error"] == "2 of 2"


@pytest.mark.parametrize("text", [RESIDUAL, HEADS, NORMED], ids=["residual", "heads", "normed"])
def test_compiled_it_learns_the_same(minifw: Minifw, text: str) -> None:
    Path("a.yaml").write_text(text)
    errors = []
    for how in ("true", "false"):
        minifw(
            "train",
            "a.yaml",
            "--seeds",
            2,
            "--set",
            f"train.compile={how}",
            "--set",
            "train.mode=sgd",
        )
        errors.append(np.array(minifw("runs", "show", run_dirs()[-1], "--json").json["results"]
                               ["modes"]["sgd"]["minifw"]["train_loss"], float))  # fmt: skip
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)


def test_gradcheck_goes_through_a_graph(minifw: Minifw) -> None:
    Path("a.yaml").write_text(RESIDUAL)
    rows = minifw("gradcheck", "a.yaml", "--json").json["gradients"]
    found = [(row["layer"], row["of"]) for row in rows]
    assert found[:3] == [(0, "input"), (0, "weight"), (0, "bias")]
    assert [of for layer, of in found if layer == 3] == ["input 1", "input 2"]
    assert [of for layer, of in found if layer == 5] == ["input"]  # its parameters stand at 2
    assert not any(row["wrong"] for row in rows)


OWN = """
import torch
from minifw import nn


@nn.layer(several=True)
class Gate(nn.Module):
    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def forward(self, a, b):
        y = self.power * a * b
        self.remember((a, b), (y,))
        return y

    def backward(self, gradient):
        a, b = self.recall(gradient).inputs
        return self.power * gradient * b, self.power * gradient * a


class Twice(nn.LossMSE):
    def function(self, output, target):
        return 2 * super().function(output, target)

    def grad(self, output, target):
        return 2 * super().grad(output, target)
"""


def test_classes_of_a_users_own_take_part(minifw: Minifw) -> None:
    """A layer of two inputs, whose sizes are tried, and the loss of a head."""
    Path("mine.py").write_text(OWN)
    text = HEADS.replace(
        "  - {linear: 2, name: copy}",
        """  - {linear: 5, name: left}
  - {python: mine.Gate, power: 2.0, from: [left, shared], name: gated}
  - {linear: 2, name: copy}""",
    ).replace("from: shared, name: classes", "from: gated, name: classes")
    text = text.replace("kind: mse, target", "python: mine.Twice, target")
    Path("a.yaml").write_text(text)
    answer = minifw("gradcheck", "a.yaml", "--allow-code", "--json")
    assert answer.code == 0, answer.err
    assert not any(row["wrong"] for row in answer.json["gradients"])
    Path("a.yaml").write_text(text.replace("[left, shared]", "left").replace(", name: shared", ""))
    assert minifw("validate", "a.yaml", "--allow-code").err == (
        "a.yaml:8:5: network.3: Gate: TypeError: Gate.forward() missing 1 required positional "
        "argument: 'b'\n"
    )


# ------------------------------------------------------------------------------------------ heads


def test_the_loss_is_the_sum_of_the_heads_and_errors_are_those_of_the_classes() -> None:
    config = config_of(HEADS)
    data = build.build_data(config, [0, 1], None)
    network = build.build_network(config, [0, 1], 2)
    loss = build.build_loss(config, 2)
    output = network.forward(data.train.inputs)
    copy, classes = output[..., :2], output[..., 2:]
    assert data.train.labels is not None
    for seed in range(2):
        wanted = 0.5 * torch.nn.functional.mse_loss(
            copy[seed], data.train.inputs[seed]
        ) + torch.nn.functional.cross_entropy(classes[seed], data.train.labels[seed])
        value = loss.function(output, data.train.targets)[seed]
        assert value == pytest.approx(float(wanted), rel=1e-12)
        wrong = (classes[seed].argmax(-1) != data.train.labels[seed]).double().mean()
        assert errors_of(output, data.train)[seed] == pytest.approx(100 * float(wrong))


def test_predictions_are_those_of_the_head_of_classes(minifw: Minifw) -> None:
    Path("a.yaml").write_text(HEADS)
    Path("p.csv").write_text("x,y\n0.5,0.5\n0.0,0.0\n0.9,0.2\n")
    minifw("train", "a.yaml", "--seeds", 2, "--set", "train.epochs=20", "--set", "train.mode=sgd")
    (run,) = run_dirs()
    answer = minifw("predict", run, "p.csv", "--seed", 0, "--json")
    assert answer.code == 0, answer.err
    import minifw as api

    loaded = api.load(run)
    network, inputs = (
        loaded.network(0),
        loaded.inputs(np.array([[0.5, 0.5], [0, 0], [0.9, 0.2]]), 0),
    )
    output = network.forward(inputs)[:, 2:].softmax(-1)
    found = answer.json["rows"]
    assert [row["class"] for row in found] == [str(int(k)) for k in output.argmax(-1)]
    assert [row["score 1"] for row in found] == pytest.approx(output[:, 1].tolist(), rel=1e-5)


# ----------------------------------------------------------------------------------------- faults

ADD = "  - {add: [start, block], name: sum}"
FAULTS: list[tuple[str, str, str, list[str]]] = [
    (RESIDUAL, "[start, block]", "[start, blok]",
     ["a.yaml:8:19: network.3.from.1: no layer has the name 'blok'; did you mean 'block'?",
      ]),
    (RESIDUAL, "[start, block]", "[start, again]",
     ["a.yaml:8:19: network.3.from.1: 'again' is network.5 (line 10), which comes later"]),
    (RESIDUAL, "[start, block]", "[start, sum]",
     ["a.yaml:8:19: network.3.from.1: 'sum' is this layer itself; a layer takes outputs of earlier ones"]),
    (RESIDUAL, "name: block", "name: start",
     ["a.yaml:7:23: network.2.name: is the name of network.0 (line 5) already",
      "a.yaml:8:19: network.3.from.1: no layer has the name 'block'; known here: again, bent, inputs, start, sum",
      "a.yaml:10:11: network.5.layer: no layer has the name 'block'; known here: again, bent, inputs, start, sum"]),
    (RESIDUAL, "name: block", "name: inputs",
     ["a.yaml:7:23: network.2.name: is the name of the network's input; use another",
      "a.yaml:8:19: network.3.from.1: no layer has the name 'block'; known here: again, bent, inputs, start, sum",
      "a.yaml:10:11: network.5.layer: no layer has the name 'block'; known here: again, bent, inputs, start, sum"]),
    (RESIDUAL, "  - {linear: 5, name: block}", "  - {linear: 5, from: start, name: block}",
     ["a.yaml:6:5: network.1: its output leads nowhere: give it a `name`, and let the `from` of a layer have it, or remove it"]),
    (RESIDUAL, "  - {linear: 5, name: block}", "  - {linear: 4, name: block}",
     ["a.yaml:8:5: network.3: add: expects two or more inputs of one shape, got 5 and 4"]),
    (RESIDUAL, "  - multiply: [sum, again]", "  - {tanh: {}, from: [sum, again]}",
     ["a.yaml:11:5: network.6: tanh: expects one input, got 2"]),
    (RESIDUAL, "{use: block, from: bent, name: again}", "{use: inputs, from: bent, name: again}",
     ["a.yaml:10:11: network.5.layer: must be the name of a layer before this one"]),
    (RESIDUAL, "{kind: tanh, name: bent}", "{linear: 4, name: bent}",
     ["a.yaml:10:5: network.5: expects 5 inputs, as in network.2, of which this is a use, but network.4 (line 9) gives 4"]),
    (RESIDUAL, "  - multiply: [sum, again]", "  - multiply: [sum, again]\n  - add",
     ["a.yaml:12:5: network.7: add: needs `from`, a list of the layers that it takes"]),
    (RESIDUAL, "name: sum", "name: the sum",
     ["a.yaml:8:33: network.3.name: must be letters, digits, - and _, a letter first, got 'the sum' (text)"]),
    (RESIDUAL, "[start, block]", "3",
     ["a.yaml:8:11: network.3.from: must be the name of a layer, or a list of names, got 3"]),
    (RESIDUAL, "{linear: 5, name: start}", "{linear: {out_features: 5, name: start}, name: start}",
     ["a.yaml:5:5: network.0: 'name' is given twice"]),
    (RESIDUAL, "{linear: 5, name: start}", "{linear: 5, relu: , name: start}",
     ["a.yaml:5:5: network.0: a layer has one kind, got linear and relu; - begins another layer"]),
    (RESIDUAL, "{linear: 5, name: start}", "{lineer: 5, name: start}",
     ["a.yaml:5:6: network.0: unknown kind 'lineer'; did you mean 'linear'?; a class of your own goes by {python: file.Class}"]),
    (HEADS, "of: copy", "of: kopy",
     ["a.yaml:10:10: loss.0.of: no layer has the name 'kopy'; did you mean 'copy'?"]),
    (HEADS, "of: copy", "of: inputs",
     ["a.yaml:10:10: loss.0.of: must be the name of a layer; the input of the network is no output"]),
    (HEADS, "of: copy, kind: mse", "of: copy, kind: msee",
     ["a.yaml:10:22: loss.0.kind: unknown kind 'msee'; did you mean 'mse'?; a class of your own goes by {python: file.Class}"]),
    (HEADS, "weight: 0.5", "weight: -1",
     ["a.yaml:10:51: loss.0.weight: must be at least 0.0, got -1"]),
    (HEADS, "weight: 0.5", "wait: 1",
     ["a.yaml:10:43: loss.0.wait: unknown key; did you mean 'weight'?"]),
    (HEADS, "of: copy, ", "",
     ["a.yaml:10:5: loss.0.of: this key is missing"]),
    (HEADS, "{linear: 2, name: copy}", "{linear: 3, name: copy}",
     ["a.yaml:7:5: network.2: 2 inputs, the layer 'copy', a head, has 3 outputs; --set network.2.out_features=2"]),
    (HEADS, "{linear: 2, from: shared, name: classes}", "{linear: 3, from: shared, name: classes}",
     ["a.yaml:8:5: network.3: 2 classes, the layer 'classes', a head, has 3 outputs; --set network.3.out_features=2"]),
    (HEADS, "of: classes, kind: cross-entropy", "of: classes, kind: mse, target: inputs",
     ["a.yaml:10:3: loss: one of the heads must predict the classes, as without `target`"]),
    (HEADS, "of: classes, kind: cross-entropy", "of: classes, kind: cross-entropy, target: targets",
     ["a.yaml:11:48: loss.1.target: must be classes or inputs, as data.task is classification"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "old", "new", "expected"), FAULTS)
def test_each_fault_has_its_place(text: str, old: str, new: str, expected: list[str]) -> None:
    assert text.count(old) == 1
    with pytest.raises(ConfigError) as raised:
        config_of(text.replace(old, new))
    assert [*raised.value.lines] == expected


@pytest.mark.parametrize(
    ("arguments", "fault", "words"),
    [
        (([nn.Tanh()], [(0,), (1,)]), ShapeError, "values that each of 1 modules takes, got 2"),
        (([nn.Tanh()], [(1,)]), ModuleError, "module 0 must take values from 0, the input, to 0"),
        (([nn.Tanh()], [()]), ModuleError, "module 0 must take values"),
        (([nn.Tanh()], [(0,)], (2,)), ModuleError, "ends must be values from 0 to 1"),
    ],
)
def test_a_table_that_does_not_fit(arguments: Any, fault: type[Exception], words: str) -> None:
    with pytest.raises(fault, match=words):
        nn.Wired(*arguments)


def test_a_name_that_nothing_refers_to_is_for_the_reader() -> None:
    named = RESIDUAL.replace("  - tanh\n", "  - {kind: tanh, name: bend}\n")
    assert named != RESIDUAL
    config_of(named)
