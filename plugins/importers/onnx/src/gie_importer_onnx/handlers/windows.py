"""Windows of convolutions and pools: ONNX's geometry attributes as numbers of pads.

``auto_pad`` asks for pads that depend on the input's extent; where that is
symbolic, so are the pads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gie_core.ir.dims import Dim, ceil_div, dim_max
from gie_core.ir.types import Shape
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import Unsupported

__all__ = ["kernel_of", "split_padding", "static_kernel", "window"]


def window(call: Call, spatial: Shape, kernel: Sequence[Dim]) -> dict[str, Any]:
    """Strides, pads and dilations of a convolution or pool, as attributes of GIE's op.

    Args:
        call: the node.
        spatial: the input's spatial extents.
        kernel: the kernel's extents.
    """
    rank = len(spatial)
    strides = _per_axis(call, "strides", rank)
    dilations = _per_axis(call, "dilations", rank)
    match call.text("auto_pad", "NOTSET"):
        case "SAME_UPPER" | "SAME_LOWER" as mode:
            pads = _same_pads(spatial, kernel, strides, dilations, upper=mode == "SAME_UPPER")
        case "VALID":
            pads = (0,) * 2 * rank
        case "NOTSET" | "":
            pads = explicit_pads(call, rank)
        case mode:
            raise Unsupported(f"its auto_pad is {mode!r}")
    return {"strides": strides, "dilations": dilations, "pads": pads}


def explicit_pads(call: Call, rank: int) -> tuple[int, ...]:
    """The attribute ``pads``: all begins, then all ends, as in GIE."""
    pads = call.integers("pads", ()) or (0,) * 2 * rank
    if len(pads) != 2 * rank:
        raise Unsupported(f"it has {len(pads)} pads for {rank} spatial dimensions")
    return pads


def kernel_of(call: Call, weight: Shape) -> Shape:
    """The kernel's extents: those of the weight, which the attribute may only repeat."""
    stated = call.integers("kernel_shape", ())
    kernel = weight[2:]
    if stated and any(isinstance(k, int) and k != s for k, s in zip(kernel, stated, strict=True)):
        raise Unsupported(f"its kernel_shape {list(stated)} is not its weight's")
    return kernel


def static_kernel(call: Call, weight: Shape) -> tuple[int, ...]:
    """The kernel's extents as numbers, from the attribute or the weight's shape."""
    kernel = call.integers("kernel_shape", ()) or kernel_of(call, weight)
    if not all(isinstance(k, int) for k in kernel):
        raise Unsupported("the extents of its kernel are not known")
    return tuple(k for k in kernel if isinstance(k, int))


def split_padding(total: Dim, upper: bool) -> tuple[Dim, Dim]:
    """A number of pads as (begin, end): the odd one goes to the end if ``upper``."""
    half = total // 2
    return (half, total - half) if upper else (total - half, half)


def _same_pads(
    spatial: Shape,
    kernel: Sequence[Dim],
    strides: Sequence[int],
    dilations: Sequence[int],
    upper: bool,
) -> tuple[Dim, ...]:
    """Pads so that there are ⌈extent / stride⌉ windows."""
    pairs: list[tuple[Dim, Dim]] = []
    for extent, k, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
        span = (k - 1) * dilation + 1
        total = (ceil_div(extent, stride) - 1) * stride + span - extent
        pairs.append(split_padding(dim_max(total, 0), upper))
    return (*(begin for begin, _ in pairs), *(end for _, end in pairs))


def _per_axis(call: Call, name: str, rank: int) -> tuple[int, ...]:
    values = call.integers(name, ()) or (1,) * rank
    if len(values) != rank:
        raise Unsupported(f"it has {len(values)} {name} for {rank} spatial dimensions")
    return values
