"""Reading a model: a file, bytes or a live object as a ``ModelProto`` that is sound in form.

What is checked here needs no understanding of any op: that the bytes are a model,
that its opsets are known, and that its functions do not call themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto, defs

from gie_core.builder.importing import ModelError

__all__ = ["ONNX_DOMAIN", "Model", "domain_of", "looks_like_model", "read_model"]

ONNX_DOMAIN = "ai.onnx"
"""The domain of ONNX's own ops, which models also write as ""."""
LARGEST_MODEL = (1 << 31) - 1
"""Bytes of a model's file; protobuf's own limit. Larger weights lie in external data."""
OLDEST_OPSET = 1


@dataclass(frozen=True)
class Model:
    """A model and what its nodes refer to.

    Args:
        proto: the model; of a live object, that object itself, which is not changed.
        folder: where external data may lie; ``None`` without a file.
        opsets: the version of each domain.
        name: the file's name, for messages.
    """

    proto: ModelProto
    folder: Path | None
    opsets: Mapping[str, int]
    name: str


def domain_of(domain: str) -> str:
    """A domain under its only name."""
    return domain or ONNX_DOMAIN


def looks_like_model(data: bytes) -> bool:
    """Whether bytes may begin a model: its first field is the IR version, or another known one."""
    return len(data) > 1 and data[0] in (0x08, 0x12, 0x1A, 0x3A, 0x42)


def read_model(source: object) -> Model:
    """Read a model.

    Args:
        source: a ``Path``, ``bytes`` or a ``ModelProto``.

    Raises:
        ModelError: it is none, is damaged, or is too new.
    """
    if isinstance(source, ModelProto):
        return _checked(source, None, "the model")
    if isinstance(source, bytes):
        return _checked(_parse(source, "the model"), None, "the model")
    if not isinstance(source, Path):
        raise ModelError(
            f"a {type(source).__name__} is no ONNX model; give a path, bytes or a ModelProto"
        )
    return _checked(_parse(_read(source), str(source)), source.parent, str(source))


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ModelError(f"{path} is not a file")
        size = path.stat().st_size
        if size > LARGEST_MODEL:
            raise ModelError(
                f"{path} has {size} bytes, but an ONNX file can't have more than {LARGEST_MODEL}; "
                "store its weights as external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _parse(data: bytes, name: str) -> ModelProto:
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(
            f"{name} is not an ONNX model, or is damaged: it does not parse as one"
        ) from error
    return proto


def _checked(proto: ModelProto, folder: Path | None, name: str) -> Model:
    if not proto.HasField("graph"):
        raise ModelError(f"{name} is not an ONNX model: it has no graph")
    _check_texts(proto, name)
    opsets = {domain_of(entry.domain): entry.version for entry in proto.opset_import}
    # Models older than the field (IR version 1 and 2) mean the first opset.
    version = opsets.setdefault(ONNX_DOMAIN, OLDEST_OPSET)
    if not OLDEST_OPSET <= version <= defs.onnx_opset_version():
        raise ModelError(
            f"{name} uses ONNX opset {version}, but the installed onnx {onnx.__version__} knows "
            f"{OLDEST_OPSET} to {defs.onnx_opset_version()}; "
            "upgrade onnx, or save the model with an older opset"
        )
    return Model(proto, folder, opsets, name)


def _check_texts(proto: ModelProto, name: str) -> None:
    """Names must be text: protobuf hands out those that are not UTF-8 as bytes."""
    wrong = next((text for text in _texts(proto) if not isinstance(text, str)), None)
    if wrong is not None:
        raise ModelError(f"{name} is damaged: it holds the text {wrong!r}, which is not UTF-8")


def _texts(message: Message) -> Iterator[object]:
    """All texts in a message; of tensors, which may be large, only the names."""
    if isinstance(message, TensorProto):
        yield message.name
        for entry in message.external_data:
            yield from (entry.key, entry.value)
        return
    for field, value in message.ListFields():
        content: Any = value
        is_single = isinstance(content, (str, bytes, Message))
        values: Iterable[Any] = (content,) if is_single else content
        if field.type == field.TYPE_STRING:
            yield from values
        elif field.type == field.TYPE_MESSAGE:
            for inner in values:
                yield from _texts(cast("Message", inner))
