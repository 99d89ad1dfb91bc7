"""Which file feeds which input, and what is in the files."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gie_core.cli.console import count, note, reason
from gie_core.cli.images import SUFFIXES, read_image
from gie_core.cli.preprocess import Preprocess
from gie_core.engine.engine import TensorInfo
from gie_core.errors import GieError
from gie_core.ir.dims import evaluate_dim, free_symbols
from gie_core.ir.types import Array, DType, TensorType

__all__ = [
    "Feed",
    "Loader",
    "assign_files",
    "check_files",
    "check_sizes",
    "random_array",
    "read_arrays",
]

MAX_UNPACKED = 1 << 32
"""Bytes that the arrays of a .npz file may claim together."""


@dataclass(frozen=True)
class Feed:
    """The files of one run.

    Args:
        name: for people: the file that differs from run to run.
        files: by input; a .npz file may stand for several.
    """

    name: str
    files: Mapping[str, Path]


def check_files(given: Sequence[str]) -> None:
    """See early whether FILE or NAME=FILE exist.

    Raises:
        GieError: one does not.
    """
    for text in given:
        path = Path(text.partition("=")[2] or text)
        # Unlike Path's, os.path.isfile() knows no errors, such as of names that are too long.
        if not os.path.isfile(text) and not os.path.isfile(path):
            raise GieError(f"there is no input file {path}")


def assign_files(given: Sequence[str], inputs: Sequence[TensorInfo]) -> list[Feed]:
    """Decide which file feeds which input.

    Files with a name feed that input in every run. The others feed the remaining inputs
    in order; where only one input remains, each file is a run of its own, and so is each
    .npz file where all are.

    Raises:
        GieError: the files can't be assigned.
    """
    named, unnamed = _split(given, inputs)
    free = [info.name for info in inputs if info.name not in named]
    if not unnamed:
        return [Feed(next((p.name for p in named.values()), ""), named)]
    archives = all(path.suffix.lower() == ".npz" for path in unnamed)
    if free and (archives or len(free) == 1):
        return [Feed(p.name, {**named, **dict.fromkeys(free, p)}) for p in unnamed]
    if len(free) == len(unnamed):
        return [Feed(unnamed[0].name, {**named, **dict(zip(free, unnamed, strict=True))})]
    wanted = ", ".join(free) or "none"
    raise GieError(
        f"{count(len(unnamed), 'file')} for {count(len(free), 'input')} ({wanted}): write NAME=FILE"
    )


class Loader:
    """Reads files as arrays for inputs; says once what it had to decide or convert."""

    def __init__(self, inputs: Sequence[TensorInfo], preprocess: Preprocess) -> None:
        self._inputs = {info.name: info for info in inputs}
        self._preprocess = preprocess
        self._said: set[str] = set()

    def load(self, feed: Feed) -> dict[str, Array]:
        """The arrays of one run by input.

        Raises:
            GieError: a file can't be read, or does not fit its input.
        """
        return {name: self._load(path, self._inputs[name]) for name, path in feed.files.items()}

    def _load(self, path: Path, info: TensorInfo) -> Array:
        if path.suffix.lower() in SUFFIXES:
            return self._picture(path, info)
        arrays = read_arrays(path)
        array = _member(arrays, path, info) if isinstance(arrays, dict) else arrays
        typed = _typed(array, path, info)
        if typed.dtype != array.dtype:
            self._say(f"{info.name}: {array.dtype} from files is converted to {typed.dtype}")
        return typed

    def _picture(self, path: Path, info: TensorInfo) -> Array:
        plan = self._preprocess.complete(info.type)
        if plan != self._preprocess:
            self._say(f"{info.name}: pictures go through --preprocess {plan}")
        return plan.apply(read_image(path), info.dtype or DType.F32)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            note(text)


def check_sizes(sizes: Mapping[str, int], inputs: Sequence[TensorInfo]) -> None:
    """See whether the inputs have these symbolic dimensions.

    Raises:
        GieError: they lack one.
    """
    symbols = {symbol for info in inputs for symbol in _symbols(info)}
    have = f"the dimensions are {', '.join(sorted(symbols))}" if symbols else "all have a size"
    for name in sizes:
        if name not in symbols:
            raise GieError(f"there is no dimension {name!r}; {have}")


def _symbols(info: TensorInfo) -> frozenset[str]:
    if isinstance(info.type, TensorType) and info.type.shape is not None:
        return free_symbols(*info.type.shape)
    return frozenset()


def random_array(info: TensorInfo, rng: np.random.Generator, sizes: Mapping[str, int]) -> Array:
    """Random data for an input: floats from a standard normal distribution, integers 0 or 1.

    Args:
        info: the input.
        rng: the source of randomness.
        sizes: of symbolic dimensions; 1 where not given.

    Raises:
        GieError: the input is not a tensor of numbers of known rank.
    """
    type_ = info.type
    if not isinstance(type_, TensorType) or type_.shape is None or type_.dtype is DType.STR:
        raise GieError(f"no random data for the input {info}; give a file")
    known = {symbol: sizes.get(symbol, 1) for symbol in _symbols(info)}
    shape = [evaluate_dim(dim, known) for dim in type_.shape]
    dtype = type_.dtype
    try:
        if dtype.is_float or dtype.is_complex:
            return rng.standard_normal(shape).astype(dtype.numpy)
        return rng.integers(0, 2, shape).astype(dtype.numpy)
    except (MemoryError, ValueError) as error:  # too large for this machine, or for any array
        raise GieError(f"no array can have the size of the input {info}: {shape}") from error


def _split(
    given: Sequence[str], inputs: Sequence[TensorInfo]
) -> tuple[dict[str, Path], list[Path]]:
    names = [info.name for info in inputs]
    named: dict[str, Path] = {}
    unnamed: list[Path] = []
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or (name not in names and os.path.isfile(text)):
            unnamed.append(Path(text))
        elif name not in names:
            raise GieError(f"there is no input {name!r}; the inputs are {', '.join(names)}")
        elif name in named:
            raise GieError(f"the input {name!r} is given twice")
        else:
            named[name] = Path(rest)
    return named, unnamed


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """The array of a .npy file, or those of a .npz file by name. Pickled objects are refused."""
    try:
        if not path.stat().st_size:
            raise GieError(f"{path} is empty")
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                return _unpacked(path, file)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Mapped, so that a header which claims more than the file has is an error at once.
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except GieError:
        raise
    except Exception as error:  # NumPy's reader raises nearly anything on damaged bytes
        why = reason(error)
        raise GieError(f"{path} cannot be read as .npy, .npz, .png or .jpg: {why}") from error


def _unpacked(path: Path, file: BinaryIO) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise GieError(f"{path} claims more than {MAX_UNPACKED >> 30} GiB")
    file.seek(0)
    with np.load(file, allow_pickle=False) as members:
        # What is no .npy comes as bytes.
        found = {name: members[name] for name in members.files}
        return {name: each for name, each in found.items() if isinstance(each, np.ndarray)}


def _member(arrays: Mapping[str, Array], path: Path, info: TensorInfo) -> Array:
    if info.name in arrays:
        return arrays[info.name]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise GieError(f"{path} has no array {info.name!r}; it has {', '.join(arrays) or 'none'}")


def _typed(array: Array, path: Path, info: TensorInfo) -> Array:
    """The array in the input's dtype, if that takes no more than rounding."""
    wanted = None if info.dtype is None else info.dtype.numpy
    if wanted is None or array.dtype == wanted:
        return array
    if array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize:
        return array.view(wanted)  # NumPy stores types that it does not know as bare bytes
    if array.dtype.kind in "US" and info.dtype is DType.STR:
        return array.astype(object)
    if not np.can_cast(array.dtype, wanted, "same_kind"):
        raise GieError(f"{path} holds {array.dtype}, but the input {info} needs {wanted}")
    return array.astype(wanted)
