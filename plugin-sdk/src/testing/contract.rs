//! The contract between gateway and plugin, as the gateway judges it.

use crate::attributes;
use crate::header_name::is_token;
use crate::wire::{Field, FieldEdit, NewAttribute, RequestChange, Response, ResponseChange};

/// A breach of contract: the gateway would throw the instance away and answer as `on_error` says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// A change to a field that is the gateway's.
    #[error("the field {0:?} is the gateway's")]
    ForbiddenField(String),
    /// A name that is not a token, or a value with a control character.
    #[error("the field {0:?} has a name or a value that no head can carry")]
    InvalidField(String),
    /// A method that is not a token.
    #[error("{0:?} is not a method")]
    InvalidMethod(String),
    /// A path that does not begin with `/`, has a character that must be encoded, or is one that no
    /// route would take: with a dot segment or a double slash.
    #[error("{0:?} is not a path")]
    InvalidPath(String),
    /// A query with a character that must be encoded.
    #[error("{0:?} is not a query")]
    InvalidQuery(String),
    /// A host that is missing afterwards, or that is no host and port.
    #[error("a request has exactly one `host`, and {0:?} would not be one")]
    InvalidHost(String),
    /// A status code that is not 200 to 599, or a 205 with a body.
    #[error("{0} is not the status code of an answer")]
    InvalidStatus(u16),
    /// An attribute that is reserved or too large.
    #[error("the attribute {0:?} cannot be set")]
    InvalidAttribute(String),
    /// An upstream without a name.
    #[error("the name of an upstream is not empty")]
    InvalidUpstream,
}

const FORBIDDEN: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(crate) fn judge_request(change: &RequestChange) -> Result<(), Breach> {
    if let Some(method) = &change.method
        && !is_token(method.as_bytes())
    {
        return Err(Breach::InvalidMethod(method.clone()));
    }
    if let Some(path) = &change.path
        && !is_path(path)
    {
        return Err(Breach::InvalidPath(path.clone()));
    }
    if let Some(query) = &change.query
        && !query.bytes().all(is_target)
    {
        return Err(Breach::InvalidQuery(query.clone()));
    }
    if change.upstream.as_ref().is_some_and(String::is_empty) {
        return Err(Breach::InvalidUpstream);
    }
    for NewAttribute { name, value } in &change.attributes {
        attributes::check(name, value).map_err(|_| Breach::InvalidAttribute((**name).into()))?;
    }
    judge_edits(&change.fields)?;
    judge_host(&change.fields)?;
    judge_edits(&change.response_fields)
}

/// Whether the host is left alone, or is one afterwards.
fn judge_host(edits: &[FieldEdit]) -> Result<(), Breach> {
    let is_host = |name: &str| name.eq_ignore_ascii_case("host");
    // The request has one before.
    let mut hosts = vec![None];
    for edit in edits {
        match edit {
            FieldEdit::Set(field) if is_host(&field.name) => hosts = vec![Some(&field.value)],
            FieldEdit::Append(field) if is_host(&field.name) => hosts.push(Some(&field.value)),
            FieldEdit::Remove(name) if is_host(name) => hosts.clear(),
            FieldEdit::Set(_) | FieldEdit::Append(_) | FieldEdit::Remove(_) => {}
        }
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte);
    match hosts[..] {
        [None] => Ok(()),
        [Some(host)] if !host.is_empty() && host.iter().all(|byte| fits(*byte)) => Ok(()),
        [] => Err(Breach::InvalidHost(String::new())),
        [.., host] => {
            let host = host.map_or("", |host| std::str::from_utf8(host).unwrap_or_default());
            Err(Breach::InvalidHost(host.to_owned()))
        }
    }
}

/// Whether a route would take the path.
fn is_path(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte != b'?' && is_target(byte));
    let Some(segments) = path.strip_prefix('/').filter(|_| plain) else { return false };
    let count = segments.split('/').count();
    segments.split('/').enumerate().all(|(index, segment)| {
        let shown = segment.replace("%2e", ".").replace("%2E", ".");
        let is_last = index + 1 == count;
        !matches!(shown.as_str(), "." | "..") && (is_last || !shown.is_empty())
    })
}

pub(crate) fn judge_response_change(change: &ResponseChange) -> Result<(), Breach> {
    if let Some(status) = change.status {
        judge_status(status)?;
    }
    judge_edits(&change.fields)
}

pub(crate) fn judge_response(response: &Response) -> Result<(), Breach> {
    judge_status(response.status)?;
    if response.status == 205 && !response.body.is_empty() {
        return Err(Breach::InvalidStatus(205));
    }
    response.fields.iter().try_for_each(judge_field)
}

fn judge_status(status: u16) -> Result<(), Breach> {
    if (200..600).contains(&status) { Ok(()) } else { Err(Breach::InvalidStatus(status)) }
}

pub(crate) fn judge_edits(edits: &[FieldEdit]) -> Result<(), Breach> {
    edits.iter().try_for_each(|edit| match edit {
        FieldEdit::Set(field) | FieldEdit::Append(field) => judge_field(field),
        FieldEdit::Remove(name) => judge_name(name),
    })
}

pub(crate) fn judge_field(field: &Field) -> Result<(), Breach> {
    judge_name(&field.name)?;
    // RFC 9110 section 5.5: no control character but the tab.
    let is_valid = field.value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
    if is_valid { Ok(()) } else { Err(Breach::InvalidField(field.name.clone())) }
}

fn judge_name(name: &str) -> Result<(), Breach> {
    if !is_token(name.as_bytes()) {
        return Err(Breach::InvalidField(name.to_owned()));
    }
    if FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
        return Err(Breach::ForbiddenField(name.to_owned()));
    }
    Ok(())
}

/// Whether a byte may be in the path or the query of a target.
pub(crate) fn is_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str) -> FieldEdit {
        FieldEdit::Set(Field { name: "Host".to_owned(), value: value.into() })
    }

    #[test]
    fn a_path_is_one_that_a_route_would_take() {
        for path in ["/", "/a/", "/a/b", "/...", "/%2e%2e%2e", "/a%20b"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["", "a", "//", "/a//b", "/.", "/a/..", "/%2E./b", "/a/%2e", "/a b", "/a?b"] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        let remove = || FieldEdit::Remove("host".to_owned());
        let append = || FieldEdit::Append(Field { name: "host".to_owned(), value: "b".into() });
        for edits in [vec![], vec![set("b:80")], vec![set("[::1]")], vec![remove(), append()]] {
            assert_eq!(judge_host(&edits), Ok(()), "{edits:?}");
        }
        for edits in
            [vec![remove()], vec![append()], vec![set("")], vec![set("a b")], vec![set("a@b")]]
        {
            assert!(judge_host(&edits).is_err(), "{edits:?}");
        }
    }
}
