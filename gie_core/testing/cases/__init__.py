"""The built-in cases for kernel providers: all ops of the core, and corners of their geometry."""

from __future__ import annotations

from gie_core.testing.cases.case import Case, table
from gie_core.testing.cases.elementwise import ELEMENTWISE, GROUPS
from gie_core.testing.cases.layers import LAYERS
from gie_core.testing.cases.moving import MOVING

__all__ = ["CASES", "Case", "table"]

CASES: tuple[Case, ...] = (*LAYERS, *ELEMENTWISE, *GROUPS, *MOVING)
