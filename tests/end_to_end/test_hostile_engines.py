"""Engine files that anybody may have sent: `gie run` answers, or says in one sentence why not."""

from __future__ import annotations

import copy
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gie_core
from gie_core.engine.container import Container, EngineFileError, read_container, write_container
from gie_core.engine.file import save_package
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.testing.command_line import call_gie
from gie_core.testing.damage import damaged, edit

TEXT = """graph net {
  input %x: f32[1, 4, 8, 8]
  input %s: f32[4]
  const %w1: f32[8, 4, 3, 3] = blob "w1"
  const %w2: f32[8, 8, 1, 1] = blob "w2"
  const %w3: f32[3, 16] = blob "w3"
  %a = conv(%x, %w1) {pads = [1, 1, 1, 1]}
  %b = relu(%a)
  %c = conv(%b, %w2)
  %d = relu(%c)
  %e = max_pool(%b) {kernel = [3, 3], strides = [1, 1], pads = [1, 1, 1, 1]}
  %f = concat(%d, %e) {axis = 1}
  %g = average_pool(%f) {kernel = [8, 8]}
  %h = reshape(%g) {shape = [1, 16]}
  %i = gemm(%h, %w3) {transpose_b = true}
  %p = softmax(%i) {axis = 1}
  %n: i64[2, m] = nonzero(%i)
  %t = add(%s, %s)
  state %s -> %t
  return %p, %n, %t
}"""
"""Groups, a concatenation in place, views, a state, and a result whose size is data."""

MUTATIONS, PARTS = 2000, 8
LONGEST = 30
"""Seconds; a file that takes longer hangs."""


def engine() -> gie_core.Engine:
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 4, 3, 3), "w2": (8, 8, 1, 1), "w3": (3, 16)}
    weights = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return gie_core.build(parse_graph(TEXT, core_ops(), weights))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Container]:
    """A good file: its bytes, and what is in it."""
    path = tmp_path_factory.mktemp("good") / "net.gie"
    engine().save(path)
    container = read_container(path)
    sections = [replace(s, data=np.array(s.data)) for s in container.sections]
    return path.read_bytes(), replace(container, sections=tuple(sections))


@pytest.fixture
def no_hanging() -> Iterator[None]:
    def stop(*_: object) -> None:
        pytest.fail(f"this takes more than {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def mutate(path: Path, whole: tuple[bytes, Container], rng: random.Random) -> None:
    """Damage by accident in some files; in most, numbers that were changed on purpose."""
    content, container = whole
    if rng.random() < 0.3:
        path.unlink(missing_ok=True)  # the last one may still be mapped
        path.write_bytes(damaged(content, rng))
        return
    body = copy.deepcopy(container.body)
    edit(body, rng)
    write_container(path, body, container.sections)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.usefixtures("no_hanging")
def test_mutated_files_run_or_are_refused(
    part: int, whole: tuple[bytes, Container], tmp_path: Path
) -> None:
    path, rng, refused = tmp_path / "a.gie", random.Random(part), 0
    for _ in range(MUTATIONS // PARTS):
        mutate(path, whole, rng)
        signal.alarm(LONGEST)
        called = call_gie("run", path, "--random-input")
        assert called.status in (0, 2), called.err
        assert (called.status == 2) == is_one_sentence(called.err), called.err
        refused += called.status == 2
    assert refused > MUTATIONS // PARTS // 2


def is_one_sentence(errors: str) -> bool:
    lines = [line for line in errors.splitlines() if line.startswith("gie: error: ")]
    return len(lines) == 1 and "Traceback" not in errors and len(lines[0]) < 1100


# ── Native code ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with native code that another user has written."""
    path = tmp_path / "strange.gie"
    code = np.frombuffer(b"\x7fELF, as if", np.uint8)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    save_package(replace(engine().package, native={"kernels.so": code}), path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    return path


@pytest.mark.parametrize("command", ["run --random-input", "bench", "compare"])
def test_native_code_from_elsewhere_does_not_run(strange: Path, command: str) -> None:
    name, *options = command.split()
    called = call_gie(name, strange, *options)
    assert called.status == 2
    assert "was not written here by this user" in called.err
    with pytest.raises(EngineFileError, match="trust=True if you know who wrote it"):
        gie_core.load(strange)


def test_native_code_runs_for_who_trusts_it_or_makes_it_anew(strange: Path) -> None:
    assert gie_core.load(strange, trust=True).package.native
    assert not gie_core.load(strange, rebuild=True).package.native
