//! Keys of `[admin]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind};

pub(in crate::config) static ADMIN: Keys = Keys {
    id: "admin",
    title: "`[admin]`",
    about: "Metrics and health of the gateway, on a listener of their own.",
    keys: &[Key::new(
        "address",
        Kind::Text,
        "IP address and port for `GET /metrics` and `GET /healthz`, in clear and for everybody who \
         can reach it: one of loopback, or of a network that only operators reach.",
    )
    .required()
    .example("\"127.0.0.1:9901\"")],
};
