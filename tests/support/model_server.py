"""
A model that does as it is told: the Responses API over HTTP, as the Codex CLI speaks it.

A script is a list of steps, one for each request; the last one is repeated. By hand::

    python -m tests.support.model_server ADDRESS PORT 'echo hello' 'I said hello.'
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}
"""Of each request."""
_LONGEST_MS = 30_000
"""For which Codex waits at most for a command; what then still runs, it goes on without."""


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def text(self) -> str:
        """All that was sent, for searching in it."""
        return json.dumps(self.body, ensure_ascii=False)


class Conversation:
    """One answer, event by event."""

    def __init__(
        self, handler: BaseHTTPRequestHandler, asked: Asked, closing: threading.Event
    ) -> None:
        self._handler, self.asked, self.closing = handler, asked, closing

    def begin(self) -> None:
        """Promise a stream of events."""
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", "text/event-stream")
        self._handler.send_header("Connection", "close")
        self._handler.end_headers()
        self.event("response.created", {"response": {"id": "resp_1"}})

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send one event."""
        text = json.dumps({"type": kind, **data})
        self._handler.wfile.write(f"event: {kind}\ndata: {text}\n\n".encode())
        self._handler.wfile.flush()

    def item(self, item: Mapping[str, Any]) -> None:
        """Send a whole item."""
        self.event("response.output_item.done", {"item": item})

    def end(self) -> None:
        """Say that the answer is complete."""
        self.event("response.completed", {"response": {"id": "resp_1", "usage": USAGE}})

    def refuse(self, status: int, body: Any) -> None:
        """Answer with an error."""
        data = json.dumps(body).encode()
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", "application/json")
        self._handler.send_header("Content-Length", str(len(data)))
        self._handler.end_headers()
        self._handler.wfile.write(data)


def says(text: str) -> Callable[[Conversation], None]:
    """End the turn with a message; an empty one: with nothing."""

    def step(answer: Conversation) -> None:
        answer.begin()
        if text:
            answer.item(_message(text))
        answer.end()

    return step


def runs(command: str, text: str = "") -> Callable[[Conversation], None]:
    """Let the agent run a command, and come back with what it printed."""

    def step(answer: Conversation) -> None:
        answer.begin()
        if text:
            answer.item(_message(text))
        answer.item(_call_of(command, answer.asked.body))
        answer.end()

    return step


def refuses(status: int, message: str, code: str = "") -> Callable[[Conversation], None]:
    """Answer with an error of HTTP."""
    body = {"error": {"message": message, "type": code or "error", "code": code or None}}
    return lambda answer: answer.refuse(status, body)


def cuts() -> Callable[[Conversation], None]:
    """Break off in the middle of a stream."""
    return lambda answer: answer.begin()


def hangs() -> Callable[[Conversation], None]:
    """Begin, and never say anything again."""

    def step(answer: Conversation) -> None:
        answer.begin()
        answer.closing.wait()

    return step


def fails(code: str, message: str) -> Callable[[Conversation], None]:
    """Say in the stream that the answer has failed."""

    def step(answer: Conversation) -> None:
        answer.begin()
        error = {"code": code, "message": message}
        answer.event("response.failed", {"response": {"status": "failed", "error": error}})

    return step


@dataclass
class ModelServer:
    """The server as tests see it."""

    url: str
    """What comes before ``/responses``."""
    asked: list[Asked] = field(default_factory=list)
    _steps: list[Callable[[Conversation], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def play(self, *steps: Callable[[Conversation], None]) -> None:
        """Answer like this from now on; what was asked before is forgotten."""
        with self._lock:
            self._steps = list(steps)
            self.asked.clear()

    def next(self, asked: Asked) -> Callable[[Conversation], None]:
        """Note a request; return what is to be answered."""
        with self._lock:
            self.asked.append(asked)
            return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]


@contextmanager
def model_server(address: str = "127.0.0.1", port: int = 0) -> Iterator[ModelServer]:
    """Serve a model at an address of this machine."""
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.title(): value for name, value in self.headers.items()}
            asked = Asked(self.path, headers, json.loads(data))
            self.close_connection = True
            server.next(asked)(Conversation(self, asked, closing))

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that is gone is its own business."""

    with Server((address, port), Handler) as listening:
        server = ModelServer(f"http://{address}:{listening.server_port}/v1", [], [says("Done.")])
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            closing.set()
            listening.shutdown()


def _message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "id": "msg_1", "content": content}


def _call_of(command: str, body: Any) -> dict[str, Any]:
    """Return a call of the tool that runs commands in this version, for this model."""
    names = [tool.get("name") for tool in body.get("tools") or ()]
    if not names:  # those of the default model are functions of a script
        asked = json.dumps({"cmd": command, "yield_time_ms": _LONGEST_MS})
        script = f"text((await tools.exec_command({asked})).output);"
        call = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1"}
        return {**call, "name": "exec", "input": script}
    name = "shell"
    arguments: dict[str, Any] = {"command": ["sh", "-c", command]}
    if "exec_command" in names:
        name, arguments = "exec_command", {"cmd": command, "yield_time_ms": _LONGEST_MS}
    elif "shell_command" in names:
        name, arguments = "shell_command", {"command": command}
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1"}
    return {**call, "name": name, "arguments": json.dumps(arguments)}


def main(words: Sequence[str]) -> None:
    """Serve one command and one message, until somebody ends it."""
    address, port, command, text = words
    with model_server(address, int(port)) as server:
        server.play(runs(command), says(text))
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
