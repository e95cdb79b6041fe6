"""The C of a matrix product whose vectors run along the terms of its sums.

Each sum is a vector until the last term; then the numbers of as many vectors as a vector has
numbers are added up at the same time, in a tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from minifw.compile.copies import Window
from minifw.compile.kernels import KernelText, plus, times
from minifw.compile.loops import Layout
from minifw.compile.values import Operand

RUN = 1024
"""Terms of long sums that are taken at a time."""


class Dots(KernelText):
    """A product: of some rows and all columns where these are few, else of a row and a vector."""

    def body(self) -> list[str]:
        rows, columns = self.root.shape
        wide = min(columns, self.length)
        tall = min(rows, self.length // wide)
        whole = rows - rows % tall if rows > tall else 0
        text = []
        for first in range(0, columns, wide):
            some = range(first, min(first + wide, columns))
            if whole:
                text.append(f"for (Index i = 0; i < {whole}; i += {tall}) {{")
                text += [*self._tile([plus("i", str(n)) for n in range(tall)], some), "}"]
            if whole < rows:
                text += ["{", *self._tile([str(n) for n in range(whole, rows)], some), "}"]
        return text

    def _tile(self, rows: Sequence[str], columns: range) -> list[str]:
        """Return the C for these rows and columns: at most as many sums as a vector has numbers."""
        left, right = self.root.operands
        terms = self.plan.inner(self.root)
        names = [f"c{m}_{n}" for m in range(len(rows)) for n in range(len(columns))]
        text = [f"V {' = {0}, '.join(names)} = {{0}};"]
        for k in range(0, terms, self.length):
            count = min(self.length, terms - k)
            text.append("{")
            for m, row in enumerate(rows):
                text.append(f"V a{m} = {self._first(count, left, 'across', row, str(k))};")
            for n, column in enumerate(columns):
                vector = self._first(count, right, "down", str(k), str(column))
                adds = " ".join(f"c{m}_{n} += a{m} * b;" for m in range(len(rows)))
                text.append(f"{{ V b = {vector}; {adds} }}")
            text.append("}")
        rounds, total = sums_of_vectors(names, self.length)
        text += rounds
        if len(rows) == 1:
            return [*text, self.result(rows[0], str(columns[0]), total)]
        for m, row in enumerate(rows):  # its sums come first; after them may follow anything
            order = ", ".join(str((m * len(columns) + n) % self.length) for n in range(self.length))
            text.append(self.result(row, "0", f"SHUFFLE({total}, {total}, {order})"))
        return text

    def _first(self, count: int, operand: Operand, along: Layout, row: str, column: str) -> str:
        """Return the C of the first numbers of a vector, then zeros: padding may hold anything."""
        vector = self.vector(operand, along, row, column)
        if count == self.length:
            return vector
        bits = ", ".join("-1" if n < count else "0" for n in range(self.length))
        return f"(V)((VI){vector} & (VI){{{bits}}})"


class LongDots(KernelText):
    """A product of few rows and columns whose sums have very many terms.

    The terms are taken in runs that stay in the first cache. A tile of sums is a vector each while
    it goes through a run; what its numbers add up to is added to an array of all sums.
    """

    def body(self) -> list[str]:
        rows, columns = self.root.shape
        left, right = self.root.operands
        terms, pitch = self.plan.inner(self.root), self.plan.padded(columns)
        window = self.plan.windows.get(left.value)
        if window is None:
            run = _run(terms, self.length)
            starts = [r * self.plan.pitch(left.value, "across") for r in range(rows)]
            window = Window(left.value, tuple(starts), ((terms // run, run),), run)
        self.window, self.pitch = window, pitch
        self.left = self.pointer(window.source, "flat")
        self.right = self.pointer(right.value, "across")
        text = [
            f"static const Index row_at[] = {{{', '.join(map(str, window.rows))}}};",
            f"T sums[{rows * pitch}] ALIGNED;",
            f"for (Index i = 0; i < {rows * pitch}; i++) sums[i] = 0;",
        ]
        at, column = "0", "0"
        for n, (size, stride) in enumerate(window.outer):
            text.append(f"for (Index o{n} = 0; o{n} < {size}; o{n}++) {{")
            column, at = plus(times(column, size), f"o{n}"), plus(at, times(f"o{n}", stride))
        if not window.outer:
            text.append("{")
        text.append(f"const Index column = {times(column, window.run)}, at = {at};")
        wide = min(columns, 4 if self.plan.machine.registers > 16 else 3)
        tall = self.plan.machine.registers * 3 // 4 // wide
        for first in range(0, columns, wide):
            some = range(first, min(first + wide, columns))
            whole = rows - rows % tall
            if whole:
                text.append(f"for (Index i = 0; i < {whole}; i += {tall}) {{")
                text += [*self._sums("i", tall, some), "}"]
            if whole < rows:
                text += ["{", *self._sums(str(whole), rows - whole, some), "}"]
        text += ["}"] * max(1, len(window.outer))
        text.append(f"for (Index i = 0; i < {rows}; i++) {{")
        for v in range(0, columns, self.length):
            total = f"LD(sums + i * {pitch} + {v})"
            if self.kernel.totals:
                total = f"(LD({self.place(self.root, 'i', str(v))}) + {total})"
            text.append(self.result("i", str(v), total))
        return [*text, "}"]

    def _sums(self, row: str, tall: int, columns: range) -> list[str]:
        """Return the C that adds a run's terms to the sums of some rows and columns."""
        names = [f"c{m}_{n}" for m in range(tall) for n in range(len(columns))]
        terms = self.plan.pitch(self.root.operands[1].value, "across")
        text = [f"V {' = {0}, '.join(names)} = {{0}};"]
        text += [
            f"const T *a{m} = {self.left} + at + row_at[{plus(row, str(m))}];" for m in range(tall)
        ]
        text.append(f"const T *b = {self.right} + column;")
        text.append(f"for (Index v = 0; v < {self.window.run}; v += {self.length}) {{")
        for n, column in enumerate(columns):
            text.append(f"V b{n} = LD(b + {column * terms} + v);")
        for m in range(tall):
            adds = " ".join(f"c{m}_{n} += a * b{n};" for n in range(len(columns)))
            text.append(f"{{ V a = LD(a{m} + v); {adds} }}")
        text.append("}")
        for first in range(0, len(names), self.length):
            group = names[first : first + self.length]
            rounds, total = sums_of_vectors(group, self.length)
            text += ["{", *rounds, "T all[LENGTH] ALIGNED;", f"ST(all) = {total};"]
            for k in range(len(group)):
                m, n = divmod(first + k, len(columns))
                place = plus(times(plus(row, str(m)), self.pitch), str(columns[n]))
                text.append(f"sums[{place}] += all[{k}];")
            text.append("}")
        return text


