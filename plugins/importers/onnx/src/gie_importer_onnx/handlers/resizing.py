"""Resize, and Upsample that it replaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Value
from gie_core.ir.types import Shape
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []


@handler("Resize", since=11)
def resize(call: Call) -> Value:
    """x, roi?, scales?, sizes?; since opset 18 for chosen axes only."""
    x = call.input(0)
    dims = call.dims(x)
    axes = call.axes(call.integers("axes", range(len(dims))), len(dims))
    if _is_given(call, 3):
        sizes, scales = _from_sizes(call, dims, axes, call.known_dims(3))
    elif _is_given(call, 2):
        scales = _for_all_axes(_scales(call, 2), axes, len(dims))
        sizes = tuple(map(_scaled, dims, scales))
    else:
        raise Unsupported("it has neither scales nor sizes")
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    return call.emit(
        "resize",
        x,
        sizes=sizes,
        scales=scales,
        mode=call.text("mode", "nearest"),
        coordinates=coordinates,
        nearest=call.text("nearest_mode", "round_prefer_floor"),
        cubic_coefficient=call.real("cubic_coeff_a", -0.75),
        exclude_outside=call.flag("exclude_outside"),
        antialias=call.flag("antialias"),
        extrapolation=call.real("extrapolation_value", 0.0),
        roi=_roi(call, axes, len(dims)) if coordinates == "tf_crop_and_resize" else (),
    )


@handler("Resize", since=10)
@handler("Upsample", since=9)
def resize_before_11(call: Call) -> Value:
    """x, scales."""
    return _asymmetric(call, _scales(call, 1))


@handler("Upsample", since=7)
def upsample_before_9(call: Call) -> Value:
    """x, with scales as attribute."""
    return _asymmetric(call, call.reals("scales"))


@handler("Upsample", since=1)
def upsample_before_7(call: Call) -> Value:
    """x [N, C, H, W], with scales for H and W."""
    return _asymmetric(call, (1.0, 1.0, call.real("height_scale"), call.real("width_scale")))


def _asymmetric(call: Call, scales: Sequence[float]) -> Value:
    """Output position p looks at p / scale; "nearest" cuts, or rounds up where x shrinks."""
    x, mode = call.input(0), call.text("mode", "nearest")
    shrinks = [scale < 1 for scale in scales if scale != 1]
    if mode == "nearest" and any(shrinks) and not all(shrinks):
        raise Unsupported("it enlarges one axis and shrinks another")
    return call.emit(
        "resize",
        x,
        sizes=tuple(_scaled(d, s) for d, s in zip(call.dims(x), scales, strict=True)),
        scales=tuple(scales),
        mode="linear" if mode == "bilinear" else mode,
        coordinates="asymmetric",
        nearest="ceil" if any(shrinks) else "floor",
    )


def _is_given(call: Call, index: int) -> bool:
    """Whether an operand is there and not the empty tensor that stands for an absent one."""
    return call.has(index) and call.dims(call.input(index)) != (0,)


def _scales(call: Call, index: int) -> tuple[float, ...]:
    known = call.known(index).ravel().tolist()
    if not all(isinstance(scale, (int, float)) for scale in known):
        raise Unsupported("its scales depend on the size of an input")
    return tuple(float(scale) for scale in known)


def _scaled(extent: Dim, scale: float) -> Dim:
    """⌊extent · scale⌋."""
    if isinstance(extent, int):
        return int(np.floor(np.float32(extent) * np.float32(scale)))
    exact = Fraction(scale).limit_denominator(1 << 10)
    if float(exact) != scale:
        raise Unsupported(f"its scale {scale} of a symbolic extent is no simple fraction")
    return extent * exact.numerator // exact.denominator


def _from_sizes(
    call: Call, dims: Shape, axes: Sequence[int], sizes: Sequence[Dim]
) -> tuple[tuple[Dim, ...], tuple[float, ...]]:
    """Sizes of all axes, and the scales where they are not simply the ratios."""
    if len(sizes) != len(axes):
        raise Unsupported(f"it has {len(sizes)} sizes for {len(axes)} axes")
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        wanted = dict(zip(axes, sizes, strict=True))
        return tuple(wanted.get(axis, extent) for axis, extent in enumerate(dims)), ()
    ratios: list[float] = []
    for axis, size in zip(axes, sizes, strict=True):
        extent = dims[axis]
        if not isinstance(extent, int) or not isinstance(size, int):
            raise Unsupported("it keeps the aspect ratio of an image whose size is not known")
        ratios.append(size / extent)
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    scales = _for_all_axes([scale] * len(axes), axes, len(dims))
    return tuple(
        math.floor(d * scale + 0.5) if axis in axes and isinstance(d, int) else d
        for axis, d in enumerate(dims)
    ), scales


def _for_all_axes(
    values: Sequence[float], axes: Sequence[int], rank: int, rest: float = 1.0
) -> tuple[float, ...]:
    if len(values) != len(axes):
        raise Unsupported(f"it has {len(values)} scales for {len(axes)} axes")
    given = dict(zip(axes, values, strict=True))
    return tuple(given.get(axis, rest) for axis in range(rank))


def _roi(call: Call, axes: Sequence[int], rank: int) -> tuple[float, ...]:
    """The region of interest: all starts, then all ends, as fractions."""
    known: list[Any] = call.known(1).ravel().tolist()
    roi = [float(value) for value in known]
    starts, ends = roi[: len(axes)], roi[len(axes) :]
    return _for_all_axes(starts, axes, rank, 0.0) + _for_all_axes(ends, axes, rank, 1.0)
