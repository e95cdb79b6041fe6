"""How exact the generated code's own functions are: the largest error over float32, in ulp.

    python -m campaigns.functions --stride 64

Every `stride`-th float32 is tried (1: all 2^32), and as many random float64 as `--doubles` says.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifw.compile.compilers import Compiler, find_compiler
from minifw.compile.functions import expression, mask_to_number, number_to_mask, prelude
from minifw.compile.values import BINARY, ELEMENTWISE, MASKS, UNARY

Numbers = NDArray[Any]

FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "sqrt", "reciprocal")
VARIANTS = (
    (64, ()),
    (32, ("-mno-avx512f",)),
    (32, ("-mno-avx512f", "-mno-fma", "-ffp-contract=off")),
    (16, ("-march=x86-64",)),
)
"""Bytes of a vector, and flags that take instructions away."""


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


def _aligned(size: int, dtype: np.dtype[Any]) -> Numbers:
    room = np.empty(size * dtype.itemsize + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size * dtype.itemsize].view(dtype)


def ulps(found: Numbers, true: Numbers) -> Numbers:
    """Return the distance from the true results, which have more digits, in ulp of `found`.

    Results that are the same infinity, or NaN both, are at distance 0. Below the smallest normal
    number its ulp counts, and 0 stands for all results there.
    """
    limits = np.finfo(found.dtype)
    with np.errstate(all="ignore"):
        rounded = true.astype(found.dtype)
        tiny = abs(true) < limits.smallest_normal
        exponent = np.frexp(true)[1].astype(np.int32) - 1
        unit = np.ldexp(true.dtype.type(1), np.maximum(exponent, limits.minexp) - limits.nmant)
        distance = abs(found.astype(true.dtype) - true) / unit
        distance = np.where(tiny & (found == 0), 0, distance)
        same = (found == rounded) & ~np.isfinite(rounded) | np.isnan(found) & np.isnan(true)
        distance = np.where(same, 0, distance)
    return np.where(np.isnan(distance), np.inf, distance)
