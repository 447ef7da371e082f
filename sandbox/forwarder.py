"""Passes connections to the host's loopback on to the registry on the node."""

from __future__ import annotations

import asyncio
import contextlib

_CHUNK = 256 * 1024


def forward(port: int, target: str, target_port: int) -> None:
    """Listen on ``127.0.0.1:port`` and pass every connection on, for ever."""

    async def serve() -> None:
        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                there = await asyncio.open_connection(target, target_port, limit=_CHUNK)
            except OSError:  # not started yet: the caller sees the connection close
                writer.close()
                return
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
            for end in (writer, there[1]):
                end.close()

        server = await asyncio.start_server(connect, "127.0.0.1", port, limit=_CHUNK)
        async with server:
            await server.serve_forever()

    asyncio.run(serve())


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(_CHUNK):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()
