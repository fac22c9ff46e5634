//! Keys of `[stores.NAME]`, and of a plugin's use of one.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

pub(in crate::config) static STORE: Keys = Keys {
    id: "store",
    title: "a store",
    about: "Where the state of plugins is kept. Without `file` and `redis`: in memory.",
    keys: &[
        Key::new(
            "file",
            Kind::Text,
            "The path of an SQLite file, relative to the configuration file: what is kept survives the \
             end of the gateway.",
        )
        .example("\"state.db\""),
        Key::new(
            "redis",
            Kind::Text,
            "A `redis://` URL, or `rediss://` for TLS, of Redis or Valkey, which several gateways share. \
             More hosts are divided by commas.",
        )
        .example("\"rediss://cache.example:6380\""),
        Key::new(
            "topology",
            Kind::Choice(&["single", "sentinel", "cluster"]),
            "What the URL names: one server, the sentinels of `master`, or nodes of a cluster.",
        )
        .default("single"),
        Key::new(
            "master",
            Kind::Text,
            "The name under which the sentinels know the server.",
        )
        .example("\"mymaster\""),
        Key::new("username", Kind::Text, "The ACL user. Default: the server's default user."),
        Key::new(
            "password",
            Kind::Text,
            "The password of the user, filled in from the environment or from a file.",
        )
        .example("\"${env:REDIS_PASSWORD}\""),
        Key::new(
            "ca",
            Kind::Text,
            "PEM file with the authorities to trust over TLS. Default: the system's.",
        ),
        Key::new(
            "timeout",
            Kind::Duration { min: "1ms", max: "10s" },
            "How long a request waits for the store at most.",
        )
        .default("50ms"),
        Key::new(
            "instances",
            Kind::Integer { min: 1, max: 10_000 },
            "How many gateways share the store: each admits so much less by itself where the store is \
             away and `on_store_error` is `\"local\"`.",
        )
        .default("1"),
        Key::new(
            "prefix",
            Kind::Text,
            "What all keys in the server begin with. Gateways with the same prefix share their limits.",
        )
        .default("gateway"),
    ],
};

pub(in crate::config) static KEY_VALUE_USE: Keys = Keys {
    id: "key_value_use",
    title: "the store of keys and values",
    about: "Where the keys and values of a plugin are kept.",
    keys: &[
        Key::new("store", Kind::Text, "The name of a store.").required().example("\"NAME\""),
        Key::new(
            "on_store_error",
            Kind::Choice(&["local", "closed"]),
            "What becomes of a call that the store does not answer: this gateway has keys and values of its \
             own in memory meanwhile, or the plugin hears of it.",
        )
        .default("local"),
    ],
};

pub(in crate::config) static LIMITER_USE: Keys = Keys {
    id: "limiter_use",
    title: "the limiter's store",
    about: "Where the rate limits of a plugin are kept.",
    keys: &[
        Key::new("store", Kind::Text, "The name of a store.").required().example("\"NAME\""),
        Key::new(
            "on_store_error",
            Kind::Choice(&["local", "open", "closed"]),
            "What becomes of a check that the store does not answer: this gateway counts its share in \
             memory, the check is passed, or the plugin hears `unavailable`.",
        )
        .default("local"),
        Key::new(
            "lease",
            Kind::Integer { min: 0, max: 100_000 },
            "How many permits of a key a gateway takes from the store at once, to hand them out by \
             itself for up to a second. 0: each check asks the store.",
        )
        .default("0"),
    ],
};
