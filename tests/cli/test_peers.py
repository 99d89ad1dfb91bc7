"""onnxruntime as a peer: what it says when it is missing, or can't run a model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from gie_core.cli.demo import data_folder
from gie_core.cli.peers import OnnxRuntime, check_onnxruntime
from gie_core.errors import GieError

MODEL = data_folder() / "digits.onnx"
FEED = {"pixels": np.random.default_rng(0).random((2, 1, 8, 8), np.float32)}


def find_nothing(name: str) -> None:
    """As if no package were installed."""


def test_a_missing_peer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    wanted = "onnxruntime is not installed; `pip install onnxruntime` does that"
    with pytest.raises(GieError, match=wanted):
        check_onnxruntime(MODEL)
    with pytest.raises(GieError, match=wanted):
        OnnxRuntime(MODEL, threads=1)


def test_an_engine_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", str)
    check_onnxruntime(MODEL)
    with pytest.raises(GieError, match=r"onnxruntime reads models, and a\.gie is an engine"):
        check_onnxruntime(Path("a.gie"))


class TestInstalled:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("onnxruntime", reason="it is the peer")

    def test_files_and_bytes_are_models(self) -> None:
        one, other = (OnnxRuntime(s, threads=1).run(FEED) for s in (MODEL, MODEL.read_bytes()))
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])

    def test_what_it_does_not_know_is_not_fed(self) -> None:
        OnnxRuntime(MODEL, threads=1).run({**FEED, "more": np.ones(1)})

    def test_values_inside_become_outputs(self) -> None:
        outputs = OnnxRuntime(MODEL, threads=1).run(FEED)
        onnx = pytest.importorskip("onnx")
        inside = [name for node in onnx.load(MODEL).graph.node for name in node.output]
        found = OnnxRuntime(MODEL, threads=1, values=[*inside, "none such"]).run(FEED)
        assert set(found) == {*inside, *outputs}
        for name, array in outputs.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("content", [b"", b"nonsense"])
    def test_a_model_that_it_does_not_read_is_one_sentence(
        self, content: bytes, tmp_path: Path
    ) -> None:
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        for values in (None, ["x"]):
            with pytest.raises(GieError, match=r"onnxruntime does not run .*bad\.onnx: "):
                OnnxRuntime(path, threads=1, values=values)

    def test_wrong_inputs_are_one_sentence(self) -> None:
        with pytest.raises(GieError, match=r"onnxruntime does not run .*digits\.onnx: "):
            OnnxRuntime(MODEL, threads=1).run({"pixels": np.ones(3, np.float32)})
