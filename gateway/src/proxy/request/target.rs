//! What a request is for: host and path, brought into the one form that is matched and forwarded.
//!
//! Owns RFC 9112 sections 3.2 and 3.3. After this step the head has exactly one `Host`, which
//! agrees with the target.

use std::borrow::Cow;

use http::header::{ALLOW, HOST};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderValue, Method, Response, StatusCode, Uri, Version};

use crate::body::Body;
use crate::error::{Failure, Malformed};
use crate::exchange::Exchange;
use crate::heads::{authority, query};
use crate::proxy::action::rewrite;
use crate::proxy::request::checks::Checked;
use crate::route;

/// What the gateway takes as a whole; a route may take less.
pub(in crate::proxy) const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// See the module.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Target {
    /// The field value that holds the host, and how long the host in it is.
    field: Option<HeaderValue>,
    host_length: usize,
    /// The normalised path, where it differs from the one in the URI.
    path: Option<String>,
}

impl Target {
    /// Without port; empty if the request has none.
    pub(in crate::proxy) fn host(&self) -> &str {
        &self.authority()[..self.host_length]
    }

    /// How many bytes of the field the host is.
    pub(in crate::proxy) fn host_length(&self) -> usize {
        self.host_length
    }

    /// The normalised path, where it is not what the client wrote.
    pub(in crate::proxy) fn other_path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// With port, as the client sent it.
    pub(in crate::proxy) fn authority(&self) -> &str {
        self.field.as_ref().and_then(|field| field.to_str().ok()).unwrap_or_default()
    }

    /// As a field value; `None` if the request has no host.
    pub(in crate::proxy) fn field(&self) -> Option<&HeaderValue> {
        self.field.as_ref()
    }

    /// In normal form.
    pub(in crate::proxy) fn path<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.path.as_deref().unwrap_or_else(|| uri.path())
    }

    /// Whether [`path`](Self::path) is not what the client wrote.
    pub(in crate::proxy) fn path_differs(&self) -> bool {
        self.path.is_some()
    }
}

/// Answers what is not about a resource: `OPTIONS *` (RFC 9110 section 9.3.7).
///
/// # Errors
/// For `CONNECT`, and for a target of a form that the method does not have.
pub(in crate::proxy) fn answer_server_wide(
    head: &mut Parts,
    checked: &Checked,
) -> Result<Option<Response<Body>>, Failure> {
    if head.method == Method::CONNECT {
        return Err(Failure::ConnectRefused);
    }
    if head.uri.path() != "*" {
        return Ok(None);
    }
    if head.method != Method::OPTIONS {
        return Err(Malformed::TargetForm.into());
    }
    host_field(head, checked)?;
    Ok(Some(options()))
}

/// The answer to `OPTIONS` that ends here.
pub(in crate::proxy) fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let names: Vec<_> = METHODS.iter().map(Method::as_str).collect();
    if let Ok(methods) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// Finds host and path.
///
/// # Errors
/// [`Malformed`], where two servers could read them differently.
pub(in crate::proxy) fn resolve(
    exchange: &Exchange,
    head: &mut Parts,
    checked: &Checked,
) -> Result<Target, Malformed> {
    if exchange.connection.raw_head_has(query::has_fragment) {
        return Err(Malformed::Fragment);
    }
    let field = host_field(head, checked)?;
    let host_length = match &field {
        Some(field) => {
            let text = field.to_str().map_err(|_| Malformed::HostInvalid)?;
            authority::host(text)?.len()
        }
        None => 0,
    };
    let path = match route::normalise(head.uri.path(), exchange.facts().listener.config.paths)? {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    if let Some(escaped) = head.uri.query().map(query::escape).transpose()?.flatten() {
        head.uri = rewrite::with_query(&head.uri, Some(&escaped))?;
    }
    Ok(Target { field, host_length, path })
}

fn host_field(head: &mut Parts, checked: &Checked) -> Result<Option<HeaderValue>, Malformed> {
    if checked.hosts > 1 {
        return Err(Malformed::HostRepeated);
    }
    let Some(authority) = head.uri.authority() else {
        return match head.headers.get(HOST) {
            Some(field) if head.version == Version::HTTP_2 && field.is_empty() => {
                Err(Malformed::HostMissing)
            }
            Some(field) => Ok(Some(field.clone())),
            // Only HTTP/1.0 knows requests without (RFC 9113 section 8.3.1).
            None if head.version <= Version::HTTP_10 => Ok(None),
            None => Err(Malformed::HostMissing),
        };
    };
    if checked.hosts == 0 && head.version == Version::HTTP_11 {
        return Err(Malformed::HostMissing);
    }
    // No other scheme is served here (RFC 9110 section 7.4).
    let scheme = head.uri.scheme();
    if scheme.is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Malformed::TargetForm);
    }
    if authority.as_str().contains('@') {
        return Err(Malformed::UserInfo);
    }
    let field = HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::HostInvalid)?;
    if head.version == Version::HTTP_2 {
        let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(field.as_bytes());
        if !head.headers.get(HOST).is_none_or(same) {
            return Err(Malformed::HostDiffers);
        }
    }
    // The target's authority wins over the field (RFC 9112 section 3.2.2).
    head.headers.insert(HOST, field.clone());
    Ok(Some(field))
}
