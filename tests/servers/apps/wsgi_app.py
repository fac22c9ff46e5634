"""What each WSGI server serves: `/echo` says what it was sent, `/early` answers before it has read anything, and others have a
text."""


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/echo"):
        text, status = b"said " + body(environ), "200 OK"
    elif path.startswith("/early"):
        text, status = b"denied", "401 Unauthorized"
    else:
        text, status = b"text of " + path.encode(), "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def body(environ):
    """Without a length there is one only where the server says that the input ends with it."""
    length = environ.get("CONTENT_LENGTH")
    if not length and environ.get("wsgi.input_terminated"):
        return environ["wsgi.input"].read()
    return environ["wsgi.input"].read(int(length or 0))
