"""Cases of layers: windows, products, normalizations, reductions."""

from __future__ import annotations

from gie_core.testing.cases.case import Case, table

__all__ = ["LAYERS"]

_CONVOLUTIONS = """
    conv(T[1, 3, 8, 8], const T[4, 3, 3, 3])
    conv(T[2, 3, 9, 7], const T[5, 3, 3, 3], const T[5]) {pads = [1, 1, 1, 1]}
    conv(T[2, 4, 6, 6], const T[8, 4, 1, 1])
    conv(T[2, 4, 6, 6], const T[3, 4, 1, 1], const T[3]) {strides = [2, 2]}
    conv(T[1, 3, 9, 9], const T[4, 3, 3, 3]) {strides = [2, 2], pads = [1, 1, 1, 1]}
    conv(T[1, 3, 9, 10], const T[4, 3, 3, 3]) {pads = [0, 1, 2, 0]}
    conv(T[1, 2, 9, 9], const T[3, 2, 3, 3]) {dilations = [2, 3]}
    conv(T[1, 3, 12, 12], const T[4, 3, 7, 7]) {strides = [2, 2], pads = [3, 3, 3, 3]}
    conv(T[1, 3, 7, 8], const T[2, 3, 5, 1])
    conv(T[1, 3, 5, 5], const T[4, 3, 5, 5])
    conv(T[1, 1, 1, 1], const T[1, 1, 1, 1])
    conv(T[1, 3, 2, 2], const T[4, 3, 3, 3]) {pads = [2, 2, 2, 2]}
    conv(T[2, 4, 6, 6], const T[6, 2, 3, 3]) {groups = 2, pads = [1, 1, 1, 1]}
    conv(T[2, 4, 7, 7], const T[4, 1, 3, 3]) {groups = 4, strides = [2, 2]}
    conv(T[2, 3, 7, 7], const T[6, 1, 3, 3]) {groups = 3}
    conv(T[1, 16, 17, 19], const T[16, 16, 3, 3]) {pads = [1, 1, 1, 1]}
    conv(T[2, 3, 9], const T[4, 3, 3]) {strides = [2]}
    conv(T[1, 2, 4, 5, 6], const T[3, 2, 2, 3, 3]) {pads = [0, 1, 1, 0, 1, 1]}
    conv(T[1, 3, 5, 5], T[4, 3, 3, 3])
    conv(T[1, 3, 5, 5], T[4, 3, 3, 3], T[4])
    conv(const T[1, 3, 5, 5], T[4, 3, 3, 3])
    conv(T[0, 3, 5, 5], const T[4, 3, 3, 3])
    conv_transpose(T[1, 3, 5, 5], const T[3, 4, 3, 3])
    conv_transpose(T[2, 4, 4, 5], const T[4, 3, 2, 2], const T[3]) {strides = [2, 2]}
    conv_transpose(T[1, 4, 4, 4], const T[4, 2, 3, 3]) {groups = 2, pads = [1, 1, 1, 1]}
    conv_transpose(T[1, 2, 5], const T[2, 3, 3]) {strides = [3], output_pads = [1]}
"""

_INTEGER_PRODUCTS = """
    conv_integer(T[1, 3, 6, 6], const i8[4, 3, 3, 3], const T[] = 3) {pads = [1, 1, 1, 1]}
    conv_integer(T[1, 3, 6, 6], const u8[4, 3, 3, 3], _, const u8[4])
    matmul_integer(T[5, 7], const i8[7, 3], const T[] = 2, const i8[3])
    matmul_integer(T[2, 5, 7], u8[2, 7, 3])
"""

_POOLS = """
    max_pool(T[1, 3, 6, 6]) {kernel = [2, 2], strides = [2, 2]}
    max_pool(T[2, 3, 7, 8]) {kernel = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]}
    max_pool(T[1, 2, 6, 6]) {kernel = [3, 2]}
    max_pool(T[1, 2, 7, 7]) {kernel = [3, 3], strides = [2, 2], ceil_mode = true}
    max_pool(T[1, 2, 9, 9]) {kernel = [3, 3], dilations = [2, 2]}
    max_pool(T[1, 2, 9]) {kernel = [3], pads = [0, 2]}
    max_pool(T[1, 2, 4, 5, 6]) {kernel = [2, 2, 2]}
    average_pool(T[1, 3, 6, 6]) {kernel = [2, 2], strides = [2, 2]}
    average_pool(T[1, 3, 7, 7]) {kernel = [7, 7]}
    average_pool(T[2, 3, 7, 8]) {kernel = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]}
    average_pool(T[1, 2, 6, 6]) {kernel = [3, 3], pads = [1, 0, 1, 0], count_include_pad = true}
    average_pool(T[1, 2, 7, 7]) {kernel = [3, 3], strides = [2, 2], ceil_mode = true}
    average_pool(T[1, 2, 9]) {kernel = [4]}
    lp_pool(T[1, 2, 6, 6]) {kernel = [3, 3], p = 2}
    lp_pool(T[1, 2, 6, 6]) {kernel = [2, 2], strides = [2, 2], p = 1}
    max_pool_with_indices(T[1, 2, 6, 6]) {kernel = [2, 2], strides = [2, 2]}
    max_pool_with_indices(T[1, 2, 5, 6]) {kernel = [3, 3], pads = [1, 1, 1, 1], storage_order = 1}
"""

