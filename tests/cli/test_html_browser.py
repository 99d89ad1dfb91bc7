"""The page as a browser shows it: in light and dark, wide and narrow, with and without scripts."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gie_core.cli.demo import data_folder
from gie_core.testing.command_line import call_gie

pytest.importorskip("gie_importer_onnx")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--no-first-run", "--disable-background-networking"),
    *("--remote-debugging-pipe", "about:blank"),
]


class Browser:
    """Chromium, driven by its DevTools protocol: JSON with a zero behind, over two pipes.

    Attributes:
        events: what it told without being asked since the page was opened.
    """

    def __init__(self, binary: str, profile: Path) -> None:
        inward, self._write = _pipe()
        self._read, outward = _pipe()
        # It reads from descriptor 3 and writes to 4.
        actions = [
            *((os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)),
            (os.POSIX_SPAWN_DUP2, inward, 3),
            (os.POSIX_SPAWN_DUP2, outward, 4),
        ]
        words = [binary, f"--user-data-dir={profile}", *OPTIONS]
        self._process = os.posix_spawn(binary, words, os.environ, file_actions=actions)
        os.close(inward)
        os.close(outward)
        self._pending = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path: Path, width: int, *, dark: bool = False, script: bool = True) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.happened("Page.loadEventFired"):
            self.events.append(self._next())

    def happened(self, *methods: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") in methods]

    def value(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, selector: str) -> Image.Image:
        """What is seen of an element, up to 2,000 pixels of its height."""
        x, y, width, height = self.value(
            f"(r => [r.x + scrollX, r.y + scrollY, r.width, Math.min(2000, r.height)])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")

    def close(self) -> None:
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._read)
        os.close(self._write)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._read, 1 << 20) if ready else b""
            assert chunk, "the browser does not answer"
            self._pending += chunk
        message, _, self._pending = self._pending.partition(b"\0")
        return json.loads(message)


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors are none of those that the browser's are moved to."""
    low = os.pipe()
    read, write = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return read, write


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        pytest.skip(f"there is no Chromium on the PATH: none of {', '.join(BROWSERS)}")
    opened = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    called = call_gie("inspect", data_folder() / "digits.onnx", "--html", path)
    assert called.status == 0, called.err
    return path


def colours(image: Image.Image) -> dict[tuple[int, int, int], float]:
    """The share of each colour, in steps of 8, largest first."""
    rough = image.point([value // 8 * 8 for value in range(256)] * 3)
    found: Any = rough.getcolors(1 << 24)
    size = rough.width * rough.height
    return {colour: count / size for count, colour in sorted(found, reverse=True)}


LOOKS = [
    pytest.param(width, dark, id=f"{width} {'dark' if dark else 'light'}")
    for width in (1280, 390)
    for dark in (False, True)
]
REGIONS = [  # pixels at least, colours that fill more than 0.05 %, part beside the background
    ("header h1", 3_000, 3, 0.01),
    (".tiles", 30_000, 4, 0.02),
    ("[data-graph=before]", 50_000, 8, 0.05),
    ("[data-graph=after]", 50_000, 8, 0.05),
    (".shares", 1_000, 3, 0.1),
    ("#kernel-rows", 100_000, 8, 0.03),
    (".memory", 50_000, 4, 0.1),
    (".timeline", 5_000, 4, 0.3),
    ("#passes", 50_000, 4, 0.03),
]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_looks(browser: Browser, digits: Path, width: int, dark: bool) -> None:
    browser.open(digits, width, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") == width
    for selector, pixels, kinds, part in REGIONS:
        image = browser.picture(selector)
        shares = colours(image)
        assert image.width * image.height >= pixels, selector
        assert sum(share > 5e-4 for share in shares.values()) >= kinds, (selector, shares)
        assert sum(shares.values()) - max(shares.values()) >= part, (selector, shares)
    page = max(colours(browser.picture("body")).items(), key=lambda pair: pair[1])[0]
    assert (sum(page) < 150) if dark else (sum(page) > 690)


def test_nothing_is_loaded_and_nothing_goes_wrong(browser: Browser, digits: Path) -> None:
    browser.open(digits, 1280)
    troubles = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert not browser.happened(*troubles)
    asked = browser.happened("Network.requestWillBeSent")
    assert [event["params"]["request"]["url"] for event in asked] == [digits.resolve().as_uri()]


def test_a_click_on_a_node_tells_all_about_it(browser: Browser, digits: Path) -> None:
    browser.open(digits, 1280)
    before = browser.picture("[data-graph=before]")
    box = browser.value(
        "(r => [r.x + r.width / 2, r.y + r.height / 2])"
        "(document.getElementById('after-2').getBoundingClientRect())"
    )
    button = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, **button)
    told = browser.value("document.getElementById('inspector').innerText")
    assert "conv" in told
    assert "covers" in told
    marked = "[...document.querySelectorAll('.node.match')].map(node => node.id)"
    assert all(each.startswith("before-") for each in browser.value(marked))
    assert len(browser.value(marked)) >= 2
    assert browser.picture("[data-graph=before]").tobytes() != before.tobytes()


def test_kernels_sort_and_filter(browser: Browser, digits: Path) -> None:
    browser.open(digits, 1280)
    rows = "[...document.querySelectorAll('#kernel-rows > details')]"
    browser.value("document.querySelector('[data-sort=time]').click()")
    times = browser.value(f"{rows}.map(row => +row.dataset.time)")
    assert times == sorted(times, reverse=True)
    assert len(set(times)) > 3
    browser.value(
        "(box => { box.value = 'softmax'; box.dispatchEvent(new Event('input')); })"
        "(document.getElementById('filter'))"
    )
    assert browser.value(f"{rows}.filter(row => !row.hidden).length") == 1


def test_the_essentials_need_no_script(browser: Browser, digits: Path) -> None:
    browser.open(digits, 1280, script=False)
    for selector in ("[data-graph=after]", "#kernel-rows", ".memory"):
        assert sum(share > 5e-4 for share in colours(browser.picture(selector)).values()) >= 4
    hidden = "getComputedStyle(document.getElementById('filter')).display"
    assert browser.value(hidden) == "none"


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    from gie_core.builder.report import BuildReport
    from gie_core.cli.html.header import Subject
    from gie_core.cli.html.page import page
    from gie_core.cli.html.sketch import Box, Sketch

    evil = "</script></svg><img src=x onerror=\"document.title='hurt'\"><script>hurt()</script>"
    graph = Sketch((Box(evil, evil, evil, "matrix", ((evil, evil),), (evil,)),), (), 1)
    report = BuildReport(notes=[evil], failed_plugins={evil: evil})
    path = tmp_path / "page.html"
    path.write_text(page(Subject(evil, evil, report, graph, graph)), encoding="utf-8")
    browser.open(path, 1280)
    browser.value("choose('after-0')")
    assert browser.value("document.title").startswith("</script>")
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.value("document.scripts.length") == 2
    assert not browser.happened("Runtime.exceptionThrown", "Log.entryAdded")
