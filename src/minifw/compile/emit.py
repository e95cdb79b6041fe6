"""Writes the plan of a step as C: one function for each kernel, and one for all steps of an epoch.

The text uses the vector extensions of GCC and clang and needs no header. `T` is a number, `V` a
vector of them; sizes, strides and places in memory are constants.
"""

from __future__ import annotations

from minifw.compile.dots import Dots, LongDots
from minifw.compile.functions import literal, prelude
from minifw.compile.kernels import (
    AlongRows,
    Copy,
    ElementWise,
    KernelText,
    OverColumns,
    OverRows,
    Shared,
    address,
)
from minifw.compile.loops import OVER_ROWS, Kernel, Layout
from minifw.compile.parts import frame, repeats, transposing
from minifw.compile.plan import Plan
from minifw.compile.products import Product
from minifw.compile.values import Value

PARAMETERS = 4  # in a line


class Emitter:
    """Writes the C of one plan: `text()`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.length = plan.length
        self.names: dict[str, str] = {}
        """The names of the kernels' functions, by their text."""
        self._comments: dict[str, list[str]] = {}
        self._notes: dict[str, list[str]] = {}
        """What a kernel's loops and parameters are: the last lines of its comment."""
        self._shared = Shared()

    # ----------------------------------------------------------------------------------- kernels

    def _call(self, kernel: Kernel, direction: Layout) -> str:
        """Write the function of a kernel, once for the same text; return the call of it."""
        kernel_text = _kind(kernel)(self.plan, kernel, direction, self._shared)
        lines = _indented(kernel_text.body())
        pointers = [f"T *restrict {name}" for name in kernel_text.parameters.values()]
        parameters = ",\n    ".join(_in_rows([*pointers, "const T eta"]))
        text = f"({parameters}) {{\n" + "\n".join(lines) + "\n}\n"
        name = self.names.setdefault(text, f"kernel_{len(self.names)}")
        notes = [f"[{row}]" for row in _in_rows(kernel_text.notes)]
        for known, comment in (
            (self._comments.setdefault(name, []), _origins(kernel)),
            (self._notes.setdefault(name, []), [self._loops(kernel, direction), *notes]),
        ):
            new = [line for line in comment if line not in known]
            same = known and new and known is self._comments[name]
            known += ["The same for", *new] if same else new
        return f"{name}({', '.join(kernel_text.parameters)}, eta);"

    def _loops(self, kernel: Kernel, direction: Layout) -> str:
        """Say what the loops of a kernel are."""
        rows, columns = kernel.shape
        what = kernel.root.op if kernel.root is not None else "element by element"
        if kernel.root is not None and kernel.root.op == "product":
            what = f"product of {rows} x {self.plan.inner(kernel.root)} x {columns}"
        return f"[{what}, result {rows} x {columns}, vectors {direction}]"

    # -------------------------------------------------------------------------------- whole text

    def _at(self, value: Value, layout: Layout) -> str:
        return address(self.plan, value, layout, self._shared)

    def _conversion(self, value: Value, source: Layout, to: Layout) -> str:
        rows, columns = value.shape
        a, b = self._at(value, source), self._at(value, to)
        if {source, to} == {"across", "down"}:
            self._shared.transposes = True
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
        """Return the calls of the kernels before, in and after the loop over chunks: 0, 1, 2."""
        calls = []
        for kernel in self.plan.kernels:
            if self.plan.stage(kernel) == stage:
                calls += [self._call(kernel, direction) for direction in kernel.directions]
                if not kernel.totals:
                    calls += [self._conversion(*one) for one in kernel.conversions]
        return calls

    def _gathers(self, chunk: str) -> list[str]:
        """Return the calls that bring the samples into the memory."""
        recording, calls = self.plan.recording, []
        of_target = "gather_classes" if recording.classes else "gather"
        for value, name, source in (
            (recording.x, "gather", "x"),
            (recording.target, of_target, "target"),
        ):
            rows, columns = value.shape
            first = f"first + {chunk} * {rows}" if chunk else "first"
            for layout in sorted(self.plan.need.get(value, ())):
                strides = ", ".join(map(str, self._strides(value, layout)))
                where = f"{first}, {rows}, {columns}, {strides}"
                calls.append(f"{name}({self._at(value, layout)}, {source}, order, {where});")
        return calls

    def _outputs(self, chunk: str) -> list[str]:
        """Return the calls that copy the output out of the memory."""
        calls = []
        for value in self.plan.recording.outputs:
            rows, columns = value.shape
            to = f"output + {chunk} * {rows * columns}" if chunk else "output"
            layout = sorted(self.plan.need[value])[0]
            strides = ", ".join(map(str, (columns, 1, *self._strides(value, layout))))
            arguments = f"{to}, {self._at(value, layout)}, {rows}, {columns}, {strides}"
            calls.append(f"if (output) copy({arguments});")
        return calls

    def _step(self) -> list[str]:
        """Return the lines of a step."""
        plan = self.plan
        chunks = plan.batch // plan.chunk
        chunk = "chunk" if chunks > 1 else ""
        before, inside, after = (self._calls(stage) for stage in (0, 1, 2))
        totals = [kernel for kernel in plan.kernels if kernel.totals]
        for kernel in totals:
            total, layout = kernel.values[0], kernel.directions[0]
            before.append(f"zero({self._at(total, layout)}, {plan.size(total, layout)});")
        inside = [*self._gathers(chunk), *inside, *self._outputs(chunk)]
        if chunk:
            loop = f"for (Index chunk = 0; chunk < {chunks}; chunk++) {{"
            inside = [loop, *(f"  {line}" for line in inside), "}"]
        converted = [self._conversion(*one) for kernel in totals for one in kernel.conversions]
        moved = []
        for old, new in zip(plan.recording.before, plan.recording.after, strict=True):
            for layout in sorted(plan.need[old]) if new in plan.apart else ():
                size = plan.size(old, layout)
                moved.append(f"move({self._at(old, layout)}, {self._at(new, layout)}, {size});")
        return [*before, *inside, *converted, *after, *moved]

    def _all_steps(self) -> str:
        store, check = [], []
        recording = self.plan.recording
        for before, after in zip(recording.before, recording.after, strict=True):
            if after is not before:
                rows, columns = before.shape
                first, *_ = sorted(self.plan.need[before])
                tensor = _tensor(before)
                store.append(self._outside(before, first, tensor, load=False))
                check.append(f"sum += zero_if_finite({tensor}, {rows * columns});")
        output = sum(v.shape[0] * v.shape[1] for v in recording.outputs)
        batch, chunks = self.plan.batch, self.plan.batch // self.plan.chunk
        return _all_steps(self._load(), store, check, batch, output * chunks)

    def _load(self) -> list[str]:
        """Return the lines that copy the state of a lane into its memory."""
        load = []
        for before in self.plan.recording.before:
            first, *others = sorted(self.plan.need[before])
            load.append(self._outside(before, first, _tensor(before), load=True))
            load += [self._conversion(before, first, other) for other in others]
        return load

    def text(self) -> str:
        """Return the C of the step."""
        step, all_steps = self._step(), self._all_steps()
        kernels = f"{len(self.names)} kernels, vectors of {self.length}"
        title = (
            f"/* One training step on {self.plan.batch} samples, for each lane (network):\n"
            f"   {kernels} {'float64' if self.plan.recording.double else 'float32'} numbers. */"
        )
        memory = (
            f"/* The numbers of a lane's memory. */\nEXPORT Index memory = {self.plan.memory};\n"
        )
        return "\n".join([title, *self._parts(step), all_steps, memory])

    def alone(self) -> tuple[str, list[str]]:
        """Return the C of a step without what calls it, and the lines that load the state."""
        step, load = self._step(), self._load()
        return "\n".join(self._parts(step)), load

    def _parts(self, step: list[str]) -> list[str]:
        """Return the parts of the text up to a step: what all need, tables and kernels."""
        recording = self.plan.recording
        functions = []
        for function, name in self.names.items():
            comment = "\n   ".join([*self._comments[name], *self._notes[name]])
            functions.append(f"/* {comment} */\nNOINLINE static void {name}{function}")
        tables = [self._table(*stored, name) for stored, name in self._shared.tables.items()]
        parts = [
            prelude(recording.double, self.plan.machine.vector_bytes, self._shared.operations),
            frame(),
            repeats(self._shared.repeats),
            transposing(self.length) if self._shared.transposes else "",
            f"typedef {'Index' if recording.classes else 'T'} Target;\n",
            *tables,
            *functions,
            _step(step),
        ]
        return [part for part in parts if part]

    def _outside(self, value: Value, layout: Layout, tensor: str, *, load: bool) -> str:
        """Return the C that copies a state from its tensor into the memory, or back."""
        at = self._at(value, layout)
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


