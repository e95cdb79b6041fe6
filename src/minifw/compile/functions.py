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
