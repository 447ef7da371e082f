"""`acme.announce`, called as a step does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from acme_hooks import announce

from codexctl_tasks.hooks import HookError
from codexctl_tasks.hooks.testing import call_hook

if TYPE_CHECKING:
    from collections.abc import Iterator


class Chat(HTTPServer):
    """A chat that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ChatHandler)
        self.told: list[object] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/secret-part"


class ChatHandler(BaseHTTPRequestHandler):
    """Takes one message after the other."""

    server: Chat

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append(json.loads(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def chat() -> Iterator[Chat]:
    server = Chat()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_says_what_and_where(chat: Chat) -> None:
    """The text, the project and the environment."""
    said = call_hook(announce, {"text": "deploying"}, variables={"CHAT_WEBHOOK": chat.url})

    assert chat.told == [{"text": "deploying (shop, staging)"}]
    assert "announced, HTTP 200" in said


def test_without_an_address_it_only_warns() -> None:
    """A deploy from a laptop does not fail because of a chat."""
    assert "CHAT_WEBHOOK is not set" in call_hook(announce, {"text": "deploying"})


def test_a_refusal_is_one_line_without_the_address(chat: Chat) -> None:
    """The address is a secret."""
    chat.status = 403

    with pytest.raises(HookError) as caught:
        call_hook(announce, {"text": "deploying"}, variables={"CHAT_WEBHOOK": chat.url})

    assert str(caught.value) == "CHAT_WEBHOOK: answers HTTP 403: look there"


def test_a_mistyped_parameter() -> None:
    """It is named before anything happens."""
    with pytest.raises(Exception, match="txt is no parameter of it: did you mean 'text'"):
        call_hook(announce, {"txt": "deploying"})
