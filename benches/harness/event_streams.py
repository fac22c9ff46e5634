"""Event streams, for the scenario `streams`: a service that sends them, and a client that holds many.
Run as a program of its own, since both have work of their own while the streams are watched.

    event_streams.py serve PORT
    event_streams.py hold PORT COUNT

Each stream gets an event a second. The client prints a line of JSON a second."""

import asyncio
import json
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b"data: " + b"x" * 90 + b"\n\n"
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
# Events are not sent all at once.
GROUPS = 20


class Service(asyncio.Protocol):
    """Answers any request with a stream."""

    groups = [set() for _ in range(GROUPS)]

    def connection_made(self, transport):
        self.transport = transport
        self.group = min(self.groups, key=len)

    def data_received(self, data):
        if self.transport not in self.group:
            self.group.add(self.transport)
            self.transport.write(HEAD + CHUNK)

    def connection_lost(self, _):
        self.group.discard(self.transport)


async def serve(port):
    await asyncio.get_running_loop().create_server(Service, "127.0.0.1", port, backlog=4096)
    while True:
        for group in Service.groups:
            for transport in list(group):
                transport.write(CHUNK)
            await asyncio.sleep(1 / GROUPS)


class Client(asyncio.Protocol):
    """One stream."""

    def __init__(self):
        self.events = 0
        self.last = 0.0
        self.open = False

    def connection_made(self, transport):
        self.open = True
        transport.write(b"GET /streams/x HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n")

    def data_received(self, data):
        self.events += data.count(b"data: ")
        self.last = time.monotonic()

    def connection_lost(self, _):
        self.open = False


async def hold(port, count):
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(count):
        _, client = await loop.create_connection(Client, "127.0.0.1", port)
        clients.append(client)
    while True:
        await asyncio.sleep(1)
        recent = time.monotonic() - 10
        print(json.dumps({
            "open": sum(client.open for client in clients),
            "alive": sum(client.last > recent for client in clients),
            "events": sum(client.events for client in clients),
        }), flush=True)


if __name__ == "__main__":
    role, port, *count = sys.argv[1:]
    asyncio.run(serve(int(port)) if role == "serve" else hold(int(port), int(count[0])))
