"""Contexts and engines: memory that is lent, states, odd graphs, threads, failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gie_core
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, type_of
from gie_core.ops import core_ops
from gie_core.ops.shape import Concat
from gie_core.plugin.host import PluginHost

HOST = PluginHost(entry_points=[])


def engine_of(text: str, **options: Any) -> gie_core.Engine:
    graph = parse_graph(f"graph g {{ {text} }}", core_ops())
    return gie_core.build(graph, host=HOST, **options)


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


# ── Memory of the caller ────────────────────────────────────────────────────────────────

SHARING = [
    'return %y, %y as "b"',
    "%v = reshape(%y) {shape = [2, 1]} return %y, %v",
    "return %x, %y",
]


@pytest.mark.parametrize("end", SHARING)
def test_outputs_in_one_storage_are_all_written(end: str) -> None:
    engine = engine_of(f"input %x: f32[2] %y = neg(%x) {end}")
    x = floats(1, 2)
    outputs = {name: np.full_like(array, 7) for name, array in engine(x).items()}
    engine.context().bind({"x": x}, outputs)()
    for name, array in engine(x).items():
        np.testing.assert_array_equal(outputs[name], array, err_msg=name)


# ── States ──────────────────────────────────────────────────────────────────────────────

DELAYS = [
    ("what a state was", "%z = neg(%x) state %s -> %x return %s, %x, %z", [0, 1, 2]),
    ("a view of it", '%v = reshape(%s) {shape = [1, 1]} state %s -> %x return %v as "s", %x',
     [0, 1, 2]),
    ("no node", "state %s -> %x return %s, %x", [0, 1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "found"), DELAYS, ids=[d[0] for d in DELAYS])
def test_outputs_show_states_before_the_next_run(what: str, text: str, found: list[float]) -> None:
    context = engine_of(f"input %x: f32[1] input %s: f32[1] {text}").context()
    assert [float(context(floats(n))["s"].item()) for n in (1, 2, 3)] == found, what


def test_a_graph_of_states_alone_is_timed_too() -> None:
    text = "input %x: f32[1] input %s: f32[1] state %s -> %x return %s, %x"
    context = engine_of(text, timing=True).context()
    assert [float(context(floats(n))["s"].item()) for n in (1, 2)] == [0, 1]


# ── Odd graphs ──────────────────────────────────────────────────────────────────────────

NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)
CONSTANTS = {
    "reversed": NUMBERS[::-1],
    "strided": NUMBERS[:, ::2],
    "transposed": NUMBERS.T,
    "repeated": np.broadcast_to(NUMBERS[:, :1], (3, 4)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_lie_oddly(name: str) -> None:
    data = CONSTANTS[name].view()
    data.flags.writeable = False
    graph = Graph("g")
    x = graph.add_input("x", type_of(data))
    constant = graph.add_constant(data)
    graph.set_outputs([graph.add(Concat(axis=0), x, constant).result, constant])
    whole, alone = gie_core.build(graph, host=HOST)(data).values()
    np.testing.assert_array_equal(whole, np.concatenate([data, data]))
    np.testing.assert_array_equal(alone, data)
