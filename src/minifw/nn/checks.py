"""The claims that minifw tests for its own modules and losses, as checks for a user's.

    from minifw.nn import checks

    @checks.parametrize(checks.module_checks(lambda stack: PReLU(stack=stack), [(5, 4)]))
    def test_prelu(check):
        check()

Each claim becomes a test; `check_module` and `check_loss` run all claims at once. A claim that
fails raises a `CheckError` that says which number of which tensor is wrong and, where possible,
why.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Buffers, Loss, Module
from minifw.nn.differences import TOLERANCE, Comparison, compare
from minifw.nn.module import as_tuple

Test = TypeVar("Test", bound=Callable[..., None])
Stack = tuple[int, ...]
MakeModule = Callable[[Stack], Module]
"""Makes a module for a stack of networks, `(3,)`, or for one, `()`; float32 or float64."""

MakeLoss = Callable[[Any], Loss]
"""Makes a loss for a reduction: mean, sample or sum."""

STACKS: tuple[Stack, ...] = ((3,), (2, 3), (1,))
REDUCTIONS = ("mean", "sample", "sum")


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

    """
    _check_make(make)
    _check_inputs(inputs)
    one = stacks[0] if stacks else ()
    subject = _Module(make, list(inputs), one, jitter, tolerance)
    claims: dict[str, Callable[[], None]] = {
        "gradients are those of finite differences": subject.gradients,
        "backward adds": subject.adds,
        "accumulate does what backward does": subject.accumulates,
        "reset_gradient sets to zero": subject.resets,
        "nothing that came in is changed": subject.changes_nothing,
        "used twice": subject.used_twice,
        "input is what forward was given": subject.keeps_input,
        "a copy is a module of its own": subject.copies,
        "state goes round": subject.state_goes_round,
        "float32 stays float32": subject.stays_float32,
        "reused memory changes nothing": subject.reuses_memory,
    }
    for stack in stacks:
        claims[f"each of a stack {stack} is as alone"] = _with(subject.stacked, stack)
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

    """
    claims: dict[str, Callable[[], None]] = {}
    for reduction in reductions:
        subject = _Loss(make, reduction, output, target, tolerance)
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


# --------------------------------------------------------------------------------------- modules


@dataclass(frozen=True)
class _Module:
    """A module to be checked, in float64, with the inputs and gradients that it is tried with."""

    make: MakeModule
    shapes: list[Stack | Tensor]
    stack: Stack  # the largest stack that it can have
    jitter: float
    tolerance: float

    def module(self, stack: Stack = (), dtype: torch.dtype = torch.float64) -> Module:
        """Make the module anew: the same each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = self.make(stack)
        if not isinstance(module, Module):
            raise TypeError(f"make must return a module, got {type(module).__name__}")
        for name, value, _ in module.parameters():
            if tuple(value.shape[: len(stack)]) != stack:
                raise CheckError(
                    f"{module}: in a stack, parameter '{name}' must begin with the stack, {stack} "
                    f"here, got {tuple(value.shape)}; make must hand the stack on, as lambda "
                    f"stack: {type(module).__name__}(…, stack=stack), and __init__ use it, as "
                    "torch.full((*stack, …), …)"
                )
        for place, (_, value, _) in enumerate(module.parameters()):
            value.add_(self.jitter * _normal(tuple(value.shape), 100 + place).to(value.dtype))
        for place, (_, value) in enumerate(() if module.is_random else module.states()):
            value.add_(self.jitter * _normal(tuple(value.shape), 200 + place).abs().to(value.dtype))
        values = [value for _, value, _ in module.parameters()]
        if any(value.dtype != dtype for value in (*values, *(v for _, v in module.states()))):
            module = _copy(module, [value.to(dtype) for value in values], dtype)
        return module

    def inputs(self, stack: Stack = ()) -> list[Tensor]:
        return [_given(shape, stack, place) for place, shape in enumerate(self.shapes)]

    def started(
        self, stack: Stack = ()
    ) -> tuple[Module, list[Tensor], tuple[Tensor, ...], list[Tensor]]:
        """Return a module after `forward`, its inputs and outputs, and gradients for `backward`."""
        module, inputs = self.module(stack), self.inputs(stack)
        outputs = _forward(module, inputs)
        return module, inputs, outputs, _weights(outputs)

    # ---- the claims

    def gradients(self) -> None:
        """Every parameter's and input's gradient is that of finite differences."""
        module, inputs, outputs, weights = self.started()
        returned = _returned(module, inputs, _backward(module, weights))
        sizes: dict[str, int] = {}
        for word, tensors in (("inputs", inputs), ("outputs", outputs)):
            if tensors[0].ndim > 1:
                sizes |= {"samples": tensors[0].shape[-2], word: tensors[0].shape[-1]}
        turned = self._with_transposed(module, weights)
        pairs = [(f"'{name}'", value, gradient) for name, value, gradient in module.parameters()]
        pairs += [
            (name, value, gradient)
            for name, value, gradient in zip(
                _names("input", len(inputs)), inputs, returned, strict=True
            )
            if value.is_floating_point()  # whole numbers have no gradient
        ]
        found = [
            compare(
                name,
                value,
                gradient.clone(),
                lambda: _forward(module, inputs),
                weights,
                sizes=sizes,
                suspects=turned.get(name),
                tolerance=self.tolerance,
            )
            for name, value, gradient in pairs
            if value.numel()
        ]
        _complain(module, [one for one in found if not one.ok or one.kinks])

    def _with_transposed(
        self, module: Module, weights: list[Tensor]
    ) -> dict[str, dict[str, Tensor]]:
        """Return each input's gradient by `backward` with one square parameter transposed.

        If `backward` wrongly uses Wᵀ for W, the transposed parameter gives the right result.
        """
        inputs, found = self.inputs(), dict[str, dict[str, Tensor]]()
        values = [value for _, value, _ in module.parameters()]
        for place, (name, value, _) in enumerate(module.parameters()):
            if value.ndim > 1 and value.shape == value.mT.shape:
                turned = _copy(
                    module, [*values[:place], value.mT.clone(), *values[place + 1 :]], value.dtype
                )
                _forward(turned, inputs)
                why = f"backward seems to use '{name}' transposed"
                for word, gradient in zip(
                    _names("input", len(inputs)), _backward(turned, weights), strict=True
                ):
                    found.setdefault(word, {})[why] = gradient
        return found

    def adds(self) -> None:
        """`backward` adds to the gradients and does not overwrite them."""
        module, inputs, _, weights = self.started()
        _backward(module, weights)
        once = _gradients(module)
        for _, _, gradient in module.parameters():
            gradient.fill_(1)
        _forward(module, inputs)
        _backward(module, weights)
        for (name, _, found), new in zip(module.parameters(), once, strict=True):
            why = "backward must add to it, and overwrites it" if _equal(found, new) else ""
            what = f"the gradient of '{name}', which held 1 before backward,"
            _same(module, what, found, 1 + new, why)

    def accumulates(self) -> None:
        """`accumulate` changes the gradients of parameters as `backward` does."""
        module, inputs, _, weights = self.started()
        _backward(module, weights)
        expected = _gradients(module)
        _clear(module)
        _forward(module, inputs)
        module.accumulate(*weights)
        for (name, _, found), right in zip(module.parameters(), expected, strict=True):
            what = f"the gradient of '{name}' by accumulate"
            _same(module, what, found, right, "it must be that of backward")

    def resets(self) -> None:
        """`reset_gradient` sets the gradients to zero, in place."""
        module, _, _, weights = self.started()
        _backward(module, weights)
        before = list(module.parameters())
        module.reset_gradient()
        for name, _, found in before:
            why = "it must be set to 0 in place"
            _same(
                module,
                f"the gradient of '{name}' after reset_gradient",
                found,
                torch.zeros_like(found),
                why,
            )

    def changes_nothing(self) -> None:
        """`forward` and `backward` change no tensor that they did not make."""
        module, inputs = self.module(), self.inputs()
        watched = [
            *zip(_names("input", len(inputs)), inputs, strict=True),
            *((f"parameter '{name}'", value) for name, value, _ in module.parameters()),
        ]
        with _Unchanged(module, "forward", watched):
            outputs = as_tuple(module.forward(*inputs))
        weights = _weights(outputs)
        watched += [
            *zip(_names("output", len(outputs)), outputs, strict=True),
            *zip(_names("gradient", len(weights)), weights, strict=True),
        ]
        with _Unchanged(module, "backward", watched):
            first = [gradient.clone() for gradient in as_tuple(module.backward(*weights))]
            again = as_tuple(module.backward(*weights))
        for name, old, new in zip(_names("input", len(first)), first, again, strict=False):
            why = "the first changed what forward had remembered"
            _same(module, f"the gradient of {name} by a second backward", new, old, why)

    def used_twice(self) -> None:
        """A module used twice gets the gradients of both uses: each call keeps what it needs."""
        module, inputs = self.module(), self.inputs()
        other = [x.flip(0) * 0.75 if x.is_floating_point() else x.flip(0) for x in inputs]
        uses = [inputs, other]
        weights = [_weights(_forward(module, xs), seed) for seed, xs in enumerate(uses)]
        alone = [self._use(module, xs, ws) for xs, ws in zip(uses, weights, strict=True)]
        calls = []
        for xs in uses:
            _forward(module, xs)
            calls.append(module.call)
        again: list[tuple[tuple[Tensor, ...], list[Tensor]]] = []
        for k in (1, 0):  # as in a network's backward pass: the last use first
            _clear(module)
            module.call = calls[k]
            again.insert(0, (_backward(module, weights[k]), _gradients(module)))
        stale = (
            "what the first use needs was overwritten by the second: it must belong to the call, "
            "hand it to self.remember in forward"
        )
        names = [name for name, _, _ in module.parameters()]
        for word, came, right in zip(("first", "second"), again, alone, strict=True):
            why = stale if word == "first" else ""
            what = f"used twice in a network, the {word} use's gradient of"
            for place, name in enumerate(_names("input", len(inputs))):
                _same(module, f"{what} {name}", came[0][place], right[0][place], why)
            for place, name in enumerate(names):
                _same(module, f"{what} '{name}'", came[1][place], right[1][place], why)
        _clear(module)
        for k in (1, 0):
            _forward(module, uses[k])
            _backward(module, weights[k])
        for place, name in enumerate(names):
            found = module.parameters()[place].gradient
            one, two = (gradients[place] for _, gradients in alone)
            missing = {
                "the gradient of the second use is missing": one,
                "the gradient of the first use is missing": two,
            }
            what = f"used twice in a network, the gradient of '{name}'"
            _same(module, what, found, one + two, _which(found, missing))

    def _use(
        self, module: Module, inputs: list[Tensor], weights: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Return the gradients of inputs and parameters for one use alone."""
        _clear(module)
        _forward(module, inputs)
        return _backward(module, weights), _gradients(module)

    def keeps_input(self) -> None:
        """`input` is the input of the latest `forward`, and None before."""
        module, inputs = self.module(), self.inputs()
        if module.input is not None:
            raise CheckError(f"{module}: input must be None before forward")
        module.forward(*inputs)
        kept: tuple[Tensor, ...] = () if module.input is None else as_tuple(module.input)
        if len(kept) != len(inputs) or any(a is not b for a, b in zip(kept, inputs, strict=True)):
            raise CheckError(
                f"{module}: input must be what forward was given (the same tensors); call "
                "self.remember((x,), (y,)) in forward, or set self.input = x"
            )

    def copies(self) -> None:
        """A copy with other parameters computes with those and does not change the original."""
        module, inputs, outputs, weights = self.started()
        values = [1.5 * value for _, value, _ in module.parameters()]
        states = _states(module)
        copied, other = _copy(module, values, torch.float64), self.module()
        if len(copied.parameters()) != len(values):
            raise CheckError(
                f"{module}: has {len(values)} parameters, a copy of it {len(copied.parameters())}: "
                "modules shared in the original must be shared in the copy"
            )
        for (_, value, _), new in zip(other.parameters(), values, strict=True):
            value.copy_(new)
        for (_, value), new in zip(other.states(), states, strict=True):
            value.copy_(new)
        results = []
        for one in (copied, other):
            ends = _forward(one, inputs)
            results.append([*ends, *_backward(one, weights), *_gradients(one)])
        for found, expected in zip(*results, strict=True):
            what = "what a copy with other parameters computes"
            _same(module, what, found, expected, "it must be what a new module with those does")
        for name, _, gradient in module.parameters():
            what = f"the gradient of '{name}' after backward of a copy"
            _same(
                module,
                what,
                gradient,
                torch.zeros_like(gradient),
                "a copy must have gradients of its own",
            )
        copied.forward(*inputs)
        for (name, value), old in zip(module.states(), states, strict=True):
            _same(module, f"'{name}' after use of a copy", value, old, "it must not change")
        for found, old in zip(_forward(module, inputs), outputs, strict=True):
            _same(module, "the output after use of a copy", found, old, "it must not change")

    def state_goes_round(self) -> None:
        """`state_dict` is a copy; a module that loads it computes the same."""
        module, other = self.module(self.stack), self.module(self.stack)
        inputs = self.inputs(self.stack)
        for value in other.tensors().values():
            value.add_(1)
        state = module.state_dict()
        other.load_state_dict(state)
        pairs = zip(_forward(other, inputs), _forward(module, inputs), strict=True)
        for found, expected in pairs:
            _same(module, "the output after load_state_dict", found, expected, exact=True)
        for (name, found), expected in zip(other.states(), _states(module), strict=True):
            _same(module, f"'{name}' after load_state_dict", found, expected, exact=True)
        for value in module.tensors().values():
            value.add_(1)
        for name, value, _ in other.parameters():
            why = "a state must be a copy that does not change with the module"
            _same(module, f"'{name}' of a state", state[name], value, why, exact=True)

    def stays_float32(self) -> None:
        """With parameters and inputs of float32 everything is float32."""
        module = self.module(dtype=torch.float32)
        outputs = _forward(module, [x.float() for x in self.inputs()])
        returned = _backward(module, list(outputs))
        for name, tensor in _results(module, outputs, returned).items():
            if tensor.dtype != torch.float32:
                raise CheckError(
                    f"{module}: with float32 {name} must be of torch.float32, got {tensor.dtype}; "
                    "tensors that forward makes need dtype=x.dtype"
                )

    def reuses_memory(self) -> None:
        """Results in reused memory are the same as in new memory."""
        plain, reused = self.module(self.stack), self.module(self.stack)
        buffers = Buffers()
        for step in range(3):  # the second and third pass overwrite the first
            inputs = [x + step / 8 if x.is_floating_point() else x for x in self.inputs(self.stack)]
            outputs = _forward(plain, inputs)
            weights = _weights(outputs, step)
            expected = _results(plain, outputs, _backward(plain, weights))
            # No copies of results, so that one that is overwritten shows.
            with buffers.reuse("step"):
                with _states_again(reused):
                    ends = as_tuple(reused.forward(*inputs))
                    returned = as_tuple(reused.backward(*weights))
                found = _results(reused, ends, returned)
                why = "a result is written to a buffer that is still needed"
                for name, right in expected.items():
                    what = f"{name} in reused memory"
                    _same(plain, what, found[name], right, why, exact=True)

    def stacked(self, stack: Stack) -> None:
        """Each network of a stack gives the same results and takes the same step as alone."""
        state = self.module(stack).state_dict()
        module, inputs, outputs, weights = self.started(stack)
        found = _results(module, outputs, _backward(module, weights))
        found |= _moved(module, inputs)
        module.update_parameters(0.1)
        found |= {f"'{name}' after a step": value for name, value, _ in module.parameters()}
        lanes = list(np.ndindex(*stack))
        alone = [
            self._alone(
                {name: value[lane] for name, value in state.items()},
                [x[lane] for x in inputs],
                [w[lane] for w in weights],
            )
            for lane in lanes
        ]
        for what in found:
            right = [results[what] for results in alone]
            if found[what].shape != (*stack, *right[0].shape):
                raise CheckError(
                    f"{module}: in a stack {stack}, {what} must have the shape "
                    f"{(*stack, *right[0].shape)}, got {tuple(found[what].shape)}"
                )
            wrong = {"it is the sum over all networks of the stack": torch.stack(right).sum(0)}
            wrong |= {
                f"it is that of network {list(lane)}": result
                for lane, result in zip(lanes, right, strict=True)
            }
            for lane, result in zip(lanes, right, strict=True):
                came = found[what][lane]
                why = (
                    _which(came, wrong)
                    or "a network must not depend on the other networks of the stack"
                )
                where = f"in a stack {stack}, network {list(lane)}: {what}"
                _same(module, where, came, result, why, "alone")

    def _alone(
        self, state: dict[str, Tensor], inputs: list[Tensor], weights: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return outputs, gradients and parameters after a step of one network."""
        module = self.module()
        module.load_state_dict(state)
        results = _results(module, _forward(module, inputs), _backward(module, weights))
        results |= _moved(module, inputs)
        return results | {
            f"'{name}' after a step": value - 0.1 * gradient
            for name, value, gradient in module.parameters()
        }


# ---------------------------------------------------------------------------------------- losses


@dataclass(frozen=True)
class _Loss:
    """A loss to be checked in one reduction, with an output and a target in float64."""

    make: MakeLoss
    reduction: str
    shape: Stack | Tensor
    aim: Tensor | Callable[[Stack], Tensor]
    tolerance: float

    def started(self, stack: Stack = ()) -> tuple[Loss, Tensor, Tensor]:
        loss = self.make(self.reduction)
        if not isinstance(loss, Loss):
            raise TypeError(f"make must return a loss, got {type(loss).__name__}")
        target = _given(self.aim, stack, 1) if isinstance(self.aim, Tensor) else self.aim(stack)
        return loss, _given(self.shape, stack, 2), target

    # ---- the claims

    def gradient(self) -> None:
        """`grad` is the derivative of `function`."""
        loss, output, target = self.started()
        gradient = loss.grad(output, target)
        _shaped(loss, "grad", gradient, tuple(output.shape), "the output's")
        value = loss.function(output, target)
        _shaped(loss, "function", value, (), "one value a network:")
        found = compare(
            "the output",
            output,
            gradient.clone(),
            lambda: [loss.function(output, target)],
            [torch.ones_like(value)],
            sizes={"samples": output.shape[-2], "outputs": output.shape[-1]},
            tolerance=self.tolerance,
        )
        if not found.ok or found.kinks:
            _complain(loss, [found])

    def stacked(self, stack: Stack) -> None:
        """A stack gives one value for each network, which no other network changes."""
        loss, output, target = self.started(stack)
        values, gradients = loss.function(output, target), loss.grad(output, target)
        _shaped(loss, "function", values, stack, "one value a network:")
        _shaped(loss, "grad", gradients, tuple(output.shape), "the output's")
        for lane in np.ndindex(*stack):
            alone = output[lane], target[lane]
            for what, found, right in (
                ("the loss", values[lane], loss.function(*alone)),
                ("grad", gradients[lane], loss.grad(*alone)),
            ):
                where = f"in a stack {stack}, network {list(lane)}: {what}"
                _same(loss, where, found, right, "a loss must not mix networks", "alone")

    def changes_nothing(self) -> None:
        """`function` and `grad` do not change output or target."""
        loss, output, target = self.started()
        for method in (loss.function, loss.grad):
            with _Unchanged(loss, method.__name__, [("output", output), ("target", target)]):
                method(output, target)

    def stays_float32(self) -> None:
        """For a float32 output, value and gradient are float32."""
        loss, output, target = self.started()
        target = target.float() if target.is_floating_point() else target
        for method in (loss.function, loss.grad):
            found = method(output.float(), target).dtype
            if found != torch.float32:
                raise CheckError(
                    f"{loss}: for a float32 output {method.__name__} must be of torch.float32, "
                    f"got {found}"
                )


# ------------------------------------------------------------------------------- for both


def _normal(shape: Stack, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _given(shape: Stack | Tensor, stack: Stack, seed: int) -> Tensor:
    """Return normal numbers or the given tensor, different for each network of a stack."""
    if not isinstance(shape, Tensor):
        return _normal((*stack, *shape), seed)
    tensor = shape.double() if shape.is_floating_point() else shape
    count = int(np.prod(stack))  # each network has the samples in a different order
    lanes = [tensor.roll(k, 0) if tensor.ndim else tensor for k in range(count)]
    return torch.stack(lanes).reshape(*stack, *tensor.shape)


# Inputs and outputs of modules are copied, so that a module that changes its input fails only the
# claim about that. States are put back after each forward, so that the next one draws the same
# random numbers.


@contextmanager
def _states_again(module: Module) -> Iterator[None]:
    """After this block a module's states are as they were before."""
    before = [(value, value.clone()) for _, value in module.states()]
    try:
        yield
    finally:
        for value, old in before:
            value.copy_(old)


def _copy(module: Module, values: Sequence[Tensor], dtype: torch.dtype) -> Module:
    """Return a copy of a module with other parameters, and with copies of its states."""
    return module.with_parameters(
        values, [value.to(dtype, copy=True) for _, value in module.states()]
    )


def _forward(module: Module, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    with _states_again(module):
        outputs = as_tuple(module.forward(*(x.clone() for x in inputs)))
    for output in outputs:
        if not isinstance(output, Tensor):
            raise CheckError(
                f"{module}: forward must return a tensor, or a tuple of tensors, "
                f"got {type(output).__name__}"
            )
    return tuple(output.clone() for output in outputs)


def _weights(outputs: Sequence[Tensor], seed: int = 3) -> list[Tensor]:
    """Return a gradient for each output."""
    return [
        _normal(tuple(output.shape), seed + 10 * place).to(output.dtype)
        for place, output in enumerate(outputs)
    ]


def _backward(module: Module, weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
    returned = as_tuple(module.backward(*(weight.clone() for weight in weights)))
    if not all(isinstance(gradient, Tensor) for gradient in returned):
        raise CheckError(
            f"{module}: backward must return a tensor for each input, "
            f"got {', '.join(type(gradient).__name__ for gradient in returned)}"
        )
    return tuple(gradient.clone() for gradient in returned)


def _returned(
    module: Module, inputs: Sequence[Tensor], returned: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Check that `backward` returned one gradient for each input, of its shape."""
    if len(returned) != len(inputs):
        raise CheckError(
            f"{module}: backward must return {len(inputs)} gradient(s), one for each input, "
            f"got {len(returned)}"
        )
    names = _names("input", len(inputs))
    for name, x, gradient in zip(names, inputs, returned, strict=True):
        if gradient.shape != x.shape:
            turned = x.ndim > 1 and gradient.shape == x.mT.shape
            raise CheckError(
                f"{module}: the gradient of {name} must have its shape {tuple(x.shape)}, got "
                f"{tuple(gradient.shape)}{': it is transposed' if turned else ''}"
            )
        if x.is_floating_point() and gradient.dtype != x.dtype:
            raise CheckError(
                f"{module}: the gradient of {name} must be of {x.dtype}, as it is, got "
                f"{gradient.dtype}; tensors that backward makes need dtype=x.dtype"
            )
    return returned


def _clear(module: Module) -> None:
    """Set the gradients to zero, without `reset_gradient`, for which there is a claim."""
    for _, _, gradient in module.parameters():
        gradient.zero_()


def _gradients(module: Module) -> list[Tensor]:
    return [gradient.clone() for _, _, gradient in module.parameters()]


def _states(module: Module) -> list[Tensor]:
    return [value.clone() for _, value in module.states()]


def _moved(module: Module, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the states after another `forward`, by their names in messages."""
    module.forward(*inputs)
    return {f"'{name}' after forward": value.clone() for name, value in module.states()}


def _results(
    module: Module, outputs: Sequence[Tensor], returned: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return outputs and gradients of inputs and parameters, by their names in messages."""
    inputs = _names("input", len(returned))
    return {
        **dict(zip(_names("output", len(outputs)), outputs, strict=True)),
        **{f"the gradient of {name}": x for name, x in zip(inputs, returned, strict=True)},
        **{f"the gradient of '{name}'": x.clone() for name, _, x in module.parameters()},
    }


def _names(word: str, count: int) -> list[str]:
    """Return "the input", or "input 0", "input 1" where there are several."""
    return [f"the {word}"] if count == 1 else [f"{word} {place}" for place in range(count)]


def _complain(subject: object, found: Sequence[Comparison]) -> None:
    if found:
        raise CheckError(*(f"{subject}: {comparison.message()}" for comparison in found))


def _shaped(loss: Loss, method: str, tensor: object, shape: Stack, whose: str) -> None:
    came = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
    if came != shape:
        raise CheckError(f"{loss}: {method} must have {whose} shape {shape}, got {came}")


def _equal(found: Tensor, expected: Tensor) -> bool:
    """Return whether both are equal except for rounding, relative to the largest number.

    NaN equals an expected NaN.
    """
    if found.shape != expected.shape:
        return False
    scale = 1 + float(expected.abs().nan_to_num(0, 0, 0).max()) if expected.numel() else 1.0
    return torch.allclose(found, expected, rtol=0, atol=1e-13 * scale, equal_nan=True)


def _which(found: Tensor, candidates: dict[str, Tensor]) -> str:
    """Return the first explanation whose result equals what was found, or ""."""
    return next((why for why, result in candidates.items() if _equal(found, result)), "")


def _same(
    subject: object,
    what: str,
    found: Tensor,
    expected: Tensor,
    why: str = "",
    wanted: str = "expected",
    *,
    exact: bool = False,
) -> None:
    """Raise unless both are equal, exactly or up to rounding; name the most different number."""
    if found.shape != expected.shape:
        raise CheckError(
            f"{subject}: {what} must have the shape {tuple(expected.shape)}, "
            f"got {tuple(found.shape)}"
        )
    if torch.equal(found, expected) or (not exact and _equal(found, expected)):
        return
    apart = (found - expected).abs().nan_to_num(torch.inf)
    index = tuple(map(int, np.unravel_index(int(apart.argmax()), apart.shape)))
    at = f" at {list(index)}" if index else ""
    raise CheckError(
        f"{subject}: {what}{at} is {float(found[index]):.9g}, {wanted} "
        f"{float(expected[index]):.9g}{f'; {why}' if why else ''}"
    )


class _Unchanged:
    """Raises at the end of a block if one of these tensors has changed."""

    def __init__(self, subject: object, method: str, watched: Sequence[tuple[str, Tensor]]) -> None:
        self.subject, self.method, self.watched = subject, method, watched

    def __enter__(self) -> None:
        self.before = [tensor.clone() for _, tensor in self.watched]

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            return
        for (name, tensor), old in zip(self.watched, self.before, strict=True):
            why = f"{self.method} must not change a tensor that it did not make"
            what = f"{name} after {self.method}"
            _same(self.subject, what, tensor, old, why, "before", exact=True)
