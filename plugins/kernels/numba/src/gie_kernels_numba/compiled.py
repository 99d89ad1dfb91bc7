"""From the text of a kernel to a function, whose machine code is kept on disk.

Numba is imported only to compile what nobody has compiled before: it takes a second, and brings
SciPy.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, c_int64, c_void_p
from functools import cache, partial
from importlib import metadata

import numpy as np

from gie_core.ir.types import Array
from gie_core.kernels.provider import Launch
from gie_kernels_numba.cache import read_code, write_code

__all__ = ["Part", "compiled"]

Part = Callable[[int, int], Launch]
"""What computes the pieces of work from one number to, but without, another."""

FORMAT = 1
"""Counts up when a text becomes other machine code than before, or is called in another way."""

version = cache(metadata.version)  # which reads files

_Function = Callable[..., None]
_functions: dict[str, _Function] = {}
_one_at_a_time = threading.Lock()


def compiled(source: str, numbers: Array, arrays: Sequence[Array]) -> Part:
    """A kernel in the memory that it works on.

    Args:
        source: defines ``kernel(g, begin, end, a0, a1, …, y)`` and, before that, the functions of
            ``LIBRARY`` that it calls. See ``kernel_source``.
        numbers: ``g``, i64 [n].
        arrays: the operands and ``y``, each f32 [n] without gaps. They live as long as the
            launches; the kernel trusts its numbers to stay inside of them.

    Returns:
        Makes launches, which release the GIL.
    """
    function = _function(source, len(arrays) - 1)
    g, *pointers = _pointer(numbers, np.int64), *(_pointer(a, np.float32) for a in arrays)
    return lambda begin, end: partial(function, g, c_int64(begin), c_int64(end), *pointers)


def _pointer(array: Array, dtype: type[np.generic]) -> c_void_p:
    """The address of an array, which keeps the array alive."""
    if array.dtype != dtype or array.ndim != 1 or not array.flags.c_contiguous:
        found = f"{array.dtype} {list(array.shape)} with strides {list(array.strides)}"
        raise TypeError(f"a kernel takes {dtype.__name__} [n] without gaps, not {found}")
    return array.ctypes.data_as(c_void_p)


def _function(source: str, operands: int) -> _Function:
    """The kernel, loaded once in a process."""
    key = _key(source, operands)
    with _one_at_a_time:
        if key not in _functions:
            _functions[key] = _load(key, source, operands)
        return _functions[key]


def _load(key: str, source: str, operands: int) -> _Function:
    from gie_kernels_numba.machine import load_object

    code = read_code(key)
    if code is None:
        from gie_kernels_numba.codegen import compile_object

        code = compile_object(source, operands, _name(key))
        write_code(key, code)
    # Arguments are ctypes' own objects, which it takes as they are where no types are declared.
    return CFUNCTYPE(None)(load_object(code, _name(key)))


def _name(key: str) -> str:
    """The function's name in its object file: one loader has them all."""
    return f"gie_{key}"


def _key(source: str, operands: int) -> str:
    """A name for all that machine code depends on."""
    from gie_kernels_numba.machine import describe_host

    parts = (FORMAT, version("numba"), version("llvmlite"), describe_host(), operands, source)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
