//! Keys of `[keys.NAME]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

pub(in crate::config) static KEY_SET: Keys = Keys {
    id: "key_set",
    title: "a set of keys",
    about: "API keys that are added and revoked while the gateway runs.",
    keys: &[
        Key::new("store", Kind::Text, "The store that keeps them, by name: one in a file, or in Redis.")
            .required()
            .example("\"NAME\""),
        Key::new(
            "prefix",
            Kind::Text,
            "What the keys begin with that the gateway makes, before `_`, so that people and scanners of \
             secrets know whose they are.",
        )
        .default("gw"),
    ],
};
