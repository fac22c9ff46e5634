"""Clients and servers of other people over HTTP/2: refusals of uploads, and WebSocket (RFC 8441).

    pip install --requirement tests/http2-clients/requirements.txt
    npm install --prefix FOLDER        (with tests/http2-clients/package.json there)
    python tests/http2-clients/run.py FOLDER

Needs curl and openssl. GATEWAY names the program where it is not that of `cargo build`.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx
import wsproto
import wsproto.connection
import wsproto.events

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ.get("GATEWAY", HERE.parents[1] / "target/debug/gateway")
UPLOAD = 20_000_000

CONFIG = """
[[listeners]]
name = "clear"
address = "127.0.0.1:{clear}"

[[listeners]]
name = "encrypted"
address = "127.0.0.1:{encrypted}"
tls = {{ certificate = "{folder}/cert.pem", key = "{folder}/key.pem" }}

[upstreams.ws]
targets = ["http://127.0.0.1:{ws}"]

[upstreams.websockets]
targets = ["http://127.0.0.1:{websockets}"]

[plugins.keys]
component = "auth"
[plugins.keys.config.api_key]
header = "x-key"
# printf %s chat-example-key | sha256sum
keys = [{{ id = "chat", digest = "sha256:bcf3e111b9d2b629670a7dd924b5c0535b6f6b304d0f094654b831afed6e240f" }}]

[[routes]]
name = "closed"
paths = ["/closed"]
plugins = ["keys"]
upstream = "ws"

[upstreams.silent]
targets = ["http://127.0.0.1:{silent}"]

[[routes]]
name = "small"
paths = ["/small"]
limits = {{ body_size = "1KiB" }}
upstream = "silent"

