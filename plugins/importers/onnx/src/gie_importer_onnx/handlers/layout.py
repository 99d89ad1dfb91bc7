"""Ops that only move elements: transpose, concat, tile and kin."""

from __future__ import annotations

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import handler

__all__: list[str] = []


@handler("Transpose")
def transpose(call: Call) -> Value:
    """x with its axes permuted; reversed where no permutation is given."""
    x = call.input(0)
    reverse = tuple(range(call.rank(x)))[::-1]
    return call.emit("transpose", x, permutation=call.integers("perm", reverse))


@handler("Concat", since=4)
def concat(call: Call) -> Value:
    """Any number of operands."""
    operands = call.all_inputs()
    axis = call.axis(call.integer("axis"), call.rank(call.input(0)))
    return call.emit("concat", *operands, axis=axis)


@handler("Concat", since=1)
def concat_before_4(call: Call) -> Value:
    """Any number of operands; axis 1 unless said otherwise."""
    axis = call.axis(call.integer("axis", 1), call.rank(call.input(0)))
    return call.emit("concat", *call.all_inputs(), axis=axis)


@handler("Tile", since=6)
def tile(call: Call) -> Value:
    """x, repeats."""
    return call.emit("tile", call.input(0), repeats=call.known_dims(1))


@handler("Tile", since=1)
def tile_before_6(call: Call) -> Value:
    """x, tiles, axis."""
    x = call.input(0)
    repeats: list[Dim] = [1] * call.rank(x)
    repeats[call.axis(call.known_int(2), call.rank(x))] = call.known_dims(1)[0]
    return call.emit("tile", x, repeats=tuple(repeats))


@handler("DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """x [N, C, H, W]."""
    block, mode = call.integer("blocksize"), call.text("mode", "DCR")
    return call.emit("depth_to_space", call.input(0), block=block, mode=mode)


@handler("SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """x [N, C, H, W]; since opset 28 the channels may be in the order "CRD"."""
    x, block = call.input(0), call.integer("blocksize")
    if call.text("mode", "DCR") == "DCR":
        return call.emit("space_to_depth", x, block=block)
    n, c, h, w = call.dims(x)
    pixels = call.reshape(x, (n, c, h // block, block, w // block, block))
    blocks = call.emit("transpose", pixels, permutation=(0, 1, 3, 5, 2, 4))
    return call.reshape(blocks, (n, c * block * block, h // block, w // block))


@handler("Trilu")
def trilu(call: Call) -> Value:
    """x, k?"""
    k = call.known_int(1) if call.has(1) else 0
    return call.emit("trilu", call.input(0), upper=call.flag("upper", True), k=k)
