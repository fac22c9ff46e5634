//! Keys of `[traces]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

pub(in crate::config) static TRACES: Keys = Keys {
    id: "traces",
    title: "`[traces]`",
    about: "Distributed traces: W3C Trace Context towards upstreams, and spans over OTLP.",
    keys: &[
        Key::new(
            "endpoint",
            Kind::Text,
            "The collector that takes spans, as a URL: `http://127.0.0.1:4318`. Over HTTP, `/v1/traces` is \
             added to a URL without a path. Default: nothing is exported, and the context is passed on \
             all the same.",
        )
        .example("\"http://127.0.0.1:4318\""),
        Key::new(
            "protocol",
            Kind::Choice(&["http", "grpc"]),
            "How the collector is spoken to: OTLP over HTTP with Protobuf, or over gRPC.",
        )
        .default("http"),
        Key::new("compression", Kind::Choice(&["gzip", "none"]), "How spans are compressed.")
            .default("gzip"),
        Key::new(
            "headers",
            Kind::TextMap,
            "Fields that are sent with spans, such as `authorization`. Values may be filled in from the \
             environment or from a file.",
        )
        .example("{ authorization = \"${env:OTLP_TOKEN}\" }"),
        Key::new(
            "ca",
            Kind::Text,
            "PEM file with the authorities to trust for the collector. Default: the system's.",
        ),
        Key::new(
            "timeout",
            Kind::Duration { min: "100ms", max: "60s" },
            "How long the collector may take for a batch.",
        )
        .default("10s"),
        Key::new("service_name", Kind::Text, "`service.name` of the spans.").default("gateway"),
        Key::new(
            "attributes",
            Kind::TextMap,
            "Attributes of the resource, such as `deployment.environment.name`.",
        )
        .example("{ \"deployment.environment.name\" = \"production\" }"),
        Key::new(
            "sample",
            Kind::Ratio,
            "The share of the traces that begin here which is sampled, from 0 to 1. A trace that a caller \
             began is sampled if the caller samples it.",
        )
        .default("1.0"),
        Key::new(
            "errors",
            Kind::Choice(&["always", "sampled"]),
            "Whether an exchange that failed, or was answered with 5xx, is exported though it is not \
             sampled.",
        )
        .default("always"),
        Key::new(
            "slow",
            Kind::Duration { min: "1ms", max: "1d" },
            "An exchange that took as long is exported though it is not sampled. Default: none.",
        ),
        Key::new(
            "incoming",
            Kind::Choice(&["continue", "restart"]),
            "Whether the trace of a caller continues, or each request begins a new one: for \
             listeners that strangers reach.",
        )
        .default("continue"),
    ],
};
