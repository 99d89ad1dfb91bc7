"""Elementwise arithmetic, comparison, logic and conversion.

Unless an op says otherwise, its operands have one element type, which is also the result's, and
integer results wrap. ``docs/pointwise.md`` defines the functions that the formulas use.
"""

from __future__ import annotations

from gie_core.ir.conversion import ROUNDINGS
from gie_core.ir.op import Trait
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.elementwise import Binary, Elementwise, Unary
from gie_core.ops.operands import check_choice

__all__ = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "Ceil",
    "Clip",
    "Cos",
    "Cosh",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Greater",
    "GreaterEqual",
    "IsInf",
    "IsNan",
    "Less",
    "LessEqual",
    "Log",
    "Max",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Reciprocal",
    "Round",
    "ShiftLeft",
    "ShiftRight",
    "Sign",
    "Sin",
    "Sinh",
    "Sqrt",
    "Sub",
    "Tan",
    "Where",
    "Xor",
]

_COMMUTATIVE = (Trait.COMMUTATIVE,)


# ── Arithmetic ───────────────────────────────────────────────────────────────────────────────


class Add(Binary, name="add", formula="a + b", traits=_COMMUTATIVE):
    """a + b."""


class Sub(Binary, name="sub", formula="a - b"):
    """a - b."""


class Mul(Binary, name="mul", formula="a * b", traits=_COMMUTATIVE):
    """a · b."""


class Div(Binary, name="div", formula="a / b"):
    """a / b; of integers, rounded toward zero."""


class Mod(Binary, name="mod"):
    """The remainder of a / b.

    Args:
        fmod: of the division rounded toward zero, so that the result has a's sign; otherwise of
            the division rounded down, so that it has b's sign.
    """

    fmod: bool = False

    def formula(self, *dtypes: DType | None) -> str:
        return "fmod(a, b)" if self.fmod else "a % b"


class Pow(Binary, name="pow"):
    """a to the power of b, in a's element type, whatever b's.

    Where the types differ, an integer base with a float exponent is computed in f64 and cut
    toward zero, two integers in i64, and floats in the wider of the two, at least f32. An integer
    to a negative integer power is 0, unless the base is 1 or -1.
    """

    def formula(self, *dtypes: DType | None) -> str:
        a, b = dtypes
        if a is b or a is None or b is None:
            return "pow(a, b)"
        wide = _common(a, b)
        return _as(f"pow({_as('a', a, wide)}, {_as('b', b, wide)})", wide, a)


def _common(a: DType, b: DType) -> DType:
    """The type in which powers of two types are computed."""
    if a.is_integer:
        return DType.I64 if b.is_integer else DType.F64
    return DType.F64 if DType.F64 in (a, b) else DType.F32


def _as(text: str, source: DType, target: DType) -> str:
    return text if source is target else f"{target}({text})"


class Min(Binary, name="min", formula="min(a, b)", traits=_COMMUTATIVE):
    """The smaller one; NaN if either is."""


class Max(Binary, name="max", formula="max(a, b)", traits=_COMMUTATIVE):
    """The larger one; NaN if either is."""


class Neg(Unary, name="neg", formula="-x"):
    """-x."""


class Abs(Unary, name="abs", formula="abs(x)"):
    """|x|."""


class Sign(Unary, name="sign", formula="sign(x)"):
    """-1, 0 or 1; NaN for NaN."""


class Reciprocal(Unary, name="reciprocal", formula="1 / x"):
    """1 / x."""


