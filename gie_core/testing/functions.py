"""Checking what a provider runs without knowing sizes: nodes that are not static."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.kernels.provider import Function
from gie_core.ops.run import compute_node
from gie_core.testing.comparing import Tolerance, compare
from gie_core.testing.memory import poisoned_memory

__all__ = ["LAYOUTS", "Call", "check_function"]


@dataclass(frozen=True)
class Call:
    """What a node is run with.

    Args:
        op: the node's, with numbers for symbols.
        operands: arrays, lists for sequences, ``None`` for absent ones.
    """

    op: Op
    operands: tuple[Any, ...]


def _strided(array: Array) -> Array:
    """The same elements, two apart along the last axis."""
    return np.repeat(array, 2, axis=-1)[..., ::2]


def _reversed(array: Array) -> Array:
    """The same elements, from the last to the first in memory."""
    backwards = (slice(None, None, -1),) * array.ndim
    return np.array(array[backwards])[backwards]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.array,
    "Fortran": lambda array: np.array(array, order="F"),
    "strided": lambda array: _strided(array) if array.ndim else array.copy(),
    "reversed": lambda array: _reversed(array) if array.ndim else array.copy(),
}
"""How an operand may lie in memory: each makes a copy with equal elements."""


def check_function(
    function: Function,
    node: Node,
    calls: Sequence[Call],
    tolerance: Tolerance = None,
    exact: bool = False,
) -> None:
    """Run a function on operands in several layouts and compare with the op's reference.

    Args:
        function: as a ``FunctionProvider`` gives it for the node.
        node: what it computes.
        calls: with what; each at least once.
        tolerance, exact: as for ``check_graph``.

    Raises:
        AssertionError: an answer is wrong, or changes after it was given.
    """
    previous: list[tuple[Array, Array]] = []
    for number, (layout, arrange) in enumerate(LAYOUTS.items()):
        call = calls[number % len(calls)]
        operands = [_arranged(operand, arrange) for operand in call.operands]
        with np.errstate(all="ignore"), poisoned_memory():
            answers = function(call.op, operands)
        right = compute_node(node, call.op, call.operands)
        assert len(answers) == len(right), f"{len(answers)} results, not {len(right)}"
        for value, answer, expected in zip(node.results, answers, right, strict=True):
            name = f"%{value.name} ({layout} operands)"
            _compare(name, answer, expected, tolerance, exact)
        for answer, copy in previous:
            np.testing.assert_array_equal(answer, copy, "a later run changed this answer")
        previous = [(a, a.copy()) for a in answers if isinstance(a, np.ndarray)]


def _arranged(operand: Any, arrange: Callable[[Array], Array]) -> Any:
    if isinstance(operand, list):
        return [_arranged(element, arrange) for element in cast("list[Any]", operand)]
    if not isinstance(operand, np.ndarray):
        return operand
    array = arrange(cast("Array", operand))
    array.flags.writeable = False
    return array


def _compare(name: str, answer: Any, right: Any, tolerance: Tolerance, exact: bool) -> None:
    if right is None:
        assert answer is None, f"{name} is no empty optional"
    elif isinstance(right, list):
        elements = cast("list[Any]", right)
        assert isinstance(answer, list), f"{name} is a {type(answer).__name__}, not a list"
        given = cast("list[Any]", answer)
        assert len(given) == len(elements), f"{name} has length {len(given)}, not {len(elements)}"
        for number, (one, other) in enumerate(zip(given, elements, strict=True)):
            _compare(f"{name}[{number}]", one, other, tolerance, exact)
    else:
        assert answer.dtype == right.dtype, f"{name} is {answer.dtype}, not {right.dtype}"
        if right.dtype == object:  # strings
            np.testing.assert_array_equal(answer, right, name)
        else:
            compare(name, answer, right, tolerance, exact)
