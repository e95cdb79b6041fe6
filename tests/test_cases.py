"""Every claim about modules and losses, on every row of the table in cases.py."""

from __future__ import annotations

import inspect
import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from cases import ABSTRACT, LOSSES, MODULES, LossCase, ModuleCase, normal, special
from minifw import nn as ours
from minifw.errors import MinifwError, OrderError, ShapeError, StateError
from minifw.nn.module import as_tuple

TABLE: list[ModuleCase | LossCase] = [*MODULES, *LOSSES]
modules = pytest.mark.parametrize("case", MODULES, ids=lambda case: case.name)
losses = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
reductions = pytest.mark.parametrize("reduction", ["mean", "sample", "sum"])


def inputs_of(case: ModuleCase, *stack: int) -> list[Tensor]:
    return [normal(*stack, *shape, seed=k) for k, shape in enumerate(case.inputs)]


def values_of(module: ours.Module) -> list[Tensor]:
    return [value for _, value, _ in module.parameters()]


def gradients_of(module: ours.Module) -> list[Tensor]:
    return [gradient for _, _, gradient in module.parameters()]


def autograd(case: ModuleCase, values: list[Tensor], inputs: list[Tensor]) -> Any:
    """PyTorch's outputs, and its gradients of sum(weights * outputs) for fixed weights."""
    leaves = [value.clone().requires_grad_() for value in (*values, *inputs)]
    outputs = as_tuple(case.reference(*leaves))
    weights = [normal(*output.shape, seed=3) for output in outputs]
    total = torch.stack([(w * o).sum() for w, o in zip(weights, outputs, strict=True)]).sum()
    return [o.detach() for o in outputs], weights, list(torch.autograd.grad(total, leaves))


def test_the_table_is_complete() -> None:
    exported = {value for name in ours.__all__ if inspect.isclass(value := getattr(ours, name))}
    expected = {k for k in exported if issubclass(k, ours.Module | ours.Loss)} - ABSTRACT
    covered = {kind for row in TABLE for kind in row.covers}
    assert expected <= covered
    assert len(expected) >= 7


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
def test_backward_equals_finite_differences(case: ModuleCase) -> None:
    module, inputs = case.make(()), inputs_of(case)
    outputs = as_tuple(module.forward(*inputs))
    weights = [normal(*output.shape, seed=3) for output in outputs]
    found = [*as_tuple(module.backward(*weights)), *gradients_of(module)]

    def total() -> float:
        outputs = as_tuple(module.forward(*inputs))
        return sum(float((w * o).sum()) for w, o in zip(weights, outputs, strict=True))

    step = 1e-6
    for tensor, gradient in zip([*inputs, *values_of(module)], found, strict=True):
        flat, expected = tensor.view(-1), []
        for i in range(flat.numel()):
            old = float(flat[i])
            flat[i] = old + step
            above = total()
            flat[i] = old - step
            below = total()
            flat[i] = old
            expected.append((above - below) / (2 * step))
        torch.testing.assert_close(
            gradient.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-7
        )


@modules
def test_backward_adds_and_reset_sets_to_zero(case: ModuleCase) -> None:
    module, inputs = case.make(()), inputs_of(case)
    weights = [normal(*o.shape, seed=3) for o in as_tuple(module.forward(*inputs))]
    module.backward(*weights)
    once = [gradient.clone() for gradient in gradients_of(module)]
    module.forward(*inputs)
    module.accumulate(*weights)
    torch.testing.assert_close(gradients_of(module), [2 * gradient for gradient in once])
    module.reset_gradient()
    assert all(not gradient.any() for gradient in gradients_of(module))


@modules
def test_a_copy_with_other_parameters_is_a_module_of_its_own(case: ModuleCase) -> None:
    module, inputs = case.make(()), inputs_of(case)
    before = as_tuple(module.forward(*inputs))
    values = [1.5 * value for value in values_of(module)]
    twin = module.with_parameters(values)
    assert len(twin.parameters()) == len(module.parameters())  # what was shared is shared
    outputs, weights, expected = autograd(case, values, inputs)
    torch.testing.assert_close(list(as_tuple(twin.forward(*inputs))), outputs)
    found = [*gradients_of(twin), *as_tuple(twin.backward(*weights))]
    torch.testing.assert_close(found[: len(values)], expected[: len(values)])
    assert not any(gradient.any() for gradient in gradients_of(module))
    torch.testing.assert_close(as_tuple(module.forward(*inputs)), before)


@modules
def test_nothing_that_came_in_is_changed(case: ModuleCase) -> None:
    module, inputs = case.make(()), inputs_of(case)
    outputs = as_tuple(module.forward(*inputs))
    weights = [normal(*output.shape, seed=3) for output in outputs]
    watched = [*inputs, *outputs, *weights, *values_of(module)]
    before = [tensor.clone() for tensor in watched]
    module.backward(*weights)
    for tensor, old in zip(watched, before, strict=True):
        assert torch.equal(tensor, old)


@modules
def test_input_is_what_forward_was_given(case: ModuleCase) -> None:
    module, inputs = case.make(()), inputs_of(case)
    assert module.input is None
    module.forward(*inputs)
    assert module.input is not None
    assert all(a is b for a, b in zip(as_tuple(module.input), inputs, strict=True))


