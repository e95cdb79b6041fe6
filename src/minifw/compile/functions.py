"""Stand-in."""


def literal(x, double):
    return repr(float(x)) + ("" if double else "f")


def prelude(double, vector_bytes, used):
    T, I = ("double", "long long") if double else ("float", "int")
    return f"""typedef {T} T;
typedef T V __attribute__((vector_size({vector_bytes}), aligned({vector_bytes})));
typedef {I} VI __attribute__((vector_size({vector_bytes}), aligned({vector_bytes})));
#define LD(p) (*(const V *)(p))
#define ST(p) (*(V *)(p))
static inline V splat(T x) {{ return x - (V){{0}}; }}
static inline V where(VI m, V a, V b) {{ return (V)(((VI)a & m) | ((VI)b & ~m)); }}
"""


B = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}


def expression(op, *a):
    if op in B:
        return f"({a[0]} {B[op]} {a[1]})"
    if op == "neg":
        return f"(-{a[0]})"
    if op == "where":
        return f"where({', '.join(a)})"
    if op == "maximum":
        return f"where({a[0]} < {a[1]}, {a[1]}, {a[0]})"
    raise NotImplementedError(op)


_old_prelude, _old_expression = prelude, expression


def prelude(double, vector_bytes, used):
    f = "" if double else "f"
    s = _old_prelude(double, vector_bytes, used)
    for n in ("exp", "tanh", "log"):
        s += f"static inline V v{n}(V x) {{ V r; for (int i = 0; i < sizeof(V)/sizeof(T); i++) r[i] = __builtin_{n}{f}(x[i]); return r; }}\n"
    s += "static inline V vsigmoid(V x) { return 1 / (1 + vexp(-x)); }\n"
    return s


def expression(op, *a):
    if op in ("exp", "tanh", "log", "sigmoid"):
        return f"v{op}({a[0]})"
    if op == "maximum" and "splat(0" not in a[1]:
        return f"where(({a[0]} > {a[1]}) | ({a[0]} != {a[0]}), {a[0]}, {a[1]})"
    return _old_expression(op, *a)
