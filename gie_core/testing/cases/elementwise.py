"""Cases of what is computed element by element: single ops, pointwise programs, groups."""

from __future__ import annotations

from gie_core.testing.cases.case import Case, table

__all__ = ["ELEMENTWISE", "GROUPS"]

_FLOATS = "f32 f16"

_ACTIVATIONS = """relu leaky_relu thresholded_relu elu selu celu sigmoid hard_sigmoid hard_swish
    silu softplus softsign tanh mish gelu shrink"""
_REAL_UNARY = """floor ceil round erf exp sin cos tan atan sinh cosh asinh is_nan is_inf
    reciprocal"""
_NUMBER_UNARY = "neg abs sign"
_NUMBER_BINARY = "add sub mul min max equal less less_equal greater greater_equal"

_REAL = """
    sqrt(T[3, 5] in 0..4)
    log(T[3, 5] in 0.1..4)
    asin(T[3, 5] in -1..1)
    acos(T[3, 5] in -1..1)
    acosh(T[3, 5] in 1..3)
    atanh(T[3, 5] in -0.9..0.9)
    div(T[3, 5], T[3, 5] in 0.5..2)
    mod(T[3, 5], T[3, 5] in 0.5..2) {fmod = true}
    pow(T[3, 5] in 0.5..2, T[5])
    pow(T[3, 5], const T[] = 2)
    prelu(T[2, 3, 4], const T[3, 1])
    gelu(T[3, 5]) {approximate = "tanh"}
    clip(T[3, 5], const T[] = -1, const T[] = 0.5)
    clip(T[3, 5], _, T[] = 0.5)
    where(bool[3, 1], T[3, 5], T[5])
    cast(T[3, 5]) {to = "i32"}
    cast(T[3, 5]) {to = "bool"}
    relu(T[0, 5])
    relu(T[])
    relu(T[7, 300])
    tanh(T[2, 3, 4, 5, 6])
"""

_BROADCASTS = """
    add(T[3, 5], T[])
    add(T[3, 5], const T[5])
    add(const T[3, 1], T[3, 5])
    add(T[3, 1, 5], T[4, 1])
    add(T[2, 3, 4, 4], const T[3, 1, 1])
    mul(T[3, 5], T[1, 5])
    sub(T[5], T[2, 3, 5])
    add(T[1], T[1])
"""

_INTEGERS = """
    div(T[3, 5], T[3, 5] in 1..4)
    mod(T[3, 5], T[3, 5] in 1..4)
    where(bool[3, 1], T[3, 5], T[5])
    cast(T[3, 5]) {to = "f32"}
    cast(T[3, 5]) {to = "i64"}
    clip(T[3, 5], const T[] = 1, _)
    bitwise_and(T[3, 5], T[5])
    bitwise_or(T[3, 5], T[3, 5])
    bitwise_xor(T[3, 5], T[3, 5])
    bitwise_not(T[3, 5])
    shift_left(T[3, 5], T[3, 5] in 0..9)
    shift_right(T[3, 5], T[3, 5] in 0..9)
"""

_BOOLEANS = """
    and(bool[3, 5], bool[5])
    or(bool[3, 5], bool[3, 5])
    xor(bool[3, 5], bool[3, 1])
    not(bool[3, 5])
    equal(bool[3, 5], bool[5])
    cast(bool[3, 5]) {to = "f32"}
    where(bool[3, 1], bool[3, 5], bool[5])
"""

_CASTS = [
    *table("f16 bf16 f64 f8e4m3 i8 u8", 'cast(f32[4, 9]) {to = "T"}'),
    *table("f32", 'cast(f16[4, 9]) {to = "T"}'),
    *table("i8 i16 i32", 'cast(i64[4, 9]) {to = "T"}'),
]

_QUANTIZATIONS = """
    quantize(f32[3, 5], const f32[] = 0.05, const T[] = 3) {to = "T", axis = none}
    quantize(f32[3, 5], const f32[5] in 0.01..0.1, const T[5] in 0..5) {to = "T", axis = 1}
    quantize(f32[4, 6], const f32[2, 6] in 0.01..0.1) {to = "T", axis = 0, block = 2}
    dequantize(T[3, 5], const f32[] = 0.05, const T[] = 3) {axis = none}
    dequantize(T[3, 5], const f32[5] in 0.01..0.1) {axis = 1}
"""

