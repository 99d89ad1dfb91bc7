"""``gie bench`` beside onnxruntime."""

from __future__ import annotations

import pytest

from gie_core.cli.demo import data_folder
from gie_core.testing.command_line import call_gie

pytest.importorskip("gie_importer_onnx")
pytest.importorskip("onnxruntime", reason="it is the peer")

MODEL = data_folder() / "digits.onnx"


def test_the_peer_takes_turns_and_computes_the_same() -> None:
    line = "--against onnxruntime --runs 3 --dim N=2 --json"
    found = call_gie("bench", MODEL, *line.split()).json
    ours, theirs = found["contestants"]
    assert (ours["name"], theirs["name"]) == ("gie digits.onnx", "onnxruntime")
    assert (ours["runs"], theirs["runs"]) == (3, 3)
    assert found["output_error"] < 1e-4
