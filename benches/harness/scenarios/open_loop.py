"""Latency at a constant arrival rate: plain proxying, by the gateway and nginx, at half of the rate
at which the slower of the two is saturated. Latency counts from when a request was to be sent."""

import statistics

from .. import load, report as reports
from ..peers import gateway, nginx
from ..stage import BUILT, Problem
from .proxying import warm

# Microseconds by which the generator may come too late for one request in a hundred.
LATE = 100


def run(scene, upstream, report, arguments):
    if not (BUILT / "open-loop").is_file():
        raise Problem("the generator open-loop is not built; benches/install-peers builds it")
    saturated = saturation(scene, upstream, arguments)
    rate = min(saturated.values()) / 2
    service = Service(scene.port())
    proxies = start(scene, service, arguments)
    contenders = {
        f"{name}, open loop": loader(process, service, port, rate, arguments)
        for name, (process, port) in proxies.items()
    }
    warm(contenders)
    rows = reports.interleaved(arguments.rounds, contenders)
    for process, _ in proxies.values():
        scene.end(process)
    reports.table(f"{rate:.0f} requests a second, evenly spaced", rows, "nginx, open loop")
    for name, figures in rows.items():
        late = sum(row["late_p99_us"] > LATE for row in figures)
        note = f"; the generator itself was late in {late} of {len(figures)} rounds, so the machine was not quiet" if late else ""
        print(f"{name}: p99.9 {reports.median(figures, 'p999_us'):.0f} µs, longest {reports.median(figures, 'max_us'):.0f} µs{note}")
    report.keep("open", {"saturated": saturated, "rate": rate, "rows": rows})
    report.watch(rows)
    report.say("p99_vs_nginx", reports.ratio(rows["gateway, open loop"], rows["nginx, open loop"], "p99_us"))


class Service:
    """The service behind the proxies, which the generator is while it runs."""

    process = None

    def __init__(self, port):
        self.port = port
        self.connections = 0

    def accepted(self):
        return self.connections


def start(scene, service, arguments):
    return {
        "gateway": gateway.start(scene, arguments.gateway, service, gateway.PLAIN, name="gateway-open"),
        "nginx": nginx.proxy(scene, service, nginx.PLAIN, name="nginx-open"),
    }


def saturation(scene, upstream, arguments):
    """Requests a second over connections that are never idle: the median of three short looks."""
    proxies = start(scene, upstream, arguments)
    looks = {
        name: load.loader(process, upstream, f"http://127.0.0.1:{port}/plain/x", arguments)
        for name, (process, port) in proxies.items()
    }
    warm(looks)
    rates = {name: statistics.median(look(seconds=1)["rate"] for _ in range(3)) for name, look in looks.items()}
    for process, _ in proxies.values():
        scene.end(process)
    return rates


def loader(process, service, port, rate, arguments):
    def generate(seconds):
        figures = load.open_loop(port, service.port, "/plain/x", rate, seconds, arguments.connections)
        service.connections += figures["accepted"]
        return figures

    def measure(seconds=arguments.seconds):
        return load.measure(process, service, lambda: generate(seconds))

    return measure
