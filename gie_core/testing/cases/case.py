"""One node in one line: the op, the types of its operands, attributes, results.

::

    conv(f32[2, 3, 9, 9], const f32[4, 3, 3, 3], _) {strides = [2, 2]}
    gather(f32[4, 6], i64[3] in -4..3) {axis = 0}
    scatter_nd(f32[5], const i64[2, 1] = [[0], [3]], f32[2])
    split(f32[4, 6]) {axis = 1, sizes = [2, 4]} -> 2
    nonzero(f32[3, 4]) -> i64[2, m]

Elements are random: normal floats, small integers, or even over a range with ``in``; ``=`` gives
them. ``_`` is absent. Behind the arrow stand the results, by number or by type, where they are not
the one or two that the op has anyway.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gie_core.ir.graph import Graph
from gie_core.ir.op import OpRegistry
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, DType
from gie_core.testing.inputs import random_array

__all__ = ["Case", "table"]

_ROW = re.compile(r"([\w.]+)\((.*?)\)\s*(\{.*\})?\s*(?:->\s*(.*))?$", re.DOTALL)
_OPERAND = re.compile(
    r"(?P<const>const\s+)?(?P<type>(?P<dtype>\w+)\[(?P<dims>[^\]]*)\])"
    r"(?:\s+in\s+(?P<low>\S+)\.\.(?P<high>\S+)|\s*=\s*(?P<values>.+))?$"
)


@dataclass(frozen=True)
class Case:
    """A node to check a kernel provider with.

    Args:
        row: the line, see the module; what it prints as.

    Raises:
        ValueError: the line can't be read.
    """

    row: str

    def __str__(self) -> str:
        return self.row

    @property
    def op(self) -> str:
        """The op's name."""
        return self._parts()[0]

    def graph(self, ops: OpRegistry, symbol: str = "") -> Graph:
        """The node in a graph, whose inputs are its operands but constants.

        Args:
            ops: where the op is found.
            symbol: stands for the first extent of the first operand.
        """
        op, operands, attributes, results = self._parts()
        lines: list[str] = []
        blobs: dict[str, Array] = {}
        for number, operand in enumerate(operands):
            if operand is None:
                continue
            type_ = operand["type"]
            if operand["const"]:
                blobs[f"x{number}"] = self._elements(number, _shape(operand), seed=0)
                lines.append(f'const %x{number}: {type_} = blob "x{number}"')
            else:
                if symbol and not any(line.startswith("input") for line in lines):
                    type_ = re.sub(r"\[\d+", f"[{symbol}", type_)
                lines.append(f"input %x{number}: {type_}")
        names = ", ".join("_" if o is None else f"%x{n}" for n, o in enumerate(operands))
        made = _results(results, ops[op].results)
        given = ", ".join(f"%y{n}{type_}" for n, type_ in enumerate(made))
        returned = ", ".join(f"%y{n}" for n in range(len(made)))
        lines += [f"{given} = {op}({names}) {attributes}", f"return {returned}"]
        return parse_graph("\n".join(["graph case {", *lines, "}"]), ops, blobs)

    def inputs(self, graph: Graph, seed: int) -> list[Array]:
        """Seeded elements for the graph's inputs, whose types have numbers for symbols."""
        return [
            self._elements(int(value.name[1:]), [int(d) for d in _ints(value.tensor.dims)], seed)
            for value in graph.inputs
        ]

    def _elements(self, number: int, shape: Sequence[int], seed: int) -> Array:
        operand = self._parts()[1][number]
        assert operand is not None, "an absent operand has no elements"
        dtype = DType(operand["dtype"])
        if operand["values"]:
            return np.asarray(json.loads(operand["values"])).astype(dtype.numpy).reshape(shape)
        rng = np.random.default_rng([seed, number, zlib.crc32(self.row.encode())])
        if not operand["low"]:
            return random_array(dtype, tuple(shape), rng)
        low, high = float(operand["low"]), float(operand["high"])
        if dtype.is_float:
            return rng.uniform(low, high, shape).astype(dtype.numpy)
        return rng.integers(int(low), int(high), shape, endpoint=True).astype(dtype.numpy)

    def _parts(self) -> tuple[str, list[dict[str, str] | None], str, str]:
        found = _ROW.match(self.row)
        if found is None:
            raise ValueError(f"this is no case: {self.row}")
        op, operands, attributes, results = found.groups(default="")
        return op, [self._operand(text) for text in _split(operands)], attributes, results

    def _operand(self, text: str) -> dict[str, str] | None:
        if text == "_":
            return None
        found = _OPERAND.match(text)
        if found is None:
            raise ValueError(f"the operand {text!r} can't be read, in the case {self.row}")
        return found.groupdict(default="")


def table(dtypes: str, rows: str) -> list[Case]:
    """Cases, one a line, with each of several types in the place of ``T``.

    Args:
        dtypes: separated by spaces.
        rows: lines; empty ones don't count.
    """
    lines = [line.strip() for line in rows.splitlines() if line.strip()]
    typed = [re.sub(r"\bT\b", dtype, line) for line in lines for dtype in dtypes.split()]
    return [Case(line) for line in dict.fromkeys(typed)]


def _shape(operand: dict[str, str]) -> list[int]:
    return [int(extent) for extent in _split(operand["dims"])]


def _ints(dims: Sequence[Any]) -> list[int]:
    return [dim for dim in dims if isinstance(dim, int)]


def _results(text: str, usual: Sequence[str]) -> list[str]:
    """What to write behind each result's name: ": f32[3]", or nothing."""
    if text.strip().isdigit():
        return [""] * int(text)
    return [f": {type_}" for type_ in _split(text)] or [""] * len(usual)


def _split(text: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{(<") - (letter in "]})>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