[[routes]]
name = "answered"
paths = ["/answered"]
limits = {{ body_size = "1KiB" }}
upstream = "ws"
"""
ROUTE = """
[[routes]]
name = "{name}"
paths = ["/chat/{name}"]
upstream = "{name}"
"""
SERVERS = ["ws", "websockets"]


def free_port(taken=set()):
    while True:
        with socket.socket() as it:
            it.bind(("127.0.0.1", 0))
            port = it.getsockname()[1]
        if port not in taken:
            taken.add(port)
            return port


@contextlib.contextmanager
def running(port, *command):
    # A group of its own: `node` may be a script that starts the program.
    process = subprocess.Popen([str(word) for word in command], start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command} does not start")
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def pieces(after=0):
    time.sleep(after)
    for _ in range(UPLOAD // 100_000):
        yield b"x" * 100_000


def refusals(clear, encrypted, folder):
    """The answer to an upload that the gateway refuses reaches its client, whichever sends or reads first."""
    upload = folder / "upload"
    upload.write_bytes(b"x" * UPLOAD)
    addresses = [f"http://127.0.0.1:{clear}", f"https://localhost:{encrypted}"]
    for address in addresses:
        is_clear = address.startswith("http:")
        for path, status in [("/closed", 401), ("/small", 413)]:
            for version in ["--http1.1", "--http2-prior-knowledge" if is_clear else "--http2"]:
                for how in [["--upload-file", upload], ["--data-binary", f"@{upload}", "--header", "expect:"]]:
                    command = ["curl", "-q", "--silent", "--show-error", "--insecure", version, "--noproxy", "*", "--max-time", "30"]
                    command += ["--output", folder / "answer", "--write-out", "%{http_code}", *how, address + path]
                    told = subprocess.run(command, capture_output=True, text=True, check=False)
                    assert told.stdout == str(status), (command, told)
                    assert f'"status":{status}' in (folder / "answer").read_text().replace(" ", ""), path
            for http2 in [False, True]:
                with httpx.Client(http1=not http2, http2=http2, verify=False, trust_env=False, timeout=30) as client:
                    for content in [b"x" * UPLOAD, pieces()]:
                        answer = client.post(address + path, content=content)
                        assert answer.status_code == status and answer.json()["status"] == status, (address, path, http2)
                        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        # The server answers the head; what is too large comes behind that.
        for http2 in [False, True]:
            with httpx.Client(http1=not http2, http2=http2, verify=False, trust_env=False, timeout=30) as client:
                for _ in range(3):
                    answer = client.post(address + "/answered", content=pieces(after=0.3))
                    assert (answer.status_code, answer.text) == (426, "Upgrade Required"), (address, http2)


def slowly(clear):
    """The answer also reaches a client that sends for longer than the gateway waits for a silent one, before it reads."""
    with socket.create_connection(("127.0.0.1", clear), 20) as io:
        io.sendall(b"POST /closed HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(7):
            io.sendall(b"5\r\nabcde\r\n")
            time.sleep(1)
        io.sendall(b"0\r\n\r\n")
        answer = b""
        while data := io.recv(65536):
            answer += data
        assert answer.startswith(b"HTTP/1.1 401 "), answer
    with socket.create_connection(("127.0.0.1", clear), 20) as io:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        http.initiate_connection()
        http.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", "/closed"), (":authority", "a")])
        for _ in range(7):
            http.send_data(1, b"abcde")
            io.sendall(http.data_to_send())
            time.sleep(1)
        http.end_stream(1)
        io.sendall(http.data_to_send())
        seen = []
        while not any(isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)) for event in seen):
            seen += http.receive_data(io.recv(65536))
        heads = [dict(event.headers) for event in seen if isinstance(event, h2.events.ResponseReceived)]
        assert [head[b":status"] for head in heads] == [b"401"], seen


class Socket:
    """A WebSocket over a stream, of `h2` and `wsproto`."""

    def __init__(self, port, path):
        self.io = socket.create_connection(("127.0.0.1", port), 20)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.http.initiate_connection()
        self.ended, self.status = False, None
        self.socket = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
        while not self.http.remote_settings.enable_connect_protocol:
            self.turn()
        head = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": path, ":authority": "a.example"}
        self.http.send_headers(1, [*head.items(), ("sec-websocket-version", "13")])
        while self.status is None:
            self.turn()
        assert self.status == b"200", self.status

    def turn(self):
        self.io.sendall(self.http.data_to_send())
        data = self.io.recv(65536)
        assert data, "the connection has ended"
        for event in self.http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = dict(event.headers)[b":status"]
            elif isinstance(event, h2.events.DataReceived):
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.data:
                    self.socket.receive_data(event.data)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            assert not isinstance(event, h2.events.StreamReset), event
        self.io.sendall(self.http.data_to_send())

    def send(self, event):
        data = self.socket.send(event)
        while data:
            room = min(self.http.local_flow_control_window(1), self.http.max_outbound_frame_size, len(data))
            if room:
                self.http.send_data(1, data[:room])
                data = data[room:]
            else:
                self.turn()
        self.io.sendall(self.http.data_to_send())

    def receive(self):
        whole = None
        while True:
            for event in self.socket.events():
                if isinstance(event, (wsproto.events.CloseConnection, wsproto.events.Pong)):
                    return event
                whole = event.data if whole is None else whole + event.data
                if event.message_finished:
                    return whole
            self.turn()


def by_python(port, path):
    it = Socket(port, path)
    for message in ["text", "ü" * 100_000, b"\0\1" * 1_000_000]:
        it.send(wsproto.events.TextMessage(message) if isinstance(message, str) else wsproto.events.BytesMessage(message))
        assert it.receive() == message
    it.send(wsproto.events.Ping(b"there?"))
    assert it.receive().payload == b"there?"
    it.send(wsproto.events.CloseConnection(1000, "done"))
    assert it.receive().code == 1000
    it.http.end_stream(1)
    while not it.ended:
        it.turn()


def main():
    modules = pathlib.Path(sys.argv[1]).resolve()
    script = modules / "websocket.mjs"
    shutil.copy(HERE / "websocket.mjs", script)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        key += ["-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
        subprocess.run(key, check=True, capture_output=True)
        ports = {name: free_port() for name in ["clear", "encrypted", *(server.replace("-", "_") for server in SERVERS)]}
        stack.enter_context(running(ports["ws"], "node", script, "-", "-", "serve", ports["ws"]))
        stack.enter_context(running(ports["websockets"], sys.executable, HERE / "echo.py", ports["websockets"]))
        # Takes connections, and never answers.
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ports["silent"] = silent.getsockname()[1]
        config = folder / "gateway.toml"
        routes = "".join(ROUTE.format(name=name) for name in SERVERS)
        config.write_text(CONFIG.format(folder=folder, **ports) + routes)
        stack.enter_context(running(ports["clear"], BINARY, "run", config))
        for server in SERVERS:
            by_python(ports["clear"], f"/chat/{server}")
            for origin in [f"http://127.0.0.1:{ports['clear']}", f"https://localhost:{ports['encrypted']}"]:
                subprocess.run(["node", script, origin, f"/chat/{server}"], check=True, timeout=60)
            subprocess.run([sys.executable, HERE / "echo.py", f"ws://127.0.0.1:{ports['clear']}/chat/{server}"], check=True, timeout=60)
            print(f"WebSocket over HTTP/2 and HTTP/1.1 to {server}: as it should be")
        refusals(ports["clear"], ports["encrypted"], folder)
        slowly(ports["clear"])
        print("refusals of uploads reach curl and httpx over both versions, in clear and over TLS")


main()
