//! Keys of `retries` of a route, and of `retry_budget` of an upstream.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{Key, Keys, Kind, timeout};

pub(in crate::config) static RETRIES: Keys = Keys {
    id: "retries",
    title: "`retries` of a route",
    about: "When a request is sent to the upstream once more.",
    keys: &[
        Key::new(
            "attempts",
            Kind::Integer { min: 2, max: 10 },
            "How often a request is sent at most, the first time included.",
        )
        .default("3"),
        Key::new(
            "on",
            Kind::List(&Kind::Choice(&["connect", "reset", "timeout"])),
            "Which failures: no target can be connected to, the connection ends before a response, no \
             response in time. Default: all of them.",
        )
        .example("[\"connect\", \"reset\"]"),
        Key::new(
            "statuses",
            Kind::List(&Kind::Integer { min: 400, max: 599 }),
            "Which responses. Default: 502, 503 and 504.",
        )
        .example("[429, 503]"),
        Key::new(
            "methods",
            Kind::List(&Kind::Text),
            "Requests of which methods may be sent again though a target may have processed them. \
             Default: those that are idempotent.",
        )
        .example("[\"GET\", \"POST\"]"),
        timeout(
            "attempt_timeout",
            "From the beginning of an attempt to the response head. Default: the upstream's timeouts \
             alone.",
        ),
        Key::new(
            "backoff",
            Kind::Duration { min: "1ms", max: "1m" },
            "How long to wait at most before a target is asked a second time; then twice as long, and \
             so on. The wait is random.",
        )
        .default("25ms"),
        Key::new(
            "max_backoff",
            Kind::Duration { min: "1ms", max: "1m" },
            "The longest wait.",
        )
        .default("1s"),
        Key::new(
            "retry_after",
            Kind::Duration { min: "0s", max: "1m" },
            "A `Retry-After` of a response is waited for up to this; a response with a longer one is \
             passed on.",
        )
        .default("1s"),
        Key::new(
            "body",
            Kind::Size { min: 0, max: 1 << 30 },
            "Bytes of a request body that are kept for another attempt, at most. A request with a \
             larger one is sent once.",
        )
        .default("1MiB"),
    ],
};

pub(in crate::config) static RETRY_BUDGET: Keys = Keys {
    id: "retry_budget",
    title: "`retry_budget` of an upstream",
    about: "How many attempts routes with `retries` may add to their requests, on all workers together.",
    keys: &[
        Key::new("share", Kind::Ratio, "As a share of the requests of the last ten seconds.")
            .default("0.2"),
        Key::new(
            "min_per_second",
            Kind::Integer { min: 0, max: 1_000_000 },
            "So many a second besides, for upstreams with few requests.",
        )
        .default("10"),
    ],
};
