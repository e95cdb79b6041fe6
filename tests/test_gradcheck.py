"""minifw gradcheck: right gradients pass, a planted mistake is found in the layer where it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bad_configs import GOOD
from conftest import ROOT, Minifw
from minifw import nn

SMALL = ("--elements", 5)
TANH = GOOD.replace("relu", "tanh")


def rows(out: str) -> dict[tuple[str, str], str]:
    """The last cell of each row of the table, by layer and tensor."""
    lines = [re.split(r"\s{2,}", line) for line in out.split("\n\n")[0].splitlines()[1:]]
    return {(line[0], line[1]): line[-1] for line in lines}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src/minifw/examples").glob("*.yaml")), ids=lambda p: p.stem
)
def test_shipped_configs_are_right(minifw: Minifw, path: Path, its_data: Any) -> None:
    answer = minifw("gradcheck", path, *SMALL, *its_data(path), "--json")
    assert answer.code == 0
    found = answer.json["gradients"]
    assert not any(row["wrong"] for row in found)
    # Max-pooling meets equal numbers, those of the images' black borders.
    kinks = [row["layer"] for row in found if row["kinks"]]
    last_pool = {"digits-cnn": 3, "lenet": 6}
    assert max(kinks, default=0) <= last_pool.get(path.stem, 0)
    assert not kinks or path.stem in last_pool
    # Tokens are whole numbers, which have no differences.
    inputs = {row["layer"] for row in found if row["of"].startswith("input")}
    layers = {row["layer"] for row in found} - {None}
    assert inputs == layers - ({0} if path.stem == "grokking" else set())
    assert not Path("runs").exists()


def test_the_table_has_every_layers_input_and_parameters(minifw: Minifw) -> None:
    Path("a.yaml").write_text(GOOD)
    answer = minifw("gradcheck", "a.yaml")
    found = rows(answer.out)
    layers = minifw("gradcheck", "a.yaml", "--json").json["gradients"]
    assert [*found] == [
        ("loss" if row["layer"] is None else f"{row['layer']} {row['module'].partition('(')[0]}", row["of"])
        for row in layers
    ]  # fmt: skip
    assert [(row["layer"], row["of"]) for row in layers] == [
        (0, "input"), (0, "weight"), (0, "bias"), (1, "input"), (2, "input"), (2, "weight"),
        (2, "bias"), (None, "output"),
    ]  # fmt: skip
    assert "5 sample(s), seed 0, in float64" in answer.out.replace("\n", " ")


def test_a_config_of_float32_is_checked_in_float64(minifw: Minifw) -> None:
    for dtype in ("float32", "float64"):
        Path(f"{dtype}.yaml").write_text(f"{GOOD}dtype: {dtype}\n")
    found = [minifw("gradcheck", f"{name}.yaml", "--json").json for name in ("float32", "float64")]
    assert found[0]["gradients"] == found[1]["gradients"]
    assert max(row["worst"]["error"] for row in found[0]["gradients"]) < 1e-6


def double(kind: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a factor 2 in a method."""
    method = getattr(kind, name)
    monkeypatch.setattr(kind, name, lambda *inputs: 2 * method(*inputs))


