"""Some of the servers behind a gateway: nothing of one exchange in another, nothing lost. Each check fails the program."""

import collections
import contextlib
import http.client
import json
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time

import servers
import wire

WANTED = ["aiohttp", "cheroot", "wsgiref", "Werkzeug", "Gunicorn, `gthread`", "Waitress", "Node.js, `http`", "nginx"]


class Gateway:
    """One with a route to each server, by the name of its host."""

    def __init__(self, binary, running):
        self.binary, self.running = binary, running

    def __enter__(self):
        self.port = servers.free_port()
        self.place = tempfile.TemporaryDirectory(prefix="gateway-")
        text = f'[[listeners]]\nname = "main"\naddress = "127.0.0.1:{self.port}"\n'
        for name, server in self.running.items():
            for host, setting in [
                (name, ""),
                (name + "-length", 'buffer_request_bodies = "1MiB"\n'),
                (name + "-bare", "added_fields = []\n"),
            ]:
                text += f'[upstreams.{host}]\ntargets = ["http://127.0.0.1:{server.port}"]\n{setting}'
                text += f'[[routes]]\nname = "{host}"\nhosts = ["{host}"]\npaths = ["/{{*rest}}"]\nupstream = "{host}"\n'
        file = pathlib.Path(self.place.name) / "gateway.toml"
        file.write_text(text)
        self.log = open(pathlib.Path(self.place.name) / "log", "w+")
        command = [self.binary, "--log-format", "json", "run", file]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 30
        while True:
            try:
                wire.Connection(self.port).close()
                return self
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, self.logged()
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.place.cleanup()

    def logged(self):
        return pathlib.Path(self.log.name).read_text()


def short(name):
    return re.sub(r"[^a-z]+", "-", name.lower()).strip("-")


def pairs(gateway, host, prefix, count, pause=None):
    """HEAD and GET by turns, from two clients; each answer belongs to its request."""
    seen = collections.Counter()

    def client(number):
        it = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        for turn in range(count // 2):
            for method in ("HEAD", "GET"):
                path = f"{prefix}/{number}/{turn}/{method}"
                late = f"?after={random.uniform(0, pause):.3f}" if pause and method == "HEAD" else ""
                text = f"text of {path}".encode()
                try:
                    it.request(method, path + late, headers={"Host": host})
                    answer = it.getresponse()
                    body = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    seen[repr(error)] += 1
                    it.close()
                    continue
                fits = answer.status == 200 and int(answer.headers["content-length"]) == len(text)
                fits = fits and body == (b"" if method == "HEAD" else text)
                seen["right" if fits else (answer.status, body[:80])] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"right": count // 2 * 4}, (host, seen)


def bodies_behind_head(gateway, count):
    for name, prefix in [("aiohttp", "/stream"), ("cheroot", "")]:
        server = gateway.running.get(name)
        connection = wire.Connection(server.port)
        connection.send("HEAD", f"{prefix}/text")
        connection.head()
        assert connection.rests(1), f"{name} sends a body behind HEAD"
        connection.close()
        pairs(gateway, name, prefix, count)
    # What comes late is met by the next request; so it does on each connection until the gateway knows of it.
    pairs(gateway, "aiohttp-length", "/stream", 16, pause=0.3)


def lengths(gateway):
    """An application on wsgiref has the body of a client that gives no length."""

    def post(host, size=5):
        it = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        pieces = (b"a" * min(65536, size - at) for at in range(0, size, 65536))
        it.request("POST", "/echo", body=pieces, headers={"Host": host}, encode_chunked=True)
        answer = it.getresponse()
        return answer.status, answer.read()

    assert post("wsgiref") == (200, b"said "), "wsgiref reads chunks now"
    assert post("wsgiref-length") == (200, b"said aaaaa")
    assert post("wsgiref-length", 1 << 20) == (200, b"said " + b"a" * (1 << 20))
    assert post("wsgiref-length", (1 << 20) + 1)[0] == 411
    over_http2 = [shutil.which("curl"), "--silent", "--http2-prior-knowledge", "--upload-file", "-", "--request", "POST"]
    over_http2 += ["--max-time", "20", f"http://127.0.0.1:{gateway.port}/echo", "--header"]
    for host, expected in [("wsgiref", b"said "), ("wsgiref-length", b"said aaaaa")]:
        told = subprocess.run([*over_http2, f"Host: {host}"], input=b"aaaaa", capture_output=True)
        assert told.stdout == expected, (host, told)


def early_answers(gateway):
    """They reach a client that sends all before it reads, and say that the connection ends."""
    for name in ["gunicorn-gthread", "werkzeug", "waitress", "cheroot", "node-js-http", "aiohttp"]:
        for chunked in (False, True):
            it = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
            pieces = (b"a" * 65536 for _ in range(160))
            length = {} if chunked else {"Content-Length": str(160 * 65536)}
            it.request("POST", "/early", body=pieces, headers={"Host": name, **length}, encode_chunked=chunked)
            answer = it.getresponse()
            # Some read the whole body first, and keep their connections.
            is_late = answer.headers["connection"] is None
            assert answer.status in (401, 413), (name, chunked, answer.status)
            answer.read()
            if is_late:
                it.request("GET", "/text", headers={"Host": name})
                assert it.getresponse().status == 200, (name, chunked)


def long_heads(gateway):
    """97 fields are within the bound of a server that takes 100, if the gateway adds none."""
    for host, expected in [("gunicorn-gthread", 431), ("gunicorn-gthread-bare", 200)]:
        fields = [f"X-{number}: a" for number in range(95)]
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        connection.request("GET", "/text", headers={"Host": host, **dict(field.split(": ") for field in fields)})
        assert connection.getresponse().status == expected, host


def compression(gateway):
    """nginx compresses for nobody behind a proxy that says so, unless it is told to."""
    for host, expected in [("nginx", None), ("nginx-bare", "gzip")]:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        connection.request("GET", "/long.html", headers={"Host": host, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-encoding"]) == (200, expected), host


def run(binary, count):
    with contextlib.ExitStack() as stack:
        running = {short(it.name): stack.enter_context(it) for it in servers.installed(WANTED)}
        print("behind the gateway:", ", ".join(f"{it.name} {it.version}" for it in running.values()))
        gateway = stack.enter_context(Gateway(binary, running))
        checks = [lambda it: bodies_behind_head(it, count), lengths, early_answers, long_heads]
        names = [f"bodies behind HEAD, {count} pairs", "lengths", "early answers", "long heads"]
        if "nginx" in running:
            checks.append(compression)
            names.append("compression")
        for name, check in zip(names, checks):
            began = time.monotonic()
            check(gateway)
            print(f"{name}: as it should be, in {time.monotonic() - began:.1f} s", flush=True)
        failed = [json.loads(line) for line in gateway.logged().splitlines() if '"exchange failed"' in line]
        failed = [line for line in failed if "upstream" in str(line.get("fields", line).get("fault", ""))]
        assert not failed, failed
    print(f"{len(checks)} passed, 0 failed")
