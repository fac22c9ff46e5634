"""A real gateway from the built binary, with every provider's API behind it. Owns the configuration and the process."""

import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

import signed
from providers import PROVIDERS

HERE = pathlib.Path(__file__).parent
# What deployments of a provider have besides, as TOML, and the end of its models' names.
SETTINGS = {
    "bedrock": (
        f'region = "{signed.REGION}"\naws = {{ access_key_id = "aws-id", secret_access_key = "aws-key", session_token = "aws-token" }}\n',
        "-v1:0",
    )
}
FAULTS = ["busy", "broken", "overloaded", "breaks", "slow"]
# Upstreams at which nobody takes a connection, and at which nobody answers.
UPSTREAMS = ["away", "silent"]


TAKEN = set()


def free_port():
    """Another one each time: the system may give out again what nobody listens on yet."""
    while True:
        with socket.socket() as it:
            it.bind(("127.0.0.1", 0))
            port = it.getsockname()[1]
        if port not in TAKEN:
            TAKEN.add(port)
            return port


# Models for embeddings of providers that have an API of their own for them: by name, the
# provider, its model, and what else it needs.
VERTEX = 'project = "my-project"\nregion = "europe-west4"\n'
EMBEDDINGS = {
    "vertex": ("vertex", "text-embedding-005", VERTEX),
    "vertex-gemini": ("vertex", "gemini-embedding-2", VERTEX),
    "bedrock-cohere": ("bedrock", "cohere.embed-v4:0", SETTINGS["bedrock"][0]),
    "bedrock-titan": ("bedrock", "amazon.titan-embed-text-v2:0", SETTINGS["bedrock"][0]),
}


def deployments():
    """Every provider's deployments and models, as TOML."""
    text = ""
    for name, (provider, model, settings) in EMBEDDINGS.items():
        upstream = "signed" if provider == "bedrock" else "providers"
        text += f'\n[plugins.models.config.deployments.{name}]\nupstream = "{upstream}"\n'
        text += f'provider = "{provider}"\nmodel = "{model}"\n{settings}'
        text += f'[plugins.models.config.models.{name}]\ndeployments = [{{ name = "{name}" }}]\n'
    for provider in PROVIDERS:
        for fault in ["", *(f"-{fault}" for fault in [*FAULTS, *UPSTREAMS])]:
            name, (settings, version) = provider + fault, SETTINGS.get(provider, ("", ""))
            upstream = "signed" if provider == "bedrock" else "providers"
            upstream = fault[1:] if fault[1:] in UPSTREAMS else upstream
            text += f'\n[plugins.models.config.deployments.{name}]\nupstream = "{upstream}"\n'
            text += f'provider = "{provider}"\nmodel = "{fault[1:] or "model"}-of-{provider}{version}"\n{settings}'
            text += f'[plugins.models.config.models.{name}]\ndeployments = [{{ name = "{name}" }}]\n'
            if fault:
                text += f"[plugins.models.config.models.{name}-next]\n"
                text += f'deployments = [{{ name = "{name}" }}, {{ name = "{provider}", priority = 1 }}]\n'
    return text


class Gateway:
    def __init__(self, binary, component, file=None, change=lambda text: text):
        self.folder = tempfile.TemporaryDirectory()
        self.port, self.admin, stand_in = free_port(), free_port(), free_port()
        text = (file or HERE / "models.toml").read_text()
        self.silent = socket.create_server(("127.0.0.1", 0))
        text = text.replace(":8083", f":{free_port()}").replace(":8084", f":{self.silent.getsockname()[1]}")
        text = text.replace(":8082", f":{signed.serve(stand_in)}")
        text = text.replace(":8080", f":{self.port}").replace(":8081", f":{stand_in}").replace(":9090", f":{self.admin}")
        text = re.sub(r'[^"]*model_server\.wasm', str(pathlib.Path(component).resolve()), text)
        if not file:
            text = text.replace('\n[[routes]]\nname = "openai"', f'{deployments()}\n[[routes]]\nname = "openai"')
        text = change(text)
        file = pathlib.Path(self.folder.name, "gateway.toml")
        file.write_text(text)
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+")
        secrets = {"AWS_ACCESS_KEY_ID": signed.KEY_ID, "AWS_SECRET_ACCESS_KEY": signed.KEY, "AWS_SESSION_TOKEN": signed.TOKEN}
        environment = {**os.environ, **secrets, "OPENAI_API_KEY": "any"}
        self.process = subprocess.Popen([binary, "run", str(file)], stdout=self.log, stderr=self.log, env=environment)
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the gateway does not start:\n{self.logged()}")
                time.sleep(0.1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.silent.close()
        self.log.close()
        self.folder.cleanup()

    def logged(self):
        self.log.seek(0)
        return self.log.read()

    def count(self, outcome, model):
        """How many requests for a model had an outcome, by the metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        counts = [
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if re.match(r"\w*gen_ai_requests\w*\{", line)
            and f'outcome="{outcome}"' in line
            and f'gen_ai_request_model="{model}"' in line
        ]
        return sum(counts)
