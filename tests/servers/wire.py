"""HTTP/1.1 by hand: what a server really sends, to the byte. Owns one connection; judges nothing."""

import socket
import time


class Connection:
    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.read = b""

    def send(self, method, path, fields=(), body=b""):
        lines = [f"{method} {path} HTTP/1.1", "Host: a.example", *fields]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def fill(self):
        more = self.socket.recv(65536)
        self.read += more
        return bool(more)

    def head(self):
        """The version, the status and the fields; `None` where the connection ends instead."""
        try:
            while b"\r\n\r\n" not in self.read:
                if not self.fill():
                    return None
        except ConnectionError:
            return None
        head, self.read = self.read.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = dict((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return first[:8], int(first[9:12]), fields

    def body(self, fields):
        if "content-length" in fields:
            length = int(fields["content-length"])
            while len(self.read) < length and self.fill():
                pass
            body, self.read = self.read[:length], self.read[length:]
        elif "chunked" in fields.get("transfer-encoding", ""):
            while b"\r\n0\r\n\r\n" not in b"\r\n" + self.read and self.fill():
                pass
            body, rest = b"", self.read
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                size = int(size.split(b";")[0], 16)
                body, rest = body + rest[:size], rest[size + 2 :]
                if size == 0:
                    break
            self.read = rest
        else:
            while self.fill():
                pass
            body, self.read = self.read, b""
        return body

    def rests(self, seconds):
        """What comes without being asked for: `None` is nothing, and no bytes the end."""
        if self.read:
            return self.read
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536)
        except TimeoutError:
            return None
        except ConnectionError:
            return b""

    def seconds_open(self, most):
        """For how long the server leaves the connection open that has nothing to do; `None` is longer than `most`."""
        began = time.monotonic()
        return None if self.rests(most) is None else time.monotonic() - began

    def close(self):
        self.socket.close()


def ask(port, method, path, fields=(), body=b"", timeout=10):
    """A request on a connection of its own: status, fields and body, or `None`."""
    connection = Connection(port, timeout)
    try:
        connection.send(method, path, fields, body)
        head = connection.head()
        if head is None:
            return None
        return head[1], head[2], b"" if method == "HEAD" else connection.body(head[2])
    except (TimeoutError, ConnectionError):
        return None
    finally:
        connection.close()
