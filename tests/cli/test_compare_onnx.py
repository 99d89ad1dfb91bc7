"""``gie compare`` beside onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gie_core.cli.demo import data_folder
from gie_core.testing.command_line import call_gie

onnx = pytest.importorskip("onnx")
pytest.importorskip("gie_importer_onnx")
pytest.importorskip("onnxruntime", reason="it is the peer")

MODEL = data_folder() / "digits.onnx"


@pytest.mark.parametrize("other", ["reference", "onnxruntime", str(MODEL)])
def test_digits_agree(other: str) -> None:
    called = call_gie("compare", MODEL, "--with", other, "--dim", "N=3", "--json")
    assert called.status == 0
    values = called.json["values"]
    assert len(values) > 5
    assert max(each["error"] for each in values) < 1e-5
    assert all(each["sources"] for each in values if each["op"] != "output")


def test_a_changed_weight_is_found_where_it_is(tmp_path: Path) -> None:
    model = onnx.load(MODEL)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    name = convolutions[2].input[1]
    [weight] = [each for each in model.graph.initializer if each.name == name]
    changed = onnx.numpy_helper.to_array(weight) * np.float32(1.5)
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, name))
    onnx.save(model, tmp_path / "changed.onnx")
    called = call_gie("compare", tmp_path / "changed.onnx", "--with", MODEL, "--json")
    assert called.status == 1
    assert convolutions[2].name in called.json["first"]["sources"]
