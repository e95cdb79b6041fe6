"""One declaration for each layer, loss, optimiser, initialiser and kind of data; what it takes."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from bad_configs import GOOD
from cases import MODULES
from conftest import ROOT
from minifw import nn
from minifw.config.fields import fields_of
from minifw.config.layers import LayerSection
from minifw.config.sections import section
from minifw.errors import ModuleError
from minifw.nn import registry
from minifw.nn.registry import (
    LayerDeclaration,
    LossDeclaration,
    OptimizerDeclaration,
    kinds,
)
from minifw.reference import layers


@pytest.mark.parametrize("kind", kinds(LayerDeclaration))
def test_a_layer_that_a_config_can_name_has_a_case_and_a_twin(kind: str) -> None:
    declared = kinds(LayerDeclaration)[kind]
    needed = {
        name
        for name, argument in inspect.signature(declared.make).parameters.items()
        if argument.default is argument.empty
    }
    assert needed <= {*declared.case}, "its declaration needs a case for the tests"
    assert any(declared.make in row.covers and row.name.endswith("declared") for row in MODULES)
    assert declared.twin is not None
    library = layers if str(declared.twin) in layers.__all__ else torch.nn
    assert issubclass(getattr(library, str(declared.twin)), torch.nn.Module)


def test_losses_and_optimisers_have_twins() -> None:
    for loss in kinds(LossDeclaration).values():
        assert loss.twin is not None
        assert hasattr(torch.nn, str(loss.twin))
    for optimizer in kinds(OptimizerDeclaration).values():
        assert optimizer.twin is not None
        assert hasattr(torch.optim, str(optimizer.twin))


@pytest.mark.parametrize("kind", kinds(LayerDeclaration))
@pytest.mark.parametrize("more", [{}, {"bias": False}])
def test_sizes_as_declared_are_those_of_a_network(kind: str, more: dict[str, bool]) -> None:
    declared = kinds(LayerDeclaration)[kind]
    keys = {k: v for k, v in declared.case.items() if k not in declared.inferred}
    layer = section(LayerSection, kind, **keys, **(more if kind == "linear" else {}))
    shapes = [shape[1:] for shape in declared.input_shapes]
    assert layer.sizes(*shapes)[:2] == layer.trial(*shapes)


def test_a_kind_is_declared_once() -> None:
    with pytest.raises(ModuleError, match="the kind 'relu' is that of ReLU"):

        @registry.layer("relu")
        class Other(nn.ReLU):
            pass

    @registry.layer(twin=nn.Twin("ReLU"))
    class Mine(nn.ReLU):
        pass

    class Theirs(Mine):
        pass

    assert registry.declaration_of(Mine, LayerDeclaration).twin is not None
    assert registry.declaration_of(Theirs, LayerDeclaration).twin is None  # it may compute another
    assert registry.declaration_of(Theirs, LayerDeclaration).word == "Theirs"


def test_keys_are_the_arguments() -> None:
    class Odd(nn.ReLU):
        def __init__(self, a: float, b: int = 3, *, stack: tuple[int, ...] = (), **rest: int):
            pass

    fields = fields_of(Odd, LayerSection)
    assert [*fields] == ["a", "b"]
    assert fields["a"][1].is_required()
    assert fields["b"][1].default == 3


# ------------------------------------------------------------------------- what a new layer takes

FORMULA = """
    def function(self, x: Tensor) -> Tensor:
        return torch.maximum(x, torch.mul(x, self.slope, out=buffer(x)), out=buffer(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        # sign(max(0, x)) is 1 where x > 0 and 0 elsewhere.
        positive = torch.clamp(x, min=0, out=buffer(x)).sign_()
        return positive.mul_(1 - self.slope).add_(self.slope)
"""
BESIDE = '''
@activation(
    "leaky",
    about="max(x, slope x), of each number",
    section="A ReLU that lets a part of negative numbers through.",
    short="slope",
    twin=Twin("LeakyReLU", negative_slope="slope"),
    case={"slope": 0.1},
)
class Leaky(ActivationFunction):
    """y = max(x, slope x); σ'(x) = 1 where x > 0, else slope. Shapes: any, kept."""

    def __init__(
        self, slope: Annotated[float, Key("factor of negative numbers", ge=0, lt=1)] = 0.01
    ) -> None:
        self.slope = slope
'''
CHANGED = {  # in activations.py
    '"ActivationFunction", ': '"ActivationFunction", "Leaky", ',
}
CONFIG = GOOD.replace("- relu", "- leaky: 0.1").replace("eta: 1e-3", "eta: 0.05\n  batch_size: 20")
SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from minifw.cli import main
main.leave_process = sys.exit

def minifw(*words):
    sys.argv = ["minifw", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main()
        except SystemExit as end:
            assert not end.code, err.getvalue()
    return out.getvalue()

answers = {
    "show": json.loads(minifw("show", "a.yaml", "--json")),
    "schema": json.loads(minifw("schema")),
    "compare": json.loads(minifw("compare", "a.yaml", "--seeds", "2", "--set", "dtype=float64", "--json")),
}
run = Path(answers["compare"]["run_dir"])
answers["about"] = json.loads((run / "results.json").read_text())["about"]

import cases, test_cases
from minifw.nn import checks
assert "Leaky" in cases.ours.__all__
(row,) = [row for row in cases.MODULES if row.name == "Leaky as declared"]
test_cases.test_forward_and_backward_equal_autograd(row)
checks.check_module(row.make, row.inputs)
print(json.dumps(answers))
"""


def test_a_new_layer_is_its_formula_and_less_than_twenty_lines(tmp_path: Path) -> None:
    """In a copy of the package; nothing but one file is changed, and everything knows the layer."""
    package = tmp_path / "src" / "minifw"
    shutil.copytree(ROOT / "src/minifw", package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / "nn/activations.py"
    text = file.read_text()
    for old, new in CHANGED.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(f"{text}\n{BESIDE}{FORMULA}")
    lines = [line for line in BESIDE.splitlines() if line.strip()]
    assert len(lines) + len(CHANGED) < 20

    (tmp_path / "a.yaml").write_text(CONFIG)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(ROOT / "tests")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])

    show = answers["show"]
    assert show["network"][1] == {
        "layer": "leaky", "output": 4, "parameters": 0, "operations": 4,
    }  # fmt: skip
    assert show["config"]["network"][1] == {"kind": "leaky", "slope": 0.1}
    assert show["from"]["network.1.slope"] == "a.yaml:5:12"
    assert show["memory"]["needed"] > 0
    layers = answers["schema"]["properties"]["network"]["items"]["anyOf"]
    assert "leaky" in layers[0]["enum"]
    (short,) = [form for form in layers if form.get("required") == ["leaky"]]
    number = short["properties"]["leaky"]["anyOf"][0]
    assert (number["minimum"], number["exclusiveMaximum"]) == (0, 1)
    assert "layers 2-4-2, leaky" in answers["about"]
    for parity in answers["compare"]["parity"].values():
        assert parity["max_gradient_difference"] < 1e-12
        assert parity["max_weight_difference"] < 1e-12
    assert np.isfinite(answers["compare"]["test_error"]["sgd"]["minifw"]).all()
