"""Runs a server that has no program of its own: `serve.py NAME PORT`. The defaults are the server's."""

import asyncio
import socketserver
import sys

from wsgi_app import app


def wsgiref(port):
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    class Threads(socketserver.ThreadingMixIn, WSGIServer):
        daemon_threads = True

    make_server("127.0.0.1", port, app, Threads, Quiet).serve_forever()


def werkzeug(port):
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, app, threaded=True)


def cheroot(port):
    from cheroot import wsgi

    wsgi.Server(("127.0.0.1", port), app).start()


def aiohttp(port):
    from aiohttp import web

    async def text(request):
        return web.Response(text=f"text of {request.path}")

    async def echo(request):
        return web.Response(body=b"said " + await request.read())

    async def early(_):
        return web.Response(status=401, text="denied")

    # Its parts come as they are made, also for HEAD: that is the application's to see to.
    async def stream(request):
        response = web.StreamResponse()
        body = f"text of {request.path}".encode()
        response.content_length = len(body)
        await response.prepare(request)
        await asyncio.sleep(float(request.query.get("after", 0)))
        await response.write(body)
        return response

    application = web.Application()
    application.router.add_route("*", "/echo", echo)
    application.router.add_route("*", "/early", early)
    application.router.add_get("/stream/{rest:.*}", stream)
    application.router.add_route("*", "/{rest:.*}", text)
    web.run_app(application, host="127.0.0.1", port=port, print=None)


def tornado(port):
    from tornado import ioloop, web

    class Handler(web.RequestHandler):
        def get(self):
            if self.request.path.startswith("/early"):
                self.set_status(401)
                return self.finish("denied")
            body = self.request.body
            self.finish(b"said " + body if self.request.path == "/echo" else f"text of {self.request.path}")

        head = post = get

    web.Application([(".*", Handler)]).listen(port, "127.0.0.1")
    ioloop.IOLoop.current().start()


globals()[sys.argv[1]](int(sys.argv[2]))
