"""minifw.nn.checks on wrong modules and losses: each mistake is found, and its message names it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import normal
from minifw import nn as ours
from minifw.errors import CheckError
from minifw.nn import checks
from minifw.nn.buffers import buffer
from minifw.nn.optimizers import check_state

INPUT = [(5, 4)]


def faults(kind: Callable[..., ours.Module], n_in: int = 4, n_out: int = 3) -> str:
    """What the checks say of a Linear with a mistake, one fault a line."""
    with pytest.raises(CheckError) as raised:
        checks.check_module(lambda stack: kind(n_in, n_out, stack=stack), [(5, n_in)])
    return str(raised.value)


def claims(kind: Callable[..., ours.Module], n_in: int = 4, n_out: int = 3) -> set[str]:
    """The claims that do not hold."""
    made = checks.module_checks(lambda stack: kind(n_in, n_out, stack=stack), [(5, n_in)])
    failed = set()
    for check in made:
        try:
            check()
        except CheckError:
            failed.add(check.name)
    return failed


class Twice(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        super().accumulate(2 * gradient)


class Minus(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        return super().backward(gradient).neg_()


class MinusHalf(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        return super().backward(gradient) * -0.5


class Transposed(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        return gradient @ self.weight.mT

    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad += x.mT @ gradient
        assert self.bias_grad is not None
        self.bias_grad += gradient.sum(-2)


class TurnedRound(ours.Linear):
    """As `Transposed`, but not square: forced into the right shape."""

    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad += (x.mT @ gradient).reshape(self.weight.shape)
        assert self.bias_grad is not None
        self.bias_grad += gradient.sum(-2)


class WithoutSum(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad += gradient.mT @ x
        assert self.bias_grad is not None
        self.bias_grad += gradient[..., -1, :]


class MeanOfSamples(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        super().accumulate(gradient / gradient.shape[-2])


class NothingForBias(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad += gradient.mT @ x


class Overwrites(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        self.weight_grad.copy_(gradient.mT @ x)
        assert self.bias_grad is not None
        self.bias_grad += gradient.sum(-2)


class ChangesInput(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        back = super().backward(gradient)
        self.recall(gradient).inputs[0].mul_(1.25)
        return back


class ChangesGradient(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        back = super().backward(gradient)
        gradient.zero_()
        return back


class SavedOnSelf(ours.Linear):
    """max(0, x Wᵀ + b), which keeps where that is above 0 on the module, not in the call."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x).clamp(min=0)
        self.mask = y > 0
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        return super().backward(gradient * self.mask)


