"""Every claim about modules and losses, on every row of the table in cases.py.

Those that a user's own modules and losses can be held to are in `minifw.nn.checks`; here are the
others: the same as PyTorch, what is refused with which words, special numbers.
"""

from __future__ import annotations

import inspect
import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import ABSTRACT, LOSSES, MODULES, LossCase, ModuleCase, inputs_of, normal, special
from minifw import nn as ours
from minifw.errors import MinifwError, OrderError, ShapeError, StateError
from minifw.nn import checks
from minifw.nn.module import as_tuple

TABLE: list[ModuleCase | LossCase] = [*MODULES, *LOSSES]
modules = pytest.mark.parametrize("case", MODULES, ids=lambda case: case.name)
losses = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
reductions = pytest.mark.parametrize("reduction", ["mean", "sample", "sum"])


def values_of(module: ours.Module) -> list[Tensor]:
    return [value for _, value, _ in module.parameters()]


def gradients_of(module: ours.Module) -> list[Tensor]:
    return [gradient for _, _, gradient in module.parameters()]


def autograd(case: ModuleCase, values: list[Tensor], inputs: list[Tensor]) -> Any:
    """PyTorch's outputs, and its gradients of sum(weights * outputs) for fixed weights."""
    leaves = [
        value.clone().requires_grad_(value.is_floating_point()) for value in (*values, *inputs)
    ]
    outputs = as_tuple(case.reference(*leaves))
    weights = [normal(*output.shape, seed=3) for output in outputs]
    total = torch.stack([(w * o).sum() for w, o in zip(weights, outputs, strict=True)]).sum()
    found = iter(torch.autograd.grad(total, [leaf for leaf in leaves if leaf.requires_grad]))
    gradients = [
        next(found) if leaf.requires_grad else torch.zeros(leaf.shape, dtype=total.dtype)
        for leaf in leaves
    ]
    return [o.detach() for o in outputs], weights, gradients


def test_the_table_is_complete() -> None:
    exported = {value for name in ours.__all__ if inspect.isclass(value := getattr(ours, name))}
    expected = {k for k in exported if issubclass(k, ours.Module | ours.Loss)} - ABSTRACT
    covered = {kind for row in TABLE for kind in row.covers}
    assert expected <= covered
    assert len(expected) >= 7


@checks.parametrize(
    check
    for case in MODULES
    for check in checks.module_checks(case.make, case.inputs, name=case.name)
)
def test_what_is_claimed_of_every_module(check: checks.Check) -> None:
    check()


@modules
def test_forward_and_backward_equal_autograd(case: ModuleCase) -> None:
    module, inputs = case.make(()), inputs_of(case)
    outputs, weights, expected = autograd(case, values_of(module), inputs)
    torch.testing.assert_close(
        list(as_tuple(module.forward(*inputs))), outputs, rtol=1e-12, atol=1e-12
    )
    module.reset_gradient()
    returned = as_tuple(module.backward(*weights))
    found = [*gradients_of(module), *returned]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@modules
def test_wrong_states_are_refused_whole(case: ModuleCase) -> None:
    module = case.make(())
    state = module.state_dict()
    with pytest.raises(StateError, match="unknown parameter 'wieght'"):
        module.load_state_dict({**state, "wieght": torch.ones(1)})
    if not state:
        return
    last = list(state)[-1]
    for bad, message in (
        ({name: value for name, value in state.items() if name != last}, "is missing"),
        ({**state, last: state[last].float()}, "of float32"),
        ({**state, last: state[last][None]}, rf"must be .*{tuple(state[last].shape)}".replace("(", r"\(").replace(")", r"\)")),
    ):  # fmt: skip
        changed = {name: value + 1 if name != last else value for name, value in bad.items()}
        with pytest.raises(StateError, match=message):
            module.load_state_dict(changed)
        assert all(torch.equal(v, state[name]) for name, v, _ in module.parameters())


@modules
def test_backward_before_forward_is_named(case: ModuleCase) -> None:
    module = case.make(())
    if isinstance(module, ours.Network) or type(module).__module__.startswith("minifw"):
        with pytest.raises(OrderError, match="call forward first"):
            module.backward(normal(5, 3))


@modules
def test_wrong_gradients_are_named(case: ModuleCase) -> None:
    module = case.make(())
    outputs = as_tuple(module.forward(*inputs_of(case)))
    with pytest.raises(ShapeError, match="backward: expects"):
        module.backward(*(normal(*o.shape[:-1], o.shape[-1] + 1) for o in outputs))
    if isinstance(module, ours.Network):
        with pytest.raises(ShapeError, match="expects . gradient"):
            module.backward(*outputs, *outputs)
    with pytest.raises(TypeError, match="float32"):
        module.backward(*(output.float() for output in outputs))