def _tensor(state: Value) -> str:
    """Return the C of the tensor of a lane that holds a state."""
    return f"state[{state.position}] + lane * {state.shape[0] * state.shape[1]}"


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
                const T *eta, Index eta_lane, Index eta_step, T *output, T *finite,
                T *restrict m) {{
  const __typeof__(flush_denormals()) usual = flush_denormals();
  for (Index lane = 0; lane < lanes; lane++) {{
{_block(load, 4)}
    for (Index n = 0; n < steps; n++)
      step(m, x + lane * x_lane, target + lane * target_lane,
           order ? order + lane * order_lane : 0, first + n * {batch},
           eta[lane * eta_lane + n * eta_step], n == steps - 1 ? output + lane * {output} : 0);
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


def _origins(kernel: Kernel) -> list[str]:
    """Say what a kernel computes: its modules, the lines of their code, and the formulas."""
    lines = []
    for module, line, formula in (value.origin for value in kernel.values):
        if module or line:
            lines.append(f"{module}: {line}")
        if formula and "#" not in line:  # the line has no comment that says more
            lines.append(f"    {formula}")
    for odd, plain in (("*/", "* /"), ("/*", "/ *"), ("??", "? ?")):  # ??/ is a trigraph
        lines = [line.replace(odd, plain) for line in lines]
    return [*dict.fromkeys(lines)]


def _in_rows(parameters: list[str]) -> list[str]:
    """Return lines of a few parameters each."""
    starts = range(0, len(parameters), PARAMETERS)
    return [", ".join(parameters[n : n + PARAMETERS]) for n in starts]


def _kind(kernel: Kernel) -> type[KernelText]:
    if kernel.root is None:
        return ElementWise
    of_terms = LongDots if kernel.long else Dots
    product = of_terms if kernel.dots or kernel.long else Product
    by_op: dict[str, type[KernelText]] = {"product": product, "copy": Copy}
    over_columns = AlongRows if kernel.long else OverColumns
    return by_op.get(kernel.root.op, OverRows if kernel.root.op in OVER_ROWS else over_columns)


def _indented(lines: list[str]) -> list[str]:
    depth, result = 1, []
    for line in lines:
        depth -= line.startswith("}")
        result.append(line if line.startswith("#") else "  " * depth + line)
        depth += line.count("{") - line.count("}") + line.startswith("}")
    return result
