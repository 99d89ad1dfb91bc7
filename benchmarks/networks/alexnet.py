"""AlexNet (Krizhevsky, Sutskever, Hinton 2012, section 3): two halves as groups, LRN, 227×227."""

from __future__ import annotations

import onnx

from networks.layers import Layers, Tensor

__all__ = ["build"]


def build(batch: int = 1, seed: int = 0) -> onnx.ModelProto:
    """The model: float32 image [batch, 3, 227, 227] to probabilities [batch, 1000]."""
    net = Layers("alexnet", 227, batch=batch, seed=seed)
    x = net.relu(net.conv("conv1", net.input, 96, 11, stride=4))
    x = net.max_pool(_normalized(net, x), 3, 2)
    x = net.relu(net.conv("conv2", x, 256, 5, pad=2, groups=2))
    x = net.max_pool(_normalized(net, x), 3, 2)
    x = net.relu(net.conv("conv3", x, 384, 3, pad=1))
    x = net.relu(net.conv("conv4", x, 384, 3, pad=1, groups=2))
    x = net.relu(net.conv("conv5", x, 256, 3, pad=1, groups=2))
    x = net.flatten(net.max_pool(x, 3, 2), 6 * 6)
    x = net.relu(net.linear("fc6", x, 4096))
    x = net.relu(net.linear("fc7", x, 4096))
    return net.model(net.softmax(net.linear("fc8", x, 1000)))


def _normalized(net: Layers, x: Tensor) -> Tensor:
    # The paper's α is 1e-4 for each of 5 channels.
    return net.lrn(x, size=5, alpha=5e-4, beta=0.75, k=2)
