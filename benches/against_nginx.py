#!/usr/bin/env python3
"""CPU time a request: the gateway against nginx, in the same run.

Starts an upstream (nginx on core 1, a 1 KiB answer from memory), then in interleaved rounds nginx
as a proxy and the gateway as a proxy, each with one worker on core 0, and loads them with wrk from
core 1 over 32 keep-alive connections. Prints user plus system time of the proxy's processes,
divided by the requests that wrk counted.

Needs nginx and wrk on the PATH, Linux with at least two cores, and a release build:

    cargo build --release && benches/against_nginx.py

It listens on 127.0.0.1 only and ends by itself.
"""

import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
PORTS = {"upstream": 19080, "nginx": 19081, "gateway": 19082}

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  {body}
}}
"""

UPSTREAM = """
  server {{ listen 127.0.0.1:{upstream}; location / {{ default_type text/plain; return 200 "{payload}"; }} }}
"""

PROXY = """
  upstream service {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{nginx};
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id;
    }}
  }}
"""

GATEWAY = """
[gateway]
workers = 1

[[listeners]]
name = "bench"
address = "127.0.0.1:{gateway}"

[upstreams.service]
targets = ["http://127.0.0.1:{upstream}"]
keep_alive = {{ connections = 128, idle = "1h" }}

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

[[routes]]
name = "plain"
paths = ["/plain/{{*rest}}"]
upstream = "service"

[[routes]]
name = "chain"
paths = ["/chain/{{*rest}}"]
plugins = ["keys", "limit", "shape"]
upstream = "service"
"""


def descendants(pid):
    found = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += descendants(int(child))
    return found


def cpu(pid):
    total = 0
    for each in descendants(pid):
        fields = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def wait_for(port):
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def start(core, *command, **more):
    return subprocess.Popen(["taskset", "-c", str(core), *command], **more)


def nginx(folder, name, core, body):
    config = folder / f"{name}.conf"
    config.write_text(NGINX.format(folder=folder, name=name, body=body))
    return start(core, "nginx", "-c", str(config), "-p", str(folder), stderr=subprocess.DEVNULL)


def status(url, key):
    request = urllib.request.Request(url, headers={"x-api-key": key} if key else {})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code


def load(url, seconds, connections):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", "x-api-key: quickstart-key", "--latency", url]
    output = start(1, *command, stdout=subprocess.PIPE, text=True).communicate()[0]
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    if "Non-2xx" in output:
        sys.exit(f"{url} answered other than 2xx:\n{output}")
    p99 = re.search(r"\n\s+99%\s+(\S+)", output).group(1)
    return requests, p99


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--gateway", default=str(ROOT / "target/release/gateway"))
    arguments = parser.parse_args()
    for tool in ("nginx", "wrk", "taskset"):
        shutil.which(tool) or sys.exit(f"{tool} is not on the PATH")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="against-nginx-"))
    started = []
    try:
        started.append(nginx(folder, "upstream", 1, UPSTREAM.format(payload="x" * 1024, **PORTS)))
        peer = nginx(folder, "nginx", 0, PROXY.format(**PORTS))
        config = folder / "gateway.toml"
        config.write_text(GATEWAY.format(**PORTS))
        ours = start(0, arguments.gateway, "run", str(config), stderr=open(folder / "gateway.log", "w"))
        started += [peer, ours]
        for port in PORTS.values():
            wait_for(port)
        base = {"nginx": PORTS["nginx"], "plain": PORTS["gateway"], "chain": PORTS["gateway"]}
        urls = {
            "nginx": f"http://127.0.0.1:{base['nginx']}/plain/x",
            "plain": f"http://127.0.0.1:{base['plain']}/plain/x",
            "chain": f"http://127.0.0.1:{base['chain']}/chain/x",
        }
        assert status(urls["chain"], "wrong") == 401, "a wrong key must be refused"
        assert status(urls["chain"], "quickstart-key") == 200
        processes = {"nginx": peer.pid, "plain": ours.pid, "chain": ours.pid}
        rows = {name: [] for name in urls}
        for url in urls.values():
            load(url, 1, arguments.connections)
        for _ in range(arguments.rounds):
            for name, url in urls.items():
                before, begun = cpu(processes[name]), time.monotonic()
                requests, p99 = load(url, arguments.seconds, arguments.connections)
                used, took = cpu(processes[name]) - before, time.monotonic() - begun
                rows[name].append((used / requests * 1e6, requests / took, p99))
        print(f"{'':8}{'µs CPU a request':>18}{'(min .. max)':>18}{'requests/s':>12}  p99")
        medians = {}
        for name, row in rows.items():
            costs = [cost for cost, _, _ in row]
            medians[name] = statistics.median(costs)
            rate = statistics.median(rate for _, rate, _ in row)
            span = f"{min(costs):.1f} .. {max(costs):.1f}"
            print(f"{name:8}{medians[name]:>18.1f}{span:>18}{rate:>12.0f}  {', '.join(p for _, _, p in row)}")
        ratio = {name: statistics.median(a[0] / b[0] for a, b in zip(rows[name], rows["nginx"])) for name in ("plain", "chain")}
        print(f"plain_vs_nginx={ratio['plain']:.3f} chain_vs_nginx={ratio['chain']:.3f}")
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
