"""The pointwise language on NumPy, compiled: a flat list of calls that write into reused memory.

The result equals that of ``gie_core.ir.expr_numpy`` bit for bit. What is saved is traffic: the
iteration space is cut into blocks that stay in the cache, all steps of a program run on a block
before the next begins, and no step allocates memory of its own if it can be helped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gie_core.ir.conversion import compute_dtype, convert, round_float, wrap
from gie_core.ir.expr import Apply, Cast, Expr, Literal, Param, operands_of, walk
from gie_core.ir.types import Array, DType
from gie_kernels_cpu.blocks import BLOCK, Region, collapse, regions
from gie_kernels_cpu.functions import function_for

__all__ = ["CompiledProgram"]

Mask = tuple[bool, ...]  # the axes along which a value varies


@dataclass(frozen=True)
class _Step:
    """Compute one slot from others.

    ``register`` is the number of the scratch array that takes the result, or −1 − r where it is
    the program's result r, or ``None`` where the function allocates.
    """

    slot: int
    function: Callable[..., Any]
    operands: tuple[int, ...]
    register: int | None


class CompiledProgram:
    """Expressions over parameters, ready to run on arrays of any extents.

    Args:
        params: the operands, in order.
        results: one expression or more.

    It has no state but a cache, so several threads may run it at once.
    """

    def __init__(self, params: Sequence[Param], results: Sequence[Expr]) -> None:
        self._params = tuple(params)
        self._results = tuple(results)
        self._plans: dict[tuple[Mask, ...], _Plan] = {}

    def __call__(
        self, arrays: Sequence[Array], outs: Sequence[Array] | None = None
    ) -> tuple[Array, ...]:
        """Run on arrays that broadcast against each other.

        Args:
            arrays: one a parameter, all of one rank, in the parameters' storage dtypes.
            outs: where the results go, of the broadcast shape. A program with one result may be
                given one of ``arrays`` itself, which is then overwritten.

        Returns:
            ``outs``, or new C-contiguous arrays.
        """
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        if outs is None:
            outs = [np.empty(shape, result.dtype.numpy) for result in self._results]
        own = [next((n for n, out in enumerate(outs) if a is out), None) for a in arrays]
        if len(outs) > 1 and own != [None] * len(own):
            raise ValueError("only a program with one result can overwrite an operand")
        merged, views = collapse(shape, [*outs, *arrays])
        targets, sources = views[: len(outs)], views[len(outs) :]
        masks = tuple(tuple(n > 1 for n in source.shape) for source in sources)
        plan = self._plans.get(masks)
        if plan is None:
            plan = self._plans[masks] = _Plan(self._params, self._results, masks)
        plan.run(merged, sources, targets, own)
        return tuple(outs)


class _Plan:
    """The steps for one pattern of broadcasting."""

    def __init__(
        self, params: Sequence[Param], results: Sequence[Expr], masks: tuple[Mask, ...]
    ) -> None:
        nodes = [*params, *(n for n in walk(results) if not isinstance(n, Param))]
        self._slots = {node: slot for slot, node in enumerate(nodes)}
        self._loads = [
            (self._slots[p], compute_dtype(p.dtype))
            for p in params
            if compute_dtype(p.dtype) != p.dtype.numpy
        ]
        self._literals = [(self._slots[n], _value(n)) for n in nodes if isinstance(n, Literal)]
        self._count = len(params)
        self._size = len(nodes)
        self._results = [self._slots[result] for result in results]
        self._registers: list[np.dtype[Any]] = []
        self._steps = self._plan(nodes, results, _varying(nodes, params, masks))
        placed = {step.register for step in self._steps}
        self._stores = [r for r in range(len(results)) if -1 - r not in placed]

    def run(
        self,
        shape: tuple[int, ...],
        sources: Sequence[Array],
        targets: Sequence[Array],
        own: Sequence[int | None],
    ) -> None:
        """Run block by block; ``own`` says which target a source is, if it is one."""
        whole = math.prod(shape)
        if not whole:
            return
        flat = [np.empty(min(whole, BLOCK), dtype) for dtype in self._registers]
        scratch: list[Array] = []
        size: tuple[int, ...] = ()
        for region in regions(shape):
            outs = [target[region] for target in targets]
            if outs[0].shape != size:
                size = outs[0].shape
                scratch = [array[: math.prod(size)].reshape(size) for array in flat]
            values: list[Any] = [
                source[_within(region, source, shape)] if target is None else outs[target]
                for source, target in zip(sources, own, strict=True)
            ]
            self._run_block(values, outs, scratch)

    def _run_block(self, values: list[Any], outs: list[Array], scratch: list[Array]) -> None:
        values += [None] * (self._size - self._count)
        for slot, dtype in self._loads:
            values[slot] = values[slot].astype(dtype)
        for slot, literal in self._literals:
            values[slot] = literal
        for step in self._steps:
            operands = [values[slot] for slot in step.operands]
            if step.register is None:
                values[step.slot] = step.function(*operands)
                continue
            place = scratch[step.register] if step.register >= 0 else outs[-1 - step.register]
            result = step.function(*operands, out=place)
            if step.register < 0 and result is not place:
                np.copyto(place, result)
                result = place
            values[step.slot] = result
        for number in self._stores:
            np.copyto(outs[number], values[self._results[number]], casting="unsafe")

    def _plan(
        self, nodes: Sequence[Expr], results: Sequence[Expr], varying: Mapping[Expr, Mask]
    ) -> list[_Step]:
        last_use = {operand: node for node in nodes for operand in operands_of(node)}
        whole = tuple(map(any, zip(*(varying[n] for n in nodes), strict=True)))
        holding: dict[Expr, int] = {}  # the scratch array that a living value occupies
        free: list[int] = []
        steps: list[_Step] = []
        for node in nodes:
            if isinstance(node, Param | Literal):
                continue
            function, writes = _function(node)
            register: int | None = None
            dying = {o for o in operands_of(node) if last_use[o] is node} & holding.keys()
            if writes and varying[node] == whole:
                register = self._register(node, results, [holding[o] for o in dying], free)
            for operand in dying:
                if holding[operand] != register:
                    free.append(holding[operand])
                del holding[operand]
            if register is not None and register >= 0:
                holding[node] = register
            slots = tuple(self._slots[operand] for operand in operands_of(node))
            steps.append(_Step(self._slots[node], function, slots, register))
        return steps

    def _register(
        self, node: Expr, results: Sequence[Expr], dying: Sequence[int], free: list[int]
    ) -> int:
        """Where a step that can write anywhere writes."""
        dtype = compute_dtype(node.dtype)
        if node in results and dtype == node.dtype.numpy:
            return -1 - list(results).index(node)
        for register in dying:
            if self._registers[register] == dtype:
                return register
        for register in free:
            if self._registers[register] == dtype:
                free.remove(register)
                return register
        self._registers.append(dtype)
        return len(self._registers) - 1


def _function(node: Expr) -> tuple[Callable[..., Any], bool]:
    """What computes a node from its operands, and whether it takes ``out``."""
    match node:
        case Apply(name, args):
            function, dtype = function_for(name, args), node.dtype
            if compute_dtype(dtype) == dtype.numpy or name in ("min", "max", "select"):
                return function, True
            finish = round_float if dtype.is_float else wrap
            return partial(_rounded, function, finish, dtype), False
        case Cast(arg, dtype, rounding, saturate):
            options = {"rounding": rounding, "saturate": saturate}
            return partial(convert, source=arg.dtype, target=dtype, **options), False
        case _:
            raise TypeError(f"{type(node).__name__} is not computed")


def _rounded(
    function: Callable[..., Array], finish: Callable[..., Array], dtype: DType, *operands: Array
) -> Array:
    """A primitive of a type that NumPy does not compute in: rounded or wrapped to it."""
    return finish(function(*operands), dtype=dtype)


def _varying(
    nodes: Sequence[Expr], params: Sequence[Param], masks: tuple[Mask, ...]
) -> dict[Expr, Mask]:
    """The axes along which each node varies."""
    found: dict[Expr, Mask] = dict(zip(params, masks, strict=True))
    nothing = (False,) * len(masks[0])
    for node in nodes:
        if node not in found:
            parts = [nothing, *(found[operand] for operand in operands_of(node))]
            found[node] = tuple(map(any, zip(*parts, strict=True)))
    return found


def _value(literal: Literal) -> Array:
    return np.asarray(literal.value, compute_dtype(literal.dtype))


def _within(region: Region, array: Array, shape: tuple[int, ...]) -> Region:
    """The region as seen by an operand: all of it along axes where it has extent 1."""
    if array.shape == shape:
        return region
    return tuple(
        part if n > 1 else slice(None) for part, n in zip(region, array.shape, strict=True)
    )
