"""The C of a matrix product, in tiles that stay in registers.

A tile of the result is some numbers high and some vectors wide. Each term of its sums is a number
of one operand times vectors of the other one; all sums of a tile are held in registers until the
last term. The tiles are written out, since compilers make code that is several times slower from
loops over an array of sums (docs/compile.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minifw.compile.copies import Window
from minifw.compile.functions import literal
from minifw.compile.kernels import CHAINS, WIDE, KernelText, plus, times
from minifw.compile.plan import PANEL
from minifw.compile.values import Value

LONG = 128  # terms from which on UNROLLED ones are written out in the loop
UNROLLED = 4
FIRST_CACHE = 32 * 1024  # bytes
LINE = 64  # bytes that are fetched at the same time


@dataclass(frozen=True)
class Tiles:
    """A loop over tiles: `tall` numbers from `start` to `stop`, `wide` vectors at `place(w)`."""

    start: int
    stop: int
    tall: int
    wide: int
    place: Callable[[int], str]
    sets: int
    """Sums for each number of the result, so that enough are under way at the same time."""

    @property
    def loops(self) -> bool:
        """Whether there are several tiles."""
        return self.stop - self.start > self.tall

    def at(self, n: str) -> str:
        """Return the C of the position of the tile's n-th number."""
        return plus("i" if self.loops else str(self.start), n)


