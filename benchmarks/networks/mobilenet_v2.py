"""MobileNet-v2, width 1.0 (Sandler et al. 2018, table 2): inverted residuals, ReLU6."""

from __future__ import annotations

import onnx

from networks.layers import Layers, Tensor

__all__ = ["build"]

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, blocks, stride of the first): t, c, n, s in the paper."""


def build(batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The model: float32 image [batch, 3, 224, 224] to probabilities [batch, 1000]."""
    net = Layers("mobilenet-v2", 224, batch=batch, seed=seed)
    x = net.relu6(_conv(net, "first", net.input, 32, 3, stride=2))
    for stage, (expansion, channels, count, stride) in enumerate(STAGES, 1):
        for block in range(1, count + 1):
            name = f"block{stage}_{block}"
            x = _block(net, name, x, expansion, channels, stride if block == 1 else 1)
    x = net.relu6(_conv(net, "last", x, 1280, 1))
    return net.model(net.softmax(net.linear("classes", net.global_average(x), 1000)))


def _block(net: Layers, name: str, x: Tensor, expansion: int, channels: int, stride: int) -> Tensor:
    y, wide = x, expansion * x.features
    if expansion > 1:
        y = net.relu6(_conv(net, f"{name}/expand", x, wide, 1))
    y = net.relu6(_conv(net, f"{name}/depthwise", y, wide, 3, stride=stride, groups=wide))
    y = _conv(net, f"{name}/project", y, channels, 1)
    same = stride == 1 and x.features == channels
    return net.add(name, x, y) if same else y


def _conv(
    net: Layers,
    name: str,
    x: Tensor,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
) -> Tensor:
    y = net.conv(
        name, x, channels, kernel, stride=stride, pad=kernel // 2, groups=groups, bias=False
    )
    return net.batch_norm(y)
