//! Templates with the captures of a route.
//!
//! Owns what `{name}` means. Values keep their percent-encoding: what was matched is what
//! goes out.

use http::request::Parts;

use crate::config::{Template, TemplatePart};
use crate::exchange::Exchange;
use crate::proxy::action::Matched;

/// Fills a template. `{host}` (without port), `{authority}` (with it), `{path}` and `{query}` (with
/// its `?`) are always there.
pub(in crate::proxy) fn fill(
    template: &Template,
    exchange: &Exchange,
    matched: &Matched<'_>,
    head: &Parts,
) -> String {
    let path = matched.target.path(&head.uri);
    let table = exchange.snapshot.table(exchange.listener);
    let captures = matched.found.captures.named(table, path);
    let mut text = String::new();
    for part in &template.parts {
        match part {
            TemplatePart::Text(literal) => text.push_str(literal),
            TemplatePart::Value(name) => match (captures.value(name), name.as_str()) {
                (Some(value), _) => text.push_str(value),
                (None, "host") => text.push_str(matched.target.host()),
                (None, "authority") => text.push_str(matched.target.authority()),
                (None, "path") => text.push_str(path),
                (None, "query") => {
                    if let Some(query) = head.uri.query() {
                        text.push('?');
                        text.push_str(query);
                    }
                }
                // A name of another pattern of the route.
                (None, _) => {}
            },
        }
    }
    text
}
