"""Writes the plan of a step as C: one function for each kernel, and one for all steps of an epoch.

The text uses the vector extensions of GCC and clang and needs no header. `T` is a number, `V` a
vector of them; sizes, strides and places in memory are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minifw.compile.functions import (
    expression,
    literal,
    mask_to_number,
    number_to_mask,
    prelude,
)
from minifw.compile.parts import frame, repeats, transposing
from minifw.compile.plan import OVER_ROWS, PANEL, Kernel, Layout, Plan
from minifw.compile.values import Operand, Value, View

WIDE = 4  # vectors side by side in a tile
CHAINS = 8  # sums that must be under way at the same time, to hide the latency of an addition


class Emitter:
    """Writes the C of one plan: `text()`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.length = plan.length
        self.names: dict[str, str] = {}  # of functions, by their text
        self.comments: dict[str, list[str]] = {}  # of functions, by their name
        self.tables: dict[tuple[Value, Layout], str] = {}
        self.used: set[str] = set()  # operations
        self.repeated: set[int] = set()
        self.transposes = False

    # -------------------------------------------------------------------------------- addresses

    def _pointer(self, value: Value, layout: Layout) -> str:
        """Return the parameter of the present function that points at a value."""
        at = self._address(value, layout)
        if at not in self.parameters:
            self.parameters[at] = f"p{len(self.parameters)}"
            rows, columns = value.shape
            self.notes.append(f"{self.parameters[at]}: {value.op} {rows} x {columns} {layout}")
        return self.parameters[at]

    def _address(self, value: Value, layout: Layout) -> str:
        """Return where a value stands, as an argument."""
        if value.op == "table":
            name = self.tables.setdefault((value, layout), f"table_{len(self.tables)}")
            return f"(T *){name}"
        return f"m + {self.plan.places[value, layout]}"

    def _number(self, value: Value, view: View, row: str, column: str) -> str:
        """Return the C of one number of a view."""
        if view == "transposed":
            row, column = column, row
        elif view != "whole":
            row = row if view == "column" else "0"
            column = column if view == "row" else "0"
        layouts = self.plan.need[value]
        layout: Layout = next(one for one in ("across", "flat", "down") if one in layouts)
        if layout == "down":
            row, column = column, row
        return f"{self._pointer(value, layout)}[{self._offset(value, layout, row, column)}]"

    def _offset(self, value: Value, layout: Layout, major: str, minor: str) -> str:
        pitch = self.plan.pitch(value, layout)
        terms = [_times(major, pitch), minor]
        return " + ".join(term for term in terms if term != "0") or "0"

    def _vector(self, operand: Operand, direction: Layout, row: str, column: str) -> str:
        """Return the C of a vector of a view, from this row and column on."""
        value, view = operand
        layout = self.plan.layout_of_read(value, view, direction)
        if layout is None:
            return f"splat({self._number(value, view, row, column)})"
        major, minor = (row, column) if direction == "across" else (column, row)
        if view in ("row", "column"):
            major = "0"
        pointer = self._pointer(value, layout)
        return f"LD({pointer} + {self._offset(value, layout, major, minor)})"

    def _place(self, value: Value, direction: Layout, row: str, column: str) -> str:
        """Return the C of the vector in memory that a kernel writes."""
        major, minor = (row, column) if direction == "across" else (column, row)
        pointer = self._pointer(value, direction)
        return f"ST({pointer} + {self._offset(value, direction, major, minor)})"

    # -------------------------------------------------------------------- element-wise operations

    def _result(
        self, kernel: Kernel, direction: Layout, row: str, column: str, root: str | None = None
    ) -> list[str]:
        """Return the C of all element-wise operations on one vector, and of storing it.

        `root` is the C of the root's vector.
        """
        lines: list[str] = []
        known: dict[Value, str] = {}
        if kernel.root is not None and root is not None:
            known[kernel.root] = root
        own = set(kernel.values)

        def compute(operand: Operand) -> str:
            value = operand.value
            if value in known:
                return known[value]
            if value.op == "constant":
                return f"splat({literal(value.numbers[0], self.plan.recording.double)})"
            if value.op == "eta":
                return "splat(eta)"
            if value not in own and value not in self.plan.floating:
                text = self._vector(operand, direction, row, column)
                return number_to_mask(text) if value.is_mask else text
            arguments = [compute(one) for one in value.operands]
            if value.op == "same":
                text = arguments[0]
            else:
                self.used.add(value.op)
                text = expression(value.op, *arguments)
            kind = "VI" if _is_mask(value) else "V"
            known[value] = f"t{len(lines)}"
            lines.append(f"{kind} {known[value]} = {text};")
            return known[value]

        for value in kernel.maps:
            compute(Operand(value))
        for value in kernel.values:
            if value in self.plan.stored:
                text = known[value]
                if _is_mask(value):
                    text = mask_to_number(text)
                lines.append(f"{self._place(value, direction, row, column)} = {text};")
        return lines

    # ----------------------------------------------------------------------------------- kernels

    def _repeat(self, count: int, lines: Callable[[str, str], Sequence[str]]) -> list[str]:
        """Return lines for each of `count` numbers: as C for `lines(name, number)`.

        From three on they are a macro, so that the text stays short.
        """
        if count < 3:
            return [line for n in range(count) for line in lines(str(n), str(n))]
        self.repeated.add(count)
        body = lines("##n##", "n")
        start = "#define EACH(n) " + ("\\\n    " if len(body) > 1 else "")
        return [start + " \\\n    ".join(body), f"REPEAT_{count}(EACH)", "#undef EACH"]

    def _product(self, kernel: Kernel, direction: Layout) -> list[str]:
        """A product in tiles: sums of some rows and some vectors, held in registers.

        Each term is a number of one operand times vectors of the other one.
        """
        root, length = kernel.root, self.length
        assert root is not None
        left, right = root.operands
        rows, columns = root.shape
        terms = self.plan.inner(root)
        singles, along = (rows, columns) if direction == "across" else (columns, rows)
        vectors = -(-along // length)
        sums = self.plan.machine.registers * 3 // 4
        # Two vectors side by side leave the most registers for rows; four, if there are as many,
        # halve what is read of the other operand, which matters for the gradients of weights.
        most = WIDE if sums >= 24 and root not in self.plan.of_samples else PANEL
        wide = PANEL if kernel.panels else -(-vectors // -(-vectors // most))  # even blocks
        text: list[str] = []

        def of_tile(
            start: int, stop: int, tall: int, across: int, place: Callable[[int], str]
        ) -> None:
            """Write the loop over tiles of `tall` rows, from `start` to `stop`."""
            loops = stop - start > tall
            sets = max(1, min(terms, -(-CHAINS // (tall * across))))
            at = (lambda m: f"(i + {m})") if loops else (lambda m: _plus(start, m))
            text.append(f"for (Index i = {start}; i < {stop}; i += {tall}) {{" if loops else "{")

            def name(s: int, m: str, w: int) -> str:
                return f"c{s}_{m}_{w}"

            def zero(s: int) -> list[str]:
                def lines(m: str, n: str) -> list[str]:
                    values = []
                    for w in range(across):
                        start_at = "{0}"
                        if kernel.totals and s == 0:
                            r, c = (at(n), place(w)) if direction == "across" else (place(w), at(n))
                            start_at = self._place(root, direction, r, c).replace("ST(", "LD(", 1)
                        values.append(f"{name(s, m, w)} = {start_at}")
                    return [f"V {', '.join(values)};"]

                return self._repeat(tall, lines)

            def term(s: int, k: str) -> list[str]:
                def lines(m: str, n: str) -> list[str]:
                    if direction == "across":
                        single = self._number(left.value, left.view, at(n), k)
                    else:
                        single = self._number(right.value, right.view, k, at(n))
                    adds = " ".join(f"{name(s, m, w)} += n_ * b{w};" for w in range(across))
                    return [f"{{ T n_ = {single}; {adds} }}"]

                loads = []
                for w in range(across):
                    if kernel.panels:
                        vector = f"LD(panel + {_times(k, PANEL * length)} + {w * length})"
                    elif direction == "across":
                        vector = self._vector(right, "across", k, place(w))
                    else:
                        vector = self._vector(left, "down", place(w), k)
                    loads.append(f"V b{w} = {vector};")
                return ["{", " ".join(loads), *self._repeat(tall, lines), "}"]

            def end(m: str, n: str) -> list[str]:
                done = []
                for w in range(across):
                    if sets > 1:
                        total = " + ".join(name(s, m, w) for s in range(sets))
                        done.append(f"{name(0, m, w)} = {total};")
                    r, c = (at(n), place(w)) if direction == "across" else (place(w), at(n))
                    result = self._result(kernel, direction, r, c, name(0, m, w))
                    done.append("{ " + " ".join(result) + " }")
                return done

            for s in range(sets):
                text.extend(zero(s))
            whole = terms - terms % sets
            if whole > sets:
                text.append(f"for (Index k = 0; k < {whole}; k += {sets}) {{")
                for s in range(sets):
                    text.extend(term(s, _plus("k", str(s))))
                text.append("}")
            else:
                for s in range(whole):
                    text.extend(term(s, str(s)))
            for s in range(terms - whole):
                text.extend(term(s, str(whole + s)))
            text.extend(self._repeat(tall, end))
            text.append("}")

        def of_block(across: int, place: Callable[[int], str]) -> None:
            if kernel.panels:
                text.append(self._panel(right.value, place(0)))
            most = max(1, sums // across)
            tall = -(-singles // -(-singles // most))
            full = singles - singles % tall
            of_tile(0, full, tall, across, place)
            if full < singles:
                of_tile(full, singles, singles - full, across, place)

        blocks = vectors // wide
        if blocks > 2:
            step = wide * length
            text.append(f"for (Index v = 0; v < {blocks * step}; v += {step}) {{")
            of_block(wide, lambda w: _plus("v", str(w * length)))
            text.append("}")
        else:
            for block in range(blocks):
                of_block(wide, lambda w, block=block: str((block * wide + w) * length))
        if rest := vectors - blocks * wide:
            of_block(rest, lambda w: str((blocks * wide + w) * length))
        return text

    def _panel(self, value: Value, first: str) -> str:
        """Return the C that transposes the rows from `first` on into the panel."""
        self.transposes = True
        panel = self.parameters.setdefault(f"m + {self.plan.panel}", "panel")
        rows, columns = value.shape
        most = PANEL * self.length
        count = (
            most if rows % most == 0 else f"({rows} - {first} < {most} ? {rows} - {first} : {most})"
        )
        pitch = self.plan.pitch(value, "across")
        source = f"{self._pointer(value, 'across')} + {_times(first, pitch)}"
        return f"transpose({panel}, {source}, {count}, {columns}, {pitch}, {most});"

    def _over_rows(self, kernel: Kernel) -> list[str]:
        """A sum (largest, smallest) over the rows: of vectors along the columns."""
        root, length = kernel.root, self.length
        assert root is not None
        (operand,) = root.operands
        columns = root.shape[1]
        value = operand.value
        rows = value.shape[1 if operand.view == "transposed" else 0]
        text = []
        vectors = -(-columns // length)
        for first in range(0, vectors, WIDE):
            across = min(WIDE, vectors - first)
            at = [str((first + w) * length) for w in range(across)]
            sets = max(1, min(rows, -(-CHAINS // across)))
            whole = rows - rows % sets
            text.append("{")
            for s in range(sets):
                for w in range(across):
                    start = self._vector(operand, "across", str(s), at[w])
                    begin = "{0}" if root.op == "sum_rows" else start
                    if kernel.totals and s == 0:
                        begin = self._place(root, "across", "0", at[w]).replace("ST(", "LD(", 1)
                    text.append(f"V c{s}_{w} = {begin};")

            def add(s: int, row: str, at: Sequence[str] = at) -> list[str]:
                sums = [f"c{s}_{w}" for w in range(len(at))]
                rows = [self._vector(operand, "across", row, place) for place in at]
                return [
                    f"{c} = {self._combined(root, c, r)};" for c, r in zip(sums, rows, strict=True)
                ]

            text.append(f"for (Index i = 0; i < {whole}; i += {sets}) {{")
            for s in range(sets):
                text += add(s, _plus("i", str(s)))
            text.append("}")
            for s in range(rows - whole):
                text += add(s, str(whole + s))
            for w in range(across):
                for s in range(1, sets):
                    text.append(f"c0_{w} = {self._combined(root, f'c0_{w}', f'c{s}_{w}')};")
                result = self._result(kernel, "across", "0", at[w], f"c0_{w}")
                text.append("{ " + " ".join(result) + " }")
            text.append("}")
        return text

    def _combined(self, root: Value, a: str, b: str) -> str:
        if root.op.startswith("sum"):
            return f"{a} + {b}"
        op = "maximum" if root.op.startswith("max") else "minimum"
        self.used.add(op)
        return expression(op, a, b)

    def _over_columns(self, kernel: Kernel) -> list[str]:
        """A sum (largest, smallest) over the columns: of vectors along the rows."""
        root = kernel.root
        assert root is not None
        (operand,) = root.operands
        columns = operand.value.shape[0 if operand.view == "transposed" else 1]

        def add(column: str) -> str:
            vector = self._vector(operand, "down", "i", column)
            return f"c = {self._combined(root, 'c', vector)};"

        return [
            f"for (Index i = 0; i < {self.plan.padded(root.shape[0])}; i += {self.length}) {{",
            f"V c = {self._vector(operand, 'down', 'i', '0')};",
            f"for (Index j = 1; j < {columns}; j++) {add('j')}",
            *self._result(kernel, "down", "i", "0", "c"),
            "}",
        ]

    def _element_wise(self, kernel: Kernel, direction: Layout) -> list[str]:
        rows, columns = kernel.shape
        outer, inner = (rows, columns) if direction == "across" else (columns, rows)
        vectors = -(-inner // self.length)
        text = [f"for (Index i = 0; i < {outer}; i++) {{"] if outer > 1 else ["{"]
        major = "i" if outer > 1 else "0"

        def body(minor: str) -> list[str]:
            at = (major, minor) if direction == "across" else (minor, major)
            return ["{ " + " ".join(self._result(kernel, direction, *at)) + " }"]

        if vectors > WIDE:
            text.append(f"for (Index v = 0; v < {vectors * self.length}; v += {self.length})")
            text += body("v")
        else:
            for w in range(vectors):
                text += body(str(w * self.length))
        return [*text, "}"]

    def _copy(self, kernel: Kernel) -> list[str]:
        """Copies of pieces, number by number."""
        root = kernel.root
        assert root is not None
        to = self._pointer(root, "flat")
        count = root.shape[0] * root.shape[1]
        text = [f"for (Index i = 0; i < {count}; i++) {to}[i] = 0;"]
        for piece in root.pieces:
            indices = [f"i{n}" for n in range(len(piece.sizes))]
            text += [
                f"for (Index {i} = 0; {i} < {size}; {i}++)"
                for i, size in zip(indices, piece.sizes, strict=True)
            ]
            source = self._pointer(piece.value, "flat")

            def at(start: int, strides: Sequence[int], indices: list[str] = indices) -> str:
                terms = [_times(i, s) for i, s in zip(indices, strides, strict=True)]
                return " + ".join([str(start), *(term for term in terms if term != "0")])

            text.append(
                f"{to}[{at(piece.to_start, piece.to_strides)}] = "
                f"{source}[{at(piece.start, piece.strides)}];"
            )
        return text

    def _function(self, kernel: Kernel, direction: Layout) -> str:
        """Write the function of a kernel, once for the same text; return the call of it."""
        self.parameters: dict[str, str] = {}
        self.notes: list[str] = []
        root = kernel.root
        if root is None:
            body = self._element_wise(kernel, direction)
        elif root.op == "product":
            body = self._product(kernel, direction)
        elif root.op == "copy":
            body = self._copy(kernel)
        elif root.op in OVER_ROWS:
            body = self._over_rows(kernel)
        else:
            body = self._over_columns(kernel)
        parameters = ", ".join(f"T *restrict {name}" for name in self.parameters.values())
        text = f"({parameters}, const T eta) {{\n" + "\n".join(_indented(body)) + "\n}\n"
        name = self.names.setdefault(text, f"kernel_{len(self.names)}")
        known = self.comments.setdefault(name, [])
        comment = [*self._comment(kernel, direction), f"[{', '.join(self.notes)}]"]
        known += [line for line in comment if line not in known]
        return f"{name}({', '.join(self.parameters)}, eta);"

    def _comment(self, kernel: Kernel, direction: Layout) -> list[str]:
        """Say what a kernel computes: its modules, and the lines of their code."""
        lines = []
        for value in kernel.values:
            module, line = value.origin
            if module or line:
                lines.append(f"{module}: {line}".replace("*/", "* /"))
        rows, columns = kernel.shape
        what = kernel.root.op if kernel.root is not None else "element by element"
        if kernel.root is not None and kernel.root.op == "product":
            what = f"product of {rows} x {self.plan.inner(kernel.root)} x {columns}"
        lines.append(f"[{what}, result {rows} x {columns}, vectors {direction}]")
        return [*dict.fromkeys(lines)]

    # -------------------------------------------------------------------------------- whole text

    def _conversion(self, value: Value, source: Layout, to: Layout) -> str:
        rows, columns = value.shape
        a, b = self._address(value, source), self._address(value, to)
        if {source, to} == {"across", "down"}:
            self.transposes = True
            if source == "down":
                rows, columns = columns, rows
            pitches = self.plan.pitch(value, source), self.plan.pitch(value, to)
            return f"transpose({b}, {a}, {rows}, {columns}, {pitches[0]}, {pitches[1]});"
        return self._copied(b, value, to, a, source)

    def _copied(self, to: str, value: Value, layout: Layout, source: str, of: Layout) -> str:
        rows, columns = value.shape
        strides = [*self._strides(value, layout), *self._strides(value, of)]
        return f"copy({to}, {source}, {rows}, {columns}, {', '.join(map(str, strides))});"

    def _strides(self, value: Value, layout: Layout) -> tuple[int, int]:
        """Return the numbers from one row to the next, and from one column to the next."""
        pitch = self.plan.pitch(value, layout)
        return (1, pitch) if layout == "down" else (pitch, 1)

    def _calls(self, stage: int) -> list[str]:
        calls = []
        for kernel in self.plan.kernels:
            if self.plan.stage(kernel) != stage and self.plan.chunk < self.plan.batch:
                continue
            calls += [self._function(kernel, direction) for direction in kernel.directions]
            if not kernel.totals:
                calls += [self._conversion(*one) for one in kernel.conversions]
        return calls

    def text(self) -> str:
        """Return the C of the step."""
        plan, recording = self.plan, self.plan.recording
        chunked = plan.chunk < plan.batch
        stages = [self._calls(stage) for stage in ((0, 1, 2) if chunked else (1,))]
        chunks = plan.batch // plan.chunk
        body: list[str] = []
        if chunked:
            totals = [k for k in plan.kernels if k.totals]
            body += stages[0]
            body += [
                f"zero({self._address(value, layout)}, {plan.size(value, layout)});"
                for kernel in totals
                for value, layout in ((kernel.values[0], kernel.directions[0]),)
            ]
            body.append(f"for (Index chunk = 0; chunk < {chunks}; chunk++) {{")
        of_chunk = []
        for value, source in ((recording.x, "x"), (recording.target, "target")):
            for layout in sorted(plan.need.get(value, ())):
                rows, columns = value.shape
                strides = ", ".join(map(str, self._strides(value, layout)))
                gather = "gather_classes" if source == "target" and recording.classes else "gather"
                at = f"first + chunk * {rows}" if chunked else "first"
                of_chunk.append(
                    f"{gather}({self._address(value, layout)}, {source}, order, {at}, "
                    f"{rows}, {columns}, {strides});"
                )
        of_chunk += stages[1] if chunked else stages[0]
        for output in recording.outputs:
            rows, columns = output.shape
            layout = sorted(plan.need[output])[0]
            to = f"output + chunk * {rows * columns}" if chunked else "output"
            flat = ", ".join(map(str, (columns, 1)))
            strides = ", ".join(map(str, self._strides(output, layout)))
            of_chunk.append(
                f"if (output) copy({to}, {self._address(output, layout)}, {rows}, {columns}, "
                f"{flat}, {strides});"
            )
        body += [f"  {line}" for line in of_chunk] if chunked else of_chunk
        if chunked:
            body.append("}")
            for kernel in plan.kernels:
                if kernel.totals:
                    body += [self._conversion(*one) for one in kernel.conversions]
            body += stages[2]
        load, store, check = [], [], []
        for before, after in zip(recording.before, recording.after, strict=True):
            rows, columns = before.shape
            tensor = f"state[{before.position}] + lane * {rows * columns}"
            for layout in sorted(plan.need[before]):
                load.append(self._outside(before, layout, tensor, load=True))
                if after in plan.apart:
                    a, b = self._address(before, layout), self._address(after, layout)
                    body.append(f"move({a}, {b}, {plan.size(before, layout)});")
            if after is not before:
                layout = sorted(plan.need[before])[0]
                store.append(self._outside(before, layout, tensor, load=False))
                check.append(f"sum += zero_if_finite({tensor}, {rows * columns});")
        functions = []
        for function, name in self.names.items():
            comment = "\n   ".join(self.comments[name])
            functions.append(f"/* {comment} */\nNOINLINE static void {name}{function}")
        tables = [self._table(*stored, name) for stored, name in self.tables.items()]
        size = sum(v.shape[0] * v.shape[1] for v in recording.outputs) * chunks
        number = "float64" if recording.double else "float32"
        parts = [
            f"/* One training step on {plan.batch} samples, for each lane of a stack: "
            f"{len(functions)} kernels,\n   vectors of {self.length} {number} numbers. */",
            prelude(recording.double, plan.machine.vector_bytes, self.used),
            frame(),
            repeats(self.repeated),
            transposing(self.length) if self.transposes else "",
            f"typedef {'Index' if recording.classes else 'T'} Target;\n",
            *tables,
            *functions,
            _step(body),
            _all_steps(load, store, check, plan.batch, size),
            f"/* The numbers of a lane's memory. */\nEXPORT Index memory = {plan.memory};\n",
        ]
        return "\n".join(part for part in parts if part)

    def _outside(self, value: Value, layout: Layout, tensor: str, *, load: bool) -> str:
        """Return the C that copies a state from its tensor into the memory, or back."""
        at = self._address(value, layout)
        rows, columns = value.shape
        inside = ", ".join(map(str, self._strides(value, layout)))
        if load:
            return f"copy({at}, {tensor}, {rows}, {columns}, {inside}, {columns}, 1);"
        return f"copy({tensor}, {at}, {rows}, {columns}, {columns}, 1, {inside});"

    def _table(self, value: Value, layout: Layout, name: str) -> str:
        rows, columns = value.shape
        pitch = self.plan.pitch(value, layout)
        numbers = ["0"] * self.plan.size(value, layout)
        for r in range(rows):
            for c in range(columns):
                at = c * pitch + r if layout == "down" else r * pitch + c
                numbers[at] = literal(value.numbers[r * columns + c], self.plan.recording.double)
        return f"static const T {name}[] ALIGNED = {{{', '.join(numbers)}}};"


def _step(body: list[str]) -> str:
    return f"""
/* One step of one lane, whose memory is m. */
static void step(T *restrict m, const T *restrict x, const Target *restrict target,
                 const Index *restrict order, Index first, const T eta, T *restrict output) {{
{_block(body, 2)}
}}
"""


def _all_steps(load: list[str], store: list[str], check: list[str], batch: int, output: int) -> str:
    return f"""
/* All steps of all lanes. A lane's weights stay in its memory through all steps. */
EXPORT void run(Index lanes, Index steps, Index first, T *const *state, const T *x, Index x_lane,
                const Target *target, Index target_lane, const Index *order, Index order_lane,
                const T *eta, Index eta_lane, T *output, T *finite, T *restrict m) {{
  const __typeof__(flush_denormals()) usual = flush_denormals();
  for (Index lane = 0; lane < lanes; lane++) {{
{_block(load, 4)}
    for (Index n = 0; n < steps; n++)
      step(m, x + lane * x_lane, target + lane * target_lane,
           order ? order + lane * order_lane : 0, first + n * {batch}, eta[lane * eta_lane],
           n == steps - 1 ? output + lane * {output} : 0);
{_block(store, 4)}
    if (finite) {{
      T sum = 0;
{_block(check, 6)}
      finite[lane] = sum;
    }}
  }}
  restore(usual);
}}
"""


def _block(lines: list[str], indent: int) -> str:
    return "\n".join(" " * indent + line for line in lines)


def _is_mask(value: Value) -> bool:
    if value.op == "same":
        return _is_mask(value.operands[0].value)
    return value.is_mask


def _times(index: str, factor: int) -> str:
    if index.isdigit():
        return str(int(index) * factor)
    return "0" if factor == 0 else index if factor == 1 else f"{index} * {factor}"


def _plus(index: str | int, number: str) -> str:
    if str(index).isdigit() and number.isdigit():
        return str(int(index) + int(number))
    return str(index) if number == "0" else f"({index} + {number})"


def _indented(lines: list[str]) -> list[str]:
    depth, result = 1, []
    for line in lines:
        depth -= line.startswith("}")
        result.append(line if line.startswith("#") else "  " * depth + line)
        depth += line.count("{") - line.count("}") + line.startswith("}")
    return result
