"""Instructions of the gateway's own code for one request, counted by valgrind's callgrind: the same
from run to run whatever else the machine does, so that a regression of two percent shows where time
shows nothing. What the kernel does for a request is not in it."""

import http.client
import itertools
import pathlib
import re
import shutil
import subprocess

from . import callgrind
from .peers import gateway
from .scenarios import hops
from .stage import KEY, Problem

# Under valgrind a hook is fifty times slower, and no deadline should see that.
PATIENT = '\\1\nlimits = { deadline = "10s" }'
WARM = 100
# What serves a connection, a request to the upstream included. Beside it the process looks at clocks and sockets, which it
# does by the time: more for each request on a busy machine.
TASK = "gateway::server::accepting::spawn_connection::{{closure}}"
# With somebody who can ask for metrics, requests are counted and hooks are timed.
COUNTED = '\n[admin]\naddress = "127.0.0.1:0"\n'
# An answer that is stored, and given again without the upstream.
CACHED = gateway.PLAIN.replace('upstream =', 'plugins = ["cache"]\nupstream =') + """
[plugins.cache]
component = "cache"
[plugins.cache.config]
default_ttl = "1h"
"""
# One experiment for each API key: a header and an attribute, and what becomes of the request is counted.
EXPERIMENT = gateway.PLAIN.replace('upstream =', 'plugins = ["experiments"]\nupstream =') + """
[plugins.experiments]
component = "experiments"
[plugins.experiments.config]
unit = ["header:x-api-key"]
[[plugins.experiments.config.experiments]]
name = "version"
header = "x-variant"
variants = [{ name = "control", weight = 50 }, { name = "next", weight = 50 }]
"""
# Two variants, drawn anew for each request, or by a field.
SPLIT = gateway.PLAIN.replace('upstream = "service"\n', "") + """
[routes.split]
variants = [{ name = "stable", upstream = "service", weight = 95 }, { name = "canary", upstream = "service", weight = 5 }]
"""
STICKY = SPLIT + 'by = ["header:x-api-key"]\n'
# As many routes as a large file has, beside the one that is asked for.
ROUTES = gateway.PLAIN + "".join(
    f"""
[[routes]]
name = "other{number}"
hosts = ["host{number % 50}.example", "*.wild{number % 20}.example"]
paths = ["/service{number}/{{id}}", "/plain/{number}/{{*rest}}"]
upstream = "service"
"""
    for number in range(1000)
)
# Differences, and no rows of their own: what one more plugin costs.
HOP, EDIT = "one more hop", "one more edit"
MORE = {HOP: ("1 hop", "5 hops"), EDIT: ("1 edit", "5 edits")}
# For what has to be another with each request.
NUMBERS = itertools.count()


def edits(count):
    """A chain of so many `transform`, each of which is called: as a hop it reads one field and sets one, and nothing has to be
    built for it."""
    plugins = "".join(
        f"""
[plugins.edit{number}]
component = "transform"
config.request.headers.set = {{ x-edit-{number} = "${{request.header.x-none|gateway}}" }}
"""
        for number in range(count)
    )
    names = ", ".join(f'"edit{number}"' for number in range(count))
    return gateway.PLAIN.replace("upstream =", f"plugins = [{names}]\nupstream =") + plugins


def rows():
    """What is counted: names, configurations and paths."""
    return {
        "plain": (gateway.PLAIN, "/plain/x"),
        "plain, counted": (gateway.PLAIN + COUNTED, "/plain/x"),
        "chain": (gateway.CHAIN, "/chain/x"),
        "chain, counted": (gateway.CHAIN + COUNTED, "/chain/x"),
        "called": (gateway.CALLED, "/called/x?n={}"),
        "cache hit": (CACHED, "/plain/x"),
        "experiment": (EXPERIMENT, "/plain/x"),
        "split": (SPLIT, "/plain/x"),
        "split by a field": (STICKY, "/plain/x"),
        "1,000 routes": (ROUTES, "/plain/x"),
        "1 edit": (edits(1), "/plain/x"),
        "5 edits": (edits(5), "/plain/x"),
        # Only where it is asked for: it has to be built.
        "1 hop": (lambda: hops.body(1), "/plain/x"),
        "5 hops": (lambda: hops.body(5), "/plain/x"),
    }


def count(scene, upstream, binary, requests, names=None):
    """Instructions a request, by row, and what one more plugin costs; of some rows alone, if they are named. Two figures each: of
    the process, and of the task of the connection alone, which is the same to a tenth of a percent each time."""
    if not shutil.which("valgrind"):
        raise Problem("not on the PATH: valgrind; apt-get install valgrind")
    names = set(rows()) if names is None else names
    for difference, pair in MORE.items():
        names = names.union(pair) if difference in names else names
    counted = {name: one(scene, upstream, binary, name, *row, requests) for name, row in rows().items() if name in names}
    add_differences(counted)
    return counted


def add_differences(counted):
    """What one more plugin costs, where both rows that show it are there."""
    for difference, (one, five) in MORE.items():
        if {one, five} <= counted.keys():
            counted[difference] = tuple((more - less) / 4 for more, less in zip(counted[five], counted[one]))


def one(scene, upstream, binary, name, body, path, requests):
    port = scene.port()
    body = body() if callable(body) else body
    body = re.sub(r'^(component = ".*")$', PATIENT, body, flags=re.MULTILINE)
    config = gateway.write(scene, name.replace(" ", "-"), port, upstream.port, body)
    gateway.prepare(pathlib.Path(binary).resolve(), config)
    out = scene.folder / f"callgrind.{port}"
    tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    process = scene.start(name, [*tool, pathlib.Path(binary).resolve(), "run", config], port=port)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    ask(connection, path, WARM)
    control(process, "-i", "on")
    ask(connection, path, WARM)
    control(process, "-z")
    ask(connection, path, requests)
    control(process, "-d")
    scene.end(process)
    dump = (out.parent / f"{out.name}.1").read_text()
    task = callgrind.inclusive(dump, TASK)
    if not task:
        raise Problem(f"{name}: nothing was counted of {TASK}")
    return callgrind.total(dump) / requests, task / requests


def control(process, *what):
    """The process obeys between two of its blocks of code."""
    told = subprocess.run(["callgrind_control", *what, str(process.pid)], capture_output=True, text=True)
    if told.returncode != 0:
        raise Problem(f"callgrind_control {' '.join(what)}: {(told.stderr or told.stdout).strip()}")


def ask(connection, path, times):
    for _ in range(times):
        connection.request("GET", path.format(next(NUMBERS)), headers={"x-api-key": KEY})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise Problem(f"{path} answers {answer.status}")
