"""Random nodes: each step looks at the values of a graph and may append a node that fits one.

Steps avoid what makes two right computations differ: jumps (rounding, comparison of floats) and
fast growth (exp, powers).
"""

from __future__ import annotations

from gie_core.ir.graph import Graph
from gie_core.testing.steps import elementwise, layers, moving
from gie_core.testing.steps.choices import Choices, Step

__all__ = ["NETWORK_STEPS", "STEPS", "Choices", "Step"]


def _sequence(*steps: Step) -> Step:
    """Steps in a row, which mostly work on each other's results: the patterns of networks."""

    def step(graph: Graph, choose: Choices) -> None:
        for each in steps:
            each(graph, choose)

    return step


STEPS: tuple[Step, ...] = (
    elementwise.unary,
    elementwise.with_constant,
    elementwise.binary,
    elementwise.product,
    elementwise.divided,
    elementwise.clip,
    elementwise.where,
    elementwise.cast,
    layers.conv,
    layers.batch_norm,
    layers.pool,
    layers.linear,
    layers.softmax,
    layers.reduce,
    moving.reshape,
    moving.transpose,
    moving.expand,
    moving.concat,
    moving.split,
    moving.slice_,
    moving.pad,
    moving.gather,
    moving.shape_of,
    elementwise.branch,
    elementwise.folded_constant,
    _sequence(layers.conv, layers.batch_norm, elementwise.unary),
    _sequence(layers.conv, elementwise.with_constant),
    _sequence(layers.conv, layers.conv, elementwise.binary),
    _sequence(layers.linear, elementwise.with_constant),
    _sequence(*[elementwise.with_constant] * 4),
    _sequence(layers.linear, elementwise.unary),
    _sequence(moving.pad, layers.conv),
    _sequence(moving.pad, layers.pool),
    _sequence(elementwise.cast, elementwise.cast),
    _sequence(elementwise.unary, moving.reshape, elementwise.unary),
    _sequence(moving.reshape, moving.reshape),
    _sequence(moving.transpose, elementwise.unary, moving.transpose),
    _sequence(moving.transpose, moving.concat, layers.reduce),
    _sequence(moving.transpose, moving.split, elementwise.with_constant),
)
"""All steps; one that finds nothing to work on raises ``OpError``."""

NETWORK_STEPS: tuple[Step, ...] = (
    layers.pool,
    layers.linear,
    layers.reduce,
    layers.softmax,
    elementwise.unary,
    elementwise.binary,
    elementwise.with_constant,
    moving.reshape,
    moving.transpose,
    moving.slice_,
    moving.pad,
    *[moving.concat] * 3,
    *[layers.conv] * 2,
    *[_sequence(layers.conv, layers.conv, elementwise.binary, elementwise.unary)] * 2,
    _sequence(layers.conv, layers.batch_norm, elementwise.unary),
    _sequence(layers.conv, elementwise.with_constant, layers.conv, moving.concat),
    _sequence(moving.split, elementwise.unary, moving.concat, moving.concat),
    _sequence(moving.transpose, elementwise.unary, moving.transpose),
)
"""Steps of convolutional networks: layers, branches that meet again, moves between them."""
