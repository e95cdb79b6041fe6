"""The C of a matrix product, in tiles that stay in registers.

A tile of the result is some numbers high and some vectors wide. Each term of its sums is a number
of one operand times vectors of the other one; all sums of a tile are held in registers until the
last term. The tiles are written out, since compilers make code that is several times slower from
loops over an array of sums (docs/compile.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minifw.compile.kernels import CHAINS, WIDE, KernelText, plus, times
from minifw.compile.plan import PANEL


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
        # Two vectors side by side leave the most registers for numbers; four, if registers are
        # many, halve how often the numbers are loaded. That matters where these are samples.
        self.sums = self.plan.machine.registers * 3 // 4
        most = WIDE if self.sums >= 24 and self.root not in self.plan.of_samples else PANEL
        wide = PANEL if self.kernel.panels else -(-vectors // -(-vectors // most))  # even blocks
        text: list[str] = []
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
        whole = self.terms - self.terms % sets
        text = ["{"]
        if tiles.loops:
            text = [f"for (Index i = {tiles.start}; i < {tiles.stop}; i += {tiles.tall}) {{"]
        for s in range(sets):
            text += self.repeat(tiles.tall, lambda m, n, s=s: self._begin(tiles, s, m, n))  # type: ignore[misc]
        if whole > sets:
            text.append(f"for (Index k = 0; k < {whole}; k += {sets}) {{")
            text += [line for s in range(sets) for line in self._term(tiles, s, plus("k", str(s)))]
            text.append("}")
        else:
            text += [line for s in range(whole) for line in self._term(tiles, s, str(s))]
        for s in range(self.terms - whole):
            text += self._term(tiles, s, str(whole + s))
        text += self.repeat(tiles.tall, lambda m, n: self._end(tiles, m, n))
        return [*text, "}"]

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
            elif self.across:
                vector = self.vector(right, "across", k, tiles.place(w))
            else:
                vector = self.vector(left, "down", tiles.place(w), k)
            loads.append(f"V b{w} = {vector};")

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
            text.append(self.result(*self._where(tiles, w, n), total))
        return text

    def _where(self, tiles: Tiles, w: int, n: str) -> tuple[str, str]:
        """Return row and column of a vector of the result."""
        number, vector = tiles.at(n), tiles.place(w)
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
