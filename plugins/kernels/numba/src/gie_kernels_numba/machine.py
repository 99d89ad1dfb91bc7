"""Machine code for this host by LLVM: made from Numba's intermediate code, and loaded.

Loading needs LLVM's binding alone, which is imported in a tenth of the time that Numba takes.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from typing import Any

import llvmlite.binding as _binding

__all__ = ["describe_host", "emit_object", "load_object"]

llvm: Any = _binding  # it has no types

C_LIBRARY = frozenset(
    {"ceilf", "floorf", "memcpy", "memmove", "memset", "rintf", "sqrtf", "truncf"}
)
"""What code may call besides LLVM's intrinsics: every process has it."""


@cache
def describe_host() -> str:
    """What machine code depends on besides what it is made from."""
    features = llvm.get_host_cpu_features().flatten()
    version = ".".join(map(str, llvm.llvm_version_info))
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features} LLVM {version}"


def emit_object(text: str, function: str, name: str) -> bytes:
    """An object file that shows one function and needs nobody's runtime.

    Args:
        text: intermediate code, optimized.
        function: the one to show.
        name: its name in the object file.

    Raises:
        RuntimeError: the code needs something that not every process has.
    """
    module = llvm.parse_assembly(text)
    module.get_function(function).name = name
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name != name:
            each.linkage = "internal"
    _remove_unreached(module)
    foreign = _foreign(module)
    if foreign:
        raise RuntimeError(f"a compiled kernel needs {', '.join(foreign)}, which may not be there")
    return _machine().emit_object(module)


def load_object(code: bytes, name: str) -> int:
    """The address of the function in an object file; it stays there until the process ends.

    No two object files may show the same name. One thread at a time.
    """
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(name)
    if not address:
        raise RuntimeError(f"LLVM found no {name} in the object file that it was given")
    return address


def _remove_unreached(module: Any) -> None:
    """Remove what is never reached; loops stay as Numba has made them.

    Numba's function returns a status, and what calls it from C prints a Python error if there is
    one. Once the function is internal, LLVM sees that the status is always the same.
    """
    options = llvm.create_pipeline_tuning_options()
    passes = llvm.create_new_module_pass_manager()
    passes.add_ipsccp_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(_machine(), options))


def _foreign(module: Any) -> list[str]:
    """What the code takes from elsewhere, but for LLVM and the C library."""
    values = (*module.functions, *module.global_variables)
    names = (value.name for value in values if value.is_declaration)
    return [name for name in names if not name.startswith("llvm.") and name not in C_LIBRARY]


@cache
def _machine() -> Any:
    """How code is made for this host: anywhere in memory, with all that its processor can."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    if sys.platform == "win32":
        triple += "-elf"  # LLVM's loader wants it there
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


@cache
def _engine() -> Any:
    """What loads object files and finds the functions of the C library for them."""
    if sys.platform == "linux":
        with suppress(RuntimeError):  # another C library has them in the file that all load
            llvm.load_library_permanently("libm.so.6")
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
