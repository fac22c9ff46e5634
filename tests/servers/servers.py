"""The servers: how each is started as it comes, and which version it is. Owns their configurations, which say no more than a port
and what to serve. A server that is not installed is left out."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

APPS = pathlib.Path(__file__).parent / "apps"
BIN = pathlib.Path(sys.executable).parent
TAKEN = set()


def free_port():
    """Another one each time."""
    while True:
        with socket.socket() as it:
            it.bind(("127.0.0.1", 0))
            port = it.getsockname()[1]
        if port not in TAKEN:
            TAKEN.add(port)
            return port


def program(name):
    found = shutil.which(name, path=f"{BIN}:{os.environ['PATH']}:/usr/sbin")
    return found if found else None


def of_package(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def said(pattern, *command):
    """The version that a program says."""
    if program(command[0]) is None:
        return None
    told = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True)
    found = re.search(pattern, told.stdout + told.stderr)
    return found and found.group(1)


def script(name):
    return lambda port, place: [sys.executable, APPS / "serve.py", name, str(port)]


def asgi(*command):
    return lambda port, place: [program(command[0]), *(word.replace("PORT", str(port)) for word in command[1:])]


def text_file(place, name, text):
    (place / name).write_text(text)
    return place / name


def static(place):
    (place / "www").mkdir(exist_ok=True)
    for name in ["index.html", "text"]:
        (place / "www" / name).write_text("text of /text")
    (place / "www" / "long.html").write_text("<p>long</p>\n" * 10_000)
    return place / "www"


def nginx(port, place):
    text = f"""daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
events {{}}
http {{ access_log off; client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
uwsgi_temp_path {place}; scgi_temp_path {place}; default_type text/plain; types {{ text/html html; }}
gzip on;
server {{ listen 127.0.0.1:{port}; root {static(place)}; location = /early {{ return 401 denied; }} }} }}"""
    return [program("nginx"), "-c", text_file(place, "nginx.conf", text), "-e", place / "error.log"]


def apache(port, place):
    modules = "/usr/lib/apache2/modules"
    text = f"""ServerRoot {place}
ServerName localhost
PidFile {place}/pid
ErrorLog {place}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
DocumentRoot {static(place)}
User {os.environ.get("USER", "root") if os.getuid() else "www-data"}
<Directory />
Require all granted
</Directory>"""
    subprocess.run(["chmod", "-R", "a+rX", place], check=True)
    return [program("apache2"), "-f", text_file(place, "apache.conf", text), "-DFOREGROUND"]


def lighttpd(port, place):
    text = f"""server.port = {port}
server.bind = "127.0.0.1"
server.document-root = "{static(place)}"
index-file.names = ("index.html")"""
    return [program("lighttpd"), "-D", "-f", text_file(place, "lighttpd.conf", text)]


def caddy(port, place):
    text = f"{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n root * {static(place)}\n file_server\n}}\n"
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", text_file(place, "Caddyfile", text)]


def h2o(port, place):
    text = f"""listen: {{host: 127.0.0.1, port: {port}}}
