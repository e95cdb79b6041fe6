"""The functions of the generated C: as torch's, and as exact as they say."""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
from typing import Any

import numpy as np
import pytest
import torch

from campaigns.functions import (
    BOUNDS,
    LITERALS,
    PORTABLE,
    VARIANTS,
    Functions,
    Numbers,
    float32s,
    float64s,
    ulps,
    worst,
)  # fmt: skip
from minifw.compile.compilers import Compiler, find_compiler
from minifw.compile.functions import expression, literal, prelude
from minifw.compile.values import BINARY, ELEMENTWISE, UNARY

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")

INEXACT = ("exp", "log", "tanh", "sigmoid", "erf")
MASKED = {"and": "logical_and", "or": "logical_or", "not": "logical_not"}


@pytest.fixture(scope="module", params=[False, True], ids=["float", "double"])
def compiled(request: pytest.FixtureRequest) -> list[Functions]:
    """All operations, in all variants, and once by clang if there is one."""
    compiler = find_compiler()
    assert compiler is not None
    found = [Functions(compiler, request.param, *variant) for variant in VARIANTS]
    if clang := shutil.which("clang"):
        found.append(Functions(Compiler((clang,)), request.param, *PORTABLE))
    return found


def special(dtype: np.dtype[Any]) -> Numbers:
    """Numbers at the edges of what operations do."""
    limits: Any = np.finfo(dtype)
    positive = [
        0, limits.smallest_subnormal, limits.smallest_normal, limits.eps, 0.1, 0.5, 0.625, 1, 1.5, 2,
        2.5, 7, 19, 87, 88, 89, 104, 708, 709, 710, 746, 2.0**limits.nmant - 0.5, 2.0**limits.nmant,
        2.0**limits.nmant + 1, 2.0 ** (limits.nmant + 1), limits.max / 2, limits.max, np.inf, np.nan,
    ]  # fmt: skip
    numbers = np.array(positive, dtype)
    return np.concatenate([numbers, -numbers])


def torchs(op: str, *arguments: Numbers) -> Numbers:
    """Return what torch makes of numbers, 1 and 0 for true and false."""
    a, *others = [torch.from_numpy(argument) for argument in arguments]
    if op == "sqrt":  # torch's is 1 ulp off at 0.5, as a double
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(arguments[0]))
    if op == "where":
        return np.asarray(torch.where(a != 0, others[0], others[1]))
    result = getattr(torch, MASKED.get(op, op))(a, *others)
    return np.asarray(result.to(a.dtype))


@pytest.mark.parametrize("op", [op for op in ELEMENTWISE if op not in INEXACT])
def test_an_operation_gives_torchs_numbers(compiled: list[Functions], op: str) -> None:
    count = 1 if op in UNARY else 2 if op in BINARY else 3
    dtype = compiled[0].dtype
    edges = special(dtype)
    usual = np.random.default_rng(0).normal(size=(count, 200)) * 3
    pairs = np.array([*itertools.product(edges, repeat=min(count, 2))]).T
    given = np.concatenate([np.resize(pairs, (count, pairs.shape[1])), usual], 1).astype(dtype)
    expected = torchs(op, *given)
    for functions in compiled:
        result = functions(op, *given)
        np.testing.assert_array_equal(result, expected)
        if op not in ("maximum", "minimum"):  # which zero is larger is not said
            zeros = result == 0
            np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("op", INEXACT)
def test_a_functions_infinities_zeros_and_nans_are_torchs(
    compiled: list[Functions], op: str
) -> None:
    x = special(compiled[0].dtype)
    expected = torchs(op, x)
    tiny = float(np.finfo(x.dtype).smallest_normal)
    expected[abs(expected) < tiny] *= 0  # denormals count as 0, in results as in log's argument
    if op == "log":
        expected[(x > 0) & (x < tiny)] = -np.inf
    for functions in compiled:
        result = functions(op, x)
        result[abs(result) < tiny] *= 0
        for same in (np.isnan, np.isposinf, np.isneginf, lambda y: y == 0, lambda y: y == 1):
            np.testing.assert_array_equal(same(result), same(expected))
        zeros = result == 0
        np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(expected[zeros]))


