//! Applies a plugin's changes to a head.
//!
//! Owns the contract on the rest of what a plugin may write, where names and values are valid
//! already: a method, a path, a status, no head without bounds. A breach fails the plugin, not the
//! gateway. Must not call a plugin.

use std::borrow::Cow;

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, ETAG, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::heads::{
    self, ExchangeView, MAX_ATTRIBUTES, RequestHead, check_host_value, normal_path,
};
use crate::plugin::bindings;
use crate::plugin::edits::{Attribute, Edit, Edits};
use crate::plugin::{Failure, Plugin};
use crate::respond;

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
pub(super) fn apply(headers: &mut HeaderMap, edits: impl Iterator<Item = Edit>) {
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

/// A method and a target that a request may have.
#[derive(Debug, Default)]
pub(super) struct NewTarget {
    method: Option<Method>,
    target: Option<PathAndQuery>,
}

/// Checks what a plugin changes in the head of a request.
pub(super) fn check_request(
    heads: &ExchangeView,
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    edits: &[Edit],
) -> Result<NewTarget, Failure> {
    let head = &heads.request;
    fit(head.headers.len(), edits.len())?;
    check_host(&head.headers, edits)?;
    let method = method.map(parse_method).transpose()?;
    if path.is_none() && query.is_none() {
        return Ok(NewTarget { method, target: None });
    }
    let target = parse_target(&head.target, path, query)?;
    Ok(NewTarget { method, target: Some(target) })
}

/// Applies what was checked.
pub(super) fn request(head: &mut RequestHead, new: NewTarget, edits: Vec<Edit>) {
    if let Some(target) = new.target {
        head.target = target;
    }
    if let Some(method) = new.method {
        head.method = method;
    }
    apply(&mut head.headers, edits.into_iter());
}

/// Whether a request that had at most one host has exactly one after these edits (RFC 9112 section
/// 3.2): who reads the first of two is another one than who reads the last.
pub(super) fn check_host(headers: &HeaderMap, edits: &[Edit]) -> Result<(), Failure> {
    if edits.iter().all(|edit| *edit.name() != HOST) {
        return Ok(());
    }
    let mut hosts: Vec<&HeaderValue> = headers.get_all(HOST).iter().collect();
    for edit in edits.iter().filter(|edit| *edit.name() == HOST) {
        match edit {
            Edit::Set(_, value) => hosts = vec![value],
            Edit::Append(_, value) => hosts.push(value),
            Edit::Remove(_) => hosts.clear(),
        }
    }
    match hosts[..] {
        // Only HTTP/1.0 knows requests without.
        [] if !headers.contains_key(HOST) => Ok(()),
        [host] => check_host_value(host).map_err(Failure::breach),
        _ => Err(Failure::breach(format!(
            "the request would have {} fields `host`, and a request has exactly one",
            hosts.len()
        ))),
    }
}

fn parse_method(text: String) -> Result<Method, Failure> {
    let parsed = Method::try_from(text.as_str()).ok();
    let parsed = parsed.filter(|known| text.len() <= MAX_METHOD && known != Method::CONNECT);
    parsed.ok_or_else(|| Failure::breach(format!("the method {text:?} is not allowed")))
}

pub(super) fn parse_target(
    target: &PathAndQuery,
    path: Option<String>,
    query: Option<String>,
) -> Result<PathAndQuery, Failure> {
    let query = query.as_deref().or_else(|| target.query()).unwrap_or_default();
    let path = match &path {
        Some(path) => normal_path(path).map_err(Failure::breach)?,
        None => Cow::Borrowed(target.path()),
    };
    let not_valid = |text: &str| {
        let shown: String = text.chars().take(256).collect();
        Failure::breach(format!("the path or query {shown:?} is not valid"))
    };
    let plain = query.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    let escaped = heads::query::escape(query).ok().filter(|_| plain);
    let escaped = escaped.ok_or_else(|| not_valid(query))?;
    let query = escaped.as_deref().unwrap_or(query);
    let text = if query.is_empty() { path.into_owned() } else { format!("{path}?{query}") };
    let parsed = PathAndQuery::try_from(text.as_str()).ok();
    parsed.filter(|_| text.len() <= MAX_TARGET).ok_or_else(|| not_valid(&text))
}

/// A status code that a plugin chose.
pub(super) fn status(code: u16) -> Result<StatusCode, Failure> {
    let valid = StatusCode::from_u16(code).ok().filter(|_| (200..600).contains(&code));
    valid.ok_or_else(|| {
        Failure::breach(format!("the status code {code} is not one from 200 to 599"))
    })
}

/// A whole answer that a plugin made. Boxed, since most hooks make none, and their outcomes are moved.
pub(super) fn response(
    plugin: &Plugin,
    answer: bindings::Response,
) -> Result<Box<Response<Body>>, Failure> {
    let mut response = Box::new(Response::new(Body::empty()));
    *response.status_mut() = status(answer.status)?;
    if answer.status == StatusCode::RESET_CONTENT && !answer.body.is_empty() {
        // RFC 9110 section 15.3.6.
        return Err(Failure::breach("it answered 205 with a body, and a 205 has none"));
    }
    fields(response.headers_mut(), Edits::lines(answer.fields)?)?;
    set_length(response.headers_mut(), answer.body.len());
    *response.body_mut() = Body::full(plugin.counted(answer.body)?);
    respond::mark(&mut response);
    plugin.answered(answer.status);
    Ok(response)
}

/// Fields that are about the bytes of a body (RFC 9530, and what came before it).
pub(super) const OF_THE_BODY: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// Takes away what is about the bytes of a body that a plugin changes: digests of the old ones, and
/// offers of their ranges. A strong entity tag becomes a weak one (RFC 9110 section 8.8.1): the same
/// tag still means the same document, but not byte for byte.
pub(super) fn forget_body(headers: &mut HeaderMap) {
    for name in &OF_THE_BODY {
        headers.remove(name);
    }
    headers.remove(ACCEPT_RANGES);
    let Some(tag) = headers.get(ETAG) else { return };
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak).ok().filter(|_| tag.as_bytes().starts_with(b"\"")) {
        Some(weak) => drop(headers.insert(ETAG, weak)),
        None if tag.as_bytes().starts_with(b"W/") => {}
        None => drop(headers.remove(ETAG)),
    }
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

    fn target(before: &'static str, path: Option<&str>, query: Option<&str>) -> Option<String> {
        let before = PathAndQuery::from_static(before);
        let own = |text: &str| text.to_owned();
        let target = parse_target(&before, path.map(own), query.map(own)).ok()?;
        Some(target.to_string())
    }

    #[test]
    fn a_new_path_keeps_the_query_and_a_new_query_the_path() {
        assert_eq!(target("/a?x=1", Some("/b"), None).as_deref(), Some("/b?x=1"));
        assert_eq!(target("/b?x=1", None, Some("y=2")).as_deref(), Some("/b?y=2"));
        assert_eq!(target("/b?y=2", None, Some("")).as_deref(), Some("/b"));
    }

    #[test]
    fn a_path_is_one_that_a_route_would_take() {
        for wrong in [
            "b",
            "",
            "/a?b",
            "/a b",
            "/a\r\n",
            "/a#b",
            "//a",
            "/a//",
            "/a/../b",
            "/a/..",
            "/a/.",
            "/./a",
            "/%2e%2e/a",
            "/a/%2E",
            "/a/..;x/b",
            "/a/..%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%",
            "/a%0a",
            "/%c0%af",
            "/a/..;/b",
        ] {
            assert_eq!(target("/", Some(wrong), None), None, "{wrong:?}");
        }
        for (path, normal) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/%c3%a9", "/%C3%A9"),
            ("/é", "/%C3%A9"),
            ("/%7euser/...", "/~user/..."),
            ("/a/b|c", "/a/b%7Cc"),
            ("/a%2fb;c=d", "/a%2Fb;c=d"),
        ] {
            assert_eq!(target("/", Some(path), None).as_deref(), Some(normal), "{path:?}");
        }
    }

    #[test]
    fn a_query_is_escaped_as_those_of_clients_are() {
        let query = |query| target("/", None, Some(query));
        assert_eq!(query("a=\"é\"").as_deref(), Some("/?a=%22%C3%A9%22"));
        for wrong in ["a#b", "a b", "a\nb", "\x7f"] {
            assert_eq!(query(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_request_has_one_valid_host_whatever_is_done_to_it() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a"));
        let remove = || Edit::Remove(HOST);
        for edits in [
            vec![],
            vec![set("x", "a b")],
            vec![set("host", "b.example:80")],
            vec![set("host", "[::1]:80")],
            vec![remove(), append("host", "b")],
            vec![append("host", "b"), set("host", "c")],
        ] {
            assert!(check_host(&headers, &edits).is_ok(), "{edits:?}");
        }
        for edits in [
            vec![remove()],
            vec![append("host", "b")],
            vec![append("host", "a")],
            vec![set("host", "b"), append("host", "c")],
            vec![set("host", "b"), remove()],
            vec![set("host", "")],
            vec![set("host", "a b")],
            vec![set("host", "user@b")],
            vec![set("host", "a/b")],
            vec![set("host", "a,b:x")],
            vec![set("host", "a:70000000")],
            vec![set("host", "[::1")],
        ] {
            let refused = check_host(&headers, &edits);
            let Err(Failure::Breach(why)) = refused else { panic!("{edits:?}") };
            assert!(why.contains("`host`"), "{why}");
        }
        assert!(check_host(&HeaderMap::new(), &[remove()]).is_ok());
    }

    #[test]
    fn what_is_about_the_old_bytes_does_not_outlive_them() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            field("content-digest", "sha-256=:AA==:"),
            field("repr-digest", "sha-256=:AA==:"),
            field("digest", "sha-256=AA=="),
            field("content-md5", "AA=="),
            field("accept-ranges", "bytes"),
            field("etag", "\"a\""),
            field("x-a", "1"),
        ] {
            headers.insert(name, value);
        }
        forget_body(&mut headers);
        assert_eq!(
            (headers.len(), &headers["etag"], &headers["x-a"]),
            (2, &"W/\"a\"".parse().unwrap(), &"1".parse().unwrap())
        );
        forget_body(&mut headers);
        assert_eq!(headers["etag"], "W/\"a\"");
        headers.insert(ETAG, HeaderValue::from_static("none"));
        forget_body(&mut headers);
        assert!(!headers.contains_key(ETAG));
    }

    #[test]
    fn a_plugin_answers_with_a_final_status_only() {
        assert!(status(99).is_err() && status(101).is_err() && status(600).is_err());
        assert_eq!(status(599).map(|code| code.as_u16()).ok(), Some(599));
    }
}
