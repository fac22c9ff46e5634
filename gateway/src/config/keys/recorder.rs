//! Keys of `[recorder]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{DAY, Key, Keys, Kind};

pub(in crate::config) static RECORDER: Keys = Keys {
    id: "recorder",
    title: "`[recorder]`",
    about: "The flight recorder: what happened to single requests, kept in memory for `gateway requests`.",
    keys: &[
        Key::new(
            "size",
            Kind::Integer { min: 0, max: 100_000 },
            "Records that each worker keeps of each kind: failed and slow ones, those that clients left \
             or that were refused, and others. 0 turns the recorder off.",
        )
        .default("500"),
        Key::new(
            "slow",
            Kind::Duration { min: "1ms", max: DAY },
            "Requests that take as long or longer are always kept.",
        )
        .default("500ms"),
        Key::new(
            "sample",
            Kind::Ratio,
            "The part of the requests without anything unusual that is kept, from 0 to 1.",
        )
        .default("0.01"),
        Key::new(
            "debug_secret",
            Kind::Text,
            "A request with this in its field `gateway-debug` is always kept, and its response has \
             `Server-Timing`. At least 16 characters, filled in from the environment or from a file. \
             Default: none.",
        )
        .example("\"${env:GATEWAY_DEBUG}\""),
    ],
};
