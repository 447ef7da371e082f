"""The model proxy on real sockets: what passes, what does not, and what nobody ever sees."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.proxy.program import KEY_REFUSED, Proxy, Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY, TOKEN = "sk-sentinel-of-the-key", "token-of-the-run"
ASK = json.dumps({"model": "gpt-5-codex", "input": "SENTINEL-OF-A-BODY"})


class Model(ThreadingHTTPServer):
    """A model that notes what it is asked, and answers as the test says."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.go_on, self.client_left = threading.Event(), threading.Event()
        self.answer: Callable[[Any], None] = events
        super().__init__(("127.0.0.1", 0), Answering)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave it to the test."""


class Answering(BaseHTTPRequestHandler):
    """Notes a request, and lets the test answer."""

    protocol_version = "HTTP/1.1"
    server: Model

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as to everything."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answer as the test says."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        self.close_connection = True
        self.server.answer(self)


def events(request: Answering) -> None:
    """Answer with one event now, and another one when the test has seen it."""
    request.send_response(200)
    request.send_header("Content-Type", "text/event-stream")
    request.send_header("Set-Cookie", "a=b")
    request.send_header("x-ratelimit-remaining-tokens", "7")
    request.end_headers()
    request.wfile.write(b"data: one\n\n")
    request.server.go_on.wait(10)
    request.wfile.write(b"data: two\n\n")


def status(number: int, body: bytes = b"{}") -> Callable[[Answering], None]:
    def answer(request: Answering) -> None:
        request.send_response(number)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as server, serving(server):
        yield server
        server.go_on.set()


@pytest.fixture
def start(tmp_path: Path, model: Model) -> Iterator[Callable[..., Proxy]]:
    """Give a function that starts a proxy before the model."""
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "token").write_text(TOKEN)
    running = []

    def begin(**settings: Any) -> Proxy:
        upstream = f"http://127.0.0.1:{model.server_port}/v1"
        proxy = Proxy(("127.0.0.1", 0), Settings(**{"upstream": upstream, **settings}), tmp_path)
        running.append(held := serving(proxy))
        held.__enter__()
        return proxy

    yield begin
    for each in running:
        each.__exit__(None, None, None)


def ask(
    proxy: Proxy, path: str = "/v1/responses", body: str = ASK, token: str = TOKEN, **more: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=10)
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "me", "session-id": "s", **more}
    connection.request("POST" if body else "GET", path, body or None, headers)
    return connection.getresponse()


def refusal(answer: http.client.HTTPResponse) -> tuple[int, str]:
    return answer.status, json.loads(answer.read())["error"]["code"]


def test_events_pass_as_they_come(start: Callable[..., Proxy], model: Model) -> None:
    """The first event is there while the model still thinks about the second one."""
    answer = ask(start())

    assert answer.readline() == b"data: one\n"
    model.go_on.set()
    assert answer.read() == b"\ndata: two\n\n"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "7"
    assert answer.headers["Set-Cookie"] is None


def test_the_key_takes_the_place_of_the_token(start: Callable[..., Proxy], model: Model) -> None:
    """The model sees the key and the body; neither the token nor who the client is."""
    model.answer = status(200)
    ask(start(), "/v1/responses", Cookie="c", **{"x-codex-turn-metadata": "m"}).read()

    command, path, headers, body = model.asked[0]

    assert (command, path, body.decode()) == ("POST", "/v1/responses", ASK)
    assert headers.pop("authorization") == f"Bearer {KEY}"
    assert headers.pop("host").startswith("127.0.0.1:")
    assert headers == {
        "accept-encoding": "identity",
        "user-agent": "codexctl",
        "content-length": str(len(ASK)),
    }


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], KEY, "\xff"])
def test_only_the_token_of_the_run_opens(
    token: str, start: Callable[..., Proxy], model: Model
) -> None:
    """Any other word, even the key itself, is refused; the model is not asked."""
    assert refusal(ask(start(), token=token)) == (401, "wrong_token")
    assert model.asked == []


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/files", ASK, "not_passed"),
        ("/v1/responses/../files", ASK, "not_passed"),
        ("/v1/responses/resp_1", "", "not_passed"),
        ("/v1/responses", "", "not_passed"),
        ("http://example.com/v1/responses", ASK, "not_passed"),
        ("/v1/responses?x=y", ASK, "query"),
        ("/v1/models?client_version=1%0d%0a", "", "query"),
    ],
)
def test_nothing_else_passes(
    path: str, body: str, code: str, start: Callable[..., Proxy], model: Model
) -> None:
    """Files, stored answers, other hosts and tricks with paths are refused."""
    assert refusal(ask(start(), path, body))[1] == code
    assert model.asked == []


def test_models_and_compaction_pass(start: Callable[..., Proxy], model: Model) -> None:
    """What Codex asks besides answers: the list of models, and a shorter history."""
    model.answer, proxy = status(200, b"[]"), start()

    assert ask(proxy, "/v1/models?client_version=0.169.0", "").read() == b"[]"
    assert ask(proxy, "/v1/responses/compact").read() == b"[]"
    assert [each[1] for each in model.asked] == [
        "/v1/models?client_version=0.169.0",
        "/v1/responses/compact",
    ]


def test_websockets_are_refused_so_that_codex_falls_back(start: Callable[..., Proxy]) -> None:
    """An upgrade is answered at once."""
    assert refusal(ask(start(), "/v1/responses", "", Upgrade="websocket"))[0] == 405


def test_only_allowed_models(start: Callable[..., Proxy], model: Model) -> None:
    """Another model, one hidden behind a second key, and what is no JSON are refused."""
    model.answer, proxy = status(200), start(models=("gpt-5-codex",))

    assert ask(proxy).status == 200
    assert refusal(ask(proxy, body='{"model": "gpt-9"}')) == (400, "model")
    assert refusal(ask(proxy, body='{"model": "gpt-9", "model": "gpt-5-codex"}'))[0] == 400
    assert refusal(ask(proxy, body="[" * 100_000))[0] == 400
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"tools": [{"type": "web_search"}]}, "tool"),
        ({"tools": [{"type": "mcp", "server_url": "https://evil.example"}]}, "tool"),
        ({"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "tool"),
        ({"tools": {"type": "mcp"}}, "tool"),
        ({"tools": 7}, "tool"),
        ({"tools": ["function"]}, "tool"),
        ({"tools": [{"type": "tool_search"}]}, "tool"),
        ({"tools": [{"type": "tool_search", "execution": "server"}]}, "tool"),
        ({"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]}, "tool"),
        (
            {"input": {"a": [{"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}]}},
            "tool",
        ),
        ({"background": True}, "address"),
        ({"input": [{"content": [{"image_url": "https://evil.example/?d=1"}]}]}, "address"),
        ({"input": [{"content": [{"image_url": {"url": "http://evil.example"}}]}]}, "address"),
        ({"input": [{"content": [{"type": "input_file", "file_url": "ftp://x"}]}]}, "address"),
    ],
)
def test_the_provider_does_not_reach_out_for_the_agent(
    asked: dict[str, Any], code: str, start: Callable[..., Proxy], model: Model
) -> None:
    """Tools that it runs, and what it would fetch, carry data past the walls of the agent's pod."""
    assert refusal(ask(start(), body=json.dumps(asked))) == (400, code)
    assert model.asked == []


