"""The few forms of operations on parts of values, of which all of torch's are made."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from minifw.compile.values import Piece, Shape
from minifw.compile.views import Part, dense, matrix, view_as

if TYPE_CHECKING:
    from minifw.compile.recorder import Recorder

MIXES = "it mixes the networks of the stack"


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
    # In the order in memory of the tensor that torch makes.
    order = r.order if len(r.order) == len(sizes) else tuple(range(len(sizes)))
    inside = [sizes[d] for d in order]
    fitting = [part.permuted(order) for part in fitting]
    shape = _rows_of(fitting, matrix(inside))
    value = r.value(op, shape, [r.operand(part, shape) for part in fitting])
    back = [order.index(d) for d in range(len(sizes))]
    return Part(value, tuple(inside), dense(inside), 0, lanes).permuted(back)


def _rows_of(parts: Sequence[Part], usual: Shape) -> Shape:
    """Return the rows and columns that all parts can be read in, if there are such."""
    whole = (part.value.shape for part in parts if part.is_everything)
    for shape in (usual, *whole):
        if all(view_as(part, shape) is not None for part in parts):
            return shape
    return usual


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
    inside = sorted(real, key=lambda d: -part.strides[d])
    behind = part.permuted([*rest, *inside])._replace(lanes=False)
    part = part.permuted([*real, *rest])._replace(lanes=False)
    real_sizes, others = part.sizes[: len(real)], part.sizes[len(real) :]
    if inside != real and behind.is_everything:  # another order in memory than of dimensions
        shape = prod(others), prod(real_sizes)
        part = _of_matrix(r, f"{kind}_columns", behind, shape, others)
        part = Part(part.value, sizes, dense(sizes), 0, lanes)
    elif real:
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


def scaled(r: Recorder, part: Part, factor: Any) -> Part:
    """Return a part times a number."""
    return apply(r, "mul", part, r.read(factor, None))
