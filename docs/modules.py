"""Writes docs/modules.md: every module, loss, optimiser, schedule and initialiser: `make pages`.

Formulas, sources and keys are those of the code. The errors are measured: each row of the table
of cases that all tests go over (tests/cases.py) is compared with PyTorch's autograd in float64.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from cases import ABSTRACT, LOSSES, MODULES, LossCase, ModuleCase, inputs_of, normal  # noqa: E402
from joined import Joined, rows_of  # noqa: E402
from minifw import nn  # noqa: E402
from minifw.compile import CannotCompileError, Program  # noqa: E402
from minifw.nn import registry  # noqa: E402
from minifw.nn.module import as_tuple, in_mode  # noqa: E402
from minifw.nn.registry import Declaration, LayerDeclaration  # noqa: E402
from minifw.training.learner import Learner  # noqa: E402

PAGE = HERE / "modules.md"
LANES = 2

INTRODUCTION = """\
# All modules

Written by `python docs/modules.py` from the code and the tests: the formula of each class as its
docstring states it, the shapes of a case of the tests, how a config names it, the largest error of
its gradients relative to the largest gradient (all cases of the tests, float64, against PyTorch's
autograd), and whether its step is compiled. `g` is dL/dy. Shapes are those of one network, samples
first; a stack stands before them. What has no source is its own definition."""


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    parts += [_table("Layers", _layers(), ("shapes", "in a config", "error", "compiled"))]
    parts += [_table("Networks", _networks(), ("shapes", "error", "compiled"))]
    if others := list(_operations()):
        parts += [_table("Operations on variables", others, ("shapes", "error", "compiled"))]
    parts += [_table("Losses", _losses(), ("in a config", "error", "compiled"))]
    for title, family in OTHERS:
        parts.append(_table(title, _declared(family), ("in a config",)))
    return "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------------------------- the tables

Row = dict[str, str]

OTHERS: list[tuple[str, type[Declaration]]] = [
    ("Optimisers", registry.OptimizerDeclaration),
    ("Initialisers", registry.Declaration),
]
if hasattr(registry, "ScheduleDeclaration"):
    OTHERS.insert(1, ("Schedules of the learning rate", registry.ScheduleDeclaration))


def _table(title: str, rows: Iterable[tuple[type, Row]], columns: Sequence[str]) -> str:
    """Return a family as a table, and below it the sources."""
    lines = [f"| class | formula | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    sources = []
    for kind, row in rows:
        cells = [f"`{kind.__name__}`", _cell(formula(kind)), *(row[name] for name in columns)]
        lines.append(f"| {' | '.join(cells)} |")
        if source := source_of(kind):
            sources.append(f"`{kind.__name__}`: {source}")
    return f"## {title}\n\n" + "\n".join(lines) + (
        "\n\nSources. " + "; ".join(sources) + "." if sources else ""
    )  # fmt: skip


def _layers() -> Iterator[tuple[type, Row]]:
    declared = {each.make: each for each in registry.kinds(LayerDeclaration).values()}
    for kind in _exported(nn.Module):
        if kind in declared:
            yield kind, {"in a config": _yaml(declared[kind]), **_measured(kind)}


def _networks() -> Iterator[tuple[type, Row]]:
    for kind in _exported(nn.Network):
        yield kind, _measured(kind)


def _operations() -> Iterator[tuple[type, Row]]:
    declared = {each.make for each in registry.kinds(LayerDeclaration).values()}
    for kind in _exported(nn.Module):
        if kind not in declared and not issubclass(kind, nn.Network):
            yield kind, _measured(kind)


def _losses() -> Iterator[tuple[type, Row]]:
    declared = {each.make: each for each in registry.kinds(registry.LossDeclaration).values()}
    for kind in _exported(nn.Loss):
        rows = [case for case in LOSSES if kind in case.covers]
        error = max(_loss_error(case) for case in rows)
        yield (
            kind,
            {
                "in a config": _yaml(declared[kind]) if kind in declared else "a list of losses",
                "error": _power(error),
                "compiled": _all([_loss_compiled(case) for case in rows]),
            },
        )


def _declared(family: type[Declaration]) -> Iterator[tuple[type, Row]]:
    for declaration in registry.kinds(family).values():
        made: Any = declaration.make
        yield made, {"in a config": _yaml(declaration)}


def _exported(base: type) -> list[type]:
    found = [getattr(nn, name) for name in nn.__all__]
    return [
        kind
        for kind in found
        if inspect.isclass(kind) and issubclass(kind, base) and kind not in ABSTRACT
    ]


def _measured(kind: type) -> Row:
    rows = [case for case in MODULES if kind in case.covers]
    if not rows:
        raise LookupError(f"tests/cases.py has no row for {kind.__name__}")
    return {
        "shapes": _shapes(rows[0]),
        "error": _power(max(_error(case) for case in rows)),
        "compiled": _all([_compiled(case) for case in rows]),
    }


# -------------------------------------------------------------------------- words from the code


def formula(kind: type) -> str:
    """Return the first sentence of a docstring, which is the formula."""
    first = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
    return re.sub(r" (Any shape|Shapes: ).*", "", first).rstrip(".")


def source_of(kind: type) -> str:
    """Return what a docstring says behind "Source:"; empty if nothing."""
    text = " ".join((inspect.getdoc(kind) or "").split("\n\nArgs:")[0].split())
    found = re.search(r"Sources?: (.*?)(?:\. [A-Z]|\.$|$)", text)
    return "" if found is None else found[1].rstrip(".")


def _cell(text: str) -> str:
    text = text.replace("|", "\\|").replace("<-", "←")
    parts = text.split("`")  # every second one is code, in which a star is a star
    parts[::2] = [part.replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


def _yaml(declaration: Declaration) -> str:
    """Return the shortest way to name it in a config, with required keys as in the tests."""
    case = getattr(declaration, "case", {})
    arguments = inspect.signature(declaration.make).parameters
    inferred = set(getattr(declaration, "inferred", {}))
    needed = {
        name: case.get(name, "…")
        for name, argument in arguments.items()
        if argument.default is argument.empty
        and argument.kind is argument.POSITIONAL_OR_KEYWORD
        and name not in (*inferred, "network")
    }
    if getattr(declaration, "several", False):
        return f"`{declaration.kind}: [a, b]`"
    if not needed:
        return f"`{declaration.kind}`"
    short = needed.pop(declaration.short, None)
    rest = "".join(f", {name}: {_value(value)}" for name, value in needed.items())
    if short is None:
        return f"`{{kind: {declaration.kind}{rest}}}`"
    plain = f"{declaration.kind}: {_value(short)}{rest}"
    return f"`{{{plain}}}`" if rest else f"`{plain}`"


def _value(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _shapes(case: ModuleCase) -> str:
    inputs = inputs_of(case)
    outputs = as_tuple(case.make(()).forward(*inputs))
    before, after = (
        ", ".join(str(tuple(value.shape)) for value in values) for values in (inputs, outputs)
    )
    return f"{before} → {after}"


def _power(error: float) -> str:
    """Return the power of ten that an error is below; its digits differ from machine to machine."""
    if error == 0:
        return "0"
    power = -16
    while error >= 10.0**power:
        power += 1
    return f"< 1e{power}"


def _all(reasons: list[str]) -> str:
    return next((reason for reason in reasons if reason), "yes")


# -------------------------------------------------------------------------------- what is measured


def _error(case: ModuleCase) -> float:
    """Return the largest error of a module's gradients, relative to the largest of each tensor."""
    module = case.make(())
    inputs = inputs_of(case)
    values = [value for _, value, _ in module.parameters()]
    leaves = [value.clone() for value in (*values, *inputs)]
    followed = [leaf.requires_grad_() for leaf in leaves if leaf.is_floating_point()]
    theirs = as_tuple(case.reference(*leaves))
    weights = [normal(*output.shape, seed=3) for output in theirs]
    total: Any = sum((w * o).sum() for w, o in zip(weights, theirs, strict=True))
    right = torch.autograd.grad(total, followed, allow_unused=True)
    module.forward(*inputs)
    module.reset_gradient()
    returned = as_tuple(module.backward(*weights))
    found = [*(gradient for _, _, gradient in module.parameters()), *returned]
    found = [x for x, leaf in zip(found, leaves, strict=True) if leaf.is_floating_point()]
    return max(_relative(a, b) for a, b in zip(found, right, strict=True))


