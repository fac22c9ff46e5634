//! Request heads as each protocol wants them, and response heads that are safe to pass on.
//!
//! Owns `Host`, `:authority` and the form of the request target on the way out, and on the way
//! back the refusal of messages whose length is ambiguous. Hop-by-hop fields are the caller's.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri, Version};

use super::error::Excess;
use crate::config::{HostPolicy, UpstreamLimits};

/// What a target is called in request heads.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) host: HeaderValue,
}

/// Gives the head a `Host` (RFC 9112 section 3.2). The target is written in origin form anyway.
pub(super) fn for_http1<B>(request: &mut Request<B>, name: &Name, policy: &HostPolicy) {
    if *policy == HostPolicy::Target {
        request.headers_mut().insert(HOST, name.host.clone());
    } else if !request.headers().contains_key(HOST) {
        let asked = request.uri().authority();
        let host = asked.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        request.headers_mut().insert(HOST, host.unwrap_or_else(|| name.host.clone()));
    }
}

/// Puts the head in HTTP/2's form: `Host` becomes `:authority` (RFC 9113 section 8.3.1).
///
/// # Errors
/// When `Host` is no authority.
pub(super) fn for_http2<B>(
    request: &mut Request<B>,
    name: &Name,
    policy: &HostPolicy,
) -> Result<(), &'static str> {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let authority = match (policy, host) {
        (HostPolicy::Target, _) => name.authority.clone(),
        (HostPolicy::Preserve, Some(host)) => {
            Authority::try_from(host.as_bytes()).map_err(|_| "its Host field is no authority")?
        }
        (HostPolicy::Preserve, None) => match request.uri().authority() {
            Some(authority) => authority.clone(),
            None => name.authority.clone(),
        },
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(name.scheme.clone());
    parts.authority = Some(authority);
    parts.path_and_query = Some(path_and_query(request.uri()));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| "its target is no URI")?;
    Ok(())
}

/// Refuses a head that came over HTTP/2 and is larger than over HTTP/1.1 it could be: the size is that
/// of its lines.
///
/// # Errors
/// The limit that it is over.
pub(super) fn check_size(headers: &HeaderMap, limits: UpstreamLimits) -> Result<(), Excess> {
    if headers.len() > limits.header_count {
        return Err(Excess::Count(limits.header_count));
    }
    let line = |(name, value): (&http::HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let size: usize = headers.iter().map(line).sum();
    if size > limits.header_size { Err(Excess::Size(limits.header_size)) } else { Ok(()) }
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// Refuses a response over HTTP/1 whose end two readers could see in different places, and folds
/// repeated equal lengths into one (RFC 9112 section 6.3).
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_framing(headers: &mut HeaderMap) -> Result<(), &'static str> {
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        if headers.contains_key(CONTENT_LENGTH) {
            return Err("it has both Content-Length and Transfer-Encoding");
        }
        let is_single = headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_none();
        if !is_single || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err("its Transfer-Encoding is not just chunked");
        }
        return Ok(());
    }
    let Some(first) = headers.get(CONTENT_LENGTH) else {
        return Ok(());
    };
    let is_plain = first.as_bytes().iter().all(u8::is_ascii_digit);
    if is_plain && headers.get_all(CONTENT_LENGTH).iter().nth(1).is_none() {
        return Ok(());
    }
    let length = single_length(headers).ok_or("its Content-Length is invalid or contradictory")?;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(())
}

/// The one length that all fields and list members agree on.
fn single_length(headers: &HeaderMap) -> Option<u64> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for member in value.to_str().ok()?.split(',') {
            let member = member.trim();
            let is_number = member.bytes().all(|byte| byte.is_ascii_digit());
            let number = member.parse::<u64>().ok().filter(|_| is_number)?;
            if length.replace(number).is_some_and(|before| before != number) {
                return None;
            }
        }
    }
    length
}
