"""Scores of classes: label files, and the best few."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gie_core.cli.console import reason
from gie_core.errors import GieError
from gie_core.ir.types import Array

__all__ = ["Ranked", "as_rows", "choose_scores", "read_labels", "softmax", "top"]

MAX_LABEL_BYTES = 1 << 26
_INDEXED = re.compile(r"(\d{1,9})\s*[,:\t]\s*(.*)")
_SYNSET = re.compile(r"n\d{8}\s+(.*)")


@dataclass(frozen=True)
class Ranked:
    """One of the best classes of one sample.

    Args:
        index: of the class.
        label: its name; "" without a label file.
        score: as the network gave it, or after ``--softmax``.
    """

    index: int
    label: str
    score: float


def read_labels(path: Path) -> list[str]:
    """The classes' names by index.

    All lines are ``name``, all ``index,name``, or all ``n01440764 name`` (ImageNet's
    synsets); quotes around lines are dropped.

    Raises:
        GieError: it can't be read as text, or has no lines.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe or device may never end
            raise GieError(f"the labels {path} are not a file")
        if path.stat().st_size > MAX_LABEL_BYTES:
            raise GieError(f"{path} is too large for a list of labels")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GieError(f"the labels {path} cannot be read: {reason(error)}") from error
    lines = [_unquoted(line.strip()) for line in text.rstrip().splitlines()]
    if not lines:
        raise GieError(f"{path} has no labels")
    synsets = [_SYNSET.fullmatch(line) for line in lines]
    if all(synsets):
        return [match[1] for match in synsets if match]
    indexed = [match for match in map(_INDEXED.fullmatch, lines) if match]
    if len(indexed) < len(lines):
        return lines
    names = {int(match[1]): match[2] for match in indexed}
    if max(names) >= 10 * len(lines) + 1000:
        raise GieError(f"{path} has {len(lines)} labels, but the index {max(names)}")
    return [names.get(index, "") for index in range(max(names) + 1)]


def choose_scores(outputs: Mapping[str, Array], labels: Sequence[str] | None) -> tuple[str, Array]:
    """The output that holds scores of classes, as samples×classes.

    Raises:
        GieError: none does.
    """
    candidates = {name: as_rows(array) for name, array in outputs.items()}
    for name, rows in candidates.items():
        fits = rows is not None and (labels is None or rows.shape[1] == len(labels))
        if rows is not None and fits:
            return name, rows
    shapes = ", ".join(f"{name} {list(np.shape(a))}" for name, a in outputs.items())
    wanted = f"{len(labels)} classes, as many as there are labels" if labels else "classes"
    raise GieError(f"no output has scores of {wanted}: {shapes}")


def as_rows(array: Array) -> Array | None:
    """samples×classes in float64; ``None`` if the shape is another, extents of 1 aside."""
    if not hasattr(array, "dtype") or array.dtype == object or array.dtype.kind in "bc":
        return None
    inner = [extent for extent in array.shape[1:] if extent != 1] if array.ndim > 1 else []
    if array.ndim == 0 or len(inner) > 1:
        return None
    rows = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
    return rows.astype(np.float64) if rows.shape[1] > 1 else None


def softmax(rows: Array) -> Array:
    """Probabilities along the last axis."""
    powers = np.exp(rows - rows.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def top(rows: Array, count: int, labels: Sequence[str] | None) -> list[list[Ranked]]:
    """The best classes of each sample, best first; of equal scores the lower index first."""
    order: list[list[int]] = np.argsort(-rows, axis=1, kind="stable")[:, :count].tolist()
    return [
        [Ranked(i, "" if labels is None else labels[i], float(row[i])) for i in best]
        for row, best in zip(rows, order, strict=True)
    ]


def _unquoted(line: str) -> str:
    quoted = len(line) > 1 and line[0] == line[-1] and line[0] in "'\""
    return line[1:-1] if quoted else line
