"""Plans as JSON.

A plan's graph, its weights and its layouts stand in tables and are named by their numbers there;
nodes by their position in the plan's graph. A place is a number for a slot, ``[storage, offset,
layout]`` for a region, and ``null`` where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gie_core.engine.json_reader import Item
from gie_core.engine.plan import Kind, Place, Plan, Region, Slot, Step, Storage
from gie_core.ir.graph import Graph, Node
from gie_core.ir.types import Array, DType
from gie_core.kernels.format import Layout

__all__ = ["plan_from_json", "plan_to_json"]

MAX_BYTES = 2**48
_DTYPES = {dtype.value: dtype for dtype in DType}
_KINDS = {kind.value: kind for kind in Kind}


# ── Writing ─────────────────────────────────────────────────────────────────────────────


def plan_to_json(plan: Plan, graph: int, weight: Callable[[Array], int]) -> dict[str, Any]:
    """A plan as JSON.

    Args:
        plan: the plan.
        graph: the number of its graph in the file.
        weight: gives the number of an array in the file.
    """
    nodes = {node: index for index, node in enumerate(plan.graph.nodes)}
    layouts: dict[Layout, int] = {}

    def place(each: Place | None) -> Any:
        if each is None or isinstance(each, Slot):
            return None if each is None else each.index
        return [each.storage, each.offset, layouts.setdefault(each.layout, len(layouts))]

    def step(each: Step) -> dict[str, Any]:
        return {
            "node": nodes[each.node],
            "provider": each.provider,
            "candidate": each.candidate,
            "operands": [place(operand) for operand in each.operands],
            "results": [place(result) for result in each.results],
            "constants": list(each.constants),
            "workspace": place(each.workspace),
            "stream": each.stream,
            "after": list(each.after),
        }

    return {
        "graph": graph,
        "sizes": dict(plan.sizes),
        "arena": plan.arena,
        "slots": plan.slots,
        "storages": [[s.kind.value, s.size, s.offset] for s in plan.storages],
        "inputs": [place(each) for each in plan.inputs],
        "outputs": [place(each) for each in plan.outputs],
        "steps": [step(each) for each in plan.steps],
        "layouts": [[str(x.dtype), list(x.shape), list(x.strides)] for x in layouts],
        "weights": [weight(array) for array in plan.weights],
        "fixed": [list(pair) for pair in plan.fixed],
    }


# ── Reading ─────────────────────────────────────────────────────────────────────────────


def plan_from_json(item: Item, graphs: Sequence[Graph], arrays: Sequence[Array]) -> Plan:
    """The plan that a piece of JSON describes; ``check_plan`` says whether it can be run.

    Args:
        item: as ``plan_to_json`` made it.
        graphs: those of the file.
        arrays: those of the file.

    Raises:
        JsonError: it is no plan.
    """
    fields = item.fields(
        *("graph", "sizes", "arena", "slots", "storages", "inputs", "outputs", "steps", "layouts"),
        *("weights", "fixed"),
    )
    graph = graphs[fields["graph"].index(len(graphs), "graph")]
    places = _Places([_layout(each) for each in fields["layouts"].items(each="layout")])
    nodes = list(graph.nodes)
    weights = fields["weights"].items(each="weight")
    return Plan(
        graph=graph,
        steps=tuple(_step(each, nodes, places) for each in fields["steps"].items(each="step")),
        storages=tuple(_storage(each) for each in fields["storages"].items(each="storage")),
        arena=fields["arena"].integer(),
        inputs=tuple(places.read(each) for each in fields["inputs"].items(each="input")),
        outputs=tuple(places.read(each) for each in fields["outputs"].items(each="output")),
        weights=tuple(arrays[each.index(len(arrays), "array")] for each in weights),
        slots=fields["slots"].integer(),
        fixed=tuple(_pair(each) for each in fields["fixed"].items(each="fixed")),
        sizes={name: each.integer() for name, each in fields["sizes"].entries().items()},
    )


class _Places:
    def __init__(self, layouts: Sequence[Layout]) -> None:
        self._layouts = layouts

    def read(self, item: Item) -> Place:
        """A slot or a region."""
        return Slot(item.integer()) if isinstance(item.value, int) else self.region(item)

    def read_optional(self, item: Item) -> Place | None:
        """A slot, a region, or nothing."""
        return None if item.value is None else self.read(item)

    def region(self, item: Item) -> Region:
        """A region."""
        storage, offset, layout = item.items(3)
        number = layout.index(len(self._layouts), "layout")
        return Region(storage.integer(), offset.integer(0, MAX_BYTES), self._layouts[number])


def _step(item: Item, nodes: Sequence[Node], places: _Places) -> Step:
    fields = item.fields(
        *("node", "provider", "candidate", "operands", "results", "constants", "workspace"),
        *("stream", "after"),
    )
    workspace = fields["workspace"]
    operands = fields["operands"].items(each="operand")
    return Step(
        node=nodes[fields["node"].index(len(nodes), "node")],
        provider=fields["provider"].text(),
        candidate=fields["candidate"].text(),
        operands=tuple(places.read_optional(each) for each in operands),
        results=tuple(places.read(each) for each in fields["results"].items(each="result")),
        constants=fields["constants"].integers(),
        workspace=None if workspace.value is None else places.region(workspace),
        stream=fields["stream"].integer(),
        after=fields["after"].integers(),
    )


def _layout(item: Item) -> Layout:
    dtype, shape, strides = item.items(3)
    return Layout(
        _DTYPES[dtype.choice(tuple(_DTYPES))],
        shape.integers(0, MAX_BYTES),
        strides.integers(-MAX_BYTES, MAX_BYTES),
    )


def _storage(item: Item) -> Storage:
    kind, size, offset = item.items(3)
    return Storage(
        _KINDS[kind.choice(tuple(_KINDS))], size.integer(0, MAX_BYTES), offset.integer(0, MAX_BYTES)
    )


def _pair(item: Item) -> tuple[int, int]:
    slot, weight = item.items(2)
    return slot.integer(), weight.integer()
