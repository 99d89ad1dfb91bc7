"""``build``: what it takes."""

from __future__ import annotations

from typing import Any

import pytest

import gie_core
from gie_core.errors import GieError
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.plugin.host import PluginHost


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("optimised", "there is no option 'optimised'; did you mean 'optimized'?"),
        ("nonsense", "there is no option 'nonsense'; a Graph takes no importer options"),
    ],
)
def test_a_graph_takes_no_options(option: str, message: str) -> None:
    graph = parse_graph("graph g { input %x: f32[2] return %x }", core_ops())
    options: dict[str, Any] = {option: False}
    with pytest.raises(GieError) as error:
        gie_core.build(graph, host=PluginHost(entry_points=[]), **options)
    assert str(error.value) == message
