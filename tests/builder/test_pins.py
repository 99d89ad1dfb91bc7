"""Pins: by result, by source, by provider, by candidate; on groups; and names that don't exist."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gie_core.builder.planner import plan_graph
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.ops import core_ops
from gie_core.runtime.context import HostContext
from gie_core.runtime.target import HOST

cpu = pytest.importorskip("gie_kernels_cpu.provider", reason="the pins name its kernels")

PROVIDERS = [
    NamedProvider("cpu", cpu.CpuProvider()),
    NamedProvider("reference", ReferenceProvider()),
]
TEXT = """graph g {
  input %x: f32[1, 4, 8, 8]
  const %w: f32[8, 4, 3, 3] = blob "w"
  %g: f32[1, 8, 8, 8] = group(%x, %w) {kind = "epilogue", body = graph b {
    input %x: f32[1, 4, 8, 8]
    input %w: f32[8, 4, 3, 3]
    %c: f32[1, 8, 8, 8] = conv(%x, %w) {pads = [1, 1, 1, 1]} from "Conv_0"
    %r: f32[1, 8, 8, 8] = pointwise(%c) {program = `(x[a,b,c,d]: f32) -> max(x, 0.0)`} from "Relu_1"
    return %r
  }}
  %e = erf(%g) from "Erf_2"
  %v = reshape(%e) {shape = [1, 512]} from "Flatten_3"
  %d = concat(%v, %v) {axis = 1}
  %n: i64[2, k] = nonzero(%d) from "NonZero_4"
  return %d, %n
}"""
W = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((1, 4, 8, 8)).astype(np.float32)


def graph() -> Graph:
    return parse_graph(TEXT, core_ops(), {"w": W})


def choices(pins: dict[str, str]) -> dict[str, str]:
    """What runs each node of the plan."""
    planned = plan_graph(graph(), {}, HOST, PROVIDERS, pins=pins)
    right, found = (
        HostContext(plan_graph(graph(), {}, HOST, PROVIDERS, pins=p).plan, PROVIDERS).run([X])[0]
        for p in ({}, pins)
    )
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5)
    return {choice.node: f"{choice.provider} {choice.candidate}" for choice in planned.choices}


PINS = [
    ("a result", {"g": "cpu im2col NHWC"}, "g", "cpu im2col NHWC"),
    ("a result within a group", {"c": "cpu im2col NHWC"}, "g", "cpu im2col NHWC"),
    ("a source", {"Conv_0": "cpu im2col NHWC"}, "g", "cpu im2col NHWC"),
    ("a provider", {"Conv_0": "cpu"}, "g", "cpu im2col NCHW"),
    ("the beginning of a name", {"Conv_0": "cpu im2"}, "g", "cpu im2col NCHW"),
    ("both members of a group", {"c": "cpu im2col NHWC", "Relu_1": "cpu"}, "g", "cpu im2col NHWC"),
    ("a group apart", {"c": "cpu im2col", "Relu_1": "cpu NHWC"}, "g", "cpu NHWC"),
    ("a kernel rather than a view", {"Flatten_3": "cpu"}, "v", "cpu row-major"),
    ("a view", {"Flatten_3": "view"}, "v", "view "),
    ("a kernel rather than a join", {"d": "cpu"}, "d", "cpu row-major"),
    ("a join", {"d": "join"}, "d", "join "),
    ("what runs on whatever comes", {"NonZero_4": "reference"}, "n", "reference "),
]


@pytest.mark.parametrize(("what", "pins", "node", "kernel"), PINS, ids=[p[0] for p in PINS])
def test_what_is_pinned_runs(what: str, pins: dict[str, str], node: str, kernel: str) -> None:
    assert choices(pins)[node] == kernel, what


WRONG = [
    ({"Conv_0": "cuda"}, "nothing named 'cuda' runs 'Conv_0'; what runs it: cpu im2col NCHW, cpu"),
    ({"e": "cpu im2col"}, "nothing named 'cpu im2col' runs 'e'; what runs it: cpu"),
    ({"Conv_0": "cp"}, "nothing named 'cp' runs 'Conv_0'; what runs it: cpu im2col"),
    ({"Conv_0": ""}, "nothing named '' runs 'Conv_0'"),
    (
        {"Flatten_3": "join"},
        "nothing named 'join' runs 'Flatten_3'; what runs it: cpu row-major, v",
    ),
    ({"n": "cpu"}, "nothing named 'cpu' runs 'n'; what runs it: reference"),
    ({"Conv_O": "cpu"}, "there is no node 'Conv_O' to pin; did you mean 'Conv_0'?"),
    ({"x": "cpu"}, "there is no node 'x' to pin; see gie inspect for the names"),
    ({"c": "cpu im2col NHWC", "Conv_0": "cpu im2col NCHW"}, "nothing named 'cpu im2col NCHW' runs"),
]


@pytest.mark.parametrize(("pins", "message"), WRONG, ids=[str(w[0]) for w in WRONG])
def test_what_can_not_be_pinned(pins: dict[str, str], message: str) -> None:
    with pytest.raises(GieError, match="^" + re.escape(message)):
        plan_graph(graph(), {}, HOST, PROVIDERS, pins=pins)
