"""HAProxy (Debian's package)."""

from ..stage import find, first_line

CONFIG = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
frontend bench
  bind 127.0.0.1:{port}
  unique-id-format %[uuid()]
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  option forwardfor
  http-response set-header X-Request-Id %[unique-id]
{work}
  default_backend service
backend service
  http-reuse always
  server one 127.0.0.1:{upstream} pool-max-conn 128 pool-purge-delay 1h
backend counts
  stick-table type string len 32 size 1k expire 10s store http_req_rate(1s)
"""

CHAIN = """
  http-request set-var(txn.consumer) req.hdr(x-api-key),map_str({keys})
  http-request deny deny_status 401 unless {{ var(txn.consumer) -m found }}
  http-request track-sc0 var(txn.consumer) table counts
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100000000 }}
  http-request set-header X-From gateway
  http-response set-header X-By gateway
"""


class HAProxy:
    name = "HAProxy"
    kind = "haproxy"
    works = {"plain": "", "chain": CHAIN}

    def missing(self):
        return None if find("haproxy") else "haproxy is not installed; benches/install-peers installs it"

    def version(self):
        return first_line([find("haproxy"), "-v"])

    def start(self, scene, work, upstream):
        port = scene.port()
        keys = scene.write("haproxy.keys", "quickstart-key bench\n")
        text = CONFIG.format(port=port, upstream=upstream.port, work=self.works[work].format(keys=keys))
        config = scene.write(f"haproxy-{work}.cfg", text)
        return scene.start(f"haproxy-{work}", [find("haproxy"), "-f", config], port=port), port
