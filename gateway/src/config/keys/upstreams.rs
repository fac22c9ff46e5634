//! Keys of `[upstreams.NAME]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{Key, Keys, Kind, RETRY_BUDGET, TLS_VERSIONS, timeout};

pub(in crate::config) static UPSTREAM: Keys = Keys {
    id: "upstream",
    title: "`[upstreams.NAME]`",
    about: "A service behind the gateway.",
    keys: &[
        Key::new(
            "targets",
            Kind::List(&Kind::TextOrTable(&TARGET)),
            "Its servers: URLs without a path, or tables with a weight; at least one.",
        )
        .required()
        .example("[\"http://127.0.0.1:9000\"]"),
        Key::new("dns", Kind::Table(&DNS), "How the names of its targets become addresses."),
        Key::new(
            "protocol",
            Kind::Choice(&["auto", "http1", "http2"]),
            "`auto`: ALPN over TLS, HTTP/1.1 in clear. `http2`: over TLS by ALPN, in clear by \
             prior knowledge.",
        )
        .default("auto"),
        Key::new(
            "host",
            Kind::Choice(&["preserve", "target"]),
            "What requests carry as `Host`: what the client sent, or the target's host and port.",
        )
        .default("preserve"),
        Key::new(
            "tls",
            Kind::Table(&UPSTREAM_TLS),
            "How targets are spoken to over TLS: whom to trust, and who the gateway is.",
        ),
        Key::new("timeouts", Kind::Table(&UPSTREAM_TIMEOUTS), "Timeouts towards targets."),
        Key::new("keep_alive", Kind::Table(&KEEP_ALIVE), "How connections are kept and tried."),
        Key::new("limits", Kind::Table(&UPSTREAM_LIMITS), "Limits of responses."),
        Key::new(
            "added_fields",
            Kind::List(&Kind::Choice(&["x-forwarded", "forwarded", "via", "x-request-id"])),
            "What the gateway adds to the fields of each request. Default: all of them.",
        )
        .example("[\"x-forwarded\", \"x-request-id\"]"),
        Key::new(
            "buffer_request_bodies",
            Kind::Size { min: 1, max: 1 << 30 },
            "Request bodies without a length are read up to so many bytes, and then sent with their length; longer \
             ones are answered 411. Default: they are sent as they come.",
        ),
        Key::new(
            "balance",
            Kind::Choice(&["round_robin", "least_requests", "peak_ewma", "consistent_hash"]),
            "How a target is chosen: each in its turn; of two at random the one with fewer open \
             requests, or the one that answers sooner; or the one that a key belongs to. All by \
             weight.",
        )
        .default("round_robin"),
        Key::new(
            "hash_by",
            Kind::Text,
            "What `consistent_hash` goes by: `header:NAME`, `cookie:NAME`, or an attribute such as \
             `client.address` or `consumer.id`.",
        )
        .default("client.address"),
        Key::new(
            "slow_start",
            Kind::Duration { min: "0s", max: "1h" },
            "How long a target that is new or back takes until it has its whole weight.",
        )
        .default("0s"),
        Key::new(
            "overprovisioning",
            Kind::Integer { min: 100, max: 1000 },
            "Percent: how much more than its share the healthy targets of a priority can take, until \
             the next priority has the rest.",
        )
        .default("140"),
        Key::new("ejection", Kind::Table(&EJECTION), "When a target gets no requests for a while."),
        Key::new("health", Kind::Table(&HEALTH), "Checks of the targets. Default: none."),
        Key::new(
            "retry_budget",
            Kind::Table(&RETRY_BUDGET),
            "How many attempts routes with `retries` may add.",
        ),
        Key::new(
            "capacity",
            Kind::Table(&CAPACITY),
            "How many requests it has at a time. Default: no bound.",
        )
        .example("{ requests = 100 }"),
        Key::new(
            "connections",
            Kind::Table(&CONNECTIONS),
            "How many connections each target has at a time. Default: no bound.",
        )
        .example("{ max = 100 }"),
        Key::new(
            "grpc_web",
            Kind::Choice(&["pass", "translate"]),
            "What becomes of calls of gRPC-Web: they pass as they are, or are translated to gRPC.",
        )
        .default("pass"),
    ],
};

