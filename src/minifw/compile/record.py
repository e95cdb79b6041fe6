"""Records one training step as values."""

from __future__ import annotations
import sys, linecache, math
from collections.abc import Sequence
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from minifw.compile.values import *
from minifw.nn.buffers import fused

LANES = 2


class Mode(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls):
        return False

    def __init__(self, named):
        super().__init__()
        self.calls = []
        self.named = named

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result, self.origin()))
        return result

    def origin(self):
        f = sys._getframe(2)
        while f is not None:
            me = f.f_locals.get("self")
            if me is not None and (n := self.named(me)) is not None:
                return Origin(
                    f"{n}.{f.f_code.co_name}",
                    linecache.getline(f.f_code.co_filename, f.f_lineno).strip(),
                )
            f = f.f_back
        return UNKNOWN


def matrix(shape):
    shape = tuple(shape)
    if len(shape) < 2:
        return (1,) * (2 - len(shape)) + shape
    return (math.prod(shape[:-1]), shape[-1])


class Recorder:
    def __init__(self, double):
        self.values = []
        self.current = {}
        self.consts = {}
        self.keep = []
        self.origin = UNKNOWN
        self.lanes = set()

    def new(self, op, shape, operands=(), **more):
        v = Value(op, shape, tuple(operands), origin=self.origin, **more)
        self.values.append(v)
        return v

    def const(self, x):
        x = float(x)
        if x not in self.consts or True:
            self.consts[x] = self.new("constant", (1, 1), numbers=(x,))
        return self.consts[x]

    def key(self, t):
        return t.untyped_storage()._cdata

    def define(self, t, v, lanes=True):
        self.current[self.key(t)] = v
        if lanes:
            self.lanes.add(self.key(t))

    def base(self, t):
        k = self.key(t)
        if k not in self.current:
            raise CannotCompileError("unknown tensor")
        return self.current[k]

    def lane_numbers(self, t):
        return t.untyped_storage().nbytes() // t.element_size() // LANES

    def read(self, t, shape):
        """operand for a tensor broadcast to per-lane N-d shape."""
        if not isinstance(t, Tensor):
            return Operand(self.const(t), "number")
        v = self.base(t)
        out = matrix(shape)
        if v.op in ("constant", "eta") or v.shape == (1, 1) and math.prod(shape) != 1:
            return Operand(v, "number")
        own = tuple(t.shape[1:])
        st = tuple(t.stride()[1:])
        off = t.storage_offset()
        # expand
        pad = len(shape) - len(own)
        if pad < 0:
            own = own[-len(shape) :] if len(shape) else ()
            st = st[-len(shape) :] if len(shape) else ()
        dims = [
            (n, 0 if i < pad or own[i - pad] == 1 else st[i - pad]) for i, n in enumerate(shape)
        ]
        return self.view(v, dims, off, out)

    def view(self, v, dims, off, out):
        R, C = v.shape

        def norm(d):
            return [(n, s) for n, s in d if n != 1]

        def contiguous(n0, n1):
            return norm([(n0, n1)])

        if off == 0:
            want = norm(dims)

            def collapse(d):
                r = []
                for n, s in d:
                    if r and r[-1][1] == n * s:
                        r[-1] = (r[-1][0] * n, s)
                    else:
                        r.append((n, s))
                return r

            w = collapse(want)
            r, c = out

            def pat(a, b):
                return collapse(norm([(r, a), (c, b)]))

            if out == v.shape and w == pat(C, 1):
                return Operand(v, "whole")
            if out == (C, R) and w == pat(1, C):
                return Operand(v, "transposed")
            if R == 1 and C == c and w == pat(0, 1):
                return Operand(v, "row")
            if R == 1 and C == r and w == pat(1, 0):
                return (
                    Operand(self.new("same2", (r, 1), (Operand(v, "transposed"),)), "column")
                    if False
                    else self._col(v, r)
                )
            if C == 1 and R == r and w == pat(1, 0):
                return Operand(v, "column")
            if w == [] or all(s == 0 for n, s in w):
                if v.shape == (1, 1):
                    return Operand(v, "number")
        sizes = [n for n, _ in dims]
        strides = [s for _, s in dims]
        cs = []
        k = 1
        for n in reversed(sizes):
            cs.insert(0, k)
            k *= n
        p = Piece(v, tuple(sizes), off, tuple(strides), 0, tuple(cs))
        return Operand(self.new("copy", out, pieces=(p,)), "whole")

    def _col(self, v, r):
        z = self.const(0.0)
        return Operand(
            self.new("add", (r, 1), (Operand(v, "transposed"), Operand(z, "number"))), "column"
        )


MAPS = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "neg": 1,
    "tanh": 1,
    "sigmoid": 1,
    "exp": 1,
    "log": 1,
    "sqrt": 1,
    "abs": 1,
    "sign": 1,
    "le": 2,
    "lt": 2,
    "ge": 2,
    "gt": 2,
    "eq": 2,
    "ne": 2,
    "where": 3,
    "maximum": 2,
    "minimum": 2,
    "reciprocal": 1,
}


