//! The target of a request as the upstream sees it.
//!
//! Owns prefixes and path templates. A path that nothing changes is not copied.

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::config::{Action, HostPolicy, Rewrite};
use crate::error::{Failure, Malformed};
use crate::exchange::Exchange;
use crate::proxy::action::Matched;
use crate::proxy::action::template;

/// Puts path and host as the route's `rewrite` wants them. Returns whose host goes out. A path
/// that a plugin chose is the last word on it.
///
/// # Errors
/// When captures make no valid path of the template.
pub(in crate::proxy) fn apply<'a>(
    exchange: &Exchange,
    matched: &Matched<'_>,
    head: &mut Parts,
    policy: &'a HostPolicy,
) -> Result<&'a HostPolicy, Failure> {
    let rewrite = of(exchange, matched);
    let chosen = matched.chosen_path.map(Cow::Borrowed);
    let path = chosen.or_else(|| rewritten_path(rewrite, exchange, matched, head).map(Cow::Owned));
    if let Some(path) = path {
        head.uri = with_path(&head.uri, &path)?;
    }
    match &rewrite.host {
        Some(host) => {
            let host = HeaderValue::try_from(host.as_str());
            let host = host.map_err(|_| Failure::Internal("`rewrite.host` is no field value"))?;
            head.headers.insert(HOST, host);
            Ok(&HostPolicy::Preserve)
        }
        None => Ok(policy),
    }
}

/// What rewrites a request: that of its variant, if that has one, or of its route.
pub(super) fn of<'a>(exchange: &Exchange, matched: &Matched<'a>) -> &'a Rewrite {
    let route = matched.found.route;
    if let Action::Split(split) = &route.action
        && let Some(variant) = exchange.variant()
        && let Some(rewrite) = split.variants.get(variant).and_then(|it| it.rewrite.as_ref())
    {
        return rewrite;
    }
    &route.rewrite
}

/// The new path; `None` if the one in the head will do.
fn rewritten_path(
    rewrite: &Rewrite,
    exchange: &Exchange,
    matched: &Matched<'_>,
    head: &Parts,
) -> Option<String> {
    let path = matched.target.path(&head.uri);
    if let Some(template) = &rewrite.path {
        return Some(template::fill(template, exchange, matched, head));
    }
    match with_prefixes(rewrite, path) {
        Cow::Owned(path) => Some(path),
        Cow::Borrowed(path) => matched.target.path_differs().then(|| path.to_owned()),
    }
}

fn with_prefixes<'a>(rewrite: &Rewrite, path: &'a str) -> Cow<'a, str> {
    let stripped = rewrite.strip_prefix.as_deref().and_then(|prefix| strip(path, prefix));
    let Some(prefix) = rewrite.add_prefix.as_deref() else {
        return stripped.map_or(Cow::Borrowed(path), Cow::Owned);
    };
    let rest = stripped.as_deref().unwrap_or(path);
    Cow::Owned(format!("{}{rest}", prefix.strip_suffix('/').unwrap_or(prefix)))
}

/// What follows the prefix, if it ends where a segment ends.
fn strip(path: &str, prefix: &str) -> Option<String> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match path.strip_prefix(prefix)? {
        "" => Some("/".to_owned()),
        rest if rest.starts_with('/') => Some(rest.to_owned()),
        _ => None,
    }
}

/// The URI with another query, which a plugin chose.
pub(in crate::proxy) fn with_query(uri: &Uri, query: Option<&str>) -> Result<Uri, Malformed> {
    let path = uri.path();
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    let path_and_query = PathAndQuery::from_maybe_shared(text.into_bytes());
    parts.path_and_query = Some(path_and_query.map_err(|_| Malformed::TargetForm)?);
    Uri::from_parts(parts).map_err(|_| Malformed::TargetForm)
}

/// The URI with another path and the same query.
fn with_path(uri: &Uri, path: &str) -> Result<Uri, Failure> {
    let path_and_query = match uri.query() {
        // A template may bring its own query.
        Some(query) if !path.contains('?') => {
            PathAndQuery::from_maybe_shared(format!("{path}?{query}").into_bytes())
        }
        _ => PathAndQuery::try_from(path),
    };
    let path_and_query = path_and_query.map_err(|_| Malformed::TargetForm)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    Uri::from_parts(parts).map_err(|_| Malformed::TargetForm.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_a_prefix_only_at_a_segment_border() {
        assert_eq!(strip("/api/x", "/api").as_deref(), Some("/x"));
        assert_eq!(strip("/api", "/api").as_deref(), Some("/"));
        assert_eq!(strip("/api/", "/api/").as_deref(), Some("/"));
        assert_eq!(strip("/apis", "/api"), None);
        assert_eq!(strip("/other", "/api"), None);
    }

    #[test]
    fn adds_a_prefix_without_a_double_slash() {
        let rewrite = Rewrite {
            strip_prefix: Some("/a".to_owned()),
            add_prefix: Some("/v1/".to_owned()),
            ..Rewrite::default()
        };
        assert_eq!(with_prefixes(&rewrite, "/a/b"), "/v1/b");
        assert_eq!(with_prefixes(&rewrite, "/ab"), "/v1/ab");
    }

    #[test]
    fn keeps_the_query() {
        let uri: Uri = "/a?b=c".parse().unwrap();
        assert_eq!(with_path(&uri, "/d").unwrap(), "/d?b=c");
        assert_eq!(with_path(&uri, "/d?e").unwrap(), "/d?e");
    }
}
