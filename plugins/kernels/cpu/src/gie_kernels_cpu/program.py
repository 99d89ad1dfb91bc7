"""The pointwise language on NumPy, compiled: a flat list of calls that write into given memory.

The result equals that of ``gie_core.ir.expr_numpy`` bit for bit. What is saved is traffic: the
iteration space is cut into blocks that stay in the cache, all steps of a program run on a block
before the next begins, and values that are needed no more give their scratch array to others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gie_core.ir.conversion import compute_dtype
from gie_core.ir.expr import Apply, Cast, Expr, Literal, Param, operands_of, walk
from gie_core.ir.types import Array
from gie_core.kernels.provider import Launch
from gie_kernels_cpu.blocks import Region, collapse, regions
from gie_kernels_cpu.functions import calls_for
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.kernel import Piece, carve, workspace_size
from gie_kernels_cpu.launches import Call, in_order

__all__ = ["CompiledProgram"]

BLOCK = 1 << 16
"""Elements that a step handles at once.

256 KB of f32: what a step writes is still in the L2 cache when the next one reads it, and the
calls themselves (about 1 µs each) do not count.
"""


@dataclass(frozen=True)
class _Step:
    """Get one value: a primitive, a cast, or an operand that has to be widened.

    Args:
        node: what it is.
        register: number of the scratch array that takes it; −1 − r if it is computed right in
            the memory of the program's result r; ``None`` for an operand as it lies in memory.
        stores: the results that it is copied to.
    """

    node: Expr
    register: int | None
    stores: tuple[int, ...]


class CompiledProgram:
    """Expressions over parameters, planned for operands of given shapes.

    Args:
        params: the operands, in order.
        results: one expression or more.
        operands: shape and dtype of each operand as stored: all of one rank, broadcasting to
            the shape of the results. A narrower float than the parameter's is widened.
        stored: dtype of each result as stored; by default the expressions' own. A narrower
            float is rounded once, at the end.

    Attributes:
        workspace: bytes of scratch memory that ``bind`` needs. Less is needed for parts of the
            operands.
    """

    def __init__(
        self,
        params: Sequence[Param],
        results: Sequence[Expr],
        operands: Sequence[Piece],
        stored: Sequence[np.dtype[Any]] | None = None,
    ) -> None:
        self._params = {param: number for number, param in enumerate(params)}
        self._dtypes = [dtype for _, dtype in operands]
        self._stored = list(stored or [result.dtype.numpy for result in results])
        self._shape = np.broadcast_shapes(*(shape for shape, _ in operands))
        shapes = [tuple(shape) for shape, _ in operands]
        self._registers: list[np.dtype[Any]] = []
        self._steps = self._plan(results, dict(zip(params, shapes, strict=True)))
        size = min(math.prod(self._shape), BLOCK)
        self._pieces: list[Piece] = [((size,), dtype) for dtype in self._registers]
        self.workspace = workspace_size(*self._pieces)

    def bind(self, arrays: Sequence[Array], outs: Sequence[Array], workspace: Array) -> Launch:
        """What runs the program on these arrays.

        Args:
            arrays: the operands, of the planned shapes and dtypes, with any strides.
            outs: where the results go. The only result may have the very memory of an operand
                (same strides), which is then overwritten.
            workspace: uint8 [workspace] or more.
        """
        order = _memory_order(outs[0])
        merged, views = collapse(
            outs[0].transpose(order).shape, [a.transpose(order) for a in (*outs, *arrays)]
        )
        targets, sources = views[: len(outs)], views[len(outs) :]
        sources = [next((t for t in targets if _is_same(t, s)), s) for s in sources]
        scratch = carve(workspace, *self._pieces)
        calls: list[Call] = []
        for region in regions(merged, BLOCK):
            # A target that is a source too must be the same object in both lists.
            parts = {id(a): a[_within(region, a, merged)] for a in (*targets, *sources)}
            block = _Block([parts[id(s)] for s in sources], [parts[id(t)] for t in targets])
            calls += self._block(block, scratch)
        return in_order(calls)

    def _block(self, block: _Block, scratch: Sequence[Array]) -> list[Call]:
        """The calls for one block."""
        calls: list[Call] = []
        values: dict[Expr, Array] = {}
        places = _Places(scratch)
        for step in self._steps:
            node = step.node
            operands = [values[operand] for operand in operands_of(node)]
            if isinstance(node, Literal):
                values[node] = np.asarray(node.value, compute_dtype(node.dtype))
            elif isinstance(node, Param):
                values[node] = source = block.sources[self._params[node]]
                if step.register is not None:
                    values[node] = places.of(step.register, [source])
                    calls += widening(source, values[node])
            elif step.register is not None and isinstance(node, Apply | Cast):
                to_result = step.register < 0
                values[node] = out = (
                    block.targets[-1 - step.register]
                    if to_result
                    else places.of(step.register, operands)
                )
                calls += calls_for(node, operands, out)
            for number in step.stores:
                target = block.targets[number]
                if target is not values[node]:
                    calls.append(partial(np.copyto, target, values[node], casting="unsafe"))
        return calls

    # ── Planning ────────────────────────────────────────────────────────────────────

    def _plan(self, results: Sequence[Expr], params: Mapping[Expr, tuple[int, ...]]) -> list[_Step]:
        nodes = list(walk(results))
        last_use = {operand: node for node in nodes for operand in operands_of(node)}
        shapes = _shapes(nodes, params, len(self._shape))
        holding: dict[Expr, int] = {}  # the scratch array that a living value occupies
        free: list[int] = []
        steps: list[_Step] = []
        for node in nodes:
            stores = [number for number, result in enumerate(results) if result is node]
            dying = dict.fromkeys(
                o for o in operands_of(node) if last_use[o] is node and o in holding
            )
            # A smaller array cannot lie where a larger one is being written.
            reusable = [holding.pop(o) for o in dying if shapes[o] == shapes[node]]
            register = None
            if self._is_computed(node):
                register = self._own_result(node, shapes[node], stores)
                if register is None:
                    register = holding[node] = self._register(node, reusable, free)
            free += [taken for taken in reusable if taken != register]
            free += [holding.pop(operand) for operand in dying if operand in holding]
            if node not in last_use and node in holding:
                free.append(holding.pop(node))
            steps.append(_Step(node, register, tuple(stores)))
        return steps

    def _is_computed(self, node: Expr) -> bool:
        """Whether the value needs memory that is not an operand's."""
        if isinstance(node, Param):
            return self._dtypes[self._params[node]] != compute_dtype(node.dtype)
        return not isinstance(node, Literal)

    def _own_result(self, node: Expr, shape: tuple[int, ...], stores: list[int]) -> int | None:
        """−1 − r if a value can be computed in the memory of result r, which needs no store."""
        if isinstance(node, Param) or shape != self._shape:
            return None
        for number in stores:
            if self._stored[number] == compute_dtype(node.dtype):
                stores.remove(number)
                return -1 - number
        return None

    def _register(self, node: Expr, reusable: Sequence[int], free: list[int]) -> int:
        dtype = compute_dtype(node.dtype)
        for register in reusable:
            if self._registers[register] == dtype:
                return register
        for register in free:
            if self._registers[register] == dtype:
                free.remove(register)
                return register
        self._registers.append(dtype)
        return len(self._registers) - 1


