"""Files as inputs: who gets which, and files that are not what they seem."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from PIL import Image

from gie_core.cli.inputs import Loader, assign_files, check_files, random_array
from gie_core.cli.preprocess import Preprocess
from gie_core.engine.engine import TensorInfo
from gie_core.errors import GieError
from gie_core.ir.types import SequenceType, TensorType

pytestmark = pytest.mark.usefixtures("toys")


def info(name: str, dtype: str = "f32", shape: Any = (2,)) -> TensorInfo:
    return TensorInfo(name, TensorType.of(dtype, shape))


def infos(names: str) -> list[TensorInfo]:
    return [info(name) for name in names.split()]


@pytest.mark.parametrize(
    ("inputs", "files", "feeds"),
    [
        ("x", "1.npy", [{"x": "1.npy"}]),
        ("x", "1.npy 2.npy", [{"x": "1.npy"}, {"x": "2.npy"}]),
        ("x", "x=1.npy", [{"x": "1.npy"}]),
        ("x y", "1.npy 2.npy", [{"x": "1.npy", "y": "2.npy"}]),
        ("x y", "y=1.npy 2.npy", [{"x": "2.npy", "y": "1.npy"}]),
        (
            "x y",
            "y=1.npy 2.npy 3.npy",
            [{"x": "2.npy", "y": "1.npy"}, {"x": "3.npy", "y": "1.npy"}],
        ),
        ("x y", "1.npz", [{"x": "1.npz", "y": "1.npz"}]),
        ("x y", "1.npz 2.npz", [{"x": "1.npz", "y": "1.npz"}, {"x": "2.npz", "y": "2.npz"}]),
        ("", "", [dict[str, str]()]),
        ("x", "a=b.npy", [{"x": "a=b.npy"}]),
    ],
)
def test_who_gets_which(inputs: str, files: str, feeds: list[dict[str, str]]) -> None:
    Path("a=b.npy").touch()
    found = assign_files(files.split(), infos(inputs))
    assert [{n: str(p) for n, p in feed.files.items()} for feed in found] == feeds


@pytest.mark.parametrize(
    ("inputs", "files", "error"),
    [
        ("x y", "1.npy", r"1 file for 2 inputs \(x, y\): write NAME=FILE"),
        ("x", "x=1.npy 2.npy", r"1 file for 0 inputs \(none\)"),
        ("x", "x=1.npy x=2.npy", "the input 'x' is given twice"),
        ("x", "z=1.npy", "there is no input 'z'; the inputs are x"),
    ],
)
def test_who_gets_none(inputs: str, files: str, error: str) -> None:
    with pytest.raises(GieError, match=error):
        assign_files(files.split(), infos(inputs))


def test_files_must_exist() -> None:
    Path("there.npy").touch()
    check_files(["there.npy", "x=there.npy"])
    with pytest.raises(GieError, match=r"there is no input file gone\.npy"):
        check_files(["x=gone.npy"])
    with pytest.raises(GieError, match="there is no input file xxx"):
        check_files(["x" * 5000])


def load(path: str, wanted: TensorInfo, name: str = "x") -> Any:
    loader = Loader([wanted], Preprocess())
    return loader.load(assign_files([path], [wanted])[0])[name]


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        (np.array([1.5, 2], np.float32), "f32"),
        (np.array([1.5, 2], np.float64), "f32"),
        (np.array([1.5, 2], ">f4"), "f32"),
        (np.array([1, 2], np.int64), "i32"),
        (np.array([1.5, 2], ml_dtypes.bfloat16), "bf16"),
        (np.array(["a", "b"]), "str"),
        (np.zeros((0, 2), np.float32), "f32"),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays(stored: Any, dtype: str, suffix: str) -> None:
    if suffix == "npy":
        np.save("a.npy", stored)
    else:
        np.savez("a.npz", x=stored, other=np.zeros(3))
    wanted = info("x", dtype)
    found = load(f"a.{suffix}", wanted)
    assert found.dtype == wanted.dtype.numpy if wanted.dtype else False
    np.testing.assert_array_equal(found, stored.astype(found.dtype))


def test_arrays_of_another_kind_are_not_converted() -> None:
    np.save("a.npy", np.array([1.5, 2]))
    with pytest.raises(GieError, match=r"holds float64, but the input x: i64\[2\] needs int64"):
        load("a.npy", info("x", "i64"))


def test_a_npz_without_the_input() -> None:
    np.savez("a.npz", y=np.zeros(1), z=np.zeros(1))
    with pytest.raises(GieError, match="has no array 'x'; it has y, z"):
        load("a.npz", info("x"))


# ── Hostile files ───────────────────────────────────────────────────────────────────


def npy(shape: str, dtype: str = "<f4", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (
        chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return file.getvalue()


def encoded(format: str) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.npy", b"", r"^a\.npy is empty$"),
        ("a.npz", b"", r"^a\.npz is empty$"),
        ("a.npy", b"hello", "cannot be read"),
        ("a.npy", npy("(1000000000000,)"), "cannot be read"),
        ("a.npy", npy("(2,)", data=b"1234"), "cannot be read"),
        ("a.npy", npy("(2,"), "cannot be read"),
        ("a.npy", pickled(), "cannot be read"),
        ("a.npz", b"PK\x03\x04 and no more", "cannot be read"),
        ("a.png", b"", r"^the picture a\.png is empty$"),
        ("a.png", encoded("PNG")[:2000], "cannot be read"),
        ("a.png", encoded("BMP"), "neither a PNG nor a JPEG"),
        ("a.png", png_of(10_000, 10_000), "more pixels than is safe"),
        ("a.png", png_of(60_000, 60_000), "more pixels than is safe"),
        ("a.jpg", encoded("JPEG")[:1000], "cannot be read"),
    ],
)
def test_hostile_files_are_one_sentence(name: str, content: bytes, error: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(GieError, match=error):
        load(name, info("x", "f32", ["n", 3, "h", "w"]))


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
def test_what_the_system_says_is_no_jargon(name: str) -> None:
    Path(name).mkdir()
    with pytest.raises(GieError, match=r"cannot be read.*: Is a directory$"):
        load(name, info("x", "f32", ["n", 3, "h", "w"]))


def test_a_npz_that_unpacks_to_too_much() -> None:
    with zipfile.ZipFile("a.npz", "w") as archive:
        archive.writestr("x.npy", npy("(2,)"))
    content = Path("a.npz").read_bytes()
    at = content.rindex(b"PK\x01\x02") + 24  # the unpacked size in the directory
    Path("a.npz").write_bytes(content[:at] + b"\xfe\xff\xff\xff" + content[at + 4 :])
    with zipfile.ZipFile("a.npz", "a") as archive:
        archive.writestr("y.npy", npy("(2,)"))
    with pytest.raises(GieError, match="claims more than 4 GiB"):
        load("a.npz", info("x"))


# ── Pictures ────────────────────────────────────────────────────────────────────────


def test_a_picture_is_turned_as_its_exif_says() -> None:
    image = Image.fromarray(np.array([[0, 255]], np.uint8).repeat(8, 0).repeat(8, 1))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    image.save("a.jpg", exif=exif, quality=100)
    found = load("a.jpg", info("x", "u8", (16, 8)))
    assert found[:8].max() < 10
    assert found[8:].min() > 245


def test_what_was_decided_for_pictures_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "12":
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(f"{name}.png")
    wanted = info("x", "f32", ("n", 1, 8, 8))
    loader = Loader([wanted], Preprocess())
    for feed in assign_files(["1.png", "2.png"], [wanted]):
        assert loader.load(feed)["x"].shape == (1, 1, 8, 8)
    note = "gie: note: x: pictures go through --preprocess gray,resize=8,crop=8,layout=nchw\n"
    assert capsys.readouterr().err == note


# ── Random inputs ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dtype", "shape", "sizes", "expected"),
    [
        ("f32", ["n", 3], {}, (1, 3)),
        ("f16", ["n", "2*n"], {"n": 4}, (4, 8)),
        ("i64", [5], {}, (5,)),
        ("bool", [], {}, ()),
        ("c64", [2], {}, (2,)),
    ],
)
def test_random_arrays(dtype: str, shape: Any, sizes: dict[str, int], expected: Any) -> None:
    wanted = info("x", dtype, shape)
    first, again = (random_array(wanted, np.random.default_rng(1), sizes) for _ in range(2))
    assert first.shape == expected
    assert first.dtype == wanted.dtype.numpy if wanted.dtype else False
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "wanted",
    [
        info("x", "str"),
        info("x", "f32", None),
        TensorInfo("x", SequenceType(TensorType.of("f32", ()))),
    ],
)
def test_no_random_arrays(wanted: TensorInfo) -> None:
    with pytest.raises(GieError, match="no random data for the input x"):
        random_array(wanted, np.random.default_rng(1), {})
