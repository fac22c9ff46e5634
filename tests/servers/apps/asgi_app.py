"""What each ASGI server serves: as `wsgi_app`."""


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    path = scope["path"]
    text, status = b"text of " + path.encode(), 200
    if path.startswith("/echo"):
        text, more = b"said ", True
        while more:
            message = await receive()
            text, more = text + message.get("body", b""), message.get("more_body", False)
    elif path.startswith("/early"):
        text, status = b"denied", 401
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
