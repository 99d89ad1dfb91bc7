"""From a picture to a network's input: ``rgb,resize=256,crop=224,scale=1/255,layout=nchw``.

The steps run in a fixed order, however they are written:

1. colour: ``rgb``, ``bgr``, ``rgba`` or ``gray`` (luma of ITU-R BT.601);
2. ``resize=N``: the shorter side to N, aspect kept; ``resize=WxH``: exactly so (bilinear);
3. ``crop=N`` or ``crop=WxH``: out of the middle;
4. ``scale``, ``mean``, ``std``: (pixel · scale − mean) / std, pixels being 0 … 255, one
   number or one for each channel, joined by colons;
5. ``layout``: ``nchw``, ``nhwc``, ``chw``, ``hwc``, ``nhw`` or ``hw``.

``imagenet`` stands for what most networks trained on ImageNet with PyTorch expect.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from gie_core.cli.images import arranged, cast, converted, cropped, pixels, resized
from gie_core.errors import GieError
from gie_core.ir.dims import Dim
from gie_core.ir.types import Array, DType, TensorType, Type

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Preprocess", "Size", "parse_preprocess"]

COLOURS = {"gray": 1, "rgb": 3, "bgr": 3, "rgba": 4}
"""Colour orders and their numbers of channels."""
LAYOUTS = ("nchw", "nhwc", "chw", "hwc", "nhw", "hw")
PRESETS = {
    "imagenet": "rgb,resize=256,crop=224,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
}
MAX_SIDE = 1 << 15

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Size:
    """Extents in pixels; of a square, or of a shorter side, only one is given."""

    width: int
    height: int | None = None

    def __str__(self) -> str:
        return f"{self.width}" if self.height is None else f"{self.width}x{self.height}"

    @property
    def pair(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.width if self.height is None else self.height


@dataclass(frozen=True)
class Preprocess:
    """What to do with a picture; ``None`` is decided by the network's input.

    Args:
        colour: a key of ``COLOURS``.
        resize: to which size; by default not.
        crop: to which size, out of the middle; by default not.
        scale: a factor for pixels.
        mean: subtracted after scaling; one number, or one for each channel.
        std: divided by at last; likewise.
        layout: one of ``LAYOUTS``.
    """

    colour: str | None = None
    resize: Size | None = None
    crop: Size | None = None
    scale: Fraction = Fraction(1)
    mean: Numbers = (0.0,)
    std: Numbers = (1.0,)
    layout: str | None = None

    def __str__(self) -> str:
        """The specification; ``parse_preprocess`` reads it back."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "colour"}
        defaults = {f.name: f.default for f in fields(self)}
        changed = [f"{n}={_text(v)}" for n, v in named.items() if v != defaults[n]]
        return ",".join([*([self.colour] if self.colour else []), *changed])

    def complete(self, type: Type) -> Preprocess:
        """The same with what is open decided by the input's type.

        Raises:
            GieError: the input is not of a shape that pictures have.
        """
        if not isinstance(type, TensorType) or type.shape is None:
            raise GieError(f"a {type} cannot be made of a picture; give a .npy file")
        layout = self.layout or _layout(type)
        if len(layout) != len(type.shape):
            raise GieError(f"the layout {layout} does not have the dimensions of {type}")
        extents = dict(zip(layout, type.shape, strict=True))
        colour = self.colour or _colour(extents.get("c", 1), type)
        if "c" not in layout and colour != "gray":
            raise GieError(f"the layout {layout} has no channels, so the colour must be gray")
        done = replace(self, colour=colour, layout=layout)
        width, height = extents["w"], extents["h"]
        if self.resize or self.crop or not (isinstance(width, int) and isinstance(height, int)):
            return done
        if width == height:
            return replace(done, resize=Size(width), crop=Size(width))
        return replace(done, resize=Size(width, height))

    def apply(self, image: Image, dtype: DType) -> Array:
        """The array of a picture; colour and layout must be decided.

        Args:
            image: upright, in any mode.
            dtype: of the result; integers are rounded and saturated.

        Raises:
            GieError: the picture is too small to crop, or the numbers don't fit the channels.
        """
        colour, layout = self.colour or "rgb", self.layout or "nchw"
        image = converted(image, colour)
        if self.resize is not None:
            image = resized(image, self.resize.width, self.resize.height)
        if self.crop is not None:
            image = cropped(image, *self.crop.pair)
        channels = COLOURS[colour]
        mean, std = _channels("mean", self.mean, channels), _channels("std", self.std, channels)
        values = (pixels(image, colour) * float(self.scale) - mean) / std
        return cast(arranged(values, layout), dtype)


