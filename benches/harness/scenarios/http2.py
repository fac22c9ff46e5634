"""HTTP/2 over TLS from clients, HTTP/1.1 to the upstream: the gateway and nginx, plain proxying.

The load has a quarter as many connections as `--connections` says, with four streams each."""

import subprocess

from .. import load, report as reports
from ..peers import gateway, nginx
from ..stage import Problem, need
from .proxying import warm

STREAMS = 4


def run(scene, upstream, report, arguments):
    need("h2load", "openssl")
    certificate, key = certify(scene)
    ours = gateway.start(
        scene, arguments.gateway, upstream, gateway.PLAIN, name="gateway-h2",
        listener=f'tls = {{ certificate = "{certificate}", key = "{key}" }}',
    )
    tls = {"tls": " ssl http2", "server": f"ssl_certificate {certificate}; ssl_certificate_key {key};"}
    theirs = nginx.proxy(scene, upstream, tls, name="nginx-h2")
    contenders = {
        name: loader(scene, process, upstream, port, arguments)
        for name, (process, port) in {"gateway, h2": ours, "nginx, h2": theirs}.items()
    }
    warm(contenders)
    rows = reports.interleaved(arguments.rounds, contenders)
    for process, _ in (ours, theirs):
        scene.end(process)
    reports.table("HTTP/2 over TLS in, HTTP/1.1 out", rows, "nginx, h2")
    report.keep("h2", rows)
    report.watch(rows)
    report.say("h2_vs_nginx", reports.ratio(rows["gateway, h2"], rows["nginx, h2"]))


def loader(scene, process, upstream, port, arguments):
    url, log = f"https://127.0.0.1:{port}/plain/x", scene.folder / "h2load.log"
    connections = max(1, arguments.connections // STREAMS)

    def measure(seconds=arguments.seconds):
        return load.measure(process, upstream, lambda: load.h2load(url, seconds, connections, STREAMS, log))

    return measure


def certify(scene):
    """A certificate for the run, and its key."""
    certificate, key = scene.folder / "bench.pem", scene.folder / "bench.key"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        capture_output=True, text=True,
    )
    if made.returncode != 0:
        raise Problem(f"openssl makes no certificate: {made.stderr.strip().splitlines()[-1:]}")
    return certificate, key
