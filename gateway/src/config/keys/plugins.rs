//! Keys of `[plugins.NAME]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

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
            "What happens when it fails: the request is refused, or goes on without it.",
        )
        .default("closed"),
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
                "key-value",
                "limiter",
                "metrics",
                "password",
                "signature",
            ])),
            "Host interfaces that the component may import. Default: what it imports if it is \
             first-party, otherwise none.",
        )
        .example("[\"key-value\"]"),
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
            "upstreams",
            Kind::List(&Kind::Text),
            "Upstreams that it may send requests to by itself. Default: none.",
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
            "memory",
            Kind::Size { min: 64 << 10, max: 4 << 30 },
            "Linear memory of one instance.",
        )
        .default("16MiB"),
        Key::new("instances", Kind::Integer { min: 1, max: 1000 }, "Live instances a worker.")
            .default("64"),
    ],
};
