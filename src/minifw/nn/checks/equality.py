"""Two results that must be equal, and the line that says which number differs, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Loss
from minifw.nn.checks.calls import Stack
from minifw.nn.diagnosis import Mistakes, diagnose
from minifw.nn.differences import Comparison


def complain(subject: object, found: Sequence[Comparison]) -> None:
    """Raise an error with a line for each of these comparisons, if there are any."""
    if found:
        raise CheckError(*(f"{subject}: {comparison.message()}" for comparison in found))


def check_shape(loss: Loss, method: str, tensor: object, shape: Stack, whose: str) -> None:
    """Raise unless what a method of a loss returned is a tensor of this shape."""
    came = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
    if came != shape:
        raise CheckError(f"{loss}: {method} must have {whose} shape {shape}, got {came}")


def is_equal(found: Tensor, expected: Tensor, tolerance: float = 1e-13) -> bool:
    """Return whether both are equal except for rounding, relative to the largest number.

    NaN equals an expected NaN.
    """
    if found.shape != expected.shape:
        return False
    scale = 1 + float(expected.abs().nan_to_num(0, 0, 0).max()) if expected.numel() else 1.0
    return torch.allclose(found, expected, rtol=0, atol=tolerance * scale, equal_nan=True)


def which(found: Tensor, candidates: dict[str, Tensor]) -> str:
    """Return the first explanation whose result equals what was found, or ""."""
    return next((why for why, result in candidates.items() if is_equal(found, result)), "")


def check_same(
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
    _compare(f"{subject}: ", what, found, expected, lambda: why, wanted, exact)


def check_equal(
    what: str,
    found: object,
    expected: Tensor,
    *,
    sizes: Mapping[str, int] | None = None,
    mistakes: Mapping[str, Tensor] | None = None,
    tolerance: float = 1e-13,
) -> None:
    """Raise unless a tensor is as expected; the message names the mistake, if it is a known one.

    Args:
        what: the name of the tensor, in the message.
        found: what came; anything that is no tensor is a fault.
        expected: what must have come; both may be of any shape.
        sizes: values that a forgotten factor may have, by their names, such as `{"samples": 5}`.
        mistakes: for mistakes, in words, what each would give.
        tolerance: how far a number may be off, relative to 1 plus the largest.

    Raises:
        CheckError: something differs: the shape, or a number, which is named.

    """
    if not isinstance(found, Tensor):
        raise CheckError(f"{what} must be a tensor, got {type(found).__name__}")
    indices = [*np.ndindex(*expected.shape)]
    known = Mistakes(mistakes or {}, sizes=sizes or {})

    def why() -> str:
        return diagnose(found, indices, expected.flatten().double(), known, who="it")

    for words, wrong in known.gives.items():
        if found.shape == wrong.shape != expected.shape and is_equal(found, wrong):
            raise CheckError(
                f"{what} must have the shape {tuple(expected.shape)}, got {tuple(found.shape)}; "
                f"{words}"
            )
    _compare("", what, found, expected, why, "expected", False, tolerance)


def _compare(
    before: str,
    what: str,
    found: Tensor,
    expected: Tensor,
    why: Callable[[], str],
    wanted: str,
    exact: bool,
    tolerance: float = 1e-13,
) -> None:
    if found.shape != expected.shape:
        raise CheckError(
            f"{before}{what} must have the shape {tuple(expected.shape)}, got {tuple(found.shape)}"
        )
    if torch.equal(found, expected) or (not exact and is_equal(found, expected, tolerance)):
        return
    apart = (found - expected).abs().nan_to_num(torch.inf)
    index = tuple(map(int, np.unravel_index(int(apart.argmax()), apart.shape)))
    words = why()
    at = f" at {list(index)}" if index else ""
    raise CheckError(
        f"{before}{what}{at} is {float(found[index]):.9g}, {wanted} "
        f"{float(expected[index]):.9g}{f'; {words}' if words else ''}"
    )


class Unchanged:
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
            check_same(self.subject, what, tensor, old, why, "before", exact=True)
