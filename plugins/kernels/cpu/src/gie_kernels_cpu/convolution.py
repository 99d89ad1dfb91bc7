"""What all ways to compute a convolution have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides
from gie_core.kernels.provider import Launch, Memory
from gie_kernels_cpu.blocks import Region
from gie_kernels_cpu.geometry import Geometry
from gie_kernels_cpu.halves import is_finite, widening
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    Piece,
    carve,
    float_support,
    padded,
    workspace_size,
)
from gie_kernels_cpu.launches import Call, in_order
from gie_kernels_cpu.output import Output, output_scratch
from gie_kernels_cpu.variant import VARIANTS, Variant

__all__ = ["ConvolutionMethod", "Job", "Part", "most_images", "most_rows", "widens"]

Part = tuple[slice, slice]
"""Some images, and some positions of the first spatial axis of the result."""


@dataclass(frozen=True)
class Job:
    """What a convolution is computed from, and where.

    Args:
        geometry: the numbers.
        variant: how x and the result lie in memory.
        x: [N, C, *S], perhaps in fewer bits than computed in.
        weight: as ``pack`` made it, in the dtype that is computed in.
        output: [N, O, *P].
        scratch: an array for each of the method's ``pieces``.
    """

    geometry: Geometry
    variant: Variant
    x: Array
    weight: Array
    output: Output
    scratch: Sequence[Array]

    def region(self, part: Part) -> Region:
        """A part of the result."""
        geometry = self.geometry
        images, rows = part
        inner = (slice(0, n) for n in geometry.extents[1:])
        return (images, slice(0, geometry.results), rows, *inner)


def widens(geometry: Geometry, variant: Variant) -> bool:
    """Whether x is stored in another type than is computed in."""
    return variant.stored(geometry.dtype).numpy != geometry.wide


def most_rows(parts: Sequence[Part]) -> int:
    """Rows of the largest part, over all of its images."""
    counts = ((i.stop - i.start) * (r.stop - r.start) for i, r in parts)
    return max(counts, default=0)


def most_images(parts: Sequence[Part]) -> int:
    """Images of the largest part."""
    return max((images.stop - images.start for images, _ in parts), default=0)


class ConvolutionMethod(Method):
    """One way to compute ``conv``: cuts the result into parts and says how to compute each.

    Attributes:
        may_cross: whether the result may lie in another order than x.
        needs_constant: whether the weight must be constant.
    """

    fuses = True
    may_cross: ClassVar[bool] = False
    needs_constant: ClassVar[bool] = False

    @abstractmethod
    def rejects(self, geometry: Geometry) -> str:
        """Why it can't compute a convolution, or would never be the best; "" if it may be."""

    @abstractmethod
    def parts(self, geometry: Geometry, variant: Variant) -> list[Part]:
        """The parts of the result, in the order in which they are computed."""

    @abstractmethod
    def pieces(self, geometry: Geometry, variant: Variant) -> tuple[Piece, ...]:
        """Scratch arrays."""

    @abstractmethod
    def packed(self, geometry: Geometry, variant: Variant) -> tuple[int, ...]:
        """The shape of the packed weight."""

    @abstractmethod
    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        """The weight [O, C/groups, *K] in the packed shape: a view, unless it must be constant."""

    @abstractmethod
    def work(self, geometry: Geometry, variant: Variant) -> Work:
        """What there is to do, the output's parts aside."""

    @abstractmethod
    def calls(self, job: Job) -> Iterator[Call]:
        """What computes and finishes all parts, in order."""

    def variants(self, geometry: Geometry) -> Iterator[Variant]:
        """The variants it offers, the node's own types first."""
        exact = [v for v in VARIANTS.values() if v.is_exact]
        narrow = [v for v in VARIANTS.values() if not v.is_exact and not v.crosses]
        for variant in exact + (narrow if geometry.dtype is DType.F32 else []):
            if self.may_cross or not variant.crosses:
                yield variant

    def supports(self, node: Node) -> Support:
        support = float_support(node)
        reason = self.rejects(Geometry.of(node)) if support.ok else support.reason
        return Support.no(reason) if reason else Support.yes()

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        geometry = Geometry.of(node)
        return [
            self._candidate(node, geometry, variant, constants)
            for variant in self._possible(node, geometry, constants)
        ]

    def candidate(self, node: Node, name: str, constants: Constants) -> Candidate | None:
        geometry, variant = Geometry.of(node), VARIANTS.get(name)
        if variant not in self._possible(node, geometry, constants):
            return None
        return self._candidate(node, geometry, variant, constants)

    def _possible(self, node: Node, geometry: Geometry, constants: Constants) -> list[Variant]:
        fixed = constants(node.operands[1]) is not None
        return [
            variant
            for variant in self.variants(geometry)
            if fixed or not (variant.weights or self.needs_constant)
        ]

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        geometry, variant = self._parse(node, candidate)
        weight, bias = (constants(v) for v in padded(node.operands, 3)[1:])
        found: list[Array] = []
        if weight is not None:
            packed = self.pack(geometry, variant, weight)
            stored = geometry.wide if variant.weights is None else variant.weights.numpy
            found.append(np.ascontiguousarray(packed, stored))
        if bias is not None:
            bias = bias.astype(geometry.wide, copy=False)
            found.append(np.tile(bias, geometry.extents[-1]) if variant.target else bias)
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (y,) = memory.results
        if not y.size:
            return []
        geometry, variant = self._parse(node, candidate)
        x, weight, bias = padded(memory.operands, 3)
        constants = iter(memory.constants)
        packed = next(constants) if weight is None else self.pack(geometry, variant, weight)
        bias = next(constants, bias)
        calls: list[Call] = []
        unpacks = weight is not None or packed.dtype != geometry.wide
        pieces = self._pieces(geometry, variant, unpacks)
        scratch = carve(memory.workspace, *pieces) if pieces else []
        if unpacks:
            finite = weight is None and is_finite(packed)
            calls += widening(packed, scratch[0], finite=finite)
            packed = scratch.pop(0)
        own = geometry.dtype.numpy
        staged = output_scratch(y.dtype, geometry.wide, variant.target, 0)
        wide = scratch.pop(0) if staged else None
        output = Output(y, own, epilogue, bias, wide, variant.target)
        job = Job(geometry, variant, x, packed, output, scratch)
        calls += self.calls(job)
        return [in_order(calls)]

    def _parse(self, node: Node, candidate: str) -> tuple[Geometry, Variant]:
        return Geometry.of(node), VARIANTS[candidate]

    def _candidate(
        self, node: Node, geometry: Geometry, variant: Variant, constants: Constants
    ) -> Candidate:
        x, y = variant.formats(geometry.dtype, node.result.tensor.rank)
        others = (
            None
            if value is None or constants(value) is not None
            else Format(geometry.dtype, tuple(range(value.tensor.rank)), Strides.ANY)
            for value in node.operands[1:]
        )
        unpacks = variant.weights is not None or constants(node.operands[1]) is None
        return Candidate(
            name=str(variant),
            operands=(x, *others),
            results=(y,),
            workspace=workspace_size(*self._pieces(geometry, variant, unpacks)),
            work=self.work(geometry, variant),
            packed=variant.weights,
        )

    def _pieces(self, geometry: Geometry, variant: Variant, unpacks: bool) -> tuple[Piece, ...]:
        stored = variant.stored(geometry.dtype).numpy
        row = geometry.results * math.prod(geometry.extents[1:])
        size = most_rows(self.parts(geometry, variant)) * row
        weight = (self.packed(geometry, variant), geometry.wide)
        return (
            *((weight,) if unpacks else ()),
            *output_scratch(stored, geometry.wide, variant.target, size),
            *self.pieces(geometry, variant),
        )
