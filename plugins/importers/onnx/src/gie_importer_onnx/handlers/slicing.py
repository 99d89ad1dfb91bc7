"""Ops that cut and pad: slice, split, pad.

ONNX counts negative positions from the end and forgives those beyond it. GIE's
ops take positions within the extent, so both are resolved here, also where the
extent is symbolic.
"""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.dims import Dim, SymInt, ceil_div, dim_max, dim_min
from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.known import is_nonnegative
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []

FAR = (1 << 31) - 1
"""Positions from here on mean "to the end" (exporters write the largest int of 32 or 64 bits)."""


@handler("Slice", since=10)
def slice_(call: Call) -> Value:
    """x, starts, ends, axes?, steps?"""
    starts, ends = call.known_dims(1), call.known_dims(2)
    axes = call.known_ints(3) if call.has(3) else tuple(range(len(starts)))
    steps = call.known_ints(4) if call.has(4) else (1,) * len(starts)
    return _slice(call, starts, ends, axes, steps)


@handler("Slice", since=1)
def slice_before_10(call: Call) -> Value:
    """x, the rest as attributes."""
    starts, ends = call.integers("starts"), call.integers("ends")
    axes = call.integers("axes", ()) or tuple(range(len(starts)))
    return _slice(call, starts, ends, axes, (1,) * len(starts))


def _slice(
    call: Call,
    starts: Sequence[Dim],
    ends: Sequence[Dim],
    axes: Sequence[int],
    steps: Sequence[int],
) -> Value:
    x = call.input(0)
    dims = call.dims(x)
    axes = call.axes(axes, len(dims))
    bounds = [
        _bounds(start, end, dims[axis], step)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    ]
    return call.emit(
        "slice",
        x,
        axes=axes,
        starts=tuple(start for start, _ in bounds),
        ends=tuple(end for _, end in bounds),
        steps=tuple(steps),
    )


def _bounds(start: Dim, end: Dim, extent: Dim, step: int) -> tuple[Dim, Dim]:
    """Start and end as positions within the extent."""
    start, end = _from_front(start, extent), _from_front(end, extent)
    if step > 0:
        return _clamp(start, 0, extent), _clamp(end, 0, extent)
    return _clamp(start, 0, extent - 1), _clamp(end, -1, extent - 1)


def _from_front(position: Dim, extent: Dim) -> Dim:
    if isinstance(position, int):
        return position + extent if -FAR < position < 0 else position
    if is_nonnegative(position):
        return position
    if is_nonnegative(position * -1 - 1):
        return position + extent
    # The sign is only known at run time: add the extent once if the position is negative.
    return position + extent * dim_min(dim_max(position * -1, 0), 1)


def _clamp(position: Dim, low: int, high: Dim) -> Dim:
    if isinstance(position, int) and isinstance(high, SymInt):
        if position >= FAR:
            return high
        if position <= -FAR:
            return low
    if isinstance(position, SymInt) and is_nonnegative(position - low):
        return dim_min(position, high)
    return dim_max(dim_min(position, high), low)


@handler("Split", since=18)
def split(call: Call) -> Sequence[Value]:
    """x, sizes?; or ``num_outputs`` pieces, the last one smaller."""
    return _split(call, call.known_dims(1) if call.has(1) else None)


@handler("Split", since=13)
def split_before_18(call: Call) -> Sequence[Value]:
    """x, sizes?; without them, equal pieces."""
    return _split(call, call.known_dims(1) if call.has(1) else None)


@handler("Split", since=1)
def split_before_13(call: Call) -> Sequence[Value]:
    """x, with the sizes as attribute (or, in opset 1, as second operand)."""
    if call.has(1):
        return _split(call, call.known_dims(1))
    return _split(call, call.integers("split", ()) or None)


def _split(call: Call, sizes: Sequence[Dim] | None) -> Sequence[Value]:
    x, count = call.input(0), len(call.node.output)
    axis = call.axis(call.integer("axis", 0), call.rank(x))
    if sizes is None:
        sizes = _equal_sizes(call.dims(x)[axis], count)
    if len(sizes) != count:
        raise Unsupported(f"it has {count} outputs, but {len(sizes)} sizes")
    return call.emit_all("split", x, axis=axis, sizes=tuple(sizes))


def _equal_sizes(extent: Dim, count: int) -> list[Dim]:
    """⌈extent / count⌉ each, and what is left for the last."""
    size = ceil_div(extent, count)
    if isinstance(extent, int) and isinstance(size, int):
        return [max(0, min(size, extent - size * index)) for index in range(count)]
    return [size] * (count - 1) + [extent - size * (count - 1)]


@handler("Pad", since=11)
def pad(call: Call) -> Value:
    """x, pads, value?, and since opset 18 axes?"""
    x, pads = call.input(0), call.known_dims(1)
    if call.has(3):
        pads = _for_all_axes(pads, call.axes(call.known_ints(3), call.rank(x)), call.rank(x))
    return call.emit("pad", x, call.optional(2), pads=pads, mode=call.text("mode", "constant"))


@handler("Pad", since=1)
def pad_before_11(call: Call) -> Value:
    """x, the rest as attributes (in opset 1, ``pads`` was called ``paddings``)."""
    x, name = call.input(0), "pads" if call.version >= 2 else "paddings"
    value = call.constant(call.real("value", 0.0), call.dtype_of(x))
    mode = call.text("mode", "constant")
    return call.emit(
        "pad", x, value if mode == "constant" else None, pads=call.integers(name), mode=mode
    )


def _for_all_axes(pads: Sequence[Dim], axes: Sequence[int], rank: int) -> tuple[Dim, ...]:
    """Pads of some axes as pads of all."""
    full: list[Dim] = [0 for _ in range(2 * rank)]
    for index, axis in enumerate(axes):
        full[axis], full[axis + rank] = pads[index], pads[index + len(axes)]
    return tuple(full)
