"""Tells GIE which passes there are."""

from __future__ import annotations

from gie_core.plugin import PassDeclaration, hookimpl

PASSES = (
    ("fold-constants", "FoldConstants", "compute what depends on constants only"),
    ("remove-identity", "RemoveIdentity", "remove nodes that return their operand"),
    ("dead-code", "DeadCode", "remove what nobody reads"),
    ("common-subexpressions", "CommonSubexpressions", "compute the same thing once"),
    ("merge-chains", "MergeChains", "two reshapes or casts in a row become one"),
    ("fold-batch-norm", "FoldBatchNorm", "batch norms into the weights before them"),
    ("fold-affine", "FoldAffine", "constant factors and shifts into the weights before them"),
    ("merge-affine", "MergeAffine", "constant factors and shifts in a row become one of each"),
    ("fold-pad", "FoldPad", "pads into the convolution or pool after them"),
    ("sink-reshape", "SinkReshape", "elementwise nodes before reshapes"),
    ("sink-transpose", "SinkTranspose", "transposes toward the outputs, until they cancel"),
    ("transpose-to-reshape", "TransposeToReshape", "transposes that move nothing"),
    ("fuse-pointwise", "FusePointwise", "chains of elementwise nodes into one"),
    ("fuse-epilogue", "FuseEpilogue", "group pointwise nodes with what they follow"),
    ("fuse-prologue", "FusePrologue", "group pointwise nodes with what they precede"),
)


@hookimpl
def gie_passes() -> list[PassDeclaration]:
    """All passes of this plugin; each is in the module of its name."""
    return [
        PassDeclaration(
            name=name, factory=f"{__package__}.{name.replace('-', '_')}:{cls}", summary=summary
        )
        for name, cls, summary in PASSES
    ]
