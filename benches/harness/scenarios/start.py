"""From the start of the gateway's process to its first answer, through ten plugins that were compiled
before. The first start compiles them and does not count."""

import socket
import statistics
import time

from ..peers import gateway
from ..stage import KEY, Problem

# Ten: the three of the chain, and seven more of the same kinds.
MORE = """
[plugins.shape{number}]
component = "transform"
config = {{ request = {{ headers = {{ set = {{ x-from-{number} = "gateway" }} }} }} }}
"""
ROUTE = """
[[routes]]
name = "ten"
paths = ["/chain/{{*rest}}"]
plugins = {plugins}
upstream = "service"
"""
STARTS = 10


def run(scene, upstream, report, arguments):
    extra = [f"shape{number}" for number in range(7)]
    body = gateway.PLUGINS + "".join(MORE.format(number=number) for number in range(7))
    body += ROUTE.format(plugins=["keys", "limit", "shape", *extra])
    took = []
    for start in range(STARTS + 1):
        port = scene.port()
        config = gateway.write(scene, "start", port, upstream.port, body)
        begun = time.perf_counter()
        process = scene.start("gateway-start", [arguments.gateway, "run", config])
        first_answer(process, port)
        if start:
            took.append((time.perf_counter() - begun) * 1000)
        scene.end(process)
    print(f"\nFrom start to the first answer with ten plugins: {statistics.median(took):.1f} ms ({min(took):.1f} .. {max(took):.1f})")
    report.keep("start", took)
    report.say("start_ms", statistics.median(took), digits=1)


def first_answer(process, port):
    limit = time.monotonic() + 60
    request = f"GET /chain/x HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\n\r\n".encode()
    while time.monotonic() < limit:
        if process.popen.poll() is not None:
            raise Problem(f"{process.name} ended at once: {process.last_words()}")
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                connection.sendall(request)
                received = connection.recv(4096)
                if not received.startswith(b"HTTP/1.1 200"):
                    raise Problem(f"{process.name} answers {received[:40]!r}")
                return
        time.sleep(0.0005)
    raise Problem(f"{process.name} does not answer: {process.last_words()}")
