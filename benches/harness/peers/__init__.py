"""The proxies that are compared: one file for each.

A peer has a `name` and the `kind` by which `--peers` asks for it, says which of the two works it can
do (`works`: "plain", "chain"), says with `missing()` what it lacks on this machine (or nothing), tells
its `version()`, and is started by `start(scene, work, upstream)`, which returns its process and its
port. Each work of each peer is a process of its own, so that its memory is its own too.

- plain: proxying over kept connections, with `X-Forwarded-For`, `-Host` and `-Proto` and a new
  `X-Request-Id` for the upstream, and the same id in the answer; no access log
- chain: the same, and only requests with a known `x-api-key` go on (401 or 403 otherwise), each is
  counted against a limit of 100 million a second for its key, `x-from: gateway` is set in the
  request and `x-by: gateway` in the answer
"""

from . import envoy, gateway, haproxy, nginx, pingora, traefik


NAMES = ("gateway", "nginx", "nginx-lua", "haproxy", "envoy", "traefik", "pingora")


def every(arguments):
    """The peers that are asked for; the gateway and nginx always and first, since all are compared
    with nginx."""
    asked = ("gateway", "nginx", *arguments.peers)
    return [peer for peer in known(arguments) if peer.kind in asked]


def known(arguments):
    return [
        gateway.Gateway(arguments.gateway),
        nginx.Nginx(),
        nginx.Lua(),
        haproxy.HAProxy(),
        envoy.Envoy(),
        envoy.Wasm(),
        envoy.WasmTimesThree(),
        traefik.Traefik(),
        pingora.Pingora(),
    ]
