//! Keys of `[access_logs.NAME]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

/// Facilities of syslog (RFC 5424 section 6.2.1) that programs may use, by their code.
pub(in crate::config) const FACILITIES: [&str; 17] = [
    "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "local0", "local1",
    "local2", "local3", "local4", "local5", "local6", "local7",
];

pub(in crate::config) static ACCESS_LOG: Keys = Keys {
    id: "access_log",
    title: "`[access_logs.NAME]`",
    about: "A line for each finished request, where listeners, routes or `[gateway]` name it.",
    keys: &[
        Key::new(
            "format",
            Kind::Text,
            "`json`, `combined`, or a template: text with `{placeholders}`, the fields of access logs.",
        )
        .default("json"),
        Key::new(
            "fields",
            Kind::TextMap,
            "With `format = \"json\"`: the keys of a line, each with the field that it shows. Default: \
             those of the documentation.",
        )
        .example("{ status = \"status\", agent = \"request.header.user-agent\" }"),
        Key::new(
            "file",
            Kind::TextOrTable(&LOG_FILE),
            "The file to write to, or a table with its path and its rotation. Default: standard output.",
        )
        .example("\"access.log\""),
        Key::new(
            "syslog",
            Kind::TextOrTable(&LOG_SYSLOG),
            "The syslog server to send to (RFC 5424), or a table with its address. Default: standard \
             output.",
        )
        .example("\"udp://127.0.0.1:514\""),
        Key::new(
            "when",
            Kind::Choice(&["all", "failures"]),
            "Which requests: all of them, or those that failed in the gateway or were answered 500 or \
             above.",
        )
        .default("all"),
        Key::new(
            "sample",
            Kind::Ratio,
            "The share of the requests that has a line, from 0 to 1; each that failed or was answered 500 \
             or above has one.",
        )
        .default("1.0"),
        Key::new(
            "redact",
            Kind::List(&Kind::Text),
            "Names of fields of heads, of query parameters and of attributes whose values are \
             `[redacted]`, beside those that always are.",
        )
        .example("[\"x-session\"]"),
    ],
};

pub(in crate::config) static LOG_FILE: Keys = Keys {
    id: "access_log_file",
    title: "`file` of an access log",
    about: "A file, and when another one is begun.",
    keys: &[
        Key::new("path", Kind::Text, "The file, relative to the configuration file.")
            .required()
            .example("\"access.log\""),
        Key::new(
            "max_size",
            Kind::Size { min: 4 << 10, max: 1 << 40 },
            "Bytes of the file, at most; then another one is begun. Default: no limit.",
        ),
        Key::new(
            "rotate",
            Kind::Choice(&["never", "hourly", "daily"]),
            "When another file is begun, in UTC, beside `max_size`.",
        )
        .default("never"),
        Key::new(
            "keep",
            Kind::Integer { min: 1, max: 10_000 },
            "How many files stay beside the one that is written; the oldest are removed.",
        )
        .default("7"),
    ],
};

pub(in crate::config) static LOG_SYSLOG: Keys = Keys {
    id: "access_log_syslog",
    title: "`syslog` of an access log",
    about: "A syslog server (RFC 5424).",
    keys: &[
        Key::new(
            "address",
            Kind::Text,
            "`udp://HOST:PORT`, `tcp://HOST:PORT` (octet counting, RFC 6587) or `unix:PATH` (datagrams).",
        )
        .required()
        .example("\"udp://127.0.0.1:514\""),
        Key::new("facility", Kind::Choice(&FACILITIES), "The facility of its messages.")
            .default("local0"),
        Key::new("app_name", Kind::Text, "APP-NAME of its messages: 1 to 48 visible characters.")
            .default("gateway"),
    ],
};
