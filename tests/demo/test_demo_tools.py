"""The demo's own tools, without a cluster."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from demo_tools import Narrator, SetupError, Shell, check_registry, page_text, parse_exports

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def refusing_registry() -> Iterator[str]:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with HTTPServer(("localhost", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_exports_are_read_as_a_shell_reads_them() -> None:
    """The sandbox's variables arrive whole, with blanks and without quotes."""
    text = "export A=1\nexport B='two words'\n# a comment\nexport C='x=y'\n"
    assert parse_exports(text) == {"A": "1", "B": "two words", "C": "x=y"}


def test_a_page_becomes_what_a_person_sees() -> None:
    """Only the text of the body is shown, one line for each part."""
    html = """<html><head><title>no</title><style>p { color: red }</style></head><body>
    <h1>Shop</h1><ul><li><span>Tea &amp; milk</span> <span>4.10</span></li></ul>
    <p>Seen once.</p></body></html>"""
    assert page_text(html) == ["Shop", "- Tea & milk 4.10", "Seen once."]


def test_a_page_without_text_is_empty() -> None:
    """An empty answer shows as nothing, not as an error."""
    assert page_text("") == []


def test_long_commands_continue_on_the_next_line() -> None:
    """A shown command fits the screen, still works when copied, and keeps flags and values."""
    out = io.StringIO()
    value = "examples/shop/api:/app"
    command = f"python3 -m sandbox push shop/api:1.0 --add {value} --env VERSION=1.0 -- python3 x"
    Narrator(1, out).command(command)
    shown = out.getvalue()
    assert all(len(line) < 80 for line in shown.splitlines())
    assert " ".join(shown.removeprefix("$ ").replace("\\\n", " ").split()) == command
    assert "--env \\\n" not in shown


def test_no_colours_where_nobody_sees_them() -> None:
    """A log file holds plain text."""
    out = io.StringIO()
    narrator = Narrator(2, out)
    narrator.step("Begin")
    narrator.command("true")
    narrator.output("fine")
    narrator.success("done")
    assert out.getvalue() == "\n1/2  Begin\n$ true\n  | fine\nok  done\n"


def test_a_silent_registry_is_named_with_a_way_out() -> None:
    """Without a registry the demo says so in one line before it begins."""
    with pytest.raises(SetupError, match=r"registry localhost:1: does not answer .*: start one"):
        check_registry("localhost:1")


def test_a_registry_with_a_password_is_refused(refusing_registry: str) -> None:
    """A registry that wants a password is named at once, not at the first push."""
    with pytest.raises(SetupError, match="answers 401"):
        check_registry(refusing_registry)


def test_missing_setup_is_one_line_and_exit_code_2() -> None:
    """``SANDBOX=off`` without a registry ends with the way out, not with a traceback."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        env={**os.environ, "SANDBOX": "off", "SANDBOX_REGISTRY": "localhost:1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert ": " in done.stderr


def test_the_users_own_variables_do_not_change_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who has deployed the shop by hand before sees the same demo as everybody."""
    for name in ("SHOP_VERSION", "WEB_VERSION", "CODEXCTL_ENV", "CODEXCTL_SANDBOX_STATE"):
        monkeypatch.setenv(name, "x")
    environment = Shell(Narrator(1, io.StringIO())).environment
    kept = {"SHOP_VERSION", "WEB_VERSION", "CODEXCTL_ENV", "CODEXCTL_SANDBOX_STATE"} & {
        *environment
    }
    assert kept == {"CODEXCTL_SANDBOX_STATE"}


def test_interrupting_leaves_nothing_running(tmp_path: Path) -> None:
    """Ctrl-C ends the command and what that has started."""
    program = f"""
        import sys
        sys.path.insert(0, {str(EXAMPLES)!r})
        from pathlib import Path
        from demo_tools import Narrator, Shell
        try:
            Shell(Narrator(1)).run(["sh", "-c", "sleep 60 & echo $!; wait"], Path("/"))
        except KeyboardInterrupt:
            sys.exit(130)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    with process:
        assert process.stdout
        child = int(process.stdout.readline().removeprefix("  | "))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert _is_gone(child)


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False
