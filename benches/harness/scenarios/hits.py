"""Hits of a cache: the gateway's plugin `cache`, nginx's `proxy_cache` and Varnish, with objects of 1 KiB, 64 KiB
and 1 MiB that are fresh all the time. Varnish is left out where it is not installed."""

import time
import urllib.request

from .. import load, report as reports
from ..peers import gateway, nginx, varnish
from ..stage import LOAD_CORE, Problem
from .proxying import warm

SIZES = {"1k": 1 << 10, "64k": 64 << 10, "1m": 1 << 20}

ORIGIN = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder};
    expires 1h;
    location = /connections {{ stub_status; }}
  }}
"""

GATEWAY = """
[plugins.cache]
component = "cache"
[[routes]]
name = "hits"
paths = ["/{*rest}"]
plugins = ["cache"]
upstream = "service"
"""


def run(scene, upstream, report, arguments):
    # nginx's workers are of another user where it is started by root.
    scene.folder.chmod(0o711)
    origin = Origin(scene)
    started = {
        "gateway": gateway.start(scene, arguments.gateway, origin, GATEWAY, name="gateway-hits"),
        "nginx": nginx.proxy(scene, origin, parts(scene), name="nginx-hits"),
    }
    lack = varnish.missing()
    if lack:
        print(f"Varnish is left out: {lack}")
    else:
        started["Varnish"] = varnish.start(scene, origin)
    contenders = {}
    for size, length in SIZES.items():
        for name, (process, port) in started.items():
            url = f"http://127.0.0.1:{port}/{size}"
            check(name, url, length)
            contenders[f"{name}, {size}"] = load.loader(process, upstream, url, arguments)
    warm(contenders)
    before = origin.asked()
    rows = reports.interleaved(arguments.rounds, contenders)
    if origin.asked() - before > 1 + len(contenders):
        raise Problem("not all were hits: the origin was asked")
    for process, _ in started.values():
        scene.end(process)
    scene.end(origin.process)
    for size in SIZES:
        found = {name: row for name, row in rows.items() if name.endswith(f", {size}")}
        reports.table(f"Hits of {size}; ratios to nginx", found, f"nginx, {size}")
        report.say(f"hit_{size}_vs_nginx", reports.ratio(rows[f"gateway, {size}"], rows[f"nginx, {size}"]))
        if f"Varnish, {size}" in rows:
            report.say(f"hit_{size}_vs_varnish", reports.ratio(rows[f"gateway, {size}"], rows[f"Varnish, {size}"]))
    report.keep("hits", rows)
    report.watch(rows)


class Origin:
    """Files that are fresh for an hour."""

    def __init__(self, scene):
        self.port = scene.port()
        for name, length in SIZES.items():
            scene.write(f"origin/{name}", "x" * length)
        body = ORIGIN.format(port=self.port, folder=scene.folder / "origin")
        self.process = nginx.start(scene, "origin", body, self.port, LOAD_CORE)

    def asked(self):
        """How many requests it had so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/connections") as answer:
            return int(answer.read().decode().splitlines()[2].split()[2])


def parts(scene):
    zone = f"sendfile on; tcp_nopush on; proxy_cache_path {scene.folder}/nginx-cache keys_zone=hits:10m inactive=1h;"
    return {"http": zone, "location": "proxy_cache hits; add_header X-Cache $upstream_cache_status;"}


def check(name, url, length):
    """That it is a hit, and whole."""
    for _ in range(20):
        with urllib.request.urlopen(url) as answer:
            body, age = answer.read(), answer.headers.get("age") or answer.headers.get("x-cache")
        if len(body) != length:
            raise Problem(f"{name} answers with {len(body)} bytes instead of {length}")
        if age not in (None, "MISS", "0") or "hit" in (answer.headers.get("cache-status") or ""):
            return
        time.sleep(0.1)
    raise Problem(f"{name} does not answer from its cache")
