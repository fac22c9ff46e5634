"""The service behind the proxies: nginx on the load's core, with an answer of 1,024 bytes from
memory. It counts the connections that it accepts, by which is seen whether a proxy reuses them."""

import http.client

from . import stage
from .peers import nginx

SERVER = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type text/plain; return 200 "{payload}"; }}
    location ~ /seen$ {{
      default_type text/plain;
      # What the proxy sent, for the check before anything is measured.
      add_header X-Seen "for=$http_x_forwarded_for host=$http_x_forwarded_host proto=$http_x_forwarded_proto";
      add_header X-Seen-Id "$http_x_request_id";
      add_header X-Seen-From "$http_x_from";
      return 200 "{payload}";
    }}
    location = /hit/1k {{
      default_type text/plain;
      add_header Cache-Control max-age=3600;
      return 200 "{payload}";
    }}
    location = /connections {{ stub_status; }}
  }}
"""
PAYLOAD = 1024


class Upstream:
    """Running, and watched over one connection that stays open."""

    def __init__(self, scene, core=stage.LOAD_CORE):
        self.port = scene.port()
        body = SERVER.format(port=self.port, payload="x" * PAYLOAD)
        self.process = nginx.start(scene, "upstream", body, self.port, core)
        self.watch = http.client.HTTPConnection("127.0.0.1", self.port)

    def accepted(self):
        """How many connections were accepted so far."""
        self.watch.request("GET", "/connections")
        lines = self.watch.getresponse().read().decode().splitlines()
        return int(lines[2].split()[0])