pub(in crate::config) static DNS: Keys = Keys {
    id: "dns",
    title: "`dns` of an upstream",
    about: "How the names of its targets become addresses, in the background.",
    keys: &[
        Key::new(
            "resolver",
            Kind::Choice(&["system", "dns"]),
            "`system`: as all programs of the machine do. `dns`: by DNS, with the TTL of records.",
        )
        .default("system"),
        Key::new(
            "servers",
            Kind::List(&Kind::Text),
            "Name servers, by address. Default: those of `/etc/resolv.conf`.",
        )
        .example("[\"10.0.0.10:53\"]"),
        Key::new(
            "addresses",
            Kind::Choice(&["any", "all"]),
            "`any`: a name is one target, at whichever of its addresses. `all`: each of its \
             addresses is a target.",
        )
        .default("any"),
        Key::new("interval", TTL, "How often the system is asked.").default("30s"),
        Key::new("min_ttl", TTL, "For how long an answer by DNS holds at least.").default("1s"),
        Key::new("max_ttl", TTL, "For how long an answer by DNS holds at most.").default("5m"),
        Key::new(
            "negative_ttl",
            TTL,
            "How long it takes at most until a name is asked for again that was not found.",
        )
        .default("5s"),
    ],
};

const TTL: Kind = Kind::Duration { min: "100ms", max: super::DAY };

pub(in crate::config) static CAPACITY: Keys = Keys {
    id: "capacity",
    title: "`capacity` of an upstream",
    about: "How many requests of routes it has at a time, on all workers together.",
    keys: &[
        Key::new(
            "requests",
            Kind::Integer { min: 1, max: 1_000_000 },
            "Requests that are open, at most: from sending one to the end of its response.",
        )
        .required()
        .example("100"),
        Key::new(
            "queue",
            Kind::Integer { min: 0, max: 1_000_000 },
            "How many more wait for one of them to end; others are answered 503.",
        )
        .default("100"),
        timeout("queue_time", "How long one waits at most; then it is answered 503.").default("1s"),
        Key::new(
            "adaptive",
            Kind::Table(&ADAPTIVE),
            "The bound follows from how long responses take, up to `requests`. Default: it is `requests`.",
        )
        .example("{ latency = 200 }"),
    ],
};

pub(in crate::config) static ADAPTIVE: Keys = Keys {
    id: "adaptive",
    title: "`adaptive` of a capacity",
    about: "How many requests an upstream has at a time, by how long its responses take.",
    keys: &[
        Key::new(
            "min",
            Kind::Integer { min: 1, max: 1_000_000 },
            "The bound is never lower.",
        )
        .default("4"),
        Key::new(
            "latency",
            Kind::Integer { min: 100, max: 1000 },
            "How long responses may take until their heads, in percent of what they take when there \
             are few requests. If they take longer, the bound becomes lower.",
        )
        .default("150"),
        Key::new("interval", TTL, "How often the bound is set.").default("500ms"),
        Key::new(
            "remeasure",
            Kind::Duration { min: "1s", max: super::DAY },
            "How often only `min` requests are let through at a time, to measure how long those take.",
        )
        .default("1m"),
    ],
};

pub(in crate::config) static CONNECTIONS: Keys = Keys {
    id: "connections",
    title: "`connections` of an upstream",
    about: "How many connections each of its targets has at a time, on all workers together.",
    keys: &[
        Key::new(
            "max",
            Kind::Integer { min: 1, max: 1_000_000 },
            "Connections that are open, at most: busy ones, idle ones, and tunnels.",
        )
        .required()
        .example("100"),
        Key::new(
            "queue",
            Kind::Integer { min: 0, max: 1_000_000 },
            "How many requests wait for one of them, for each target; others are answered 503.",
        )
        .default("100"),
        timeout("queue_time", "How long one waits at most; then it is answered 503.").default("1s"),
    ],
};

