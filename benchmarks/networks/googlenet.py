"""GoogLeNet (Szegedy et al. 2014, table 1), without the auxiliary classifiers of training."""

from __future__ import annotations

import onnx

from networks.layers import Layers, Tensor

__all__ = ["build"]

Widths = tuple[int, int, int, int, int, int]
MODULES: dict[str, Widths] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels: 1×1; reduction and 3×3; reduction and 5×5; projection behind the pool."""


def build(batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The model: float32 image [batch, 3, 224, 224] to probabilities [batch, 1000]."""
    net = Layers("googlenet", 224, batch=batch, seed=seed)
    x = net.relu(net.conv("conv1", net.input, 64, 7, stride=2, pad=3))
    x = _normalized(net, net.max_pool(x, 3, 2, ceil=True))
    x = net.relu(net.conv("conv2/reduce", x, 64, 1))
    x = net.relu(net.conv("conv2", x, 192, 3, pad=1))
    x = net.max_pool(_normalized(net, x), 3, 2, ceil=True)
    for name, widths in MODULES.items():
        x = _inception(net, name, x, widths)
        if name in ("3b", "4e"):
            x = net.max_pool(x, 3, 2, ceil=True)
    x = net.global_average(x)
    return net.model(net.softmax(net.linear("classes", x, 1000)))


def _inception(net: Layers, name: str, x: Tensor, widths: Widths) -> Tensor:
    one, reduce3, three, reduce5, five, projected = widths

    def conv(branch: str, x: Tensor, channels: int, kernel: int = 1) -> Tensor:
        return net.relu(net.conv(f"{name}/{branch}", x, channels, kernel, pad=kernel // 2))

    branches = [
        conv("1x1", x, one),
        conv("3x3", conv("3x3/reduce", x, reduce3), three, 3),
        conv("5x5", conv("5x5/reduce", x, reduce5), five, 5),
        conv("pool/project", net.max_pool(x, 3, 1, pad=1), projected),
    ]
    return net.concat(name, branches)


def _normalized(net: Layers, x: Tensor) -> Tensor:
    return net.lrn(x, size=5, alpha=1e-4, beta=0.75, k=1)
