"""Memory for candidates on trial, in which every stray write shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gie_core.builder.oracle import Oracle
from gie_core.builder.signature import Job
from gie_core.engine.plan import ALIGNMENT
from gie_core.ir.types import Array
from gie_core.kernels.format import Layout
from gie_core.kernels.provider import Memory
from gie_core.runtime.memory import aligned_bytes

__all__ = ["Bench", "Piece"]

GUARD = 64
"""Bytes around every result and workspace that nobody may write."""


@dataclass(frozen=True)
class Piece:
    """An array, and the bytes in which it lies with room around it."""

    buffer: Array
    array: Array

    @staticmethod
    def of(layout: Layout, alignment: int) -> Piece:
        """Memory for a tensor whose first element's address has this alignment and no more."""
        low, high = layout.span
        first = -(-(GUARD - low) // ALIGNMENT) * ALIGNMENT + alignment % ALIGNMENT
        buffer = aligned_bytes(-(-(first + high + GUARD) // 8) * 8)
        buffer[...] = 0
        array = np.ndarray(layout.shape, layout.dtype.numpy, buffer, first, layout.strides)
        return Piece(buffer, array)

    def checksum(self) -> int:
        return int(self.buffer.view(np.uint64).sum())

    def is_spilled(self, poison: int) -> bool:
        """Whether anything but the array was written; the array is poisoned again."""
        size = self.array.dtype.itemsize
        bits = np.dtype(f"u{size}" if size <= 8 else f"V{size}")
        elements = np.ndarray(
            self.array.shape,
            bits,
            self.buffer,
            _address(self.array) - _address(self.buffer),
            self.array.strides,
        )
        elements[...] = np.frombuffer(bytes([poison]) * size, bits)[0]
        return bool((self.buffer != poison).any())


class Bench:
    """Memory that all candidates of one node share, since they run one after the other.

    Args:
        oracle: of the node.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self._operands: dict[tuple[int, Layout, int], tuple[Piece, int]] = {}
        self._results: dict[tuple[int, Layout, int], Piece] = {}
        self._constants: dict[tuple[str, str], tuple[Array, ...]] = {}
        self._workspace = np.zeros(0, np.uint8)

    def memory(self, job: Job) -> Memory:
        """What a job is bound to: operands filled, constants prepacked."""
        return Memory(
            operands=tuple(None if p is None else p.array for p in self.operands(job)),
            results=tuple(piece.array for piece in self.results(job)),
            constants=self._prepacked(job),
            workspace=self._scratch(job.candidate.workspace),
        )

    def operands(self, job: Job) -> list[Piece | None]:
        """The pieces in which the operands lie."""
        arrays = self.oracle.case(job.operands).operands
        alignments = job.operand_alignments or (ALIGNMENT,) * len(arrays)
        return [
            None if array is None or layout is None else self._filled(array, layout, alignment)
            for array, layout, alignment in zip(arrays, job.operands, alignments, strict=True)
        ]

    def results(self, job: Job) -> list[Piece]:
        """The pieces in which the results lie."""
        alignments = job.result_alignments or (ALIGNMENT,) * len(job.results)
        keys = [(n, *key) for n, key in enumerate(zip(job.results, alignments, strict=True))]
        for key in keys:
            if key not in self._results:
                self._results[key] = Piece.of(*key[1:])
        return [self._results[key] for key in keys]

    def poison(self, job: Job, byte: int) -> None:
        """Fill results and workspace."""
        for piece in self.results(job):
            piece.buffer[...] = byte
        self._workspace[...] = byte

    def spilled(self, job: Job, byte: int) -> bool:
        """Whether anything beside poisoned results and workspace was written."""
        beyond = self._workspace[GUARD + job.candidate.workspace :]
        if (self._workspace[:GUARD] != byte).any() or (beyond != byte).any():
            return True
        return any(piece.is_spilled(byte) for piece in self.results(job))

    def operands_changed(self) -> bool:
        """Whether anybody wrote to an operand; all are made anew if so."""
        changed = any(piece.checksum() != known for piece, known in self._operands.values())
        if changed:
            self._operands.clear()
        return changed

    def _filled(self, array: Array, layout: Layout, alignment: int) -> Piece:
        key = (id(array), layout, alignment)  # the oracle keeps the array
        if key not in self._operands:
            piece = Piece.of(layout, alignment)
            piece.array[...] = array.astype(layout.dtype.numpy, copy=False)
            piece.array.flags.writeable = False
            self._operands[key] = piece, piece.checksum()
        return self._operands[key][0]

    def _prepacked(self, job: Job) -> tuple[Array, ...]:
        key = job.provider.name, job.candidate.name
        if key not in self._constants:
            packed = job.provider.provider.prepack(job.node, job.candidate.name)
            self._constants[key] = tuple(map(_as_in_engine, packed))
        return self._constants[key]

    def _scratch(self, size: int) -> Array:
        if len(self._workspace) < size + 2 * GUARD:
            self._workspace = aligned_bytes(size + 2 * GUARD)
        return self._workspace[GUARD : GUARD + size]


def _as_in_engine(array: Array) -> Array:
    """A constant as an engine holds it: aligned, without gaps, in the given order, read only."""
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    ordered = array.transpose(order)
    if not ordered.flags.c_contiguous or _address(ordered) % ALIGNMENT:
        aligned = np.ndarray(ordered.shape, array.dtype, aligned_bytes(array.nbytes))
        aligned[...] = ordered
        ordered = aligned
    view = ordered.transpose(np.argsort(order))
    view.flags.writeable = False
    return view


def _address(array: Array) -> int:
    return array.__array_interface__["data"][0]
