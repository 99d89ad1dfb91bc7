"""The pointwise language on Python numbers: a slow evaluator that shares no code with NumPy's.

Integers are Python ints, floats are exact fractions that are rounded to the element type, so
this is an oracle for every backend. Transcendental functions are left out: no two backends
need agree on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from gie_core.ir.expr import Apply, Cast, Expr, Literal, Param, walk
from gie_core.ir.types import DType

__all__ = ["FORMATS", "Format", "convert_scalar", "evaluate_scalar", "round_fraction"]

Scalar = bool | int | float
_Rounding = Callable[[Fraction, bool], float]  # an exact result, and whether a zero is negative


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Args:
        precision: significant bits, the hidden one included.
        least_exponent: of the smallest normal number.
        largest: the largest finite value.
        infinite: it has infinities; otherwise overflow gives NaN.
        unsigned_zero: its zero has no sign.
    """

    precision: int
    least_exponent: int
    largest: float
    infinite: bool = True
    unsigned_zero: bool = False


FORMATS = {
    DType.F16: Format(11, -14, 65504.0),
    DType.BF16: Format(8, -126, (2 - 2.0**-7) * 2.0**127),
    DType.F32: Format(24, -126, (2 - 2.0**-23) * 2.0**127),
    DType.F64: Format(53, -1022, (2 - 2.0**-52) * 2.0**1023),
    DType.F8E4M3: Format(4, -6, 448.0, infinite=False),
    DType.F8E5M2: Format(3, -14, 57344.0),
    DType.F8E4M3UZ: Format(4, -7, 240.0, infinite=False, unsigned_zero=True),
    DType.F8E5M2UZ: Format(3, -15, 57344.0, infinite=False, unsigned_zero=True),
    DType.F4E2M1: Format(2, 0, 6.0, infinite=False),
}

_ROUND: dict[str, Callable[[Fraction], int]] = {
    "rne": round,
    "rtz": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
}


def round_fraction(
    exact: Fraction, dtype: DType, rounding: str = "rne", negative: bool = False
) -> float:
    """The value of a floating-point type that an exact number rounds to.

    ``negative`` is the sign of the result where that is zero.
    """
    form = FORMATS[dtype]
    # 2**exponent <= |exact| < 2**(exponent + 1)
    exponent = abs(exact.numerator).bit_length() - exact.denominator.bit_length()
    exponent -= abs(exact) < Fraction(2) ** exponent
    quantum = Fraction(2) ** (max(exponent, form.least_exponent) - form.precision + 1)
    rounded = _ROUND[rounding](exact / quantum) * quantum
    if rounded == 0:
        negative = (negative or exact < 0) and not form.unsigned_zero
        return -0.0 if negative else 0.0
    if abs(rounded) <= form.largest:
        return float(rounded)
    inward = {"rtz": True, "floor": exact > 0, "ceil": exact < 0}.get(rounding, False)
    return math.copysign(form.largest, exact) if inward else _overflow(dtype, exact < 0)


def _overflow(dtype: DType, negative: bool) -> float:
    form = FORMATS[dtype]
    size = form.largest if dtype is DType.F4E2M1 else math.inf if form.infinite else math.nan
    return math.copysign(size, -1 if negative else 1)


def _round_float(value: float, dtype: DType, rounding: str = "rne") -> float:
    if math.isnan(value):
        return 0.0 if dtype is DType.F4E2M1 else value
    if math.isinf(value):
        return _overflow(dtype, value < 0)
    return round_fraction(Fraction(value), dtype, rounding, math.copysign(1, value) < 0)


def convert_scalar(
    value: Scalar, source: DType, target: DType, rounding: str = "rne", saturate: bool = False
) -> Scalar:
    """What ``Cast`` does to one value."""
    if target is DType.BOOL:
        return value != 0
    if target.is_float:
        if saturate and abs(value) > FORMATS[target].largest:
            value = math.copysign(FORMATS[target].largest, value)
        if isinstance(value, float):
            return _round_float(value, target, rounding)
        return round_fraction(Fraction(int(value)), target)
    if source.is_float:
        value = _to_integer(float(value), target, rounding)
    low, high = _range(target)
    return max(low, min(high, int(value))) if saturate else _wrap(int(value), target)


def _to_integer(value: float, target: DType, rounding: str) -> int:
    largest = 2**64 - 1 if target is DType.U64 else 2**63 - 1
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return largest if value > 0 else -(2**63)
    return max(-(2**63), min(largest, _ROUND[rounding](Fraction(value))))


def _range(dtype: DType) -> tuple[int, int]:
    return (
        (-(2 ** (dtype.bits - 1)), 2 ** (dtype.bits - 1) - 1)
        if dtype.is_signed
        else (0, 2**dtype.bits - 1)
    )


def _wrap(value: int, dtype: DType) -> int:
    low, _ = _range(dtype)
    return (value - low) % 2**dtype.bits + low


def evaluate_scalar(expr: Expr, values: Mapping[str, Scalar]) -> Scalar:
    """Evaluate an expression at one point.

    Raises:
        KeyError: a parameter has no value, or a function is transcendental.
    """
    known: dict[Expr, Scalar] = {}
    for node in walk([expr]):
        match node:
            case Param(name):
                known[node] = values[name]
            case Literal(value):
                known[node] = value
            case Cast(arg, dtype, rounding, saturate):
                known[node] = convert_scalar(known[arg], arg.dtype, dtype, rounding, saturate)
            case Apply(function, args):
                known[node] = _apply(function, args[-1].dtype, [known[arg] for arg in args])
            case _:
                raise TypeError(f"{type(node).__name__} is not a kind of expression")
    return known[expr]


