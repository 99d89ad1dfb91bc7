"""Cutting work into parts that stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gie_core.ir.types import Array

__all__ = ["BLOCK", "WORKSPACE", "Region", "collapse", "parts", "regions", "spans"]

BLOCK = 1 << 17
"""Elements that a pointwise step handles at once.

512 KB of f32: what a step writes is still in the L2 cache when the next one reads it, and the
calls themselves (about 1 µs each) do not count.
"""

WORKSPACE = 2 << 20
"""Bytes that a matrix may take that only exists between two steps of a convolution.

More is cut into parts. Larger parts are no faster: the product reads them from the cache.
"""

Region = tuple[slice, ...]


def regions(shape: Sequence[int], limit: int = BLOCK) -> Iterator[Region]:
    """Cut an array into boxes of about ``limit`` elements, in memory order.

    Every box has one position on the outer axes, a range on one axis, and all of the inner ones.
    """
    inner = math.prod(shape)
    if inner <= limit:
        yield (slice(None),) * len(shape)
        return
    axis = 0
    while inner // shape[axis] > limit:
        inner //= shape[axis]
        axis += 1
    inner //= shape[axis]
    rest = (slice(None),) * (len(shape) - axis - 1)
    for outer in _positions(shape[:axis]):
        for part in spans(shape[axis], max(1, limit // inner)):
            yield (*outer, part, *rest)


def spans(extent: int, step: int) -> Iterator[slice]:
    """``extent`` cut into ranges of at most ``step``, as equal as can be."""
    count = -(-extent // step)
    for number in range(count):
        yield slice(number * extent // count, (number + 1) * extent // count)


def parts(images: int, rows: int, at_once: int) -> list[tuple[slice, slice]]:
    """A batch cut into parts of about ``at_once`` rows: some images, or some rows of one."""
    if at_once >= rows:
        whole = slice(0, rows)
        return [(some, whole) for some in spans(images, at_once // rows)] if rows else []
    each = list(spans(rows, max(1, at_once)))
    return [(image, part) for image in spans(images, 1) for part in each]


def collapse(
    shape: tuple[int, ...], arrays: Sequence[Array]
) -> tuple[tuple[int, ...], list[Array]]:
    """Merge neighbouring axes wherever the memory of all arrays allows it.

    Args:
        shape: what the arrays broadcast to.
        arrays: of rank ``len(shape)``.

    Returns:
        The merged shape, of rank 1 at least, and views of the arrays. An axis along which an
        array repeats itself has extent 1 in its view.
    """
    if all(array.shape == shape and array.flags.c_contiguous for array in arrays):
        return (math.prod(shape),), [array.reshape(-1) for array in arrays]
    arrays = [_without_repetition(array) for array in arrays]
    strides = [
        [0 if n == 1 else stride for n, stride in zip(a.shape, a.strides, strict=True)]
        for a in arrays
    ]
    groups: list[list[int]] = []
    for axis, extent in enumerate(shape):
        if groups and all(s[groups[-1][-1]] == s[axis] * extent for s in strides):
            groups[-1].append(axis)
        elif extent != 1:
            groups.append([axis])
    groups = groups or [[]]
    used = {axis for group in groups for axis in group}
    keep = [slice(None) if axis in used else 0 for axis in range(len(shape))]
    merged = tuple(math.prod(shape[axis] for axis in group) for group in groups)
    views = [
        array[tuple(keep)].reshape([math.prod(array.shape[axis] for axis in g) for g in groups])
        for array in arrays
    ]
    return merged, views


def _without_repetition(array: Array) -> Array:
    """A view that has extent 1 wherever the array's stride is 0."""
    if 0 not in array.strides:
        return array
    axes = zip(array.strides, array.shape, strict=True)
    return array[tuple(slice(0, 1) if not stride and n else slice(None) for stride, n in axes)]


def _positions(shape: Sequence[int]) -> Iterator[Region]:
    if not shape:
        yield ()
        return
    for outer in _positions(shape[:-1]):
        for index in range(shape[-1]):
            yield (*outer, slice(index, index + 1))
