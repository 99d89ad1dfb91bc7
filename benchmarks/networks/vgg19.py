"""VGG-19 (Simonyan, Zisserman 2014, table 1, column E)."""

from __future__ import annotations

import onnx

from networks.layers import Layers

__all__ = ["build"]

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""(channels, convolutions) between max pools."""


def build(batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The model: float32 image [batch, 3, 224, 224] to probabilities [batch, 1000]."""
    net = Layers("vgg19", 224, batch=batch, seed=seed)
    x = net.input
    for stage, (channels, count) in enumerate(STAGES, 1):
        for index in range(1, count + 1):
            x = net.relu(net.conv(f"conv{stage}_{index}", x, channels, 3, pad=1))
        x = net.max_pool(x, 2, 2)
    x = net.flatten(x, 7 * 7)
    x = net.relu(net.linear("fc6", x, 4096))
    x = net.relu(net.linear("fc7", x, 4096))
    return net.model(net.softmax(net.linear("fc8", x, 1000)))