def _apply(function: str, dtype: DType, operands: list[Scalar]) -> Scalar:
    if function == "select":
        return operands[1] if operands[0] else operands[2]
    a, b = operands[0], operands[-1]
    match function:
        case "==":
            return a == b
        case "!=":
            return a != b
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
        case "isnan":
            return math.isnan(a)
        case "isinf":
            return math.isinf(a)
        case _ if dtype is DType.BOOL:
            return _bool(function, bool(a), bool(b))
        case _ if dtype.is_integer:
            return _wrap(_integer(function, dtype.bits, int(a), int(b)), dtype)
        case _:
            computed = DType.F64 if dtype is DType.F64 else DType.F32
            to = partial(_round_exact, computed)
            return _round_float(_float(function, to, float(a), float(b)), dtype)


def _bool(function: str, a: bool, b: bool) -> bool:
    match function:
        case "and":
            return a and b
        case "or":
            return a or b
        case "xor":
            return a is not b
        case "not":
            return not a
        case _:
            raise KeyError(function)


def _integer(function: str, bits: int, a: int, b: int) -> int:
    """The exact result, which the caller wraps; a unary function ignores ``b``."""
    match function:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return _truncated_quotient(a, b)
        case "//":
            return a // b if b else 0
        case "%":
            return a % b if b else 0
        case "fmod":
            return a - b * _truncated_quotient(a, b) if b else 0
        case "min":
            return min(a, b)
        case "max":
            return max(a, b)
        case "neg":
            return -a
        case "abs":
            return abs(a)
        case "sign":
            return (a > 0) - (a < 0)
        case "&":
            return a & b
        case "|":
            return a | b
        case "^":
            return a ^ b
        case "~":
            return ~a
        case "<<":
            return a << b if 0 <= b < bits else 0
        case ">>":
            return a >> (b if 0 <= b < bits else bits)
        case "pow":
            return _integer_power(a, b)
        case _:
            raise KeyError(function)


def _truncated_quotient(a: int, b: int) -> int:
    return math.trunc(Fraction(a, b)) if b else 0


def _integer_power(a: int, b: int) -> int:
    if b >= 0:
        return pow(a, b, 2**64)  # every width divides it
    return math.trunc(Fraction(a) ** max(b, -64)) if abs(a) > 1 else a ** (b % 2) if a else 0


def _float(function: str, to: _Rounding, a: float, b: float) -> float:
    """The result as computed, which the caller rounds to the type; as for ``_integer``."""
    match function:
        case "+":
            return _sum(to, a, b)
        case "-":
            return _sum(to, a, -b)
        case "*":
            return _product(to, a, b)
        case "/":
            return _quotient(to, a, b)
        case "//":
            return _whole(_quotient(to, a, b), "floor")
        case "%":
            return _modulo(to, a, b)
        case "fmod":
            return _remainder(a, b)
        case "min":
            return math.nan if math.isnan(a) or math.isnan(b) else min(a, b, key=_with_sign)
        case "max":
            return math.nan if math.isnan(a) or math.isnan(b) else max(a, b, key=_with_sign)
        case "neg":
            return -a
        case "abs":
            return abs(a)
        case "sign":
            return a if math.isnan(a) else float((a > 0) - (a < 0))
        case "floor" | "ceil":
            return _whole(a, function)
        case "trunc":
            return _whole(a, "rtz")
        case "round":
            return _whole(a, "rne")
        case "sqrt":
            return _square_root(to, a)
        case _:
            raise KeyError(function)


def _round_exact(dtype: DType, exact: Fraction, negative: bool) -> float:
    return round_fraction(exact, dtype, negative=negative)


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _negative(value: float) -> bool:
    return math.copysign(1, value) < 0


def _with_sign(value: float) -> tuple[float, bool]:
    return value, not _negative(value)


def _sum(to: _Rounding, a: float, b: float) -> float:
    return to(Fraction(a) + Fraction(b), _negative(a) and _negative(b)) if _finite(a, b) else a + b


def _product(to: _Rounding, a: float, b: float) -> float:
    if not _finite(a, b):
        return a * b
    return to(Fraction(a) * Fraction(b), _negative(a) != _negative(b))


def _quotient(to: _Rounding, a: float, b: float) -> float:
    negative = _negative(a) != _negative(b)
    if math.isnan(a) or math.isnan(b):
        return math.nan
    if b == 0 or math.isinf(a):
        undefined = a == 0 or math.isinf(b)
        return math.nan if undefined else math.copysign(math.inf, -1 if negative else 1)
    if math.isinf(b):
        return -0.0 if negative else 0.0
    return to(Fraction(a) / Fraction(b), negative)


def _remainder(a: float, b: float) -> float:
    """Of the truncated quotient; exact."""
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or b == 0:
        return math.nan
    return math.fmod(a, b)


def _modulo(to: _Rounding, a: float, b: float) -> float:
    rest = _remainder(a, b)
    if math.isnan(rest):
        return rest
    if rest == 0:
        return math.copysign(0.0, b)
    return rest if (rest < 0) == (b < 0) else _sum(to, rest, b)


def _square_root(to: _Rounding, a: float) -> float:
    if a < 0:
        return math.nan
    if a == 0 or not math.isfinite(a):
        return a
    # 2**k * a has an integer square root of 80 bits or so; a sticky bit stands for the rest.
    exact = Fraction(a)
    shift = 200 + exact.denominator.bit_length()
    scaled = math.floor(exact * 4**shift)
    root = math.isqrt(scaled)
    return to(Fraction(2 * root + (root * root != scaled), 2 * 2**shift), False)


def _whole(a: float, rounding: str) -> float:
    return math.copysign(float(_ROUND[rounding](Fraction(a))), a) if math.isfinite(a) else a
