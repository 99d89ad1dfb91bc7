"""Checking passes: pairs of graphs before and after, and equal answers on random graphs.

A pair is a text of two parts::

    # before
    graph main { … }
    # after
    graph main { … }

or, for a pass that must leave the graph alone, a last part of one line::

    # unchanged: a part of the reason that the pass gives

Nothing behind the colon means that the pass does not even look. Constants too large for the text
(``blob "w"``) get seeded random elements that depend on the key only, so they are the same in both.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gie_core.builder.passes import Pass, run_passes, sort_passes
from gie_core.builder.report import PassRecord
from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph
from gie_core.ir.op import OpRegistry
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ir.types import Array, DType
from gie_core.ops import core_ops
from gie_core.ops.run import run_graph
from gie_core.testing.graphs import random_graphs
from gie_core.testing.inputs import random_array, random_inputs

__all__ = ["assert_same_answers", "check_pass", "check_pass_pair", "parse_with_blobs"]

_PART = re.compile(r"^# *(before|after|unchanged)\b:? *(.*)$", re.MULTILINE)
_BLOB = re.compile(r": *(\w+)\[([\d, ]*)\] *= *blob *\"([^\"]*)\"")


def check_pass_pair(
    pair: str | Path,
    passes: Pass | Sequence[Pass],
    ops: OpRegistry | None = None,
    rtol: float = 0.0,
) -> list[PassRecord]:
    """Run passes on the graph before, and compare with the graph after: text and answers.

    Args:
        pair: see above; a path is read.
        passes: one, or several that run together; their contract is checked.
        ops: all ops that occur; by default the core's.
        rtol: how far answers may differ, relative to the largest; 0 means bit by bit.

    Raises:
        AssertionError: the text or an answer differs, or the reason is not given.
    """
    ops = ops or core_ops()
    text = pair.read_text(encoding="utf-8") if isinstance(pair, Path) else pair
    parts = {name: (rest, body) for name, rest, body in _parts(text)}
    graph = parse_with_blobs(parts["before"][1], ops)
    original = clone_graph(graph)
    given = [passes] if isinstance(passes, Pass) else passes
    records = run_passes(graph, sort_passes(given))
    wanted = original if "unchanged" in parts else parse_with_blobs(parts["after"][1], ops)
    _assert_same_text(format_graph(wanted), format_graph(graph))
    if "unchanged" in parts:
        _assert_refused(records, parts["unchanged"][0])
    else:
        assert_same_answers(original, graph, rtol)
    return records


def check_pass(passes: Pass | Sequence[Pass], *, examples: int = 100, max_nodes: int = 12) -> None:
    """Run passes on random graphs: their contract holds, and the answers stay what they were.

    Args:
        passes: one, or several that run together.
        examples: how many graphs; the same ones each time.
        max_nodes: see ``random_graphs``.

    Raises:
        AssertionError: an answer differs; the graph is shrunk and printed, before and after.
        GieError: the contract does not hold.
    """
    from hypothesis import HealthCheck, given, note, settings

    given_passes = [passes] if isinstance(passes, Pass) else passes
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=slow)
    @given(graph=random_graphs(max_nodes))
    def check(graph: Graph) -> None:
        original = clone_graph(graph)
        note(format_graph(original))
        run_passes(graph, sort_passes(given_passes))
        note(format_graph(graph))
        # They compute in f64; where they cast to f32 and back, its roundings count.
        is_narrow = any(value.tensor.dtype is DType.F32 for value in original.values())
        assert_same_answers(original, graph, 1e-4 if is_narrow else 1e-9)

    check()


def assert_same_answers(
    first: Graph, second: Graph, rtol: float = 0.0, seeds: Sequence[int] = (0, 1)
) -> None:
    """Run both graphs by the ops' references on the same random inputs and compare the outputs.

    Args:
        first: the graph that is right.
        second: another with the same inputs and outputs.
        rtol: as in ``check_pass_pair``; integers and booleans are always compared exactly.
        seeds: one run each.

    Raises:
        AssertionError: names or answers differ.
    """
    assert first.output_names == second.output_names
    assert [v.name for v in first.inputs] == [v.name for v in second.inputs]
    for seed in seeds:
        inputs = random_inputs(first, np.random.default_rng(seed))
        pairs = zip(run_graph(first, inputs), run_graph(second, inputs), strict=True)
        for name, (expected, answer) in zip(first.output_names, pairs, strict=True):
            _assert_close(name, expected, answer, rtol)


def parse_with_blobs(text: str, ops: OpRegistry) -> Graph:
    """Read a graph whose large constants are made up from their keys."""
    blobs: dict[str, Array] = {}
    for dtype, extents, key in _BLOB.findall(text):
        shape = tuple(int(extent) for extent in extents.split(",") if extent.strip())
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        blobs[key] = random_array(DType(dtype), shape, rng)
    return parse_graph(text, ops, blobs)


def _parts(text: str) -> list[tuple[str, str, str]]:
    marks = list(_PART.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    assert [m[1] for m in marks] in (["before", "after"], ["before", "unchanged"]), (
        "a pair is '# before' and '# after', or '# before' and '# unchanged: reason'"
    )
    return [(m[1], m[2], text[m.end() : end]) for m, end in zip(marks, ends, strict=True)]


def _assert_same_text(expected: str, text: str) -> None:
    lines = difflib.unified_diff(expected.split("\n"), text.split("\n"), "expected", "got", n=99)
    assert text == expected, "the graph is another:\n" + "\n".join(lines)


def _assert_refused(records: Sequence[PassRecord], reason: str) -> None:
    given = [why for record in records for _, why in record.refusals]
    if reason:
        assert any(reason in why for why in given), f"no refusal says {reason!r}: {given}"
    else:
        assert not given, f"the pass looked and refused: {given}"


def _assert_close(name: str, expected: Array, answer: Array, rtol: float) -> None:
    assert expected.dtype == answer.dtype, f"{name} is {answer.dtype}, not {expected.dtype}"
    assert expected.shape == answer.shape, f"{name} is {answer.shape}, not {expected.shape}"
    dtype = DType.of(expected.dtype)
    if not dtype.is_float or not rtol:
        np.testing.assert_array_equal(_bits(answer), _bits(expected), err_msg=name)
        return
    wide, other = expected.astype(np.float64), answer.astype(np.float64)
    largest = np.abs(wide[np.isfinite(wide)]).max(initial=0.0)
    np.testing.assert_allclose(other, wide, rtol, rtol * largest, err_msg=name)


def _bits(array: Array) -> Array:
    """Elements that compare equal exactly if they are the same; all NaN are."""
    if array.dtype.kind not in "fV" or array.dtype == object:
        return array
    canonical = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array)
    return np.ascontiguousarray(canonical).view(f"u{array.dtype.itemsize}")
