"""Hypothesis strategies for pointwise expressions and programs."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from gie_core.ir.conversion import ROUNDINGS, integer_range
from gie_core.ir.expr import Expr, Literal, Param, Parameter, Program, axes_of, call, cast
from gie_core.ir.expr_types import FUNCTIONS, Function, kind_of
from gie_core.ir.types import DType

__all__ = ["DTYPES", "expressions", "literal_values", "programs"]

# Every element type the language has but f8e8m0, which has neither zero nor sign.
_LEFT_OUT = (DType.F8E8M0, DType.C64, DType.C128, DType.STR)
DTYPES = tuple(dtype for dtype in DType if dtype not in _LEFT_OUT)


def literal_values(dtype: DType) -> st.SearchStrategy[bool | int | float]:
    """Values that a literal of ``dtype`` may be given; special and extreme ones often."""
    match kind_of(dtype):
        case "b":
            return st.booleans()
        case "i":
            low, high = integer_range(dtype)
            return st.sampled_from([low, high, 0, 1]) | st.integers(low, high)
        case _:
            return st.sampled_from([0.0, -0.0, 1.0, -1.5, 0.1]) | st.floats(allow_subnormal=True)


@st.composite
def expressions(
    draw: st.DrawFn, params: Sequence[Param], *, exact: bool = False, most_nodes: int = 12
) -> tuple[Expr, ...]:
    """One to three expressions over ``params`` that share subexpressions.

    ``exact`` leaves out transcendental functions.
    """
    pool: list[Expr] = list(params)
    functions = [f for f in FUNCTIONS.values() if f.exact or not exact]
    for _ in range(draw(st.integers(1, most_nodes))):
        pool.append(draw(_node(pool, functions)))
    roots = st.sampled_from(pool[::-1])
    return tuple(draw(st.lists(roots, min_size=1, max_size=3)))


@st.composite
def programs(draw: st.DrawFn, *, exact: bool = False) -> Program:
    """Programs of one to four parameters over at most three axes."""
    axes = draw(st.permutations(["n", "c", "h"]))
    params: list[Parameter] = []
    for number in range(draw(st.integers(1, 4))):
        named = draw(st.lists(st.sampled_from(axes), unique=True, max_size=3))
        index = draw(st.permutations([*named, *[1] * draw(st.integers(0, 1))]))
        params.append(Parameter(f"x{number}", draw(st.sampled_from(DTYPES)), tuple(index)))
    order = tuple(draw(st.permutations(axes_of(params))))
    operands = [Param(param.name, param.dtype) for param in params]
    return Program(tuple(params), order, draw(expressions(operands, exact=exact)))


@st.composite
def _node(draw: st.DrawFn, pool: Sequence[Expr], functions: Sequence[Function]) -> Expr:
    first = draw(st.sampled_from(pool))
    kind = kind_of(first.dtype)
    applicable = [function for function in functions if kind in function.kinds]
    function = draw(st.sampled_from([None, *applicable]))
    if function is None:
        return draw(_casts(first))
    alike = [expr for expr in pool if expr.dtype is first.dtype]
    literals = literal_values(first.dtype).map(lambda value: Literal(value, first.dtype))
    operands = st.sampled_from(alike) | literals
    count = function.arity - function.conditional
    args = [first, *(draw(operands) for _ in range(count - 1))]
    if count == 2 and draw(st.booleans()):
        args.reverse()
    if function.conditional:
        bools = [expr for expr in pool if expr.dtype is DType.BOOL]
        args.insert(0, draw(st.sampled_from([*bools, Literal(True, DType.BOOL)])))
    return call(function.name, *args)


@st.composite
def _casts(draw: st.DrawFn, arg: Expr) -> Expr:
    target = draw(st.sampled_from(DTYPES))
    rounds = arg.dtype.is_float and target is not DType.BOOL
    rounding = draw(st.sampled_from([None, *ROUNDINGS])) if rounds else None
    return cast(arg, target, rounding, draw(st.booleans()))
