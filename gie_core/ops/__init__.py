"""The ops of GIE's core, one file per family."""

from __future__ import annotations

from functools import cache

from gie_core.ir.op import OpRegistry, ops_of

__all__ = ["FAMILIES", "core_ops", "ops_of"]

FAMILIES = {
    "activation": """celu elu gelu hard_sigmoid hard_swish leaky_relu mish prelu relu selu shrink
        sigmoid silu softplus softsign tanh thresholded_relu""",
    "arithmetic": """abs acos acosh add and asin asinh atan atanh bitwise_and bitwise_not bitwise_or
        bitwise_xor cast ceil clip cos cosh div equal erf exp floor greater greater_equal is_inf
        is_nan less less_equal log max min mod mul neg not or pow reciprocal round shift_left
        shift_right sign sin sinh sqrt sub tan where xor""",
    "control": "if loop",
    "conv": "conv conv_integer conv_transpose",
    "foreign": "foreign",
    "group": "group",
    "identity": "dropout identity",
    "index": """arg_max arg_min compress cumsum gather gather_elements gather_nd nonzero one_hot
        reverse_sequence scatter_elements scatter_nd top_k""",
    "linear": "einsum gemm matmul matmul_integer",
    "norm": """batch_norm group_norm instance_norm layer_norm log_softmax lp_normalize lrn rms_norm
        softmax""",
    "pointwise": "pointwise",
    "pool": "average_pool lp_pool max_pool max_pool_with_indices",
    "quantize": "dequantize quantize",
    "reduce": """reduce_l1 reduce_l2 reduce_log_sum reduce_log_sum_exp reduce_max reduce_mean
        reduce_min reduce_prod reduce_sum reduce_sum_square""",
    "resize": "resize",
    "shape": """concat depth_to_space expand pad range reshape shape_of slice space_to_depth split
        tile transpose trilu""",
}
"""Modules of this package, and the ops that each defines."""


@cache
def core_ops() -> OpRegistry:
    """All ops that need no plugin, by name. A family is imported when one of its ops is asked
    for: an engine has few of them, and all together take longer to import than NumPy.
    """
    homes = {op: f"{__name__}.{family}" for family, ops in FAMILIES.items() for op in ops.split()}
    return OpRegistry(homes=homes)
