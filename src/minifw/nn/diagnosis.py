"""Wrong numbers beside the right ones: the mistake that would give just these, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Index = tuple[int, ...]

TOLERANCE = 1e-5
"""How near numbers must be to those of a mistake, relative to the largest of them."""


@dataclass(frozen=True)
class Mistakes:
    """What is known of the mistakes that may have been made; each is named in words.

    Attributes:
        gives: what a mistake gives; it was made if the wrong numbers are these.
        shifts: what a mistake adds to the right numbers.
        mended: the wrong numbers after a mistake is undone; it was made if these are right.
        sizes: values that a forgotten factor may have, by their names, such as `{"samples": 5}`.

    Each tensor has the shape of the wrong one.

    """

    gives: Mapping[str, Tensor] = field(default_factory=dict)
    shifts: Mapping[str, Tensor] = field(default_factory=dict)
    mended: Mapping[str, Tensor] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


def diagnose(
    wrong: Tensor,
    indices: Sequence[Index],
    right: Tensor,
    mistakes: Mistakes,
    more: Callable[[Tensor], str] | None = None,
    who: str = "backward",
) -> str:
    """Return the mistake that gives these numbers, or "" if no known one does.

    Args:
        wrong: the whole tensor that is wrong.
        indices: where the right numbers are known.
        right: these right numbers, in the order of `indices`.
        mistakes: those that are known for this tensor.
        more: looks further, at the wrong numbers in the order of `indices`.
        who: what has given the wrong numbers.

    """
    found = _at(wrong, indices)
    if not found.isfinite().all():
        return f"{who} gives numbers that are not finite"
    for words, gives in mistakes.gives.items():
        if gives.shape == wrong.shape and _is_close(found, _at(gives, indices)):
            return words
    if not found.any():
        return f"{who} gives 0 everywhere" + (
            "; perhaps it never adds to this gradient" if who == "backward" else ""
        )
    if not right.any():
        return ""
    ratio = float((found * right).sum() / right.square().sum())
    if _is_close(found, ratio * right):
        return factor(ratio, mistakes.sizes, several=len(indices) > 1)
    if len(indices) < 2:
        return ""  # one number may be anything
    if words := _moved(wrong, indices, right):
        return words
    for words, shift in mistakes.shifts.items():
        if shift.shape == wrong.shape and _is_close(found, right + _at(shift, indices)):
            return words
    for words, mended in mistakes.mended.items():
        if mended.shape == wrong.shape and _is_close(_at(mended, indices), right):
            return words
    return more(found) if more else ""


def _moved(wrong: Tensor, indices: Sequence[Index], right: Tensor) -> str:
    """Return in what other order the right numbers stand."""
    if wrong.ndim > 1:
        *stack, rows, columns = wrong.shape
        if _is_close(_at(wrong.reshape(*stack, columns, rows).mT, indices), right):
            return "it is the transpose of the right one"
    for dimension in range(-1, -wrong.ndim - 1, -1):
        if wrong.shape[dimension] > 1 and _is_close(_at(wrong.flip(dimension), indices), right):
            what = {-1: "last", -2: "last but one"}.get(dimension, f"{wrong.ndim + dimension}.")
            return f"it is the right one flipped: turned round along its {what} dimension"
    return ""


def _at(tensor: Tensor, indices: Sequence[Index]) -> Tensor:
    return torch.stack([tensor[index] for index in indices]).double()


def _is_close(found: Tensor, expected: Tensor) -> bool:
    scale = float(expected.abs().max())
    return scale > 0 and float((found - expected).abs().max()) <= TOLERANCE * scale


def factor(ratio: float, sizes: Mapping[str, int], *, several: bool) -> str:
    """Return in words the wrong factor that all numbers have."""
    names: dict[float, list[str]] = {1.0: [], 2.0: [], 0.5: []}
    singles = [(name, size) for name, size in sizes.items() if size > 1]
    pairs = [(f"{a} · {b}", m * n) for i, (a, m) in enumerate(singles) for b, n in singles[i + 1 :]]
    for name, size in (*singles, *pairs):
        names.setdefault(float(size), []).append(f"the number of {name}")
        names.setdefault(1 / size, []).append(f"1 / the number of {name}")
    sign = "the sign is wrong" if ratio < 0 else ""
    for value, words in names.items():
        if abs(abs(ratio) - value) <= TOLERANCE * value:
            named = " or ".join(words)
            if named and value in (2.0, 0.5):
                named = f"perhaps {named}"
            elif named:
                meant = "a sum where a mean is meant?", "a mean where a sum is meant?"
                named = f"{named}: {meant[value < 1]}"
            times = ", ".join(filter(None, [f"it is {value:.6g} times the right one", named]))
            return " and ".join(filter(None, [sign, times if value != 1 else ""]))
    if not several:
        return ""
    times = f"all its numbers are {abs(ratio):.6g} times the right ones"
    return " and ".join(filter(None, [sign, times]))
