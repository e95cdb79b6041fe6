"""The element-wise vocabulary of the generated C: what each operation is on a vector of numbers.

`T` is a number, `V` a vector of them, `VI` a mask: a vector of integers as wide, all bits set where
true, none where false. Where GCC and clang have an operator for vectors, it is used; the rest are
the functions in `functions.c`, written with these operators alone, so that they need no library and
suit every processor. How far results are from the true ones is measured in units in the last place
(ulp), see `tests/campaigns/functions.py`.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from minifw.nn import random

OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&", "or": "|",
}  # fmt: skip
PREFIXES = {"neg": "-", "reciprocal": "(T)1 / ", "not": "~"}

ALWAYS = ("splat", "where", "number_of")
"""Functions that every text has."""


def literal(number: float, double: bool) -> str:
    """Return a number of T as C."""
    suffix = "" if double else "f"
    if math.isnan(number):
        return f'__builtin_nan{suffix}("")'
    if math.isinf(number):
        return f"{'-' if number < 0 else ''}__builtin_inf{suffix}()"
    return f"{float(number)!r}{suffix}"


def expression(op: str, *arguments: str) -> str:
    """Return the C of an operation of `values.ELEMENTWISE` on vectors.

    The result is a `V`, or a `VI` for the operations in `values.MASKS`. Each argument is a name, a
    call or in parentheses; a mask is a `VI`, all others are a `V`.
    """
    if op in OPERATORS:
        left, right = arguments
        return f"({left} {OPERATORS[op]} {right})"
    if op in PREFIXES:
        (one,) = arguments
        return f"({PREFIXES[op]}{one})"
    function = op if op in ALWAYS else f"{op}_of"
    return f"{function}({', '.join(arguments)})"


def mask_to_number(mask: str) -> str:
    """Return the C of 1 where a mask is true, 0 where it is false."""
    return f"number_of({mask})"


def number_to_mask(number: str) -> str:
    """Return the C of the mask that is true where a number is not 0."""
    return f"({number} != 0)"


def prelude(double: bool, vector_bytes: int, used: Iterable[str]) -> str:
    """Return the types, and the constants and functions that the operations in `used` need."""
    functions, constants = _functions(), _constants(double)
    texts = {**functions, **constants}
    needed: set[str] = set()

    def need(name: str) -> None:
        if name in texts and name not in needed:
            needed.add(name)
            for word in re.findall(r"\w+", texts[name]):
                need(word)

    for name in (*ALWAYS, *(f"{op}_of" for op in used)):
        need(name)
    places = ", ".join(map(str, range(vector_bytes // (8 if double else 4))))
    parts = [
        _types(double, vector_bytes),
        *([f"#define IOTA ((VU){{{places}}})"] if "random_of" in needed else ()),
        *(f"#define {name}{text}" for name, text in constants.items() if name in needed),
        "",
        *(text for name, text in functions.items() if name in needed),
    ]
    return "\n".join(parts)


@cache
def _functions() -> dict[str, str]:
    """Return the text of each function by its name, in an order in which each can be compiled."""
    text = Path(__file__).with_name("functions.c").read_text(encoding="utf-8")
    blocks = [f"/*{block.rstrip()}\n" for block in re.split(r"^/\*", text, flags=re.MULTILINE)[1:]]
    names = (re.search(r"^static inline V (\w+)", block, re.MULTILINE) for block in blocks)
    return {name[1]: block for name, block in zip(names, blocks, strict=True) if name}


def _types(double: bool, vector_bytes: int) -> str:
    number, integer = ("double", "long long") if double else ("float", "int")
    vector = f"__attribute__((vector_size({vector_bytes}), aligned({vector_bytes})))"
    return f"""\
/* A number; a vector of numbers; the same bits as integers, or masks, -1 or 0; without a sign. */
typedef {number} T;
typedef T V {vector};
typedef {integer} VI {vector};
typedef unsigned {integer} U;
typedef U VU {vector};

