"""What torch's operations are in terms of values: for each name a function that says it.

A function takes the recorder, the tensor that torch makes (of which shape and dtype may be used)
and all arguments in the order of torch's declaration. It returns the result as a `Part`, with the
dimensions of torch's result, of which that of lanes is a lane's share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from minifw.compile.dispatch import Call
from minifw.compile.values import Piece
from minifw.compile.views import Part, dense, matrix, view_as

if TYPE_CHECKING:
    from minifw.compile.record import Recorder

Translate = Callable[..., Any]

LIKE = (
    "zeros_like", "ones_like", "empty_like", "new_zeros", "new_ones", "new_empty",
    "new_empty_strided", "full_like", "new_full",
)  # fmt: skip
"""Operations that use the shape of their argument alone."""

MIXES = "it mixes the networks of the stack"

TABLE: dict[str, Translate] = {}


def translation(call: Call) -> Translate | None:
    """Return the function for an operation, None if there is none."""
    name = call.name.removeprefix("_foreach_")
    return TABLE.get(f"{name}.{call.overload}") or TABLE.get(name)


Function = TypeVar("Function", bound=Translate)


def named(*names: str) -> Callable[[Function], Function]:
    """Declare a function for these names."""

    def put(function: Function) -> Function:
        TABLE.update(dict.fromkeys(names, function))
        return function

    return put


# ------------------------------------------------------------------------------------ the grammar


def apply(r: Recorder, op: str, *parts: Part) -> Part:
    """Return an element-wise operation on parts that are broadcast to each other."""
    if op in ("and", "or", "not"):
        parts = tuple(map(r.as_mask, parts))
    elif op == "where":
        parts = (r.as_mask(parts[0]), *map(r.as_numbers, parts[1:]))
    else:
        parts = tuple(map(r.as_numbers, parts))
    sizes = _broadcast(r, parts)
    lanes = any(part.lanes for part in parts)
    fitting = []
    for part in parts:
        fits = part.expanded(sizes)
        if fits is None or (part.lanes and len(part.sizes) < len(sizes)):
            raise r.refuse(MIXES)
        fitting.append(fits._replace(lanes=lanes))
    if (same := _unchanged(op, fitting)) is not None:
        return same
    shape = matrix(sizes)
    value = r.value(op, shape, [r.operand(part, shape) for part in fitting])
    return Part(value, sizes, dense(sizes), 0, lanes)


def _broadcast(r: Recorder, parts: Sequence[Part]) -> tuple[int, ...]:
    # torch.broadcast_shapes imports sympy, which takes half a second
    count = max(len(part.sizes) for part in parts)
    sizes = [1] * count
    for part in parts:
        for n, size in enumerate(reversed(part.sizes), start=1):
            if size != 1:
                sizes[-n] = size
    return tuple(sizes)


def _unchanged(op: str, parts: Sequence[Part]) -> Part | None:
    """Return the operand that an operation leaves as it is: as x + 0."""
    neutral = {"add": (0.0, "both"), "sub": (0.0, "right"), "mul": (1.0, "both"),
               "div": (1.0, "right")}  # fmt: skip
    if op not in neutral:
        return None
    number, sides = neutral[op]
    left, right = parts
    if right.value.op == "constant" and right.value.numbers == (number,):
        return left
    if sides == "both" and left.value.op == "constant" and left.value.numbers == (number,):
        return right
    return None


def reduce(r: Recorder, kind: str, part: Part, dimensions: Sequence[int], keep: bool) -> Part:
    """Return the sum, max or min over some dimensions."""
    part = r.as_numbers(part)
    count = len(part.sizes)
    over = sorted({d % count for d in dimensions}) if count else []
    if part.lanes and 0 in over:
        raise r.refuse(MIXES)
    kept = [d for d in range(count) if d not in over]
    sizes = tuple(part.sizes[d] for d in kept)
    lanes = part.lanes
    real = [d for d in over if part.sizes[d] != 1]
    rest = [d for d in range(count) if d not in real]
    part = part.permuted([*real, *rest])._replace(lanes=False)
    real_sizes, others = part.sizes[: len(real)], part.sizes[len(real) :]
    if real:
        part = _reduced(r, kind, part, real_sizes, others, [*real, *rest])
        part = Part(part.value, sizes, dense(sizes), 0, lanes)
    else:
        part = part.permuted(kept)._replace(lanes=lanes)
    if keep:
        for d in over:
            part = part.inserted(d)
    return part


def _reduced(
    r: Recorder,
    kind: str,
    part: Part,
    over: tuple[int, ...],
    others: tuple[int, ...],
    places: Sequence[int],
) -> Part:
    """Return the reduction over the first dimensions, whose numbers are those of the others."""
    shape = (prod(over), prod(others))
    if view_as(part, shape) == "whole":
        return _of_matrix(r, f"{kind}_rows", part, shape, others)
    last = part.permuted([*range(len(over), len(part.sizes)), *range(len(over))])
    turned = (shape[1], shape[0])
    if len(over) == 1 or view_as(last, turned) == "whole":
        return _of_matrix(r, f"{kind}_columns", last, turned, others)
    # One dimension after the other, the last one of the tensor first.
    first = max(range(len(over)), key=lambda n: places[n])
    left = [n for n in range(len(over)) if n != first]
    order = [first, *left, *range(len(over), len(part.sizes))]
    inner = part.permuted(order)
    done = _reduced_one(r, kind, inner, places, first)
    return _reduced(
        r, kind, done, tuple(over[n] for n in left), others,
        [*(places[n] for n in left), *places[len(over) :]],
    )  # fmt: skip


def _reduced_one(r: Recorder, kind: str, part: Part, places: Sequence[int], first: int) -> Part:
    """Return the reduction over dimension 0, with the others in the order they have in memory."""
    rest = [n for n in range(len(places)) if n != first]
    # The result's numbers are laid out in the order of the tensor's own dimensions.
    order = sorted(range(len(rest)), key=lambda n: places[rest[n]])
    inner = part.permuted([*(n + 1 for n in order), 0])
    sizes = inner.sizes[:-1]
    value = _of_matrix(r, f"{kind}_columns", inner, (prod(sizes), inner.sizes[-1]), sizes)
    back = [order.index(n) for n in range(len(rest))]
    return value.permuted(back)


def _of_matrix(
    r: Recorder, op: str, part: Part, shape: tuple[int, int], sizes: Sequence[int]
) -> Part:
    operand = r.operand(part, shape, ("whole", "transposed"))
    result = (1, shape[1]) if op.endswith("rows") else (shape[0], 1)
    value = r.value(op, result, [operand])
    return Part(value, tuple(sizes), dense(sizes))


def product(r: Recorder, left: Part, right: Part) -> Part:
    """Return the matrix product of two parts of two dimensions."""
    (n, k), (_, m) = left.sizes, right.sizes
    views = ("whole", "transposed")
    operands = [r.operand(r.as_numbers(left), (n, k), views),
                r.operand(r.as_numbers(right), (k, m), views)]  # fmt: skip
    value = r.value("product", (n, m), operands)
    return Part(value, (n, m), (m, 1))


def joined(r: Recorder, sizes: Sequence[int], pieces: Sequence[tuple[Part, int, Sequence[int]]],
           lanes: bool) -> Part:  # fmt: skip
    """Return a part made of others: (part, its place, its strides there); 0 elsewhere."""
    made = []
    for part, start, strides in pieces:
        part = r.with_memory(part)
        made.append(Piece(part.value, part.sizes, part.start, part.strides, start, tuple(strides)))
    value = r.value("copy", matrix(sizes), pieces=made)
    return Part(value, tuple(sizes), dense(sizes), 0, lanes)


# -------------------------------------------------------------------------- element by element

SAME_NAME = {
    "neg": "neg", "abs": "abs", "sign": "sign", "sgn": "sign", "floor": "floor", "trunc": "trunc",
    "sqrt": "sqrt", "reciprocal": "reciprocal", "exp": "exp", "log": "log", "tanh": "tanh",
    "sigmoid": "sigmoid", "logical_not": "not", "bitwise_not": "not",
    "mul": "mul", "maximum": "maximum", "minimum": "minimum",
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


def scaled(r: Recorder, part: Part, factor: Any) -> Part:
    """Return a part times a number."""
    return apply(r, "mul", part, r.read(factor, None))


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


# --------------------------------------------------------------------------- over dimensions


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
TABLE.update({"max.other": _same("maximum"), "min.other": _same("minimum")})


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


# ------------------------------------------------------------------------ copies, other shapes


@named("clone", "contiguous", "lift_fresh_copy")
def _clone(r: Recorder, result: Tensor, x: Any, *_: Any) -> Part:
    return r.read(x)


@named("_to_copy")
def _to_copy(r: Recorder, result: Tensor, x: Tensor, *_: Any) -> Part:
    part = r.read(x)
    if result.dtype == torch.bool:
        return r.as_mask(part)
    if x.dtype.is_floating_point and not result.dtype.is_floating_point:
        return apply(r, "trunc", part)
    return part


@named("copy")
def _copy(r: Recorder, result: Tensor, *arguments: Any) -> Part:
    # copy_(self, src), and for lists _foreach_copy_(self, src)
    source = arguments[1]
    part = r.read(source, result.ndim)
    if isinstance(source, Tensor) and source.dtype != result.dtype:
        if result.dtype == torch.bool:
            return r.as_mask(part)
        if source.dtype.is_floating_point:
            return apply(r, "trunc", part)
    return part


@named("fill")
def _fill(r: Recorder, result: Tensor, x: Any, value: Any) -> Part:
    return r.read(value, result.ndim)


@named("zero")
def _zero(r: Recorder, result: Tensor, x: Any) -> Part:
    return r.number(0)


@named("reshape", "_unsafe_view", "view_copy", "_reshape_copy")
def _reshape(r: Recorder, result: Tensor, x: Any, *_: Any) -> Part:
    value = r.everything(r.read(x))
    sizes = tuple(result.shape)
    if r.lanes:
        sizes = (sizes[0] // r.stack, *sizes[1:])
    return Part(value, sizes, dense(sizes), 0, r.lanes)


@named("cat")
def _cat(r: Recorder, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Part:
    parts = [r.read(tensor, result.ndim) for tensor in tensors]
    dim %= result.ndim
    if r.lanes and dim == 0:
        raise r.refuse(MIXES)
    sizes = [*parts[0].sizes]
    sizes[dim] = sum(part.sizes[dim] for part in parts)
    strides, start, pieces = dense(sizes), 0, []
    for part in parts:
        pieces.append((part, start, strides))
        start += part.sizes[dim] * strides[dim]
    return joined(r, sizes, pieces, r.lanes)


@named("stack")
def _stack(r: Recorder, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Part:
    dim %= result.ndim
    if r.lanes and dim == 0:
        raise r.refuse(MIXES)
    parts = [r.read(tensor, result.ndim - 1).inserted(dim) for tensor in tensors]
    sizes = [*parts[0].sizes]
    sizes[dim] = len(parts)
    strides = dense(sizes)
    pieces = [(part, n * strides[dim], strides) for n, part in enumerate(parts)]
    return joined(r, sizes, pieces, r.lanes)


@named("repeat")
def _repeat(r: Recorder, result: Tensor, x: Any, repeats: Sequence[int]) -> Part:
    part = r.read(x)
    if part.lanes and (len(repeats) != len(part.sizes) or repeats[0] != 1):
        raise r.refuse(MIXES)
    while len(part.sizes) < len(repeats):
        part = part.inserted(0)
    twice = part
    for d in reversed(range(len(repeats))):
        twice = twice.inserted(d, repeats[d])
    sizes = tuple(times * n for times, n in zip(repeats, part.sizes, strict=True))
    value = r.operand(twice, matrix(sizes), ("whole",)).value
    return Part(value, sizes, dense(sizes), 0, part.lanes)


@named("flip")
def _flip(r: Recorder, result: Tensor, x: Any, dims: Sequence[int]) -> Part:
    part = r.read(x)
    for d in {d % len(part.sizes) for d in dims}:
        if part.lanes and d == 0:
            raise r.refuse(MIXES)
        strides = [*part.strides]
        start = part.start + (part.sizes[d] - 1) * strides[d]
        strides[d] = -strides[d]
        part = part._replace(start=start, strides=tuple(strides))
    return part


@named("constant_pad_nd")
def _pad(r: Recorder, result: Tensor, x: Any, pad: Sequence[int], value: float = 0) -> Part:
    part = r.read(x)
    sizes = [*part.sizes]
    start_at = [0] * len(sizes)
    for n in range(len(pad) // 2):
        before, after = pad[2 * n], pad[2 * n + 1]
        d = len(sizes) - 1 - n
        if before < 0 or after < 0 or (part.lanes and d == 0 and (before or after)):
            raise r.refuse("a pad of this form")
        sizes[d] += before + after
        start_at[d] = before
    strides = dense(sizes)
    start = sum(a * s for a, s in zip(start_at, strides, strict=True))
    filled = r.number(value)._replace(sizes=tuple(sizes), strides=(0,) * len(sizes))
    pieces = [(filled, 0, strides)] if value else []
    return joined(r, sizes, [*pieces, (part, start, strides)], part.lanes)


def _chosen(r: Recorder, result: Tensor, index: Any, sizes: Sequence[int], dim: int) -> Part:
    """Return where the last dimension has the one index that each row names."""
    part = r.read(index, result.ndim)
    if dim % len(sizes) != len(sizes) - 1 or part.sizes != (*sizes[:-1], 1):
        raise r.refuse("it is recorded along the last dimension, with one index for each row")
    columns = sizes[-1]
    numbers = [float(n) for n in range(columns)]
    if columns == 1:
        table = r.number(0)
    else:
        table = Part(r.value("table", (1, columns), numbers=numbers), (columns,), (1,))
    return apply(r, "eq", table, part)


@named("gather")
def _gather(
    r: Recorder, result: Tensor, x: Any, dim: int, index: Any, sparse: bool = False
) -> Part:
    part = r.read(x, result.ndim)
    chosen = _chosen(r, result, index, part.sizes, dim)
    picked = apply(r, "where", chosen, part, r.number(0))
    return reduce(r, "sum", picked, [-1], True)


@named("scatter.value", "scatter.src")
def _scatter(r: Recorder, result: Tensor, x: Any, dim: int, index: Any, source: Any) -> Part:
    part = r.read(x, result.ndim)
    chosen = _chosen(r, result, index, part.sizes, dim)
    if isinstance(source, Tensor) and source.shape[-1] != 1:
        source = source[..., :1]
    return apply(r, "where", chosen, r.read(source, result.ndim), part)