hosts: {{default: {{paths: {{/: {{file.dir: {static(place)}}}}}}}}}
user: {"root" if os.getuid() == 0 else ""}
num-threads: 1"""
    return [program("h2o"), "-c", text_file(place, "h2o.conf", text)]


def varnish(port, place):
    text = 'vcl 4.1; backend default none; sub vcl_recv { return (synth(200, "OK")); } '
    text += 'sub vcl_synth { synthetic("text of " + req.url); return (deliver); }'
    file = text_file(place, "it.vcl", text)
    return [program("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-n", place / "varnish", "-f", file, "-j", "none"]




def php(port, place):
    return [program("php"), "-q", "-S", f"127.0.0.1:{port}", APPS / "index.php"]


def node(name):
    return lambda port, place: [program("node"), APPS / "node.js", name, str(port)]


def of_node(name):
    """The version of a package that is installed below `NODE_PATH`."""
    place = pathlib.Path(os.environ.get("NODE_PATH", "/nonexistent")) / name / "package.json"
    found = re.search(r'"version": "([^"]*)"', place.read_text()) if place.exists() else None
    return found and found.group(1)


# name, how its version is told, how it is started
SERVERS = [
    ("Node.js, `http`", lambda: said(r"v([\d.]+)", "node", "--version"), node("http")),
    ("Fastify", lambda: of_node("fastify"), node("fastify")),
    ("Uvicorn, h11", lambda: of_package("uvicorn"), asgi("uvicorn", "asgi_app:app", "--http", "h11", "--port", "PORT")),
    ("Uvicorn, httptools", lambda: of_package("uvicorn"), asgi("uvicorn", "asgi_app:app", "--http", "httptools", "--port", "PORT")),
    ("Hypercorn", lambda: of_package("hypercorn"), asgi("hypercorn", "asgi_app:app", "--bind", "127.0.0.1:PORT")),
    ("Granian", lambda: of_package("granian"), asgi("granian", "--interface", "asgi", "--port", "PORT", "asgi_app:app")),
    ("Daphne", lambda: of_package("daphne"), asgi("daphne", "--port", "PORT", "asgi_app:app")),
    ("Gunicorn, `sync`", lambda: of_package("gunicorn"), asgi("gunicorn", "--bind", "127.0.0.1:PORT", "wsgi_app:app")),
    (
        "Gunicorn, `gthread`",
        lambda: of_package("gunicorn"),
        asgi("gunicorn", "--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--threads", "8", "wsgi_app:app"),
    ),
    ("Waitress", lambda: of_package("waitress"), asgi("waitress-serve", "--listen", "127.0.0.1:PORT", "wsgi_app:app")),
    ("cheroot", lambda: of_package("cheroot"), script("cheroot")),
    ("Werkzeug", lambda: of_package("werkzeug"), script("werkzeug")),
    ("wsgiref", lambda: sys.version.split()[0], script("wsgiref")),
    ("aiohttp", lambda: of_package("aiohttp"), script("aiohttp")),
    ("Tornado", lambda: of_package("tornado"), script("tornado")),
    ("PHP, built in", lambda: said(r"PHP ([\d.]+)", "php", "--version"), php),
    ("nginx", lambda: said(r"nginx/([\d.]+)", "nginx", "-v"), nginx),
    ("Apache, `event`", lambda: said(r"Apache/([\d.]+)", "apache2", "-v"), apache),
    ("lighttpd", lambda: said(r"lighttpd/([\d.]+)", "lighttpd", "-v"), lighttpd),
    ("Caddy", lambda: said(r"v?([\d.]+)", "caddy", "version"), caddy),
    ("h2o", lambda: said(r"version ([\d.]+)", "h2o", "--version"), h2o),
    ("Varnish", lambda: said(r"varnish-([\d.]+)", "varnishd", "-V"), varnish),
]


class Server:
    """One that runs, for as long as the block does."""

    def __init__(self, name, version, start):
        self.name, self.version, self.start = name, version, start

    def __enter__(self):
        self.port = free_port()
        self.place = tempfile.TemporaryDirectory(prefix="server-")
        place = pathlib.Path(self.place.name)
        place.chmod(0o755)
        self.log = open(place / "log", "w")
        command = [str(word) for word in self.start(self.port, place)]
        self.process = subprocess.Popen(command, cwd=APPS, stdout=self.log, stderr=self.log, start_new_session=True)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
            if self.process.poll() is not None:
                break
        told = (place / "log").read_text()
        self.__exit__()
        raise RuntimeError(f"{self.name} does not start: {told[-1000:]}")

    def __exit__(self, *_):
        # Some have processes of their own.
        try:
            os.killpg(self.process.pid, 15)
            self.process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
        self.place.cleanup()


def installed(wanted=None):
    """Those that are here, of those that are wanted."""
    for name, version, start in SERVERS:
        if wanted is None or name in wanted:
            found = version()
            if found:
                yield Server(name, found, start)
