"""Whether a request costs more with two workers than with one: the gateway, plain proxying. Both may
use both cores here, which the load and the upstream use too, so only the two can be compared with
each other."""

from .. import load, report as reports
from ..peers import gateway
from ..stage import BOTH_CORES
from .proxying import warm


def run(scene, upstream, report, arguments):
    started, contenders = [], {}
    for workers in (1, 2):
        process, port = gateway.start(
            scene, arguments.gateway, upstream, gateway.PLAIN, name=f"workers-{workers}", workers=workers, core=BOTH_CORES
        )
        started.append(process)
        url = f"http://127.0.0.1:{port}/plain/x"
        contenders[f"workers: {workers}"] = load.loader(process, upstream, url, arguments, core=BOTH_CORES)
    warm(contenders)
    rows = reports.interleaved(arguments.rounds, contenders)
    for process in started:
        scene.end(process)
    reports.table("One worker and two; load, upstream and gateway share the cores", rows, "workers: 1")
    report.keep("workers", rows)
    report.watch(rows)
    report.say("two_workers", reports.ratio(rows["workers: 2"], rows["workers: 1"]))
