"""JSON as it is printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gie_core.cli.console import print_json

DOCUMENTS: list[tuple[Any, str]] = [
    ({}, "{}"),
    ([], "[]"),
    ("ü\x9b", r'"\u00fc\u009b"'),  # ASCII, so that no terminal obeys a model's name
    ([[1, 2], [3]], "[[1, 2], [3]]"),
    ({"a": [1, None], "b": {}}, '{\n  "a": [1, null],\n  "b": {}\n}'),
    ([{"a": 1}, 2], '[\n  {\n    "a": 1\n  },\n  2\n]'),
    ({"a": [{"b": "c"}]}, '{\n  "a": [\n    {\n      "b": "c"\n    }\n  ]\n}'),
    ([[{"a": [0]}], []], '[\n  [\n    {\n      "a": [0]\n    }\n  ],\n  []\n]'),
    ({"a": {"b": (1.5, float("nan"))}}, '{\n  "a": {\n    "b": [1.5, null]\n  }\n}'),
]


@pytest.mark.parametrize(("document", "text"), DOCUMENTS)
def test_json(document: Any, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(document)
    assert capsys.readouterr().out == f"{text}\n"
    json.loads(text)
