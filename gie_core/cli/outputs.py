"""A network's outputs: printed, as JSON, and stored."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import click
import numpy as np

from gie_core.cli.console import clean, count, print_table, reason
from gie_core.errors import GieError
from gie_core.ir.types import Array, DType, type_of

__all__ = ["check_output", "outputs_json", "print_outputs", "save_outputs", "summary"]

SHOWN = 8
"""Values that a table shows."""
LISTED = 10_000
"""Values that JSON lists; what is larger belongs into a file."""


def print_outputs(
    name: str, outputs: Mapping[str, Any], seconds: float, *, first: bool = False
) -> None:
    """Print a table of one run's outputs.

    Args:
        name: of the run; "" if there is but one.
        outputs: by name.
        seconds: it took.
        first: it is the engine's first run, whose time says little about the next.
    """
    what = f"{count(len(outputs), 'output')} in {seconds * 1e3:.2f} ms{' (first run)' * first}"
    click.echo(clean(f"{name}: {what}" if name else what))
    rows = [(each, *_described(value)) for each, value in outputs.items()]
    print_table(["output", "type", ">min", ">mean", ">max", "values"], rows)


def _array(value: Any) -> Array | None:
    """The value if it is an array; ``None`` if it is a sequence or an empty optional."""
    return cast("Array", value) if isinstance(value, np.ndarray) else None


def _described(value: Any) -> tuple[str, str, str, str, str]:
    array = _array(value)
    if array is None:
        return ("none" if value is None else f"sequence of {len(value)}"), "", "", "", ""
    numbers = summary(array)
    low, mean, high = (f"{numbers[k]:.5g}" if numbers else "" for k in ("min", "mean", "max"))
    first = ", ".join(map(_short, _storable(array.ravel()[:SHOWN]).tolist()))
    return str(type_of(array)), low, mean, high, first + (" …" if array.size > SHOWN else "")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, complex)) else str(value)


def summary(array: Array) -> dict[str, float]:
    """Least, mean and greatest value; nothing for empty arrays and what is not a number."""
    if not array.size or array.dtype == object or array.dtype.kind in "bcUS":
        return {}
    wide = array.astype(np.float64)
    return {"min": float(wide.min()), "mean": float(wide.mean()), "max": float(wide.max())}


def outputs_json(outputs: Mapping[str, Any], *, values: bool = True) -> list[dict[str, Any]]:
    """Outputs for ``--json``.

    Args:
        outputs: by name.
        values: list those of arrays that have up to ``LISTED`` elements.
    """
    return [{"name": name, **_json(value, values)} for name, value in outputs.items()]


def _json(value: Any, values: bool) -> dict[str, Any]:
    array = _array(value)
    if array is None:
        return {"values": None if value is None else [_json(item, values) for item in value]}
    found = {"dtype": DType.of(array.dtype), "shape": array.shape, **summary(array)}
    listed = values and array.size <= LISTED
    return {**found, "values": _storable(array).tolist()} if listed else found


MAX_MEMBER_NAME = 10_000
"""Characters of an output's name in an archive, whose format allows 65,535 bytes."""


def check_output(path: Path) -> None:
    """See before the work whether its outputs can be stored there.

    Raises:
        GieError: the name has another suffix or is a folder's, or its folder does not exist.
    """
    if path.suffix.lower() not in (".npy", ".npz"):
        raise GieError(f"--output {path} must end in .npy or .npz")
    if os.path.isdir(path):  # unlike Path's, it knows no errors
        raise GieError(f"--output {path} is a folder")
    if not os.path.isdir(path.parent):
        raise GieError(f"--output {path}: there is no folder {path.parent}")


def save_outputs(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Store outputs; those of several runs one behind the other along the first dimension.

    The file appears when it is complete.

    Raises:
        GieError: the file can't be written, a .npy would have to hold several outputs, or
            the runs' outputs do not fit together.
    """
    check_output(path)
    suffix = path.suffix.lower()
    joined = {name: _joined(name, [run[name] for run in runs]) for name in runs[0]}
    if suffix == ".npy" and len(joined) != 1:
        raise GieError(f"the model has {len(joined)} outputs, and a .npy holds one; use .npz")
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            if suffix == ".npy":
                np.save(file, next(iter(joined.values())), allow_pickle=False)
            else:
                _write_archive(file, joined)
        partial.replace(path)
    except OSError as error:
        raise GieError(f"{path} cannot be written: {reason(error)}") from error
    finally:
        with suppress(OSError):  # the one above says more
            partial.unlink(missing_ok=True)


def _write_archive(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """A .npz file; ``np.savez`` has parameters that an output may share its name with."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            check_member(name)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def check_member(name: str) -> None:
    """Refuse a name from a model that means something else inside an archive.

    Raises:
        GieError: it is a path out of the folder, or no name of a file.
    """
    parts = name.replace("\\", "/").split("/")
    if len(name) > MAX_MEMBER_NAME or "\0" in name or ".." in parts:
        raise GieError(f"the output {name[:60]!r} cannot be stored under this name in a .npz")


def _joined(name: str, parts: Sequence[Any]) -> Array:
    if not all(isinstance(part, np.ndarray) for part in parts):
        raise GieError(f"the output {name} is not an array, and can't be stored")
    arrays = [_storable(part) for part in parts]
    if len(arrays) == 1:
        return arrays[0]
    if any(array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        raise GieError(
            f"the output {name} differs in shape from run to run; run one file at a time"
        )
    return np.concatenate(arrays)


def _storable(array: Array) -> Array:
    """In a type that NumPy's files have; the small floats and integers fit without loss."""
    if array.dtype == object:
        return array.astype(str)
    if array.dtype.isbuiltin == 1:
        return array
    if DType.of(array.dtype).is_float:
        return array.astype(np.float32)
    return array.astype(np.int8 if DType.of(array.dtype).is_signed else np.uint8)
