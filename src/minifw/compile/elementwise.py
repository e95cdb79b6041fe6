"""Torch's operations on each number: arithmetic, comparisons, functions, choices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minifw.compile.grammar import apply, scaled
from minifw.compile.views import Part
from minifw.compile.vocabulary import TABLE, Translate, named

if TYPE_CHECKING:
    from minifw.compile.recorder import Recorder

SAME_NAME = {
    "neg": "neg", "abs": "abs", "sign": "sign", "sgn": "sign", "floor": "floor", "trunc": "trunc",
    "sqrt": "sqrt", "reciprocal": "reciprocal", "exp": "exp", "log": "log", "tanh": "tanh",
    "sigmoid": "sigmoid", "erf": "erf", "logical_not": "not", "bitwise_not": "not",
    "mul": "mul", "maximum": "maximum", "minimum": "minimum",
    "max.other": "maximum", "min.other": "minimum",
    "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne",
    "logical_and": "and", "logical_or": "or", "bitwise_and": "and", "bitwise_or": "or",
    "clamp_min": "maximum", "clamp_max": "minimum",
}  # fmt: skip


def _same(op: str) -> Translate:
    def translate(r: Recorder, result: Tensor, *arguments: Any) -> Part:
        if op in ("not", "and", "or") and result.dtype != torch.bool:
            raise r.refuse("bits of numbers")
        return apply(r, op, *(r.read(one, result.ndim) for one in arguments))

    return translate


TABLE.update({name: _same(op) for name, op in SAME_NAME.items()})


@named("add")
def _add(r: Recorder, result: Tensor, a: Any, b: Any, alpha: Any = 1) -> Part:
    a, b = r.read(a, result.ndim), r.read(b, result.ndim)
    return apply(r, "add", a, scaled(r, b, alpha))


@named("sub")
def _sub(r: Recorder, result: Tensor, a: Any, b: Any, alpha: Any = 1) -> Part:
    a, b = r.read(a, result.ndim), r.read(b, result.ndim)
    return apply(r, "sub", a, scaled(r, b, alpha))


@named("rsub")
def _rsub(r: Recorder, result: Tensor, a: Any, b: Any, alpha: Any = 1) -> Part:
    return _sub(r, result, b, a, 1) if alpha == 1 else _refuse(r)


def _refuse(r: Recorder) -> Part:
    raise r.refuse()


@named("div")
def _div(r: Recorder, result: Tensor, a: Any, b: Any, rounding_mode: str | None = None) -> Part:
    if rounding_mode == "floor" and result.dtype.is_floating_point:
        raise r.refuse("rounded down")  # torch's 1 // 0.1 is 9, that of the exact 0.1
    quotient = apply(r, "div", r.read(a, result.ndim), r.read(b, result.ndim))
    return quotient if rounding_mode is None else apply(r, rounding_mode, quotient)


@named("square")
def _square(r: Recorder, result: Tensor, x: Any) -> Part:
    x = r.read(x, result.ndim)
    return apply(r, "mul", x, x)


@named("pow.Tensor_Scalar", "pow.Scalar", "pow")
def _pow(r: Recorder, result: Tensor, x: Any, power: Any) -> Part:
    if not isinstance(power, (int, float)):
        if isinstance(x, (int, float)) and x > 0:
            exponent = scaled(r, r.read(power, result.ndim), math.log(x))
            return apply(r, "exp", exponent)
        raise r.refuse("a power that is a tensor")
    x = r.read(x, result.ndim)
    if power < 0:
        return apply(r, "reciprocal", _power(r, x, -power))
    return _power(r, x, power)


def _power(r: Recorder, x: Part, power: float) -> Part:
    if power == 0:
        return r.number(1)._replace(sizes=x.sizes, strides=(0,) * len(x.sizes))
    if power == 0.5:
        return apply(r, "sqrt", x)
    if power != int(power) or power > 64:
        if power != int(power):
            return apply(r, "exp", scaled(r, apply(r, "log", x), power))
        raise r.refuse(f"the power {power}")
    if power == 1:
        return x
    half = _power(r, x, power // 2)
    squared = apply(r, "mul", half, half)
    return apply(r, "mul", squared, x) if power % 2 else squared


@named("rsqrt")
def _rsqrt(r: Recorder, result: Tensor, x: Any) -> Part:
    return apply(r, "reciprocal", apply(r, "sqrt", r.read(x, result.ndim)))


@named("exp2")
def _exp2(r: Recorder, result: Tensor, x: Any) -> Part:
    return apply(r, "exp", scaled(r, r.read(x, result.ndim), math.log(2)))


@named("log2")
def _log2(r: Recorder, result: Tensor, x: Any) -> Part:
    return scaled(r, apply(r, "log", r.read(x, result.ndim)), 1 / math.log(2))


@named("log10")
def _log10(r: Recorder, result: Tensor, x: Any) -> Part:
    return scaled(r, apply(r, "log", r.read(x, result.ndim)), 1 / math.log(10))


@named("expm1")
def _expm1(r: Recorder, result: Tensor, x: Any) -> Part:
    return expm1(r, r.read(x, result.ndim))


def expm1(r: Recorder, x: Part) -> Part:
    """Return eˣ - 1 as tanh(x/2) (eˣ + 1), which is exact near 0 too."""
    more = apply(r, "add", apply(r, "exp", x), r.number(1))
    return apply(r, "mul", apply(r, "tanh", scaled(r, x, 0.5)), more)


@named("log1p")
def _log1p(r: Recorder, result: Tensor, x: Any) -> Part:
    return log1p(r, r.read(x, result.ndim))


def log1p(r: Recorder, x: Part) -> Part:
    """Return log(1 + x). With u = 1 + x rounded, log(u) x / (u - 1) corrects the rounding."""
    u = apply(r, "add", x, r.number(1))
    difference = apply(r, "sub", u, r.number(1))
    log = apply(r, "log", u)
    corrected = apply(r, "mul", log, apply(r, "div", x, difference))
    # Where u is 1, x is the result; where it is infinite, its logarithm.
    infinite = apply(r, "where", apply(r, "eq", u, r.number(math.inf)), log, corrected)
    return apply(r, "where", apply(r, "eq", difference, r.number(0)), x, infinite)


@named("ceil")
def _ceil(r: Recorder, result: Tensor, x: Any) -> Part:
    return apply(r, "neg", apply(r, "floor", apply(r, "neg", r.read(x, result.ndim))))


@named("relu")
def _relu(r: Recorder, result: Tensor, x: Any) -> Part:
    return apply(r, "maximum", r.read(x, result.ndim), r.number(0))


@named("clamp", "hardtanh")
def _clamp(r: Recorder, result: Tensor, x: Any, low: Any = None, high: Any = None) -> Part:
    part = r.read(x, result.ndim)
    if low is not None:
        part = apply(r, "maximum", part, r.read(low, result.ndim))
    if high is not None:
        part = apply(r, "minimum", part, r.read(high, result.ndim))
    return part


@named("threshold")
def _threshold(r: Recorder, result: Tensor, x: Any, threshold: float, value: float) -> Part:
    x = r.read(x, result.ndim)
    return apply(r, "where", apply(r, "le", x, r.number(threshold)), r.number(value), x)


@named("leaky_relu")
def _leaky_relu(r: Recorder, result: Tensor, x: Any, slope: float = 0.01) -> Part:
    x = r.read(x, result.ndim)
    return apply(r, "where", apply(r, "gt", x, r.number(0)), x, scaled(r, x, slope))


@named("elu")
def _elu(
    r: Recorder, result: Tensor, x: Any, alpha: float = 1, scale: float = 1, inner: float = 1
) -> Part:
    part = r.read(x, result.ndim)
    below = scaled(r, expm1(r, scaled(r, part, inner)), alpha * scale)
    return apply(r, "where", apply(r, "le", part, r.number(0)), below, scaled(r, part, scale))


@named("silu")
def _silu(r: Recorder, result: Tensor, x: Any) -> Part:
    x = r.read(x, result.ndim)
    return apply(r, "mul", x, apply(r, "sigmoid", x))


@named("softplus")
def _softplus(r: Recorder, result: Tensor, x: Any, beta: float = 1, threshold: float = 20) -> Part:
    part = r.read(x, result.ndim)
    inner = scaled(r, part, beta)
    smooth = scaled(r, log1p(r, apply(r, "exp", inner)), 1 / beta)
    return apply(r, "where", apply(r, "gt", inner, r.number(threshold)), part, smooth)


@named("where.self", "where")
def _where(r: Recorder, result: Tensor, condition: Any, a: Any, b: Any) -> Part:
    condition = r.read(condition, result.ndim)
    a, b = r.read(a, result.ndim), r.read(b, result.ndim)
    if condition.value.op == "constant":
        chosen: Part = a if condition.value.numbers[0] else b
        return chosen
    return apply(r, "where", condition, a, b)


@named("masked_fill")
def _masked_fill(r: Recorder, result: Tensor, x: Any, mask: Any, value: Any) -> Part:
    return _where(r, result, mask, value, x)


@named("logical_xor", "bitwise_xor")
def _xor(r: Recorder, result: Tensor, a: Any, b: Any) -> Part:
    if result.dtype != torch.bool:
        raise r.refuse("bits of numbers")
    a, b = (r.as_mask(r.read(one, result.ndim)) for one in (a, b))
    return apply(r, "ne", a, b)


@named("isnan")
def _isnan(r: Recorder, result: Tensor, x: Any) -> Part:
    x = r.read(x, result.ndim)
    return apply(r, "ne", x, x)


@named("isinf")
def _isinf(r: Recorder, result: Tensor, x: Any) -> Part:
    return apply(r, "eq", apply(r, "abs", r.read(x, result.ndim)), r.number(math.inf))


@named("nan_to_num")
def _nan_to_num(
    r: Recorder, result: Tensor, x: Any, nan: Any = None, high: Any = None, low: Any = None
) -> Part:
    part = r.read(x, result.ndim)
    most = torch.finfo(result.dtype).max
    known = apply(r, "where", apply(r, "ne", part, part), r.number(nan or 0), part)
    for infinity, number in (
        (math.inf, most if high is None else high), (-math.inf, -most if low is None else low)
    ):  # fmt: skip
        is_it = apply(r, "eq", known, r.number(infinity))
        known = apply(r, "where", is_it, r.number(number), known)
    return known


@named("addcmul")
def _addcmul(r: Recorder, result: Tensor, x: Any, a: Any, b: Any, value: Any = 1) -> Part:
    x, a, b = (r.read(one, result.ndim) for one in (x, a, b))
    return apply(r, "add", x, apply(r, "mul", scaled(r, a, value), b))


@named("addcdiv")
def _addcdiv(r: Recorder, result: Tensor, x: Any, a: Any, b: Any, value: Any = 1) -> Part:
    x, a, b = (r.read(one, result.ndim) for one in (x, a, b))
    return apply(r, "add", x, apply(r, "div", scaled(r, a, value), b))


@named("lerp")
def _lerp(r: Recorder, result: Tensor, a: Any, b: Any, weight: Any) -> Part:
    a, b, weight = (r.read(one, result.ndim) for one in (a, b, weight))
    return apply(r, "add", a, apply(r, "mul", weight, apply(r, "sub", b, a)))
