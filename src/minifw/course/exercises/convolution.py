"""A convolution, forwards and backwards

A linear layer gives each pair of input and output a weight of its own. For a signal in time, or an
image, that is waste: what helps to find an edge on the left helps on the right as well. A
*convolution* moves one small kernel W along the signal and takes the same weighted sum everywhere:

    y[o, p] = b[o] + Σ_c Σ_i W[o, c, i] · x̄[c, p + i]

    x  (samples, channels, length)       W  (outputs, channels, kernel)      b  (outputs)
    y  (samples, outputs, places)        places = length + 2 padding - kernel + 1

x̄ is x with `padding` zeros on each side, so that the kernel may stand on the border as well; with
kernel 3 and padding 1 there are as many places as inputs. (Mathematicians turn the kernel round,
p - i, and call p + i a correlation. Networks learn W anyway; all libraries use p + i.)

**One place of the kernel at a time.** For a fixed i the sum over c is a linear layer at each place,
with the matrix W_i = W[:, :, i]; it sees x̄ from i on: the slice x̄ᵢ = x̄[:, i : i + places]. So

    y = b + Σᵢ W_i x̄ᵢ                  a loop of `kernel` matrix products, (outputs, channels) times
                                       (channels, places), for each sample

**Backwards.** G is dL/dy, of the shape of y. As in the linear layer, for each i:

    dL/dW_i += Σ over samples of G x̄ᵢᵀ
    dL/dx̄ᵢ  += W_iᵀ G                  the slices overlap: each number of x̄ is met by several
                                       places of the kernel, and the paths add
    dL/db    = Σ of G over samples and places
    dL/dx    = dL/dx̄ without the padding

**By hand.** One channel, x = [1, 2, 3], W = [10, 1], no padding, b = 0: two places.

    y = [10·1 + 1·2, 10·2 + 1·3] = [12, 23]          let G = [1, 1]
    dL/dW = [1 + 2, 2 + 3] = [3, 5]                  dL/dx = [10, 1 + 10, 1] = [10, 11, 1]

The middle number is met twice, by both weights.

**A stack.** W is `(…, outputs, channels, kernel)`, x `(…, samples, channels, length)`. The matrix
W_i has no dimension for samples: `unsqueeze(-3)` inserts one, so that the product is the same for
all samples, and in dL/dW_i the samples are summed away, dimension -3.

**What usually goes wrong**

- The kernel is flipped; backwards that is as easy as forwards.
- `=` for `+=` in the loop: only the last place of the kernel remains.
- The padding is ignored, or not cut off from dL/dx̄.
- The sum for b leaves out the places.

Write `forward`, from the padded input on, and `backward`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from minifw import nn


class Conv1d(nn.Module):
    """y[o, p] = b[o] + Σ over c, i of W[o, c, i] x̄[c, p + i]; x̄ is x between zeros."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        kernel: int,
        padding: int = 0,
        stack: tuple[int, ...] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.kernel, self.padding = kernel, padding
        self.register_parameter("weight", torch.randn(*stack, outputs, channels, kernel).to(dtype))
        self.register_parameter("bias", torch.randn(*stack, outputs).to(dtype))

    def padded(self, x: Tensor) -> Tensor:
        """Return x̄, `(…, samples, channels, length + 2 padding)`."""
        whole = x.new_zeros(*x.shape[:-1], x.shape[-1] + 2 * self.padding)
        whole[..., self.padding : self.padding + x.shape[-1]] = x
        return whole

    def forward(self, x: Tensor) -> Tensor:
        """Return y, `(…, samples, outputs, places)`, and remember x."""
        whole = self.padded(x)
        places = whole.shape[-1] - self.kernel + 1
        y = self.bias.unsqueeze(-2).unsqueeze(-1)  # (…, 1, outputs, 1): the same everywhere
        # --- your code
        for i in range(self.kernel):
            y = y + self.weight[..., i].unsqueeze(-3) @ whole[..., i : i + places]
        # --- end
        self.remember((x,), (y,))
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        """Take dL/dy, add to `self.weight_grad` and `self.bias_grad`, return dL/dx."""
        (x,) = self.recall(gradient).inputs
        whole = self.padded(x)
        of_whole = torch.zeros_like(whole)  # dL/dx̄, to be added to
        places = gradient.shape[-1]
        # --- your code
        for i in range(self.kernel):
            met = whole[..., i : i + places]
            self.weight_grad[..., i] += (gradient @ met.mT).sum(-3)
            of_whole[..., i : i + places] += self.weight[..., i].mT.unsqueeze(-3) @ gradient
        self.bias_grad += gradient.sum((-3, -1))
        return of_whole[..., self.padding : whole.shape[-1] - self.padding]
        # --- end


