"""What it costs to see what happens: the gateway with nothing of it, with all defaults, and with each
further part, for plain proxying and for the chain. All in one run, so that the rounds interleave."""

from .. import load, report as reports
from ..peers import gateway
from ..stage import LOAD_CORE, VENV
from .proxying import warm

ADMIN = '\n[admin]\naddress = "127.0.0.1:0"\n'
NO_RECORDER = "\n[recorder]\nsize = 0\n"
# Names of rows, and what is added to the configuration. The first is what the others are compared with.
PARTS = {
    "off": "",
    "metrics": ADMIN + NO_RECORDER,
    "defaults": ADMIN,
    "and usage": ADMIN + '\n[usage]\nstore = "usage-{port}.db"\n',
    "and access log": ADMIN + '\n[access_logs.traffic]\nfile = {{ path = "access-{port}.log" }}\n',
    "and 1% traces": ADMIN + '\n[traces]\nendpoint = "http://127.0.0.1:{collector}"\nsample = 0.01\n',
    "and all traces": ADMIN + '\n[traces]\nendpoint = "http://127.0.0.1:{collector}"\nsample = 1.0\n',
}
WORKS = {"plain": gateway.PLAIN, "chain": gateway.CHAIN}


def run(scene, upstream, report, arguments):
    collector = start_collector(scene)
    started, contenders = [], {}
    for name, part in PARTS.items():
        if "{collector}" in part and not collector:
            continue
        for work, body in WORKS.items():
            port = scene.next_port
            body += part.format(port=port, collector=collector) if part else ""
            if "access_logs" in part:
                body = body.replace("\nupstream = ", '\naccess_log = "traffic"\nupstream = ')
            process, port = gateway.start(scene, arguments.gateway, upstream, body, name=f"observed-{work}-{port}")
            started.append(process)
            contenders[f"{work}, {name}"] = load.loader(process, upstream, f"http://127.0.0.1:{port}/{work}/x", arguments)
    contenders = dict(sorted(contenders.items(), key=lambda it: it[0].startswith("chain")))
    warm(contenders)
    rows = reports.interleaved(arguments.rounds, contenders)
    for process in started:
        scene.end(process)
    for work in WORKS:
        of_work = {name: row for name, row in rows.items() if name.startswith(work)}
        reports.table(f"What is seen of a request, {work}; ratios to nothing", of_work, f"{work}, off")
        report.say(f"{work}_defaults", reports.ratio(rows[f"{work}, defaults"], rows[f"{work}, off"]))
    report.keep("observed", rows)
    report.watch(rows)


def start_collector(scene):
    """A collector of spans that throws them away, on the load's core; its port, if it is installed."""
    agents = list(VENV.glob("lib/python*/site-packages/rotel/rotel-agent"))
    if not agents:
        print("traces are left out: there is no rotel; benches/install-peers installs it")
        return None
    http, grpc = scene.port(), scene.port()
    scene.start("rotel", [
        agents[0], "start", "--exporter", "blackhole",
        "--otlp-http-endpoint", f"127.0.0.1:{http}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}",
    ], LOAD_CORE, http)
    return http
