"""Label files, which output holds scores, and the best classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gie_core.cli.scores import Ranked, as_rows, choose_scores, read_labels, softmax, top
from gie_core.errors import GieError


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cat\ndog\n", ["cat", "dog"]),
        ("cat\n\ndog", ["cat", "", "dog"]),
        ("\ufeffcat\r\ndog\r\n\r\n", ["cat", "dog"]),
        ("0,tench, Tinca tinca\n1,goldfish", ["tench, Tinca tinca", "goldfish"]),
        ("2: c\n0: a", ["a", "", "c"]),
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish", ["tench, Tinca tinca", "goldfish"]),
        ("'n01440764 tench'\n'n01443537 goldfish'", ["tench", "goldfish"]),
        ("0\n1\n2", ["0", "1", "2"]),
        ("1,one\ntwo", ["1,one", "two"]),
    ],
)
def test_label_files(text: str, labels: list[str], tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_labels(path) == labels


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "has no labels"),
        (b"\xff\xfe\x00", "cannot be read: it is not UTF-8 text$"),
        (b"999999999,far\n0,near", "has 2 labels, but the index 999999999"),
    ],
)
def test_wrong_label_files(content: bytes, error: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(GieError, match=error):
        read_labels(path)


@pytest.mark.parametrize(
    ("shape", "dtype", "rows"),
    [
        ((2, 10), "f4", (2, 10)),
        ((10,), "f4", (1, 10)),
        ((1, 10, 1, 1), "f2", (1, 10)),
        ((2, 1, 1, 10), "i8", (2, 10)),
        ((1, 3, 8, 8), "f4", None),
        ((), "f4", None),
        ((5, 1), "f4", None),
        ((2, 10), "?", None),
        ((2, 10), "O", None),
    ],
)
def test_shapes_of_scores(shape: tuple[int, ...], dtype: str, rows: Any) -> None:
    found = as_rows(np.zeros(shape, dtype))
    assert (None if found is None else found.shape) == rows


@pytest.mark.parametrize(("labels", "name"), [(None, "boxes"), (["a", "b", "c"], "scores")])
def test_as_many_classes_as_labels(labels: list[str] | None, name: str) -> None:
    outputs = {"mask": np.zeros((1, 8, 8)), "boxes": np.zeros((1, 4)), "scores": np.zeros((1, 3))}
    assert choose_scores(outputs, labels)[0] == name


def test_no_scores() -> None:
    with pytest.raises(GieError, match=r"no output has scores of 2 classes.*: y \[1, 3\]"):
        choose_scores({"y": np.zeros((1, 3))}, ["a", "b"])


def test_best_first_and_the_lower_index_of_equals() -> None:
    rows = np.array([[0.1, 0.5, 0.5, 0.2]])
    best = [Ranked(1, "b", 0.5), Ranked(2, "c", 0.5), Ranked(3, "d", 0.2)]
    assert top(rows, 3, list("abcd")) == [best]
    assert len(top(rows, 99, None)[0]) == 4


def test_softmax_of_large_scores() -> None:
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])
