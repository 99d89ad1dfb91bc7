"""Control flow: a choice between two graphs, and the repetition of one.

A graph inside an op sees only its own inputs; whatever it reads from around it is passed as an
operand (a *capture*).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gie_core.ir.dims import evaluate_dim
from gie_core.ir.graph import Graph, Value
from gie_core.ir.op import Op, OpError, Trait
from gie_core.ir.types import Array, DType, TensorType, Type
from gie_core.ops.call import call_types, join_types
from gie_core.ops.operands import check_dtype, check_scalar
from gie_core.ops.run import RunGraph, bind_symbols

__all__ = ["If", "Loop"]


class If(Op, name="if", results=("*y",), traits=(Trait.OPAQUE,)):
    """The outputs of one of two graphs.

    ``condition`` is bool with one element. Both branches take all captures as their inputs and
    have equally many outputs, of equal element types. Where the branches' shapes differ, the
    inferred rank is unknown; the node may declare more.

    Args:
        then_branch: runs where the condition holds.
        else_branch: runs otherwise.
    """

    then_branch: Graph
    else_branch: Graph

    def infer(self, condition: TensorType, *captures: Type) -> tuple[Type, ...]:
        check_dtype(DType.BOOL, condition=condition)
        check_scalar("the condition", condition)
        chosen = call_types(self.then_branch, captures)
        other = call_types(self.else_branch, captures)
        if len(chosen) != len(other):
            raise OpError(f"the branches have {len(chosen)} and {len(other)} outputs")
        pairs = enumerate(zip(chosen, other, strict=True))
        return tuple(join_types(a, b, f"result {index}") for index, (a, b) in pairs)

    def compute(self, condition: Array, *captures: Any, run: RunGraph) -> tuple[Any, ...]:
        return tuple(run(self.then_branch if condition.item() else self.else_branch, captures))


class Loop(Op, name="loop", results=("*y",), traits=(Trait.OPAQUE,)):
    """A graph run again and again on its own results.

    It stops after ``trip_count`` iterations (an integer with one element) or as soon as the
    condition is false, whichever is first; an absent operand sets no limit. The condition is
    the operand before the first iteration and the body's first output after each. The other
    operands are the first values of what is carried along, then the captures.

    The results are the carried values after the last iteration, then the *scans*: what the body
    produced in each iteration, stacked along a new axis 0. Without an iteration the carried values
    are the operands, and scans have extent 0. A carried value whose shape changes has unknown
    rank, and so have scans, since the number of iterations is data; the node may declare more.

    Args:
        body: inputs: iteration (i64, one element), condition (bool, one element), carried values,
            captures. Outputs: condition, carried values, scans.
        carried: how many values are carried.
    """

    body: Graph
    carried: int

    def infer(
        self,
        trip_count: TensorType | None = None,
        condition: TensorType | None = None,
        *operands: Type,
    ) -> tuple[Type, ...]:
        if trip_count is not None:
            check_dtype(DType.I64, trip_count=trip_count)
            check_scalar("the trip count", trip_count)
        if condition is not None:
            check_dtype(DType.BOOL, condition=condition)
            check_scalar("the condition", condition)
        self._check_counts(operands)
        control = tuple(_control_type(value) for value in self.body.inputs[:2])
        carried, captures = operands[: self.carried], operands[self.carried :]
        while True:  # until the types hold for every iteration; each round makes one less precise
            outputs = call_types(self.body, (*control, *carried, *captures))
            values, scans = outputs[1 : 1 + self.carried], outputs[1 + self.carried :]
            pairs = enumerate(zip(carried, values, strict=True))
            joined = tuple(join_types(a, b, f"carried value {index}") for index, (a, b) in pairs)
            if joined == carried:
                return (*carried, *map(_scan_type, scans))
            carried = joined

    def compute(
        self,
        trip_count: Array | None = None,
        condition: Array | None = None,
        *operands: Any,
        run: RunGraph,
    ) -> tuple[Any, ...]:
        limit = None if trip_count is None else trip_count.item()
        going = condition is None or bool(condition.item())
        carried, captures = list(operands[: self.carried]), operands[self.carried :]
        history: list[Sequence[Any]] = []
        while going and (limit is None or len(history) < limit):
            control = _control_values(self.body, len(history))
            outputs = run(self.body, [*control, *carried, *captures])
            going = bool(outputs[0].item())
            carried = list(outputs[1 : 1 + self.carried])
            history.append(outputs[1 + self.carried :])
        if history:
            return (*carried, *(np.stack(scan) for scan in zip(*history, strict=True)))
        return (*carried, *self._empty_scans(operands))

    def _check_counts(self, operands: Sequence[Type]) -> None:
        inputs, outputs = len(self.body.inputs), len(self.body.outputs)
        if not 0 <= self.carried <= len(operands):
            raise OpError(f"{self.carried} values are carried, but there are {len(operands)}")
        if inputs != 2 + len(operands) or outputs < 1 + self.carried:
            raise OpError(
                f"a body for {self.carried} carried values and {len(operands) - self.carried} "
                f"captures has {2 + len(operands)} inputs and at least {1 + self.carried} "
                f"outputs, not {inputs} and {outputs}"
            )

    def _empty_scans(self, operands: Sequence[Any]) -> list[Array]:
        sizes: dict[str, int] = {}
        for value, array in zip(self.body.inputs[2:], operands, strict=True):
            bind_symbols(value, array, sizes)
        return [_empty(value, sizes) for value in self.body.outputs[1 + self.carried :]]


def _control_type(value: Value) -> Type:
    """The type of the iteration or the condition, in the rank that the body declares."""
    return TensorType(value.tensor.dtype, (1,) * len(value.tensor.shape or ()))


def _control_values(body: Graph, iteration: int) -> list[Array]:
    values = (np.int64(iteration), np.bool_(True))
    ranks = (len(value.tensor.shape or ()) for value in body.inputs[:2])
    return [np.full((1,) * rank, value) for value, rank in zip(values, ranks, strict=True)]


def _scan_type(item: Type) -> Type:
    if not isinstance(item, TensorType):
        raise OpError(f"only tensors can be stacked, not a {item}")
    return TensorType(item.dtype, None)


def _empty(value: Value, sizes: dict[str, int]) -> Array:
    """A scan of no iterations; an extent that only an iteration would tell is 0."""
    shape = [0]
    for dim in value.tensor.shape or ():
        try:
            shape.append(evaluate_dim(dim, sizes))
        except KeyError:
            shape.append(0)
    return np.empty(shape, value.tensor.dtype.numpy)
