//! Changes that a plugin asked for, put into a head.
//!
//! Owns the contract on the rest of what a plugin may write, where names and values are valid
//! already: a method, a path, a status, no head without bounds. A breach fails the plugin, not the
//! gateway. Must not call a plugin.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::heads::{MAX_ATTRIBUTES, RequestHead};
use crate::plugin::Failure;
use crate::plugin::bindings;
use crate::plugin::edits::{Attribute, Edit, Edits};

/// Field lines of a head and edits of them, together.
const MAX_FIELDS: usize = 2_000;
/// Bytes of a method, and of a path with its query.
const MAX_METHOD: usize = 64;
const MAX_TARGET: usize = 32 << 10;

/// The map itself panics past its own bound, so the sum is checked and not the outcome.
fn fit(headers: usize, edits: usize) -> Result<(), Failure> {
    if headers + edits <= MAX_FIELDS {
        return Ok(());
    }
    Err(Failure::breach(format!("a head with its edits would be over {MAX_FIELDS} fields")))
}

/// Applies edits to the fields of a head, first to last.
fn apply(headers: &mut HeaderMap, edits: impl Iterator<Item = Edit>) {
    for edit in edits {
        match edit {
            Edit::Set(name, value) => drop(headers.insert(name, value)),
            Edit::Append(name, value) => drop(headers.append(name, value)),
            Edit::Remove(name) => drop(headers.remove(name)),
        }
    }
}

/// Applies edits to the fields of a head, or none of them.
pub(super) fn fields(
    headers: &mut HeaderMap,
    edits: impl IntoIterator<Item = Edit, IntoIter: ExactSizeIterator>,
) -> Result<(), Failure> {
    let edits = edits.into_iter();
    fit(headers.len(), edits.len())?;
    apply(headers, edits);
    Ok(())
}

/// Whether a response that is not there yet has room for edits, behind so many others.
pub(super) fn check_response_edits(before: usize, edits: &[Edit]) -> Result<(), Failure> {
    fit(before, edits.len())
}

/// Whether an exchange that has so many attributes has room for these.
pub(super) fn check_room(attributes: &[Attribute], known: usize) -> Result<(), Failure> {
    if attributes.is_empty() || known + attributes.len() <= MAX_ATTRIBUTES {
        return Ok(());
    }
    Err(Failure::breach(format!("an exchange has at most {MAX_ATTRIBUTES} attributes")))
}

/// Applies what a plugin changed in the head of a request: all of it, or nothing.
pub(super) fn request(
    head: &mut RequestHead,
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    edits: Vec<Edit>,
) -> Result<(), Failure> {
    fit(head.headers.len(), edits.len())?;
    target(head, method, path, query)?;
    apply(&mut head.headers, edits.into_iter());
    Ok(())
}

/// Applies a new method, path or query.
fn target(
    head: &mut RequestHead,
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
) -> Result<(), Failure> {
    let method = method.map(parse_method).transpose()?;
    if path.is_some() || query.is_some() {
        head.target = parse_target(head, path, query)?;
    }
    if let Some(method) = method {
        head.method = method;
    }
    Ok(())
}

fn parse_method(text: String) -> Result<Method, Failure> {
    let parsed = Method::try_from(text.as_str()).ok();
    let parsed = parsed.filter(|known| text.len() <= MAX_METHOD && known != Method::CONNECT);
    parsed.ok_or_else(|| Failure::breach(format!("the method {text:?} is not allowed")))
}

fn parse_target(
    head: &RequestHead,
    path: Option<String>,
    query: Option<String>,
) -> Result<PathAndQuery, Failure> {
    let path = path.as_deref().unwrap_or_else(|| head.target.path());
    let query = query.as_deref().or_else(|| head.target.query()).unwrap_or_default();
    let text = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let is_path = path.starts_with('/') && !path.contains(['?', '#']) && !query.contains('#');
    let parsed = PathAndQuery::try_from(text.as_str()).ok();
    let parsed = parsed.filter(|_| is_path && text.len() <= MAX_TARGET);
    parsed.ok_or_else(|| Failure::breach(format!("the path or query {text:?} is not valid")))
}

/// A status code that a plugin chose.
pub(super) fn status(code: u16) -> Result<StatusCode, Failure> {
    let valid = StatusCode::from_u16(code).ok().filter(|_| (200..600).contains(&code));
    valid.ok_or_else(|| {
        Failure::breach(format!("the status code {code} is not one from 200 to 599"))
    })
}

/// A whole answer that a plugin made. Boxed, since most hooks make none, and their outcomes are moved.
pub(super) fn response(answer: bindings::Response) -> Result<Box<Response<Body>>, Failure> {
    let mut response = Box::new(Response::new(Body::empty()));
    *response.status_mut() = status(answer.status)?;
    fields(response.headers_mut(), Edits::lines(answer.fields)?)?;
    set_length(response.headers_mut(), answer.body.len());
    *response.body_mut() = Body::full(Bytes::from(answer.body));
    Ok(response)
}

/// Says how long a body is that the gateway now knows whole.
pub(super) fn set_length(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn field(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    fn set(name: &'static str, value: &'static str) -> Edit {
        let (name, value) = field(name, value);
        Edit::Set(name, value)
    }

    fn append(name: &'static str, value: &'static str) -> Edit {
        let (name, value) = field(name, value);
        Edit::Append(name, value)
    }

    #[test]
    fn applies_edits_in_their_order() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("old"));
        let edits = vec![
            append("x-a", "two"),
            set("x-a", "one"),
            append("x-a", "three"),
            Edit::Remove(HeaderName::from_static("x-b")),
        ];
        fields(&mut headers, edits).expect("allowed");
        let lines: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(lines, ["one", "three"]);
    }

    #[test]
    fn a_new_path_keeps_the_query_and_a_new_query_the_path() {
        let mut head = RequestHead {
            method: Method::GET,
            target: PathAndQuery::from_static("/a?x=1"),
            headers: HeaderMap::new(),
        };
        target(&mut head, None, Some("/b".into()), None).expect("valid");
        assert_eq!(head.target, "/b?x=1");
        target(&mut head, None, None, Some("y=2".into())).expect("valid");
        assert_eq!(head.target, "/b?y=2");
        target(&mut head, None, None, Some(String::new())).expect("valid");
        assert_eq!(head.target, "/b");
        for wrong in ["b", "", "/a?b", "/a b", "/a\r\n"] {
            assert!(target(&mut head, None, Some(wrong.into()), None).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_edit_that_is_not_allowed_leaves_no_trace() {
        let mut head = RequestHead {
            method: Method::GET,
            target: PathAndQuery::from_static("/a"),
            headers: HeaderMap::new(),
        };
        let many = (0..=MAX_FIELDS).map(|_| append("x-good", "a")).collect();
        let changed = request(&mut head, Some("PUT".into()), Some("/b".into()), None, many);
        assert!(matches!(changed, Err(Failure::Breach(_))));
        let good = vec![set("x-good", "a")];
        let changed = request(&mut head, Some("PUT".into()), Some("b".into()), None, good);
        assert!(matches!(changed, Err(Failure::Breach(_))));
        assert_eq!((head.method, head.target.as_str()), (Method::GET, "/a"));
        assert!(head.headers.is_empty());
    }

    #[test]
    fn a_plugin_answers_with_a_final_status_only() {
        assert!(status(99).is_err() && status(101).is_err() && status(600).is_err());
        assert_eq!(status(599).map(|code| code.as_u16()).ok(), Some(599));
    }
}
