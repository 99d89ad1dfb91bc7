"""Group a pointwise node with the one node that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass, Phase
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.group import Group
from gie_passes_fusion.groups import HEAVY, make_group
from gie_passes_fusion.programs import is_pointwise


@dataclass(frozen=True)
class FusePrologue(PatternPass):
    """conv(f(x), w) → group {f, conv}: f may run while the operand is loaded.

    An epilogue's group grows by the prologue. What no epilogue took comes here: the group is an
    offer, and whether to run f once more per reuse of an element is the kernel's choice.
    """

    name = "fuse-prologue"
    phase = Phase.GROUP
    roots = (*HEAVY, Group)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        refusal: Refusal | None = None
        for value in dict.fromkeys(node.operands):
            if value is None or value.node is None or not is_pointwise(value.node):
                continue
            reason = _obstacle(value, node)
            if reason:
                refusal = Refusal(reason)
                continue
            outcome = make_group(_kind(node), [value.node, node], rewriter)
            if not isinstance(outcome, Refusal):
                return outcome
            refusal = outcome
        return refusal


def _kind(node: Node) -> str:
    has_epilogue = isinstance(node.op, Group) and "epilogue" in node.op.kind
    return "prologue+epilogue" if has_epilogue else "prologue"


def _obstacle(value: Value, node: Node) -> str:
    assert value.node is not None
    if len(value.node.results) > 1:
        return f"%{value.name} is one of several results"
    if value.users != (node,) or node.graph.is_output(value):
        return f"%{value.name} is read elsewhere too"
    if isinstance(node.op, Group) and not _feeds_heavy(value, node, node.op):
        return f"%{value.name} is read in the epilogue"
    return ""


def _feeds_heavy(value: Value, node: Node, group: Group) -> bool:
    pairs = zip(group.body.inputs, node.operands, strict=True)
    inner = next(inside for inside, operand in pairs if operand is value)
    return all(isinstance(user.op, HEAVY) for user in inner.users)
