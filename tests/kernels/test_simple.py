"""A provider that writes two methods gets the rest right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gie_core.ir.graph import Node
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Support
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.ops.arithmetic import Clip
from gie_core.runtime.target import HOST, Target
from gie_core.testing.kernels import check_node, check_unsupported, graph_text
from gie_core.testing.passes import parse_with_blobs


class Clips(ArrayProvider):
    def accepts(self, node: Node) -> Support:
        return Support.yes() if isinstance(node.op, Clip) else Support.no("it is no clip")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        np.copyto(out[0], operands[0])
        for bound, limit in zip(operands[1:], (np.maximum, np.minimum), strict=False):
            if bound is not None:
                limit(out[0], bound, out=out[0])


def node_of(call: str, inputs: dict[str, str], constants: dict[str, str] | None = None) -> Node:
    (node,) = parse_with_blobs(graph_text(call, inputs, constants), core_ops()).nodes
    return node


@pytest.mark.parametrize(
    ("call", "inputs", "constants"),
    [
        ("clip(%x)", "x", ""),
        ("clip(%x, %a)", "x a", ""),
        ("clip(%x, _, %a)", "x a", ""),
        ("clip(%x, %a)", "x", "a"),
        ("clip(%x, _, %a)", "x", "a"),
        ("clip(%x, %a)", "a", "x"),
    ],
)
def test_operands_that_are_absent_or_constant(call: str, inputs: str, constants: str) -> None:
    types = {"x": "f32[2, 3, 4]", "a": "f32[]"}
    given = [{name: types[name] for name in names.split()} for names in (inputs, constants)]
    check_node(Clips(), call, *given, exact=True)


def test_rejections() -> None:
    check_unsupported(Clips(), "relu(%x)", {"x": "f32[3]"}, match="no clip")
    check_unsupported(Clips(), "clip(%x)", {"x": "f32[n]"}, match="not known before it runs")
    node = node_of("clip(%x)", {"x": "f32[3]"})
    assert Clips().supports(node, HOST).ok
    assert Clips().supports(node, Target("cuda")).reason == "it runs on the host only"


def test_work() -> None:
    (one,) = Clips().candidates(node_of("clip(%x, %a)", {"x": "f32[2, 5]"}, {"a": "f32[]"}), HOST)
    assert one.work.steps == 10
    assert one.work.bytes == 4 * (10 + 10 + 1)
