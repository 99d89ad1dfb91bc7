"""Reports from JSON, whatever stands in it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.builder.report import (
    Alternative,
    BuildReport,
    ForeignNode,
    ImportReport,
    KernelChoice,
    PassRecord,
    PlanRecord,
    Rejection,
    StepRecord,
    StorageRecord,
)
from gie_core.cli.html.header import Subject
from gie_core.cli.html.page import page
from gie_core.cli.html.record import read_report
from gie_core.cli.html.sketch import Box, Sketch
from gie_core.ir.rewrite import Hit

ALTERNATIVE = Alternative("cpu", "gemm", "f32 → f32", ("y",), 7, 9, 1e-7, "slower", "")
FULL = BuildReport(
    imported=ImportReport("toy", Counter(Toy=2), [ForeignNode("n", "t::Op", "odd")], ["a note"]),
    passes=[PassRecord("p", 0, 0.5, (Hit("%y = neg", ("N",), ("%x",)),), (("%z = neg", "why"),))],
    choices=[
        KernelChoice(
            *("y", "conv", "cpu", ("Conv_0",), (Rejection("gpu", "there is none"),)),
            *("im2col", "f32 → f32", 5, (ALTERNATIVE,)),
        )
    ],
    nodes_before=4,
    nodes_after=2,
    plans=[
        PlanRecord(
            *({"n": 1}, 5, 6, (7, 8), 128, 64, 32, 1, 1e-3, 1e-2),
            steps=(StepRecord("y", "cpu im2col", 0, 0, 5), StepRecord("y", "copy", 1, 5, 6)),
            storages=(StorageRecord("arena", 0, 64, 0, 1, ("y",)),),
        )
    ],
    notes=["planned"],
    failed_plugins={"bad": "broken"},
)


def test_a_report_reads_back_from_its_json() -> None:
    assert read_report(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_what_files_leave_out_is_at_its_default() -> None:
    document = FULL.reproducible()
    assert read_report(document).passes[0].seconds == 0.0
    assert read_report({}) == BuildReport()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"nodes_before": "many", "notes": [1, "a", None]}, BuildReport(notes=["", "a", ""])),
        ({"plans": 5, "choices": {"a": 1}, "imported": None}, BuildReport()),
        ({"failed_plugins": {"a": ["b"]}}, BuildReport(failed_plugins={"a": ""})),
        ({"nodes_before": 10**400, "nodes_after": True}, BuildReport()),
        ({"unknown": 1}, BuildReport()),
    ],
)
def test_nonsense(document: dict[str, Any], expected: BuildReport) -> None:
    assert read_report(document) == expected


NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**63, 10**400])
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    pairs: list[tuple[Any, Any]] = []
    container: Any = document
    if isinstance(document, dict):
        pairs = list(cast("dict[str, Any]", document).items())
    elif isinstance(document, list):
        pairs = list(enumerate(cast("list[Any]", document)))
    return [(container, key) for key, _ in pairs] + [p for _, value in pairs for p in places(value)]


@given(st.data())
def test_damaged_reports_still_make_a_page(data: st.DataObject) -> None:
    document = json.loads(json.dumps(FULL.to_json()))
    for _ in range(3):
        container, key = data.draw(st.sampled_from(places(document)))
        container[key] = data.draw(ANYTHING)
    graph = Sketch((Box("y", "conv", "f32[1]", "matrix"),), (), 1)
    text = page(Subject("net", "host", read_report(document), graph, graph))
    assert text.endswith("</html>\n")
