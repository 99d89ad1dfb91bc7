"""What the distributions contain and declare, seen from where they are installed."""

from __future__ import annotations

import os
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import gie_core

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {
    "gie-core": ".",
    "gie-adapter-onnx": "adapters/onnx",
    "gie-importer-onnx": "plugins/importers/onnx",
    "gie-kernels-cpu": "plugins/kernels/cpu",
    "gie-kernels-numba": "plugins/kernels/numba",
    "gie-passes-fusion": "plugins/passes/fusion",
}
PLUGINS = [name for name in DISTRIBUTIONS if name != "gie-core"]
FRAMEWORKS = {"caffe", "onnx", "onnxruntime", "tensorflow", "torch"}

needs_wheels = pytest.mark.skipif(
    "GIE_TESTED_WHEELS" not in os.environ, reason="tox names the wheels it tests; this is not tox"
)


def project(distribution: str) -> dict[str, Any]:
    text = (ROOT / DISTRIBUTIONS[distribution] / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def module(distribution: str) -> str:
    return distribution.replace("-", "_")


def names(requirements: Iterable[str]) -> set[str]:
    return {Requirement(requirement).name for requirement in requirements}


def wheel(distribution: str) -> zipfile.ZipFile:
    (path,) = Path(os.environ["GIE_TESTED_WHEELS"]).glob(f"{module(distribution)}-*.whl")
    return zipfile.ZipFile(path)


def files(distribution: str) -> set[str]:
    with wheel(distribution) as archive:
        return set(archive.namelist())


@needs_wheels
def test_the_tests_see_the_wheel_and_not_the_checkout() -> None:
    assert Path(gie_core.__file__).is_relative_to(sys.prefix)


@pytest.mark.parametrize("distribution", PLUGINS)
def test_every_plugin_has_a_folder_in_the_workspace(distribution: str) -> None:
    assert project(distribution)["project"]["name"] == distribution


def test_the_workspace_has_no_other_plugin() -> None:
    found = {
        path.parent.relative_to(ROOT).as_posix()
        for pattern in ("plugins/*/*/pyproject.toml", "adapters/*/pyproject.toml")
        for path in ROOT.glob(pattern)
    }
    assert found == set(DISTRIBUTIONS.values()) - {"."}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_one_version_and_one_range_of_pythons(distribution: str) -> None:
    core, this = project("gie-core")["project"], project(distribution)["project"]
    assert this["version"] == core["version"]
    assert this["requires-python"] == core["requires-python"]


def test_the_package_knows_its_version() -> None:
    assert gie_core.__version__ == project("gie-core")["project"]["version"]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_dependency_has_an_upper_bound(distribution: str) -> None:
    for requirement in project(distribution)["project"]["dependencies"]:
        operators = {specifier.operator for specifier in Requirement(requirement).specifier}
        assert operators & {"<", "=="}, f"{requirement} has no upper bound"


@pytest.mark.parametrize("distribution", PLUGINS)
def test_a_plugin_declares_its_entry_point_under_its_own_name(distribution: str) -> None:
    declared = project(distribution)["project"]["entry-points"]
    assert declared == {"gie": {distribution: f"{module(distribution)}.plugin"}}


def test_the_root_names_no_framework() -> None:
    root = project("gie-core")
    extras, groups = root["project"]["optional-dependencies"], root["dependency-groups"]
    lists = [root["project"]["dependencies"], *extras.values(), *groups.values()]
    assert not names(chain(*lists)) & FRAMEWORKS


def test_the_dev_group_is_our_plugins_and_tox() -> None:
    group = project("gie-core")["dependency-groups"]["dev"]
    assert names(group) == {*PLUGINS, "tox", "tox-uv"}


def test_the_extras_reach_every_plugin() -> None:
    extras = project("gie-core")["project"]["optional-dependencies"]
    assert extras.pop("all") == [f"gie-core[{','.join(sorted(extras))}]"]
    assert names(chain(*extras.values())) == set(PLUGINS)


def test_uv_lock_is_ignored() -> None:
    assert "uv.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@needs_wheels
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_wheel_is_typed_and_holds_its_own_package_only(distribution: str) -> None:
    package = module(distribution)
    assert f"{package}/py.typed" in files(distribution)
    assert {name.split("/")[0].split("-")[0] for name in files(distribution)} == {package}


@needs_wheels
def test_the_core_wheel_carries_the_licence_and_the_demo() -> None:
    inside = files("gie-core")
    digits = ROOT / "examples" / "digits"
    shipped = [p for p in digits.rglob("*") if p.suffix in {".onnx", ".png", ".txt"}]
    assert len(shipped) > 20
    for path in shipped:
        assert f"gie_core/cli/_digits/{path.relative_to(digits).as_posix()}" in inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)


@needs_wheels
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_wheel_is_small(distribution: str) -> None:
    with wheel(distribution) as archive:
        assert sum(info.compress_size for info in archive.infolist()) < 1_000_000
