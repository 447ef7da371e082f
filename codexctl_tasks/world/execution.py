"""
A command in a container: its streams over one WebSocket, as ``kubectl exec`` has them.

The API server multiplexes them as channels, the first byte of each message. `v5` can close stdin;
with `v4`, which older proxies in between speak, a command has to know by itself where its input
ends. One thread does both directions: a TLS connection must not be used by two.
"""

from __future__ import annotations

import json
import math
import select
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from codexctl_tasks.errors import BrokenStreamError, ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from codexctl_tasks.world.transport import Upgraded

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
PIECE = 128 * 1024
"""Bytes of stdin in a message: four times those of kubectl, a tenth less work for both sides."""
SILENCE_S = 60.0
"""Without a byte in either direction, not even an answer to our pings: nobody is there."""
PING_S = 10.0
LONGEST_STDERR = 64 * 1024
"""Bytes of stderr that are kept: the last ones."""
_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_TRY_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Executed:
    """How a command ended."""

    exit_code: int
    stderr: str
    """The end of what it wrote there."""
    closes_stdin: bool = True
    """The server can do that; False: a command does not see the end of its stdin."""


def exec_path(namespace: str, pod: str, container: str, command: Sequence[str]) -> str:
    """Return the path with its query; empty *container*: the pod's default one."""
    streams = [(name, "true") for name in ("stdin", "stdout", "stderr")]
    chosen = [("container", container)] if container else []
    query = urlencode([*chosen, *streams, *(("command", word) for word in command)])
    return f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/exec?{query}"


