"""The examples of the README and of the docs run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import onnx.parser

ROOT = Path(__file__).parents[2]
MODEL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2, 3] x) => (float[2, 3] y) { a = Relu (x)  y = Add (a, x) }"""


def example(page: str, word: str) -> str:
    """The first block of Python on a page that has a word in it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if word in block)


def run(folder: Path, *parts: str) -> list[str]:
    """Run parts of a script, one after the other; returns the words that it prints."""
    script = folder / "script.py"
    script.write_text("\n".join(parts), encoding="utf-8")
    command = [sys.executable, "-W", "error", script.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def write_model(folder: Path) -> None:
    model = onnx.parser.parse_model(MODEL)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def test_build_run_save_and_load(tmp_path: Path) -> None:
    write_model(tmp_path)
    given = "import numpy as np\nx = np.full((2, 3), -1, np.float32)\nx[0] = 2"
    printed = run(tmp_path, given, example("README.md", "gie_core.build("), "print(*y.ravel())")
    assert printed[-6:] == ["4.0"] * 3 + ["-1.0"] * 3


def test_an_op_of_ones_own_in_a_graph(tmp_path: Path) -> None:
    _, op = example("README.md", "acme/plugin.py").split("# acme/ops.py")
    graph = example("README.md", "GraphBuilder")
    shown = "import numpy as np\nprint(*engine(np.full((1, 8), 3, np.float32))[0])"
    assert run(tmp_path, op, "import gie_core", graph, shown) == ["1.0"] * 8


def test_a_session_in_place_of_onnx_runtimes(tmp_path: Path) -> None:
    write_model(tmp_path)
    [changed] = re.findall(r"`(import gie_adapter_onnx as ort)`", (ROOT / "README.md").read_text())
    shown = """import numpy as np
[y] = ort.InferenceSession("model.onnx").run(None, {"x": np.ones((2, 3), np.float32)})
print(*y[0])"""
    assert run(tmp_path, changed, shown) == ["2.0"] * 3


def test_an_engine_file_is_a_safetensors_file(tmp_path: Path) -> None:
    write_model(tmp_path)
    built = "import gie_core\ngie_core.build('model.onnx').save('net.gie')"
    assert run(tmp_path, built, example("docs/engine-file.md", "safe_open"))[0] == "host"
