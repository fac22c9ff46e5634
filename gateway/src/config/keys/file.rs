//! Keys of the file itself and of `[gateway]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{
    ACCESS_LOG, ADMIN, CACHE, COMPONENT, DAY, DOCUMENT, EVENT_SINK, KEY_SET, Key, Keys, Kind,
    LISTENER, PLUGIN, RECORDER, ROUTE, STORE, TRACES, UPSTREAM, USAGE,
};

pub(in crate::config) static ROOT: Keys = Keys {
    id: "file",
    title: "the configuration",
    about: "Configuration of the gateway.",
    keys: &[
        Key::new("gateway", Kind::Table(&GATEWAY), "Settings of the whole process."),
        Key::new(
            "admin",
            Kind::Table(&ADMIN),
            "The admin API, metrics and health. Default: not served.",
        )
        .example("[admin]"),
        Key::new("usage", Kind::Table(&USAGE), "Who used how much. Default: not recorded.")
            .example("[usage]"),
        Key::new(
            "traces",
            Kind::Table(&TRACES),
            "Distributed traces. Default: trace fields pass through as they are.",
        )
        .example("[traces]"),
        Key::new(
            "recorder",
            Kind::Table(&RECORDER),
            "What happened to single requests. Default: recorded where there is an `[admin]`.",
        )
        .example("[recorder]"),
        Key::new(
            "access_logs",
            Kind::NamedTables(&ACCESS_LOG),
            "Logs of finished requests, by name, for `access_log`.",
        )
        .example("[access_logs.NAME]"),
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
            "documents",
            Kind::NamedTables(&DOCUMENT),
            "Files and remote texts that plugins read, by name.",
        )
        .example("[documents.NAME]"),
        Key::new(
            "events",
            Kind::NamedTables(&EVENT_SINK),
            "Where events of plugins are sent, by name.",
        )
        .example("[events.NAME]"),
        Key::new(
            "caches",
            Kind::NamedTables(&CACHE),
            "Where plugins keep responses, by name. Default: one named `default`, in memory.",
        )
        .example("[caches.NAME]"),
        Key::new(
            "stores",
            Kind::NamedTables(&STORE),
            "Where the state of plugins is kept, by name. Default: each plugin's own in memory.",
        )
        .example("[stores.NAME]"),
        Key::new(
            "keys",
            Kind::NamedTables(&KEY_SET),
            "Sets of API keys that are managed while the gateway runs, by name.",
        )
        .example("[keys.NAME]"),
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
            "How long open exchanges may continue after SIGTERM.",
        )
        .default("30s"),
        Key::new(
            "access_log",
            Kind::Text,
            "Which finished requests are logged in the log of the process (`off`, `all`, or `errors`: \
             answers that the gateway made because something failed), or the name of an \
             `[access_logs.NAME]`.",
        )
        .default("errors"),
        Key::new(
            "cache_dir",
            Kind::Text,
            "Folder for compiled components, relative to the file. Default: the user's cache.",
        ),
        Key::new(
            "compile_memory",
            Kind::Size { min: 64 << 20, max: 64 << 30 },
            "Memory that compiling one component may take, in its own process.",
        )
        .default("1GiB"),
        Key::new(
            "compile_time",
            Kind::Duration { min: "1s", max: "1h" },
            "Processor time that compiling one component may take.",
        )
        .default("60s"),
        Key::new(
            "retry_after_ceiling",
            Kind::Duration { min: "0s", max: DAY },
            "A refusal whose `Retry-After` is longer also says `x-should-retry: false`, so that \
             clients of AI APIs end instead of sleeping.",
        )
        .default("60s"),
        Key::new(
            "buffered_bodies",
            Kind::Size { min: 64 << 10, max: 1 << 40 },
            "Memory of bodies that are held for plugins, of all plugins and workers together.",
        )
        .default("256MiB"),
    ],
};