def test_what_codex_asks_passes(start: Callable[..., Proxy], model: Model) -> None:
    """Its own tools, pictures as data, words that look like addresses; others by the settings."""
    model.answer, proxy = status(200), start(tools=("web_search",))
    names = {"properties": {"image_url": {"type": "string"}}}
    tools = [
        {"type": "function", "name": "view_image", "parameters": names},
        {"type": "namespace", "name": "n", "tools": [{"type": "function"}]},
        {"type": "tool_search", "execution": "client"},
        {"type": "web_search", "external_web_access": True},
    ]
    content = [{"image_url": "data:image/png;base64,AA"}, {"text": "image_url: https://x.example"}]

    more = {"type": "additional_tools", "tools": [{"type": "namespace", "tools": [tools[0]]}]}
    given = {"tools": tools, "input": [more, {"content": content}, "plain"], "background": False}
    assert ask(proxy, body=json.dumps(given)).status == 200
    assert len(model.asked) == 1


def test_limits_of_a_run(start: Callable[..., Proxy], model: Model) -> None:
    """Requests are counted, and their size is known before anything is read."""
    model.answer, proxy = status(200), start(max_requests=2, max_request_bytes=100)

    assert refusal(ask(proxy, body="x" * 101)) == (413, "too_large")
    assert ask(proxy, body="{}").status == 200
    assert refusal(ask(proxy, body="{}")) == (400, "request_limit")
    assert len(model.asked) == 1