class Clip(Elementwise, name="clip"):
    """min(max(x, low), high): where low > high, it is high. An absent bound sets no limit."""

    def formula(self, *dtypes: DType | None) -> str:
        low, high = (*dtypes[1:], None, None)[:2]
        raised = "x" if low is None else "max(x, low)"
        return raised if high is None else f"min({raised}, high)"

    def infer(
        self, x: TensorType, low: TensorType | None = None, high: TensorType | None = None
    ) -> TensorType:
        return self._infer(x, low, high)

    def compute(self, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
        return self._compute(x, low, high)


# ── Rounding and functions of floats ─────────────────────────────────────────────────────────


class Floor(Unary, name="floor", formula="floor(x)"):
    """The largest integer ≤ x."""


class Ceil(Unary, name="ceil", formula="ceil(x)"):
    """The smallest integer ≥ x."""


class Round(Unary, name="round", formula="round(x)"):
    """The nearest integer; halves go to the even one."""


class Sqrt(Unary, name="sqrt", formula="sqrt(x)"):
    """√x."""


class Exp(Unary, name="exp", formula="exp(x)"):
    """eˣ."""


class Log(Unary, name="log", formula="log(x)"):
    """The natural logarithm."""


class Erf(Unary, name="erf", formula="erf(x)"):
    """The error function."""


class Sin(Unary, name="sin", formula="sin(x)"):
    """The sine of radians."""


class Cos(Unary, name="cos", formula="cos(x)"):
    """The cosine of radians."""


class Tan(Unary, name="tan", formula="tan(x)"):
    """The tangent of radians."""


class Asin(Unary, name="asin", formula="asin(x)"):
    """The arc sine, in radians."""


class Acos(Unary, name="acos", formula="acos(x)"):
    """The arc cosine, in radians."""


class Atan(Unary, name="atan", formula="atan(x)"):
    """The arc tangent, in radians."""


class Sinh(Unary, name="sinh", formula="sinh(x)"):
    """The hyperbolic sine."""


class Cosh(Unary, name="cosh", formula="cosh(x)"):
    """The hyperbolic cosine."""


class Asinh(Unary, name="asinh", formula="asinh(x)"):
    """The inverse hyperbolic sine."""


class Acosh(Unary, name="acosh", formula="acosh(x)"):
    """The inverse hyperbolic cosine."""


class Atanh(Unary, name="atanh", formula="atanh(x)"):
    """The inverse hyperbolic tangent."""


# ── Comparison; the result is bool ───────────────────────────────────────────────────────────


class Equal(Binary, name="equal", formula="a == b", traits=_COMMUTATIVE):
    """a = b; also of bools."""


class Less(Binary, name="less", formula="a < b"):
    """a < b."""


class LessEqual(Binary, name="less_equal", formula="a <= b"):
    """a ≤ b."""


class Greater(Binary, name="greater", formula="a > b"):
    """a > b."""


class GreaterEqual(Binary, name="greater_equal", formula="a >= b"):
    """a ≥ b."""


class IsNan(Unary, name="is_nan", formula="isnan(x)"):
    """Whether x is not a number."""


class IsInf(Unary, name="is_inf"):
    """Whether x is infinite.

    Args:
        positive: +∞ counts.
        negative: -∞ counts.
    """

    positive: bool = True
    negative: bool = True

    def formula(self, *dtypes: DType | None) -> str:
        match self.positive, self.negative:
            case True, True:
                return "isinf(x)"
            case True, False:
                return "isinf(x) and x > 0"
            case False, True:
                return "isinf(x) and x < 0"
            case _:
                return "isinf(x) and false"


# ── Logic of bools and bits ──────────────────────────────────────────────────────────────────


class And(Binary, name="and", formula="a and b", traits=_COMMUTATIVE):
    """Both, of bools."""


class Or(Binary, name="or", formula="a or b", traits=_COMMUTATIVE):
    """Either or both, of bools."""


class Xor(Binary, name="xor", formula="a xor b", traits=_COMMUTATIVE):
    """Exactly one, of bools."""


class Not(Unary, name="not", formula="not x"):
    """The other bool."""


class BitwiseAnd(Binary, name="bitwise_and", formula="a & b", traits=_COMMUTATIVE):
    """The bits set in both integers."""


class BitwiseOr(Binary, name="bitwise_or", formula="a | b", traits=_COMMUTATIVE):
    """The bits set in either integer."""


class BitwiseXor(Binary, name="bitwise_xor", formula="a ^ b", traits=_COMMUTATIVE):
    """The bits set in exactly one integer."""


class BitwiseNot(Unary, name="bitwise_not", formula="~x"):
    """The bits not set in an integer."""


class ShiftLeft(Binary, name="shift_left", formula="a << b"):
    """The bits of integer a moved b places up; 0 where b is negative or not below the width."""


class ShiftRight(Binary, name="shift_right", formula="a >> b"):
    """The bits of integer a moved b places down, filled with the sign.

    Where b is negative or not below the width, only the fill is left: 0, or -1 for a < 0.
    """


# ── Choice and conversion ────────────────────────────────────────────────────────────────────


class Where(Elementwise, name="where", formula="select(condition, a, b)"):
    """a where the condition (bool) holds, b elsewhere."""

    def infer(self, condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
        return self._infer(condition, a, b)

    def compute(self, condition: Array, a: Array, b: Array) -> Array:
        return self._compute(condition, a, b)


class Cast(Unary, name="cast"):
    """x as another element type.

    Integers keep their low bits. A float becomes an integer by ``rounding``; what is not 0 becomes
    true. A float that is too large for a float type becomes infinite, or NaN in a type without
    infinity.

    Args:
        to: the element type of the result.
        saturate: what is too large for an 8- or 4-bit float becomes its largest value instead;
            other types are not concerned.
        rounding: "rne" to nearest, ties to even; "rtz" toward zero; "floor"; "ceil". ``None`` is
            "rtz" from a float to an integer, else "rne".
    """

    to: DType
    saturate: bool = True
    rounding: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounding is not None:
            check_choice(self, "rounding", ROUNDINGS)

    def formula(self, *dtypes: DType | None) -> str:
        modes = [self.rounding] if self.rounding is not None else []
        if self.saturate and self.to.is_float and self.to.bits <= 8:
            modes.append("sat")
        return f"{self.to}({', '.join(['x', *modes])})"
