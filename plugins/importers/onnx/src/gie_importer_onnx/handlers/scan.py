"""Scan, as a Loop: in each iteration the body first takes its slices of the scanned tensors.

The Loop stacks what its body produces along axis 0; the direction and the axis that
the Scan asks for are made of that afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import GraphProto, NodeProto, TensorProto, helper

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Value
from gie_core.ir.types import TensorType
from gie_importer_onnx.call import Call
from gie_importer_onnx.nodes import import_nodes
from gie_importer_onnx.registry import Unsupported, handler
from gie_importer_onnx.scope import Scope

__all__: list[str] = []

# Names of the Loop's own; "gie." keeps them apart from the model's.
TRIPS, LAST, ITERATION, GOING = "gie.trips", "gie.last", "gie.iteration", "gie.going"


@handler("Scan", since=9)
def scan(call: Call) -> Sequence[Value]:
    """States, then the tensors to scan."""
    proto, count = call.graph("body"), call.integer("num_scan_inputs")
    operands = call.all_inputs()
    if not 0 < count <= len(operands) == len(proto.input):
        raise Unsupported(
            f"it scans {count} of {len(operands)} operands with {len(proto.input)} inputs"
        )
    states, scanned = operands[:-count], operands[-count:]
    axes = _per_item(call, "scan_input_axes", count)
    axes = tuple(call.axis(axis, call.rank(x)) for axis, x in zip(axes, scanned, strict=True))
    backward = _per_item(call, "scan_input_directions", count)
    trips = call.dims(scanned[0])[axes[0]]

    scope = _scope(call, states, scanned, axes[0])
    slices = [
        node
        for index, formal in enumerate(list(proto.input)[-count:])
        for node in _take(formal.name, f"gie.scanned.{index}", axes[index], bool(backward[index]))
    ]
    results = [f"gie.result.{index}" for index in range(len(proto.output))]
    inputs = [TRIPS, "", *(f"gie.state.{index}" for index in range(len(states)))]
    body = _body(proto, slices, len(states))
    import_nodes([helper.make_node("Loop", inputs, results, body=body)], scope)
    made = [
        value for value in (scope.value(name, call.where) for name in results) if value is not None
    ]
    scans = made[len(states) :]
    directions = _per_item(call, "scan_output_directions", len(scans))
    targets = _per_item(call, "scan_output_axes", len(scans))
    placed = (
        _place(call, value, trips, axis, bool(reverse))
        for value, axis, reverse in zip(scans, targets, directions, strict=True)
    )
    return [*made[: len(states)], *placed]


def _per_item(call: Call, name: str, count: int) -> tuple[int, ...]:
    values = call.integers(name, (0,) * count)
    if len(values) != count:
        raise Unsupported(f"its attribute {name!r} has {len(values)} entries for {count}")
    return values


def _scope(call: Call, states: Sequence[Value], scanned: Sequence[Value], axis: int) -> Scope:
    """The names around the Loop: those around the Scan, its operands, and its number of trips."""
    extents = call.emit("shape_of", scanned[0])
    trips = call.emit("gather", extents, call.constant(axis, None), axis=0)
    last = call.emit("sub", trips, call.constant(1, None))
    names: dict[str, Value | None] = {**call.scope.names, TRIPS: trips, LAST: last}
    names.update((f"gie.state.{index}", value) for index, value in enumerate(states))
    names.update((f"gie.scanned.{index}", value) for index, value in enumerate(scanned))
    return Scope(
        call.builder,
        call.scope.opsets,
        names=names,
        prefix=f"{call.result_name}.",
        source=call.source,
        depth=call.scope.depth,
        is_open=call.scope.is_open,
    )


def _take(name: str, scanned: str, axis: int, backward: bool) -> list[NodeProto]:
    """Nodes that take the slice of this iteration."""
    if not backward:
        return [helper.make_node("Gather", [scanned, ITERATION], [name], axis=axis)]
    index = f"gie.index.{name}"
    return [
        helper.make_node("Sub", [LAST, ITERATION], [index]),
        helper.make_node("Gather", [scanned, index], [name], axis=axis),
    ]


def _body(proto: GraphProto, slices: Sequence[NodeProto], states: int) -> GraphProto:
    """The Scan's body with what a Loop's has besides: the iteration, and a condition."""
    body = GraphProto()
    body.CopyFrom(proto)
    formals = list(proto.input)[:states]
    del body.input[:], body.node[:], body.output[:]
    body.input.append(helper.make_tensor_value_info(ITERATION, TensorProto.INT64, []))
    body.input.append(helper.make_tensor_value_info("gie.before", TensorProto.BOOL, []))
    body.input.extend(formals)
    body.node.extend([*slices, helper.make_node("Identity", ["gie.before"], [GOING]), *proto.node])
    body.output.append(helper.make_tensor_value_info(GOING, TensorProto.BOOL, []))
    body.output.extend(proto.output)
    return body


def _place(call: Call, stack: Value, trips: Dim, axis: int, reverse: bool) -> Value:
    """A stack along axis 0, of as many items as there were trips, in its direction and axis."""
    rank = call.rank(stack)
    stack.type = TensorType(call.dtype_of(stack), (trips, *call.dims(stack)[1:]))
    if reverse:
        stack = call.emit("slice", stack, axes=(0,), starts=(trips - 1,), ends=(-1,), steps=(-1,))
    target = call.axis(axis, rank)
    if target == 0:
        return stack
    order = list(range(1, rank))
    order.insert(target, 0)
    return call.emit("transpose", stack, permutation=order)
