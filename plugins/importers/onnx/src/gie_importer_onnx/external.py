"""External data: tensors whose bytes lie in a file beside the model.

The location comes from the model, so it is not trusted: only files inside the
model's own folder are read, links followed, and the real file must be as long as
the tensor says before it is mapped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from gie_core.builder.importing import ModelError

__all__ = ["read_external"]


def read_external(
    tensor: TensorProto, length: int, where: str, folder: Path | None
) -> NDArray[np.uint8]:
    """The bytes of a tensor, mapped from the file rather than read.

    Args:
        tensor: one with ``data_location`` EXTERNAL.
        length: how many bytes its shape takes.
        where: what it is, for messages.
        folder: the model's folder; ``None`` for a model that came as bytes.

    Raises:
        ModelError: there is no such file in the folder, or it is too short.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if folder is None:
        raise ModelError(
            f"{where} lies in another file, which a model given as bytes does not have; "
            "give the model's path"
        )
    path = _inside(folder, entries.get("location", ""), where)
    offset = _number(entries, "offset", 0, where)
    declared = _number(entries, "length", length, where)
    size = path.stat().st_size
    if declared != length:
        raise ModelError(
            f"{where} takes {length} bytes, but says that its data in {path.name} is "
            f"{declared} bytes long"
        )
    if offset + length > size:
        raise ModelError(
            f"{where} needs bytes {offset} to {offset + length} of {path.name}, "
            f"which has only {size}"
        )
    if length == 0:
        return np.empty(0, np.uint8)
    mapped = np.memmap(path, np.uint8, "r", offset, (length,))
    return mapped.view(np.ndarray)


def _inside(folder: Path, location: str, where: str) -> Path:
    if not location or "\0" in location:
        raise ModelError(f"{where} says that its data lies in another file, but not in which")
    try:
        root = folder.resolve()
        path = (root / location).resolve()
        found = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, a loop of links
        raise ModelError(
            f"{where} needs the file {location[:80]!r}, which cannot be found: {error}"
        ) from error
    if (
        Path(location).is_absolute()
        or ".." in Path(location).parts
        or not path.is_relative_to(root)
    ):
        raise ModelError(
            f"{where} asks for the file {location!r} outside the model's folder, which is not read"
        )
    if not found:
        raise ModelError(f"{where} needs the file {location!r}, which is not in {folder}")
    return path


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(
            f"{where} has the {key} {text!r} for its external data, which is no length in bytes"
        )
    return int(text)
