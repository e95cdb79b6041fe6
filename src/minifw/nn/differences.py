"""Comparison of a gradient with finite differences: where they differ, by how much, and why.

Central differences in float64: (f(x + h) - f(x - h)) / 2h, for one number of a tensor at a time.
If they do not agree with the gradient, smaller steps are tried, since the step may have been too
large for the function or may have crossed a kink near the point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from minifw.nn.diagnosis import Index, Mistakes, diagnose

Outputs = Callable[[], Sequence[Tensor]]
"""Computes the outputs from the present values of the tensors."""

TOLERANCE = 1e-6
"""The largest relative error of a right gradient; differences in float64 have about 1e-10."""

_EPS = float(np.finfo(np.float64).eps)
_STEP = _EPS ** (1 / 3)  # where rounding error and truncation error are about equal
_STEPS = [_STEP / 4**k for k in range(6)]


@dataclass(frozen=True)
class Element:
    """One number of a tensor: its gradient by `backward`, and by finite differences.

    `left` and `right` are the one-sided derivatives. On a kink they differ, and the central
    difference has no meaning; at a jump the function itself has two values.
    """

    index: Index
    analytic: float
    numeric: float
    error: float
    kind: Literal["right", "wrong", "kink", "jump"] = "right"
    left: float = math.nan
    right: float = math.nan

    def numbers(self) -> str:
        """Return the position and the numbers in words."""
        at = f" at [{', '.join(map(str, self.index))}]" if self.index else ""
        if self.kind == "kink":
            return (
                f"{at} sits on a kink: the derivative is {self.left:.6g} from below and "
                f"{self.right:.6g} from above, and backward gives {self.analytic:.6g}; the formula "
                "may well be right: move the point, by other inputs or parameters"
            )
        if self.kind == "jump":
            return f"{at} sits on a jump: the function has no derivative there; move the point"
        return (
            f"{at} is {self.analytic:.9g} by backward, {self.numeric:.9g} by finite differences, "
            f"relative error {self.error:.2g}"
        )


@dataclass(frozen=True)
class Comparison:
    """The gradient of one tensor and finite differences, for `checked` of its `size` numbers.

    `worst` is the number with the largest relative error; a kink only if all others are right.
    `suspicion` says what the cause may be, and is empty if no known mistake fits.
    """

    name: str
    size: int
    checked: int
    wrong: int
    kinks: int
    worst: Element
    suspicion: str
    zero: bool
    """Whether all that was compared is 0 both ways, which shows little."""
    hidden: int = 0
    """How many numbers differ, but by less than rounding lets one see."""

    @property
    def ok(self) -> bool:
        """Whether all numbers agree; those on a kink are not compared."""
        return not self.wrong

    def message(self) -> str:
        """Return one line: where, the two numbers, and the suspicion."""
        of = f" ({self.wrong} of {self.checked} differ)" if self.wrong and self.checked > 1 else ""
        suspicion = f"; {self.suspicion}" if self.suspicion else ""
        return f"the gradient of {self.name}{self.worst.numbers()}{of}{suspicion}"


def compare(
    name: str,
    tensor: Tensor,
    gradient: Tensor,
    outputs: Outputs,
    weights: Sequence[Tensor],
    *,
    mistakes: Callable[[], Mistakes] = Mistakes,
    at_most: int | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Compare `gradient` with finite differences of Σ weights · outputs() by `tensor`.

    Args:
        name: of the tensor, in messages.
        tensor: of float64; each of its numbers is moved in place, and put back.
        gradient: what `backward` gave, of the shape of `tensor`.
        outputs: computes the outputs; they depend on `tensor` as it is when this is called.
        weights: one tensor for each output, of its shape.
        mistakes: returns those that are known, so that the message can name one; called if needed.
        at_most: how many numbers are compared, chosen by `seed`; by default all.
        tolerance: the largest relative error. It is relative to the larger of the two numbers, or
            to the rounding error if both are smaller than that.

    """
    probe = _Probe(tensor, outputs, weights, tolerance)
    indices = _chosen(tuple(tensor.shape), at_most, seed)
    analytic = torch.stack([gradient[index] for index in indices]).tolist()
    found = [probe.element(*pair) for pair in zip(indices, analytic, strict=True)]
    wrong = [element for element in found if element.kind == "wrong"]
    kinks = [element for element in found if element.kind in ("kink", "jump")]
    worst = max(wrong or kinks or found, key=lambda element: element.error)
    suspicion = ""
    if wrong:
        suspicion = _suspicion(probe, gradient, found, mistakes())
    zero = all(element.analytic == element.numeric == 0 for element in found)
    hidden = sum(element.kind == "right" and not _near(element, tolerance) for element in found)
    return Comparison(
        name, tensor.numel(), len(found), len(wrong), len(kinks), worst, suspicion, zero, hidden
    )


def elements(
    tensor: Tensor,
    gradient: Tensor,
    outputs: Outputs,
    weights: Sequence[Tensor],
    indices: Sequence[Index],
    tolerance: float = TOLERANCE,
) -> list[Element]:
    """Compare these numbers of a gradient with finite differences; see `compare`."""
    probe = _Probe(tensor, outputs, weights, tolerance)
    return [probe.element(index, float(gradient[index])) for index in indices]


def _near(element: Element, tolerance: float) -> bool:
    """Return whether both numbers are equal as far as `tolerance` says, however small they are."""
    a, b = element.analytic, element.numeric
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def _chosen(shape: Index, at_most: int | None, seed: int) -> list[Index]:
    """Return the sorted indices of all numbers, or of `at_most` numbers chosen at random."""
    count = math.prod(shape)
    places = np.arange(count)
    if at_most is not None and at_most < count:
        places = np.sort(np.random.default_rng(seed).choice(count, at_most, replace=False))
    if not shape:
        return [()]
    return [tuple(map(int, index)) for index in zip(*np.unravel_index(places, shape), strict=True)]