def test_a_wrong_derivative_is_found_in_its_layer(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.yaml").write_text(TANH)
    double(nn.Tanh, "derivative", monkeypatch)
    answer = minifw("gradcheck", "a.yaml")
    assert answer.code == 5
    found = rows(answer.out)
    assert [key for key, verdict in found.items() if verdict == "wrong"] == [("1 Tanh", "input")]
    assert {v for (layer, _), v in found.items() if layer == "0 Linear"} == {"follows"}
    assert {v for (layer, _), v in found.items() if layer in ("2 Linear", "loss")} == {"ok"}
    (line,) = answer.err.splitlines()
    assert line.startswith("a.yaml: layer 1, Tanh(): the gradient of the input at [")
    assert "it is 2 times the right one" in line
    answer = minifw("gradcheck", "a.yaml", "--json")
    assert (answer.code, answer.err, answer.json["ok"]) == (5, "", False)
    assert answer.json["faults"] == [line]
    (wrong,) = (row for row in answer.json["gradients"] if row["wrong"] and not row["follows"])
    assert (wrong["layer"], wrong["module"], wrong["of"]) == (1, "Tanh()", "input")
    assert wrong["worst"]["analytic"] == pytest.approx(2 * wrong["worst"]["numeric"])


def test_two_wrong_layers_are_both_found(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    double(nn.Tanh, "derivative", monkeypatch)
    answer = minifw("gradcheck", "cross-entropy", *SMALL)
    found = rows(answer.out)
    assert answer.code == 5
    assert [k for k, v in found.items() if v == "wrong"] == [
        ("1 Tanh", "input"),
        ("3 Tanh", "input"),
    ]


def test_a_wrong_loss_is_found(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    double(nn.LossMSE, "grad", monkeypatch)
    answer = minifw("gradcheck", "simplenet", *SMALL)
    found = rows(answer.out)
    assert answer.code == 5
    assert [key for key, verdict in found.items() if verdict == "wrong"] == [("loss", "output")]
    assert set(found.values()) == {"wrong", "follows"}
    assert "LossMSE(reduction='sample'): the gradient of the output at" in answer.err


def test_a_wrong_parameter_gradient_is_found(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accumulate(self: nn.Linear, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad += gradient.mT @ x
        assert self.bias_grad is not None
        self.bias_grad += gradient[..., 0, :]

    monkeypatch.setattr(nn.Linear, "accumulate", accumulate)
    answer = minifw("gradcheck", "simplenet", *SMALL)
    assert answer.code == 5
    found = rows(answer.out)
    assert {key[1] for key, verdict in found.items() if verdict != "ok"} == {"bias"}
    assert "layer 0, Linear(2, 25): the gradient of 'bias' at" in answer.err
    assert "it is that of the first sample alone: the sum over samples is missing" in answer.err


LAST: list[Tensor] = []


def test_a_mistake_between_layers_is_told(minifw: Minifw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Tanh is right alone, but all of them keep what they need in one place."""

    def forward(self: nn.Tanh, x: Tensor) -> Tensor:
        self.remember((x,), (torch.tanh(x),))
        LAST.append(torch.tanh(x))
        return LAST[-1]

    monkeypatch.setattr(nn.Tanh, "forward", forward)
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, gradient: gradient * (1 - LAST[-1] ** 2))
    answer = minifw("gradcheck", "cross-entropy", *SMALL)
    assert answer.code == 5
    assert "cross-entropy.yaml: layer 1, Tanh(): the gradient of the input at" in answer.err
    assert "; alone each layer is right: what backward needs must belong to its call" in answer.err


def test_kinks_are_named_and_no_mistakes(minifw: Minifw) -> None:
    text = GOOD.replace("linear: 4", "linear: {out_features: 4, init: zeros}")
    Path("a.yaml").write_text(text)
    answer = minifw("gradcheck", "a.yaml")
    assert answer.code == 0
    assert re.fullmatch(r"\d+ kinks?", rows(answer.out)["1 ReLU", "input"])
    assert "minifw: layer 1, ReLU(): the gradient of the input at [" in answer.err
    assert "sits on a kink: the derivative is " in answer.err
    assert "move the point" in answer.err


def test_where_all_is_0_that_is_told(minifw: Minifw) -> None:
    answer = minifw("gradcheck", "simplenet", "--set", "init=zeros", *SMALL)
    assert answer.code == 0
    assert rows(answer.out)["3 ReLU", "input"] == "ok, all 0"


def test_large_tensors_are_compared_in_part_by_the_seed(minifw: Minifw) -> None:
    def compared(*words: object) -> Any:
        found = minifw("gradcheck", "simplenet", "--json", *words).json
        return {(row["layer"], row["of"]): row for row in found["gradients"]}

    one, same, other = compared(*SMALL), compared(*SMALL), compared(*SMALL, "--seed", 3)
    weight = one[2, "weight"]
    assert (weight["compared"], weight["size"]) == (5, 625)
    assert (one[6, "bias"]["compared"], one[6, "bias"]["size"]) == (2, 2)
    assert one == same
    assert weight["worst"] != other[2, "weight"]["worst"]
    assert compared("--elements", 30)[2, "weight"]["compared"] == 30
    assert compared("--samples", 2, *SMALL)[0, "input"]["size"] == 4
    table = minifw("gradcheck", "simplenet", *SMALL).out
    assert re.search(r"2 Linear +weight +5/625 ", table)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--samples", 0], "--samples: must be at least 1, got 0"),
        (["--samples", 99], "--samples: must be at most the 50 training samples, got 99"),
        (["--elements", -1], "--elements: must be at least 1, got -1"),
        (["--seed", -1], "--seed: must be 0 to 4294967296, got -1"),
        (["--set", "train.eta=0"], "--set train.eta=0: train.eta: must be above 0.0, got 0"),
    ],
)
def test_wrong_options_are_told(minifw: Minifw, words: list[object], message: str) -> None:
    Path("a.yaml").write_text(GOOD)
    answer = minifw("gradcheck", "a.yaml", *words)
    assert answer.code == 2
    assert message in answer.err
    assert answer.out == ""


OWN = """\
import torch
from minifw import nn

class Small(nn.ActivationFunction):
    def function(self, x):
        return 1e-10 * x

    def derivative(self, x, y):
        return torch.full_like(x, FACTOR)

class Root(nn.ActivationFunction):
    def function(self, x):
        return x.sqrt()

    def derivative(self, x, y):
        return 0.5 / y
"""


@pytest.mark.parametrize(("factor", "code"), [(1e-10, 0), (3e-10, 5)])
def test_a_gradient_that_is_lost_in_the_losss_rounding_is_compared_alone(
    minifw: Minifw, factor: float, code: int
) -> None:
    Path("mine.py").write_text(OWN.replace("FACTOR", str(factor)))
    Path("a.yaml").write_text(GOOD.replace("- relu", "- {python: mine.Small}"))
    answer = minifw("gradcheck", "a.yaml", "--allow-code")
    assert answer.code == code
    if code:
        (line,) = answer.err.splitlines()
        assert line.startswith("a.yaml: layer 1, Small(): the gradient of the input at [")
        assert "it is 3 times the right one" in line or "all its numbers are 3 times" in line


def test_what_is_not_finite_is_no_wrong_gradient(minifw: Minifw) -> None:
    Path("mine.py").write_text(OWN.replace("FACTOR", "0"))
    Path("a.yaml").write_text(GOOD.replace("- relu", "- {python: mine.Root}"))
    answer = minifw("gradcheck", "a.yaml", "--allow-code")
    assert (answer.code, answer.err) == (
        2,
        "layer 1, Root(): gives numbers that are not finite for "
        "these samples, so that no gradient can be compared; --seed or --samples takes others\n",
    )
