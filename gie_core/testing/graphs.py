"""Hypothesis strategies for graphs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gie_core.ir.dims import symbol
from gie_core.ir.graph import Graph, Value
from gie_core.ir.op import OpError
from gie_core.ir.types import DType, TensorType
from gie_core.ir.verify import verify
from gie_core.testing.inputs import random_inputs
from gie_core.testing.steps import STEPS, Choices, Step

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["random_graphs", "random_inputs"]

T = TypeVar("T")
MAX_ELEMENTS = 2000
SHAPES: tuple[tuple[int | str, ...], ...] = (
    ("n", 4),
    (2, 3),
    ("n", 2, 5),
    ("n", 4, 5, 6),
    (1, 3, 4, 4),
    ("n", 1, 3, 1),
    (4,),
)


def random_graphs(
    max_nodes: int = 12,
    dtypes: Sequence[DType] = (DType.F64, DType.I32, DType.BOOL),
    *,
    steps: Sequence[Step] = STEPS,
    shapes: Sequence[tuple[int | str, ...]] = SHAPES,
) -> SearchStrategy[Graph]:
    """Valid graphs over a mix of the core's ops.

    Values are read any number of times, dimensions are often symbolic (``n``), and there are
    several outputs. ``random_inputs`` makes arrays for them.

    Args:
        max_nodes: how many steps append nodes.
        dtypes: of the inputs; the first one is always among them.
        steps: what appends nodes; one that is listed twice does so twice as often.
        shapes: of the inputs; texts are symbols.
    """
    from hypothesis import strategies as st

    @st.composite
    def build(draw: Callable[[Any], Any]) -> Graph:
        choose = _Drawn(draw)
        graph = _with_inputs(choose, dtypes, shapes)
        for _ in range(choose.integer(1, max_nodes)):
            _step(graph, choose, steps)
        graph.set_outputs(_outputs(graph, choose))
        verify(graph)
        return graph

    return build()


class _Drawn:
    """Choices drawn by hypothesis, so that failures shrink."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self._draw = draw
        self._rng: np.random.Generator | None = None

    def pick(self, options: Sequence[T]) -> T:
        return options[self.integer(0, len(options) - 1)]

    def integer(self, low: int, high: int) -> int:
        from hypothesis import strategies as st

        return self._draw(st.integers(low, high))

    @property
    def rng(self) -> np.random.Generator:
        if self._rng is None:
            self._rng = np.random.default_rng(self.integer(0, 1000))
        return self._rng


def _with_inputs(
    choose: Choices, dtypes: Sequence[DType], shapes: Sequence[tuple[int | str, ...]]
) -> Graph:
    graph = Graph("random")
    for index, dtype in enumerate([*dtypes[:1], *dtypes[: choose.integer(0, len(dtypes))]]):
        shape: tuple[int | str, ...] = () if dtype is DType.BOOL else choose.pick(shapes)
        dims = tuple(symbol(d) if isinstance(d, str) else d for d in shape)
        graph.add_input(f"x{index}", TensorType(dtype, dims))
    return graph


def _outputs(graph: Graph, choose: Choices) -> list[Value]:
    """Most values that nobody reads, and some that somebody does."""
    results = [v for node in graph.nodes for v in node.results] or [graph.inputs[0]]
    unread = [v for v in results if not v.uses and choose.integer(0, 9) < 9]
    return list(dict.fromkeys([*unread, *([choose.pick(results)] * choose.integer(0, 1))]))


def _step(graph: Graph, choose: Choices, steps: Sequence[Step]) -> None:
    """Append what a step makes, unless it finds no operands or a result is unwanted."""
    known = set(graph.nodes)
    with contextlib.suppress(OpError):  # what a sequence made before it got stuck stays
        choose.pick(steps)(graph, choose)
    made = [node for node in graph.nodes if node not in known]
    if any(_is_unwanted(result) for node in made for result in node.results):
        for node in reversed(made):
            graph.remove(node)


def _is_unwanted(value: Value) -> bool:
    """Too large, empty for some input, or of unknown rank: steps would do little with it."""
    shape = value.tensor.shape
    if shape is None or any(isinstance(d, int) and d < 1 for d in shape):
        return True
    return int(np.prod([d if isinstance(d, int) else 4 for d in shape])) > MAX_ELEMENTS