def _run(terms: int, length: int) -> int:
    """Return a divisor of the terms that is whole vectors, near RUN."""
    vectors = terms // length
    fits = [n for n in range(1, vectors + 1) if vectors % n == 0 and n * length <= 2 * RUN]
    return length * fits[-1]


def sums_of_vectors(vectors: Sequence[str], length: int) -> tuple[list[str], str]:
    """Return the C that adds up the numbers of each vector, and the name of the vector of sums.

    In each round two vectors become one: halves of their parts of sums are added to the other
    halves. 16 vectors of 16 numbers take 15 additions and 30 shuffles.

    Args:
        vectors: at most `length` names.
        length: numbers in a vector.

    """
    text, now, size = list[str](), [*vectors], length
    while size > 1:
        half = size // 2
        starts = [source + part for source in (0, length) for part in range(0, length, size)]
        low = ", ".join(str(start + n) for start in starts for n in range(half))
        high = ", ".join(str(start + half + n) for start in starts for n in range(half))
        pairs = [(now[n], now[min(n + 1, len(now) - 1)]) for n in range(0, len(now), 2)]
        now = [f"s{size}_{n}" for n in range(len(pairs))]
        text += [
            f"V {name} = SHUFFLE({a}, {b}, {low}) + SHUFFLE({a}, {b}, {high});"
            for name, (a, b) in zip(now, pairs, strict=True)
        ]
        size = half
    return text, now[0]
