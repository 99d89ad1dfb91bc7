"""Outputs of every kind, printed and stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gie_core.cli.console import plain
from gie_core.cli.outputs import check_output, outputs_json, print_outputs, save_outputs
from gie_core.errors import GieError

CASES: list[tuple[Any, str, Any]] = [
    (np.array([1.5, 2], np.float32), "f32[2]", [1.5, 2.0]),
    (np.array([1.5, 2], ml_dtypes.bfloat16), "bf16[2]", [1.5, 2.0]),
    (np.array([1, -8], ml_dtypes.int4), "i4[2]", [1, -8]),
    (np.array([1, 15], ml_dtypes.uint4), "u4[2]", [1, 15]),
    (np.array([True, False]), "bool[2]", [True, False]),
    (np.array(["a", "ü"], object), "str[2]", ["a", "ü"]),
    (np.array(3, np.int64), "i64[]", 3),
    (np.zeros((0, 2), np.float32), "f32[0, 2]", []),
]


@pytest.mark.parametrize(("value", "type", "values"), CASES)
def test_every_dtype(
    value: Any, type: str, values: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    print_outputs("", {"y": value}, 0.001)
    assert f"y       {type}" in capsys.readouterr().out
    [found] = plain(outputs_json({"y": value}))
    assert found["values"] == values


@pytest.mark.parametrize(("value", "type", "values"), CASES)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_every_dtype_is_stored(
    value: Any, type: str, values: Any, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"out{suffix}"
    save_outputs(path, [{"y": value}])
    stored = np.load(path) if suffix == ".npy" else np.load(path)["y"]
    assert stored.tolist() == values


def test_any_name_is_stored(tmp_path: Path) -> None:
    names = ["file", "allow_pickle", "a/b", "ü"]
    save_outputs(tmp_path / "out.npz", [{name: np.array([1]) for name in names}])
    assert np.load(tmp_path / "out.npz").files == names


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "none"), ([np.zeros(2), np.zeros(3)], "sequence of 2")]
)
def test_what_is_no_array(value: Any, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_outputs("file", {"y": value}, 0.001)
    assert kind in capsys.readouterr().out
    assert plain(outputs_json({"y": value}))[0]["name"] == "y"
    with pytest.raises(GieError, match="the output y is not an array"):
        save_outputs(Path("out.npz"), [{"y": value}])


def test_complex_values_are_pairs() -> None:
    [found] = plain(outputs_json({"y": np.array([1 + 2j], np.complex64)}))
    assert found["values"] == [[1.0, 2.0]]


def test_large_outputs_are_not_listed() -> None:
    assert "values" not in outputs_json({"y": np.zeros(10_001)})[0]


def test_a_folder_cannot_be_the_output(tmp_path: Path) -> None:
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(GieError, match=r"out\.npz is a folder$"):
        check_output(tmp_path / "out.npz")


def test_what_the_system_says_is_no_jargon(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 300}.npy"
    with pytest.raises(GieError, match=r"x\.npy cannot be written: File name too long$"):
        save_outputs(path, [{"y": np.zeros(1)}])


def test_outputs_of_different_shapes_do_not_join(tmp_path: Path) -> None:
    runs = [{"y": np.zeros((1, 2))}, {"y": np.zeros((1, 3))}]
    with pytest.raises(GieError, match="differs in shape from run to run"):
        save_outputs(tmp_path / "out.npz", runs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../../evil", "a\\..\\b", "nul\0", "n" * 70_000])
def test_names_that_would_leave_an_archive_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(GieError, match="cannot be stored under this name"):
        save_outputs(tmp_path / "y.npz", [{name: np.zeros(1)}])
    assert not list(tmp_path.iterdir())
