//! Keys of `[documents.NAME]`.
//!
//! Owns no behaviour. A key stands here only if something in the gateway obeys it.

use super::{Key, Keys, Kind, timeout};

pub(in crate::config) static DOCUMENT: Keys = Keys {
    id: "document",
    title: "a document",
    about: "A file or a remote text that plugins read, kept current in the background.",
    keys: &[
        Key::new(
            "file",
            Kind::Text,
            "The file, relative to the configuration file. It is looked at twice a second. A document \
             has either `file` or `upstream` with `path`.",
        )
        .example("\"denied.txt\""),
        Key::new("upstream", Kind::Text, "The upstream that a remote document is fetched from.")
            .example("\"NAME\""),
        Key::new("path", Kind::Text, "Its path there, with the query if there is one.")
            .example("\"/.well-known/jwks.json\""),
        Key::new(
            "headers",
            Kind::TextMap,
            "Header fields of the request for it, such as `authorization`.",
        ),
        Key::new(
            "follow",
            Kind::Table(&FOLLOW),
            "The document is not what the path serves, but what a URL in that JSON names: for OpenID \
             Connect discovery. Default: nothing is followed.",
        ),
        Key::new(
            "refresh",
            Kind::Duration { min: "1s", max: "7d" },
            "The longest time between two fetches of a remote document. `Cache-Control: max-age` makes \
             it shorter.",
        )
        .default("5m"),
        Key::new(
            "min_refresh",
            Kind::Duration { min: "1s", max: "1h" },
            "The shortest time between two fetches that `max-age` asks for, and between two that plugins \
             ask for where the former brought nothing new.",
        )
        .default("60s"),
        Key::new(
            "size",
            Kind::Size { min: 1, max: 16 << 20 },
            "Bytes that it may have. A longer one is refused, and the last one kept.",
        )
        .default("1MiB"),
        timeout("timeout", "How long one fetch of a remote document may take.").default("5s"),
    ],
};

pub(in crate::config) static FOLLOW: Keys = Keys {
    id: "follow",
    title: "`follow` of a document",
    about: "Where the URL of the document itself stands.",
    keys: &[
        Key::new(
            "pointer",
            Kind::Text,
            "Where the URL stands in what `path` serves: a JSON Pointer (RFC 6901).",
        )
        .default("/jwks_uri"),
        Key::new(
            "upstream",
            Kind::Text,
            "The upstream that the URL must be of. Default: that of the document.",
        ),
        Key::new(
            "issuer",
            Kind::Text,
            "What the member `issuer` must be (OpenID Connect Discovery section 4.3). Default: not \
             checked.",
        )
        .example("\"https://id.example.com/\""),
    ],
};
