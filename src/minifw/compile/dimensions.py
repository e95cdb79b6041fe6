"""Torch's operations over dimensions: sums, means, largest numbers, softmax, matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minifw.compile.grammar import MIXES, apply, joined, product, reduce, scaled
from minifw.compile.views import Part
from minifw.compile.vocabulary import TABLE, Translate, named

if TYPE_CHECKING:
    from minifw.compile.recorder import Recorder


def _dimensions(part: Part, dimensions: Any) -> Sequence[int]:
    if dimensions is None or dimensions == []:
        return range(len(part.sizes))
    return [dimensions] if isinstance(dimensions, int) else list(dimensions)


@named("sum.dim_IntList", "sum.default")
def _sum(r: Recorder, result: Tensor, x: Any, dim: Any = None, keep: Any = False,
         dtype: Any = None) -> Part:  # fmt: skip
    part = r.read(x)
    if isinstance(dim, torch.dtype):
        dim = None
    return reduce(r, "sum", part, _dimensions(part, dim), keep)


def _share(part: Part, dimensions: Sequence[int]) -> int:
    count = len(part.sizes)
    return prod(part.sizes[d] for d in {d % count for d in dimensions}) if count else 1


def mean(r: Recorder, part: Part, dimensions: Sequence[int], keep: bool, less: float = 0) -> Part:
    """Return the mean over dimensions; the sum is divided by `less` less than their size."""
    count = _share(part, dimensions) - less
    total = reduce(r, "sum", part, dimensions, keep)
    return apply(r, "div", total, r.number(count))


@named("mean.dim", "mean.default")
def _mean(r: Recorder, result: Tensor, x: Any, dim: Any = None, keep: Any = False,
          dtype: Any = None) -> Part:  # fmt: skip
    part = r.read(x)
    if isinstance(dim, torch.dtype):
        dim = None
    return mean(r, part, _dimensions(part, dim), keep)


def variance(
    r: Recorder, part: Part, dimensions: Sequence[int], correction: Any, keep: bool
) -> Part:
    """Return the variance over dimensions."""
    centred = apply(r, "sub", part, mean(r, part, dimensions, True))
    squares = apply(r, "mul", centred, centred)
    return mean(r, squares, dimensions, keep, 1 if correction is None else correction)


@named("var.correction")
def _var(r: Recorder, result: Tensor, x: Any, dim: Any, correction: Any, keep: bool) -> Part:
    part = r.read(x)
    return variance(r, part, _dimensions(part, dim), correction, keep)


@named("std.correction")
def _std(r: Recorder, result: Tensor, x: Any, dim: Any, correction: Any, keep: bool) -> Part:
    return apply(r, "sqrt", _var(r, result, x, dim, correction, keep))


@named("var_mean.correction")
def _var_mean(
    r: Recorder, results: Any, x: Any, dim: Any, correction: Any, keep: bool
) -> tuple[Part, Part]:
    part = r.read(x)
    dimensions = _dimensions(part, dim)
    return variance(r, part, dimensions, correction, keep), mean(r, part, dimensions, keep)


@named("amax")
def _amax(r: Recorder, result: Tensor, x: Any, dim: Any = (), keep: bool = False) -> Part:
    part = r.read(x)
    return reduce(r, "max", part, _dimensions(part, list(dim)), keep)


@named("amin")
def _amin(r: Recorder, result: Tensor, x: Any, dim: Any = (), keep: bool = False) -> Part:
    part = r.read(x)
    return reduce(r, "min", part, _dimensions(part, list(dim)), keep)


def _extreme(kind: str) -> Translate:
    def translate(r: Recorder, results: Any, x: Any, dim: int, keep: bool = False) -> Any:
        part = r.read(x)
        values = reduce(r, kind, part, [dim], keep)
        r.forbid(results[1], f"the indices of {kind}")
        return values, values

    return translate


TABLE.update({"max.dim": _extreme("max"), "min.dim": _extreme("min")})


@named("any.dim", "any.dims")
def _any(r: Recorder, result: Tensor, x: Any, dim: Any = None, keep: bool = False) -> Part:
    part = r.as_mask(r.read(x))
    return reduce(r, "max", part, _dimensions(part, dim), keep)


@named("all.dim", "all.dims")
def _all(r: Recorder, result: Tensor, x: Any, dim: Any = None, keep: bool = False) -> Part:
    part = r.as_mask(r.read(x))
    return reduce(r, "min", part, _dimensions(part, dim), keep)


@named("linalg_vector_norm", "norm")
def _norm(r: Recorder, result: Tensor, x: Any, order: Any = 2, dim: Any = None,
          keep: bool = False, dtype: Any = None) -> Part:  # fmt: skip
    part = r.read(x)
    dimensions = _dimensions(part, dim)
    if order is None or order == 2:
        return apply(r, "sqrt", reduce(r, "sum", apply(r, "mul", part, part), dimensions, keep))
    size = apply(r, "abs", part)
    if order == 1:
        return reduce(r, "sum", size, dimensions, keep)
    if order == math.inf:
        return reduce(r, "max", size, dimensions, keep)
    raise r.refuse(f"the norm of order {order}")


def _exponentials(r: Recorder, part: Part, dim: int) -> tuple[Part, Part, Part]:
    """Return x less its largest number, the exponentials of that, and their sum."""
    less = apply(r, "sub", part, reduce(r, "max", part, [dim], True))
    exponentials = apply(r, "exp", less)
    return less, exponentials, reduce(r, "sum", exponentials, [dim], True)


@named("_softmax")
def _softmax(r: Recorder, result: Tensor, x: Any, dim: int, half: bool = False) -> Part:
    _, exponentials, total = _exponentials(r, r.read(x), dim)
    return apply(r, "div", exponentials, total)


@named("_log_softmax")
def _log_softmax(r: Recorder, result: Tensor, x: Any, dim: int, half: bool = False) -> Part:
    less, _, total = _exponentials(r, r.read(x), dim)
    return apply(r, "sub", less, apply(r, "log", total))


@named("logsumexp")
def _logsumexp(r: Recorder, result: Tensor, x: Any, dim: Any, keep: bool = False) -> Part:
    part = r.read(x)
    dimensions = _dimensions(part, dim)

    def most(keep: bool) -> Part:
        largest = reduce(r, "max", part, dimensions, keep)
        infinite = apply(r, "eq", apply(r, "abs", largest), r.number(math.inf))
        return apply(r, "where", infinite, r.number(0), largest)

    total = reduce(r, "sum", apply(r, "exp", apply(r, "sub", part, most(True))), dimensions, keep)
    return apply(r, "add", apply(r, "log", total), most(keep))


# -------------------------------------------------------------------------------- products


def _products(r: Recorder, left: Part, right: Part) -> Part:
    """Return the product of two stacks of matrices."""
    count, lanes = left.sizes[0], left.lanes or right.lanes
    if right.sizes[0] != count:
        raise r.refuse(MIXES)
    each = [product(r, left.selected(0, n), right.selected(0, n)) for n in range(count)]
    sizes = (count, *each[0].sizes)
    if count == 1:
        return each[0].inserted(0)._replace(lanes=lanes)
    size = prod(sizes[1:])
    return joined(r, sizes, [(one, n * size, one.strides) for n, one in enumerate(each)], lanes)


@named("bmm")
def _bmm(r: Recorder, result: Tensor, left: Any, right: Any) -> Part:
    return _products(r, r.read(left, 3), r.read(right, 3))


@named("baddbmm")
def _baddbmm(r: Recorder, result: Tensor, plus: Any, left: Any, right: Any,
             beta: Any = 1, alpha: Any = 1) -> Part:  # fmt: skip
    found = scaled(r, _bmm(r, result, left, right), alpha)
    if beta == 0:
        return found
    return apply(r, "add", found, scaled(r, r.read(plus, 3), beta))


def _rows(r: Recorder, left: Any, right: Any) -> tuple[Part, Part]:
    """Return two factors of which the first has all lanes' rows, one below the other."""
    factors = r.read(left), r.read(right)
    if factors[1].lanes:
        raise r.refuse(MIXES)
    return factors


@named("mm")
def _mm(r: Recorder, result: Tensor, left: Any, right: Any) -> Part:
    a, b = _rows(r, left, right)
    return product(r, a, b)._replace(lanes=a.lanes)


@named("mv")
def _mv(r: Recorder, result: Tensor, left: Any, right: Any) -> Part:
    a, b = _rows(r, left, right)
    return product(r, a, b.inserted(1)).selected(1, 0)._replace(lanes=a.lanes)


@named("addmm")
def _addmm(r: Recorder, result: Tensor, plus: Any, left: Any, right: Any,
           beta: Any = 1, alpha: Any = 1) -> Part:  # fmt: skip
    found = scaled(r, _mm(r, result, left, right), alpha)
    if beta == 0:
        return found
    return apply(r, "add", found, scaled(r, r.read(plus, 2), beta))
