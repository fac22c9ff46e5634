#!/usr/bin/env bash
# A server that ends its connections in order over HTTP/2 sends GOAWAY with the number of the last stream that it will still
# answer (RFC 9113 section 6.8). httpx fails the request of that very stream: `RemoteProtocolError` with a
# `ConnectionTerminated` that names its own stream as the last one, although the response comes 200 ms later. Below
# it, `h2` takes the connection for closed at a GOAWAY and refuses the head that follows. So each reload or restart of a
# proxy costs programs with `httpx.Client(http2=True)` the requests that are under way, which other clients do not notice.
#
# Seen with httpx 0.28.1, httpcore 1.0.9 and h2 4.4.1 on Python 3.11.7 (PyPI):
#     without GOAWAY: fine
#     with GOAWAY: RemoteProtocolError <ConnectionTerminated error_code:0, last_stream_id:1, additional_data:None>
#     h2 alone: ProtocolError Invalid input ConnectionInputs.RECV_HEADERS in state ConnectionState.CLOSED
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check httpx==0.28.1 httpcore==1.0.9 h2==4.4.1 hyperframe==6.1.0
cat > ask.py <<'PY'
import socket
import threading
import time

import h2.config
import h2.connection
import h2.events
import httpx
from hyperframe.frame import GoAwayFrame

HEAD = [(":status", "200"), ("content-type", "text/plain")]


def connection(is_client):
    return h2.connection.H2Connection(h2.config.H2Configuration(client_side=is_client))


def goaway():
    """No error, and the first stream is still answered."""
    frame = GoAwayFrame(0)
    frame.last_stream_id = 1
    return frame.serialize()


def serve(listener, in_order):
    peer, _ = listener.accept()
    with peer:
        http = connection(False)
        http.initiate_connection()
        ended = False
        while not ended:
            peer.sendall(http.data_to_send())
            ended = any(isinstance(event, h2.events.StreamEnded) for event in http.receive_data(peer.recv(65536)))
        peer.sendall(http.data_to_send())
        if in_order:
            peer.sendall(goaway())
            time.sleep(0.2)
        http.send_headers(1, HEAD)
        http.send_data(1, b"fine", end_stream=True)
        peer.sendall(http.data_to_send())
        time.sleep(0.5)


for in_order in [False, True]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener, in_order), daemon=True).start()
        name = "with GOAWAY" if in_order else "without GOAWAY"
        with httpx.Client(http1=False, http2=True, trust_env=False, timeout=10) as client:
            try:
                print(f"{name}: {client.get(f'http://127.0.0.1:{listener.getsockname()[1]}/').text}")
            except httpx.HTTPError as error:
                print(f"{name}: {type(error).__name__} {error}")

client, server = connection(True), connection(False)
client.initiate_connection()
server.initiate_connection()
client.send_headers(1, [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")], end_stream=True)
server.receive_data(client.data_to_send())
client.receive_data(server.data_to_send() + goaway())
server.send_headers(1, HEAD)
try:
    client.receive_data(server.data_to_send())
    print("h2 alone: fine")
except h2.exceptions.ProtocolError as error:
    print(f"h2 alone: {type(error).__name__} {error}")
PY
timeout 60 venv/bin/python ask.py | tee seen
diff seen - <<'SEEN'
without GOAWAY: fine
with GOAWAY: RemoteProtocolError <ConnectionTerminated error_code:0, last_stream_id:1, additional_data:None>
h2 alone: ProtocolError Invalid input ConnectionInputs.RECV_HEADERS in state ConnectionState.CLOSED
SEEN
