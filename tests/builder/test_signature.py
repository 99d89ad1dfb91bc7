"""Equal texts for what takes the same time, different ones for all else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gie_core.builder.signature import (
    Job,
    alignment_of,
    candidate_signature,
    node_signature,
)
from gie_core.ir.graph import Node
from gie_core.ir.types import DType
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format, Layout
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.ops import core_ops
from gie_core.testing.passes import parse_with_blobs

CONV = """graph main {
  input %x: f32[1, 3, 8, 8]
  const %w: f32[4, 3, 3, 3] = blob "w"
  %y: f32[1, 4, 6, 6] = conv(%x, %w)
  return %y
}"""
GATHER = """graph main {
  input %x: f32[8, 3]
  const %i: i64[2] = [1, 5]
  %y: f32[2, 3] = gather(%x, %i) {axis = 0}
  return %y
}"""
GROUP = """graph main {
  input %x: f32[2, 3]
  input %b: f32[3]
  const %c: f32[] = [2.0]
  %y: f32[2, 3] = group(%x, %b, %c) {kind = "epilogue", body = graph tail {
    input %p: f32[2, 3]
    input %q: f32[3]
    input %r: f32[]
    const %half: f32[] = [0.5]
    %s: f32[2, 3] = add(%p, %q)
    %t: f32[2, 3] = mul(%s, %r)
    %u: f32[2, 3] = mul(%t, %half)
    return %u as "out"
  }}
  return %y
}"""
TWICE = """graph main {
  input %x: f32[2, 3]
  input %z: f32[2, 3]
  %y: f32[2, 3] = add(%x, %z)
  return %y
}"""


def only(text: str) -> Node:
    (node,) = parse_with_blobs(text, core_ops()).nodes
    return node


SAME = [
    (CONV, {"%y": "%features", "%x": "%image"}),
    (CONV, {"%x": "%v1", "%w": "%v0"}),
    (CONV, {'"w"': '"other numbers"'}),
    (CONV, {"conv(%x, %w)": 'conv(%x, %w) from "Conv_7" metadata {a = "b"}'}),
    (CONV, {"graph main": "graph other", "return %y": 'return %y as "z"'}),
    (CONV, {"8, 8]": "8, 8] quant(i8, scale = [0.5], zero_point = [0])"}),
    (GROUP, {"graph tail": "graph head", "%s": "%first", "%p": "%x", '"out"': '"z"'}),
    (GROUP, {"[0.5]": "[0.25]", "[2.0]": "[3.0]"}),
]
DIFFERENT = [
    (CONV, {"conv(%x, %w)": "conv(%x, %w) {groups = 1, strides = [1, 2]}", "6, 6": "6, 3"}),
    (CONV, {"[1, 3, 8, 8]": "[2, 3, 8, 8]", "[1, 4": "[2, 4"}),
    (CONV, {"f32": "f64"}),
    (CONV, {'const %w: f32[4, 3, 3, 3] = blob "w"': "input %w: f32[4, 3, 3, 3]"}),
    (GATHER, {"[1, 5]": "[5, 1]"}),
    (GROUP, {"mul(%t, %half)": "add(%t, %half)"}),
    (GROUP, {"mul(%s, %r)": "mul(%r, %s)"}),
    (GROUP, {"epilogue": "prologue"}),
    (TWICE, {"add(%x, %z)": "add(%x, %x)"}),
]


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(("text", "changes"), SAME)
def test_names_and_numbers_do_not_matter(text: str, changes: dict[str, str]) -> None:
    assert node_signature(only(changed(text, changes))) == node_signature(only(text))


@pytest.mark.parametrize(("text", "changes"), DIFFERENT)
def test_what_is_computed_matters(text: str, changes: dict[str, str]) -> None:
    assert node_signature(only(changed(text, changes))) != node_signature(only(text))


def test_the_text_is_the_nodes_own() -> None:
    assert node_signature(only(CONV)) == (
        "graph g {\n"
        "  input %v0: f32[1, 3, 8, 8]\n"
        '  const %v1: f32[4, 3, 3, 3] = blob "f32[4, 3, 3, 3]"\n'
        "  %v2: f32[1, 4, 6, 6] = conv(%v0, %v1)\n"
        '  return %v2 as "y0"\n'
        "}"
    )


DENSE = Format(DType.F32, (0, 1)).layout((2, 3))
FORMAT = Format(DType.F32, (0, 1))


def job(**changes: Any) -> Job:
    owner = NamedProvider("numpy", ReferenceProvider(), version="1")
    candidate = Candidate("plain", (FORMAT, FORMAT), (FORMAT,))
    return replace(Job(only(TWICE), owner, candidate, (DENSE, DENSE), (DENSE,)), **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"candidate": Candidate("tiled", (FORMAT, FORMAT), (FORMAT,))},
        {"provider": NamedProvider("numpy", ReferenceProvider(), version="2")},
        {"provider": NamedProvider("other", ReferenceProvider(), version="1")},
        {"operands": (DENSE, Layout(DType.F32, (2, 3), (4, 8)))},
        {"results": (Layout(DType.F32, (2, 3), (16, 4)),)},
        {"results": (Layout(DType.F16, (2, 3), (6, 2)),)},
        {"operand_alignments": (64, 4)},
        {"result_alignments": (16,)},
    ],
)
def test_who_runs_it_and_where_matters(change: dict[str, Any]) -> None:
    assert candidate_signature(job(**change)) != candidate_signature(job())


@pytest.mark.parametrize(
    "change",
    [
        {"candidate": Candidate("plain", (FORMAT, FORMAT), (FORMAT,), workspace=7)},
        {"provider": NamedProvider("numpy", ReferenceProvider(), "another plugin", "1")},
        {"operand_alignments": (64, 64)},
    ],
)
def test_nothing_else_of_a_job_matters(change: dict[str, Any]) -> None:
    assert candidate_signature(job(**change)) == candidate_signature(job())


def test_strides_of_single_positions_do_not_matter() -> None:
    one, other = (Layout(DType.F32, (1, 3), (stride, 4)) for stride in (12, 400))
    first, second = job(operands=(one, one)), job(operands=(other, one))
    assert candidate_signature(first) == candidate_signature(second)


@pytest.mark.parametrize(
    ("offset", "alignment"), [(0, 64), (64, 64), (192, 64), (96, 32), (4, 4), (6, 2), (7, 1)]
)
def test_alignments_are_powers_of_two(offset: int, alignment: int) -> None:
    assert alignment_of(offset) == alignment