@dataclass(frozen=True)
class _Block:
    """The operands and the results in one block."""

    sources: Sequence[Array]
    targets: Sequence[Array]


class _Places:
    """Views of the scratch arrays. The same memory is the same object: functions rely on that."""

    def __init__(self, scratch: Sequence[Array]) -> None:
        self._scratch = scratch
        self._found: dict[tuple[int, tuple[int, ...]], Array] = {}

    def of(self, register: int, operands: Sequence[Array]) -> Array:
        """Where the result of these operands goes."""
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        key = register, shape
        if key not in self._found:
            self._found[key] = self._scratch[register][: math.prod(shape)].reshape(shape)
        return self._found[key]


def _shapes(
    nodes: Sequence[Expr], params: Mapping[Expr, tuple[int, ...]], rank: int
) -> dict[Expr, tuple[int, ...]]:
    """What each node's operands broadcast to."""
    found: dict[Expr, tuple[int, ...]] = {}
    for node in nodes:
        parts = [(1,) * rank, *(found[operand] for operand in operands_of(node))]
        found[node] = params[node] if node in params else np.broadcast_shapes(*parts)
    return found


def _memory_order(out: Array) -> list[int]:
    """The axes from the one with the largest stride to that with the smallest."""
    steps = [abs(s) if n > 1 else 0 for s, n in zip(out.strides, out.shape, strict=True)]
    return sorted(range(out.ndim), key=lambda axis: -steps[axis])


def _is_same(a: Array, b: Array) -> bool:
    """Whether two collapsed views are of the very same memory."""
    pointers = (x.__array_interface__["data"][0] for x in (a, b))
    alike = (a.dtype, a.shape, a.strides) == (b.dtype, b.shape, b.strides)
    return alike and len(set(pointers)) == 1


def _within(region: Region, array: Array, shape: tuple[int, ...]) -> Region:
    """The region as seen by an operand: all of it along axes where it has extent 1."""
    if array.shape == shape:
        return region
    return tuple(
        part if n > 1 else slice(None) for part, n in zip(region, array.shape, strict=True)
    )
