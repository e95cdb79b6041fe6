"""The element-wise vocabulary of the generated C: what each operation is on a vector of numbers.

`T` is a number, `V` a vector of them, `VI` a mask: a vector of integers as wide, all bits set where
true, none where false. Where GCC and clang have an operator for vectors, it is used; the rest are
functions of a few lines, written with these operators alone, so that they need no library and suit
every processor. Denormals may count as 0. Errors are in units in the last place (ulp) of the
result; `tests/campaigns/functions.py` measures them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&", "or": "|",
}  # fmt: skip
PREFIXES = {"neg": "-", "reciprocal": "(T)1 / ", "not": "~"}

NEEDS = {
    "floor": ("trunc",),
    "trunc": ("abs", "signed_as"),
    "exp": ("exp_between",),
    "tanh": ("abs", "signed_as", "exp_between"),
    "sigmoid": ("abs", "exp_between"),
}
"""The functions that another one calls; `splat`, `where` and `number_of` are always there."""


@dataclass(frozen=True)
class Format:
    """How numbers of a dtype are stored, and the coefficients that its precision asks for."""

    number: str
    integer: str
    fraction: int
    """Bits after the binary point."""
    largest_exponent: int
    ln2_high: float
    """ln 2 to so few bits that its product with any exponent is exact."""
    ln2_low: float
    expm1: tuple[float, ...]
    """(e^r - 1 - r) / r² on |r| <= ln 2 / 2, as a polynomial in r."""
    tanh: tuple[float, ...]
    """x³ / (x - tanh x) on |x| <= 0.625, as a polynomial in x²."""
    log: tuple[float, ...]
    """(ln((1 + s) / (1 - s)) - 2 s) / s³ on |s| <= 0.172, as a polynomial in s²."""
    saturated: float
    """tanh is 1 from here on."""

    @property
    def bias(self) -> int:
        """What is added to an exponent before it is stored."""
        return self.largest_exponent

    @property
    def lowest(self) -> float:
        """Where exp falls below the smallest normal number."""
        return (1 - self.largest_exponent) * math.log(2)


# The polynomials are minimax, found by Remez's algorithm: the largest relative error of the
# function is as small as it can be.
FLOAT = Format(
    "float", "int", 23, 127,
    ln2_high=0.693359375, ln2_low=-2.12194440054690583e-4,
    expm1=(
        0.50000000590433556475, 0.16666544523292341726, 0.041666287565782996713,
        0.0083664734216362410039, 0.0013946214429741351657,
    ),
    tanh=(3.000002442363894727, 1.1999602091621700547, -0.0055320483662158996113),
    log=(0.6666677860374799362, 0.39977191653971370834, 0.29882663978473020236),
    saturated=10,
)  # fmt: skip
DOUBLE = Format(
    "double", "long long", 52, 1023,
    ln2_high=0.693147180369123816490, ln2_low=1.90821492927058770002e-10,
    expm1=(
        0.50000000000000046671, 0.1666666666666668459, 0.041666666666580754966,
        0.008333333333315340911, 0.001388888893064737688, 0.0001984126990168667808,
        0.00002480150607277483609, 2.755722894604872713e-6, 2.7625806579862608957e-7,
        2.5114214710269559658e-8,
    ),
    tanh=(
        3.0000000000000042575, 1.1999999999997077908, -0.005714285707598313359,
        0.00025396818193391832893, -0.000012203255897396822949, 5.9746295907850901114e-7,
        -2.7425328113196544727e-8,
    ),
    log=(
        0.66666666666667349183, 0.39999999999401389125, 0.28571428746898337284,
        0.22222197984273651986, 0.18183600439482471823, 0.15313003553866275852,
        0.14807528041385726668,
    ),
    saturated=20,
)  # fmt: skip


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

    The result is a `V`, or a `VI` for the operations in `values.MASKS`. Arguments are primary
    expressions (names, calls, parentheses) of `V`, or `VI` for masks.
    """
    if op in OPERATORS:
        left, right = arguments
        return f"({left} {OPERATORS[op]} {right})"
    if op in PREFIXES:
        (one,) = arguments
        return f"({PREFIXES[op]}{one})"
    if op == "where":
        return f"where({', '.join(arguments)})"
    return f"{op}_of({', '.join(arguments)})"


