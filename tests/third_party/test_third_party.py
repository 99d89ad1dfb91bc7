"""A plugin that someone else wrote, installed from its wheel beside ours, and a broken one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SWISH, BROKEN = "gie-acme-swish", "gie-acme-broken"

BUILD = """
import json, sys
import numpy as np
import gie_core

engine = gie_core.build(sys.argv[1])
y = engine(np.load(sys.argv[2]))
np.save(sys.argv[3], y)
report = engine.report
print(json.dumps({"hits": report.hits(), "kernels": [[c.op, c.provider] for c in report.choices]}))
"""


def uv(*arguments: str | Path) -> None:
    program = shutil.which("uv")
    if program is None:
        pytest.skip("needs uv, which builds and installs the wheels")
    run = subprocess.run([program, *arguments, "--quiet"], cwd=HERE, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@dataclass(frozen=True)
class Environment:
    """A virtual environment with GIE, and wheels that can be put into it."""

    folder: Path
    wheels: Path

    def install(self, *names: str) -> None:
        uv("pip", "install", "--python", self.folder, "--find-links", self.wheels, *names)

    def uninstall(self, *names: str) -> None:
        uv("pip", "uninstall", "--python", self.folder, *names)

    def run(self, program: str, *arguments: str | Path) -> str:
        command = [self.folder / "bin" / program, *arguments]
        run = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def run_tests(self, package: Path) -> None:
        """The package's own tests, with nothing of ours around them."""
        own = ["-c", package / "pyproject.toml", "--confcutdir", package, package / "tests"]
        self.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *own)

    def plugins(self) -> dict[str, dict[str, Any]]:
        listed = json.loads(self.run("gie", "plugins", "--json"))
        return {plugin["name"]: plugin for plugin in listed}

    def files(self) -> set[Path]:
        return {p for p in self.folder.rglob("*") if "__pycache__" not in p.parts}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """GIE with all of its plugins, as tox built them or built here."""
    base = tmp_path_factory.mktemp("third_party")
    wheels = base / "wheels"
    if built := os.environ.get("GIE_TESTED_WHEELS"):
        shutil.copytree(built, wheels)
    else:
        uv("build", "--wheel", "--all-packages", "--out-dir", wheels, ROOT)
    for package in ("gie_acme_swish", "gie_acme_broken"):
        uv("build", "--wheel", "--out-dir", wheels, HERE / package)
    environment = Environment(base / "venv", wheels)
    uv("venv", "--python", sys.executable, environment.folder)
    environment.install("gie-core[all]", "pytest>=8.4,<10")
    return environment


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two swishes, spelled out as exporters do."""
    graph = helper.make_graph(
        [
            helper.make_node("Sigmoid", ["x"], ["a"]),
            helper.make_node("Mul", ["x", "a"], ["b"]),
            helper.make_node("Sigmoid", ["b"], ["c"]),
            helper.make_node("Mul", ["c", "b"], ["y"]),
        ],
        "swish",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
    )
    path = tmp_path_factory.mktemp("model") / "swish.onnx"
    opset = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    path.write_bytes(proto.SerializeToString())
    return path


def check_build(environment: Environment, model: Path) -> dict[str, Any]:
    """Build and run the model; check its output; return what the build reports."""
    x = np.random.default_rng(1).standard_normal((7, 5)).astype(np.float32) * 4
    before, after = model.with_name("x.npy"), model.with_name("y.npy")
    np.save(before, x)
    report = json.loads(environment.run("python", "-c", BUILD, model, before, after))
    expected = x.astype(np.float64)
    for _ in range(2):
        expected = expected / (1 + np.exp(-expected))
    np.testing.assert_allclose(np.load(after), expected, rtol=1e-5, atol=1e-6)
    return report


def test_life_of_a_plugin(environment: Environment, model: Path) -> None:
    files, plugins = environment.files(), environment.plugins()
    without = check_build(environment, model)
    assert "acme-recognize-swish" not in without["hits"]

    environment.install(SWISH)
    plugin = environment.plugins()[SWISH]
    assert (plugin["status"], plugin["version"]) == ("active", "1.2.0")
    report = check_build(environment, model)
    assert report["hits"]["acme-recognize-swish"] == 2
    assert report["kernels"] == [["acme.swish", "acme-swish"]] * 2
    assert environment.run("gie", "acme-swish", model) == "2 swish\n"
    environment.run_tests(HERE / "gie_acme_swish")

    environment.install(BROKEN)
    listed = environment.plugins()
    assert listed[BROKEN]["status"] == "failed"
    assert "libacme.so.7" in listed[BROKEN]["error"]
    assert {name for name in listed if listed[name]["status"] == "active"} == {*plugins, SWISH}
    assert check_build(environment, model) == report

    environment.uninstall(SWISH, BROKEN)
    assert environment.plugins() == plugins
    assert check_build(environment, model) == without
    assert environment.files() == files