# Programs over one image x, and some operands of other shapes.
_PROGRAMS = """
    pointwise(T[2, 3, 4, 5]) {program = `(x[n,c,h,w]: T) -> max(x, T(0.0))`}
    pointwise(T[2, 3, 4, 5], const T[3]) {program = `(x[n,c,h,w]: T, s[c]: T) -> x * s`}
    pointwise(T[2, 3], T[2, 3]) {program = `(x[n,c]: T, y[n,c]: T) -> (x + y, x - y)`} -> 2
    pointwise(T[2, 3], T[]) {program = `(x[n,c]: T, y[]: T) -> select(x > y, x, y * x)`}
    pointwise(T[4, 3], T[3, 4]) {program = `(x[n,c]: T, y[c,n]: T) -> x * y + x`}
    pointwise(T[4, 3]) {program = `(x[n,c]: T) over [c,n] -> exp(-abs(x))`}
    pointwise(T[9]) {program = `(x[n]: T) -> x > T(0.5)`}
    pointwise(T[2, 3], T[3, 1]) {program = `(x[n,c]: T, y[c,1]: T) -> x / (abs(y) + T(1.0))`}
    pointwise(T[2, 9], T[2, 9]) {program = `(x[n,c]: T, y[n,c]: T) -> (i8(round(x), sat), y)`} -> 2
"""


def _calls(names: str, operands: str) -> str:
    return "\n".join(f"{name}({operands})" for name in names.split())


def _fused(first: str, operands: list[str], program: str, more: list[str] | None = None) -> str:
    """A group of one node, with operands %x0, %x1, …, and of a program over it and ``more``."""
    types = [*operands, *(more or [])]
    inputs = " ".join(f"input %x{n}: {t.removeprefix('const ')}" for n, t in enumerate(types))
    extra = "".join(f", %x{n}" for n in range(len(operands), len(types)))
    body = f"%a = {first} %y = pointwise(%a{extra}) {{program = `{program}`}} return %y"
    kind = 'kind = "epilogue"'
    return f"group({', '.join(types)}) {{{kind}, body = graph epilogue {{ {inputs} {body} }}}}"


_RELU = "(x[n,c,h,w]: T) -> max(x, T(0.0))"
_ADD = "(x[n,c,h,w]: T, r[n,c,h,w]: T) -> max(x + r, T(0.0))"
_SCALE = "(x[n,c,h,w]: T, s[c]: T) -> x * s"
_PADDED = "{pads = [1, 1, 1, 1]}"
_IMAGE, _KERNEL, _SMALL = "T[2, 4, 6, 7]", "const T[5, 4, 3, 3]", "const T[5, 4, 1, 1]"

_GROUPS = "\n".join(
    [
        _fused(f"conv(%x0, %x1) {_PADDED}", [_IMAGE, _KERNEL], _RELU),
        _fused(f"conv(%x0, %x1, %x2) {_PADDED}", [_IMAGE, _KERNEL, "const T[5]"], _RELU),
        _fused(f"conv(%x0, %x1) {_PADDED}", [_IMAGE, _KERNEL], _ADD, ["T[2, 5, 6, 7]"]),
        _fused("conv(%x0, %x1)", [_IMAGE, _SMALL], _SCALE, ["const T[5]"]),
        _fused("conv(%x0, %x1)", [_IMAGE, _SMALL], _ADD, ["T[2, 5, 6, 7]"]),
        _fused("conv(%x0, %x1) {groups = 4}", [_IMAGE, "const T[4, 1, 3, 3]"], _RELU),
        _fused("max_pool(%x0) {kernel = [2, 2]}", [_IMAGE], _RELU),
        _fused("gemm(%x0, %x1)", ["T[3, 6]", "const T[6, 5]"], "(x[n,c]: T) -> tanh(x)"),
        _fused("reduce_max(%x0) {axes = [2]}", [_IMAGE], _RELU),
    ]
)

ELEMENTWISE: list[Case] = [
    *table(_FLOATS, _calls(_ACTIVATIONS, "T[3, 5]")),
    *table(_FLOATS, _calls(_REAL_UNARY, "T[3, 5]")),
    *table(f"{_FLOATS} i8", _calls(_NUMBER_UNARY, "T[3, 5]")),
    *table(f"{_FLOATS} i64", _calls(_NUMBER_BINARY, "T[3, 5], T[3, 5]")),
    *table("f32 f64 bf16", _REAL),
    *table(f"{_FLOATS} i32", _BROADCASTS),
    *table("i32 u8", _INTEGERS),
    *table("bool", _BOOLEANS),
    *_CASTS,
    *table("i8 u8", _QUANTIZATIONS),
    *table("f32 f64 f16 bf16", _PROGRAMS),
]
"""Elementwise ops, quantization and pointwise programs."""

GROUPS: list[Case] = table("f32 f64", _GROUPS)
"""Fused nodes: a kernel with a pointwise epilogue."""