_PRODUCTS = """
    gemm(T[3, 4], const T[4, 5])
    gemm(T[3, 4], const T[4, 5], const T[5])
    gemm(T[3, 4], const T[5, 4], const T[5]) {transpose_b = true}
    gemm(T[4, 3], T[4, 5], T[3, 5]) {transpose_a = true, alpha = 0.5, beta = 2.0}
    gemm(T[4, 3], T[5, 4], T[3, 1]) {transpose_a = true, transpose_b = true}
    gemm(T[1, 300], const T[300, 70], const T[]) {beta = 0.5}
    gemm(T[0, 4], const T[4, 5])
    matmul(T[3, 4], const T[4, 5])
    matmul(T[3, 4], T[4, 5])
    matmul(T[2, 3, 4], const T[4, 5])
    matmul(T[2, 3, 4], T[2, 4, 5])
    matmul(T[2, 1, 3, 4], T[5, 4, 2])
    matmul(T[4], T[4, 5])
    matmul(T[3, 4], T[4])
    matmul(T[4], T[4])
    matmul(T[33, 65], const T[65, 17])
    einsum(T[3, 4], T[4, 5]) {equation = "ij,jk->ik"}
    einsum(T[2, 3, 4], T[2, 5, 4]) {equation = "bij,bkj->bik"}
    einsum(T[3, 3]) {equation = "ii->i"}
    einsum(T[3, 4]) {equation = "...j->j..."}
"""

_NORMALIZATIONS = """
    batch_norm(T[2, 3, 4, 5], const T[3], const T[3], const T[3], const T[3] in 0.5..2)
    batch_norm(T[4, 3], T[3], T[3], T[3], T[3] in 0.5..2) {epsilon = 0.01}
    instance_norm(T[2, 3, 4, 5], const T[3], const T[3])
    layer_norm(T[2, 3, 8], const T[8], const T[8]) {axis = 2}
    layer_norm(T[2, 3, 4], const T[3, 4]) {axis = 1}
    group_norm(T[2, 6, 4, 4], const T[6], const T[6]) {groups = 3}
    rms_norm(T[2, 3, 8], const T[8]) {axis = 2}
    lrn(T[2, 7, 3, 3]) {size = 5, alpha = 0.1}
    lrn(T[1, 3, 4, 4]) {size = 4}
    softmax(T[3, 7]) {axis = 1}
    softmax(T[3, 7, 2]) {axis = 0}
    softmax(T[2, 5, 3, 3]) {axis = 1}
    softmax(T[3, 1]) {axis = 1}
    log_softmax(T[3, 7]) {axis = 1}
    lp_normalize(T[3, 7]) {axis = 1, p = 2}
    lp_normalize(T[3, 7]) {axis = 0, p = 1}
"""

_REDUCTIONS = """
    reduce_sum(T[3, 4, 5]) {axes = [1]}
    reduce_sum(T[3, 4, 5]) {axes = [0, 2], keep_dims = false}
    reduce_sum(T[3, 4, 5])
    reduce_sum(T[3, 0]) {axes = [1]}
    reduce_mean(T[2, 3, 4, 4]) {axes = [2, 3]}
    reduce_max(T[3, 4, 5]) {axes = [2], keep_dims = false}
    reduce_min(T[3, 4, 5]) {axes = [0]}
    reduce_prod(T[3, 4]) {axes = [1]}
    reduce_l1(T[3, 4]) {axes = [1]}
    reduce_sum_square(T[3, 4]) {axes = [1]}
"""

_REAL_REDUCTIONS = """
    reduce_l2(T[3, 4]) {axes = [1]}
    reduce_log_sum(T[3, 4] in 0.5..2) {axes = [1]}
    reduce_log_sum_exp(T[3, 4]) {axes = [0]}
"""

LAYERS: list[Case] = [
    *table("f32 f64", _CONVOLUTIONS),
    *table("i8 u8", _INTEGER_PRODUCTS),
    *table("f32 f16", _POOLS),
    *table("f32 f64 f16", _PRODUCTS),
    *table("i32", "matmul(T[3, 4], T[4, 5])"),
    *table("f32 f64", _NORMALIZATIONS),
    *table("f32 f16 i32", _REDUCTIONS),
    *table("f32 f64", _REAL_REDUCTIONS),
]
"""Convolutions, pools, matrix products, normalizations and reductions."""
