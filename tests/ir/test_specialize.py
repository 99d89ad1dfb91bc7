"""Specialization: numbers in place of symbols."""

from __future__ import annotations

import pytest

from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.specialize import SizeError, is_static, specialize, symbols_of_inputs
from gie_core.ops import core_ops


def graph_of(text: str) -> Graph:
    return parse_graph(text, core_ops())


@pytest.mark.parametrize(
    ("text", "sizes", "shape"),
    [
        ("input %x: f32[n] %y = relu(%x)", {"n": 3}, (3,)),
        ("input %x: f32[n, m] %y = reshape(%x) {shape = [n*m]}", {"n": 3, "m": 2}, (6,)),
        ("input %x: f32[2*n] input %z: f32[n] %y = relu(%x)", {"n": 3}, (6,)),
        ("input %x: f32[n, m] %y = relu(%x)", {"n": 3}, "[3, m]"),
    ],
)
def test_shapes(text: str, sizes: dict[str, int], shape: tuple[int, ...] | str) -> None:
    graph = specialize(graph_of(f"graph g {{ {text} return %y }}"), sizes)
    found = graph.outputs[0].tensor.dims
    assert (f"[{', '.join(map(str, found))}]" if isinstance(shape, str) else found) == shape


GROUP = """graph g {{
  input %x: f32[{outer}]
  %a: f32[{outer}] = relu(%x)
  %y: f32[{outer}] = group(%a) {{kind = "epilogue", body = graph b {{
    input %x: f32[{inner}]
    %a = relu(%x)
    return %a
  }}}}
  return %y
}}"""


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("n", "n"),
        ("(n + 1) // 2", "(n + 1) // 2"),  # a symbol of the graph around it
        ("(n + 1) // 2", "m"),  # a symbol of its own
        ("(n + 1) // 2", "n"),  # a symbol of its own that is called as one outside
    ],
)
def test_bodies_of_groups(outer: str, inner: str) -> None:
    graph = specialize(graph_of(GROUP.format(outer=outer, inner=inner)), {"n": 8})
    group = list(graph.nodes)[1]
    (body,) = group.op.subgraphs().values()
    assert body.outputs[0].tensor.dims == graph.outputs[0].tensor.dims
    assert is_static(group)
    assert all(map(is_static, body.nodes))


def test_symbols_that_data_decides_stay() -> None:
    graph = graph_of("graph g { input %x: f32[n] %y: i64[1, k] = nonzero(%x) return %y }")
    assert symbols_of_inputs(graph) == {"n"}
    static = specialize(graph, {"n": 4})
    assert str(static.outputs[0].type) == "i64[1, k]"
    assert not any(map(is_static, static.nodes))


SENSELESS = [
    ("input %x: f32[n, 6 // n] %y = relu(%x)", 0, "a dimension of graph 'g' divides by zero"),
    (
        "input %x: f32[1, 1, n] %y = max_pool(%x) {kernel = [3]}",
        1,
        r"an extent of %y: .* is negative with n = 1; give other sizes",
    ),
]


@pytest.mark.parametrize(("text", "size", "message"), SENSELESS)
def test_sizes_that_make_no_sense(text: str, size: int, message: str) -> None:
    graph = graph_of(f"graph g {{ {text} return %y }}")
    with pytest.raises(SizeError, match=message):
        specialize(graph, {"n": size})
