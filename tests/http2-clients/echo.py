"""WebSocket over HTTP/1.1 with the library `websockets`: serves on a port, or asks at an address."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main(where):
    if where.isdigit():
        async with serve(echo, "127.0.0.1", int(where), max_size=8 << 20, subprotocols=["echo"], select_subprotocol=choose):
            await asyncio.Future()
    async with connect(where, max_size=8 << 20, proxy=None) as socket:
        for message in ["text", "ü" * 100_000, b"\0\1" * 1_000_000]:
            await socket.send(message)
            assert await socket.recv() == message


def choose(_socket, asked):
    return "echo" if "echo" in asked else None


asyncio.run(main(sys.argv[1]))