pub(in crate::config) static EJECTION: Keys = Keys {
    id: "ejection",
    title: "`ejection` of an upstream",
    about: "When a target gets no requests for a while, since requests failed at it.",
    keys: &[
        Key::new(
            "consecutive_failures",
            Kind::Integer { min: 0, max: 1000 },
            "So many, one after the other: no connection, no response, or one of `statuses`. 0: never.",
        )
        .default("5"),
        Key::new(
            "time",
            EJECTED,
            "For how long the first time. Then one request shows whether it is back; if not, it is \
             twice as long, three times, and so on.",
        )
        .default("30s"),
        Key::new("max_time", EJECTED, "For how long at most.").default("5m"),
        Key::new(
            "max_share",
            Kind::Ratio,
            "How many of the targets at most, if they can be connected to and their checks pass; always one, \
             never the last.",
        )
        .default("0.5"),
        Key::new(
            "statuses",
            Kind::List(&Kind::Integer { min: 500, max: 599 }),
            "Responses that are failures. Default: 502, 503 and 504.",
        )
        .example("[500, 502, 503, 504]"),
        Key::new(
            "panic_threshold",
            Kind::Ratio,
            "While a smaller share of the targets takes requests, by weight, all get some. 0: only \
             while none does.",
        )
        .default("0"),
        Key::new(
            "outliers",
            Kind::Table(&OUTLIERS),
            "When a target is ejected for what it does worse than the others. Default: never.",
        )
        .example("{ latency = 300 }"),
    ],
};

pub(in crate::config) static OUTLIERS: Keys = Keys {
    id: "outliers",
    title: "`outliers` of an ejection",
    about: "When a target is ejected for what it does worse than the others.",
    keys: &[
        Key::new("interval", EJECTED, "How often targets are compared.").default("10s"),
        Key::new(
            "min_requests",
            Kind::Integer { min: 1, max: 1_000_000 },
            "Requests in an interval from which on a target is compared.",
        )
        .default("100"),
        Key::new(
            "min_targets",
            Kind::Integer { min: 2, max: 1000 },
            "Targets that have so many, from which on they are compared.",
        )
        .default("5"),
        Key::new(
            "success_rate",
            Kind::Integer { min: 0, max: 1000 },
            "Percent of the standard deviation: a target is ejected whose share of successes is \
             below the mean by more. 0: none is.",
        )
        .default("190"),
        Key::new(
            "latency",
            Kind::Integer { min: 0, max: 10_000 },
            "Percent: a target is ejected whose responses take longer than so much of the median \
             of the others. 0: none is.",
        )
        .default("0"),
    ],
};

/// Of at least the precision of timers.
const EJECTED: Kind = Kind::Duration { min: "100ms", max: super::DAY };

pub(in crate::config) static HEALTH: Keys = Keys {
    id: "health",
    title: "`health` of an upstream",
    about: "How it is found out whether targets are there, without requests of clients.",
    keys: &[
        Key::new(
            "kind",
            Kind::Choice(&["http", "tcp", "grpc"]),
            "`http`: a `GET`. `tcp`: a connection. `grpc`: `grpc.health.v1.Health/Check`.",
        )
        .default("http"),
        Key::new("path", Kind::Text, "What is asked for; for `http`, which needs it.")
            .example("\"/healthz\""),
        Key::new(
            "statuses",
            Kind::List(&Kind::Integer { min: 200, max: 599 }),
            "Responses that pass, for `http`. Default: 200 to 299.",
        )
        .example("[200, 401]"),
        Key::new("service", Kind::Text, "Of which service, for `grpc`. Default: the whole server.")
            .example("\"orders.v1.Orders\""),
        Key::new(
            "interval",
            Kind::Duration { min: "100ms", max: super::DAY },
            "From the end of one check to the next.",
        )
        .default("10s"),
        timeout("timeout", "For the whole check.").default("2s"),
        Key::new(
            "unhealthy",
            Kind::Integer { min: 1, max: 100 },
            "So many that fail, one after the other, take a target out.",
        )
        .default("3"),
        Key::new(
            "healthy",
            Kind::Integer { min: 1, max: 100 },
            "So many that pass let it in again.",
        )
        .default("2"),
    ],
};

