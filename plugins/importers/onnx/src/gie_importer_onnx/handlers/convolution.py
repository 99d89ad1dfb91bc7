"""Convolutions."""

from __future__ import annotations

from gie_core.ir.graph import Value
from gie_importer_onnx.call import Call
from gie_importer_onnx.handlers.windows import (
    explicit_pads,
    kernel_of,
    split_padding,
    static_kernel,
    window,
)
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []


@handler("Conv")
def conv(call: Call) -> Value:
    """x, weight, bias?"""
    x, weight = call.input(0), call.input(1)
    kernel = kernel_of(call, call.dims(weight))
    geometry = window(call, call.dims(x)[2:], kernel)
    return call.emit(
        "conv", x, weight, call.optional(2), groups=call.integer("group", 1), **geometry
    )


@handler("ConvInteger")
def conv_integer(call: Call) -> Value:
    """x, weight, x_zero_point?, weight_zero_point?"""
    x, weight = call.input(0), call.input(1)
    geometry = window(call, call.dims(x)[2:], kernel_of(call, call.dims(weight)))
    groups = call.integer("group", 1)
    return call.emit(
        "conv_integer", x, weight, call.optional(2), call.optional(3), groups=groups, **geometry
    )


@handler("ConvTranspose")
def conv_transpose(call: Call) -> Value:
    """x, weight, bias?; the pads may be given by the output's shape."""
    x, weight = call.input(0), call.input(1)
    spatial = call.dims(x)[2:]
    rank = len(spatial)
    kernel = static_kernel(call, call.dims(weight))
    strides = call.integers("strides", ()) or (1,) * rank
    dilations = call.integers("dilations", ()) or (1,) * rank
    output_pads = call.integers("output_padding", ()) or (0,) * rank
    auto_pad = call.text("auto_pad", "NOTSET")
    if call.has_attribute("output_shape"):
        targets = call.integers("output_shape")[-rank:]
        pads, output_pads = _pads_for(
            targets, spatial, kernel, strides, dilations, output_pads, auto_pad
        )
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        # The output has extent · stride positions, whatever the extent is.
        totals = [
            (k - 1) * d + 1 - s + extra
            for k, d, s, extra in zip(kernel, dilations, strides, output_pads, strict=True)
        ]
        pads, output_pads = _distribute(totals, output_pads, auto_pad == "SAME_UPPER")
    else:
        pads = explicit_pads(call, rank) if auto_pad != "VALID" else (0,) * 2 * rank
    return call.emit(
        "conv_transpose",
        x,
        weight,
        call.optional(2),
        strides=strides,
        pads=pads,
        dilations=dilations,
        groups=call.integer("group", 1),
        output_pads=output_pads,
    )


def _pads_for(
    targets: tuple[int, ...],
    spatial: tuple[object, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    output_pads: tuple[int, ...],
    auto_pad: str,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pads (and additions at the ends) that make the output as large as it says."""
    totals: list[int] = []
    for target, n, k, s, d, extra in zip(
        targets, spatial, kernel, strides, dilations, output_pads, strict=True
    ):
        if not isinstance(n, int):
            raise Unsupported("its output_shape is a number, but its input's extent is not")
        totals.append(s * (n - 1) + extra + (k - 1) * d + 1 - target)
    return _distribute(totals, output_pads, auto_pad == "SAME_UPPER")


def _distribute(
    totals: list[int], output_pads: tuple[int, ...], upper: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Totals as begins and ends; what is negative enlarges the output instead."""
    pairs = [split_padding(max(total, 0), upper) for total in totals]
    extra = tuple(pad + max(-total, 0) for pad, total in zip(output_pads, totals, strict=True))
    begins, ends = (
        tuple(p for p in part if isinstance(p, int)) for part in zip(*pairs, strict=True)
    )
    return (*begins, *ends), extra
