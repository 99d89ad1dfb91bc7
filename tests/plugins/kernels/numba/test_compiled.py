"""Kernels from text to answers, and what their processes import."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from gie_core.ir.types import Array
from gie_kernels_numba import compiled as module
from gie_kernels_numba.codegen import compile_object
from gie_kernels_numba.compiled import compiled
from gie_kernels_numba.library import LIBRARY
from gie_kernels_numba.machine import emit_object

FILL = (
    "def kernel(g, begin, end, y):\n    for c in range(begin, end):\n        y[c] = float32(7.0)\n"
)

# Everything that kernels are made of: the library, roundings, roots, divisions that may be by zero.
RICH = "".join(LIBRARY.values()) + (
    """
def kernel(g, begin, end, a0, y):
    for c in range(uint64(begin), uint64(end)):
        r = rint(a0[c]) + floor(a0[c]) + ceil(a0[c]) + trunc(a0[c])
        m = minimum(maximum(tanh(exp(a0[c])), sign(r)), sqrt(abs(a0[c])))
        y[c] = multiply_add(m, float32(c // g[0] + c % g[0]), a0[c] / r)
    for c in range(begin, min(begin, end)):
        y[c] = float32(0.0)
"""
)

RUN = f"""
import sys
import numpy as np
from gie_kernels_numba.compiled import compiled
def run(source, *arrays):
    compiled(source, np.array([3]), arrays)(0, arrays[-1].size)()
    return arrays[-1]
print(run({FILL!r}, np.zeros(3, np.float32)).tolist())
rich = run({RICH!r}, np.linspace(-9, 9, 99, dtype=np.float32), np.zeros(99, np.float32))
print(rich.tobytes().hex())
print([name for name in ("numba", "scipy") if name in sys.modules])
"""

ASK = """
import sys
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_kernels_numba.provider import NumbaProvider
text = "graph main { input %x: f32[64, 64] %y = relu(%x) return %y }"
(node,) = parse_graph(text, core_ops()).nodes
assert NumbaProvider().supports(node, HOST).ok
print(len(NumbaProvider().candidates(node, HOST)))
print([name for name in ("llvmlite", "numba", "scipy") if name in sys.modules])
"""


def start(script: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    output, errors = process.communicate(timeout=120)
    assert not process.returncode, errors
    return output.splitlines()


def test_candidates_are_made_without_numba() -> None:
    assert finish(start(ASK)) == ["1", "[]"]


def test_a_second_process_needs_no_numba_and_finds_the_same(tmp_path: Path) -> None:
    *first, imported = finish(start(RUN, XDG_CACHE_HOME=str(tmp_path)))
    assert "numba" in imported
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "gie" / "numba").iterdir()}
    assert finish(start(RUN, XDG_CACHE_HOME=str(tmp_path))) == [*first, "[]"]
    assert first[0] == "[7.0, 7.0, 7.0]"
    assert files == {file: file.stat().st_mtime_ns for file in files}

    damaged = min(files)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    *again, imported = finish(start(RUN, XDG_CACHE_HOME=str(tmp_path)))
    assert again == first
    assert "numba" in imported
    assert finish(start(RUN, XDG_CACHE_HOME=str(tmp_path))) == [*first, "[]"]


def test_processes_that_compile_the_same_at_once(tmp_path: Path) -> None:
    processes = [start(RUN, XDG_CACHE_HOME=str(tmp_path)) for _ in range(3)]
    assert len({tuple(finish(process)[:2]) for process in processes}) == 1
    names = [file.suffix for file in (tmp_path / "gie" / "numba").iterdir()]
    assert names == [".code", ".code"]
    assert finish(start(RUN, XDG_CACHE_HOME=str(tmp_path)))[-1] == "[]"


def test_without_a_cache_kernels_live_in_memory(tmp_path: Path) -> None:
    (tmp_path / "gie").write_text("not a folder")
    assert finish(start(RUN, XDG_CACHE_HOME=str(tmp_path)))[0] == "[7.0, 7.0, 7.0]"


@pytest.mark.parametrize("source", [FILL, RICH], ids=["fill", "rich"])
def test_machine_code_needs_nothing_of_numba_or_python(source: str) -> None:
    code = compile_object(source, source.count("a0, y"), "gie_name")
    names = [name.decode() for name in re.findall(rb"\0_?(\w+)(?=\0)", code)]
    assert "gie_name" in names
    assert not [name for name in names if re.match("NRT_|numba_|Py", name)]


@pytest.mark.parametrize(
    "missing", ["declare void @numba_gil_ensure()", "@PyExc_SystemError = external global i8"]
)
def test_code_that_needs_more_is_not_emitted(missing: str) -> None:
    name = missing.split("@")[1].split("(")[0].split()[0]
    use = f"call void @{name}()" if "declare" in missing else f"store volatile i8 0, ptr @{name}"
    text = f"{missing}\ndefine void @f() {{\n{use}\nret void\n}}\n"
    with pytest.raises(RuntimeError, match=f"needs {name},"):
        emit_object(text, "f", "g")


def test_the_key_is_of_all_that_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(source: str = FILL, operands: int = 0) -> str:
        return module._key(source, operands)  # pyright: ignore[reportPrivateUsage] # the subject

    keys = [key(), key(FILL + "\n"), key(operands=1)]
    for changed in ("numba", "llvmlite"):
        with monkeypatch.context() as patch:
            patch.setattr(module, "version", lambda name, at=changed: str(name == at))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] # a stub
            keys.append(key())
    with monkeypatch.context() as patch:
        patch.setattr(module, "FORMAT", module.FORMAT + 1)
        keys.append(key())
    with monkeypatch.context() as patch:
        patch.setattr("gie_kernels_numba.machine.describe_host", lambda: "another processor")
        keys.append(key())
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


def test_a_kernel_is_called_from_several_threads() -> None:
    outs = [np.zeros(1000, np.float32) for _ in range(4)]

    def work(out: Array, number: int) -> None:
        x = np.full(1000, number, np.float32)
        source = FILL.replace("float32(7.0)", "a0[c] + y[c]").replace("end, y", "end, a0, y")
        part = compiled(source, np.zeros(1, np.int64), [x, out])
        launches = [part(0, 500), part(500, 1000)]
        for _ in range(300):
            for launch in launches:
                launch()

    workers = [threading.Thread(target=work, args=(out, n)) for n, out in enumerate(outs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [set(out.tolist()) for out in outs] == [{300.0 * n} for n in range(4)]


def test_launches_keep_their_memory() -> None:
    y = np.zeros(100, np.float32)
    gone = weakref.ref(y)
    launch = compiled(FILL, np.zeros(1, np.int64), [y])(0, 100)
    del y
    gc.collect()
    launch()
    kept = gone()
    assert kept is not None
    assert set(kept.tolist()) == {7.0}
    del kept, launch
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "y",
    [np.zeros(3), np.zeros((3, 1), np.float32), np.zeros(6, np.float32)[::2]],
    ids=["f64", "two axes", "gaps"],
)
def test_memory_of_another_kind_is_refused(y: Array) -> None:
    with pytest.raises(TypeError, match=r"float32 \[n\] without gaps"):
        compiled(FILL, np.zeros(1, np.int64), [y])
