//! Keys of `[components.NAME]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{Key, Keys, Kind, timeout};

pub(in crate::config) static COMPONENT: Keys = Keys {
    id: "component",
    title: "a component",
    about: "A `wasi:http` component that answers requests, and how it is run.",
    keys: &[
        Key::new("file", Kind::Text, "The path of the component, a file.")
            .required()
            .example("\"./services/hello.wasm\""),
        Key::new(
            "environment",
            Kind::TextMap,
            "Environment variables that it sees. Default: none.",
        )
        .example("{ GREETING = \"hello\" }"),
        Key::new(
            "upstreams",
            Kind::List(&Kind::Text),
            "Upstreams that it may send requests to by itself. Default: none.",
        )
        .example("[\"NAME\"]"),
        Key::new("limits", Kind::Table(&COMPONENT_LIMITS), "Limits of the component."),
        Key::new("timeouts", Kind::Table(&COMPONENT_TIMEOUTS), "Timeouts of the component."),
    ],
};

static COMPONENT_LIMITS: Keys = Keys {
    id: "component_limits",
    title: "`limits` of a component",
    about: "Limits of a component.",
    keys: &[
        Key::new(
            "deadline",
            Kind::Duration { min: "1ms", max: "1h" },
            "Computing time of one request; waiting does not count.",
        )
        .default("1s"),
        Key::new(
            "memory",
            Kind::Size { min: 64 << 10, max: 4 << 30 },
            "Linear memory of one instance.",
        )
        .default("64MiB"),
        Key::new(
            "instances",
            Kind::Integer { min: 1, max: 1000 },
            "Requests that it serves at a time, on each worker: each has its own instance.",
        )
        .default("64"),
        Key::new(
            "queue",
            Kind::Integer { min: 1, max: 100_000 },
            "Requests that may wait for their turn, on each worker and for each route. While as many \
             do, further ones are answered 503.",
        )
        .default("1024"),
    ],
};

static COMPONENT_TIMEOUTS: Keys = Keys {
    id: "component_timeouts",
    title: "`timeouts` of a component",
    about: "Timeouts of a component.",
    keys: &[
        timeout("first_byte", "From the last byte of the request to the response head.")
            .default("60s"),
        timeout("idle", "Between two bytes of the response.").default("5m"),
    ],
};
