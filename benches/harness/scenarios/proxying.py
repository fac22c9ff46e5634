"""Plain proxying and the chain, by all peers that are installed."""

import re
import time

from .. import load, peers, report as reports
from ..stage import KEY, Problem, ask
from ..upstream import PAYLOAD


# A query that no request had before.
NEW_EACH_TIME = """
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, "/called/x?n=" .. n)
end
"""


def run(scene, upstream, report, arguments):
    contenders = {}
    started = []
    for peer in peers.every(arguments):
        lack = peer.missing()
        if lack:
            if peer.name in ("gateway", "nginx"):
                raise Problem(lack)
            print(f"{peer.name} is left out: {lack}")
            continue
        for work in (work for work in ("plain", "chain", "called") if work in wanted(arguments, peer)):
            try:
                process, port = peer.start(scene, work, upstream)
                started.append(process)
                check(peer, work, port)
            except Problem as problem:
                if peer.name in ("gateway", "nginx"):
                    raise
                print(f"{peer.name}, {work}, is left out: {problem}")
                continue
            url = f"http://127.0.0.1:{port}/{work}/x"
            script = scene.write("called.lua", NEW_EACH_TIME) if work == "called" else None
            contenders[f"{peer.name}, {work}"] = load.loader(process, upstream, url, arguments, script=script)
    contenders = dict(sorted(contenders.items(), key=lambda contender: turn(contender[0])))
    warm(contenders)
    rows = reports.interleaved(arguments.rounds, contenders)
    for process in started:
        scene.end(process)
    reports.table("Plain proxying and the chain; ratios to nginx, plain", rows, "nginx, plain")
    report.keep("proxying", rows)
    report.watch(rows)
    sum_up(report, rows, arguments)


def turn(name):
    """What is compared most closely is measured close together; the rest as it comes."""
    close = ["gateway, plain", "nginx, plain", "gateway, chain", "gateway, called"]
    return close.index(name) if name in close else len(close)


def warm(contenders):
    """A second of load for each, which does not count."""
    for measure in contenders.values():
        measure(seconds=1)


def wanted(arguments, peer):
    """The works of this peer that are run. nginx's plain one is what all are compared with."""
    works = set(arguments.only) | ({"plain"} if peer.name == "nginx" else set())
    works |= {"called"} if "chain" in works else set()
    return [work for work in peer.works if work in works]


def sum_up(report, rows, arguments):
    nginx = rows.get("nginx, plain")
    if "plain" in arguments.only:
        report.say("plain_vs_nginx", reports.ratio(rows["gateway, plain"], nginx))
    if "chain" not in arguments.only:
        return
    ours = rows["gateway, chain"]
    report.say("chain_vs_nginx", reports.ratio(ours, nginx))
    report.say("called_vs_nginx", reports.ratio(rows["gateway, called"], nginx))
    others = {
        "nginx, chain": "chain_vs_nginx_chain",
        "nginx Lua, chain": "chain_vs_nginx_lua",
        "Envoy, chain": "chain_vs_envoy",
        "Envoy Wasm, chain": "chain_vs_envoy_wasm",
    }
    for name, figure in others.items():
        if name in rows:
            report.say(figure, reports.ratio(ours, rows[name]))


def check(peer, work, port):
    """That the proxy does the whole work, before any of it is measured."""
    url = f"http://127.0.0.1:{port}/{work}/seen"
    status, fields, body = ask(url, KEY)
    for _ in range(50):
        # Traefik listens before it has read its routes.
        if status == 200:
            break
        time.sleep(0.1)
        status, fields, body = ask(url, KEY)
    if (status, len(body)) != (200, PAYLOAD):
        raise Problem(f"it answers {status} with {len(body)} bytes instead of 200 with {PAYLOAD}")
    # Whether the host comes with its port differs; Envoy replaces a loopback address by the machine's.
    if not re.fullmatch(rf"for=[\d.]+ host=127\.0\.0\.1(:{port})? proto=http", fields["x-seen"] or ""):
        raise Problem(f"it sends the forwarding fields {fields['x-seen']}")
    if getattr(peer, "makes_ids", True):
        expect("the request id in the answer", fields["x-request-id"], fields["x-seen-id"])
        expect("a request id", bool(fields["x-seen-id"]), True)
    if work in ("chain", "called"):
        expect("the request's edit", fields["x-seen-from"], "gateway")
        expect("the answer's edit", fields["x-by"], "gateway")
        for key in ("wrong-key", None):
            status, _, _ = ask(url, key)
            if status not in (401, 403):
                raise Problem(f"it answers {status} to {key or 'no key'} instead of 401 or 403")


def expect(what, found, expected):
    if found != expected:
        raise Problem(f"{what}: {found!r} instead of {expected!r}")