class MixesGradients(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        (x,) = self.recall(gradient).inputs
        of_each = gradient.mT @ x
        self.weight_grad += of_each.sum(0) if of_each.ndim == 3 else of_each
        assert self.bias_grad is not None
        self.bias_grad += gradient.sum(-2)


class TakesTheFirst(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        return gradient @ (self.weight[:1] if self.weight.ndim == 3 else self.weight)


class SumsOwnGradient(ours.Linear):
    def accumulate(self, gradient: Tensor) -> None:
        super().accumulate(gradient)
        self.weight_grad += 0.5

    def backward(self, gradient: Tensor) -> Tensor:
        super().accumulate(gradient)
        return gradient @ self.weight


class InDouble(ours.Linear):
    def backward(self, gradient: Tensor) -> Tensor:
        return super().backward(gradient).double()


class KeepsGradient(ours.Linear):
    def reset_gradient(self) -> None:
        self.weight_grad.zero_()


class SharesGradient(ours.Linear):
    def with_parameters(self, values: Any, states: Any = ()) -> Any:
        twin = super().with_parameters(values)
        if twin.weight.dtype == self.weight.dtype:
            twin.weight_grad = self.weight_grad
        return twin


class LeaksItsState(ours.Linear):
    def state_dict(self) -> dict[str, Tensor]:
        return {name: value for name, value, _ in self.parameters()}


class OneBuffer(ours.Linear):
    """Writes what it returns over its gradient of the output, in reused memory only."""

    def backward(self, gradient: Tensor) -> Tensor:
        back = super().backward(gradient)
        if buffer(back) is not None:
            back[..., 0] += 1
        return back


class SumsOverStack(ours.Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        y = y + y.mean(0) if y.ndim == 3 else 2 * y
        self.remember((x,), (y,))
        return y

    def accumulate(self, gradient: Tensor) -> None:
        super().accumulate(2 * gradient)

    def backward(self, gradient: Tensor) -> Tensor:
        return 2 * super().backward(gradient)


class OneRow(ours.Linear):
    """Is no square, and gives back one network of a stack."""

    def backward(self, gradient: Tensor) -> Tensor:
        back = super().backward(gradient)
        return back[:1] if back.ndim == 3 else back


GRADIENTS, TWICE, CHANGED = (
    "gradients are those of finite differences",
    "used twice",
    "nothing that came in is changed",
)
MISTAKES: list[tuple[Any, tuple[int, int], set[str], str]] = [
    (Twice, (4, 3), {GRADIENTS}, r"Linear\(4, 3\): the gradient of 'weight' at \[\d, \d\] is (\S+) by backward, "
     r"(\S+) by finite differences, relative error 0.5 \(12 of 12 differ\); "
     "it is 2 times the right one$"),
    (Minus, (4, 3), {GRADIENTS}, r"gradient of the input at .* error 2 .*; the sign is wrong$"),
    (MinusHalf, (4, 3), {GRADIENTS}, "the sign is wrong and it is 0.5 times the right one$"),
    (Transposed, (4, 4), {GRADIENTS}, "'weight' at .*; it is the transpose of the right one$"),
    (
        Transposed,
        (4, 4),
        {GRADIENTS},
        "the input at .*; backward seems to use 'weight' transposed$",
    ),
    (TurnedRound, (4, 3), {GRADIENTS}, "'weight' at .*; it is the transpose of the right one$"),
    (WithoutSum, (4, 3), {GRADIENTS}, "'bias' at .* that of the last sample alone: the sum over samples is missing$"),
    (MeanOfSamples, (4, 3), {GRADIENTS}, r"'weight' at .*; it is 0.2 times the right one, 1 / the number of samples: a mean where a sum is meant\?$"),
    (NothingForBias, (4, 3), {GRADIENTS}, "'bias' at .*; backward gives 0 everywhere"),
    (Overwrites, (4, 3), {"backward adds", TWICE}, "'weight', which held 1 before backward, at .*; backward must add to it, and overwrites it$"),
    (Overwrites, (4, 3), {"backward adds", TWICE}, "used twice in a network, the gradient of 'weight' at .*; the gradient of the second use is missing$"),
    (ChangesInput, (4, 3), {CHANGED}, r"the input after backward at \[\d, \d\] is (\S+), before (\S+); backward must not change a tensor that it did not make$"),
    (ChangesGradient, (4, 3), {CHANGED}, r"the gradient after backward at \[\d, \d\] is 0, before"),
    (SavedOnSelf, (4, 3), {TWICE, "accumulate does what backward does"}, "used twice in a network, the first use's gradient of the input at .*; what the first use needs was overwritten by the second: it must belong to the call, hand it to self.remember in forward$"),
    (MixesGradients, (4, 3), {"stack"}, r"in a stack \(3,\), network \[0\]: the gradient of 'weight' at .* alone (\S+); it is the sum over all networks of the stack$"),
    (TakesTheFirst, (4, 3), {"stack"}, r"in a stack \(3,\), network \[1\]: the gradient of the input at .*; a network must not depend on the other networks of the stack$"),
    (SumsOwnGradient, (4, 3), {"accumulate does what backward does"}, "'weight' by accumulate at .* it must be that of backward"),
    (KeepsGradient, (4, 3), {"reset_gradient sets to zero"}, "'bias' after reset_gradient at .*, expected 0; it must be set to 0 in place"),
    (SharesGradient, (4, 3), {"a copy is a module of its own"}, "'weight' after backward of a copy at .*, expected 0; a copy must have gradients of its own"),
    (LeaksItsState, (4, 3), {"state goes round"}, "'weight' of a state at .*; a state must be a copy that does not change with the module"),
    (OneBuffer, (4, 3), {"reused memory changes nothing"}, r"the gradient of the input in reused memory at \[\d, \d, 0\] is .*; a result is written to a buffer that is still needed"),
    (SumsOverStack, (4, 3), {"stack"}, r"in a stack \(3,\), network \[0\]: the output at .* alone"),
    (OneRow, (4, 3), {"stack"}, r"in a stack \(3,\), the gradient of the input must have the shape \(3, 5, 4\), got \(1, 5, 4\)"),
    (InDouble, (4, 3), {"float32 stays float32"}, "with float32 the gradient of the input must be of torch.float32, got torch.float64"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "sizes", "failing", "message"), MISTAKES, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_mistake_is_named(
    kind: type[ours.Linear], sizes: tuple[int, int], failing: set[str], message: str
) -> None:
    assert re.search(message, faults(kind, *sizes), re.MULTILINE), faults(kind, *sizes)
    found = claims(kind, *sizes)
    expected = {name for name in found if "stack" in name} if failing == {"stack"} else failing
    assert found == expected
    assert found


# ----------------------------------------------------------------------------- what is right


class PReLU(ours.Module):
    """y = x where x > 0, else s x, with one slope s a network. A parameter without dimensions."""

    def __init__(self, slope: float = 0.25, stack: tuple[int, ...] = ()) -> None:
        self.register_parameter("slope", torch.full(stack, slope))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.where(x > 0, x, x * self.slope[..., None, None])
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        (x,) = self.recall(gradient).inputs
        self.slope_grad += (gradient * x.clamp(max=0)).sum((-2, -1))
        return torch.where(x > 0, gradient, gradient * self.slope[..., None, None])


class Identity(ours.Module):
    """y = x, the very tensor."""

    def forward(self, x: Tensor) -> Tensor:
        self.input = x
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient


class Steep(ours.ActivationFunction):
    """y = tanh(1e5 x): curved within the usual step."""

    def function(self, x: Tensor) -> Tensor:
        return torch.tanh(1e5 * x)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return 1e5 * (1 - y * y)


class Sign(ours.ActivationFunction):
    """y = 1 where x > 0, else 0: it jumps."""

    def function(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return 0 * x


def test_what_is_right_passes() -> None:
    checks.check_module(lambda stack: PReLU(stack=stack), INPUT)
    checks.check_module(lambda stack: Identity(), INPUT)
    checks.check_module(lambda stack: ours.Tanh(), [100 * normal(5, 4)])
    checks.check_module(lambda stack: ours.Linear(4, 3, stack=stack), [1e4 * normal(5, 4)])
    checks.check_module(lambda stack: Steep(), [1e-5 * normal(5, 4)])
    checks.check_loss(ours.LossMSE, (6, 3), normal(6, 3, seed=5))


def test_a_kink_near_the_point_is_no_mistake() -> None:
    for distance in (1e-5, 3e-6, 3e-7, 3e-8):  # the widest step is 6e-6
        for sign in (1, -1):
            x = torch.full((2, 2), sign * distance, dtype=torch.float64)
            checks.check_module(lambda stack: ours.ReLU(), [x])


# -------------------------------------------------------------------------------- kinks and jumps


def gradient_faults(make: Any, *inputs: Tensor) -> str:
    with pytest.raises(CheckError) as raised:
        checks.module_checks(make, inputs)[0]()
    return str(raised.value)


def test_a_point_on_a_kink_is_named_and_not_the_formula() -> None:
    x = normal(5, 4)
    x[3, 2] = 0
    message = gradient_faults(lambda stack: ours.ReLU(), x)
    assert "the gradient of the input at [3, 2] sits on a kink: " in message
    assert re.search("is -?0 from below and -?[^0]", message) or re.search(
        "and -?0 from above", message
    )
    assert "move the point" in message
    assert "differ" not in message


def test_a_derivative_that_no_side_of_a_kink_has_is_wrong() -> None:
    class Wrong(ours.ReLU):
        def backward(self, gradient: Tensor) -> Tensor:
            return super().backward(gradient) + 3

    x = torch.zeros(1, 1, dtype=torch.float64)
    assert "is 3 by backward" in gradient_faults(lambda stack: Wrong(), x)


def test_a_jump_is_named() -> None:
    x = normal(5, 4)
    x[3, 2] = 0
    message = gradient_faults(lambda stack: Sign(), x)
    assert "the input at [3, 2] sits on a jump" in message


def test_a_wrong_formula_is_named_beside_a_kink() -> None:
    class Wrong(ours.ReLU):
        def backward(self, gradient: Tensor) -> Tensor:
            return 2 * super().backward(gradient)

    x = normal(5, 4)
    x[3, 2] = 0
    message = gradient_faults(lambda stack: Wrong(), x)
    assert "it is 2 times the right one" in message


def test_numbers_that_are_not_finite_are_wrong() -> None:
    class Root(ours.ActivationFunction):
        def function(self, x: Tensor) -> Tensor:
            return x.sqrt()

        def derivative(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.full_like(x, torch.nan)

    message = gradient_faults(lambda stack: Root(), normal(5, 4).abs())
    assert "backward gives numbers that are not finite" in message


def test_a_return_of_the_wrong_shape_is_named() -> None:
    class Turned(ours.Tanh):
        def backward(self, gradient: Tensor) -> Tensor:
            return super().backward(gradient).mT

    class Nothing(ours.Tanh):
        def backward(self, gradient: Tensor) -> Any:
            super().backward(gradient)

    class Two(ours.Tanh):
        def backward(self, gradient: Tensor) -> Any:
            return gradient, gradient

    x = normal(5, 4)
    for kind, message in (
        (Turned, "of the input must have its shape (5, 4), got (4, 5): it is transposed"),
        (Nothing, "backward must return a tensor for each input, got NoneType"),
        (Two, "backward must return 1 gradient(s), one for each input, got 2"),
    ):
        assert message in gradient_faults(lambda stack, kind=kind: kind(), x)


def test_a_module_that_keeps_no_input_is_named() -> None:
    class Forgets(Identity):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(CheckError, match="input must be what forward was given"):
        checks.check_module(lambda stack: Forgets(), INPUT)


def example(kind: type) -> Any:
    """The class that stands in a docstring."""
    lines = inspect.getdoc(kind).splitlines()  # type: ignore[union-attr]
    start = next(n for n, line in enumerate(lines) if line.startswith("    class "))
    block = takewhile(lambda line: not line or line.startswith("    "), lines[start:])
    names = vars(ours) | {"torch": torch}
    exec(textwrap.dedent("\n".join(block)), names)
    return names[lines[start].split()[1].partition("(")[0]]


def test_the_examples_of_docstrings_are_right() -> None:
    kind = example(ours.Module)
    checks.check_module(lambda stack: kind(stack=stack), INPUT)
    network = ours.Sequential(ours.Linear(2, 2, stack=(3,)))
    optimizer = example(ours.Optimizer)(network)
    check_state(optimizer, (3,))
    network[0].weight_grad.fill_(2)
    before = network[0].weight.clone()
    optimizer.step(0.1)
    torch.testing.assert_close(network[0].weight, before - 1)  # 0.1 g / (0.1 g)


def test_a_parameter_without_the_stack_is_named() -> None:
    message = (
        r"^PReLU\(\): in a stack, parameter 'slope' must begin with the stack, \(3,\) here, got "
        r"\(\); make must hand the stack on, as lambda stack: PReLU\(…, stack=stack\), and __init__"
    )
    for make in (lambda stack: PReLU(), lambda stack: PReLU(0.5)):
        with pytest.raises(CheckError, match=message):
            checks.check_module(make, INPUT)
    with pytest.raises(CheckError, match=r"^Linear\(4, 2\): in a stack, parameter 'weight' must"):
        checks.check_module(lambda stack: ours.Linear(4, 2), INPUT)
    checks.check_module(lambda stack: PReLU(), INPUT, stacks=[()])


def test_what_is_no_function_of_the_stack_is_refused() -> None:
    with pytest.raises(TypeError, match=r"make must be a function of the stack.*got Tanh\(\)"):
        checks.check_module(ours.Tanh(), INPUT)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="make must return a module, got int"):
        checks.check_module(lambda stack: 3, INPUT)  # type: ignore[arg-type,return-value]
    such = "^make must be a function of the stack .* lambda stack:"
    for make, came in (
        (PReLU, r"PReLU\(stack=stack\), got the class PReLU, whose first argument is 'slope'"),
        (ours.Tanh, r"Tanh\(\), got the class Tanh, which takes no argument"),
        (lambda: ours.Tanh(), r"Linear\(4, 3, stack=stack\), got one that takes no argument"),
    ):
        with pytest.raises(TypeError, match=f"{such} {came}$"):
            checks.check_module(make, INPUT)  # type: ignore[arg-type]


def test_inputs_that_are_no_list_of_shapes_are_refused() -> None:
    for inputs, came in (
        ((5, 4), r"\(5, 4\)"),
        (normal(5, 4), r"a tensor \(5, 4\)"),
        ("ab", "'ab'"),
        (5, "5"),
        ([(5, 4.0)], r"\[\(5, 4.0\)\]"),
    ):
        with pytest.raises(
            TypeError, match=rf"^inputs must be .* such as \[\(5, 4\)\], got {came}$"
        ):
            checks.check_module(lambda stack: ours.Tanh(), inputs)  # type: ignore[arg-type]
    checks.check_module(lambda stack: ours.Tanh(), [torch.Size([5, 4])])


# ----------------------------------------------------------------------------------------- losses


class WithoutMean(ours.LossMSE):
    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        return 2 * (output - target)


class WithoutTwo(ours.LossMSE):
    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        return super().grad(output, target) / 2


class OneValue(ours.LossMSE):
    def function(self, output: Tensor, target: Tensor) -> Tensor:
        return super().function(output, target).sum()


class MeanOfStack(ours.LossMSE):
    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        return super().grad(output, target) / output[..., 0, 0].numel()


class InPlace(ours.LossMSE):
    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        return output.sub_(target).mul_(2 * self.scale(output))


class Absolute(ours.Loss):
    """scale · Σ |output - target|, with gradient scale · sign(output - target)."""

    def function(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs().sum((-2, -1)) * self.scale(output)

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        return torch.sign(output - target) * self.scale(output)


class LossInDouble(Absolute):
    def function(self, output: Tensor, target: Tensor) -> Tensor:
        return super().function(output, target).double()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WithoutMean, r"WithoutMean\(reduction='mean'\): the gradient of the output at .* it is 18 times the right one, the number of samples · outputs"),
        (WithoutMean, r"'sample'.*; it is 6 times the right one, the number of samples: a sum where a mean is meant\?$"),
        (WithoutTwo, "it is 0.5 times the right one$"),
        (OneValue, r"function must have one value a network: shape \(3,\), got \(\)"),
        (MeanOfStack, r"in a stack \(3,\), network \[0\]: grad at .*; a loss must not mix networks"),
        (InPlace, r"output after grad at \[\d, \d\] is .*, before .*; grad must not change"),
        (LossInDouble, "for a float32 output function must be of torch.float32, got torch.float64"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_loss_is_named(kind: type[ours.Loss], message: str) -> None:
    with pytest.raises(CheckError) as raised:
        checks.check_loss(kind, (6, 3), normal(6, 3, seed=5))
    assert re.search(message, str(raised.value), re.MULTILINE), str(raised.value)


def test_a_kink_of_a_loss_is_named() -> None:
    target = normal(6, 3, seed=5)
    checks.check_loss(Absolute, (6, 3), target)
    output = normal(6, 3, seed=2)
    output[4, 1] = target[4, 1] = 0.5

    class Lower(Absolute):
        def grad(self, output: Tensor, target: Tensor) -> Tensor:
            return torch.where(output > target, 1.0, -1.0) * self.scale(output)

    with pytest.raises(CheckError, match=r"the output at \[4, 1\] sits on a kink: .* move the"):
        checks.check_loss(Lower, output, target)


# ----------------------------------------------------------------------------------------- pytest

FILE = '''
import torch
from minifw import nn
from minifw.nn import checks

class Square(nn.ActivationFunction):
    """y = x²; σ'(x) = 2x."""
    def function(self, x):
        return x * x
    def derivative(self, x, y):
        return FACTOR * x

made = checks.module_checks(lambda stack: Square(), [(5, 4)], name="Square")

@checks.parametrize(made + checks.loss_checks(nn.LossMSE, (6, 3), torch.ones(6, 3).double(), name="MSE"))
def test_mine(check):
    check()
'''


def test_each_claim_is_a_test_of_its_own(tmp_path: Path) -> None:
    count = len(checks.module_checks(lambda stack: ours.Tanh(), INPUT)) + 4 * 3
    (tmp_path / "test_right.py").write_text(FILE.replace("FACTOR", "2"))
    (tmp_path / "test_wrong.py").write_text(FILE.replace("FACTOR", "1"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-rf"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"1 failed, {2 * count - 1} passed" in done.stdout, done.stdout
    assert (
        "test_wrong.py::test_mine[Square: gradients are those of finite differences]" in done.stdout
    )
    assert "it is 0.5 times the right one" in done.stdout


def test_a_gradient_of_another_dtype_is_found() -> None:
    """`torch.where` of two numbers of Python's is float32, whatever the input."""

    class Leaky(ours.ActivationFunction):
        def function(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, x, 0.1 * x)

        def derivative(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.where(x > 0, 1.0, 0.1)

    with pytest.raises(CheckError, match=r"gradient of the input must be of torch\.float64"):
        checks.check_module(lambda stack: Leaky(), [(5, 4)])