def mask_to_number(mask: str) -> str:
    """Return the C of 1 where a mask is true, 0 where it is false."""
    return f"number_of({mask})"


def number_to_mask(number: str) -> str:
    """Return the C of the mask that is true where a number is not 0."""
    return f"({number} != 0)"


def prelude(double: bool, vector_bytes: int, used: Iterable[str]) -> str:
    """Return the types, and the functions that the operations in `used` call, each after those it
    calls itself."""
    form = DOUBLE if double else FLOAT
    texts = _functions(form)
    needed: list[str] = []

    def need(name: str) -> None:
        for other in NEEDS.get(name, ()):
            need(other)
        if name in texts and name not in needed:
            needed.append(name)

    for name in sorted(used):
        need(name)
    return "\n".join([_types(form, vector_bytes), *(texts[name] for name in needed)])


def _types(form: Format, vector_bytes: int) -> str:
    vector = f"__attribute__((vector_size({vector_bytes}), aligned({vector_bytes})))"
    return f"""\
/* A number, a vector of numbers, its bits as integers (masks are -1 or 0), without a sign. */
typedef {form.number} T;
typedef T V {vector};
typedef {form.integer} VI {vector};
typedef unsigned {form.integer} VU {vector};

#define LD(p) (*(const V *)(p))
#define ST(p) (*(V *)(p))

/* x everywhere; -0 stays -0, which it would not in a sum with 0. */
static inline V splat(T x) {{ return x - (V){{0}}; }}

/* a where the mask is true, else b. */
static inline V where(VI mask, V a, V b) {{ return (V)(((VI)a & mask) | ((VI)b & ~mask)); }}

/* 1 where the mask is true, else 0. */
static inline V number_of(VI mask) {{ return (V)(mask & (VI)splat(1)); }}
"""


def _polynomial(x: str, coefficients: tuple[float, ...], double: bool) -> str:
    """Return the C of c0 + c1 x + c2 x² + … by Horner's rule."""
    *others, last = (literal(one, double) for one in coefficients)
    text = last
    for one in reversed(others):
        text = f"({one} + {x} * {text})"
    return text


