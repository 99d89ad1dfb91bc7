"""Cases of what moves elements: shapes, indices, resampling."""

from __future__ import annotations

from gie_core.testing.cases.case import Case, table

__all__ = ["MOVING"]

_SHAPES = """
    identity(T[3, 4])
    dropout(T[3, 4])
    reshape(T[3, 4, 5]) {shape = [12, 5]}
    reshape(T[6]) {shape = [1, 2, 1, 3]}
    reshape(T[1]) {shape = []}
    transpose(T[3, 4]) {permutation = [1, 0]}
    transpose(T[2, 3, 4, 5]) {permutation = [0, 2, 3, 1]}
    transpose(T[2, 3, 4]) {permutation = [2, 0, 1]}
    expand(T[3, 1]) {shape = [2, 3, 4]}
    tile(T[2, 3]) {repeats = [2, 3]}
    concat(T[2, 3], T[2, 1]) {axis = 1}
    concat(T[2, 3, 4], T[5, 3, 4], const T[1, 3, 4]) {axis = 0}
    concat(T[1, 2, 3, 3], T[1, 4, 3, 3]) {axis = 1}
    concat(T[3]) {axis = 0}
    split(T[4, 6]) {axis = 1, sizes = [2, 4]} -> 2
    split(T[4, 6]) {axis = 0, sizes = [1, 2, 1]} -> 3
    slice(T[6, 7]) {axes = [1], starts = [2], ends = [5], steps = [1]}
    slice(T[6, 7]) {axes = [0, 1], starts = [4, 6], ends = [0, 1], steps = [-1, -2]}
    slice(T[6, 7]) {axes = [0], starts = [3], ends = [3], steps = [1]}
    pad(T[3, 4]) {pads = [1, 0, 0, 2]}
    pad(T[3, 4], const T[] = 1) {pads = [0, 1, 1, 0]}
    pad(T[3, 4]) {pads = [-1, 0, 0, 1]}
    pad(T[3, 4]) {pads = [1, 2, 1, 2], mode = "reflect"}
    pad(T[3, 4]) {pads = [1, 2, 1, 2], mode = "edge"}
    pad(T[3, 4]) {pads = [1, 2, 1, 2], mode = "wrap"}
    trilu(T[4, 5])
    trilu(T[2, 4, 4]) {upper = false, k = -1}
    depth_to_space(T[1, 8, 2, 3]) {block = 2}
    depth_to_space(T[1, 8, 2, 3]) {block = 2, mode = "CRD"}
    space_to_depth(T[1, 2, 4, 6]) {block = 2}
    shape_of(T[3, 4])
    resize(T[1, 2, 3, 4]) {sizes = [1, 2, 6, 8]}
    resize(T[1, 2, 4, 6]) {sizes = [1, 2, 3, 2], coordinates = "asymmetric", nearest = "floor"}
"""

_INDICES = """
    gather(T[5, 4], const i64[3] = [0, 4, -1])
    gather(T[3, 5], i64[2, 2] in -5..4) {axis = 1}
    gather(T[5, 4], i32[] = 2)
    gather_elements(T[4, 5], i64[2, 5] in -4..3) {axis = 0}
    gather_nd(T[4, 5], i64[3, 2] in 0..3)
    gather_nd(T[2, 4, 5], i64[2, 1] in -4..3) {batch_dims = 1}
    scatter_elements(T[5, 3], const i64[2, 3] = [[0, 1, 2], [3, 4, 0]], T[2, 3])
    scatter_elements(T[4], const i64[3] = [1, 1, 3], T[3]) {reduction = "add"}
    scatter_nd(T[5, 2], const i64[2, 1] = [[0], [3]], T[2, 2])
    scatter_nd(T[5], const i64[2, 1] = [[4], [1]], T[2]) {reduction = "max"}
    one_hot(i64[3] in -4..3, const T[2] = [0, 1]) {depth = 4, axis = 1}
    reverse_sequence(T[4, 3], const i64[3] = [1, 4, 2])
    compress(T[4, 3], bool[4]) {axis = 0} -> T[m, 3]
"""

_ORDERS = """
    top_k(T[3, 7]) {k = 3, axis = 1}
    top_k(T[6, 2]) {k = 2, axis = 0, largest = false}
    arg_max(T[3, 7]) {axis = 1}
    arg_max(T[3, 7]) {axis = 0, keep_dims = false, last = true}
    arg_min(T[3, 7]) {axis = 1}
    cumsum(T[3, 5]) {axis = 1}
    cumsum(T[3, 5]) {axis = 0, exclusive = true, reverse = true}
    range(T[] = 1, T[] = 9, T[] = 2) -> T[m]
    nonzero(T[3, 4]) -> i64[2, m]
"""

_RESAMPLING = """
    resize(T[1, 2, 3, 4]) {sizes = [1, 2, 6, 8], mode = "linear"}
    resize(T[1, 2, 6, 8]) {sizes = [1, 2, 3, 5], mode = "linear", antialias = true}
    resize(T[1, 1, 4, 4]) {sizes = [1, 1, 7, 6], mode = "linear", coordinates = "align_corners"}
    resize(T[1, 1, 4, 4]) {sizes = [1, 1, 6, 6], mode = "cubic", exclude_outside = true}
"""

MOVING: list[Case] = [
    *table("f32 u8", _SHAPES),
    *table("f32 i64", _INDICES),
    *table("bool", "reshape(T[3, 4]) {shape = [12]}\ntranspose(T[3, 4]) {permutation = [1, 0]}"),
    *table("f32 i32", _ORDERS),
    *table("f32 f16", _RESAMPLING),
]
"""Ops that move, select or resample elements."""
