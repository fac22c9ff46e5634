//! Keys of `[[routes]]`.
//!
//! Owns no behaviour. A key is here only if something in the gateway obeys it.

use super::{COMPONENT, DAY, Key, Keys, Kind, PLUGIN, REDIRECTS, RETRIES, timeout};

pub(in crate::config) static ROUTE: Keys = Keys {
    id: "route",
    title: "`[[routes]]`",
    about: "Which requests, through which plugins, to what.",
    keys: &[
        Key::new("name", Kind::Text, "Unique name, for logs and metrics.")
            .required()
            .example("\"orders\""),
        Key::new(
            "listeners",
            Kind::List(&Kind::Text),
            "Names of the listeners that serve it. Default: all.",
        )
        .example("[\"public\"]"),
        Key::new(
            "hosts",
            Kind::List(&Kind::Text),
            "Hosts, exact or `*.suffix`, without port. Default: any.",
        )
        .example("[\"api.example.com\"]"),
        Key::new(
            "paths",
            Kind::List(&Kind::Text),
            "Path patterns; `{name}` takes a segment, `{*name}` at the end takes the rest.",
        )
        .required()
        .example("[\"/{*rest}\"]"),
        Key::new("methods", Kind::List(&Kind::Text), "Methods. Default: any.").example("[\"GET\"]"),
        Key::new("headers", Kind::TextMap, "Headers and their values; `*` means any value.")
            .example("{ \"x-version\" = \"2\" }"),
        Key::new("query", Kind::TextMap, "Query parameters and their values; `*` means any value.")
            .example("{ debug = \"*\" }"),
        Key::new(
            "plugins",
            Kind::List(&Kind::TextOrTable(&PLUGIN)),
            "Plugins in the order of the request: names, or tables as under `[plugins.NAME]`.",
        )
        .example("[\"NAME\"]"),
        Key::new(
            "cache",
            Kind::Free,
            "Settings of the plugin `cache`, which is behind the others then: short for a table in `plugins`.",
        )
        .example("{}"),
        Key::new("upstream", Kind::Text, "Name of the upstream that answers.").example("\"NAME\""),
        Key::new(
            "split",
            Kind::Table(&SPLIT),
            "Several upstreams that answer, each a share of the requests.",
        )
        .example("{ variants = [{ name = \"a\", upstream = \"NAME\" }] }"),
        Key::new(
            "component",
            Kind::TextOrTable(&COMPONENT),
            "The component that answers: a name, the path of a file (with `/` or `.wasm`), or a \
             table as under `[components.NAME]`.",
        )
        .example("\"./services/hello.wasm\""),
        Key::new("respond", Kind::Table(&RESPOND), "A fixed answer.").example("{ status = 204 }"),
        Key::new("redirect", Kind::Table(&REDIRECT), "A redirect.")
            .example("{ to = \"https://{host}{path}{query}\" }"),
        Key::new(
            "rewrite",
            Kind::Table(&REWRITE),
            "How the upstream or component sees the request.",
        ),
        Key::new("limits", Kind::Table(&ROUTE_LIMITS), "Limits instead of the listener's."),
        Key::new("timeouts", Kind::Table(&ROUTE_TIMEOUTS), "Timeouts instead of the listener's."),
        Key::new(
            "retries",
            Kind::Table(&RETRIES),
            "When a request is sent once more. Default: never, if a target may have received it.",
        )
        .example("{ attempts = 3 }"),
        Key::new(
            "mirror",
            Kind::Table(&MIRROR),
            "Another upstream that gets copies of the requests, whose responses nobody gets.",
        )
        .example("{ upstream = \"NAME\" }"),
        Key::new(
            "access_log",
            Kind::Text,
            "The name of an `[access_logs.NAME]`, or `off`, `errors` or `all`, for its requests. \
             Default: the listener's.",
        )
        .example("\"NAME\""),
        Key::new(
            "errors",
            Kind::Choice(&[
                "auto",
                "problem",
                "openai",
                "anthropic",
                "google",
                "ollama",
                "cohere",
                "bedrock",
                "json-rpc",
            ]),
            "The form of refusals, the gateway's and its plugins': `auto` goes by the request (gRPC, \
             MCP, JSON-RPC, else a problem document).",
        )
        .default("auto"),
    ],
};

