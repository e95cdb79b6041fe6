"""What the table in cases.py cannot say of single modules: modes, states, whole numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cases import normal, special
from minifw import nn as ours
from minifw.errors import MinifwError
from minifw.nn.buffers import fused

# ----------------------------------------------------------------------------- batch normalisation


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0])
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 2, 5)], ids=str)
def test_running_numbers_of_each_network_are_those_of_pytorch(
    shape: tuple[int, ...], momentum: float
) -> None:
    kind = "BatchNorm2d" if len(shape) == 4 else "BatchNorm1d"
    stack = (2, 2)
    module = getattr(ours, kind)(3, momentum=momentum, stack=stack, dtype=torch.float64)
    twins = [getattr(nn, kind)(3, momentum=momentum, dtype=torch.float64) for _ in range(4)]
    assert [name for name, _ in module.states()] == ["running_mean", "running_var"]
    for step in range(4):
        x = 2 + 3 * normal(*stack, *shape, seed=step)
        y = module.train(step != 2).forward(x)
        for twin, one, result in zip(twins, x.flatten(0, 1), y.flatten(0, 1), strict=True):
            torch.testing.assert_close(twin.train(step != 2)(one).detach(), result)
        for name, value in module.states():
            theirs = torch.stack([getattr(twin, name) for twin in twins])
            torch.testing.assert_close(value.flatten(0, 1), theirs, rtol=1e-13, atol=1e-13)


def test_evaluation_changes_no_running_number_and_mixes_no_samples() -> None:
    module = ours.BatchNorm1d(3, dtype=torch.float64)
    module.forward(normal(8, 3))
    module.eval()
    before, x = module.state_dict(), normal(8, 3, seed=1)
    y = module.forward(x)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(module.forward(x[2:3]), y[2:3])
    gradient = module.backward(torch.ones(1, 3, dtype=torch.float64))
    torch.testing.assert_close(gradient[0], 1 / (before["running_var"] + 1e-5).sqrt())


def test_new_networks_begin_with_new_running_numbers() -> None:
    module = ours.BatchNorm1d(3)
    first = module.state_dict()
    module.forward(normal(8, 3).float() + 5)
    assert not torch.equal(module.state_dict()["running_mean"], first["running_mean"])
    module.initialize("pytorch", [])
    assert all(torch.equal(value, first[name]) for name, value in module.state_dict().items())


def test_a_constant_channel_is_normalised_to_0() -> None:
    for module, dim in ((ours.BatchNorm1d(2), 0), (ours.LayerNorm(2), 1)):
        x = torch.full((4, 2), 1e6)
        assert torch.equal(module.forward(x), torch.zeros(4, 2)), dim
        assert module.backward(torch.ones(4, 2)).isfinite().all()


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_norms_of_numbers_far_from_0(offset: float) -> None:
    """The mean is subtracted before squares are taken: E x² - (E x)² would lose every digit."""
    x = normal(50, 8) + offset
    expected = nn.functional.layer_norm(x - x.mean(-1, keepdim=True), (8,))
    y = ours.LayerNorm(8, dtype=torch.float64).forward(x)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    single = ours.LayerNorm(8).forward(x.float())
    expected = nn.functional.layer_norm(x.float().double(), (8,))  # of the rounded numbers
    assert float((single - expected).abs().max()) < offset * 1e-6  # rounding of the mean


# --------------------------------------------------------------------------------------- embedding


def _table(stack: tuple[int, ...] = ()) -> tuple[ours.Embedding, Tensor]:
    module = ours.Embedding(5, 3, stack=stack, dtype=torch.float64)
    x = torch.randint(5, (*stack, 4, 2), generator=torch.Generator().manual_seed(0))
    return module, x


@pytest.mark.parametrize("stack", [(), (3,), (2, 2)], ids=str)
def test_tokens_as_floats_and_as_products_are_the_same(stack: tuple[int, ...]) -> None:
    module, x = _table(stack)
    y = module.forward(x)
    gradient = normal(*y.shape)
    assert not module.backward(gradient).any()
    found = module.weight_grad.clone()
    for given in (x, x.double()):
        with fused():
            assert torch.equal(module.forward(given), y)
            module.reset_gradient()
            module.accumulate(gradient)
        torch.testing.assert_close(module.weight_grad, found, rtol=1e-14, atol=1e-14)
        module.reset_gradient()
        assert torch.equal(module.forward(given), y)
        back = module.backward(gradient)
        assert torch.equal(module.weight_grad, found)
        assert torch.equal(back, torch.zeros(x.shape, dtype=torch.float64))


def test_tables_begin_as_those_of_pytorch() -> None:
    torch.manual_seed(0)
    values = ours.Embedding(1000, 50).weight
    assert float(values.std()) == pytest.approx(1, abs=0.01)
    assert abs(float(values.mean())) < 0.02
    assert float(ours.Embedding(1000, 50, init="xavier-normal").weight.std()) == pytest.approx(
        math.sqrt(2 / 1050), rel=0.02
    )


# --------------------------------------------------------------------------------------- numerics


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_softmax_equals_pytorch_at_special_numbers(dtype: torch.dtype) -> None:
    """Each pair of special numbers is a sample, each special number a gradient of its first."""
    x = torch.cartesian_prod(special(dtype), special(dtype))
    module = ours.Softmax()
    for number in special(dtype):
        gradient = torch.stack([number.expand(len(x)), torch.ones(len(x), dtype=dtype)], -1)
        leaf = x.clone().requires_grad_()
        y = leaf.softmax(-1)
        (theirs,) = torch.autograd.grad(y, leaf, gradient)
        torch.testing.assert_close(module.forward(x), y.detach(), equal_nan=True)
        torch.testing.assert_close(module.backward(gradient), theirs, equal_nan=True)


@pytest.mark.parametrize(
    ("module", "least"),
    [(ours.Softplus(), 0.0), (ours.SiLU(), -0.279), (ours.GELU(), -0.171), (ours.ELU(), -1.0)],
)
def test_smooth_rectifiers_on_the_way_to_their_ends(module: ours.Module, least: float) -> None:
    """From -1000 to 1000: finite, never below their least number, and x in the end."""
    x = torch.linspace(-1000, 1000, 20001, dtype=torch.float64)[None]
    y = module.forward(x)
    slope = module.backward(torch.ones_like(x))
    assert y.isfinite().all()
    assert slope.isfinite().all()
    assert float(y.min()) >= least - 1e-3
    assert torch.equal(y[x > 40], x[x > 40])
    assert torch.equal(slope[x > 40], torch.ones_like(x[x > 40]))
    assert float(slope[x < -750].abs().max()) == 0


def test_a_network_alone_has_its_bits_with_several_threads_too() -> None:
    """Torch's threads share the sum to a single number, as of one slope or channel."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for make, shape in (
            (lambda stack: ours.PReLU(stack=stack), (1000, 40)),
            (lambda stack: ours.BatchNorm2d(1, stack=stack), (64, 1, 28, 28)),
        ):
            x, gradient = normal(3, *shape).float(), normal(3, *shape, seed=1).float()
            stacked, alone = make((3,)), make(())
            results = [stacked.forward(x)[1], stacked.backward(gradient)[1]]
            expected = [alone.forward(x[1].clone()), alone.backward(gradient[1].clone())]
            results += [gradient[1] for _, _, gradient in stacked.parameters()]
            expected += [gradient for _, _, gradient in alone.parameters()]
            assert all(map(torch.equal, results, expected)), type(alone)
    finally:
        torch.set_num_threads(before)


