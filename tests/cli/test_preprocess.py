"""Preprocessing against Pillow and NumPy by hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gie_core.cli.preprocess import COLOURS, LAYOUTS, Preprocess, Size, parse_preprocess
from gie_core.errors import GieError
from gie_core.ir.types import Array, DType, TensorType

RGB = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
GRAY = RGB.convert("L")


def hwc(image: Image.Image) -> Array:
    return np.asarray(image, np.float64)


IMAGENET_MEAN, IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
BOX = (8, 3, 32, 27)  # the middle 24×24 of 40×30


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("rgb,layout=hwc", lambda: hwc(RGB)),
        ("bgr,layout=hwc", lambda: hwc(RGB)[:, :, ::-1]),
        ("rgba,layout=hwc", lambda: hwc(RGB.convert("RGBA"))),
        ("gray,layout=hw", lambda: hwc(GRAY)),
        ("gray,layout=nhw", lambda: hwc(GRAY)[None]),
        ("gray,layout=nchw", lambda: hwc(GRAY)[None, None]),
        ("rgb,layout=chw", lambda: hwc(RGB).transpose(2, 0, 1)),
        ("rgb,layout=nhwc", lambda: hwc(RGB)[None]),
        ("rgb,scale=1/255,layout=hwc", lambda: hwc(RGB) / 255),
        ("rgb,mean=127,std=128,layout=hwc", lambda: (hwc(RGB) - 127) / 128),
        ("bgr,mean=104:117:123,layout=hwc", lambda: hwc(RGB)[:, :, ::-1] - [104, 117, 123]),
        ("rgb,crop=24,layout=hwc", lambda: hwc(RGB.crop(BOX))),
        (
            "rgb,resize=20x10,layout=hwc",
            lambda: hwc(RGB.resize((20, 10), Image.Resampling.BILINEAR)),
        ),
        ("rgb,resize=15,layout=hwc", lambda: hwc(RGB.resize((20, 15), Image.Resampling.BILINEAR))),
        (
            "imagenet,resize=30,crop=24,layout=hwc",
            lambda: (hwc(RGB.crop(BOX)) / 255 - IMAGENET_MEAN) / IMAGENET_STD,
        ),
    ],
)
def test_apply(spec: str, expected: Callable[[], Array]) -> None:
    found = parse_preprocess(spec).apply(RGB, DType.F32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected().astype(np.float32), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "spec", "expected"),
    [
        (DType.U8, "gray,layout=hw", [[0, 100, 255]]),
        (DType.U8, "gray,mean=101,layout=hw", [[0, 0, 154]]),
        (DType.I8, "gray,layout=hw", [[0, 100, 127]]),
        (DType.U8, "gray,scale=1/200,layout=hw", [[0, 0, 1]]),
        (DType.F16, "gray,scale=1/200,layout=hw", [[0, 0.5, 1.275]]),
    ],
)
def test_the_inputs_dtype_rounds_and_saturates(dtype: DType, spec: str, expected: Any) -> None:
    image = Image.fromarray(np.array([[0, 100, 255]], np.uint8))
    found = parse_preprocess(spec).apply(image, dtype)
    np.testing.assert_array_equal(found, np.array(expected, dtype.numpy))


def test_sixteen_bits_a_pixel_keep_the_high_ones() -> None:
    image = Image.fromarray(np.array([[0, 0x1234, 0xFFFF]], np.uint16))
    found = parse_preprocess("gray,layout=hw").apply(image, DType.U8)
    np.testing.assert_array_equal(found, [[0, 0x12, 0xFF]])


@pytest.mark.parametrize(
    ("spec", "type", "complete"),
    [
        ("", "f32[n, 3, 224, 224]", "rgb,resize=224,crop=224,layout=nchw"),
        ("", "f32[1, 1, 8, 8]", "gray,resize=8,crop=8,layout=nchw"),
        ("", "u8[1, 224, 224, 3]", "rgb,resize=224,crop=224,layout=nhwc"),
        ("", "f32[1, 3, 240, 320]", "rgb,resize=320x240,layout=nchw"),
        ("", "f32[n, 3, h, w]", "rgb,layout=nchw"),
        ("", "f32[3, 5, 5]", "rgb,resize=5,crop=5,layout=chw"),
        ("", "f32[28, 28]", "gray,resize=28,crop=28,layout=hw"),
        ("", "f32[n, 28, 28]", "gray,resize=28,crop=28,layout=nhw"),
        ("bgr", "f32[n, 3, 9, 9]", "bgr,resize=9,crop=9,layout=nchw"),
        ("resize=20", "f32[n, 3, 9, 9]", "rgb,resize=20,layout=nchw"),
        ("imagenet,bgr", "f32[n, 3, 9, 9]", str(parse_preprocess("imagenet,bgr,layout=nchw"))),
        ("gray,layout=nchw", "f32[n, c, h, w]", "gray,layout=nchw"),
    ],
)
def test_the_input_decides_what_is_open(spec: str, type: str, complete: str) -> None:
    assert str(parse_preprocess(spec).complete(tensor(type))) == complete


def tensor(text: str) -> TensorType:
    dtype, _, dims = text.rstrip("]").partition("[")
    return TensorType.of(dtype, [int(d) if d.isdigit() else d for d in dims.split(", ")])


@pytest.mark.parametrize(
    ("spec", "type", "error"),
    [
        ("", "f32[n, 1000]", "does not look like a picture"),
        ("", "f32[n, 7, 9, 9]", "does not look like a picture"),
        ("layout=chw", "f32[n, 3, 9, 9]", "layout chw does not have the dimensions of"),
        ("layout=nchw", "f32[n, 7, 9, 9]", "begin --preprocess with"),
        ("rgb,layout=nhw", "f32[n, 9, 9]", "the colour must be gray"),
        ("", "f32[9]", "does not look like a picture"),
    ],
)
def test_inputs_that_are_no_pictures(spec: str, type: str, error: str) -> None:
    with pytest.raises(GieError, match=error):
        parse_preprocess(spec).complete(tensor(type))


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("rbg", "there is no step 'rbg'; did you mean rgb?"),
        ("resise=3", "did you mean resize?"),
        ("resize=0", "'resize=0' does not read"),
        ("resize=3x", "'resize=3x' does not read"),
        ("resize=axb", "'resize=axb' does not read"),
        ("resize=99999999", "does not read"),
        ("scale=1/0", "'scale=1/0' does not read; scale must be a number or a fraction"),
        ("scale=1e999999999", "does not read"),
        ("mean=1:a", "does not read"),
        ("mean=nan", "does not read"),
        ("std=0", "std must be numbers other than 0"),
        ("layout=cwh", "layout must be one of nchw"),
        ("rgb,bgr", "colour is given twice"),
        ("crop=3,crop=4", "crop is given twice"),
    ],
)
def test_what_does_not_read(spec: str, error: str) -> None:
    with pytest.raises(GieError, match=error.replace("?", r"\?")):
        parse_preprocess(spec)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("rgb,crop=64,layout=nchw", "a picture of 40x30 is too small for crop=64x64"),
        ("gray,mean=1:2:3,layout=nchw", "mean has 3 numbers, but the picture has 1 channels"),
    ],
)
def test_what_does_not_apply(spec: str, error: str) -> None:
    with pytest.raises(GieError, match=error):
        parse_preprocess(spec).apply(RGB, DType.F32)


SIZES = st.builds(Size, st.integers(1, 5000), st.none() | st.integers(1, 5000))
NUMBERS = st.lists(st.floats(-1e6, 1e6).filter(bool), min_size=1, max_size=3).map(tuple)
SPECS = st.builds(
    Preprocess,
    colour=st.none() | st.sampled_from(list(COLOURS)),
    resize=st.none() | SIZES,
    crop=st.none() | SIZES,
    scale=st.fractions(-1000, 1000, max_denominator=10_000).map(Fraction),
    mean=NUMBERS,
    std=NUMBERS,
    layout=st.none() | st.sampled_from(LAYOUTS),
)


@given(SPECS)
def test_the_text_reads_back(preprocess: Preprocess) -> None:
    assert parse_preprocess(str(preprocess)) == preprocess


def test_a_resize_that_would_be_huge() -> None:
    with pytest.raises(GieError, match="a picture of 2240x22400000 would be too large"):
        parse_preprocess("rgb,resize=2240").apply(Image.new("RGB", (1, 10_000)), DType.F32)