pub(in crate::config) static MIRROR: Keys = Keys {
    id: "mirror",
    title: "`mirror`",
    about: "Another upstream that gets copies of the requests, whose responses nobody gets.",
    keys: &[
        Key::new("upstream", Kind::Text, "Name of the upstream that gets the copies.")
            .required()
            .example("\"NAME\""),
        Key::new("ratio", Kind::Ratio, "Share of the requests that is copied.").default("1"),
        Key::new(
            "requests",
            Kind::Integer { min: 1, max: 100_000 },
            "Copies on their way at a time, over all workers; more are not sent.",
        )
        .default("100"),
        Key::new(
            "body",
            Kind::Size { min: 0, max: 1 << 30 },
            "Bytes of a request body that are kept for the copy; requests with more have none.",
        )
        .default("1MiB"),
        Key::new("timeout", Kind::Duration { min: "1ms", max: DAY }, "For the whole of a copy.")
            .default("30s"),
    ],
};

pub(in crate::config) static SPLIT: Keys = Keys {
    id: "split",
    title: "`split`",
    about: "Several upstreams that answer, each a share of the requests.",
    keys: &[
        Key::new("variants", Kind::Tables(&VARIANT), "The upstreams and their shares.")
            .required()
            .example("[{ name = \"a\", upstream = \"NAME\" }]"),
        Key::new(
            "by",
            Kind::List(&Kind::Text),
            "What keeps a request at its variant: an attribute like `consumer.id` or `client.address`, \
             `claim:NAME`, `header:NAME` or `cookie:NAME`. The first that the request has. Default: each \
             request is drawn anew.",
        )
        .example("[\"consumer.id\"]"),
        Key::new(
            "salt",
            Kind::Text,
            "Splits with the same salt and names put the same clients into the same variants. Default: \
             the route's name.",
        ),
    ],
};

pub(in crate::config) static VARIANT: Keys = Keys {
    id: "variant",
    title: "a variant of `split`",
    about: "An upstream and its share of the requests.",
    keys: &[
        Key::new("name", Kind::Text, "Unique name, for logs and metrics.")
            .required()
            .example("\"canary\""),
        Key::new("upstream", Kind::Text, "Name of the upstream that answers.")
            .required()
            .example("\"NAME\""),
        Key::new(
            "weight",
            Kind::Integer { min: 0, max: 1_000_000 },
            "Its part of the sum of all weights; 0 for none.",
        )
        .default("1"),
        Key::new(
            "rewrite",
            Kind::Table(&REWRITE),
            "How its upstream sees the request. Default: as the route's `rewrite` says.",
        ),
    ],
};

pub(in crate::config) static RESPOND: Keys = Keys {
    id: "respond",
    title: "`respond`",
    about: "A fixed answer.",
    keys: &[
        Key::new("status", Kind::Integer { min: 200, max: 599 }, "Status code.").default("200"),
        Key::new(
            "headers",
            Kind::TextMap,
            "Header fields. With a body, `content-type` is `text/plain; charset=utf-8` if absent.",
        )
        .example("{ content-type = \"application/json\" }"),
        Key::new("body", Kind::Text, "Body. Default: empty."),
    ],
};

pub(in crate::config) static REDIRECT: Keys = Keys {
    id: "redirect",
    title: "`redirect`",
    about: "A redirect.",
    keys: &[
        Key::new(
            "to",
            Kind::Text,
            "Where to: text with `{host}` (without port), `{authority}` (with it), `{path}`, \
             `{query}` and the captures of `paths`.",
        )
        .required()
        .example("\"https://{host}{path}{query}\""),
        Key::new("status", Kind::Integers(&REDIRECTS), "301, 302, 303, 307 or 308.").default("308"),
    ],
};

pub(in crate::config) static REWRITE: Keys = Keys {
    id: "rewrite",
    title: "`rewrite`",
    about: "How the upstream sees the request.",
    keys: &[
        Key::new("strip_prefix", Kind::Text, "Whole segments to take from the front of the path.")
            .example("\"/api\""),
        Key::new("add_prefix", Kind::Text, "Segments then put in front of the path.")
            .example("\"/v1\""),
        Key::new("path", Kind::Text, "Instead of both, a new path from the captures of `paths`.")
            .example("\"/items/{id}\""),
        Key::new("host", Kind::Text, "Sent as `Host`, instead of the upstream's `host`.")
            .example("\"internal.example.com\""),
    ],
};

pub(in crate::config) static ROUTE_LIMITS: Keys = Keys {
    id: "route_limits",
    title: "`limits` of a route",
    about: "Limits instead of the listener's.",
    keys: &[Key::new(
        "body_size",
        Kind::Size { min: 1, max: u64::MAX },
        "Bytes of a request body, at most. Default: the listener's.",
    )],
};

pub(in crate::config) static ROUTE_TIMEOUTS: Keys = Keys {
    id: "route_timeouts",
    title: "`timeouts` of a route",
    about: "Timeouts instead of the listener's.",
    keys: &[timeout("request", "For the whole exchange. Default: the listener's.")],
};
