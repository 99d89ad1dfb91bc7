"""The files of examples/digits belong together, and onnxruntime agrees that they are good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
SINGLES = sorted((DIGITS / "held_out").glob("*.png"))


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """The sheet, cut into its 360 images of 8×8."""
    sheet = pixels(DIGITS / "held_out.png")
    return sheet.reshape(18, 8, 20, 8).transpose(0, 2, 1, 3).reshape(360, 8, 8)


@pytest.fixture(scope="module")
def labels() -> NDArray[np.int64]:
    text = (DIGITS / "held_out_labels.txt").read_text(encoding="ascii")
    return np.array(text.split(), dtype=np.int64)


def test_the_network_reads_at_least_97_percent(
    images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    session: Any = onnxruntime.InferenceSession(DIGITS / "digits.onnx")
    (probabilities,) = session.run(None, {"pixels": images[:, None].astype(np.float32)})
    assert probabilities.shape == (360, 10)
    assert (probabilities.argmax(1) == labels).mean() >= 0.97


@pytest.mark.parametrize("path", SINGLES, ids=lambda path: path.stem)
def test_a_single_image_is_the_one_of_the_sheet_that_its_name_says(
    path: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    label, index = map(int, path.stem.split("-"))
    assert labels[index] == label
    np.testing.assert_array_equal(pixels(path), images[index])


def test_there_are_two_single_images_of_each_digit() -> None:
    assert [path.stem[0] for path in SINGLES] == [digit for digit in "0123456789" for _ in "ab"]


def test_the_pixels_have_17_levels_from_paper_to_ink(images: NDArray[np.uint8]) -> None:
    assert set(np.unique(images)) == set(range(0, 241, 15))


def test_the_network_is_small() -> None:
    assert (DIGITS / "digits.onnx").stat().st_size < 500_000
