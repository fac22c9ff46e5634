"""What one more plugin in the chain costs: the gateway with 0, 1, 2, 4 and 8 hops of a plugin that
reads one request field and sets one."""

import statistics

from .. import load, report as reports
from ..peers import gateway
from ..stage import COMPONENTS
from .proxying import warm

HOPS = (0, 1, 2, 4, 8)

PLUGIN = """
[plugins.hop{number}]
component = "{component}"
config = {{ header = "x-hop-{number}" }}
"""

ROUTE = """
[[routes]]
name = "hops"
paths = ["/plain/{{*rest}}"]
plugins = {plugins}
upstream = "service"
"""


def run(scene, upstream, report, arguments):
    started, contenders = [], {}
    for count in HOPS:
        process, port = gateway.start(scene, arguments.gateway, upstream, body(count), name=f"hops-{count}")
        started.append(process)
        contenders[f"{count} hops"] = load.loader(process, upstream, f"http://127.0.0.1:{port}/plain/x", arguments)
    warm(contenders)
    rows = reports.interleaved(arguments.rounds, contenders)
    for process in started:
        scene.end(process)
    reports.table("Hops of a minimal plugin; ratios to none", rows, "0 hops")
    report.keep("hops", rows)
    report.watch(rows)
    flawed = any(reports.flaw(figures) for figures in rows.values())
    slopes = [slope([rows[f"{count} hops"][at]["cpu_us"] for count in HOPS]) for at in range(arguments.rounds)]
    report.say("hop_ns", None if flawed else statistics.median(slopes) * 1000, digits=0)


def body(count):
    component = gateway.component(COMPONENTS, "hop")
    plugins = "".join(PLUGIN.format(number=number, component=component) for number in range(count))
    return plugins + ROUTE.format(plugins=[f"hop{number}" for number in range(count)])


def slope(costs):
    """By least squares, over the number of hops."""
    return statistics.linear_regression(HOPS, costs).slope