def record(step, state, inputs, targets, batch, named):
    dt = state[0].dtype
    like = lambda t, *s: torch.linspace(0.1, 0.9, max(1, math.prod(s)), dtype=t.dtype).reshape(s)
    st = [like(v, LANES, *v.shape[1:]) for v in state]
    x = like(inputs, LANES, batch, *inputs.shape[2:])
    classes = targets.dtype == torch.int64
    t = (
        torch.zeros(LANES, batch, *targets.shape[2:], dtype=torch.int64)
        if classes
        else like(targets, LANES, batch, *targets.shape[2:])
    )
    eta = torch.full((), 0.01, dtype=dt)
    with Mode(named) as mode, fused():
        out = step(st, x, t, eta)
    r = Recorder(False)
    before = []
    for i, s in enumerate(st):
        v = r.new("state", matrix(s.shape[1:]), position=i)
        before.append(v)
        r.define(s, v)
    vx = r.new("x", matrix(x.shape[1:]))
    r.define(x, vx)
    vt = r.new("target", (batch, 1) if classes else matrix(t.shape[1:]))
    r.define(t, vt)
    ve = r.new("eta", (1, 1))
    r.define(eta, ve, False)
    for func, args, kw, res, origin in mode.calls:
        r.origin = origin
        name = func._schema.name.removeprefix("aten::")
        if func.is_view or name in ("detach", "empty_like", "empty", "_unsafe_view"):
            continue
        if name.startswith("_foreach_"):
            name = name.removeprefix("_foreach_").rstrip("_")
            lists = [a if isinstance(a, (list, tuple)) else [a] * len(args[0]) for a in args]
            todo = [(name, row, row[0]) for row in zip(*lists)]
        else:
            o = kw.get("out", args[0] if name.endswith("_") else res)
            todo = [(name.rstrip("_"), args, o)]
        alpha = kw.get("alpha", 1)
        for name, a, o in todo:
            sh = tuple(o.shape[1:]) if isinstance(o, Tensor) and o.ndim else ()
            m = matrix(sh)
            if name in ("zeros_like", "zero", "zeros", "new_zeros"):
                v = r.const(0.0)
            elif name in ("scalar_tensor",):
                v = r.const(a[0])
                r.define(o, v, False)
                continue
            elif name in ("bmm", "baddbmm"):
                l, rt = a[-2:]
                v = r.new("product", m, (r.read(l, l.shape[1:]), r.read(rt, rt.shape[1:])))
                if name == "baddbmm":
                    tot = r.read(a[0], sh)
                    if not (tot.value.op == "constant" and tot.value.numbers[0] == 0):
                        v = r.new("add", m, (Operand(v), tot))
            elif name == "sum":
                d = a[1]
                n = a[0].ndim
                d = [q % n for q in d]
                src = r.read(a[0], a[0].shape[1:])
                v = r.new(
                    "sum_rows" if d == [n - 2] else "sum_columns",
                    (1, a[0].shape[-1]) if d == [n - 2] else (math.prod(a[0].shape[1:-1]), 1),
                    (src,),
                )
                if m != v.shape:
                    v = r.new("add", m, (Operand(v, "transposed"), Operand(r.const(0.0), "number")))
            elif name == "_softmax":
                src = r.read(a[0], sh)
                k = (m[0], 1)
                mx = r.new("max_columns", k, (src,))
                e = r.new("exp", m, (Operand(r.new("sub", m, (src, Operand(mx, "column")))),))
                s = r.new("sum_columns", k, (Operand(e),))
                v = r.new("div", m, (Operand(e), Operand(s, "column")))
            elif name == "scatter":
                idx = r.read(a[2], a[2].shape[1:])
                C = m[1]
                tab = r.new("table", (1, C), numbers=tuple(map(float, range(C))))
                eq = r.new("eq", m, (Operand(tab, "row"), Operand(idx.value, "column")))
                v = r.new(
                    "where",
                    m,
                    (
                        Operand(eq),
                        r.read(a[3], sh)
                        if isinstance(a[3], Tensor)
                        else Operand(r.const(a[3]), "number"),
                        r.read(a[0], sh),
                    ),
                )
            elif name == "clamp":
                v = r.new(
                    "maximum",
                    m,
                    (
                        r.read(a[0], sh),
                        Operand(r.const(a[1] if len(a) > 1 else kw["min"]), "number"),
                    ),
                )
            elif name in MAPS:
                ops = [r.read(q, sh) for q in a[: MAPS[name]]]
                if alpha != 1:
                    ops[1] = Operand(
                        r.new(
                            "mul",
                            m,
                            (
                                ops[1],
                                Operand(
                                    r.const(alpha)
                                    if not isinstance(alpha, Tensor)
                                    else r.base(alpha),
                                    "number",
                                ),
                            ),
                        )
                    )
                if (
                    name == "add"
                    and ops[0].value.op == "constant"
                    and ops[0].value.numbers[0] == 0
                    and ops[1].view == "whole"
                ):
                    v = ops[1].value
                elif all(q.value.op in ("constant",) for q in ops) and name == "mul":
                    v = r.const(math.prod(q.value.numbers[0] for q in ops))
                else:
                    v = r.new(name, m, ops)
            elif name == "copy":
                v = r.read(a[1], sh).value
            else:
                raise CannotCompileError(f"aten.{name} in {origin.module}: {origin.line}")
            r.define(o, v)
    after = [r.base(s) for s in st]
    outv = r.read(out, out.shape[1:]).value
    live = set()
    todo = [*after, outv]
    while todo:
        v = todo.pop()
        if v not in live:
            live.add(v)
            todo += v.sources
    return Recording(
        [v for v in r.values if v in live],
        before,
        after,
        vx,
        vt,
        ve,
        [outv],
        dt == torch.float64,
        classes,
    )
