"""Trains the digits network and writes everything else in this folder.

    pip install onnx pillow scikit-learn
    python examples/digits/train.py

Takes about half a minute on two cores. All randomness is seeded: one machine gives the same files
each time; another may round differently and give other weights of the same accuracy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from network import (
    BatchNorm,
    Branches,
    Chain,
    Conv,
    Dropout,
    Floats,
    Linear,
    MaxPool,
    OnnxWriter,
    Relu,
    Residual,
    Scale,
)
from numpy.typing import NDArray
from onnx import TensorProto, checker, helper
from PIL import Image
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parent
SEED = 0
HELD_OUT = 360
SINGLES_PER_DIGIT = 2
SHEET_COLUMNS = 20
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 2e-3
PIXEL_STEP = 15  # the data has 17 grey levels, 0…16; as pixels 0…240, exactly

Labels = NDArray[np.int64]


def load() -> tuple[Floats, Labels]:
    """All 1,797 digits in a seeded random order: pixels N×1×8×8 in 0…240, and labels."""
    data = cast("Any", load_digits())
    pixels = (data.images * PIXEL_STEP).astype(np.float32)[:, None]
    order = np.random.default_rng(SEED).permutation(len(pixels))
    return pixels[order], data.target[order].astype(np.int64)


def build(rng: np.random.Generator) -> Chain:
    """The untrained network: pixels N×1×8×8 to logits N×10."""

    def conv(inputs: int, outputs: int, size: int) -> Chain:
        """Convolution, batch normalization, ReLU."""
        layers = (Conv(rng, inputs, outputs, size), BatchNorm(outputs), Relu())
        return Chain(conv=layers[0], norm=layers[1], relu=layers[2])

    return Chain(
        scale=Scale(1 / (16 * PIXEL_STEP)),
        stem=conv(1, 16, 3),
        residual=Residual(
            Chain(first=conv(16, 16, 3), conv=Conv(rng, 16, 16, 3), norm=BatchNorm(16))
        ),
        relu=Relu(),
        pool=MaxPool(),
        mixed=Branches(conv(16, 16, 1), conv(16, 16, 3)),
        last=conv(32, 32, 3),
        last_pool=MaxPool(),
        dropout=Dropout(rng, 0.3),
        classifier=Linear(rng, 128, 10),
    )


def shifted(rng: np.random.Generator, x: Floats) -> Floats:
    """Each image moved by up to one pixel each way: more data for free."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = rng.integers(0, 3, (len(x), 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[2:], axis=(2, 3))
    return windows[np.arange(len(x)), :, moves[:, 0], moves[:, 1]]


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def train(network: Chain, rng: np.random.Generator, x: Floats, labels: Labels) -> None:
    """Minimizes cross-entropy with Adam (Kingma & Ba 2015), its step falling along a cosine."""
    parameters = list(network.parameters())
    first = [np.zeros_like(p.value) for p in parameters]
    second = [np.zeros_like(p.value) for p in parameters]
    steps_per_epoch = len(x) // BATCH
    steps = EPOCHS * steps_per_epoch
    order = np.arange(len(x))
    for step in range(steps):
        at = step % steps_per_epoch
        if at == 0:
            order = rng.permutation(len(x))
        batch = order[at * BATCH : (at + 1) * BATCH]
        error = softmax(network.forward(shifted(rng, x[batch]), training=True))
        error[np.arange(BATCH), labels[batch]] -= 1
        network.backward(error / np.float32(BATCH))
        rate = LEARNING_RATE * (1 + np.cos(np.pi * step / steps)) / 2
        rate *= (1 - 0.999 ** (step + 1)) ** 0.5 / (1 - 0.9 ** (step + 1))
        for parameter, m, v in zip(parameters, first, second, strict=True):
            m += np.float32(0.1) * (parameter.gradient - m)
            v += np.float32(0.001) * (parameter.gradient**2 - v)
            parameter.value -= np.float32(rate) * m / (np.sqrt(v) + np.float32(1e-8))


def to_onnx(network: Chain, accuracy: float) -> onnx.ModelProto:
    """The network with a softmax at its end, for any batch size."""
    writer = OnnxWriter()
    logits = network.export(writer, "pixels", "")
    writer.node("Softmax", [logits], "probabilities", axis=1)
    graph = helper.make_graph(
        writer.nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])],
        writer.initializers,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name="examples/digits/train.py",
        doc_string="Handwritten digits, trained on the UCI optical recognition data set.",
    )
    metadata = {
        "input": "grey pixels of 8x8 images as they are in a PNG: 0 is paper, 240 is ink",
        "labels": ",".join("0123456789"),
        "held_out_accuracy": f"{accuracy:.4f}",
    }
    helper.set_model_props(model, metadata)
    # onnx annotates the path that could stand here as a bare PathLike.
    checker.check_model(model, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    return model


def write_images(pixels: Floats, labels: Labels) -> None:
    """The held-out digits as one sheet with its labels, and some of them singly."""
    images = pixels[:, 0].astype(np.uint8)
    folder = FOLDER / "held_out"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for digit in range(10):
        for index in np.flatnonzero(labels == digit)[:SINGLES_PER_DIGIT]:
            Image.fromarray(images[index]).save(folder / f"{digit}-{index:03d}.png")
    sheet = images.reshape(-1, SHEET_COLUMNS, 8, 8).transpose(0, 2, 1, 3)
    Image.fromarray(sheet.reshape(-1, SHEET_COLUMNS * 8)).save(FOLDER / "held_out.png")
    rows = labels.reshape(-1, SHEET_COLUMNS)
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    (FOLDER / "held_out_labels.txt").write_text(text, encoding="ascii")


def main() -> None:
    """Trains, tests, writes."""
    pixels, labels = load()
    rng = np.random.default_rng(SEED)
    network = build(rng)
    train(network, rng, pixels[:-HELD_OUT], labels[:-HELD_OUT])
    held_out, truth = pixels[-HELD_OUT:], labels[-HELD_OUT:]
    predicted = network.forward(held_out, training=False).argmax(1)
    accuracy = float((predicted == truth).mean())
    print(f"accuracy on {HELD_OUT} held-out digits: {accuracy:.2%}")
    (FOLDER / "digits.onnx").write_bytes(to_onnx(network, accuracy).SerializeToString())
    write_images(held_out, truth)


if __name__ == "__main__":
    main()
