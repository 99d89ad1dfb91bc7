"""ResNet-50 (He et al. 2015, table 1): a stage's first block strides in its first 1×1."""

from __future__ import annotations

import onnx

from networks.layers import Layers, Tensor

__all__ = ["build"]

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""(channels inside, blocks)."""
EXPANSION = 4
BRANCH_POWER = 0.25
"""Of what a block adds; much less than its input's, so that sums do not grow over a stage."""


def build(batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The model: float32 image [batch, 3, 224, 224] to probabilities [batch, 1000]."""
    net = Layers("resnet50", 224, batch=batch, seed=seed)
    x = net.relu(_conv(net, "conv1", net.input, 64, 7, stride=2))
    x = net.max_pool(x, 3, 2, pad=1)
    for stage, (channels, count) in enumerate(STAGES, 2):
        for block in range(1, count + 1):
            stride = 2 if block == 1 and stage > 2 else 1
            x = _block(net, f"conv{stage}_{block}", x, channels, stride)
    return net.model(net.softmax(net.linear("classes", net.global_average(x), 1000)))


def _block(net: Layers, name: str, x: Tensor, channels: int, stride: int) -> Tensor:
    wide = EXPANSION * channels
    y = net.relu(_conv(net, f"{name}/1", x, channels, 1, stride=stride))
    y = net.relu(_conv(net, f"{name}/2", y, channels, 3))
    y = _conv(net, f"{name}/3", y, wide, 1, power=BRANCH_POWER)
    if x.features == wide:
        return net.relu(net.add(name, y, x), kept=1)  # x, and so most of the sum, is positive
    return net.relu(net.add(name, y, _conv(net, f"{name}/shortcut", x, wide, 1, stride=stride)))


def _conv(
    net: Layers,
    name: str,
    x: Tensor,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    power: float = 1.0,
) -> Tensor:
    pad = kernel // 2
    y = net.conv(name, x, channels, kernel, stride=stride, pad=pad, bias=False)
    return net.batch_norm(y, power=power)
