"""
A TCP proxy that is as far away as it is told, for measurements on loopback.

    python bench/latency.py PORT UPSTREAM_PORT ROUND_TRIP_MS
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_PIECE = 2**18
_MOST_PIECES = 64


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way_s: float) -> None:
    """Pass on what arrives, each piece *way_s* later, without holding up the next one."""
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_PIECES)
    loop = asyncio.get_running_loop()

    async def arrive() -> None:
        while True:
            at_s, piece = await on_the_way.get()
            await asyncio.sleep(max(at_s - loop.time(), 0))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    arriving = asyncio.create_task(arrive())
    piece = b"?"
    while piece and not arriving.done():
        try:
            piece = await reader.read(_PIECE)
        except OSError:
            piece = b""
        await on_the_way.put((loop.time() + way_s, piece))
    with contextlib.suppress(OSError):
        await arriving


async def serve(port: int, upstream: int, round_trip_s: float) -> None:
    """Listen for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(round_trip_s)  # the handshake
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", upstream)
        way_s = round_trip_s / 2
        await asyncio.gather(
            _carry(reader, there_writer, way_s), _carry(there_reader, writer, way_s)
        )
        for each in (writer, there_writer):
            each.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
