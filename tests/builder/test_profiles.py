"""Profiles: which sizes shapes stand for, plans for several, and others at run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gie_core
from gie_core.builder.profiles import likely_sizes, profile_sizes
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.plugin.host import PluginHost

HOST = PluginHost(entry_points=[])


def graph_of(inputs: str) -> Graph:
    return parse_graph(f"graph g {{ {inputs} %y = neg(%x) return %y }}", core_ops())


X = "input %x: f32[n, 3, h]"
SIZES: list[tuple[str, Any, list[dict[str, int]]]] = [
    (X, {"x": [2, 3, 5]}, [{"h": 5, "n": 2}]),
    (X, [{"x": [1, 3, 5]}, {"x": (8, 3, 5)}], [{"h": 5, "n": 1}, {"h": 5, "n": 8}]),
    (X, [{"x": [1, 3, 5]}, {"x": [1, 3, 5]}], [{"h": 5, "n": 1}]),
    (X, None, []),
    ("input %x: f32[2]", None, [{}]),
    ("input %x: f32[2]", {"x": [2]}, [{}]),
    ("input %x: f32[n] input %z: f32[2*n]", {"x": [3], "z": [6]}, [{"n": 3}]),
]


@pytest.mark.parametrize(("inputs", "shapes", "sizes"), SIZES)
def test_sizes(inputs: str, shapes: Any, sizes: list[dict[str, int]]) -> None:
    assert profile_sizes(graph_of(inputs), shapes) == sizes


WRONG = [
    (X, {"z": [1]}, "there is no input 'z'; the inputs are x"),
    (X, {"x": [1, 3]}, r"the shape \[1, 3\] does not fit the input 'x': f32\[n, 3, h\]"),
    (X, {"x": [1, 4, 5]}, r"the shape \[1, 4, 5\] does not fit"),
    (X, {"x": [-1, 3, 5]}, "does not fit"),
    (X + " input %z: f32[k]", {"x": [1, 3, 5]}, "the shapes don't say what k stands for"),
    ("input %x: f32[n] input %z: f32[2*n]", {"x": [3], "z": [5]}, r"f32\[2\*n\] with n = 3"),
    ("input %x: f32[2]", {"x": [3]}, "does not fit"),
]


@pytest.mark.parametrize(("inputs", "shapes", "message"), WRONG)
def test_shapes_that_do_not_fit(inputs: str, shapes: Any, message: str) -> None:
    with pytest.raises(GieError, match=message):
        profile_sizes(graph_of(inputs), shapes)


def test_likely_sizes_are_the_smallest_that_make_sense() -> None:
    window = "input %x: f32[n, 1, h, h] %p = max_pool(%x) {kernel = [3, 3]} return %p"
    assert likely_sizes(parse_graph(f"graph g {{ {window} }}", core_ops())) == {"h": 4, "n": 4}


def test_profiles_share_their_weights_and_others_run_too() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    b = gie_core.GraphBuilder()
    from gie_core.ops.linear import Matmul

    b.output(b.add(Matmul(), b.input("x", "f32", ["n", 4]), b.constant(weights)), "y")
    engine = gie_core.build(b.build(), host=HOST, shapes=[{"x": [1, 4]}, {"x": [8, 4]}])
    one, two = engine.package.plans
    assert (one.sizes, two.sizes) == ({"n": 1}, {"n": 8})
    assert all(a is b for a, b in zip(one.weights, two.weights, strict=True))
    for batch in (1, 8, 3, 1):
        x = np.random.default_rng(batch).standard_normal((batch, 4)).astype(np.float32)
        np.testing.assert_allclose(engine(x), x @ weights, rtol=1e-5)
