"""A headless browser that is asked over its debugging pipe, without any further package."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest

from sandbox import prerequisites
from tests.support.shell import QUICK_S

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = {
    "chromium-headless-shell": ("chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/chrome"),
    "fonts-dejavu-core": ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",),
}
"""Debian's packages, each with what shows that it, or something as good, is there."""
_READ, _WRITE = 3, 4
"""File descriptors that Chromium reads commands from, and writes answers to."""


def find_browser() -> str:
    """Return the browser's path; install it if it is missing and we may."""
    missing = [package for package, signs in PACKAGES.items() if not any(map(_is_there, signs))]
    if missing and os.geteuid() != 0:
        pytest.skip(f"missing packages: {' '.join(missing)}; only root can install them")
    if missing:
        prerequisites.install(*missing)
    return next(filter(None, map(shutil.which, PACKAGES["chromium-headless-shell"])))


def _is_there(sign: str) -> bool:
    return shutil.which(sign) is not None or os.path.exists(sign)  # noqa: PTH110


@dataclass
class Browser:
    """One running browser with one page."""

    folder: Path
    """Where it may keep what it needs."""
    requests: list[str] = field(default_factory=list)
    """What the page has asked for since it was opened."""
    complaints: list[str] = field(default_factory=list)
    """What the browser had to say about the page: errors, refused content, dialogs."""
    _pid: int = 0
    _buffer: bytes = b""
    _session: str = ""

    def __enter__(self) -> Self:
        path = find_browser()
        read_commands, self._commands = _pipe()
        self._answers, write_answers = _pipe()
        arguments = [
            *(path, "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu"),
            *("--hide-scrollbars", "--no-first-run", f"--user-data-dir={self.folder}"),
        ]
        self._pid = os.posix_spawn(
            path,
            arguments,
            {**os.environ, "HOME": str(self.folder)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, read_commands, _READ),
                (os.POSIX_SPAWN_DUP2, write_answers, _WRITE),
            ],
        )
        os.close(read_commands)
        os.close(write_answers)
        self._numbers = itertools.count(1)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        self._ask("Browser.close")
        os.waitpid(self._pid, 0)
        os.close(self._commands)
        os.close(self._answers)

    def open(self, file: Path, width: int, height: int, *, dark: bool = False) -> None:
        """Show a file in a window of this size; what was noted before is forgotten."""
        self.requests.clear()
        self.complaints.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self._ask("Emulation.setDeviceMetricsOverride", **size, mobile=width < height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Page.navigate", url=file.as_uri())
        while self.evaluate("document.readyState") != "complete":
            time.sleep(0.02)
        self.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self._ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path, *, whole: bool = False) -> bytes:
        """Save what is seen as PNG; *whole*: all of the page, however long it is."""
        answer = self._ask("Page.captureScreenshot", captureBeyondViewport=whole)
        picture = base64.b64decode(answer["data"])
        file.write_bytes(picture)
        return picture

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next_message()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found
            self._note(answer)

    def _next_message(self) -> dict[str, Any]:
        deadline = time.monotonic() + QUICK_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], deadline - time.monotonic())
            read = os.read(self._answers, 1 << 20) if ready else b""
            assert read, "the browser does not answer"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        found = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(found["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(found["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(found))
            case "Page.javascriptDialogOpening":
                self.complaints.append(f"a dialog: {found['message']}")


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe with numbers that are not in the way of `_READ` and `_WRITE`."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