#define LD(p) (*(const V *)(p))
#define ST(p) (*(V *)(p))
"""


def _word(which: int) -> str:
    """Return the C of a word of a call, of a stream (see `nn.random`)."""
    terms = (f"(unsigned)(s)[{n}] * {row[which]}u" for n, row in enumerate(random.WORDS))
    return f"(s) ({' + '.join(terms)})"


def _round(which: int) -> str:
    shift, factor = random.ROUNDS[which]
    return f"(x) ((((x) ^ ((x) >> {shift})) * {factor:#x}u) & WORD)"


@cache
def _constants(double: bool) -> dict[str, str]:
    """Return what follows the name in the definition of each constant: facts about T, polynomials.

    A polynomial is minimax, found by Remez's algorithm: as an approximation of what is said beside
    it, it makes the largest relative error of its function as small as it can be.
    """

    def number(value: float) -> str:
        text = literal(value, double)
        return f" ({text})" if value < 0 else f" {text}"

    def integer(value: int) -> str:
        return f" {value:#x}{'ull' if double else 'u'}"

    def polynomial(variable: str, *coefficients: float) -> str:
        """By Horner's rule: c0 + x (c1 + x (c2 + ...))."""
        *others, text = (literal(one, double) for one in coefficients)
        for one in reversed(others):
            text = f"({one} + {variable} * {text})"
        return " \\\n  ".join([f"({variable})", *textwrap.wrap(text, 90)])

    bits, bias = (52, 1023) if double else (23, 127)
    constants = {
        "SQRT": " __builtin_sqrt" if double else " __builtin_sqrtf",
        "SIGN": integer(1 << (63 if double else 31)),
        "FRACTION_BITS": f" {bits}",
        "FRACTION": integer((1 << bits) - 1),
        "BIAS": f" {bias}",
        "BITS_OF_1": integer(bias << bits),
        "BITS_OF_ROOT_HALF": integer(0x3FE6A09E667F3BCD if double else 0x3F3504F3),
        "WHOLE": number(2.0**bits),
        # A sum with it is rounded to a whole number, which is then in its last bits.
        "ROUND": number(1.5 * 2.0**bits),
        "INFINITE": number(math.inf),
        "NOT_A_NUMBER": number(math.nan),
        "SMALLEST": number(2.0 ** (1 - bias)),
        "LN_SMALLEST": number(-708.3964185322641 if double else -87.33654),
        "LN_LARGEST": number(709.782712893384 if double else 88.72283),
        "ONE_BY_LN2": number(1 / math.log(2)),
        "LN2_HIGH": number(0.693147180369123816490 if double else 0.693359375),
        "LN2_LOW": number(1.90821492927058770002e-10 if double else -2.12194440054690583e-4),
        "TANH_IS_1": number(20 if double else 10),
        "ERF_IS_1": number(6 if double else 4),
        "WORD": integer(0xFFFFFFFF),
        "FIRST_WORD": _word(0),
        "SECOND_WORD": _word(1),
        "ROUND_0": _round(0),
        "ROUND_1": _round(1),
        "UNIT": number(2.0**-random.BITS),
    }
    if double:
        return constants | {
            # (e^r - 1 - r) / r² for |r| <= ln(2) / 2
            "P_EXP": polynomial(
                "r", 0.50000000000000046671, 0.1666666666666668459, 0.041666666666580754966,
                0.008333333333315340911, 0.001388888893064737688, 0.0001984126990168667808,
                0.00002480150607277483609, 2.755722894604872713e-6, 2.7625806579862608957e-7,
                2.5114214710269559658e-8,
            ),
            # x³ / (x - tanh x) for z = x², |x| <= 0.625
            "P_TANH": polynomial(
                "z", 3.0000000000000042575, 1.1999999999997077908, -0.005714285707598313359,
                0.00025396818193391832893, -0.000012203255897396822949, 5.9746295907850901114e-7,
                -2.7425328113196544727e-8,
            ),
            # (ln((1 + s) / (1 - s)) - 2 s) / s³ for z = s², |s| <= 0.172
            "P_LOG": polynomial(
                "z", 0.66666666666667349183, 0.39999999999401389125, 0.28571428746898337284,
                0.22222197984273651986, 0.18183600439482471823, 0.15313003553866275852,
                0.14807528041385726668,
            ),
            # erf(x) / x - 1 for z = x², |x| <= 0.9
            "P_ERF": polynomial(
                "z", 0.12837916709551257, -0.37612638903183728045, 0.11283791670953705451,
                -0.026866170644806851051, 0.005223977621604923758, -0.00085483267549970100848,
                0.0001205532104433215891, -0.000014925299775969166339, 1.6455214306041838923e-6,
                -1.6275478208951088074e-7, 1.4046051987067641502e-8, -8.4818480815329894422e-10,
            ),
            # e^(x²) (1 - erf x), as exact as 1 - erf needs, for t = (x - 2) / (x + 2),
            # 0.9 <= x <= 6
            "P_ERFC": polynomial(
                "t", 0.25539567631050587864, -0.42718584741395595811, 0.24165819424233692653,
                -0.078978581018080127115, 0.0037328924096463023664, 0.0069974620189556914869,
                -0.00084714209921606937452, -0.00098198350920096060957, 0.000043497505545209403281,
                0.00017428351079991454108, 0.000028043954277678020444, -0.000025488401115889861143,
                -0.000011718592457911064506,
            ),
        }  # fmt: skip
    return constants | {
        "P_EXP": polynomial(
            "r", 0.50000000590433556475, 0.16666544523292341726, 0.041666287565782996713,
            0.0083664734216362410039, 0.0013946214429741351657,
        ),
        "P_TANH": polynomial(
            "z", 3.000002442363894727, 1.1999602091621700547, -0.0055320483662158996113
        ),
        "P_LOG": polynomial(
            "z", 0.6666677860374799362, 0.39977191653971370834, 0.29882663978473020236
        ),
        "P_ERF": polynomial(
            "z", 0.12837916676485415, -0.37612634982706745679, 0.1128371505988876986,
            -0.026860509361962847934, 0.0052038603666057384704, -0.00081756445955783730144,
            0.000085130998133166220892,
        ),
        "P_ERFC": polynomial(
            "t", 0.25539568273930740082, -0.42718585666523755005, 0.24165543298391725323,
            -0.079005102126810511037, 0.003666569268938112468, 0.007138641181194644626,
        ),
    }  # fmt: skip