def _loss_error(case: LossCase) -> float:
    output, target = normal(6, 3).requires_grad_(), case.target(())
    errors = []
    for reduction in ("mean", "sample", "sum"):
        loss = case.make(reduction)
        of_all = case.reference(output, target)
        if case.total is not None:
            value = case.total(reduction, output, target)
        elif reduction == "sum":
            value = of_all.sum()
        elif reduction == "sample":
            value = of_all.sum() / len(output)
        else:
            value = of_all.mean()
        (right,) = torch.autograd.grad(value, output)
        errors.append(_relative(loss.grad(output.detach(), target), right))
    return max(errors)


def _relative(found: Tensor, right: Tensor | None) -> float:
    if right is None:
        return float(found.abs().max())
    return float((found - right).abs().max() / right.abs().max().clamp(min=1e-300))


def _compiled(case: ModuleCase) -> str:
    """Return why the step of a module is not compiled, empty if it is."""
    module = case.make((LANES,))
    inputs = inputs_of(case, LANES)
    network, x = Joined(module, inputs), rows_of(inputs)
    with in_mode(network, module.training):
        target = 0 * network.forward(x) + normal(1)
        return _why_plain(network, nn.LossMSE(), x, target)


def _loss_compiled(case: LossCase) -> str:
    network = nn.Sequential(nn.Linear(4, 3, stack=(LANES,), dtype=torch.float64))
    return _why_plain(network, case.make("mean"), normal(LANES, 6, 4), case.target((LANES,)))


def _why_plain(network: nn.Network, loss: nn.Loss, x: Tensor, target: Tensor) -> str:
    learner = Learner(network, loss, nn.SGD(network))
    count = len(learner.state)

    def step(state: Sequence[Tensor], x: Tensor, y: Tensor, eta: Tensor) -> Tensor:
        return learner.on(state[:count]).step(x, y, eta)

    state = learner.state or [normal(LANES, 1)]  # a program has at least one tensor to change
    try:
        Program(step, state, x, target, x.shape[1], lambda thing: None)
    except CannotCompileError as fault:
        return f"no: {fault}"
    return ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
