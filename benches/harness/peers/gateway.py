"""The gateway, with all its defaults. Its chain is the first-party plugins `auth`, `rate-limit` and
`transform`, which are WebAssembly components."""

import pathlib
import subprocess

from ..stage import PROXY_CORE, Problem, first_line

CONFIG = """
[gateway]
workers = {workers}
cache_dir = "{cache}"

[[listeners]]
name = "bench"
address = "127.0.0.1:{port}"
{listener}

[upstreams.service]
targets = ["http://127.0.0.1:{upstream}"]
keep_alive = {{ connections = 128, idle = "1h" }}
{body}
"""

PLAIN = """
[[routes]]
name = "plain"
paths = ["/plain/{*rest}"]
upstream = "service"
"""

# The digest is that of stage.KEY.
PLUGINS = """
[plugins.keys]
component = "auth"
[[plugins.keys.config.api_key.keys]]
id = "bench"
digest = "sha256:130a82f68d3064ef477880b571abfcf0f1f4aac4f9cd161aea5e6b543d2ee2d8"
consumer = "bench"

[plugins.limit]
component = "rate-limit"
[[plugins.limit.config.policies]]
name = "ample"
limit = 100000000
window = "1s"
key = ["consumer.id"]

[plugins.shape]
component = "transform"
[plugins.shape.config.request.headers.set]
x-from = "gateway"
[plugins.shape.config.response.headers.set]
x-by = "gateway"
"""

CHAIN = PLUGINS + """
[[routes]]
name = "chain"
paths = ["/chain/{*rest}"]
plugins = ["keys", "limit", "shape"]
upstream = "service"
"""

# The same work where nothing is known before a request: what the key arrives with is another each
# time, and an edit has a template.
CALLED = CHAIN.replace("/chain/", "/called/").replace(
    "[[plugins.keys.config.api_key.keys]]",
    '[plugins.keys.config.api_key]\nheader = "x-api-key"\nquery = "key"\n[[plugins.keys.config.api_key.keys]]',
).replace('x-from = "gateway"', 'x-from = "${request.header.x-none|gateway}"')


class Gateway:
    name = "gateway"
    kind = "gateway"
    works = {"plain": PLAIN, "chain": CHAIN, "called": CALLED}

    def __init__(self, binary):
        self.binary = pathlib.Path(binary).resolve()

    def missing(self):
        if not self.binary.is_file():
            return f"there is no {self.binary}; `cargo build --profile dist` makes it"
        return None

    def version(self):
        return first_line([self.binary, "--version"])

    def start(self, scene, work, upstream):
        return start(scene, self.binary, upstream, self.works[work], name=f"gateway-{work}")


def start(scene, binary, upstream, body, name="gateway", workers=1, listener="", core=PROXY_CORE):
    """A gateway with these plugins and routes, and its port."""
    port = scene.port()
    config = write(scene, name, port, upstream.port, body, workers, listener)
    prepare(binary, config)
    return scene.start(name, [binary, "run", config], core, port), port


def prepare(binary, config):
    """Has the plugins compiled into the cache, so that no figure has a part of that."""
    checked = subprocess.run([binary, "check", config], capture_output=True, text=True)
    if checked.returncode != 0:
        told = (checked.stderr or checked.stdout).strip().splitlines()
        raise Problem(f"the gateway refuses {config.name}: {told[0] if told else checked.returncode}")


def write(scene, name, port, upstream, body, workers=1, listener=""):
    """Its configuration. All share a cache of compiled plugins."""
    text = CONFIG.format(
        workers=workers, cache=scene.folder / "cache", port=port, listener=listener, upstream=upstream, body=body
    )
    return scene.write(f"{name}.{port}.toml", text)


def component(folder, name):
    """The path of a plugin of the benchmarks."""
    path = folder / f"{name}.wasm"
    if not path.is_file():
        raise Problem(f"there is no {path}; benches/install-peers builds it")
    return path