pub(in crate::config) static TARGET: Keys = Keys {
    id: "target",
    title: "a target",
    about: "One server of an upstream.",
    keys: &[
        Key::new("url", Kind::Text, "`http` or `https` URL without a path.")
            .example("\"http://127.0.0.1:9000\""),
        Key::new(
            "srv",
            Kind::Text,
            "In place of `url`: a URL without a port, whose host is the name of SRV records. Each \
             is a target.",
        )
        .example("\"http://_http._tcp.orders.internal\""),
        Key::new("weight", Kind::Integer { min: 0, max: 1000 }, "Share of the requests. 0: none.")
            .default("1"),
        Key::new(
            "priority",
            Kind::Integer { min: 0, max: 15 },
            "Those with the lowest number have the requests, as far as they can take them.",
        )
        .default("0"),
    ],
};

pub(in crate::config) static UPSTREAM_TLS: Keys = Keys {
    id: "upstream_tls",
    title: "`tls` of an upstream",
    about: "How targets are spoken to over TLS: whom to trust, and who the gateway is.",
    keys: &[
        Key::new(
            "ca",
            Kind::Text,
            "PEM file of certificates to trust instead of the system's roots.",
        ),
        Key::new(
            "server_name",
            Kind::Text,
            "Name sent as SNI and verified. Default: the target's host.",
        ),
        Key::new(
            "certificate",
            Kind::Text,
            "PEM file: the certificate that targets are shown that ask for one, then its chain. \
             Default: none.",
        )
        .example("\"tls/gateway.pem\""),
        Key::new("key", Kind::Text, "PEM file: the private key of `certificate`.")
            .example("\"tls/gateway.key\""),
        Key::new(
            "min_version",
            Kind::Choice(&TLS_VERSIONS),
            "The oldest version of TLS that targets may speak.",
        )
        .default("1.2"),
    ],
};

pub(in crate::config) static UPSTREAM_TIMEOUTS: Keys = Keys {
    id: "upstream_timeouts",
    title: "`timeouts` of an upstream",
    about: "Timeouts towards targets.",
    keys: &[
        timeout("connect", "For the TCP connection and the TLS handshake.").default("5s"),
        timeout("first_byte", "From the last byte of the request to the response head.")
            .default("60s"),
        timeout("idle", "Between two bytes of the response.").default("5m"),
        timeout(
            "request_body",
            "For a request body that is read first (`buffer_request_bodies`), until it is whole.",
        )
        .default("5m"),
    ],
};

pub(in crate::config) static KEEP_ALIVE: Keys = Keys {
    id: "keep_alive",
    title: "`keep_alive` of an upstream",
    about: "How connections are kept, and how dead ones are found out.",
    keys: &[
        Key::new(
            "connections",
            Kind::Integer { min: 0, max: 10_000 },
            "Idle connections for each target and worker, at most.",
        )
        .default("64"),
        timeout("idle", "How long one of them is kept.").default("60s"),
        Key::new(
            "ping",
            PROBE,
            "How long a connection may be silent until its target is asked whether it is there: \
             HTTP/2 PING, and TCP keep-alive.",
        )
        .default("30s"),
        Key::new("ping_timeout", PROBE, "How long the answer to that may take.").default("10s"),
        Key::new(
            "max_age",
            Kind::Duration { min: "0s", max: super::DAY },
            "How old a connection becomes until it takes no further request, less up to a tenth at \
             random. 0s: as old as it may.",
        )
        .default("0s"),
    ],
};

/// TCP counts whole seconds.
const PROBE: Kind = Kind::Duration { min: "1s", max: super::DAY };

pub(in crate::config) static UPSTREAM_LIMITS: Keys = Keys {
    id: "upstream_limits",
    title: "`limits` of an upstream",
    about: "Limits of responses.",
    keys: &[
        Key::new(
            "header_count",
            Kind::Integer { min: 1, max: 2000 },
            "Fields in a response head, at most.",
        )
        .default("1000"),
        Key::new(
            "header_size",
            Kind::Size { min: 8 << 10, max: 1 << 20 },
            "Bytes of a response head, at most.",
        )
        .default("64KiB"),
    ],
};