def test_a_body_of_unknown_length_is_refused(start: Callable[..., Proxy]) -> None:
    """Chunks, in which another request could hide, do not pass."""
    proxy = start()
    headers = {"Authorization": f"Bearer {TOKEN}", "Transfer-Encoding": "chunked"}
    connection = http.client.HTTPConnection("127.0.0.1", proxy.server_port, timeout=10)
    connection.request("POST", "/v1/responses", iter([b"{}"]), headers, encode_chunked=True)

    assert refusal(connection.getresponse()) == (411, "length")
    connection.close()


def test_a_slow_client_is_cut_off(start: Callable[..., Proxy]) -> None:
    """Who does not end its headers, or its body, loses the connection; others are served."""
    proxy = start(headers_s=0.2, body_s=0.2, max_connections=2)
    said = f"POST /v1/responses HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n"
    for text in (said, said + "\r\n{"):
        with socket.create_connection(("127.0.0.1", proxy.server_port), 10) as slow:
            slow.sendall(text.encode())
            assert b"HTTP/1.1 200" not in slow.recv(1000)

    assert ask(proxy, "/healthz", "").read() == b"ok\n"


def test_a_client_that_leaves_ends_the_answer(start: Callable[..., Proxy], model: Model) -> None:
    """The model is not paid for an answer that nobody reads."""

    def wait_for_the_end(request: Answering) -> None:
        events_begin(request)
        request.connection.settimeout(10)
        if not request.connection.recv(1):
            model.client_left.set()

    model.answer = wait_for_the_end
    answer = ask(start())
    assert answer.readline() == b"data: one\n"
    answer.close()

    assert model.client_left.wait(10)


def events_begin(request: Answering) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"data: one\n\n")


def test_a_cut_answer_is_seen_as_cut(start: Callable[..., Proxy], model: Model) -> None:
    """Half an answer never looks like a whole one."""

    def half(request: Answering) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "100")
        request.end_headers()
        request.wfile.write(b"half")

    model.answer = half
    answer = ask(start())

    with pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_a_model_that_cannot_be_reached(start: Callable[..., Proxy]) -> None:
    """One sentence that the agent shows, without an address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = ask(start(upstream=f"http://127.0.0.1:{port}/v1"))

    assert answer.status == 502
    assert json.loads(answer.read())["error"]["message"] == (
        "the model cannot be reached: connection refused"
    )


def test_other_answers_pass_as_they_are(start: Callable[..., Proxy], model: Model) -> None:
    """Codex decides itself what to do about 429 and 500; a redirection is not followed."""
    proxy = start()
    for number, seen in ((429, 429), (500, 500), (302, 502)):
        model.answer = status(number)
        assert ask(proxy).status == seen


def test_no_secret_is_ever_told(
    start: Callable[..., Proxy], model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused key is told as such; key, token, bodies and headers are in no log or answer."""
    proxy, answers = start(), []
    for answer in (status(401, KEY.encode()), status(200), status(500)):
        model.answer = answer
        answers.append(ask(proxy).read())
    answers.append(ask(proxy, "/v1/" + TOKEN).read())
    answers.append(ask(proxy, token="bad").read())
    log = capsys.readouterr().err

    assert KEY_REFUSED in log
    assert json.loads(answers[0])["error"]["code"] == "key_refused"
    for secret in (KEY, TOKEN, "SENTINEL-OF-A-BODY"):
        assert secret not in log
        assert all(secret.encode() not in each for each in answers)


def test_the_end_lets_answers_end(start: Callable[..., Proxy], model: Model) -> None:
    """What has begun is finished; nothing new begins."""
    proxy = start(grace_s=10)
    answer = ask(proxy)
    assert answer.readline() == b"data: one\n"

    ending = threading.Thread(target=proxy.finish)
    ending.start()
    model.go_on.set()
    rest = answer.read()
    ending.join(10)

    assert rest == b"\ndata: two\n\n"
    assert not ending.is_alive()


def test_mistakes_in_the_settings_are_found(tmp_path: Path) -> None:
    """An unknown setting, another scheme and an empty key end the start."""
    with pytest.raises(ValueError, match="unknown settings: modles"):
        read_settings('{"upstream": "https://a", "modles": []}')
    (tmp_path / "key").write_text("\n")
    (tmp_path / "token").write_text("t")
    for upstream in ("ftp://a", "https://a"):
        with pytest.raises(ValueError, match=r"no http|key is empty"):
            Proxy(("127.0.0.1", 0), Settings(upstream), tmp_path)
