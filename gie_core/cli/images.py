"""Pictures: reading them safely, and the steps from a picture to an array."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gie_core.cli.console import reason
from gie_core.errors import GieError
from gie_core.ir.types import Array, DType

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "SUFFIXES",
    "arranged",
    "cast",
    "converted",
    "cropped",
    "pixels",
    "read_image",
    "resized",
]

MAX_PIXELS = 1 << 27
SUFFIXES = (".png", ".jpg", ".jpeg")


def read_image(path: Path) -> Image:
    """Read a PNG or JPEG file, turned upright as its EXIF data says.

    Raises:
        GieError: it is neither, is empty or damaged, or claims more pixels than Pillow deems safe
            (about 89 million).
    """
    from PIL import Image, ImageOps

    try:
        if not path.stat().st_size:
            raise GieError(f"the picture {path} is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except GieError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise GieError(
            f"{path} claims more pixels than is safe to unpack; shrink it first"
        ) from None
    except Image.UnidentifiedImageError:
        raise GieError(f"{path} is neither a PNG nor a JPEG picture") from None
    except Exception as error:  # on damaged bytes decoders raise nearly anything
        raise GieError(f"the picture {path} cannot be read: {reason(error)}") from error


def converted(image: Image, colour: str) -> Image:
    """In the mode of a colour order: 8 bits a channel."""
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel, which convert() would saturate
        from PIL.Image import fromarray

        high = np.asarray(image).astype(np.int64) >> 8
        image = fromarray(np.clip(high, 0, 255).astype(np.uint8))
    mode = {"gray": "L", "rgba": "RGBA"}.get(colour, "RGB")
    return image if image.mode == mode else image.convert(mode)


def resized(image: Image, width: int, height: int | None) -> Image:
    """Exactly width×height, or with ``width`` as the shorter side; bilinear, antialiased.

    Raises:
        GieError: the result would be huge.
    """
    from PIL.Image import Resampling

    shorter = min(image.size)
    target = (
        (width, height)
        if height is not None
        else (
            max(1, round(image.width * width / shorter)),
            max(1, round(image.height * width / shorter)),
        )
    )
    if target[0] * target[1] > MAX_PIXELS:
        raise GieError(
            f"a picture of {target[0]}x{target[1]} would be too large; resize it to less"
        )
    return image if image.size == target else image.resize(target, Resampling.BILINEAR)


def cropped(image: Image, width: int, height: int) -> Image:
    """The middle of a picture.

    Raises:
        GieError: it is too small.
    """
    left, top = (image.width - width) // 2, (image.height - height) // 2
    if left < 0 or top < 0:
        size = f"{image.width}x{image.height}"
        raise GieError(
            f"a picture of {size} is too small for crop={width}x{height}; resize it first"
        )
    return image.crop((left, top, left + width, top + height))


def pixels(image: Image, colour: str) -> Array:
    """float64 H×W×C, 0 … 255."""
    array = np.asarray(image, dtype=np.float64)
    if array.ndim == 2:
        array = array[:, :, None]
    return array[:, :, ::-1] if colour == "bgr" else array


def arranged(array: Array, layout: str) -> Array:
    """H×W×C in another layout; where that has no C, the only channel."""
    if "c" not in layout:
        array = array[:, :, 0]
    axes = "hwc"[: array.ndim]
    array = array.transpose([axes.index(axis) for axis in layout.removeprefix("n")])
    return array[None] if layout.startswith("n") else array


def cast(array: Array, dtype: DType) -> Array:
    """The values in another type; integers are rounded and saturated.

    Raises:
        GieError: pictures do not become such a type.
    """
    if dtype.is_integer:
        limits = np.iinfo(dtype.numpy)
        return np.clip(np.rint(array), limits.min, limits.max).astype(dtype.numpy)
    if not dtype.is_float:
        raise GieError(f"a picture cannot become {dtype}; give a .npy file")
    return np.ascontiguousarray(array, dtype=dtype.numpy)
