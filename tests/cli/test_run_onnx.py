"""``gie run`` and ``gie inspect`` on the digits network."""

from __future__ import annotations

import pytest

from gie_core.cli.demo import data_folder
from gie_core.testing.command_line import call_gie

pytest.importorskip("gie_importer_onnx")

FOLDER = data_folder()
MODEL = FOLDER / "digits.onnx"
PICTURES = sorted((FOLDER / "held_out").glob("*.png"))


def test_pictures_are_classified_without_any_option() -> None:
    called = call_gie("run", MODEL, *PICTURES, "--top", "1", "--json")
    best = [run["top"][0][0]["index"] for run in called.json["runs"]]
    labels = [int(picture.name[0]) for picture in PICTURES]
    assert sum(a == b for a, b in zip(best, labels, strict=True)) >= 19


def test_optimized_and_not_give_the_same() -> None:
    with_passes, without = (
        call_gie("run", MODEL, PICTURES[0], "--json", *extra).json["runs"][0]["outputs"][0]
        for extra in ([], ["--no-optimize"])
    )
    assert with_passes["values"][0] == pytest.approx(without["values"][0], abs=1e-5)


def test_inspect_prints_the_imported_graph() -> None:
    called = call_gie("inspect", MODEL, "--graph", "imported")
    assert called.out.startswith("graph digits {\n")
    assert "\n  input %pixels: f32[N, 1, 8, 8]\n" in called.out
    assert called.out.count(" = conv(") == 6


def test_inspect_counts_native_nodes() -> None:
    found = call_gie("inspect", MODEL, "--json").json
    assert found["imported"]["foreign"] == []
    assert sum(found["imported"]["native"].values()) == found["nodes_before"] == 27


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"\x08\x07\xff\xff\xff\xff\x0f", b"\0" * 999]
)
def test_damaged_models_are_one_sentence(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(content)
    called = call_gie("run", path)
    assert (called.status, called.out) == (2, "")
    assert called.err.count("\n") == 1


def test_a_truncated_model_is_one_sentence(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("truncated") / "model.onnx"
    path.write_bytes(MODEL.read_bytes()[:-1000])
    called = call_gie("inspect", path)
    assert (called.status, called.err.count("\n")) == (2, 1)
