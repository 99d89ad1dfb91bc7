"""The networks that GIE is timed on, built from their papers with random weights."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from networks import alexnet, googlenet, mobilenet_v2, resnet50, squeezenet, vgg19

__all__ = ["NETWORKS"]

NETWORKS: dict[str, Callable[[int, int], onnx.ModelProto]] = {
    "alexnet": alexnet.build,
    "vgg19": vgg19.build,
    "googlenet": googlenet.build,
    "resnet50": resnet50.build,
    "mobilenet-v2": mobilenet_v2.build,
    "squeezenet": squeezenet.build,
}
"""``NETWORKS[name](batch, seed)`` is an ONNX model of one input, float32 NCHW."""
