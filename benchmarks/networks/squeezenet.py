"""SqueezeNet 1.1 (Iandola et al. 2016; the authors' release 1.1, with 2.4 times less work)."""

from __future__ import annotations

import onnx

from networks.layers import Layers, Tensor

__all__ = ["build"]

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Channels of fire 2 to 9: squeezed, and of each of the two expansions."""
POOLED = (3, 5)
"""The fires with a max pool behind them."""


def build(batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The model: float32 image [batch, 3, 224, 224] to probabilities [batch, 1000]."""
    net = Layers("squeezenet-1.1", 224, batch=batch, seed=seed)
    x = net.max_pool(net.relu(net.conv("conv1", net.input, 64, 3, stride=2)), 3, 2)
    for index, (squeezed, expanded) in enumerate(FIRES, 2):
        x = _fire(net, f"fire{index}", x, squeezed, expanded)
        if index in POOLED:
            x = net.max_pool(x, 3, 2)
    x = net.relu(net.conv("conv10", x, 1000, 1))
    return net.model(net.softmax(net.global_average(x)))


def _fire(net: Layers, name: str, x: Tensor, squeezed: int, expanded: int) -> Tensor:
    x = net.relu(net.conv(f"{name}/squeeze", x, squeezed, 1))
    branches = [
        net.relu(net.conv(f"{name}/expand1x1", x, expanded, 1)),
        net.relu(net.conv(f"{name}/expand3x3", x, expanded, 3, pad=1)),
    ]
    return net.concat(name, branches)
