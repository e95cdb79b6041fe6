"""How exact the generated code's own functions are: the largest error over float32, in ulp.

    python -m campaigns.functions [--stride 331] [--doubles 10000000]

Every `stride`-th float32 is tried (1: all 2^32), and so many random float64, for several lengths of
vectors, with and without instructions that multiply and add at once. Ends with 1 if an error is
larger than `functions.c` says.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifw.compile.compilers import Compiler, require_compiler
from minifw.compile.functions import (
    expression,
    literal,
    mask_to_number,
    number_to_mask,
    prelude,
)
from minifw.compile.processor import is_x86
from minifw.compile.values import BINARY, ELEMENTWISE, MASKS, UNARY

Numbers = NDArray[Any]
Variant = tuple[int, tuple[str, ...]]

BOUNDS = {"exp": 1.1, "log": 0.9, "tanh": 1.4, "sigmoid": 1.9, "erf": 1.2,
          "sqrt": 0.5, "reciprocal": 0.5}  # fmt: skip
"""The largest error of each function in ulp."""

PORTABLE: Variant = (16, ("-march=x86-64",) if is_x86() else ())
VARIANTS: tuple[Variant, ...] = (
    (64, ()),
    (32, ("-mno-avx512f",) if is_x86() else ()),
    (32, ("-mno-avx512f", "-mno-fma") if is_x86() else ("-ffp-contract=off",)),
    PORTABLE,
)
"""Bytes of a vector, and flags that take instructions away. Each length works on any processor."""

LITERALS = (0.0, -0.0, 0.1, -1.5, 1e-45, 5e-324, 3.4028234663852886e38, np.inf, -np.inf, np.nan)


class Functions:
    """All operations on arrays, compiled for one dtype, vector length and set of flags."""

    def __init__(
        self, compiler: Compiler, double: bool, vector_bytes: int, flags: Iterable[str] = ()
    ) -> None:
        self.dtype = np.dtype(np.float64 if double else np.float32)
        self.length = vector_bytes // self.dtype.itemsize
        text = prelude(double, vector_bytes, {*ELEMENTWISE})
        for op in ELEMENTWISE:
            arguments = [f"LD({name} + i)" for name in "abc"]
            if op in ("and", "or", "not", "where"):
                masks = 1 if op == "where" else 3
                arguments[:masks] = map(number_to_mask, arguments[:masks])
            count = 1 if op in UNARY else 2 if op in BINARY else 3
            result = expression(op, *arguments[:count])
            if op in MASKS:
                result = mask_to_number(result)
            text += (
                f"void all_{op}(const T *a, const T *b, const T *c, T *y, long long count) {{\n"
                f"  for (long long i = 0; i < count; i += {self.length}) ST(y + i) = {result};\n}}\n"
            )
        numbers = ", ".join(literal(number, double) for number in LITERALS)
        text += f"T literals[] = {{{numbers}}};\n"
        text += "void splatted(const T *x, T *y) { ST(y) = splat(*x); }\n"
        with tempfile.TemporaryDirectory(prefix="minifw-") as folder:
            source, made = Path(folder) / "all.c", Path(folder) / "all.so"
            source.write_text(text, encoding="utf-8")
            command = [*compiler.command, *compiler.flags(), *flags, str(source), "-o", str(made)]
            subprocess.run(command, check=True)
            self.library = ctypes.CDLL(str(made))

    def __call__(self, op: str, *arguments: Numbers) -> Numbers:
        """Return an operation's result for each number of the arguments."""
        (size,) = arguments[0].shape
        padded = -(-size // self.length) * self.length
        inputs = [_aligned(padded, self.dtype) for _ in range(3)]
        for room, given in zip(inputs, arguments, strict=False):
            room[:size] = given
            room[size:] = 1
        result = _aligned(padded, self.dtype)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*inputs, result)]
        getattr(self.library, f"all_{op}")(*pointers, ctypes.c_longlong(padded))
        return result[:size]

    def splat(self, number: float) -> Numbers:
        """Return a vector with a number everywhere."""
        given, result = _aligned(1, self.dtype), _aligned(self.length, self.dtype)
        given[:] = number
        self.library.splatted(*(ctypes.c_void_p(a.ctypes.data) for a in (given, result)))
        return result


def _aligned(size: int, dtype: np.dtype[Any]) -> Numbers:
    room = np.empty(size * dtype.itemsize + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size * dtype.itemsize].view(dtype)


