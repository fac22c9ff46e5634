//! Keys of the file itself and of `[gateway]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{ADMIN, COMPONENT, DAY, Key, Keys, Kind, LISTENER, PLUGIN, ROUTE, UPSTREAM};

pub(in crate::config) static ROOT: Keys = Keys {
    id: "file",
    title: "the configuration",
    about: "Configuration of the gateway.",
    keys: &[
        Key::new("gateway", Kind::Table(&GATEWAY), "Settings of the whole process."),
        Key::new("admin", Kind::Table(&ADMIN), "Metrics and health. Default: not served.")
            .example("[admin]"),
        Key::new("listeners", Kind::Tables(&LISTENER), "Addresses on which clients are served.")
            .required()
            .example("[[listeners]]"),
        Key::new(
            "upstreams",
            Kind::NamedTables(&UPSTREAM),
            "Services behind the gateway, by name.",
        )
        .example("[upstreams.NAME]"),
        Key::new(
            "secrets",
            Kind::TextMap,
            "Secrets that plugins may be granted, by name, each filled in from the environment or \
             from a file.",
        )
        .example("{ NAME = \"${env:VARIABLE}\" }"),
        Key::new(
            "components",
            Kind::NamedTables(&COMPONENT),
            "Components that answer requests in place of an upstream, by name.",
        )
        .example("[components.NAME]"),
        Key::new("plugins", Kind::NamedTables(&PLUGIN), "Configured plugins, by name.")
            .example("[plugins.NAME]"),
        Key::new("routes", Kind::Tables(&ROUTE), "Which requests go where, through which plugins.")
            .required()
            .example("[[routes]]"),
    ],
};

pub(in crate::config) static GATEWAY: Keys = Keys {
    id: "gateway",
    title: "`[gateway]`",
    about: "Settings of the whole process.",
    keys: &[
        Key::new(
            "workers",
            Kind::Integer { min: 1, max: 1024 },
            "Worker threads. Default: the cores that the process may use.",
        ),
        Key::new("via", Kind::Text, "The pseudonym in `Via` (RFC 9110 section 7.6.3).")
            .default("gateway"),
        Key::new(
            "shutdown_grace",
            Kind::Duration { min: "0s", max: DAY },
            "How long open exchanges may go on after SIGTERM.",
        )
        .default("30s"),
        Key::new(
            "access_log",
            Kind::Choice(&["off", "errors", "all"]),
            "Which finished requests are logged; `errors` means answers that the gateway made \
             because something failed.",
        )
        .default("errors"),
        Key::new(
            "cache_dir",
            Kind::Text,
            "Folder for compiled components, relative to the file. Default: the user's cache.",
        ),
    ],
};