@modules
def test_wrong_inputs_are_named(case: ModuleCase) -> None:
    for bad, message in case.bad_inputs:
        with pytest.raises(MinifwError, match=message) as raised:
            case.make(()).forward(*as_tuple(bad))
        assert "\n" not in str(raised.value)
        assert raised.value.__class__.__mro__[-2] is BaseException


@pytest.mark.parametrize(
    "kind",
    sorted({kind for row in TABLE for kind in row.covers}, key=str),
)
def test_docstrings_tell_shapes_and_formula(kind: type) -> None:
    text = inspect.getdoc(kind) or ""
    if kind in ABSTRACT:
        assert text
        return
    assert any(word in text for word in ("Shape", "shape", "(…")), "no shapes"
    assert any(sign in text for sign in ("=", "·", "Sequential(")), "no formula"


# ---------------------------------------------------------------------------------------- losses


@checks.parametrize(
    check
    for case in LOSSES
    for check in checks.loss_checks(case.make, (6, 3), case.target, name=case.name)
)
def test_what_is_claimed_of_every_loss(check: checks.Check) -> None:
    check()


def expected_loss(case: LossCase, reduction: str, output: Tensor, target: Tensor) -> Tensor:
    if case.total is not None:
        return case.total(reduction, output, target)
    terms = case.reference(output, target)
    if reduction == "mean":
        return terms.mean()
    return terms.sum() / (len(output) if reduction == "sample" else 1)


@losses
@reductions
def test_losses_equal_pytorch_for_each_network_of_a_stack(case: LossCase, reduction: Any) -> None:
    loss = case.make(reduction)
    for stack in ((), (4,), (2, 2)):
        output, target = normal(*stack, 6, 3, seed=2), case.target(stack)
        values, gradient = loss.function(output, target), loss.grad(output, target)
        assert values.shape == stack
        assert gradient.shape == output.shape
        flat = zip(output.reshape(-1, 6, 3), target.reshape(-1, *target.shape[len(stack):]),
                   values.reshape(-1), gradient.reshape(-1, 6, 3), strict=True)  # fmt: skip
        for one, aim, value, grad in flat:
            leaf = one.clone().requires_grad_()
            expected = expected_loss(case, reduction, leaf, aim)
            torch.testing.assert_close(value, expected.detach(), rtol=1e-13, atol=1e-13)
            torch.testing.assert_close(
                grad, *torch.autograd.grad(expected, leaf), rtol=1e-12, atol=1e-13
            )


@losses
def test_losses_name_what_is_wrong(case: LossCase) -> None:
    output, target = normal(6, 3), case.target(())
    loss = case.make("mean")
    for out, aim, message in case.bad:
        for method in (loss.function, loss.grad):
            with pytest.raises(MinifwError, match=message):
                method(out, aim)
    half = output.half(), target.half() if target.is_floating_point() else target
    for method in (loss.function, loss.grad):
        with pytest.raises(MinifwError, match="as a tensor of float32 or float64, got .*float16"):
            method(*half)
    with pytest.raises(MinifwError, match="unknown reduction 'maen'; did you mean 'mean'"):
        case.make("maen")


@losses
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_losses_equal_pytorch_at_special_numbers(case: LossCase, dtype: torch.dtype) -> None:
    outputs = torch.cartesian_prod(special(dtype), special(dtype))
    loss = (case.of_two or case.make)("sum")
    assert case.special
    for target in case.special:
        targets = torch.tensor([target], dtype=torch.int64 if target in (0, 1) else dtype)
        targets = targets.expand(len(outputs), *targets.shape[1:])
        leaf = outputs.clone().requires_grad_()
        terms = case.reference(leaf, targets)
        (theirs,) = torch.autograd.grad(terms.sum(), leaf)
        expected = terms.detach().reshape(len(outputs), -1).sum(-1)
        networks = outputs.unsqueeze(1), targets.unsqueeze(1)  # one sample each
        torch.testing.assert_close(loss.grad(*networks).squeeze(1), theirs, equal_nan=True)
        # PyTorch has 0 · -∞ = NaN for probabilities: see the next test.
        same = ~expected.isnan() | outputs.isnan().any(-1) | (outputs == torch.inf).any(-1)
        value = loss.function(*networks)
        torch.testing.assert_close(value[same], expected[same], equal_nan=True)