def ulps(found: Numbers, true: Numbers) -> Numbers:
    """Return how far results are from the true ones, which have more digits, in ulp of the latter.

    Below the smallest normal number the ulp is that of this number, and a result of 0 is right.
    Where one is not finite, or NaN, the other must be the same, or else the distance is infinite.
    """
    limits: Any = np.finfo(found.dtype)
    with np.errstate(all="ignore"):
        rounded = true.astype(found.dtype)
        exponent = np.maximum(np.frexp(true)[1] - 1, limits.minexp)
        distance = abs(found - true) / np.ldexp(true.dtype.type(1), exponent - limits.nmant)
    flushed = (found == 0) & (abs(true) < limits.smallest_normal)
    same = (found == rounded) & ~np.isfinite(rounded) | np.isnan(found) & np.isnan(true)
    return np.where(flushed | same, 0, np.where(np.isnan(distance), np.inf, distance))


def true_results(op: str, x: Numbers) -> Numbers:
    """Return the results of a function with more digits, as far as NumPy has them."""
    with np.errstate(all="ignore"):
        wide: Any = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
        if op == "log":  # denormals count as 0
            tiny = float(np.finfo(x.dtype).smallest_normal)
            wide = np.where((wide > 0) & (wide < tiny), 0, wide)
        if op == "reciprocal":
            return np.asarray(1 / wide)
        if op == "sigmoid":
            small = np.exp(-abs(wide))
            return np.asarray(np.where(wide < 0, small, 1) / (1 + small))
        if op == "erf":
            return _erf(wide)
        return np.asarray(getattr(np, op)(wide))


def _erf(x: Any) -> Numbers:
    """Return erf x by its series 2/√π exp(-x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!, all of one sign."""
    a = np.minimum(abs(x), 7)  # where it is 1 in all dtypes
    total = term = a.copy()
    for n in range(1, 200):
        term = term * (2 * a * a / (2 * n + 1))
        total = total + term
    two_by_root = 2 / np.sqrt(np.arctan(x.dtype.type(1)) * 4)
    return np.asarray(np.copysign(np.minimum(two_by_root * np.exp(-a * a) * total, 1), x))


def float32s(stride: int, at_once: int = 1 << 20) -> Iterator[Numbers]:
    """Yield every `stride`-th of all numbers that are float32, NaN and infinities too."""
    for start in range(0, 1 << 32, stride * at_once):
        stop = min(start + stride * at_once, 1 << 32)
        yield np.arange(start, stop, stride).astype(np.uint32).view(np.float32)


def float64s(count: int) -> Iterator[Numbers]:
    """Yield about `count` float64: of any bits, and in the ranges where functions do something."""
    random = np.random.default_rng(0)
    size = 1 << 18
    for _ in range(0, count, 5 * size):
        yield random.integers(0, 1 << 64, size, np.uint64).view(np.float64)
        for limit in (0.7, 4, 40, 750):
            yield random.uniform(-limit, limit, size)


def worst(
    variants: Sequence[Functions], arrays: Iterable[Numbers]
) -> dict[str, list[tuple[float, float]]]:
    """Return each function's largest error in each variant, and the number where it is."""
    found = {op: [(0.0, 0.0)] * len(variants) for op in BOUNDS}
    for x in arrays:
        for op in BOUNDS:
            true = true_results(op, x)
            for n, functions in enumerate(variants):
                distance = ulps(functions(op, x), true)
                at = int(distance.argmax())
                found[op][n] = max(found[op][n], (float(distance[at]), float(x[at])))
    return found


def main() -> int:
    """Print the largest errors; return 1 if one is above what `functions.c` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, default=331)
    parser.add_argument("--doubles", type=int, default=10_000_000)
    given = parser.parse_args()
    compiler = require_compiler()
    failed = False
    for double in (False, True):
        compiled = [Functions(compiler, double, *variant) for variant in VARIANTS]
        arrays = float64s(given.doubles) if double else float32s(given.stride)
        for op, errors in worst(compiled, arrays).items():
            for (vector_bytes, flags), (error, x) in zip(VARIANTS, errors, strict=True):
                failed |= error > BOUNDS[op]
                dtype = "float64" if double else "float32"
                how = f"{vector_bytes} bytes {' '.join(flags)}".strip()
                print(f"{op:10} {dtype} {error:.3f} ulp at {x!r} ({how})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
