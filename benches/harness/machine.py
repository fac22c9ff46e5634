"""On what a run was made: the machine, the versions, and how much the machine was disturbed."""

import os
import pathlib
import platform
import re

from . import peers
from .stage import find, first_line


def facts(arguments):
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": versions(arguments),
        "load": first_line([find("wrk"), "-v"]).partition(" Copyright")[0],
    }


def describe(arguments):
    told = facts(arguments)
    print(f"{told['system']}, {told['cores']} cores, {told['processor']}; {told['load']}")
    for name, version in told["versions"].items():
        print(f"{name}: {version}")
    print(f"load average before the run: {os.getloadavg()[0]:.2f}", flush=True)


def versions(arguments):
    """Of what is installed; peers that differ in their filters only are told once."""
    found = {}
    for peer in peers.every(arguments):
        if not peer.missing() and peer.version() not in found.values():
            found[peer.name] = peer.version()
    return found


def processor():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else platform.machine()


def kind():
    """What the same program takes other instructions by: the C library and others choose code by the processor, of which
    valgrind lets them see no more than this."""
    found = re.search(r"^flags\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = found.group(1).split() if found else []
    level = next((level for level in ("avx2", "avx", "sse4_2") if level in flags), "no sse4_2")
    return {
        "processor": f"{platform.machine()} with {level}",
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "valgrind": first_line(["valgrind", "--version"]),
    }


def stolen():
    """When, how much time of all cores others on the host took until now, and all there was."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[7], sum(fields)


def disturbance(before):
    taken, all_there_was = (now - then for now, then in zip(stolen(), before))
    return f"time that the host gave to others: {100 * taken / max(1, all_there_was):.1f}%"
