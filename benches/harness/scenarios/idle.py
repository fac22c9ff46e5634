"""What an idle connection holds: resident memory of the gateway and of nginx with many connections
open that have each asked once, less what it was before, over the connections."""

import socket
import statistics
import time

from .. import accounts, load
from ..peers import gateway, nginx
from ..stage import Problem

REQUEST = b"GET /plain/x HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
ROUNDS = 3


def run(scene, upstream, report, arguments):
    count = arguments.idle_connections
    rows = {"gateway": [], "nginx": []}
    # A process of its own for each: memory that was once used is not given back.
    for _ in range(min(ROUNDS, arguments.rounds)):
        rows["gateway"].append(held(scene, upstream, arguments, *gateway.start(
            scene, arguments.gateway, upstream, gateway.PLAIN, name="gateway-idle", listener='timeouts = { keep_alive = "1h" }',
        )))
        rows["nginx"].append(nginx_held(scene, upstream, arguments))
    print(f"\n{count} idle connections")
    for name, figures in rows.items():
        each = statistics.median(row["bytes"] for row in figures)
        print(f"{name:<20}{each:>8.0f} bytes a connection, of {figures[-1]['after'] / 2**20:.1f} MiB")
    report.keep("idle", rows)
    report.say("idle_bytes", statistics.median(row["bytes"] for row in rows["gateway"]), digits=0)
    ratios = [a["bytes"] / b["bytes"] for a, b in zip(rows["gateway"], rows["nginx"]) if b["bytes"] > 0]
    report.say("idle_vs_nginx", statistics.median(ratios) if ratios else None)


def nginx_held(scene, upstream, arguments):
    """nginx sets memory aside for all its connections when it starts. Those bytes are the
    connections', so it is compared with an nginx that has few."""
    few, port = nginx.proxy(scene, upstream, nginx.PLAIN, name="nginx-few", connections=512)
    before = loaded_bytes(few, port, arguments)
    scene.end(few)
    # With fewer than a sixteenth of them left it closes idle ones.
    connections = arguments.idle_connections * 9 // 8 + 512
    process, port = nginx.proxy(scene, upstream, nginx.PLAIN, name="nginx-idle", connections=connections)
    return held(scene, upstream, arguments, process, port, before)


def loaded_bytes(process, port, arguments):
    """What it holds after a second of load: that is not the idle connections'."""
    load.wrk(f"http://127.0.0.1:{port}/plain/x", 1, arguments.connections)
    time.sleep(1)
    return accounts.resident_bytes(process.pid)


def held(scene, upstream, arguments, process, port, before=None):
    """Opens the connections, weighs the proxy, and ends it."""
    own = loaded_bytes(process, port, arguments)
    before = own if before is None else before
    connections = []
    try:
        for _ in range(arguments.idle_connections):
            connections.append(connect(port))
        time.sleep(2)
        after = accounts.resident_bytes(process.pid)
        still_there(connections)
    except OSError as error:
        raise Problem(f"{process.name} held {len(connections)} connections, then: {error}") from None
    finally:
        for connection in connections:
            connection.close()
    scene.end(process)
    return {"before": before, "after": after, "bytes": (after - before) / arguments.idle_connections}


def connect(port):
    """A connection that has asked once and has the whole answer."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(REQUEST)
    answer(connection)
    return connection


def answer(connection):
    received = b""
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < 1024:
        more = connection.recv(16384)
        if not more:
            raise OSError("it was closed")
        received += more
    if not received.startswith(b"HTTP/1.1 200"):
        raise OSError(f"it was answered {received[:40]!r}")


def still_there(connections):
    """The first and the last can be used again."""
    for connection in (connections[0], connections[-1]):
        connection.sendall(REQUEST)
        answer(connection)
