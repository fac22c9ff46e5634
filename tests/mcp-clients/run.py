"""The official clients of MCP and A2A through the gateway: of MCP through that of examples/mcp.toml, to two servers that are real.

    pip install --requirement tests/mcp-clients/requirements.txt
    npm install --prefix FOLDER        (with tests/mcp-clients/package.json there)
    python tests/mcp-clients/run.py FOLDER

Prints what works as the table in docs/mcp.md, and fails where that says anything else. GATEWAY names the program where
it is not that of `cargo build`.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

import agents
import clients
import oauth

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GATEWAY", ROOT / "target/debug/gateway")
TOOLS = ["add", "count", "fail", "files_read", "interrupted", "where"]


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.args} does not start")
            time.sleep(0.1)


@contextlib.contextmanager
def running(command, port, log):
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def configuration(file, ports):
    """A file with ports that are free, a limit that is soon reached, and time enough for a build without optimisation."""
    text = (ROOT / file).read_text()
    for old, new in ports.items():
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    text = text.replace("limit = 120\n", "limit = 40\n")
    for name in ("auth", "authorize", "rate-limit"):
        text = text.replace(f'component = "{name}"', f'component = "{name}"\nlimits = {{ deadline = "1s" }}')
    return text


def refused(seen):
    """A failure as a cell: the class of the client's error, and whether the reason is in it."""
    return "nothing" if seen == "nothing" else f"`{seen['class']}` {seen['code']}"


def says(seen, *words):
    text = seen["text"] if isinstance(seen, dict) else seen
    assert all(word in text for word in words), f"{words} are not in {text!r}"
    return refused(seen)


