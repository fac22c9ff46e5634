//! Changes that a plugin asked for, put into a head.
//!
//! Owns the contract on what a plugin may write: valid names and values, no fields that frame the
//! message or belong to one connection, no head without bounds. A breach fails the plugin, not
//! the gateway. Must not call a plugin.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::heads::{RequestHead, check_attribute};
use crate::plugin::Failure;
use crate::plugin::bindings::{self, Attribute, Field, FieldEdit};

/// Field lines of a head and edits of them, together.
const MAX_FIELDS: usize = 2_000;
/// Bytes of one value.
const MAX_VALUE: usize = 64 << 10;
/// Bytes of a method, and of a path with its query.
const MAX_METHOD: usize = 64;
const MAX_TARGET: usize = 32 << 10;

/// Edits whose names and values are valid.
pub(super) struct Fields(Vec<Edit>);

enum Edit {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
}

impl Fields {
    /// Checks all edits before any is applied: those of a plugin that fails must leave no trace.
    pub(super) fn parse(headers: &HeaderMap, edits: Vec<FieldEdit>) -> Result<Self, Failure> {
        fit(headers, edits.len())?;
        let parse = |edit| {
            Ok(match edit {
                FieldEdit::Set(field) => {
                    let (name, value) = parse(field)?;
                    Edit::Set(name, value)
                }
                FieldEdit::Append(field) => {
                    let (name, value) = parse(field)?;
                    Edit::Append(name, value)
                }
                FieldEdit::Remove(name) => Edit::Remove(parse_name(&name)?),
            })
        };
        edits.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a head has room for them.
    pub(super) fn fit(&self, headers: &HeaderMap) -> Result<(), Failure> {
        fit(headers, self.0.len())
    }

    /// Applies them, first to last.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        for edit in self.0 {
            match edit {
                Edit::Set(name, value) => drop(headers.insert(name, value)),
                Edit::Append(name, value) => drop(headers.append(name, value)),
                Edit::Remove(name) => drop(headers.remove(name)),
            }
        }
    }
}

/// The map itself panics past its own bound, so the sum is checked and not the outcome.
fn fit(headers: &HeaderMap, edits: usize) -> Result<(), Failure> {
    if headers.len() + edits <= MAX_FIELDS {
        return Ok(());
    }
    Err(Failure::breach(format!("a head with its edits would be over {MAX_FIELDS} fields")))
}

/// Applies edits to the fields of a head, first to last, or none of them.
pub(super) fn fields(headers: &mut HeaderMap, edits: Vec<FieldEdit>) -> Result<(), Failure> {
    Fields::parse(headers, edits)?.apply(headers);
    Ok(())
}

/// Edits of the fields of a response that is not there yet; `None` if there are none.
pub(super) fn response_fields(edits: Vec<FieldEdit>) -> Result<Option<Fields>, Failure> {
    if edits.is_empty() {
        return Ok(None);
    }
    Fields::parse(&HeaderMap::new(), edits).map(Some)
}

/// Whether these attributes can be set beside so many that are set already.
pub(super) fn check_attributes(attributes: &[Attribute], known: usize) -> Result<(), Failure> {
    for (index, Attribute { name, value }) in attributes.iter().enumerate() {
        check_attribute(name, value, known + index)
            .map_err(|refused| Failure::breach(format!("the attribute {name:?} is {refused}")))?;
    }
    Ok(())
}

/// Applies what a plugin changed in the head of a request: all of it, or nothing.
pub(super) fn request(
    head: &mut RequestHead,
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    edits: Vec<FieldEdit>,
) -> Result<(), Failure> {
    let fields = Fields::parse(&head.headers, edits)?;
    target(head, method, path, query)?;
    fields.apply(&mut head.headers);
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

/// A whole answer that a plugin made.
pub(super) fn response(answer: bindings::Response) -> Result<Response<Body>, Failure> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status(answer.status)?;
    let edits = answer.fields.into_iter().map(FieldEdit::Append).collect();
    fields(response.headers_mut(), edits)?;
    set_length(response.headers_mut(), answer.body.len());
    *response.body_mut() = Body::full(Bytes::from(answer.body));
    Ok(response)
}