class _Slopes(NamedTuple):
    """Derivatives for one step: from below, from above and central; and their rounding error."""

    left: float
    right: float
    central: float
    rounding: float
    samples: Tensor | None  # the contribution of each sample to `central`, if outputs have samples


class _Probe:
    """Σ weights · outputs as a function of one number of a tensor at a time."""

    def __init__(
        self, tensor: Tensor, outputs: Outputs, weights: Sequence[Tensor], tolerance: float
    ) -> None:
        self.tensor, self.outputs, self.weights = tensor, outputs, weights
        self.tolerance = tolerance
        self.here = self._outputs()
        self.samples: dict[Index, Tensor | None] = {}

    def element(self, index: Index, analytic: float) -> Element:
        """Compare one number."""
        slopes = self._slopes(index, _STEPS[0])
        element = self._compared(index, analytic, slopes)
        if element.kind == "wrong":
            every = [slopes, *(self._slopes(index, step) for step in _STEPS[1:])]
            if kind := self._break(every):
                left, right = every[-1].left, every[-1].right
                low, high = sorted((left, right))
                slack = self.tolerance * (abs(low) + abs(high)) + 8 * every[-1].rounding
                # On a kink any value between the one-sided derivatives is acceptable.
                if kind == "jump" or low - slack <= analytic <= high + slack:
                    element = replace(element, kind=kind)
                return replace(element, left=left, right=right)
            # The best step is the one after which the result changes least.
            changes = np.abs(np.diff([one.central for one in every]))
            best = int(np.argmin(np.nan_to_num(changes, nan=math.inf)))
            slopes = every[best + 1]
            element = min(
                element, self._compared(index, analytic, slopes), key=lambda one: one.error
            )
        self.samples[index] = slopes.samples
        return element

    def _compared(self, index: Index, analytic: float, slopes: _Slopes) -> Element:
        numeric = slopes.central
        if not (math.isfinite(analytic) and math.isfinite(numeric)):
            return Element(index, analytic, numeric, math.inf, "wrong")
        floor = max(4 * slopes.rounding / self.tolerance, np.finfo(np.float64).tiny)
        error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), floor)
        kind: Literal["right", "wrong"] = "right" if error <= self.tolerance else "wrong"
        return Element(index, analytic, numeric, error, kind)

    def _break(self, every: Sequence[_Slopes]) -> Literal["kink", "jump"] | None:
        """Return whether the point is on a kink or jump: the one-sided derivatives stay apart.

        For a smooth function their difference shrinks with the step, here to 1/16.
        """
        before, last = every[-3], every[-1]
        gap, wide = abs(last.right - last.left), abs(before.right - before.left)
        size = max(abs(last.left), abs(last.right))
        if not gap > max(1e-4 * size, 40 * last.rounding):
            return None
        if gap > 8 * wide:
            return "jump"
        return "kink" if gap > wide / 2 else None

    def _slopes(self, index: Index, step: float) -> _Slopes:
        old = self.tensor[index].clone()
        x = float(old)
        step *= max(1.0, abs(x))
        try:
            self.tensor[index] = x + step
            above = self._outputs()
            self.tensor[index] = x - step
            below = self._outputs()
        finally:
            self.tensor[index] = old
        up, down = (x + step) - x, x - (x - step)  # the steps after rounding
        left = right = central = moved = largest = 0.0
        parts: list[Tensor] = []
        for weight, high, low, here in zip(self.weights, above, below, self.here, strict=True):
            # Subtract before summing, so that outputs that did not change add no rounding error.
            change = weight * (high - low)
            right += float((weight * (high - here)).sum())
            left += float((weight * (here - low)).sum())
            central += float(change.sum())
            sizes = (weight * here).abs()
            moved += float(sizes[high != low].sum())
            largest = max(largest, float(sizes.max())) if sizes.numel() else largest
            if change.ndim > 1:
                parts.append(change.movedim(-2, 0).flatten(1).sum(1) / (up + down))
        samples = None
        if parts and len(parts) == len(above) and len({len(part) for part in parts}) == 1:
            samples = torch.stack(parts).sum(0)
        # If no output changed, as on a flat piece, a change below the last digit is possible.
        rounding = _EPS * max(moved, largest) / step
        return _Slopes(left / down, right / up, central / (up + down), rounding, samples)

    def _outputs(self) -> list[Tensor]:
        """Return copies of the outputs, since a module may return its input itself."""
        return [output.clone() for output in self.outputs()]


def _suspicion(
    probe: _Probe, gradient: Tensor, found: Sequence[Element], mistakes: Mistakes
) -> str:
    """Return the mistake that would give these numbers, or ""."""
    compared = [element for element in found if element.kind in ("right", "wrong")]
    indices = [element.index for element in compared]
    numeric = torch.tensor([element.numeric for element in compared], dtype=torch.float64)
    samples = [part for index in indices if (part := probe.samples.get(index)) is not None]

    def one_sample(analytic: Tensor) -> str:
        if samples and len(samples) == len(compared) and len(samples[0]) > 1:
            for place, word in ((0, "first"), (-1, "last")):
                alone = torch.stack([part[place] for part in samples])
                if torch.allclose(analytic, alone, rtol=0, atol=1e-5 * float(alone.abs().max())):
                    return f"it is that of the {word} sample alone: the sum over samples is missing"
        return ""

    return diagnose(gradient, indices, numeric, mistakes, one_sample)
