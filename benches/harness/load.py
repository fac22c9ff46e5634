"""The load generators (wrk, h2load, open-loop) and what they print. They run on the load's core."""

import json
import re
import resource
import subprocess
import time

from . import accounts, stage
from .stage import BOTH_CORES, BUILT, KEY, LOAD_CORE, Problem

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def run(command, core=LOAD_CORE):
    """The output of a generator; it is ended with the run."""
    with stage.pinned(core):
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    try:
        output, complaint = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise Problem(f"{command[0]} failed: {(complaint or output).strip().splitlines()[-1:]}")
    return output


def wrk(url, seconds, connections, core=LOAD_CORE, script=None):
    """As many requests as go through over these connections: the next one follows an answer."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", f"x-api-key: {KEY}", "--latency", url]
    output = run([*command, *(["-s", script] if script else [])], core)
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    return {
        "requests": requests,
        "non_2xx": int(refused.group(1)) if refused else 0,
        "socket_errors": sum(map(int, errors.groups())) if errors else 0,
        "p50_us": percentile(output, 50),
        "p99_us": percentile(output, 99),
    }


def percentile(output, share):
    number, unit = re.search(rf"\n\s+{share}%\s+([\d.]+)(us|ms|s|m)\b", output).groups()
    return float(number) * SECONDS[unit] * 1e6


def h2load(url, seconds, connections, streams, log):
    """The same over HTTP/2: so many connections with so many streams each."""
    log.unlink(missing_ok=True)
    output = run([
        "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
        "-H", f"x-api-key: {KEY}", f"--log-file={log}", url,
    ])
    if "Application protocol: h2" not in output:
        raise Problem(f"{url} was not reached over HTTP/2")
    done, failed = re.search(r"(\d+) done, \d+ succeeded, (\d+) failed", output).groups()
    good = int(re.search(r"status codes: (\d+) 2xx", output).group(1))
    taken = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    # Requests that were under way when the time was over have no status.
    return {
        "requests": good,
        "non_2xx": int(done) - int(failed) - good,
        "socket_errors": 0,
        "p50_us": taken[len(taken) // 2],
        "p99_us": taken[len(taken) * 99 // 100],
    }


def open_loop(port, service, path, rate, seconds, connections):
    """So many requests a second, evenly spaced, each measured from when it was to be sent. The
    generator is the service behind the proxy too."""
    command = [
        BUILT / "open-loop", "--rate", f"{rate:.3f}", "--seconds", seconds, "--connections", connections,
        "--address", f"127.0.0.1:{port}", "--path", path, "--service", f"127.0.0.1:{service}",
    ]
    return json.loads(run(command))


def measure(process, upstream, generate):
    """What a proxy used while `generate` loaded it, over the requests that were answered."""
    accepted, others, begun = upstream.accepted(), others_seconds(process, upstream), time.monotonic()
    used = accounts.cpu_seconds(process.pid)
    figures = generate()
    used, took = accounts.cpu_seconds(process.pid) - used, time.monotonic() - begun
    others = others_seconds(process, upstream) - others
    if process.popen.poll() is not None:
        raise Problem(f"{process.name} ended under load: {process.last_words()}")
    requests = figures["requests"]
    if not requests:
        raise Problem(f"{process.name} answered nothing: {process.last_words()}")
    return {
        **figures,
        "cpu_us": used / requests * 1e6,
        "rate": requests / took,
        "others_share": max(0, others) / took,
        "peak_bytes": accounts.peak_bytes(process.pid),
        "new_connections_per_1000": (upstream.accepted() - accepted) / requests * 1000,
    }


def others_seconds(process, upstream):
    """For how long until now anything else kept the cores of a run busy."""
    ours = [process.pid, *([upstream.process.pid] if upstream.process else [])]
    generators = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = sum(map(accounts.cpu_seconds, ours)) + generators.ru_utime + generators.ru_stime
    return accounts.busy_seconds(BOTH_CORES) - mine


def loader(process, upstream, url, arguments, core=LOAD_CORE, script=None):
    """A function that loads this proxy with wrk and measures it."""

    def measured(seconds=arguments.seconds):
        return measure(process, upstream, lambda: wrk(url, seconds, arguments.connections, core, script))

    return measured