def parse_preprocess(text: str) -> Preprocess:
    """Read a specification.

    Raises:
        GieError: it is not one; says which step and how to write it.
    """
    preset: dict[str, Any] = {}
    given: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        if item in PRESETS:
            preset |= _steps(PRESETS[item])
            continue
        for name, value in _steps(item).items():
            if name in given:
                raise GieError(f"preprocess: {name} is given twice in {text!r}")
            given[name] = value
    return Preprocess(**{**preset, **given})


# ── Reading and writing ─────────────────────────────────────────────────────────────


MAX_SCALE = 10**30
"""Pixels times this still fit float32."""


def _size(text: str) -> Size:
    width, times, height = text.partition("x")
    size = Size(int(width), int(height) if times else None)
    if not all(0 < side <= MAX_SIDE for side in size.pair):
        raise ValueError
    return size


def _scale(text: str) -> Fraction:
    if not re.fullmatch(r"[\d.+/-]+(e-?\d{1,2})?", text):
        raise ValueError
    scale = Fraction(text)
    if abs(scale) > MAX_SCALE:
        raise ValueError
    return scale


def _numbers(text: str) -> Numbers:
    numbers = tuple(float(number) for number in text.split(":"))
    if not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _divisors(text: str) -> Numbers:
    numbers = _numbers(text)
    if 0 in numbers:
        raise ValueError
    return numbers


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return read


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "colour": (_one_of(*COLOURS), f"one of {', '.join(COLOURS)}"),
    "resize": (_size, "N or WxH pixels, such as resize=256 or resize=320x240"),
    "crop": (_size, "N or WxH pixels, such as crop=224 or crop=320x240"),
    "scale": (_scale, "a number or a fraction, such as scale=1/255"),
    "mean": (_numbers, "one number or one a channel, such as mean=0.485:0.456:0.406"),
    "std": (_divisors, "numbers other than 0, such as std=0.229:0.224:0.225"),
    "layout": (_one_of(*LAYOUTS), f"one of {', '.join(LAYOUTS)}"),
}


def _steps(text: str) -> dict[str, Any]:
    """The fields that plain steps set."""
    return dict(_step(item) for item in text.split(","))


def _step(item: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in item.partition("="))
    if not equals and name in COLOURS:
        name, value = "colour", name
    if name not in _READERS:
        known = [*COLOURS, *(n for n in _READERS if n != "colour"), *PRESETS]
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"the steps are {', '.join(known)}"
        raise GieError(f"preprocess: there is no step {item!r}; {hint}")
    reader, form = _READERS[name]
    try:
        return name, reader(value)
    except (ValueError, ZeroDivisionError):
        raise GieError(f"preprocess: {item!r} does not read; {name} must be {form}") from None


def _text(value: Size | Fraction | Numbers | str) -> str:
    return ":".join(map(repr, value)) if isinstance(value, tuple) else str(value)


# ── Deciding by the input ───────────────────────────────────────────────────────────


def _layout(type: TensorType) -> str:
    """The layout whose channels are where the input has 1, 3 or 4 of something."""
    for layout in (each for each in LAYOUTS if len(each) == type.rank):
        extents = dict(zip(layout, type.dims, strict=True))
        both = isinstance(extents["h"], int) == isinstance(extents["w"], int)
        if both and extents.get("c", 1) in COLOURS.values():
            return layout
    hint = "say how with --preprocess layout=…, or give a .npy file"
    raise GieError(f"a {type} does not look like a picture; {hint}")


def _colour(channels: Dim, type: TensorType) -> str:
    for colour, count in COLOURS.items():
        if count == channels:
            return colour
    raise GieError(f"the colours of {type} are not known; begin --preprocess with rgb, bgr or gray")


def _channels(name: str, numbers: Numbers, channels: int) -> Array:
    if len(numbers) not in (1, channels):
        have = f"{name} has {len(numbers)} numbers, but the picture has {channels} channels"
        raise GieError(f"preprocess: {have}")
    return np.array(numbers)