class Product(KernelText):
    """A product. Along the columns, numbers of the left operand meet vectors of the right one."""

    def body(self) -> list[str]:
        rows, columns = self.root.shape
        self.terms = self.plan.inner(self.root)
        self.across = self.direction == "across"
        self.numbers, along = (rows, columns) if self.across else (columns, rows)
        vectors = -(-along // self.length)
        # Four vectors side by side halve how often the numbers are loaded; with few registers they
        # leave tiles of three numbers only, which was slower than two vectors and six numbers.
        self.sums = self.plan.machine.registers * 3 // 4
        most = WIDE if self.sums >= 24 else PANEL
        self.scaled, self.scale = self._scale()
        self.window = self.plan.windows.get(self.root.operands[1].value)
        if self.window is not None:
            vectors = self.window.run // self.length
        wide = PANEL if self.kernel.panels else -(-vectors // -(-vectors // most))  # even blocks
        text: list[str] = self._windows(self.window) if self.window is not None else []
        blocks, step = vectors // wide, wide * self.length
        if blocks > 2:
            text.append(f"for (Index v = 0; v < {blocks * step}; v += {step}) {{")
            text += self._block(wide, "v")
            text.append("}")
        else:
            for block in range(blocks):
                text += self._block(wide, str(block * step))
        if rest := vectors - blocks * wide:
            text += self._block(rest, str(blocks * step))
        return text + ["}"] * (0 if self.window is None else max(1, len(self.window.outer)))

    def _windows(self, window: Window) -> list[str]:
        """Return the C of the loops over the columns that do not stand side by side."""
        text = [f"static const Index row_at[] = {{{', '.join(map(str, window.rows))}}};"]
        indices = [f"o{n}" for n in range(len(window.outer))]
        column, at = "0", "0"
        for index, (size, stride) in zip(indices, window.outer, strict=True):
            text.append(f"for (Index {index} = 0; {index} < {size}; {index}++) {{")
            column = plus(times(f"{column}", size), index)
            at = plus(at, times(index, stride))
        if not indices:
            text.append("{")
        text.append(f"const Index column = {times(column, window.run)}, at = {at};")
        return text

    def _block(self, wide: int, first: str) -> list[str]:
        """Return the C for `wide` vectors from `first` on, and all numbers."""
        text = self._panel(first) if self.kernel.panels else []
        most = max(1, self.sums // wide)
        tall = -(-self.numbers // -(-self.numbers // most))
        whole = self.numbers - self.numbers % tall
        for start, stop, high in ((0, whole, tall), (whole, self.numbers, self.numbers - whole)):
            if start < stop:
                sets = max(1, min(self.terms, -(-CHAINS // (high * wide))))
                tiles = Tiles(
                    start, stop, high, wide, lambda w: plus(first, str(w * self.length)), sets
                )
                text += self._tiles(tiles)
        return text

    def _tiles(self, tiles: Tiles) -> list[str]:
        sets = tiles.sets
        # Several terms in a round of the loop are faster where the loop is long.
        step = max(sets, UNROLLED // sets * sets) if self.terms >= LONG else sets
        whole = self.terms - self.terms % step
        text = ["{"]
        if tiles.loops:
            text = [f"for (Index i = {tiles.start}; i < {tiles.stop}; i += {tiles.tall}) {{"]
        for s in range(sets):
            text += self.repeat(tiles.tall, lambda m, n, s=s: self._begin(tiles, s, m, n))  # type: ignore[misc]
        text += (
            self.repeat(tiles.tall, lambda m, n: self._fetch(tiles, n)) if self._is_far() else []
        )
        if whole > step:
            text.append(f"for (Index k = 0; k < {whole}; k += {step}) {{")
            for s in range(step):
                text += self._term(tiles, s % sets, plus("k", str(s)))
            text.append("}")
        else:
            text += [line for s in range(whole) for line in self._term(tiles, s % sets, str(s))]
        for s in range(self.terms - whole):
            text += self._term(tiles, s % sets, str(whole + s))
        text += self.repeat(tiles.tall, lambda m, n: self._end(tiles, m, n))
        return [*text, "}"]

    def _scale(self) -> tuple[Value, str]:
        """Return the value that a tile's sums are, and the factor of its vectors.

        A product of one term that is only multiplied by a number (the learning rate) is multiplied
        before: there are fewer vectors than sums.
        """
        users = [v for v in self.kernel.maps if any(o.value is self.root for o in v.operands)]
        if self.terms == 1 and self.root not in self.plan.stored and len(users) == 1:
            factors = [o.value for o in users[0].operands if o.value is not self.root]
            if users[0].op == "mul" and len(factors) == 1:
                if factors[0].op == "eta":
                    return users[0], " * splat(eta)"
                if factors[0].op == "constant":
                    number = literal(factors[0].numbers[0], self.plan.recording.double)
                    return users[0], f" * splat({number})"
        return self.root, ""

    def _is_far(self) -> bool:
        """Whether the result is combined with a weight that the first cache does not hold."""
        rows, columns = self.root.shape
        return (
            rows * columns * self.plan.number_bytes >= FIRST_CACHE
            and not self.kernel.totals
            and not {*self.kernel.maps}.isdisjoint(self.plan.recording.after)
        )

    def _fetch(self, tiles: Tiles, n: str) -> list[str]:
        """Return the C that asks for the weights of a tile before its sums are made."""
        weights = [v for v in self.kernel.maps if v in self.plan.recording.after]
        places = range(0, tiles.wide, max(1, LINE // self.plan.machine.vector_bytes))
        return [
            f"__builtin_prefetch({self.place(value, *self._where(tiles, w, n))}, 1);"
            for value in weights
            for w in places
        ]

    def _begin(self, tiles: Tiles, s: int, m: str, n: str) -> list[str]:
        """Return the C of the sums' first values: 0, or the total of earlier chunks."""
        values = []
        for w in range(tiles.wide):
            total = self.kernel.totals and s == 0
            begin = f"LD({self.place(self.root, *self._where(tiles, w, n))})" if total else "{0}"
            values.append(f"c{s}_{m}_{w} = {begin}")
        return [f"V {', '.join(values)};"]

    def _term(self, tiles: Tiles, s: int, k: str) -> list[str]:
        """Return the C that adds the k-th term to all sums of a set."""
        left, right = self.root.operands
        loads = []
        for w in range(tiles.wide):
            if self.kernel.panels:
                vector = f"LD(panel + {times(k, PANEL * self.length)} + {w * self.length})"
            elif self.window is not None:
                source = self.pointer(self.window.source, "flat")
                vector = f"LD({source} + at + row_at[{k}] + {tiles.place(w)})"
            elif self.across:
                vector = self.vector(right, "across", k, tiles.place(w))
            else:
                vector = self.vector(left, "down", tiles.place(w), k)
            loads.append(f"V b{w} = {vector}{self.scale};")

        def add(m: str, n: str) -> list[str]:
            if self.across:
                number = self.number(left.value, left.view, tiles.at(n), k)
            else:
                number = self.number(right.value, right.view, k, tiles.at(n))
            adds = " ".join(f"c{s}_{m}_{w} += a * b{w};" for w in range(tiles.wide))
            return [f"{{ T a = {number}; {adds} }}"]

        return ["{", " ".join(loads), *self.repeat(tiles.tall, add), "}"]

    def _end(self, tiles: Tiles, m: str, n: str) -> list[str]:
        """Return the C of what follows the last term."""
        text = []
        for w in range(tiles.wide):
            total = f"c0_{m}_{w}"
            if tiles.sets > 1:
                text.append(f"{total} = {' + '.join(f'c{s}_{m}_{w}' for s in range(tiles.sets))};")
            text.append(self.result(*self._where(tiles, w, n), total, self.scaled))
        return text

    def _where(self, tiles: Tiles, w: int, n: str) -> tuple[str, str]:
        """Return row and column of a vector of the result."""
        number, vector = tiles.at(n), tiles.place(w)
        if self.window is not None:
            vector = plus("column", vector)
        return (number, vector) if self.across else (vector, number)

    def _panel(self, first: str) -> list[str]:
        """Return the C that transposes rows of the right operand from `first` on."""
        value = self.root.operands[1].value
        self.shared.transposes = True
        panel = self.parameters.setdefault(f"m + {self.plan.panel}", "panel")
        rows, columns = value.shape
        most = PANEL * self.length
        left = f"{rows} - {first}"
        count = str(most) if rows % most == 0 else f"({left} < {most} ? {left} : {most})"
        pitch = self.plan.pitch(value, "across")
        source = plus(self.pointer(value, "across"), times(first, pitch))
        return [f"transpose({panel}, {source}, {count}, {columns}, {pitch}, {most});"]