def test_errors_are_within_their_bounds(compiled: list[Functions]) -> None:
    dtype = compiled[0].dtype
    if dtype == np.float32:
        arrays = [*float32s(20011, 1 << 20)]
    elif np.finfo(np.longdouble).nmant > 60:
        arrays = [x[:40_000] for x in float64s(1)]
    else:
        pytest.skip("NumPy has nothing longer than float64 here")
    # Where one formula takes over from another, numbers side by side.
    limits: Any = np.finfo(dtype)
    for edge in (0.625, 1, 2**0.5, 0.5**0.5, 10, 20, np.log(limits.max), np.log(limits.tiny)):
        middle = np.array([edge, -edge, edge / 2, -edge / 2], dtype)
        bits = middle.view(f"i{dtype.itemsize}")[:, None] + np.arange(-300, 300)
        arrays.append(bits.view(dtype).ravel())
    for op, errors in worst(compiled, arrays).items():
        assert max(errors)[0] <= BOUNDS[op], (op, errors)


def test_functions_stay_in_their_range(compiled: list[Functions]) -> None:
    x = np.sort(np.concatenate([np.linspace(-800, 800, 30_001), np.linspace(-1, 1, 30_001)]))
    for functions in compiled:
        given = x.astype(functions.dtype)
        tanh, sigmoid = functions("tanh", given), functions("sigmoid", given)
        assert abs(tanh).max() == 1
        np.testing.assert_array_equal(tanh, -functions("tanh", -given))
        assert sigmoid.min() == 0
        assert sigmoid.max() == 1
        for result in (tanh, sigmoid, functions("exp", given)):
            assert (result[1:] >= result[:-1]).all()


def test_the_place_in_a_vector_does_not_matter(compiled: list[Functions]) -> None:
    x = special(compiled[0].dtype)
    for functions in compiled:
        for op in INEXACT:
            turned = np.roll(functions(op, np.roll(x, 1)), -1)
            np.testing.assert_array_equal(functions(op, x), turned)


def test_a_literal_is_the_number(compiled: list[Functions]) -> None:
    for functions in compiled:
        kind = ctypes.c_double if functions.dtype == np.float64 else ctypes.c_float
        numbers = (kind * len(LITERALS)).in_dll(functions.library, "literals")
        expected = np.array(LITERALS, functions.dtype)
        np.testing.assert_array_equal(np.array(numbers), expected)
        np.testing.assert_array_equal(np.signbit(numbers)[:2], [False, True])


def test_a_number_everywhere_keeps_its_sign(compiled: list[Functions]) -> None:
    for functions in compiled:
        for number in (-0.0, 0.0, np.nan, np.inf, 0.1):
            result = functions.splat(number)
            expected = np.full_like(result, number)
            np.testing.assert_array_equal(result, expected)
            np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


@pytest.mark.parametrize("op", ELEMENTWISE)
def test_a_text_holds_what_an_operation_needs_and_no_more(op: str) -> None:
    text = prelude(False, 16, {op})
    arguments = "abc"[: 1 if op in UNARY else 2 if op in BINARY else 3]
    called = re.findall(r"\w+(?=\()", expression(op, *arguments))
    defined = re.findall(r"^static inline V (\w+)", text, re.MULTILINE)
    constants = re.findall(r"^#define (\w+)", text, re.MULTILINE)
    for name in {*defined, *constants} - {"splat", "where", "number_of", "LD", "ST"}:
        used = re.findall(rf"\b{name}\b", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))
        assert len(used) > 1 or name in called
    for name in called:
        assert name in (*defined, "T")


def test_ulps_are_counted() -> None:
    one = np.array([1, 1, 0, 1e-38, np.nan, np.inf, np.inf, 3], np.float32)
    true = np.array([1 + 2.0**-23, 1, 1e-40, 1e-38, np.nan, 1e39, 3e38, np.nan])
    expected = np.array([1, 0, 0, 0, 0, 0, np.inf, np.inf])
    np.testing.assert_allclose(ulps(one, true), expected, atol=0.5, rtol=0)
    assert ulps(one, true)[0] == 1


def test_a_float_says_so() -> None:
    assert literal(0.5, double=False) == "0.5f"
    assert literal(1, double=True) == "1.0"