/// Says how long a body is that the gateway now knows whole.
pub(super) fn set_length(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

fn parse(field: Field) -> Result<(HeaderName, HeaderValue), Failure> {
    let name = parse_name(&field.name)?;
    let size = field.value.len();
    let value = HeaderValue::from_maybe_shared(Bytes::from(field.value)).ok();
    let value = value.filter(|_| size <= MAX_VALUE);
    let value = value.ok_or_else(|| {
        Failure::breach(format!("the value for the field `{name}` is not a valid field value"))
    })?;
    Ok((name, value))
}

/// Names that plugins wrote before: the same few come with every request, and parsing and
/// allocating each of them costs more than the field itself.
const MAX_KNOWN: usize = 256;
/// Longer names are not kept.
const MAX_KNOWN_NAME: usize = 64;

thread_local! {
    static KNOWN: RefCell<HashMap<&'static str, HeaderName, foldhash::fast::RandomState>> =
        RefCell::default();
}

fn parse_name(text: &str) -> Result<HeaderName, Failure> {
    if let Some(known) = KNOWN.with_borrow(|known| known.get(text).cloned()) {
        return Ok(known);
    }
    let name = parse_new_name(text)?;
    if text != name.as_str() || text.len() > MAX_KNOWN_NAME {
        return Ok(name);
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= MAX_KNOWN {
            return Ok(name);
        }
        // Static, so that a copy of the name counts no references. Bounded by the two limits.
        let text: &'static str = Box::leak(Box::from(text));
        let name = HeaderName::from_static(text);
        known.insert(text, name.clone());
        Ok(name)
    })
}

fn parse_new_name(text: &str) -> Result<HeaderName, Failure> {
    let name = HeaderName::try_from(text).map_err(|_| {
        let shown: String = text.chars().take(64).collect();
        Failure::breach(format!("{shown:?} is not a valid field name"))
    })?;
    if is_framing(&name) {
        return Err(Failure::breach(format!("the field `{name}` is the gateway's to write")));
    }
    Ok(name)
}

/// Fields that frame a message or belong to one connection (RFC 9110 section 7.6.1).
fn is_framing(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &[u8]) -> Vec<FieldEdit> {
        vec![FieldEdit::Set(Field { name: name.into(), value: value.into() })]
    }

    #[test]
    fn applies_edits_in_their_order() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("old"));
        let field = |value: &str| Field { name: "X-A".into(), value: value.into() };
        let edits = vec![
            FieldEdit::Append(field("two")),
            FieldEdit::Set(field("one")),
            FieldEdit::Append(field("three")),
            FieldEdit::Remove("x-b".into()),
        ];
        fields(&mut headers, edits).expect("allowed");
        let lines: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(lines, ["one", "three"]);
    }

    #[test]
    fn refuses_what_would_split_or_frame_a_message() {
        for (name, value) in [
            ("x", &b"a\r\nb: c"[..]),
            ("x", b"\0"),
            ("a b", b"c"),
            ("", b"c"),
            ("content-length", b"3"),
            ("Transfer-Encoding", b"chunked"),
            ("connection", b"x"),
            ("keep-alive", b"x"),
        ] {
            let outcome = fields(&mut HeaderMap::new(), set(name, value));
            assert!(matches!(outcome, Err(Failure::Breach(_))), "{name}");
        }
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
    fn an_edit_that_is_not_allowed_takes_those_before_it_back() {
        let mut head = RequestHead {
            method: Method::GET,
            target: PathAndQuery::from_static("/a"),
            headers: HeaderMap::new(),
        };
        let mut edits = set("x-good", b"a");
        edits.extend(set("not a name", b"b"));
        let changed = request(&mut head, Some("PUT".into()), Some("/b".into()), None, edits);
        assert!(matches!(changed, Err(Failure::Breach(_))));
        let good = set("x-good", b"a");
        let changed = request(&mut head, Some("PUT".into()), Some("b".into()), None, good);
        assert!(matches!(changed, Err(Failure::Breach(_))));
        assert_eq!((head.method, head.target.as_str()), (Method::GET, "/a"));
        assert!(head.headers.is_empty());
    }

    #[test]
    fn more_fields_than_a_map_can_hold_are_refused() {
        let field = |index| Field { name: format!("x-{index}"), value: b"a".into() };
        let edits = (0..40_000).map(|index| FieldEdit::Append(field(index))).collect();
        let mut headers = HeaderMap::new();
        assert!(matches!(fields(&mut headers, edits), Err(Failure::Breach(_))));
        assert!(headers.is_empty());
    }

    #[test]
    fn a_plugin_answers_with_a_final_status_only() {
        assert!(status(99).is_err() && status(101).is_err() && status(600).is_err());
        assert_eq!(status(599).map(|code| code.as_u16()).ok(), Some(599));
    }
}
