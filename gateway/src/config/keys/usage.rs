//! Keys of `[usage]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

pub(in crate::config) static USAGE: Keys = Keys {
    id: "usage",
    title: "`[usage]`",
    about: "Who used how much: one row a minute for each route, consumer, status class and upstream.",
    keys: &[
        Key::new(
            "store",
            Kind::Text,
            "Where usage is kept: the path of an SQLite file, relative to the configuration file, or \
             a `postgres://` URL that several gateways may share.",
        )
        .required()
        .example("\"usage.db\""),
        Key::new(
            "password",
            Kind::Text,
            "The password for PostgreSQL, filled in from the environment or from a file. Default: the \
             one in the URL, if any.",
        )
        .example("\"${env:PGPASSWORD}\""),
        Key::new(
            "ca",
            Kind::Text,
            "PEM file with the authorities to trust for PostgreSQL over TLS. Default: the system's.",
        ),
        Key::new(
            "keep",
            Kind::Duration { min: "1d", max: "3660d" },
            "How long rows by day are kept.",
        )
        .default("400d"),
        Key::new(
            "keep_minutes",
            Kind::Duration { min: "1h", max: "400d" },
            "How long rows by minute are kept, from which minutes and hours are reported.",
        )
        .default("8d"),
        Key::new(
            "size",
            Kind::Size { min: 1 << 20, max: 1 << 40 },
            "Bytes of the SQLite file. Over it the oldest rows go first.",
        )
        .default("4GiB"),
        Key::new(
            "flush",
            Kind::Duration { min: "100ms", max: "10s" },
            "How often rows are written, and so what a crash loses at most.",
        )
        .default("5s"),
    ],
};