def row(name, seen, is_sticky, wrong):
    def check(what):
        try:
            return what()
        except Exception as error:
            wrong.append(f"{name}: {error or type(error).__name__}")
            return "wrong"

    def equal(key, wanted):
        assert seen[key] == wanted, f"{key} is {seen[key]!r} and not {wanted!r}"

    def lists():
        equal("tools", TOOLS)
        equal("others", [tool for tool in TOOLS if tool != "fail"])
        equal("prompts", ["greet"])
        equal("resources", ["docs://guide"])
        return "filtered"

    def calls():
        equal("add", "5")
        equal("fails", True)
        return "yes"

    def streams():
        equal("count", "counted to 5")
        equal("interrupted", "taken up")
        assert 1 <= seen["progress"] <= 5, f"{seen['progress']} notifications"
        return "yes"

    def targets():
        where = set(seen["where"])
        assert len(where) == (1 if is_sticky else 2), f"{seen['where']}"
        return "one" if is_sticky else "all"

    if "failed" in seen:
        wrong.append(f"{name}: {seen['failed']}")
        return f"| {name} | failed |"
    cells = [
        check(lists),
        check(calls),
        check(streams),
        check(targets),
        check(lambda: says(seen["refused"], "The tool `files_delete` is not allowed here.")),
        check(lambda: says(seen["secret"], "The resource `salaries://all` is not allowed here.")),
        check(lambda: says(seen["limited"], "No quota is left under calls")),
        check(lambda: refused(seen["nobody"])),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def counted(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    for labels in [
        ('method="tools/call"', 'name="add"', 'outcome="ok"'),
        ('method="tools/call"', 'name="fail"', 'outcome="tool_error"'),
        ('method="tools/call"', 'name="files_delete"', 'outcome="refused"'),
        ('method="tools/list"', 'outcome="ok"'),
    ]:
        found = [it for it in lines if "mcp_requests_total{" in it and all(label in it for label in labels)]
        assert found, f"no series with {labels}"


async def finds_tokens(folder, file, ports, log):
    """A client that knows an address alone gets a token for it, and another one for a tool that needs more."""
    file.write_text(configuration("tests/mcp-clients/oauth.toml", ports))
    address = f"http://127.0.0.1:{ports[8080]}"
    script = ROOT / "tests/mcp-clients/issuer.mjs"
    with running(["node", script, folder, str(ports[9009]), f"{address}/mcp"], ports[9009], log):
        with running([BINARY, "run", file], ports[8080], log):
            seen = await oauth.see(address)
    wanted = {
        "tools": ["add"],
        "added": "5",
        "scope": "tools",
        "deleted": "x is gone",
        "after": ["add", "files_delete"],
        "audience": f"{address}/mcp",
        "asked": ["tools", "tools admin"],
    }
    for key, value in wanted.items():
        assert seen[key] == value, f"{key} is {seen[key]!r} and not {value!r}"


async def finds_an_agent(file, ports, log):
    """A client of A2A that knows an address alone finds the agent's card there, and calls it at the gateway."""
    file.write_text(configuration("tests/mcp-clients/agent.toml", ports))
    address = f"http://127.0.0.1:{ports[8080]}/agents/repeats"
    command = [sys.executable, ROOT / "tests/mcp-clients/agent.py", str(ports[9003]), f"http://10.0.0.1:{ports[9003]}"]
    with running(command, ports[9003], log), running([BINARY, "run", file], ports[8080], log):
        seen = await agents.see(address)
    said = ["good", "day", "to", "you"]
    wanted = {"card": [f"{address}/rpc"], "streamed": (said, True), "whole": (said, False), "task": True}
    for key, value in wanted.items():
        assert seen[key] == value, f"{key} is {seen[key]!r} and not {value!r}"
    # All that its user learns.
    assert seen["cancelled"].startswith("A2AClientError: HTTP Error 403"), seen["cancelled"]
    assert "(HTTP 401)" in seen["nobody"], seen["nobody"]


def main(folder):
    began, wrong, rows = time.monotonic(), [], []
    ports = {port: free_port() for port in (8080, 9090, 9001, 9002, 9003, 9009)}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        log = stack.enter_context(open(pathlib.Path(place, "log"), "w+"))
        for port, name in ((9001, "one"), (9002, "two")):
            command = [sys.executable, ROOT / "examples/mcp/server.py", str(ports[port]), name]
            stack.enter_context(running(command, ports[port], log))
        file = pathlib.Path(place, "mcp.toml")
        file.write_text(configuration("examples/mcp.toml", ports))
        stack.enter_context(running([BINARY, "run", file], ports[8080], log))
        address = f"http://127.0.0.1:{ports[8080]}"
        for mode, is_sticky in (("auto", False), ("legacy", True)):
            seen = asyncio.run(clients.see(address, mode))
            rows.append(row(f"`mcp` 2.3.0 (Python), {seen['revision']}", seen, is_sticky, wrong))
        script = ROOT / "tests/mcp-clients/clients.mjs"
        run = subprocess.run(["node", script, folder, address], capture_output=True, text=True, timeout=120)
        seen = json.loads(run.stdout or "{}")
        for version, name, is_sticky in (
            ("v2", "`@modelcontextprotocol/client` 2.4.0", False),
            ("v1", "`@modelcontextprotocol/sdk` 1.32.2", True),
        ):
            rows.append(row(name, seen.get(version, {"failed": run.stderr}), is_sticky, wrong))
        try:
            counted(ports[9090])
        except AssertionError as error:
            wrong.append(str(error))
        for what, check in (
            ("tokens", lambda ports: finds_tokens(folder, pathlib.Path(place, "oauth.toml"), ports, log)),
            ("agents", lambda ports: finds_an_agent(pathlib.Path(place, "agent.toml"), ports, log)),
        ):
            try:
                asyncio.run(check(ports | {8080: free_port()}))
            except Exception as error:
                wrong.append(f"{what}: {clients.flat(error)!r}")
                if os.environ.get("TRACE"):
                    traceback.print_exc()
        log.seek(0)
        logged = log.read().splitlines()
    head = ["client", "lists", "calls", "streams", "targets", "a tool that is not allowed", "a resource that is not", "429", "401"]
    table = "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows, ""])
    print(f"{table}\n{time.monotonic() - began:.1f} s")
    if table not in (ROOT / "docs/mcp.md").read_text():
        wrong.append("docs/mcp.md has another table")
    if wrong:
        if os.environ.get("TRACE"):
            print(json.dumps(seen, indent=1))
        sys.exit("\n".join([*wrong, "", "the log ends:", *logged[-20:]]))


main(sys.argv[1])
