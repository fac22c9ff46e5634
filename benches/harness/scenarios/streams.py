"""Many event streams at once through a plugin that reads every piece of them: the gateway's memory
stays flat, and a stream holds no instance of the plugin. The plugin may have four instances; every
stream must get its events all the same."""

import json
import resource
import statistics
import sys
import time

from .. import accounts
from ..peers import gateway
from ..stage import BENCHES, COMPONENTS, LOAD_CORE, Problem

INSTANCES = 4
# Files that the gateway has open besides.
SPARE = 100

BODY = """
[plugins.reads]
component = "{component}"
limits = {{ instances = {instances} }}

[[routes]]
name = "streams"
paths = ["/streams/{{*rest}}"]
plugins = ["reads"]
upstream = "service"
"""


def run(scene, upstream, report, arguments):
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if arguments.streams * 2 + SPARE > files:
        most = (files - SPARE) // 2
        raise Problem(f"a stream takes two files of the gateway's {files}; --streams {most} is the most here")
    service = Service(scene)
    component = gateway.component(COMPONENTS, "reads_chunks")
    body = BODY.format(component=component, instances=INSTANCES)
    process, port = gateway.start(scene, arguments.gateway, service, body, name="gateway-streams")
    before = accounts.resident_bytes(process.pid)
    client = scene.start("streams", program("hold", port, arguments.streams), LOAD_CORE)
    wait_until_open(client, arguments.streams)
    used, begun, memory = accounts.cpu_seconds(process.pid), time.monotonic(), []
    events = last_line(client)["events"]
    for _ in range(arguments.stream_seconds):
        time.sleep(1)
        memory.append(accounts.resident_bytes(process.pid))
    figures = last_line(client)
    took, events = time.monotonic() - begun, figures["events"] - events
    used = accounts.cpu_seconds(process.pid) - used
    for each in (client, process, service.process):
        scene.end(each)
    sum_up(report, arguments, before, memory, figures, used, took, events)


def sum_up(report, arguments, before, memory, figures, used, took, events):
    if figures["alive"] < arguments.streams:
        told = f"{figures['alive']} of {arguments.streams} streams got an event in the last ten seconds"
        raise Problem(f"only {told}; {figures['open']} are open")
    quarter = max(1, len(memory) // 4)
    first, last = statistics.mean(memory[:quarter]), statistics.mean(memory[-quarter:])
    each = (last - before) / arguments.streams
    print(
        f"\n{arguments.streams} event streams for {took:.0f} s, through a plugin of at most {INSTANCES} instances: "
        f"all got their events\n"
        f"memory {first / 2**20:.1f} MiB in the first quarter, {last / 2**20:.1f} MiB in the last; "
        f"{each:.0f} bytes a stream; {used / events * 1e6:.1f} µs CPU an event"
    )
    report.keep("streams", {"before": before, "memory": memory, "events": events, "cpu_seconds": used})
    report.say("streams_growth", last / first)
    report.say("stream_bytes", each, digits=0)


class Service:
    """The upstream of the streams."""

    def __init__(self, scene):
        self.port = scene.port()
        self.process = scene.start("events", program("serve", self.port), LOAD_CORE, self.port)


def program(*arguments):
    return [sys.executable, BENCHES / "harness" / "event_streams.py", *arguments]


def wait_until_open(client, count):
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if client.popen.poll() is not None:
            raise Problem(f"the client of the streams ended: {client.last_words()}")
        if last_line(client)["alive"] == count:
            # And a little more, until what is allocated at first is.
            time.sleep(2)
            return
        time.sleep(0.2)
    raise Problem(f"only {last_line(client)['alive']} of {count} streams get events")


def last_line(client):
    words = client.last_words()
    return json.loads(words) if words.startswith("{") else {"alive": 0, "events": 0}
