"""What this package adds to GIE. Each module is imported when it is first needed."""

from __future__ import annotations

from gie_core.plugin import (
    CommandDeclaration,
    KernelProviderDeclaration,
    OpsDeclaration,
    PassDeclaration,
    hookimpl,
)


@hookimpl
def gie_ops() -> list[OpsDeclaration]:
    """Declare the op."""
    return [OpsDeclaration(name="acme", factory="gie_acme_swish.op:OPS")]


@hookimpl
def gie_passes() -> list[PassDeclaration]:
    """Declare the pass."""
    factory = "gie_acme_swish.recognize_swish:RecognizeSwish"
    return [PassDeclaration(name="acme-recognize-swish", factory=factory)]


@hookimpl
def gie_kernel_providers() -> list[KernelProviderDeclaration]:
    """Declare the kernel."""
    factory = "gie_acme_swish.kernels:SwishKernels"
    return [KernelProviderDeclaration(name="acme-swish", factory=factory)]


@hookimpl
def gie_cli() -> list[CommandDeclaration]:
    """Declare the command."""
    factory = "gie_acme_swish.command:count_swish"
    summary = "Count the swish activations of a network."
    return [CommandDeclaration(name="acme-swish", factory=factory, summary=summary)]
