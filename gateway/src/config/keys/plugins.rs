//! Keys of `[plugins.NAME]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::stores::{KEY_VALUE_USE, LIMITER_USE};
use super::{Key, Keys, Kind};

pub(in crate::config) static PLUGIN: Keys = Keys {
    id: "plugin",
    title: "a plugin",
    about: "A component and how it is run.",
    keys: &[
        Key::new(
            "component",
            Kind::Text,
            "The name of a first-party component, or the path of a file (with `/` or `.wasm`).",
        )
        .required()
        .example("\"./plugins/mine.wasm\""),
        Key::new("config", Kind::Free, "The plugin's own settings."),
        Key::new(
            "on_error",
            Kind::Choice(&["closed", "open"]),
            "What happens when it fails: the request is refused, or continues without it.",
        )
        .default("closed"),
        Key::new(
            "only_if",
            Kind::TextMap,
            "Attributes that a request must have, with these values, to pass the plugin: each of them, when \
             its turn comes. Default: every request passes it.",
        )
        .example("{ \"experiment.NAME\" = \"VARIANT\" }"),
        Key::new(
            "isolation",
            Kind::Choice(&["pooled", "fresh"]),
            "Whether an instance serves one hook after another, or each hook gets a new one.",
        )
        .default("pooled"),
        Key::new("limits", Kind::Table(&PLUGIN_LIMITS), "Limits of the plugin."),
        Key::new(
            "grants",
            Kind::List(&Kind::Choice(&[
                "attempts",
                "cache",
                "key-value",
                "limiter",
                "metrics",
                "password",
                "signature",
                "slots",
                "usage",
            ])),
            "Host interfaces that the component may import. Default: what it imports if it is \
             first-party, otherwise none.",
        )
        .example("[\"key-value\"]"),
        Key::new(
            "limiter",
            Kind::TextOrTable(&LIMITER_USE),
            "The store of its rate limits, by name. Default: in memory.",
        )
        .example("\"NAME\""),
        Key::new(
            "key_value",
            Kind::TextOrTable(&KEY_VALUE_USE),
            "The store of its keys and values, by name. Default: in memory.",
        )
        .example("\"NAME\""),
        Key::new(
            "cache",
            Kind::Text,
            "The cache of `[caches.NAME]` that it keeps responses in, by name. Default: `default`, which need not be \
             configured.",
        )
        .example("\"NAME\""),
        Key::new(
            "source",
            Kind::Text,
            "The folder of the crate that `gateway dev` builds the component from. Default: one \
             that it finds beside or above the component.",
        )
        .example("\"./plugins/mine\""),
        Key::new(
            "secrets",
            Kind::List(&Kind::Text),
            "Secrets of `[secrets]` that it may read. Default: none.",
        )
        .example("[\"NAME\"]"),
        Key::new(
            "documents",
            Kind::List(&Kind::Text),
            "Documents of `[documents.NAME]` that it may read. Default: none.",
        )
        .example("[\"NAME\"]"),
        Key::new(
            "events",
            Kind::List(&Kind::Text),
            "Sinks of `[events.NAME]` that it may emit events to. Default: none.",
        )
        .example("[\"NAME\"]"),
        Key::new(
            "keys",
            Kind::List(&Kind::Text),
            "Sets of API keys of `[keys.NAME]` that it may look keys up in. Default: none.",
        )
        .example("[\"NAME\"]"),
        Key::new(
            "upstreams",
            Kind::List(&Kind::Text),
            "Upstreams that it may send requests to by itself. Default: none.",
        )
        .example("[\"NAME\"]"),
        Key::new(
            "forward_to",
            Kind::List(&Kind::Text),
            "Upstreams that it may forward a request to instead of the route's. Default: none.",
        )
        .example("[\"NAME\"]"),
    ],
};

pub(in crate::config) static PLUGIN_LIMITS: Keys = Keys {
    id: "plugin_limits",
    title: "`limits` of a plugin",
    about: "Limits of a plugin.",
    keys: &[
        Key::new(
            "deadline",
            Kind::Duration { min: "1ms", max: "1m" },
            "Computing time of one hook.",
        )
        .default("20ms"),
        Key::new(
            "configure",
            Kind::Duration { min: "1ms", max: "1m" },
            "Computing time of `configure`, with what starts the component: once for each instance.",
        )
        .default("500ms"),
        Key::new(
            "memory",
            Kind::Size { min: 64 << 10, max: 4 << 30 },
            "Linear memory of one instance.",
        )
        .default("16MiB"),
        Key::new("instances", Kind::Integer { min: 1, max: 1000 }, "Live instances a worker.")
            .default("64"),
        Key::new(
            "queue",
            Kind::Integer { min: 1, max: 100_000 },
            "Calls that may wait for their turn, on each worker and for each route. While as many do, \
             further requests of the route are answered 503.",
        )
        .default("1024"),
        Key::new(
            "limiter",
            Kind::Size { min: 64 << 10, max: 64 << 30 },
            "Memory of the buckets of its rate limits, on all workers together.",
        )
        .default("64MiB"),
        Key::new(
            "key_value",
            Kind::Size { min: 64 << 10, max: 64 << 30 },
            "Memory of its keys and values, on all workers together.",
        )
        .default("64MiB"),
        Key::new(
            "exchange",
            Kind::Size { min: 1 << 10, max: 1 << 30 },
            "Memory of what it keeps with one exchange: context, attributes, and fields that it \
             notes for the response.",
        )
        .default("1MiB"),
        Key::new(
            "exchanges",
            Kind::Size { min: 64 << 10, max: 64 << 30 },
            "Memory of what it keeps with all of its exchanges, on all workers together.",
        )
        .default("64MiB"),
        Key::new(
            "buffered",
            Kind::Size { min: 64 << 10, max: 64 << 30 },
            "Memory of bodies that are held for it, on all workers together.",
        )
        .default("128MiB"),
        Key::new(
            "buffer_time",
            Kind::Duration { min: "1ms", max: "1d" },
            "How long a body that is held for it may take to come whole.",
        )
        .default("5m"),
        Key::new(
            "reuse",
            Kind::Size { min: 64 << 10, max: 64 << 30 },
            "Memory of the changes that are made again without a call, on each worker.",
        )
        .default("16MiB"),
        Key::new(
            "metrics",
            Kind::Size { min: 64 << 10, max: 1 << 30 },
            "Memory of the series that it records.",
        )
        .default("8MiB"),
        Key::new(
            "log_lines",
            Kind::Integer { min: 1, max: 1_000_000 },
            "Lines that it may log in a second, on all workers together.",
        )
        .default("1000"),
        Key::new(
            "log_bytes",
            Kind::Size { min: 1 << 10, max: 1 << 30 },
            "Bytes of these lines in a second.",
        )
        .default("1MiB"),
    ],
};
