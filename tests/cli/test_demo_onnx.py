"""``gie demo`` as it is installed here."""

from __future__ import annotations

from typing import Any

import pytest

from gie_core.cli.demo import data_folder
from gie_core.errors import GieError
from gie_core.plugin.host import default_host
from gie_core.testing.command_line import call_gie

pytest.importorskip("gie_importer_onnx")


@pytest.fixture(scope="module")
def found() -> Any:
    called = call_gie("demo", "--json")
    assert called.status == 0, called.err
    return called.json


def test_accuracy(found: Any) -> None:
    right = sum(a == b for a, b in zip(found["predicted"], found["labels"], strict=True))
    assert found["correct"] == right
    assert found["total"] == len(found["labels"]) == 360
    assert found["accuracy"] == right / 360 >= 0.97


def test_the_single_pictures(found: Any) -> None:
    assert [digit["label"] for digit in found["digits"]] == [n for n in range(10) for _ in "ab"]
    assert all(digit["file"].startswith(str(digit["label"])) for digit in found["digits"])
    assert sum(digit["label"] == digit["predicted"] for digit in found["digits"]) >= 19


def test_what_was_done(found: Any) -> None:
    assert found["target"] == "host"
    assert sum(found["kernels"].values()) >= found["nodes_after"] > 0
    if any(found["hits"].values()):
        assert found["nodes_after"] < found["nodes_before"]
    for latency, batch in zip(found["latency"], (1, 360), strict=True):
        assert latency["batch"] == batch
        assert 0 < latency["low"] <= latency["median"] <= latency["high"]


def test_answers_equal_onnxruntimes(found: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    import numpy as np
    from PIL import Image

    folder = data_folder()
    session = onnxruntime.InferenceSession(str(folder / "digits.onnx"))
    sheet = np.asarray(Image.open(folder / "held_out.png"), np.float32)
    columns = sheet.shape[1] // 8
    digits = [
        sheet[8 * (i // columns) :, 8 * (i % columns) :][:8, :8] for i in range(found["total"])
    ]
    [rows] = session.run(None, {"pixels": np.stack(digits)[:, None]})
    assert found["predicted"] == rows.argmax(1).tolist()


def test_text() -> None:
    lines = call_gie("demo").out.splitlines()
    assert sum(line.count("→") for line in lines) == 21
    assert any("of 360 held-out digits are right: 9" in line for line in lines)
    assert any("█" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_too_few_right_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gie_core.cli.demo.REQUIRED", 1.01)
    assert call_gie("demo", "--json").status == 1


def test_without_the_importer_it_says_what_to_install() -> None:
    called = call_gie("--block", "gie-importer-onnx", "demo")
    assert called.status == 2
    assert "pip install 'gie-core[onnx]'" in called.error
    assert called.error.endswith("(gie-importer-onnx is blocked)")
    default_host.cache_clear()


def test_without_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gie_core.cli.demo.__file__", "/nowhere/gie_core/cli/demo.py")
    with pytest.raises(GieError, match="reinstall gie-core"):
        data_folder()
