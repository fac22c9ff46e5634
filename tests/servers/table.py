"""What the servers do by default: the table in docs/upstreams.md. Each is asked without a gateway, all at the same time."""

import concurrent.futures

import servers
import wire

# Longer than this nobody waits here.
MOST_IDLE = 130
LINE, FIELDS = 256 << 10, 4000
# Of which a head is made whose size is asked for: each a field, and not so many that their number counts.
PART, PARTS = 2000, 80


def most(accepts, least, limit, exact):
    """The largest number that is accepted, to so many; `None` where there is no bound up to the limit."""
    if accepts(limit):
        return None
    low, high = least, limit
    while high - low > exact:
        middle = (low + high) // 2
        low, high = (middle, high) if accepts(middle) else (low, middle)
    return low


class Measured:
    def __init__(self, server):
        self.name, self.version, self.port = server.name, server.version, server.port
        self.refusals = set()

    def accepts(self, fields):
        answer = wire.ask(self.port, "GET", "/text", fields, timeout=20)
        if answer is None or answer[0] != 200:
            self.refusals.add("closes" if answer is None else str(answer[0]))
            return False
        return True

    def limits(self):
        self.line = most(lambda size: self.accepts([f"X-A: {'a' * (size - 7)}"]), 500, LINE, 64)
        part = "a" * (PART - 8)
        parts = lambda count: self.accepts([f"X-{number}: {part}" for number in range(10, 10 + count)])
        self.head = most(parts, 1, PARTS, 1)
        self.head = self.head and self.head * PART
        count = lambda count: self.accepts([f"X-{number}: a" for number in range(1000, 999 + count)])
        self.fields = most(count, 1, FIELDS, 1)
        # With names and values as short as these a bound of bytes may be the first.
        if self.fields and self.head and self.fields * 11 > self.head:
            self.fields = None

    def chunks(self):
        answer = wire.ask(self.port, "POST", "/echo", ["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n")
        if answer is None:
            self.chunked = "closes"
        elif answer[0] == 200:
            self.chunked = "empty" if answer[2] == b"said " else "yes"
        else:
            # Servers of files take none, with a length or without.
            self.chunked = "" if answer[0] in (403, 404, 405) else str(answer[0])

    def bodies_of_head(self):
        connection = wire.Connection(self.port)
        connection.send("HEAD", "/stream/text" if self.name == "aiohttp" else "/text")
        head = connection.head()
        self.head_body = bool(head and connection.rests(0.5))
        connection.close()

    def idle(self):
        connection = wire.Connection(self.port)
        connection.send("GET", "/text")
        version, _, fields = connection.head()
        connection.body(fields)
        self.says = fields.get("keep-alive", "")
        if version == "HTTP/1.0" or fields.get("connection", "").lower() == "close":
            self.seconds = 0
        else:
            self.seconds = connection.seconds_open(MOST_IDLE)
        connection.close()

    def to_set(self):
        """What of the upstream's settings follows from it."""
        found = []
        if self.seconds and self.seconds < 60 and "timeout=" not in self.says:
            # Whole seconds, and one less.
            found.append(f'`keep_alive.idle = "{max(int(self.seconds + 0.1) - 1, 1)}s"`')
        if self.chunked in ("empty", "411", "501"):
            found.append('`buffer_request_bodies = "1MiB"`')
        return ", ".join(found)


def measure(server):
    with server:
        it = Measured(server)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            idle = pool.submit(it.idle)
            it.chunks()
            it.bodies_of_head()
            it.limits()
            idle.result()
        return it


def size(number):
    return "" if number is None else f"{number:,}"


def row(it):
    seconds = "closes each" if it.seconds == 0 else f"> {MOST_IDLE} s" if it.seconds is None else f"{it.seconds:.0f} s"
    cells = [
        f"{it.name} {it.version}",
        seconds,
        it.says and f"`{it.says}`",
        it.chunked,
        "yes" if it.head_body else "no",
        size(it.line),
        size(it.head),
        size(it.fields),
        ", ".join(sorted(it.refusals)),
        it.to_set(),
    ]
    return "| " + " | ".join(cells) + " |"


HEADINGS = [
    "server",
    "idle",
    "`Keep-Alive`",
    "chunks",
    "body behind `HEAD`",
    "line",
    "head",
    "fields",
    "more is",
    "to set",
]


def run(wanted):
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        started = [(server, pool.submit(measure, server)) for server in servers.installed(wanted)]
        print("| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS))
        for server, measured in started:
            try:
                print(row(measured.result()), flush=True)
            except Exception as error:
                print(f"| {server.name} {server.version} | {error!r} |", flush=True)
