"""What the kernel says a process and its descendants have used: processor time and memory."""

import os
import pathlib
import re

TICK = os.sysconf("SC_CLK_TCK")


def descendants(pid):
    """The process and all that descend from it; children that any of its threads started too."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in read(task / "children").split():
            found += descendants(int(child))
    return found


def cpu_seconds(pid):
    """User plus system time of all threads."""
    total = 0
    for each in descendants(pid):
        fields = read(pathlib.Path(f"/proc/{each}/stat")).rpartition(")")[2].split()
        if fields:
            total += int(fields[11]) + int(fields[12])
    return total / TICK


def peak_bytes(pid):
    """The most memory that was ever resident, as a sum over the processes."""
    return sum(status_bytes(each, "VmHWM") for each in descendants(pid))


def resident_bytes(pid):
    """The memory that is resident now, as a sum over the processes."""
    return sum(status_bytes(each, "VmRSS") for each in descendants(pid))


def status_bytes(pid, field):
    found = re.search(rf"^{field}:\s+(\d+) kB$", read(pathlib.Path(f"/proc/{pid}/status")), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def busy_seconds(cores):
    """The time for which these cores have done anything, the host's theft included."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _, _, interrupts, soft, stolen = map(int, fields[:8])
            total += user + nice + system + interrupts + soft + stolen
    return total / TICK


def read(path):
    """The text of a file of a process, or nothing if the process is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
