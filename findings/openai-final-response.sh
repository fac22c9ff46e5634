#!/usr/bin/env bash
# OpenAI's client for Python gives a final response only for a stream that ends with `response.completed`. One that ends
# with `response.incomplete`, as an answer does that reaches `max_output_tokens`, or with `response.failed`, raises
# "Didn't receive a `response.completed` event." from `get_final_response()`: neither the text that came nor the error's
# message is in it. Read event by event, a failed response raises nothing at all. So who puts a bound on output tokens at
# a gateway breaks programs that used to get a final response, and an error in a stream of responses is shown only
# where it comes as an `error` event, or with a status.
#
# Seen with openai 3.57.0 on Python 3.11.7 (PyPI):
#     completed: final response completed, text 'good day'
#     incomplete: RuntimeError: Didn't receive a `response.completed` event.
#     failed: RuntimeError: Didn't receive a `response.completed` event.
#     failed, event by event: nothing raised
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openai==3.57.0
cat > ask.py <<'PY'
import http.server
import json
import threading

from openai import OpenAI


def response(status, **members):
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": status,
            "content": [{"type": "output_text", "text": "good day", "annotations": []}]}
    plain = {"id": "resp_1", "object": "response", "created_at": 0, "model": "m", "status": status,
             "output": [] if status in ("in_progress", "failed") else [item], "parallel_tool_calls": True,
             "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None,
             "instructions": None, "metadata": {}}
    return plain | members


ENDS = {
    "completed": {},
    "incomplete": {"incomplete_details": {"reason": "max_output_tokens"}},
    "failed": {"error": {"code": "server_error", "message": "The model ran out of memory."}},
}


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        end = asked["model"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        events = [("response.created", response("in_progress")), (f"response.{end}", response(end, **ENDS[end]))]
        for number, (kind, body) in enumerate(events):
            event = {"type": kind, "sequence_number": number, "response": body}
            self.wfile.write(f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(api_key="any", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)
for end in ENDS:
    try:
        with client.responses.stream(model=end, input="hello") as stream:
            final = stream.get_final_response()
        print(f"{end}: final response {final.status}, text {final.output_text!r}")
    except Exception as error:
        print(f"{end}: {type(error).__name__}: {error}")
for _ in client.responses.create(model="failed", input="hello", stream=True):
    pass
print("failed, event by event: nothing raised")
PY
seen=$(venv/bin/python ask.py)
printf '%s\n' "$seen"
[ "$seen" = "completed: final response completed, text 'good day'
incomplete: RuntimeError: Didn't receive a \`response.completed\` event.
failed: RuntimeError: Didn't receive a \`response.completed\` event.
failed, event by event: nothing raised" ]
