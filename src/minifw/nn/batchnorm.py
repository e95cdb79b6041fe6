"""`BatchNorm1d` and `BatchNorm2d`: each channel has mean 0 and variance 1 over a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ModuleError, ShapeError
from minifw.nn.buffers import buffer, sum_like
from minifw.nn.module import Module, as_called, described
from minifw.nn.registry import Key, Keys, Shape, Twin, layer
from minifw.nn.standardize import of_standardized, standardized

__all__ = ["BatchNorm1d", "BatchNorm2d"]


class BatchNorm(Module):
    """y = w x̂ + b with x̂ = (x - μ) / √(v + ε), for each channel: its numbers, normalised.

    In training, μ and v are the mean and variance of a channel in this batch, over its samples and
    all dimensions behind the channels (without Bessel's correction). Evaluation takes the running
    ones, so that a sample's output does not depend on the others of its batch. x and y are
    `(…, samples, channels, …)`; the first `…` is the stack, and each network of it has its own

        weight        w  (…, num_features)   weight_grad  dL/dw = Σ of dL/dy x̂
        bias          b  (…, num_features)   bias_grad    dL/db = Σ of dL/dy
        running_mean     (…, num_features)   ← (1 - momentum) running_mean + momentum μ
        running_var      (…, num_features)   the same of v n / (n - 1), for n numbers of a channel

    In training dL/dx = (g - mean g - x̂ mean(g x̂)) / √(v + ε) with g = w dL/dy, in evaluation
    g / √(v + ε). Source: Ioffe and Szegedy, "Batch normalization", arXiv:1502.03167.

    Args:
        num_features: the number of channels, or of features.
        eps: ε, added to the variance.
        momentum: the weight of a new batch in the running mean and variance.
        affine: False leaves out w and b, which are then None.
        track_running_stats: False leaves out the running mean and variance; evaluation then takes
            the batch's own, as training does.
        stack: the leading dimensions, `(20,)` for twenty networks; `()` is one network.
        dtype: torch.float32 or torch.float64.
        device: the device of the tensors.

    """

    behind: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """The dimensions of a sample behind its channels: each way that there may be."""

    weight: Tensor | None = None
    weight_grad: Tensor | None = None
    bias: Tensor | None = None
    bias_grad: Tensor | None = None
    running_mean: Tensor | None = None
    running_var: Tensor | None = None

    def __init__(
        self,
        num_features: Annotated[int, Key("number of channels or features")],
        eps: Annotated[float, Key("added to the variance", ge=0)] = 1e-5,
        momentum: Annotated[
            float, Key("weight of a new batch in the running mean and variance", ge=0, le=1)
        ] = 0.1,
        affine: Annotated[bool, Key("whether there are weights and biases")] = True,
        track_running_stats: Annotated[
            bool, Key("whether evaluation uses the running mean and variance, not the batch's own")
        ] = True,
        *,
        stack: Sequence[int] = (),
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        name = type(self).__name__
        if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 1:
            raise ShapeError(
                f"{name}: num_features must be a whole number of at least 1, got {num_features!r}"
            )
        if not 0 <= eps < math.inf:
            raise ModuleError(f"{name}: eps must be a finite number of at least 0, got {eps!r}")
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ModuleError(f"{name}: momentum must be from 0 to 1, got {momentum!r}")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._stack_dims = len(tuple(stack))  # for when no tensor tells
        ones = torch.ones(*stack, num_features, dtype=dtype, device=device)
        if affine:
            self.register_parameter("weight", ones)
            self.register_parameter("bias", torch.zeros_like(ones))
        if track_running_stats:
            self.register_state("running_mean", torch.zeros_like(ones))
            self.register_state("running_var", ones.clone())

    @property
    def stack(self) -> tuple[int, ...] | None:
        known = self.weight if self.affine else self.running_mean
        return None if known is None else tuple(known.shape[:-1])

    def initialize(self, init: Any, generators: Sequence[np.random.Generator]) -> None:
        """Set weights to 1, biases to 0, and the running mean and variance to 0 and 1."""
        for value, number in (
            (self.weight, 1), (self.bias, 0), (self.running_mean, 0), (self.running_var, 1),
        ):  # fmt: skip
            if value is not None:
                value.fill_(number)

    def forward(self, x: Tensor) -> Tensor:
        over = self._over(x)
        if self.training or self.running_mean is None or self.running_var is None:
            normal, scale, mean, variance = standardized(x, over, self.eps)
            if self.training:
                self._track(mean, variance, x)
        else:
            variance = torch.add(self.running_var, self.eps, out=buffer(x))
            scale = self._like(x, variance.rsqrt_())
            mean = self._like(x, self.running_mean)
            normal = torch.sub(x, mean, out=buffer(x)).mul_(scale)
            over = ()  # these are constants
        y = normal
        if self.weight is not None and self.bias is not None:
            y = torch.mul(normal, self._like(x, self.weight), out=buffer(x))
            y.add_(self._like(x, self.bias))
        self.remember((x,), (y,), (normal, scale, over))
        return y

    def _track(self, mean: Tensor, variance: Tensor, x: Tensor) -> None:
        """Move the running mean and variance towards those of a batch."""
        count = x.numel() // mean.numel()
        if count < 2:
            raise ShapeError(
                f"{self}.forward: needs 2 or more numbers of each channel in training, got "
                f"{tuple(x.shape)}; a batch_size that leaves no single sample over gives them"
            )
        if self.running_mean is None or self.running_var is None:
            return
        unbiased = torch.mul(variance, count / (count - 1), out=buffer(x))
        self.running_mean.lerp_(mean.view_as(self.running_mean), self.momentum)
        self.running_var.lerp_(unbiased.view_as(self.running_var), self.momentum)

    def backward(self, gradient: Tensor) -> Tensor:
        sums = self._sums(gradient)
        self._add(*sums)
        normal, scale, over = self.recall(gradient).saved
        if self.weight is not None:
            scale = torch.mul(scale, self._like(gradient, self.weight), out=buffer(gradient))
        if not over:
            return torch.mul(gradient, scale, out=buffer(gradient))
        share = scale.numel() / gradient.numel()  # of one number in a mean
        of_mean, of_variance = (torch.mul(one, share, out=buffer(gradient)) for one in sums)
        return of_standardized(gradient, of_mean, of_variance, normal, scale)

    def accumulate(self, gradient: Tensor) -> None:
        if self.affine:
            self._add(*self._sums(gradient))

    def _sums(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ dL/dy and Σ dL/dy x̂ of each channel, in a shape that is broadcast to both."""
        normal, scale, _ = self.recall(gradient).saved
        products = torch.mul(gradient, normal, out=buffer(gradient))
        return sum_like(gradient, scale), sum_like(products, scale)

    def _add(self, of_bias: Tensor, of_weight: Tensor) -> None:
        if self.weight_grad is not None and self.bias_grad is not None:
            self.weight_grad.add_(of_weight.view_as(self.weight_grad))  # dL/dw += Σ dL/dy x̂
            self.bias_grad.add_(of_bias.view_as(self.bias_grad))  # dL/db += Σ dL/dy

    def _like(self, x: Tensor, values: Tensor) -> Tensor:
        """Return one number for each channel in a shape that is broadcast to x."""
        behind = x.ndim - values.ndim - 1
        return values.view(*values.shape[:-1], 1, self.num_features, *[1] * behind)

    def _over(self, x: Tensor) -> tuple[int, ...]:
        """Return the dimensions of x, counted from the end, that a mean is over.

        Raises:
            ShapeError, DtypeError: x is not an input of this layer.

        """
        known = self.weight if self.affine else self.running_mean
        if known is None:
            self.check_floating(x)
        elif not isinstance(x, Tensor) or x.dtype != known.dtype:
            raise DtypeError(
                f"{self}.forward: expects a tensor of {known.dtype}, as its own are, "
                f"got {described(x)}{as_called(x)}"
            )
        stack = self.stack
        dims = x.ndim - 1 - (self._stack_dims if stack is None else len(stack))
        if stack is None and len(self.behind) == 1:  # any stack: there is one form of samples
            dims = min(x.ndim - 1, 1 + len(self.behind[0]))
        if (
            dims - 1 not in map(len, self.behind)
            or x.shape[-dims] != self.num_features
            or (stack is not None and x.shape[: len(stack)] != stack)
        ):
            ways = " or ".join(
                f"({', '.join([*map(str, stack or ()), 'samples', str(self.num_features), *more])})"
                for more in self.behind
            )
            raise ShapeError(
                f"{self}.forward: expects an input of shape {ways}, got {described(x)}"
            )
        return (-dims - 1, *range(1 - dims, 0))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"


def _samples(kind: str, *behind: tuple[str, ...]) -> Any:
    """Return the function of a declaration that checks the shape of a sample."""

    def outputs(inputs: Shape, keys: Keys) -> Shape:
        if len(inputs) - 1 not in map(len, behind):
            ways = " or ".join(f"({', '.join(('channels', *more))})" for more in behind)
            raise ModuleError(f"{kind}: expects samples {ways}, got {inputs}")
        return inputs

    return outputs


_arguments = ("num_features", "eps", "momentum", "affine", "track_running_stats")
batch_norm = partial(
    layer,
    about="(x - mean) / standard deviation of each channel over a batch, times w, plus b",
    section="Batch normalisation; in evaluation with the running mean and variance of training.",
    parameters=lambda inputs, keys: 2 * inputs[0] * keys["affine"],
    operations=lambda inputs, keys: math.prod(inputs) * (6 + 2 * keys["affine"]),
    inferred={"num_features": lambda inputs: inputs[0]},
    least=lambda inputs, keys: 1 if math.prod(inputs[1:]) > 1 else 2,
)


@batch_norm(
    "batch-norm1d",
    outputs=_samples("batch-norm1d", (), ("length",)),
    twin=Twin("BatchNorm1d", **{name: name for name in _arguments}),
    case={"num_features": 4},
)
class BatchNorm1d(BatchNorm):
    """y = w x̂ + b with x̂ = (x - μ) / √(v + ε), for each channel or feature.

    x and y are `(…, samples, features)` or `(…, samples, channels, length)`. The rest stands in
    `BatchNorm`.
    """

    behind = ((), ("length",))


@batch_norm(
    "batch-norm2d",
    outputs=_samples("batch-norm2d", ("height", "width")),
    twin=Twin("BatchNorm2d", **{name: name for name in _arguments}),
    case={"num_features": 3},
    inputs=(5, 3, 2, 4),
)
class BatchNorm2d(BatchNorm):
    """y = w x̂ + b with x̂ = (x - μ) / √(v + ε), for each channel of images.

    x and y are `(…, samples, channels, height, width)`. The rest stands in `BatchNorm`.
    """

    behind = (("height", "width"),)
