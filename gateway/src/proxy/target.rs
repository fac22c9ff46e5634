//! What a request is for: host and path, brought into the one form that is matched and forwarded.
//!
//! Owns RFC 9112 sections 3.2 and 3.3. After this step the head has exactly one `Host`, which
//! agrees with the target.

use std::borrow::Cow;

use http::header::{ALLOW, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Uri, Version};

use super::authority;
use super::survey::Survey;
use crate::body::Body;
use crate::error::{Failure, Malformed};
use crate::route;

/// See the module.
#[derive(Debug)]
pub(super) struct Target {
    /// The field value that holds the host, and how long the host in it is.
    field: Option<HeaderValue>,
    host_length: usize,
    /// The normalised path, where it differs from the one in the URI.
    path: Option<String>,
}

impl Target {
    /// Without port; empty if the request has none.
    pub(super) fn host(&self) -> &str {
        &self.authority()[..self.host_length]
    }

    /// With port, as the client sent it.
    pub(super) fn authority(&self) -> &str {
        self.field.as_ref().and_then(|field| field.to_str().ok()).unwrap_or_default()
    }

    /// As a field value; `None` if the request has no host.
    pub(super) fn field(&self) -> Option<&HeaderValue> {
        self.field.as_ref()
    }

    /// In normal form.
    pub(super) fn path<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.path.as_deref().unwrap_or_else(|| uri.path())
    }

    /// Whether [`path`](Self::path) is not what the client wrote.
    pub(super) fn path_differs(&self) -> bool {
        self.path.is_some()
    }
}

/// Answers what is not about a resource: `OPTIONS *` (RFC 9110 section 9.3.7).
///
/// # Errors
/// For `CONNECT`, and for a target of a form that the method does not have.
pub(super) fn answer_server_wide(head: &Parts) -> Result<Option<Response<Body>>, Failure> {
    if head.method == Method::CONNECT {
        return Err(Failure::ConnectRefused);
    }
    if head.uri.path() != "*" {
        return Ok(None);
    }
    if head.method != Method::OPTIONS {
        return Err(Malformed::TargetForm.into());
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(ALLOW, methods);
    Ok(Some(response))
}

/// Finds host and path.
///
/// # Errors
/// [`Malformed`], where two servers could read them differently.
pub(super) fn resolve(head: &mut Parts, survey: &Survey) -> Result<Target, Malformed> {
    let field = host_field(head, survey)?;
    let host_length = match &field {
        Some(field) => {
            let text = field.to_str().map_err(|_| Malformed::HostInvalid)?;
            authority::host(text)?.len()
        }
        None => 0,
    };
    let path = match route::normalise(head.uri.path())? {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    Ok(Target { field, host_length, path })
}

fn host_field(head: &mut Parts, survey: &Survey) -> Result<Option<HeaderValue>, Malformed> {
    if survey.hosts > 1 {
        return Err(Malformed::HostRepeated);
    }
    let Some(authority) = head.uri.authority() else {
        return match head.headers.get(HOST) {
            Some(field) => Ok(Some(field.clone())),
            None if head.version == Version::HTTP_11 => Err(Malformed::HostMissing),
            None => Ok(None),
        };
    };
    if survey.hosts == 0 && head.version == Version::HTTP_11 {
        return Err(Malformed::HostMissing);
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
