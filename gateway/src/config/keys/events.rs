//! Keys of `[events.NAME]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind, timeout};

pub(in crate::config) static EVENT_SINK: Keys = Keys {
    id: "event_sink",
    title: "a sink of events",
    about: "Where events of plugins are sent, in batches and in the background.",
    keys: &[
        Key::new("upstream", Kind::Text, "The upstream that events are sent to.")
            .required()
            .example("\"NAME\""),
        Key::new("path", Kind::Text, "The path there, with the query if there is one.")
            .required()
            .example("\"/events\""),
        Key::new(
            "headers",
            Kind::TextMap,
            "Header fields of each request, such as `authorization`.",
        ),
        Key::new(
            "format",
            Kind::Choice(&["json", "ndjson"]),
            "How a batch is written: an array of JSON, or a line of JSON for each event.",
        )
        .default("json"),
        Key::new("batch", Kind::Integer { min: 1, max: 10_000 }, "Events of one request, at most.")
            .default("500"),
        Key::new(
            "batch_size",
            Kind::Size { min: 1 << 10, max: 16 << 20 },
            "Bytes of one request, about: a batch is sent when the next event would exceed it.",
        )
        .default("512KiB"),
        Key::new(
            "interval",
            Kind::Duration { min: "10ms", max: "1h" },
            "How long an event waits for others at most.",
        )
        .default("1s"),
        Key::new(
            "queue",
            Kind::Size { min: 1 << 10, max: 1 << 30 },
            "Bytes of events that wait, at most. What there is no room for is dropped and counted.",
        )
        .default("4MiB"),
        timeout("timeout", "How long one request may take.").default("10s"),
    ],
};
