"""The importer keeps the contract of importers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx.parser
import onnxruntime
from onnx import ModelProto

from gie_core.ir.types import Array
from gie_core.testing.importer import check_importer
from gie_importer_onnx.importer import OnnxImporter

TEXTS = {
    "network": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
          w = Constant <value = float[4, 3, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8, 9, -10, -11, -12}> ()
          c = Conv <kernel_shape = [1, 1], strides = [2, 2]> (x, w)
          r = Relu (c)
          p = GlobalAveragePool (r)
          f = Flatten (p)
          y = Softmax <axis = 1> (f)
        }""",
    "two outputs": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[3, 4] a, float[4] b) => (float[3, 4] total, int64[2] extents) {
          total = Add (a, b)
          extents = Shape (total)
        }""",
}
MODELS = {name: onnx.parser.parse_model(text) for name, text in TEXTS.items()}
BYTES = {name: model.SerializeToString() for name, model in MODELS.items()}


def answers_of_onnxruntime(model: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    data = model.SerializeToString() if isinstance(model, ModelProto) else model
    session: Any = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names: list[str] = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def test_conformance(tmp_path: Path) -> None:
    check_importer(OnnxImporter(), BYTES, answers_of_onnxruntime, damages=400)
    check_importer(OnnxImporter(), MODELS, answers_of_onnxruntime)
    path = tmp_path / "network.onnx"
    path.write_bytes(BYTES["network"])
    check_importer(OnnxImporter(), [path], answers_of_onnxruntime)
