//! Keys of `[admin]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::listeners::LISTENER_TLS;
use super::{Key, Keys, Kind};

pub(in crate::config) static ADMIN: Keys = Keys {
    id: "admin",
    title: "`[admin]`",
    about: "The admin API of the gateway, metrics and health, on their own listener.",
    keys: &[
        Key::new(
            "address",
            Kind::Text,
            "IP address and port. Elsewhere than on loopback `tls` and `token` are required.",
        )
        .required()
        .example("\"127.0.0.1:9901\""),
        Key::new(
            "tls",
            Kind::TableOrTables(&LISTENER_TLS),
            "Certificate and key, or several of them: chosen by SNI, the first is the default. \
             Default: in clear.",
        )
        .example("{ certificate = \"admin.pem\", key = \"admin.key\" }"),
        Key::new(
            "token",
            Kind::Text,
            "The digest of a bearer token that requests must have: `sha256:` and 64 hexadecimal \
             digits. `gateway admin token` makes one. Default: none is asked for.",
        )
        .example("\"sha256:...\""),
        Key::new(
            "hosts",
            Kind::List(&Kind::Text),
            "Names under which the API may be asked for, besides its address and, on loopback, \
             `localhost`.",
        )
        .example("[\"gateway.internal\"]"),
        Key::new(
            "audit",
            Kind::Text,
            "File, relative to this one, to which a line is appended for each change that is made \
             through the API. Default: the log of the process alone.",
        )
        .example("\"audit.jsonl\""),
    ],
};