def _functions(form: Format) -> dict[str, str]:
    """Return the C of all functions, by their names without `_of`."""
    double = form is DOUBLE

    def number(value: float) -> str:
        return literal(value, double)

    bits = form.fraction
    # Adding 1.5 · 2^fraction rounds to a whole number, which is then in the sum's last bits.
    magic = 1.5 * 2.0**bits
    inf = number(math.inf)
    # The largest number of T whose exponential is finite.
    highest = 709.782712893384 if double else 88.72283
    root_half = "0x3fe6a09e667f3bcdull" if double else "0x3f3504f3u"  # the bits of sqrt(1/2)
    sign = "1ull << 63" if double else "1u << 31"
    one = f"{form.bias}{'ull' if double else 'u'} << {bits}"
    fraction = f"0x{2**bits - 1:x}{'ull' if double else 'u'}"
    whole = number(2.0**bits)
    smallest = number(2.0 ** (1 - form.largest_exponent))
    return {
        "abs": f"""\
/* |x|: without the bit of the sign. */
static inline V abs_of(V x) {{ return (V)((VU)x & ~({sign})); }}
""",
        "signed_as": f"""\
/* a, which is not negative, with the sign of x. */
static inline V signed_as(V x, V a) {{ return (V)((VU)a | ((VU)x & ({sign}))); }}
""",
        "sign": """\
/* 1, 0 or -1; 0 of NaN. */
static inline V sign_of(V x) { return number_of(x > 0) - number_of(x < 0); }
""",
        "maximum": """\
/* The larger one; NaN if either is (a < b is false then). */
static inline V maximum_of(V a, V b) { return where((a < b) | (b != b), b, a); }
""",
        "minimum": """\
/* The smaller one; NaN if either is. */
static inline V minimum_of(V a, V b) { return where((a > b) | (b != b), b, a); }
""",
        "sqrt": """\
/* The square root; compilers make one instruction of the loop. */
static inline V sqrt_of(V x) {
  T y[sizeof(V) / sizeof(T)] __attribute__((aligned(sizeof(V))));
  ST(y) = x;
  for (int i = 0; i < sizeof(V) / sizeof(T); i++) y[i] = __builtin_sqrt%s(y[i]);
  return LD(y);
}
"""
        % ("" if double else "f"),
        "trunc": f"""\
/* x without its fraction. a + 2^{bits} - 2^{bits} is a to the nearest whole number; all numbers
   from 2^{bits} on are whole. */
static inline V trunc_of(V x) {{
  V a = abs_of(x);
  V near = a + {whole} - {whole};
  near -= number_of(near > a);
  return signed_as(x, where(a < {whole}, near, a));
}}
""",
        "floor": """\
/* The largest whole number that is not above x. */
static inline V floor_of(V x) {
  V y = trunc_of(x);
  return y - number_of(y > x);
}
""",
        "exp_between": f"""\
/* e^x where that is a normal number: 2^n e^r for the whole number n nearest to x / ln(2) and
   r = x - n ln(2). ln(2) is the sum of two numbers, the first so short that n times it is exact.
   e^r = 1 + r + r^2 P(r), and n is added to its exponent. */
static inline V exp_between(V x) {{
  V m = x * {number(1 / math.log(2))} + {number(magic)};  /* n is in its last bits */
  V n = m - {number(magic)};
  V r = x - n * {number(form.ln2_high)} - n * {number(form.ln2_low)};
  V p = {_polynomial("r", form.expm1, double)};
  V y = 1 + (r + r * r * p);
  return (V)((VU)y + ((VU)m << {bits}));
}}
""",
        "exp": f"""\
/* e^x; 0 below the smallest normal number. */
static inline V exp_of(V x) {{
  V y = where(x >= {number(form.lowest)}, exp_between(x), (V){{0}});
  return where(x <= {number(highest)}, y, x + {inf});  /* NaN stays NaN */
}}
""",
        "tanh": f"""\
/* For a = |x| below 0.625, a - a^3 / P(a^2), else 1 - 2 / (1 + e^(2 a)), with one division. */
static inline V tanh_of(V x) {{
  V a = abs_of(x), z = a * a;
  VI small = a < {number(0.625)};
  V e = exp_between(2 * where(a > {number(form.saturated)}, splat({number(form.saturated)}), a));
  V top = where(small, a * z, splat(2));
  V bottom = where(small, {_polynomial("z", form.tanh, double)}, 1 + e);
  return signed_as(x, where(small, a, splat(1)) - top / bottom);
}}
""",
        "sigmoid": f"""\
/* 1 / (1 + e^-x), for x < 0 as e^x / (1 + e^x), so that nothing overflows. */
static inline V sigmoid_of(V x) {{
  V a = abs_of(x);
  V e = where(a > {number(-form.lowest)}, (V){{0}}, exp_between(-a));
  V top = where(x < 0, e, splat(1));
  return top - top * (e / (1 + e));
}}
""",
        "log": f"""\
/* ln x = n ln(2) + ln(1 + f) with 1 + f from sqrt(1/2) to sqrt(2), and with s = f / (2 + f),
   ln(1 + f) = 2 s + s R = f - s (f - R), R = s^2 P(s^2) with a minimax polynomial P.
   f - f^2 / 2 is split off, for f is exact. */
static inline V log_of(V x) {{
  VU b = (VU)x - {root_half} + ({one});
  V n = (V)((b >> {bits}) + (VU)splat({number(magic)})) - {number(magic + form.bias)};
  V f = (V)((b & {fraction}) + {root_half}) - 1;
  V s = f / (2 + f);
  V z = s * s;
  V half = {number(0.5)} * f * f;
  V rest = s * (half + z * {_polynomial("z", form.log, double)}) + n * {number(form.ln2_low)};
  V y = rest - half + f + n * {number(form.ln2_high)};
  y = where(x < {inf}, y, x);  /* infinity and NaN stay */
  return where(x < {smallest}, where(x < 0, splat({number(math.nan)}), splat(-{inf})), y);
}}
""",
    }