class Session:
    """One command that runs."""

    def __init__(self, where: str, upgraded: Upgraded) -> None:
        """Begin to talk; *where* names the pod in errors, the connection is closed at the end."""
        from websocket import frame_buffer  # the framing alone, without its own sockets

        self._where, self._upgraded = where, upgraded
        self._connection, self._rest = upgraded.connection, upgraded.rest
        self._frames = frame_buffer(self._receive, skip_utf8_validation=True)
        self._message = b""
        self._outgoing = memoryview(b"")
        self._stderr = b""
        self._status: Mapping[str, Any] | None = None
        self._is_closed = False
        self._refuses = False
        """Nothing more is accepted; what was told before that can still be read."""
        self._heard_s = self._pinged_s = self._begun_s = time.monotonic()
        self._limit_s = math.inf

    def run(
        self,
        stdin: Iterable[bytes],
        take: Callable[[bytes], object],
        limit_s: float = math.inf,
    ) -> Executed:
        """
        Feed the command and take what it writes, until it ends.

        Args:
            stdin: Its input.
            take: Is given its output; what it raises ends the session, not the command.
            limit_s: From now; a command that takes longer is left alone.

        Raises:
            BrokenStreamError: The connection broke, or fell silent, before the end was told.
            ClusterError: The command could not be started, or takes too long.
        """
        self._limit_s = limit_s
        feed = self._messages(stdin)
        try:
            while not self._is_closed:
                if not (self._read(take) | self._write(feed)):
                    self._wait()
        except OSError as error:
            raise self._broken(str(error)) from error
        finally:
            self._upgraded.answer.close()
        if self._status is None:
            raise self._broken("it was closed before the command had ended")
        stderr = self._stderr.decode(errors="replace")
        closes_stdin = self._upgraded.protocol == V5
        return Executed(self._exit_code(self._status), stderr, closes_stdin)

    def _messages(self, stdin: Iterable[bytes]) -> Iterator[bytes]:
        for data in stdin:
            for start in range(0, len(data), PIECE):
                yield _framed(bytes([_STDIN]) + data[start : start + PIECE])
        if self._upgraded.protocol == V5:
            yield _framed(bytes([_CLOSE, _STDIN]))

    def _read(self, take: Callable[[bytes], object]) -> bool:
        """Take all that has arrived; return whether there was anything."""
        from websocket import WebSocketException

        found = False
        try:
            while not self._is_closed:
                frame = self._frames.recv_frame()
                found = True
                self._note(frame, take)
        except _TRY_LATER:
            return found
        except WebSocketException as error:
            raise self._broken(str(error)) from error
        return found

    def _receive(self, size: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        if not (data := self._connection.recv(size)):
            raise self._broken("the other side closed it")
        self._heard_s = time.monotonic()
        return data

    def _note(self, frame: Any, take: Callable[[bytes], object]) -> None:
        from websocket import ABNF

        self._refuse_lateness()
        if frame.opcode == ABNF.OPCODE_CLOSE:
            self._is_closed = True
        elif frame.opcode == ABNF.OPCODE_PING:
            self._send_soon(_framed(frame.data, ABNF.OPCODE_PONG))
        elif frame.opcode != ABNF.OPCODE_PONG:
            self._message += frame.data
            if frame.fin:
                message, self._message = self._message, b""
                self._hear(message, take)

    def _hear(self, message: bytes, take: Callable[[bytes], object]) -> None:
        channel, data = message[:1], message[1:]
        if channel == bytes([_STDOUT]) and data:
            take(data)
        elif channel == bytes([_STDERR]):
            self._stderr = (self._stderr + data)[-LONGEST_STDERR:]
        elif channel == bytes([_STATUS]) and data:
            try:
                self._status = dict(json.loads(data))
            except ValueError as error:  # a proxy in between
                raise self._broken(f"{data[:100]!r} is no status") from error

    def _refuse_lateness(self) -> None:
        if time.monotonic() - self._begun_s > self._limit_s:
            what = f"a command there has not ended within {self._limit_s:.0f} s"
            raise ClusterError(self._where, what, "see what keeps it busy")

    def _send_soon(self, data: bytes) -> None:
        self._outgoing = memoryview(bytes(self._outgoing) + data)

    def _write(self, feed: Iterator[bytes]) -> bool:
        """Send one message more, as far as that is possible now; return whether it was."""
        if self._refuses or self._status is not None:
            return False  # the command has ended, whatever it has not read
        if not self._outgoing:
            self._outgoing = memoryview(next(feed, b""))
        if not self._outgoing:
            return False
        try:
            sent = self._connection.send(self._outgoing)
        except _TRY_LATER:
            return False
        except OSError:  # the command may have ended without reading all of it
            self._refuses = True
            return False
        self._outgoing = self._outgoing[sent:]
        self._heard_s = time.monotonic()
        return True

    def _wait(self) -> None:
        self._refuse_lateness()
        writable = [self._connection] if self._outgoing and not self._refuses else []
        select.select([self._connection], writable, [], 1.0)
        now_s = time.monotonic()
        if now_s - self._heard_s > SILENCE_S:
            raise self._broken(f"nothing was heard for {SILENCE_S:.0f} s")
        if now_s - max(self._heard_s, self._pinged_s) > PING_S and not self._outgoing:
            from websocket import ABNF

            self._pinged_s = now_s
            self._send_soon(_framed(b"", ABNF.OPCODE_PING))

    def _exit_code(self, status: Mapping[str, Any]) -> int:
        if status.get("status") == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or ()
        for cause in causes:
            if cause.get("reason") == "ExitCode" and str(cause.get("message")).isdecimal():
                return int(cause["message"])
        what = f"the command could not be run: {status.get('message') or 'no reason given'}"
        raise ClusterError(self._where, what, "see whether the pod runs and its image has a shell")

    def _broken(self, why: str) -> BrokenStreamError:
        return BrokenStreamError(self._where, f"the stream of the command broke: {why}")


def _framed(data: bytes, opcode: int = 2) -> bytes:
    """
    Return a message as one frame; 2: binary.

    The key that it is masked with is 0. Masks protect proxies from what web pages send; for 300 MB
    of files they would cost more than everything else together, TLS included.
    """
    size = len(data)
    if size < 126:  # noqa: PLR2004 - RFC 6455, 5.2
        length = bytes([0x80 | size])
    elif size < 2**16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + data