# --- checks

from collections.abc import Callable
from typing import Any

from minifw.course.variants import maker, with_mistakes
from minifw.nn.checks import check_equal, check_module
from minifw.nn.convolution import Convolution

IN_MINIFW = Convolution.forward, Convolution.backward


def _numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def check_forward(mine: Any) -> None:
    """The output, with padding and without, for one sample and for a stack."""
    for stack, samples, padding in ((), 2, 1), ((), 1, 0), ((3,), 2, 2):
        arguments = 3, 4, 3, padding
        module = mine.Conv1d(*arguments, stack=stack, dtype=torch.float64)
        ours = Conv1d(*arguments, stack=stack, dtype=torch.float64)
        for _, value, _ in ours.parameters():
            value.copy_(_numbers(*value.shape))
        module.load_state_dict(ours.state_dict())
        x = _numbers(*stack, samples, 3, 6)
        right = ours.forward(x)
        bias = ours.bias.unsqueeze(-2).unsqueeze(-1)
        mistakes = {
            "the bias is missing": right - bias,
            "the bias is added for each place of the kernel": right + 2 * bias,
        }
        for i, word in (0, "first"), (2, "last"):
            words = f"only the {word} place of the kernel counts: y must be added to, not replaced"
            alone = ours.weight[..., i].unsqueeze(-3) @ ours.padded(x)[..., i : i + right.shape[-1]]
            mistakes |= {words: alone + bias, f"{words}, and the bias is missing": alone}
        if not padding:
            mistakes = {}
        ours.weight.copy_(ours.weight.flip(-1))
        mistakes["the kernel is flipped: W[o, c, i] meets x[c, p + i], not p - i"] = ours.forward(x)
        if padding:
            ours.weight.copy_(ours.weight.flip(-1))
            ours.padding = 0
            mistakes["the padding is ignored: the kernel also stands on the border"] = ours.forward(
                x
            )
        y = module.forward(x)
        check_equal(f"the output with padding {padding}", y, right, mistakes=mistakes)


def _backward(
    flipped: bool = False,
    only_last: bool = False,
    uncut: bool = False,
    overwrites: bool = False,
    of_bias: Callable[[Tensor], Tensor] | None = None,
    first_sample: bool = False,
) -> Callable[[Any, Tensor], Tensor]:
    """Return a backward pass in which one thing is different."""

    def backward(self: Any, gradient: Tensor) -> Tensor:
        whole = self.padded(self.recall(gradient).inputs[0])
        of_whole, places = torch.zeros_like(whole), gradient.shape[-1]
        for i in range(self.kernel):
            at = self.kernel - 1 - i if flipped else i
            if only_last and i < self.kernel - 1:
                continue
            each = gradient @ whole[..., i : i + places].mT
            self.weight_grad[..., at] += each[..., 0, :, :] if first_sample else each.sum(-3)
            if overwrites:
                of_whole[..., i : i + places] = 0
            of_whole[..., i : i + places] += self.weight[..., at].mT.unsqueeze(-3) @ gradient
        self.bias_grad += of_bias(gradient) if of_bias else gradient.sum((-3, -1))
        if uncut:
            return of_whole[..., : whole.shape[-1] - 2 * self.padding]
        return of_whole[..., self.padding : whole.shape[-1] - self.padding]

    return backward


MISTAKES = {
    "the kernel is flipped: place i of it meets x̄ from i on": _backward(flipped=True),
    "only the last place of the kernel counts: add with +=, not =": _backward(only_last=True),
    "dL/dx̄ is overwritten where the slices overlap: add with +=, not =": (
        _backward(overwrites=True)
    ),
    "the padding is cut off at the end alone: dL/dx is the middle of dL/dx̄": _backward(uncut=True),
    "the sum over places is missing: it is that of the first place": (
        _backward(of_bias=lambda g: g[..., 0].sum(-2))
    ),
    "it is the mean over places, and must be the sum": _backward(
        of_bias=lambda g: g.mean(-1).sum(-2)
    ),
    "it is the mean over samples, and must be the sum": _backward(
        of_bias=lambda g: g.sum(-1).mean(-2)
    ),
    "the sum over samples is missing: it is that of the first sample": _backward(first_sample=True),
}


def check_backward(mine: Any) -> None:
    """All that minifw claims of its own modules."""
    check_forward(mine)  # the derivative of a wrong function says nothing
    for arguments, shape in ((2, 3, 3, 1), (2, 2, 5)), ((2, 3, 2, 0), (1, 2, 4)):
        check_module(
            maker(mine.Conv1d, *arguments),
            [shape],
            stacks=((3,), (1,)),
            mistakes=with_mistakes(Conv1d, "backward", MISTAKES, *arguments),
        )
