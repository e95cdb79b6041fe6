"""Layers, losses, optimisers, initialisers and data of a user's own file, and of other packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bad_configs import GOOD
from conftest import Minifw
from minifw import runs
from minifw.compile.compilers import find_compiler
from minifw.config import loading, own, short

MINE = '''
"""All that a config can name, of my own."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from minifw import nn

Path("it-ran").touch()


@nn.layer(twin=nn.Twin("LeakyReLU", negative_slope="slope"))
class LeakyReLU(nn.ActivationFunction):
    def __init__(self, slope: Annotated[float, nn.Key("factor below 0", ge=0, lt=1)] = 0.01) -> None:
        self.slope = slope

    def function(self, x: Tensor) -> Tensor:
        return torch.maximum(x, self.slope * x)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(x, self.slope).masked_fill_(x > 0, 1)


@nn.layer(twin=nn.Twin("PReLU"))
class PReLU(nn.Module):
    """One trained slope for each network of the stack."""

    def __init__(self, stack=(), dtype: torch.dtype = torch.float32, device=None) -> None:
        self.register_parameter("weight", torch.full((*stack, 1), 0.25, dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        y = x.clamp(min=0) + self.weight.unsqueeze(-1) * x.clamp(max=0)
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        (x,) = self.recall(gradient).inputs
        return gradient * torch.where(x > 0, 1.0, self.weight.unsqueeze(-1))

    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad += (gradient * x.clamp(max=0)).sum((-2, -1)).unsqueeze(-1)


class Residual(nn.Graph):
    def __init__(self, in_features: int, hidden: int = 8, **of_stack) -> None:
        self.first = nn.Linear(in_features, hidden, **of_stack)
        self.tanh = nn.Tanh()
        self.second = nn.Linear(hidden, in_features, **of_stack)
        self.register_modules(self.first, self.tanh, self.second)

    def connect(self, x: nn.Variable) -> nn.Variable:
        return x + self.second(self.tanh(self.first(x)))


class Smooth(nn.Loss):
    def function(self, output: Tensor, target: Tensor) -> Tensor:
        return ((1 + (output - target).square()).sqrt() - 1).sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        d = output - target
        return d / (1 + d.square()).sqrt() * self.scale(output)


class SignSGD(nn.Optimizer):
    def __init__(self, network: nn.Module, factor: float = 1.0) -> None:
        super().__init__(network)
        self.factor = factor

    def step(self, eta) -> None:
        for _, value, gradient in self.network.parameters():
            value.sub_(eta * self.factor * gradient.sign())


class Falling(nn.Schedule):
    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def factors(self, steps, total: int, epoch: int):
        return (1 - steps / total) ** self.power


class Small(nn.Initializer):
    def __init__(self, size: Annotated[float, "half the width"] = 0.1) -> None:
        self.size = size

    def draw_weight(self, generator, shape, fan_in, fan_out):
        return generator.uniform(-self.size, self.size, shape)


def ring(rng: np.random.Generator, samples: int, width: float = 0.2):
    inputs = rng.uniform(-1, 1, (samples, 2))
    return inputs, (np.abs(np.hypot(*inputs.T) - 0.5) < width).astype(np.int64)


def three(rng: np.random.Generator, samples: int):
    labels = rng.integers(0, 3, samples)
    return rng.normal(0, 1, (samples, 4)) + labels[:, None], labels
'''
ALL = """\
name: own
data: {python: mine.ring, width: 0.15, train: 60, test: 40}
network:
  - linear: 6
  - {python: mine.LeakyReLU, slope: 0.1}
  - {python: mine.Residual, hidden: 5}
  - {python: mine.PReLU}
  - linear: {out_features: 2, init: {python: mine.Small, size: 0.3}}
loss: {python: mine.Smooth, reduction: sample}
optimizer: {python: mine.SignSGD, factor: 0.5}
train: {eta: 0.01, epochs: 4, mode: sgd, batch_size: 20, schedule: {python: mine.Falling, power: 2}}
"""
LEAKY = GOOD.replace("- relu", "- {python: mine.LeakyReLU, slope: 0.1}")
QUICK = ("--allow-code", "--seeds", 2, "--quiet", "--json")


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    Path("mine.py").write_text(MINE)
    Path("all.yaml").write_text(ALL)
    Path("leaky.yaml").write_text(LEAKY)


# ------------------------------------------------------------------------------------ permission


@pytest.mark.parametrize("command", ["train", "compare", "validate", "show"])
def test_a_config_runs_no_code_by_itself(minifw: Minifw, command: str) -> None:
    answer = minifw(command, "all.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.splitlines() == [
        f"all.yaml:{place}.python: would run the code of mine.{name}; --allow-code allows it"
        for place, name in (
            ("2:16: data", "ring"),
            ("5:14: network.1", "LeakyReLU"),
            ("6:14: network.2", "Residual"),
            ("7:14: network.3", "PReLU"),
            ("8:46: network.4.init", "Small"),
            ("9:16: loss", "Smooth"),
            ("10:21: optimizer", "SignSGD"),
            ("11:77: train.schedule", "Falling"),
        )
    ]
    assert not Path("it-ran").exists()
    assert not Path("runs").exists()


def test_a_user_may_allow_it_once_for_all(minifw: Minifw) -> None:
    settings = Path("settings/minifw/settings.yaml")
    settings.parent.mkdir(parents=True)
    for text, code, err in (
        ("allow_code: true", 0, ""),
        ("allow_code: false", 2, "--allow-code allows it"),
        ("# nothing", 2, "--allow-code allows it"),
        ("allow_code: 1", 2, "settings.yaml:1:13: allow_code: must be true or false"),
        ("allow_cod: true", 2, "settings.yaml:1:1: allow_cod: unknown key; did you mean"),
    ):
        settings.write_text(text)
        answer = minifw("validate", "leaky.yaml")
        assert (answer.code, answer.err.count("\n")) == (code, code // 2), answer.err
        assert err in answer.err


def test_a_file_named_like_a_library_is_not_run_in_its_place(tmp_path: Path) -> None:
    for name in ("torch", "numpy", "json"):
        Path(f"{name}.py").write_text("open('it-ran', 'w')\n")
    words = [sys.executable, "-m", "minifw", "validate", "simplenet"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not Path("it-ran").exists()


# ---------------------------------------------------------------------------------- what it does


def test_all_of_it_trains_is_shown_and_predicts(minifw: Minifw) -> None:
    shown = minifw("show", "all.yaml", "--allow-code", "--json").json
    assert [(layer["layer"], layer["output"], layer["parameters"]) for layer in shown["network"]] == [
        ("linear", 6, 18), ("LeakyReLU", 6, 0), ("Residual", 6, 71), ("PReLU", 6, 1), ("linear", 2, 14),
    ]  # fmt: skip
    assert shown["from"]["network.1.slope"] == "all.yaml:5:37"
    trained = minifw("train", "all.yaml", *QUICK)
    assert trained.code == 0, trained.err
    run = Path(trained.json["run_dir"])
    about = json.loads((run / "results.json").read_text())["about"]
    assert (
        "(ring, 60+40 points; layers 2-6-2, LeakyReLU/Residual/PReLU; Smooth sample; SignSGD)"
        in about
    )
    assert (run / "mine.py").read_text() == MINE
    assert minifw("runs", "verify", run).code == 0

    Path("mine.py").unlink()  # the run has its own
    Path("new.csv").write_text("x,y\n0.1,0.2\n0.9,0.9\n")
    refused = minifw("predict", run, "new.csv")
    assert (refused.code, refused.err.count("--allow-code allows it\n")) == (2, 8)
    predicted = minifw("predict", run, "new.csv", "--allow-code")
    assert predicted.code == 0, predicted.err
    again = minifw("train", run / "config.yaml", *QUICK)
    assert again.json["train_loss"] == trained.json["train_loss"]

    with (run / "mine.py").open("a") as file:
        file.write("# changed\n")
    changed = minifw("predict", run, "new.csv", "--allow-code")
    assert (changed.code, changed.err.count("\n")) == (4, 1)
    assert "mine.py: damaged" in changed.err
    (run / "mine.py").unlink()
    gone = minifw("predict", run, "new.csv", "--allow-code")
    assert (gone.code, gone.err.count("\n")) == (4, 1)
    assert "mine.py: this file of the run is missing" in gone.err


def test_a_run_goes_on_with_the_code_it_began_with(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = minifw("train", "all.yaml", *QUICK)
    write = runs.Run.commit

    def interrupted(run: runs.Run, **changes: Any) -> None:
        write(run, **changes)
        if changes.get("status") == "running":
            monkeypatch.setattr(runs.Run, "commit", write)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(runs.Run, "commit", interrupted)
    cut = minifw("train", "all.yaml", *QUICK, "--runs-dir", "cut")
    assert cut.code == 143
    (run,) = runs.folders(Path("cut"))
    assert cut.err.endswith(f"to continue: minifw resume {run} --allow-code\n")
    Path("mine.py").write_text(MINE.replace("0.25", "0.5"))
    assert minifw("resume", run).code == 2
    resumed = minifw("resume", run, "--allow-code", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["train_loss"] == whole.json["train_loss"]


def test_with_a_twin_it_is_compared_without_it_is_refused(minifw: Minifw) -> None:
    both = LEAKY.replace("  - linear: 2", "  - linear: 4\n  - {python: mine.PReLU}\n  - linear: 2")
    Path("both.yaml").write_text(both.replace("epochs: 3", "epochs: 3\n  batch_size: 20"))
    answer = minifw("compare", "both.yaml", *QUICK, "--set", "dtype=float64")
    assert answer.code == 0, answer.err
    for parity in answer.json["parity"].values():
        assert parity["max_gradient_difference"] < 1e-12
        assert parity["max_weight_difference"] < 1e-12
    answer = minifw("compare", "all.yaml", "--allow-code", "--runs-dir", "none")
    assert answer.code == 2
    for line, (place, decorator) in zip(
        answer.err.splitlines(),
        [
            ("all.yaml:6:5: network.2: Residual (mine.py:50): ", "layer"),
            ("all.yaml:9:7: loss: Smooth (mine.py:61): ", "loss"),
            ("all.yaml:10:12: optimizer: SignSGD (mine.py:70): ", "optimizer"),
        ],
        strict=True,
    ):
        assert line.startswith(f"{place}there is no PyTorch twin of it"), line
        assert f"@nn.{decorator}(twin=nn.Twin(...)) above the class gives one" in line
    assert not Path("none").exists()
    assert minifw("compare", "all.yaml", *QUICK, "--reference", "none").code == 0


SCALE = """
import torch
from minifw import nn

class Torch(torch.nn.Module):
    def __init__(self, start=2.0, fail=False):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.full((4,), start))
        self.fail = fail

    def forward(self, x):
        if self.fail:
            raise ValueError("no")
        return x * self.factor

@nn.DECORATOR
class X(nn.Module):
    def __init__(self, stack=(), dtype=torch.float32):
        self.register_parameter("scale", torch.full((*stack, 4), 2.0, dtype=dtype))

    def forward(self, x):
        self.remember((x,), (y := x * self.scale.unsqueeze(-2),))
        return y

    def backward(self, gradient):
        (x,) = self.recall(gradient).inputs
        self.scale_grad += (gradient * x).sum(-2)
        return gradient * self.scale.unsqueeze(-2)
"""
TWINS = [
    ('layer(twin=nn.Twin("NoReLU"))', "NoReLU: torch.nn has no class 'NoReLU'; did you mean 'ReLU'?"),
    ('layer(twin=nn.Twin("PReLU", slope="a"))', "PReLU: AttributeError: 'X' object has no attribute 'a'"),
    ('layer(twin=nn.Twin("PReLU", slope=lambda x: 1))',
     "PReLU: TypeError: PReLU.__init__() got an unexpected keyword argument 'slope'"),
    ('layer(twin=nn.Twin("PReLU"))',
     "PReLU: its parameter 'weight' has shape (1,), 'scale' of the class has (4,)"),
    ('layer(twin=nn.Twin("ReLU"))', "ReLU: must have the parameters of the class, scale; it has none"),
    ('layer(twin=nn.Twin(torch.nn.ReLU))',
     "ReLU: must have the parameters of the class, scale; it has none"),
    ('layer(twin=nn.Twin(dict))', "dict: must be an nn.Module of PyTorch, got dict"),
    ('layer(twin=nn.Twin(3))', "3: must name a class of torch.nn, or be one"),
    ('layer(twin=nn.Twin(lambda: torch.nn.Bilinear(1, 2, 1, bias=False)))',
     "<lambda>: its parameter 'weight' has shape (1, 1, 2), 'scale' of the class has (4,)"),
    ('layer(twin=nn.Twin(Torch, fail=lambda x: True))', "Torch: bad.py:13: ValueError: no"),
]  # fmt: skip


@pytest.mark.parametrize(("decorator", "expected"), TWINS)
def test_a_wrong_twin_is_one_line(minifw: Minifw, decorator: str, expected: str) -> None:
    Path("bad.py").write_text(SCALE.replace("DECORATOR", decorator))
    Path("b.yaml").write_text(GOOD.replace("- relu", "- {python: bad.X}"))
    answer = minifw("compare", "b.yaml", *QUICK, "--set", "train.batch_size=20")
    assert answer.code == 2
    assert answer.err == f"b.yaml:5:5: network.1: X (bad.py:16): its PyTorch twin {expected}\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize("twin", ['"PReLU"', "nn.ReLU"])
def test_a_twin_that_is_no_twin_is_one_line(minifw: Minifw, twin: str) -> None:
    Path("bad.py").write_text(SCALE.replace("DECORATOR", f"layer(twin={twin})"))
    Path("b.yaml").write_text(GOOD.replace("- relu", "- {python: bad.X}"))
    answer = minifw("compare", "b.yaml", *QUICK, "--set", "train.batch_size=20")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "its twin must be written @nn.layer(twin=nn.Twin(...)), got " in answer.err
    assert not Path("runs").exists()


@pytest.mark.parametrize("reference", ["pytorch", "vmap"])
def test_a_module_of_ones_own_is_a_twin_by_the_order_of_its_parameters(
    minifw: Minifw, reference: str
) -> None:
    text = SCALE.replace("DECORATOR", "layer(twin=nn.Twin(Torch, start=lambda x: 1.0))")
    Path("bad.py").write_text(text)
    Path("b.yaml").write_text(GOOD.replace("- relu", "- {python: bad.X}"))
    words = ("--set", "train.batch_size=20", "--set", "dtype=float64", "--reference", reference)
    answer = minifw("compare", "b.yaml", *QUICK, *words)
    assert answer.code == 0, answer.err
    for parity in answer.json["parity"].values():
        assert parity["max_gradient_difference"] < 1e-12
        assert parity["max_weight_difference"] < 1e-12


def test_data_of_other_features_and_classes(minifw: Minifw) -> None:
    text = GOOD.replace("{kind: disk, train: 50, test: 60}", "{python: mine.three, train: 50}")
    Path("three.yaml").write_text(text)
    answer = minifw("validate", "three.yaml", "--allow-code")
    assert answer.err == (
        "three.yaml:6:5: network.2: 3 classes, the last layer has 2 outputs; "
        "--set network.2.out_features=3\n"
    )
    trained = minifw("train", "three.yaml", *QUICK, "--set", "network.2.linear=3")
    assert trained.code == 0, trained.err
    assert trained.json["data"]["features"] == ["x1", "x2", "x3", "x4"]
    Path("new.csv").write_text("x,y,z\n1,2,3\n")
    answer = minifw("predict", trained.json["run_dir"], "new.csv", "--allow-code")
    assert (answer.code, answer.err) == (
        2, "new.csv: there is no column 'x1', 'x2', 'x3', 'x4'; known here: x, y, z\n"
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_compiled_it_is_the_same(minifw: Minifw) -> None:
    Path("two.yaml").write_text(
        LEAKY.replace("  - linear: 2", "  - {python: mine.PReLU}\n  - linear: 2")
    )
    words = ("train", "two.yaml", *QUICK, "--set", "dtype=float64")
    plain, quick = (minifw(*words, "--set", f"train.compile={way}") for way in ("false", "true"))
    assert quick.code == 0, quick.err
    np.testing.assert_allclose(quick.json["train_loss"], plain.json["train_loss"], rtol=1e-10)


def test_a_file_that_is_edited_is_run_anew() -> None:
    def slope() -> float:
        layer = loading.load(Path("leaky.yaml"), allow_code=True).network[1]
        y: torch.Tensor = layer.module((2,)).forward(torch.tensor([[-1.0]]))
        return round(-y.item(), 6)

    assert slope() == 0.1
    Path("mine.py").write_text(MINE.replace("self.slope * x", "2 * self.slope * x"))
    assert slope() == 0.2
    text = loading.dump(loading.load(Path("leaky.yaml"), allow_code=True))
    Path("again.yaml").write_text(text)
    assert loading.dump(loading.load(Path("again.yaml"), allow_code=True)) == text


# ------------------------------------------------------------------------------------- mistakes

NN = "from minifw import nn\n"
MISTAKES = [
    ("import nonsense", "{python: bad.X}",
     "5:14: network.1.python: bad.py:1: ModuleNotFoundError: No module named 'nonsense'"),
    ("x = 1\nclass X(:", "{python: bad.X}", "5:14: network.1.python: bad.py:2: SyntaxError: invalid syntax"),
    (NN + "class Leaky(nn.ReLU): pass", "{python: bad.Laeky}",
     "5:14: network.1.python: bad.py: has no 'Laeky'; did you mean 'Leaky'?"),
    ("class X: pass", "{python: bad.X}",
     "5:14: network.1.python: bad.X: must be a class derived from Module"),
    ("x = 1", "{python: none.X}", "5:14: network.1.python: there is no file none.py in FOLDER"),
    ("x = 1", "{python: bad}",
     "5:14: network.1.python: must be a file and a class in it, as in mymodules.LeakyReLU, got 'bad'"),
    ("x = 1", "{python: ../bad.X}",
     "5:14: network.1.python: must be a file and a class in it, as in mymodules.LeakyReLU, got '../bad.X'"),
    ("x = 1", "{python: 3}",
     "5:14: network.1.python: must be a file and a class in it, as in mymodules.LeakyReLU, got a number"),
    ("x = 1", "{python: bad.X, kind: relu}",
     "5:21: network.1.kind: cannot be given together with 'python'; keep one of them"),
    (NN + "class X(nn.ReLU):\n  def __init__(self, slope: float = 1.0): pass", "{python: bad.X, slpoe: 1}",
     "5:21: network.1.slpoe: unknown key; did you mean 'slope'?"),
    (NN + "class X(nn.ReLU):\n  def __init__(self, slope: float = 1.0): pass", "{python: bad.X, slope: steep}",
     "5:28: network.1.slope: must be a number, got 'steep' (text)"),
    (NN + "class X(nn.ReLU):\n  def __init__(self, slope: float): pass", "{python: bad.X}",
     "5:5: network.1.slope: this key is missing"),
    (NN + "class X(nn.ReLU):\n  def __init__(self, slope): pass", "{python: bad.X}",
     "5:14: network.1.python: X: argument 'slope' must have a type, as in `slope: float`"),
    (NN + "class X(nn.ReLU):\n  def __init__(self, a: nn.Module): pass", "{python: bad.X}",
     "5:14: network.1.python: bad.X: an argument has a type that a config cannot hold; bool, int, "
     "float, str, Literal, tuple and list can"),
    (NN + "class X(nn.ReLU):\n  def __init__(self):\n    raise ValueError('no')", "{python: bad.X}",
     "5:5: network.1: X: bad.py:4: ValueError: no"),
    (NN + "class X(nn.ReLU):\n  def backward(self, g):\n    raise KeyError(3)", "{python: bad.X}",
     "5:5: network.1: X: bad.py:4: KeyError: 3"),
    (NN + "class X(nn.ReLU):\n  def forward(self, x):\n    return x[0]", "{python: bad.X}",
     "5:5: network.1: X: must give (2, 3, …) for an input of (2, 3, 4), got (3, 4) of float64"),
    (NN + "class X(nn.ReLU):\n  def forward(self, x):\n    return super().forward(x.clamp_(min=0))",
     "{python: bad.X}",
     "5:5: network.1: X.forward: must not change the tensor that it is given; make a new one"),
    (NN + "class X(nn.ReLU):\n  def backward(self, g):\n    return super().backward(g).add_(g.zero_())",
     "{python: bad.X}",
     "5:5: network.1: X.backward: must not change the tensor that it is given; make a new one"),
    (NN + "class X(nn.ReLU):\n  def backward(self, g):\n    return g[..., :1]", "{python: bad.X}",
     "5:5: network.1: X.backward: must give a value of shape (2, 3, 4), got (2, 3, 1) of float64"),
    ("import sys\nsys.exit(0)", "{python: bad.X}", "5:14: network.1.python: bad.py:2: SystemExit: 0"),
    (NN + "class X(nn.ReLU):\n  def forward(self, x):\n    exit(0)", "{python: bad.X}",
     "5:5: network.1: X: bad.py:4: SystemExit: 0"),
    ("x = 1\0", "{python: bad.X}",
     "5:14: network.1.python: bad.py: source code string cannot contain null bytes"),
    (NN + "class X(nn.Linear):\n  def __init__(self):\n    super().__init__(4, 4)", "{python: bad.X}",
     "5:5: network.1: X: parameter 'weight' must begin with the `stack` and be of the `dtype` that the "
     "constructor is given, for two networks (2, …) of float64, got (4, 4) of float32"),
    (NN + "class X(nn.Graph):\n  def __init__(self, in_features, **of_stack):\n"
          "    self.one = nn.Dropout(0.5, **of_stack)", "{python: bad.X}",
     "5:5: network.1: X: bad.py:4: TypeError: Dropout.__init__() got an unexpected keyword argument "
     "'init'; of init, stack, generators, dtype, device Dropout takes only stack, dtype, device: name "
     "these in the constructor and hand them on, Dropout(…, stack=stack, dtype=dtype)"),
    (NN + "class X(nn.Graph):\n  def __init__(self, **of_stack):\n    self.one = nn.Tanh(**of_stack)",
     "{python: bad.X}",
     "5:5: network.1: X: bad.py:4: TypeError: Tanh() takes no arguments"),
    (NN + "class X(nn.Graph):\n  def __init__(self):\n    self.one = nn.Dropout(0.5)\n"
          "    self.register_modules(self.one)\n  def connect(self, x):\n    return self.one(x)",
     "{python: bad.X}",
     "5:5: network.1: X: bad.py:7: Dropout(0.5).forward: expects an input of shape (…) of float32, got "
     "(2, 3, 4) of float64; it is tried as two networks (2, …) of float64: hand the `stack` and `dtype` "
     "that the constructor is given on to each module that has them"),
    (NN + "class X(nn.Linear): pass", "{python: bad.X, out_features: 7, in_features: 9}",
     "5:5: network.1: expects 9 inputs, but network.0 (line 4) gives 4"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "layer", "expected"), MISTAKES)
def test_a_mistake_is_one_line(
    minifw: Minifw, tmp_path: Path, text: str, layer: str, expected: str
) -> None:
    Path("bad.py").write_text(text)
    Path("b.yaml").write_text(GOOD.replace("- relu", f"- {layer}"))
    answer = minifw("train", "b.yaml", "--allow-code")
    assert answer.code == 2
    assert answer.err == f"b.yaml:{expected.replace('FOLDER', str(tmp_path))}\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("loss", NN + "class X(nn.Loss): pass", "X: NotImplementedError: X does not define function"),
        ("loss", NN + "class X(nn.LossMSE):\n  def function(self, a, b): return a.sum()",
         "X.function: must give a value of shape (2,), got () of float64"),
        ("optimizer", NN + "class X(nn.Optimizer): pass", "X: NotImplementedError: X does not define step"),
        ("optimizer", NN + "class X(nn.Optimizer):\n  def __init__(self, network: nn.Module):\n    pass",
         "optimizer: X: has no network; __init__ must begin with super().__init__(network)"),
        ("optimizer", NN + "import torch\nclass X(nn.SGD):\n  def step(self, eta):\n    self.v = torch.zeros(2)",
         "the tensor in 'v' would be lost in a checkpoint and in parts of a stack, got (2,) of float32; keep"),
        ("train.schedule", NN + "class X(nn.Schedule): pass", "X: NotImplementedError: X does not define"),
        ("train.schedule", NN + "class X(nn.Schedule):\n  def factors(self, steps, total, epoch): return 1",
         "X().factors: must return an array of (30,), one number for each step, got int"),
        ("init", NN + "class X(nn.Initializer):\n  def draw_weight(self, *of): return 3",
         "X.draw_weight: must give a value of shape (3, 2), got int"),
    ],
)  # fmt: skip
def test_a_mistake_in_other_things_is_one_line(
    minifw: Minifw, key: str, text: str, expected: str
) -> None:
    Path("bad.py").write_text(text)
    Path("b.yaml").write_text(GOOD)
    answer = minifw("validate", "b.yaml", "--allow-code", "--set", f"{key}={{python: bad.X}}")
    assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
    assert expected in answer.err


MUST = "must return two values, points (1000, features) and their classes (1000,)"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("3", f"{MUST}, got int"),
        ("x", f"{MUST}, got float64 of (1000, 4)"),
        ("(x, y, 3)", f"{MUST}, got 3 values"),
        ("(y, x)", f"{MUST}; they are swapped, got (1000,) and (1000, 4)"),
        ("(x[:, 0], y)", f"{MUST}, got points (1000,)"),
        ("(x[1:], y)", f"{MUST}, got (999, 4) and (1000,)"),
        ("(x, x)", f"{MUST}, got (1000, 4) and (1000, 4)"),
        ("(x, np.where(y, 'in', 'out'))", "classes must be whole numbers from 0 on, got text, as 'out'"),
        ("(x, y + 0.5)", "classes must be whole numbers from 0 on, got float64; task: regression takes numbers"),
        ("(x, y - 1)", "classes must be numbers from 0 on, got -1 to 0"),
        ("(x.astype(str), y)", "points must hold real numbers, got text"),
        ("(x / 0, y)", "points[0, 0] must be a finite number, got inf; leave such samples out"),
    ],
)  # fmt: skip
def test_what_a_function_draws_is_checked(minifw: Minifw, returned: str, expected: str) -> None:
    Path("bad.py").write_text(
        "import numpy as np\nnp.seterr(all='ignore')\ndef X(rng, samples):\n"
        "    x, y = np.ones((samples, 4)), np.arange(samples) % 2\n"
        f"    return {returned}\n"
    )
    Path("b.yaml").write_text(GOOD.replace("{kind: disk, train: 50, test: 60}", "{python: bad.X}"))
    answer = minifw("train", "b.yaml", "--allow-code")
    assert answer.code == 2
    assert answer.err == f"b.yaml:2:16: data.python: X (bad.py:3): {expected}\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "returned",
    ["(x, y == 1)", "(x, y.astype('int32'))", "(x.astype('float32'), y)", "[x.tolist(), y.tolist()]",
     "(torch.from_numpy(x), torch.from_numpy(y))", "(x, y * 1.0)"],
)  # fmt: skip
def test_a_function_may_draw_what_from_arrays_takes(minifw: Minifw, returned: str) -> None:
    draw = (
        "import numpy as np, torch\ndef X(rng, samples):\n"
        "    x, y = rng.integers(0, 9, (samples, 2)) / 2, np.arange(samples) % 2\n"
    )
    Path("same.py").write_text(f"{draw}    return x, y\n")
    Path("bad.py").write_text(f"{draw}    return {returned}\n")
    losses = []
    for name in ("same", "bad"):
        data = f"{{python: {name}.X, train: 20, test: 10}}"
        Path("b.yaml").write_text(GOOD.replace("{kind: disk, train: 50, test: 60}", data))
        answer = minifw("train", "b.yaml", *QUICK)
        assert answer.code == 0, answer.err
        losses.append(answer.json["train_loss"])
    assert losses[0] == losses[1]


def test_what_fails_in_training_names_the_line(minifw: Minifw) -> None:
    late = "class X(nn.ReLU):\n  def backward(self, g):\n    assert len(g) == 2, 'only two'\n    return g"
    Path("bad.py").write_text(NN + late)
    Path("b.yaml").write_text(GOOD.replace("- relu", "- {python: bad.X}"))
    answer = minifw("train", "b.yaml", "--allow-code", "--seeds", 3, "--quiet")
    assert (answer.code, answer.err) == (2, "bad.py:4: AssertionError: only two\n")


def test_code_that_asks_for_the_end_in_training_does_not_look_like_success(minifw: Minifw) -> None:
    late = "class X(nn.ReLU):\n  def backward(self, g):\n    len(g) == 2 or exit(0)\n    return g"
    Path("bad.py").write_text(NN + late)
    Path("b.yaml").write_text(GOOD.replace("- relu", "- {python: bad.X}"))
    answer = minifw("train", "b.yaml", "--allow-code", "--seeds", 3, "--quiet")
    assert (answer.code, answer.err) == (2, "bad.py:4: SystemExit: 0\n")
    assert [run["status"] for run in minifw("runs", "ls", "--json").json["runs"]] == ["crashed"]


@pytest.mark.parametrize("command", ["train", "validate", "show", "gradcheck"])
def test_what_own_code_prints_is_not_in_the_json(minifw: Minifw, command: str) -> None:
    text = "print('begun')\nclass X(nn.ReLU):\n  def forward(self, x):\n    print('forward')\n"
    Path("bad.py").write_text(f"{NN}# {command}\n{text}    return super().forward(x)")
    Path("b.yaml").write_text(GOOD.replace("- relu", "- {python: bad.X}"))
    answer = minifw(command, "b.yaml", "--allow-code", "--json")
    assert isinstance(json.loads(answer.out), dict)
    assert {"begun", "forward"} <= {*answer.err.split()}


# ------------------------------------------------------------------------------ other packages


@pytest.fixture
def swish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with a layer."""
    site = tmp_path / "site"
    info = site / "swishes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: swishes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[minifw.layers]\nswish = swishes:Swish\nrelu = swishes:Swish\nlost = swishes:Lost\n"
    )
    (site / "swishes.py").write_text(
        "import torch\nfrom typing import Annotated\nfrom minifw import nn\n"
        '@nn.layer(about="x sigmoid(beta x)", short="beta")\n'
        "class Swish(nn.ActivationFunction):\n"
        '    def __init__(self, beta: Annotated[float, nn.Key("steepness", gt=0)] = 1.0):\n'
        "        self.beta = beta\n"
        "    def function(self, x):\n        return x * torch.sigmoid(self.beta * x)\n"
        "    def derivative(self, x, y):\n"
        "        s = torch.sigmoid(self.beta * x)\n        return s + self.beta * y * (1 - s)\n"
    )
    monkeypatch.syspath_prepend(str(site))
    for cached in (short.installed, own.installed_model):
        cached.cache_clear()
    yield
    for cached in (short.installed, own.installed_model):
        cached.cache_clear()


def test_a_layer_of_a_package_has_a_kind(minifw: Minifw, swish: None) -> None:
    for layer in ("swish", "swish: 2", "swish: {beta: 2}", "{kind: swish, beta: 2}"):
        Path("s.yaml").write_text(GOOD.replace("- relu", f"- {layer}"))
        assert minifw("train", "s.yaml", "--quiet").code == 0, layer
    Path("s.yaml").write_text(GOOD.replace("- relu", "- swish: 0"))
    assert (
        minifw("train", "s.yaml").err == "s.yaml:5:12: network.1.beta: must be above 0.0, got 0\n"
    )
    Path("s.yaml").write_text(GOOD.replace("- relu", "- lost"))
    assert (
        "network.1: 'lost', swishes:Lost, cannot be loaded: AttributeError"
        in minifw("train", "s.yaml").err
    )
    Path("s.yaml").write_text(GOOD)  # and relu is minifw's own
    assert minifw("show", "s.yaml", "--json").json["network"][1]["layer"] == "relu"


def test_the_schema_has_it(minifw: Minifw, swish: None) -> None:
    entry = Path("site/swishes-1.0.dist-info/entry_points.txt")
    entry.write_text("[minifw.layers]\nswish = swishes:Swish\n")
    layers = minifw("schema").json["properties"]["network"]["items"]["anyOf"]
    assert "swish" in layers[0]["enum"]
    assert any(form.get("required") == ["swish"] for form in layers)
