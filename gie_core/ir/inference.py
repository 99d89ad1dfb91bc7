"""What an op makes of its operands, on the level of types."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.node import Value
from gie_core.ir.op import Op, OpError, UnknownTypesError
from gie_core.ir.types import Type, UnknownRankError

__all__ = ["check_arity", "infer_types"]


def check_arity(op: Op, operands: Sequence[Value | None]) -> None:
    """Check that the operands match the declared ones in number and presence.

    Raises:
        OpError: too many, too few, or a required one is absent.
    """
    specs = op.operand_specs()
    if len(operands) > len(specs) and not (specs and specs[-1].variadic):
        raise OpError(f"{op.name} takes at most {len(specs)} operands, got {len(operands)}")
    for index, spec in enumerate(specs):
        given = index < len(operands) and operands[index] is not None
        if not (given or spec.optional or spec.variadic):
            raise OpError(f"{op.name} needs the operand {spec.name!r}")


def infer_types(op: Op, operands: Sequence[Value | None]) -> tuple[Type, ...]:
    """The result types that the op infers, always as a tuple.

    Raises:
        OpError: the operands do not fit the op.
        UnknownTypesError: they may, but the types don't follow from them.
    """
    try:
        inferred = op.infer(*(None if v is None else v.type for v in operands))
    except OpError as error:
        raise OpError(f"{op.name}: {error}") from error
    except UnknownRankError as error:
        raise UnknownTypesError(f"{op.name}: {error}") from error
    except (ValueError, AttributeError, TypeError, LookupError, ArithmeticError) as error:
        # A rule for tensors met a sequence, an optional, or nothing at all.
        given = ", ".join("_" if v is None else str(v.type) for v in operands)
        raise OpError(f"{op.name} does not take ({given}): {error}") from error
    if inferred is None:
        raise UnknownTypesError(f"{op.name} cannot infer its result types; declare them")
    return inferred if isinstance(inferred, tuple) else (inferred,)
