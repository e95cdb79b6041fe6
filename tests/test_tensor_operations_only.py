"""minifw.nn is written from tensor operations: checked in its source, and while it runs."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

import minifw.nn
from cases import LOSSES, MODULES, inputs_of, normal
from minifw import nn as ours
from minifw.nn import checks
from minifw.nn.module import as_tuple

SOURCE = Path(inspect.getfile(minifw.nn)).parent
FORBIDDEN_PARTS = {"autograd", "optim", "func", "functional", "functorch", "vmap", "jacrev", "vjp"}
FORBIDDEN_NAMES = {"requires_grad", "requires_grad_", "enable_grad", "set_grad_enabled", "grad_fn"}


def faults_in(text: str, also: tuple[str, ...] = ()) -> list[str]:
    """What a piece of framework source may not do, as `line: what`; it may import `also`."""
    faults = []
    node: Any
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
            if node.attr in FORBIDDEN_NAMES:
                faults.append(f"{node.lineno}: {node.attr}")
        elif isinstance(node, ast.Call):
            faults += [f"{node.lineno}: {k.arg}" for k in node.keywords if k.arg in FORBIDDEN_NAMES]
        for name in names:
            top, *rest = name.split(".")
            if top == "torch" and ({"nn", *FORBIDDEN_PARTS} & set(rest)):
                faults.append(f"{node.lineno}: {name}")
            if isinstance(node, ast.Import | ast.ImportFrom) and top not in {
                "torch", "numpy", "math", "threading", "typing", "collections", "dataclasses", "contextlib",
                "copy", "functools", "itertools", "types", "__future__", "minifw", *also,
            }:  # fmt: skip
                faults.append(f"{node.lineno}: import of {name}")
            if name.startswith("torch.ops") or name.startswith("torch._C"):
                faults.append(f"{node.lineno}: {name}")
    return faults


def test_source_uses_tensor_operations_only() -> None:
    files = list(SOURCE.rglob("*.py"))
    assert len(files) >= 7
    # For a parametrization, and to read signatures.
    also = {"claims.py": ("pytest", "inspect")} | dict.fromkeys(
        ("base.py", "options.py"), ("inspect",)
    )
    faults = {file.name: faults_in(file.read_text(), also.get(file.name, ())) for file in files}
    refused = faults["module.py"].pop()  # it asks for that in order to refuse such a tensor
    assert refused.endswith(": requires_grad")
    assert faults == {file.name: [] for file in files}


@pytest.mark.parametrize(
    "text",
    [
        "import torch.nn",
        "from torch import nn",
        "from torch.nn import functional as F",
        "import torch\ntorch.nn.functional.relu(x)",
        "import torch\ntorch.autograd.grad(y, x)",
        "from torch.optim import SGD",
        "from torch.func import vmap",
        "x.requires_grad_()",
        "import torch\ntorch.zeros(2, requires_grad=True)",
        "import torch\ntorch.ops.aten.threshold_backward(g, x, 0)",
        "import jax",
    ],
)
def test_the_check_of_the_source_sees(text: str) -> None:
    assert faults_in(text)


@pytest.fixture
def nothing_but_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autograd, torch.nn, torch.optim and torch.func raise for the length of a test."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the framework called autograd, torch.nn, torch.optim or torch.func")

    for owner, name in (
        (torch.Tensor, "backward"), (torch.Tensor, "requires_grad_"), (torch.autograd, "backward"),
        (torch.autograd, "grad"), (torch.autograd.Function, "apply"), (torch.nn.Module, "__init__"),
        (torch.nn.Module, "__call__"), (torch.optim.Optimizer, "__init__"), (torch.func, "vmap"),
        (torch.func, "grad"), (torch.func, "vjp"), (torch, "vmap"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, refuse)
    for name, function in inspect.getmembers(torch.nn.functional, callable):
        if not name.startswith("_") and not inspect.isclass(function):
            monkeypatch.setattr(torch.nn.functional, name, refuse)


@pytest.mark.usefixtures("nothing_but_tensors")
def test_everything_runs_without_autograd_and_torch_nn() -> None:
    for case in MODULES:
        for stack in ((), (2,)):
            module = case.make(stack)
            outputs = as_tuple(module.forward(*inputs_of(case, *stack)))
            module.backward(*outputs)
            module.accumulate(*outputs)
            ours.SGD(module, momentum=0.9).step(0.1)
            ours.SGD(module).step(0.1)
            module.initialize("xavier-normal", _generators(stack))
            module.load_state_dict(module.state_dict())
    for loss_case in LOSSES:
        for reduction in ("mean", "sample", "sum"):
            loss, output = loss_case.make(reduction), normal(6, 3)
            loss.function(output, loss_case.target(()))
            loss.grad(output, loss_case.target(()))
    for init in ours.INITIALIZERS:
        ours.Linear(3, 4, init=init)
    checks.check_module(lambda stack: ours.Linear(4, 3, stack=stack), [(5, 4)])
    checks.check_loss(ours.LossMSE, (6, 3), normal(6, 3))


@pytest.mark.usefixtures("nothing_but_tensors")
def test_the_check_while_running_sees() -> None:
    with pytest.raises(AssertionError, match="the framework called"):
        torch.nn.Linear(2, 2)
    with pytest.raises(AssertionError, match="the framework called"):
        torch.nn.functional.relu(torch.ones(2))
    with pytest.raises(AssertionError, match="the framework called"):
        torch.ones(2).sum().backward()


def _generators(stack: tuple[int, ...]) -> list[Any]:
    import numpy as np

    return [np.random.default_rng(k) for k in range(stack[0] if stack else 1)]
