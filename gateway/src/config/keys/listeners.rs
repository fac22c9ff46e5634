//! Keys of `[[listeners]]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

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
            "tls_min_version",
            Kind::Choice(&TLS_VERSIONS),
            "The oldest version of TLS that clients may speak.",
        )
        .default("1.2"),
        Key::new(
            "client_certificates",
            Kind::Table(&CLIENT_CERTIFICATES),
            "Asks clients for certificates (mutual TLS). Default: they are not asked.",
        ),
        Key::new(
            "trusted_proxies",
            Kind::List(&Kind::Text),
            "Peers (addresses or CIDR ranges) that say who the client is, in the fields that \
             `forwarded_by` names. Default: none.",
        )
        .example("[\"10.0.0.0/8\"]"),
        Key::new(
            "forwarded_by",
            Kind::Choice(&["x-forwarded", "forwarded"]),
            "The fields in which trusted proxies say who the client is: `X-Forwarded-*`, or \
             `Forwarded` (RFC 7239). Those of the other family are removed.",
        )
        .default("x-forwarded"),
        Key::new(
            "half_close",
            Kind::Choice(&["abort", "answer"]),
            "What becomes of a request over HTTP/1.1 whose client ends its side of the connection before it has the answer: \
             given up, as that of a client that has left, or answered.",
        )
        .default("abort"),
        Key::new(
            "path_parameters",
            Kind::Choice(&["refuse", "keep", "strip"]),
            "What becomes of a path with parameters (`/a;v=1`), which some servers do not count to \
             the path: answered 400, kept as a part of the segment, or stripped before routing.",
        )
        .default("refuse"),
        Key::new(
            "encoded_slashes",
            Kind::Choice(&["refuse", "keep"]),
            "What becomes of a path with `%2F`, which some servers take for `/`: answered 400, or \
             kept as a character of its segment.",
        )
        .default("refuse"),
        Key::new(
            "access_log",
            Kind::Text,
            "The name of an `[access_logs.NAME]`, or `off`, `errors` or `all`, for its requests. \
             Default: that of `[gateway]`.",
        )
        .example("\"NAME\""),
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
        Key::new(
            "ocsp",
            Kind::Text,
            "DER file: what the authority says of the certificate (OCSP), which clients are told that \
             ask for it. Default: none.",
        )
        .example("\"tls/site.ocsp\""),
    ],
};

/// Versions of TLS, by the names that they have in files.
pub(in crate::config) const TLS_VERSIONS: [&str; 2] = ["1.2", "1.3"];

pub(in crate::config) static CLIENT_CERTIFICATES: Keys = Keys {
    id: "client_certificates",
    title: "`client_certificates` of a listener",
    about: "Whose certificates clients may show.",
    keys: &[
        Key::new(
            "mode",
            Kind::Choice(&["required", "optional"]),
            "Whether a client without a certificate is refused. One with a certificate that is not \
             valid is refused in any case.",
        )
        .default("required"),
        Key::new("ca", Kind::Text, "PEM file: the authorities that issue them.")
            .required()
            .example("\"tls/clients-ca.pem\""),
        Key::new(
            "crl",
            Kind::List(&Kind::Text),
            "Files, PEM or DER: lists of certificates that were revoked. With any, each authority \
             of a client's chain must have one. Default: none.",
        )
        .example("[\"tls/clients.crl\"]"),
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
            "body_rate",
            Kind::Size { min: 0, max: 1 << 30 },
            "Bytes a second at which a client must send a request body, at least, after \
             `timeouts.body_grace`; 0 is no limit. Default: 240 for bodies that give their length, \
             no limit for others.",
        ),
        Key::new(
            "concurrent_streams",
            Kind::Integer { min: 1, max: 10_000 },
            "Open HTTP/2 streams a connection.",
        )
        .default("100"),
        Key::new(
            "connections",
            Kind::Integer { min: 1, max: 10_000_000 },
            "Connections open at once, at most; more are closed at once. Default: three quarters of \
             the files that the process may have open.",
        ),
        Key::new(
            "connections_per_address",
            Kind::Integer { min: 1, max: 10_000_000 },
            "The same for one address (IPv6: its /64), as the peer has it; `trusted_proxies` are not \
             counted. Default: no limit.",
        ),
    ],
};

pub(in crate::config) static LISTENER_TIMEOUTS: Keys = Keys {
    id: "listener_timeouts",
    title: "`timeouts` of a listener",
    about: "Timeouts towards clients.",
    keys: &[
        timeout("header", "From the first byte of a request head to its last.").default("10s"),
        timeout("idle", "Between two bytes of a request or response body.").default("60s"),
        timeout("body_grace", "For a request body, before `limits.body_rate` counts.")
            .default("10s"),
        timeout("keep_alive", "How long a connection without a request stays open.").default("75s"),
        timeout("request", "For the whole exchange. Default: none."),
    ],
};
