#!/usr/bin/env bash
# The official client of A2A in Python does not read the body of a refusal: of an error of JSON-RPC that comes with status 403 or
# 429, its user learns the status and nothing of the reason, not even from the exception's cause. The same error with status 200 is
# raised with its message, as the error of A2A that its code is (-32004, an operation that is not supported).
#
# Seen with a2a-sdk 1.3.0 on Python 3.11.7 (PyPI):
#     200: UnsupportedOperationError, the reason is told
#     403: A2AClientError, the reason is lost
#     429: A2AClientError, the reason is lost
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check a2a-sdk==1.3.0
cat > ask.py <<'PY'
import asyncio
import http.server
import json
import threading

import httpx
from a2a.client.client import ClientConfig
from a2a.client.client_factory import create_client
from a2a.types.a2a_pb2 import AgentCard, AgentInterface, GetTaskRequest


class Agent(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        error = {"code": -32004, "message": "not on Sundays"}
        body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()
        self.send_response(int(asked["params"]["id"]))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent)
threading.Thread(target=server.serve_forever, daemon=True).start()


def told(error):
    while error is not None:
        if "Sundays" in str(error):
            return "told"
        error = error.__cause__ or error.__context__
    return "lost"


async def main():
    interface = AgentInterface(url=f"http://127.0.0.1:{server.server_port}/", protocol_binding="JSONRPC", protocol_version="1.0")
    async with httpx.AsyncClient() as http_client:
        client = await create_client(AgentCard(supported_interfaces=[interface]), ClientConfig(httpx_client=http_client))
        for status in ("200", "403", "429"):
            try:
                await client.get_task(GetTaskRequest(id=status))
            except Exception as error:
                print(f"{status}: {type(error).__name__}, the reason is {told(error)}")


asyncio.run(main())
PY
seen=$(venv/bin/python ask.py)
printf '%s\n' "$seen"
[ "$seen" = "200: UnsupportedOperationError, the reason is told
403: A2AClientError, the reason is lost
429: A2AClientError, the reason is lost" ]
