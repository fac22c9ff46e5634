"""Processes, ports and the temporary folder of a run, and that all of them are gone at the end.

Every process is started here, is pinned to cores here, and is ended here by its process id. All
listen on 127.0.0.1.
"""

import contextlib
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

BENCHES = pathlib.Path(__file__).resolve().parent.parent
ROOT = BENCHES.parent
BUILT = BENCHES / "target" / "release"
COMPONENTS = BENCHES / "target" / "wasm32-wasip2" / "guest"
FILTERS = BENCHES / "target" / "wasm32-wasip1" / "guest"
VENV = BENCHES / "target" / "venv"

KEY = "quickstart-key"
PROXY_CORE, LOAD_CORE, BOTH_CORES = {0}, {1}, {0, 1}
# Seconds that a process may take until it listens.
patience = 60


class Problem(Exception):
    """Something that the user can do something about, in one line."""


class Process:
    """A running proxy or service, by the id of its first process."""

    def __init__(self, name, popen, log):
        self.name, self.popen, self.log = name, popen, log
        self.pid = popen.pid

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "it said nothing"

    def end(self):
        """Asks the process to end, then does not ask."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(3)
            except subprocess.TimeoutExpired:
                pass
        # Each process leads a group of its own, so workers that outlive their master go with it.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()


class Stage:
    """A context: leaves neither processes nor files, whatever happens within."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gateway-bench-"))
        self.next_port = arguments.first_port
        self.processes = []
        allow_many_files()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Whoever presses Ctrl-C twice still leaves nothing behind.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        for process in list(reversed(self.processes)):
            self.end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def port(self):
        """A port that nothing listens on."""
        port, self.next_port = self.next_port, self.next_port + 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise Problem(f"port {port} is in use; choose others with --first-port") from None
        return port

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, name, command, core=PROXY_CORE, port=None, environment=None):
        """Starts a process; with a port, returns when something listens there."""
        log = self.folder / f"{name}.{len(self.processes)}.log"
        with open(log, "wb") as output, pinned(core):
            popen = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        if port:
            self.wait_for(process, port)
        return process

    def end(self, process):
        process.end()
        self.processes.remove(process)

    def wait_for(self, process, port):
        limit = time.monotonic() + patience
        while time.monotonic() < limit:
            if process.popen.poll() is not None:
                raise Problem(f"{process.name} ended at once: {process.last_words()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise Problem(f"{process.name} does not listen on port {port}: {process.last_words()}")


@contextlib.contextmanager
def pinned(cores):
    """What is started within runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_many_files():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def need(*tools):
    """Complains about tools that are not installed."""
    missing = [tool for tool in tools if not find(tool)]
    if missing:
        raise Problem(f"not on the PATH: {', '.join(missing)}; benches/install-peers installs them")


def find(tool):
    """The path of a tool, also where only an administrator's PATH would find it."""
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/local/sbin:/sbin")


def first_line(command):
    """What a tool prints first, such as its version."""
    try:
        told = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=20)
    except OSError as error:
        return str(error)
    lines = [line.strip() for line in (told.stdout + told.stderr).splitlines() if line.strip()]
    return lines[0] if lines else "?"


def ask(url, key=None):
    """The status, the fields and the body of an answer."""
    request = urllib.request.Request(url, headers={"x-api-key": key} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except OSError as error:
        raise Problem(f"{url} does not answer: {error}") from None
