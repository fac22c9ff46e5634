//! Keys of `[[listeners]]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind, timeout};

const MIB: u64 = 1 << 20;

pub(in crate::config) static LISTENER: Keys = Keys {
    id: "listener",
    title: "`[[listeners]]`",
    about: "An address on which clients are served.",
    keys: &[
        Key::new("name", Kind::Text, "Unique name, for routes and logs.")
            .required()
            .example("\"public\""),
        Key::new("address", Kind::Text, "IP address and port; port 0 takes a free one.")
            .required()
            .example("\"127.0.0.1:8080\""),
        Key::new(
            "tls",
            Kind::TableOrTables(&LISTENER_TLS),
            "Certificate and key, or several of them: chosen by SNI, the first is the default.",
        )
        .example("{ certificate = \"tls/site.pem\", key = \"tls/site.key\" }"),
        Key::new(
            "trusted_proxies",
            Kind::List(&Kind::Text),
            "Peers (addresses or CIDR ranges) whose `Forwarded` and `X-Forwarded-*` are believed. \
             Default: none.",
        )
        .example("[\"10.0.0.0/8\"]"),
        Key::new("limits", Kind::Table(&LISTENER_LIMITS), "Limits of requests."),
        Key::new("timeouts", Kind::Table(&LISTENER_TIMEOUTS), "Timeouts towards clients."),
    ],
};

pub(in crate::config) static LISTENER_TLS: Keys = Keys {
    id: "listener_tls",
    title: "`tls` of a listener",
    about: "A certificate and its key.",
    keys: &[
        Key::new("certificate", Kind::Text, "PEM file: the certificate, then its chain.")
            .required()
            .example("\"tls/site.pem\""),
        Key::new("key", Kind::Text, "PEM file: the private key.")
            .required()
            .example("\"tls/site.key\""),
    ],
};

pub(in crate::config) static LISTENER_LIMITS: Keys = Keys {
    id: "listener_limits",
    title: "`limits` of a listener",
    about: "Limits of requests.",
    keys: &[
        Key::new(
            "header_count",
            Kind::Integer { min: 1, max: 1000 },
            "Fields in a request head, at most.",
        )
        .default("100"),
        Key::new(
            "header_size",
            Kind::Size { min: 8 << 10, max: MIB },
            "Bytes of a request head, at most.",
        )
        .default("32KiB"),
        Key::new(
            "body_size",
            Kind::Size { min: 1, max: u64::MAX },
            "Bytes of a request body, at most. Default: no limit.",
        ),
        Key::new(
            "concurrent_streams",
            Kind::Integer { min: 1, max: 10_000 },
            "Open HTTP/2 streams a connection.",
        )
        .default("100"),
    ],
};

pub(in crate::config) static LISTENER_TIMEOUTS: Keys = Keys {
    id: "listener_timeouts",
    title: "`timeouts` of a listener",
    about: "Timeouts towards clients.",
    keys: &[
        timeout("header", "From the first byte of a request head to its last.").default("10s"),
        timeout("idle", "Between two bytes of a request or response body.").default("60s"),
        timeout("keep_alive", "How long a connection without a request stays open.").default("75s"),
        timeout("request", "For the whole exchange. Default: none."),
    ],
};