@modules
@pytest.mark.parametrize("stack", [(3,), (2, 3), (1,)], ids=str)
def test_each_network_of_a_stack_equals_it_alone(case: ModuleCase, stack: tuple[int, ...]) -> None:
    module, inputs = case.make(stack), inputs_of(case, *stack)
    outputs = as_tuple(module.forward(*inputs))
    weights = [normal(*output.shape, seed=3) for output in outputs]
    returned = as_tuple(module.backward(*weights))
    module_update = [
        v - 0.1 * g for v, g in zip(values_of(module), gradients_of(module), strict=True)
    ]
    for index in torch.cartesian_prod(*map(torch.arange, stack)).reshape(-1, len(stack)).tolist():
        k = tuple(index)
        alone = case.make(())
        alone.load_state_dict({name: value[k] for name, value in module.state_dict().items()})
        found = as_tuple(alone.forward(*(x[k] for x in inputs)))
        back = as_tuple(alone.backward(*(w[k] for w in weights)))
        alone.update_parameters(0.1)
        for one, many in zip((*found, *back, *gradients_of(alone)),
                             (*outputs, *returned, *gradients_of(module)), strict=True):  # fmt: skip
            torch.testing.assert_close(one, many[k], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(values_of(alone), [value[k] for value in module_update])


@modules
def test_reused_buffers_change_nothing(case: ModuleCase) -> None:
    plain, buffers = case.make((3,)), ours.Buffers()
    reused = case.make((3,))
    reused.load_state_dict(plain.state_dict())
    for step in range(3):  # the second and third pass write over the first
        inputs = [x + step for x in inputs_of(case, 3)]
        outputs = as_tuple(plain.forward(*inputs))
        weights = [normal(*output.shape, seed=step) for output in outputs]
        back = as_tuple(plain.backward(*weights))
        with buffers.reuse("step"):
            found = as_tuple(reused.forward(*inputs))
            found_back = as_tuple(reused.backward(*weights))
            assert all(torch.equal(a, b) for a, b in zip(found, outputs, strict=True))
            assert all(torch.equal(a, b) for a, b in zip(found_back, back, strict=True))
            assert all(map(torch.equal, gradients_of(reused), gradients_of(plain)))


@modules
def test_state_goes_round(case: ModuleCase) -> None:
    module, other = case.make((2,)), case.make((2,))
    inputs = inputs_of(case, 2)
    state = module.state_dict()
    other.load_state_dict(state)
    torch.testing.assert_close(module.forward(*inputs), other.forward(*inputs), rtol=0, atol=0)
    for value in values_of(module):
        value.add_(1)  # a state is a copy: it does not follow
    assert all(torch.equal(state[name], value) for name, value, _ in other.parameters())


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
            case.make(()).forward(bad)
        assert "\n" not in str(raised.value)
        assert raised.value.__class__.__mro__[-2] is BaseException


@modules
def test_float32_stays_float32(case: ModuleCase) -> None:
    module = case.make(())
    module = module.with_parameters([value.float() for value in values_of(module)])
    outputs = as_tuple(module.forward(*(x.float() for x in inputs_of(case))))
    back = as_tuple(module.backward(*outputs))
    assert {t.dtype for t in (*outputs, *back, *gradients_of(module))} == {torch.float32}


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


def expected_loss(case: LossCase, reduction: str, output: Tensor, target: Tensor) -> Tensor:
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
@reductions
def test_loss_gradients_equal_finite_differences(case: LossCase, reduction: Any) -> None:
    loss, output, target = case.make(reduction), normal(6, 3, seed=2), case.target(())
    gradient, step = loss.grad(output, target), 1e-6
    for i in range(6):
        for j in range(3):
            shift = torch.zeros_like(output)
            shift[i, j] = step
            above, below = (loss.function(o, target) for o in (output + shift, output - shift))
            assert float(gradient[i, j]) == pytest.approx(
                float((above - below) / (2 * step)), rel=1e-6, abs=1e-7
            )


@losses
def test_losses_change_nothing_and_name_what_is_wrong(case: LossCase) -> None:
    output, target = normal(6, 3), case.target(())
    copies = output.clone(), target.clone()
    loss = case.make("mean")
    loss.function(output, target)
    loss.grad(output, target)
    assert torch.equal(output, copies[0])
    assert torch.equal(target, copies[1])
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
    loss = case.make("sum")
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
            torch.testing.assert_close(y, expected.detach(), equal_nan=True)
            torch.testing.assert_close(found, theirs, equal_nan=True)
    if isinstance(module, ours.ReLU):
        assert torch.equal(found.isnan(), theirs.isnan())
        assert torch.equal(found.nan_to_num(), theirs.nan_to_num())  # picked: bit for bit


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [ours.Sigmoid, ours.Tanh, ours.ReLU])
def test_activations_at_large_numbers(
    kind: type[ours.ActivationFunction], dtype: torch.dtype
) -> None:
    x = torch.tensor([[-1e4, -1.0, 0.0, 1.0, 1e4]], dtype=dtype)
    module = kind()
    y = module.forward(x)
    gradient = module.backward(torch.ones_like(x))
    assert isinstance(gradient, Tensor)
    assert y.isfinite().all()
    assert gradient.isfinite().all()
    ends = {ours.Sigmoid: (0, 1), ours.Tanh: (-1, 1), ours.ReLU: (0, 1e4)}[kind]
    assert (float(y[0, 0]), float(y[0, -1])) == ends