def test_what_cannot_be_counts_nothing_where_its_target_is_0() -> None:
    """PyTorch has 0 · -∞ = NaN for probabilities, but 0 for the same targets as classes."""
    output = torch.tensor([[0, -math.inf], [3e38, -3e38]])
    loss = ours.LossCrossEntropy("sum")
    for target in (torch.tensor([0, 0]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])):
        assert float(loss.function(output, target)) == 0
        assert torch.equal(loss.grad(output, target), torch.zeros(2, 2))
    for target in (torch.tensor([1, 1]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])):
        assert float(loss.function(output, target)) == math.inf
    assert math.isnan(float(loss.function(torch.tensor([[math.nan, 0]]), torch.zeros(1, 2))))


def test_cross_entropy_does_not_overflow() -> None:
    output = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    loss = ours.LossCrossEntropy()
    target = torch.tensor([1, 1])
    assert float(loss.function(output, target)) == pytest.approx(1e4)
    assert torch.equal(loss.grad(output, target), torch.tensor([[0.5, -0.5], [0.0, 0.0]]))


# PyTorch's Softplus overflows in dL/dy eˣ; its GELU of float32 is NaN at infinity.
SOUNDER = (ours.Softplus, ours.GELU)
ACTIVATIONS = [case for case in MODULES if isinstance(case.make(()), ours.ActivationFunction)]


def test_every_activation_is_tried_at_special_numbers() -> None:
    exported = {value for name in ours.__all__ if inspect.isclass(value := getattr(ours, name))}
    kinds = {kind for kind in exported if issubclass(kind, ours.ActivationFunction)}
    assert {type(case.make(())) for case in ACTIVATIONS} == kinds - ABSTRACT


@pytest.mark.parametrize("case", ACTIVATIONS, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("copies", [1, 3], ids=["few", "many"])  # few numbers go another way
def test_activations_equal_pytorch_at_special_numbers(
    case: ModuleCase, dtype: torch.dtype, copies: int
) -> None:
    """Each number as input meets each one as gradient; in reused memory the same."""
    x, gradient = torch.cartesian_prod(special(dtype), special(dtype)).repeat(copies, 1).unbind(-1)
    leaf = x.clone().requires_grad_()
    expected = case.reference(leaf)
    (theirs,) = torch.autograd.grad(expected, leaf, gradient)
    module, buffers = case.make(()), ours.Buffers()
    for block in (nullcontext(), buffers.reuse("step"), buffers.reuse("step")):
        with block:
            y = module.forward(x)
            found = module.backward(gradient)
            for our, their in ((y, expected.detach()), (found, theirs)):
                left_out = x.isnan() & our.isnan()  # some let dL/dy pass where x is NaN
                if isinstance(module, SOUNDER):
                    left_out |= ~their.isfinite() & ~our.isnan()
                torch.testing.assert_close(our[~left_out], their[~left_out], equal_nan=True)
    if isinstance(module, ours.ReLU):
        assert torch.equal(found.isnan(), theirs.isnan())
        assert torch.equal(found.nan_to_num(), theirs.nan_to_num())  # picked: bit for bit


ENDS = [  # y at -1e4 and 1e4, and dL/dx there
    (ours.Sigmoid(), (0, 1), (0, 0)),
    (ours.Tanh(), (-1, 1), (0, 0)),
    (ours.ReLU(), (0, 1e4), (0, 1)),
    (ours.LeakyReLU(0.5), (-5e3, 1e4), (0.5, 1)),
    (ours.ELU(0.5), (-0.5, 1e4), (0, 1)),
    (ours.GELU(), (0, 1e4), (0, 1)),
    (ours.GELU("tanh"), (0, 1e4), (0, 1)),
    (ours.SiLU(), (0, 1e4), (0, 1)),
    (ours.Softplus(), (0, 1e4), (0, 1)),
    (ours.Softplus(0.5), (0, 1e4), (0, 1)),
    (ours.Softmax(), (0, 1), (0, 0)),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("module", "ends", "slopes"), ENDS)
def test_activations_at_large_numbers(
    module: ours.Module, ends: tuple[float, float], slopes: tuple[float, float], dtype: torch.dtype
) -> None:
    x = torch.tensor([[-1e4, -1.0, 0.0, 1.0, 1e4]], dtype=dtype)
    y = module.forward(x)
    gradient = module.backward(torch.ones_like(x))
    assert isinstance(gradient, Tensor)
    assert y.isfinite().all()
    assert gradient.isfinite().all()
    assert (float(y[0, 0]), float(y[0, -1])) == ends
    assert (float(gradient[0, 0]), float(gradient[0, -1])) == slopes