# ---------------------------------------------------------------------------------------- the rest


def test_no_module_hides_what_networks_call() -> None:
    kinds = [kind for name in ours.__all__ if isinstance(kind := getattr(ours, name), type)]
    modules = [kind for kind in kinds if issubclass(kind, ours.Module)]
    assert len(modules) > 30
    for name in ("at", "remember", "recall", "check_floating", "__call__"):
        assert {getattr(kind, name) for kind in modules} == {getattr(ours.Module, name)}, name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.Softmax(0), "Softmax: dim must count from the end, as -1.*got 0"),
        (lambda: ours.GELU("erf"), "GELU: approximate must be 'none' or 'tanh', got 'erf'"),  # type: ignore[arg-type]
        (lambda: ours.Softplus(0), "Softplus: beta must be above 0, got 0"),
        (lambda: ours.PReLU(0), "PReLU: num_parameters must be a whole number.*got 0"),
        (lambda: ours.PReLU(slope=math.inf), "PReLU: slope must be a finite number, got inf"),
        (lambda: ours.LayerNorm(()), r"LayerNorm: normalized_shape must be .* got \(\)"),
        (lambda: ours.LayerNorm(3, eps=-1), "LayerNorm: eps must be a finite number"),
        (lambda: ours.BatchNorm1d(0), "BatchNorm1d: num_features must be a whole number"),
        (lambda: ours.BatchNorm2d(3, momentum=2), "BatchNorm2d: momentum must be from 0 to 1"),
        (lambda: ours.BatchNorm2d(3, eps=math.nan), "BatchNorm2d: eps must be a finite number"),
        (lambda: ours.Embedding(0, 3), "Embedding: num_embeddings must be a whole number"),
        (lambda: ours.Embedding(3, True), "Embedding: embedding_dim must be a whole number"),
        (lambda: ours.Scale(math.nan), "Scale: expects a finite number, got nan"),
        (lambda: ours.Concat(1), "Concat: dim must be a dimension of a sample, below 1, got 1"),
        (lambda: ours.Slice.of(0), r"begins with '...'.* got x\[0\]"),
        (lambda: ours.Slice.of((..., slice(None, None, -1))), r"got x\[..., ::-1\]"),
        (lambda: ours.Slice.of((..., None)), r"got x\[..., None\]"),
        (lambda: ours.Slice.of((..., normal(3))), r"got x\[..., \(3,\) of float64\]"),
    ],
)
def test_wrong_arguments_are_named(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(MinifwError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_prelu_begins_anew_with_its_slope() -> None:
    module = ours.PReLU(3, slope=0.5, stack=(2,))
    module.weight.add_(1)
    module.initialize("pytorch", [])
    assert torch.equal(module.weight, torch.full((2, 3), 0.5))
