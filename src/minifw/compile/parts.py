"""The parts of the C text that hardly depend on the step."""

from __future__ import annotations

from pathlib import Path


def frame() -> str:
    """Return the functions that move numbers between the tensors and a lane's memory."""
    return Path(__file__).with_name("frame.c").read_text(encoding="utf-8")


def repeats(counts: set[int]) -> str:
    """Return the macros that repeat a macro for 0, 1, 2, …"""
    return "\n".join(
        f"#define REPEAT_{count}(EACH) " + " ".join(f"EACH({n})" for n in range(count))
        for count in sorted(counts)
    )


def transposing(length: int) -> str:
    """Return the function that transposes a matrix, by squares of vectors.

    Each of log2(length) rounds exchanges halves, quarters, … of two vectors.
    """
    shuffles, rounds = [], []
    size = length // 2
    while size:
        low = ", ".join(str(length + n - size if n & size else n) for n in range(length))
        high = ", ".join(str(length + n if n & size else n + size) for n in range(length))
        shuffles += [f"#define LOW_{size} {low}", f"#define HIGH_{size} {high}"]
        pairs = [(n, n + size) for n in range(length) if not n & size]
        rounds.append(" ".join(f"EXCHANGE({a}, {b}, LOW_{size}, HIGH_{size})" for a, b in pairs))
        size //= 2
    rows = range(length)
    return "\n".join(
        [
            *shuffles,
            "#define EXCHANGE(n, k, low, high) \\",
            "  { V a_ = SHUFFLE(r##n, r##k, low), b_ = SHUFFLE(r##n, r##k, high); r##n = a_; "
            "r##k = b_; }",
            "",
            f"/* The transposed matrix, by squares of {length} x {length} numbers. */",
            "NOINLINE static void transpose(T *restrict to, const T *restrict from, Index rows,",
            "                               Index columns, Index from_row, Index to_row) {",
            f"  for (Index i = 0; i < rows; i += {length})",
            f"    for (Index j = 0; j < columns; j += {length}) {{",
            "      const T *a = from + i * from_row + j;",
            "      T *b = to + j * to_row + i;",
            "      Index m = rows - i, l = columns - j;",
            *(f"      V r{n} = {n} < m ? LD(a + {n} * from_row) : (V){{0}};" for n in rows),
            *(f"      {line}" for line in rounds),
            *(f"      if ({n} < l) ST(b + {n} * to_row) = r{n};" for n in rows),
            "    }",
            "}",
        ]
    )
