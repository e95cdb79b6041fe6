"""The claims about a module and a loss, as checks: each by its name, or all at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Module
from minifw.nn.checks.calls import Stack
from minifw.nn.checks.losses import LossClaims
from minifw.nn.checks.networks import NetworkClaims
from minifw.nn.checks.passes import PassClaims
from minifw.nn.checks.subject import REDUCTIONS, STACKS, MakeLoss, MakeModule
from minifw.nn.differences import TOLERANCE

Test = TypeVar("Test", bound=Callable[..., None])


@dataclass(frozen=True)
class Check:
    """One claim about one module or loss; calling it raises a CheckError if it does not hold."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        self.run()


def module_checks(
    make: MakeModule,
    inputs: Sequence[Stack | Tensor],
    *,
    name: str = "",
    stacks: Sequence[Stack] = STACKS,
    jitter: float = 0.1,
    tolerance: float = TOLERANCE,
    mistakes: Mapping[str, MakeModule] | None = None,
) -> list[Check]:
    """Return all claims about a module; calling one tries it.

    Args:
        make: a function of the stack, such as `lambda stack: Linear(4, 3, stack=stack)`. Draws
            from torch's generator are the same in each call.
        inputs: for each input the shape for one network, `(samples, features)`, to be filled with
            normal numbers, or a tensor. With different sizes a wrong factor shows its cause.
        name: a prefix for the name of each claim.
        stacks: the stacks to try; `()` alone for a module that cannot be stacked.
        jitter: standard deviation of the noise that is added to all parameters, since mistakes may
            not show in parameters of 0 or 1, or equal ones in all networks of a stack.
        tolerance: the largest relative error of a gradient compared with finite differences.
        mistakes: for mistakes, in words, a function that makes a module with it; a message names
            one that gives the same wrong gradient.

    """
    _check_make(make)
    _check_inputs(inputs)
    one = stacks[0] if stacks else ()
    given = make, list(inputs), one, jitter, tolerance, mistakes or {}
    passes, networks = PassClaims(*given), NetworkClaims(*given)
    claims: dict[str, Callable[[], None]] = {
        "gradients are those of finite differences": passes.gradients,
        "backward adds": passes.adds,
        "accumulate does what backward does": passes.accumulates,
        "reset_gradient sets to zero": passes.resets,
        "nothing that came in is changed": passes.changes_nothing,
        "used twice": passes.used_twice,
        "input is what forward was given": passes.keeps_input,
        "a copy is a module of its own": networks.copies,
        "state goes round": networks.state_goes_round,
        "float32 stays float32": networks.stays_float32,
        "reused memory changes nothing": networks.reuses_memory,
    }
    for stack in stacks:
        claims[f"each of a stack {stack} is as alone"] = _with(networks.stacked, stack)
    return _named(name, claims)


def loss_checks(
    make: MakeLoss,
    output: Stack | Tensor,
    target: Tensor | Callable[[Stack], Tensor],
    *,
    name: str = "",
    reductions: Sequence[str] = REDUCTIONS,
    stacks: Sequence[Stack] = STACKS,
    tolerance: float = TOLERANCE,
    mistakes: Mapping[str, MakeLoss] | None = None,
) -> list[Check]:
    """Return all claims about a loss; calling one tries it.

    Args:
        make: a function of the reduction, such as the class itself: `LossMSE`.
        output: the shape for one network, `(samples, outputs)`, or a tensor.
        target: the target of one network, or a function that makes it for a stack.
        name: a prefix for the name of each claim.
        reductions: the reductions to try.
        stacks: the stacks to try.
        tolerance: the largest relative error of a gradient compared with finite differences.
        mistakes: for mistakes, in words, a function that makes a loss with it; a message names
            one that gives the same wrong gradient.

    """
    claims: dict[str, Callable[[], None]] = {}
    for reduction in reductions:
        subject = LossClaims(make, reduction, output, target, tolerance, mistakes or {})
        claims[f"grad is that of finite differences, {reduction}"] = subject.gradient
        claims[f"one value a network, {reduction}"] = _each(subject.stacked, stacks)
        claims[f"nothing that came in is changed, {reduction}"] = subject.changes_nothing
        claims[f"float32 stays float32, {reduction}"] = subject.stays_float32
    return _named(name, claims)


def check_module(make: MakeModule, inputs: Sequence[Stack | Tensor], **options: Any) -> None:
    """Try all claims about a module; arguments are those of `module_checks`.

    Raises:
        CheckError: claims that do not hold, one line for each.

    """
    _try_all(module_checks(make, inputs, **options))


def check_loss(
    make: MakeLoss,
    output: Stack | Tensor,
    target: Tensor | Callable[[Stack], Tensor],
    **options: Any,
) -> None:
    """Try all claims about a loss; arguments are those of `loss_checks`.

    Raises:
        CheckError: claims that do not hold, one line for each.

    """
    _try_all(loss_checks(make, output, target, **options))


def parametrize(checks: Iterable[Check]) -> Callable[[Test], Test]:
    """Return a decorator that makes each check a pytest test; the test function calls `check()`."""
    import pytest

    return pytest.mark.parametrize("check", list(checks), ids=lambda check: check.name)


def _try_all(checks: Iterable[Check]) -> None:
    faults: list[str] = []
    for check in checks:
        try:
            check()
        except CheckError as fault:
            faults += [line for line in fault.lines if line not in faults]
        except Exception:
            if not faults:
                raise
            break  # it follows, as a rule, from what was found already
    if faults:
        raise CheckError(*faults)


def _named(name: str, claims: dict[str, Callable[[], None]]) -> list[Check]:
    before = f"{name}: " if name else ""
    return [Check(before + claim, run) for claim, run in claims.items()]


def _with(claim: Callable[[Stack], None], stack: Stack) -> Callable[[], None]:
    return lambda: claim(stack)


def _each(claim: Callable[[Stack], None], stacks: Sequence[Stack]) -> Callable[[], None]:
    def run() -> None:
        for stack in stacks:
            claim(stack)

    return run


def _check_make(make: Any) -> None:
    """Raise a TypeError unless this is a function of the stack, or a class whose first is that."""
    such = "make must be a function of the stack that returns a module, such as lambda stack:"
    if isinstance(make, Module) or not callable(make):
        raise TypeError(f"{such} Linear(4, 3, stack=stack), got {make!r}")
    names = [*inspect.signature(make).parameters]
    if isinstance(make, type) and names[:1] != ["stack"]:
        hand_on = "stack=stack" if "stack" in names else ""
        first = f"whose first argument is '{names[0]}'" if names else "which takes no argument"
        raise TypeError(
            f"{such} {make.__name__}({hand_on}), got the class {make.__name__}, {first}"
        )
    if not names:
        raise TypeError(f"{such} Linear(4, 3, stack=stack), got one that takes no argument")


def _check_inputs(inputs: Any) -> None:
    """Raise a TypeError unless this is a list of shapes and tensors."""
    is_list = isinstance(inputs, Sequence) and not isinstance(inputs, (str, torch.Size))
    if not is_list or not all(
        isinstance(one, Tensor)
        or (isinstance(one, Sequence) and all(isinstance(size, int) for size in one))
        for one in inputs
    ):
        came = f"a tensor {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else repr(inputs)
        raise TypeError(
            "inputs must be a list, for each input of forward its shape or a tensor, such as "
            f"[(5, 4)], got {came}"
        )
