//! Keys of `[caches.NAME]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

const LARGEST: u64 = 1 << 40;

pub(in crate::config) static CACHE: Keys = Keys {
    id: "cache",
    title: "a cache",
    about: "Responses that plugins keep and serve again, in memory and in a folder, shared by all workers.",
    keys: &[
        Key::new(
            "memory",
            Kind::Size { min: 64 << 10, max: LARGEST },
            "Bytes of all that is kept, with what keeping it takes.",
        )
        .default("256MiB"),
        Key::new(
            "max_object",
            Kind::Size { min: 1, max: 1 << 30 },
            "Bytes of the largest body that is kept.",
        )
        .default("8MiB"),
        Key::new(
            "partition",
            Kind::Size { min: 1 << 10, max: LARGEST },
            "Bytes for each owner that the plugin names, such as a tenant: its oldest entries give way. Default: no \
             bound.",
        )
        .example("\"16MiB\""),
        Key::new(
            "abandoned",
            Kind::Choice(&["stop", "finish"]),
            "What becomes of a response that is being stored when nobody waits for it any more.",
        )
        .default("stop"),
        Key::new(
            "folder",
            Kind::Text,
            "A folder for large bodies, relative to the configuration file. What is in it outlives the gateway. Default: \
             all bodies are in memory.",
        )
        .example("\"/var/cache/gateway\""),
        Key::new(
            "disk_size",
            Kind::Size { min: 64 << 10, max: 1 << 50 },
            "Bytes of all bodies in `folder`.",
        )
        .default("1GiB"),
        Key::new(
            "disk_from",
            Kind::Size { min: 1, max: 1 << 30 },
            "Bytes of the smallest body that goes to `folder`.",
        )
        .default("64KiB"),
        Key::new(
            "second_level",
            Kind::Text,
            "A `[stores.NAME]` with `redis`, where responses are kept for all gateways that name it. Default: none.",
        )
        .example("\"shared\""),
        Key::new(
            "second_level_max_object",
            Kind::Size { min: 1, max: 64 << 20 },
            "Bytes of the largest body that is written to `second_level`.",
        )
        .default("1MiB"),
        Key::new(
            "second_level_ttl",
            Kind::Duration { min: "1s", max: "30d" },
            "How long a response is kept in `second_level`, at most.",
        )
        .default("1d"),
    ],
};
