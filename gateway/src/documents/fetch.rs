//! A document that an upstream serves.
//!
//! Owns the request for it, and what counts as a response that has it. It goes through the gateway's
//! own client, with the TLS and the protocol of the upstream. Redirects are not followed.

use std::pin::pin;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, StatusCode};

use super::error::FetchError;
use crate::body::Body;
use crate::config::{
    Follow, HostPolicy, RemoteDocument, Target, Upstream as Definition, UpstreamId,
};
use crate::names::Names;
use crate::timer::Timers;
use crate::upstream::Upstreams;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("gateway/", env!("CARGO_PKG_VERSION")));

/// What fetches one document.
pub(super) struct Source {
    remote: RemoteDocument,
    limit: usize,
    upstream: Upstreams,
    followed: Option<Upstreams>,
    /// Of upstreams whose names stand for several.
    targets: Vec<(String, Vec<Target>)>,
    /// Of the last response that had the document, with where it came from.
    known: Option<(PathAndQuery, Validators)>,
}

/// By what a source knows which version it sent. A server that has both goes by the first.
struct Validators {
    etag: Option<HeaderValue>,
    modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let [etag, modified] = [ETAG, LAST_MODIFIED].map(|name| headers.get(name).cloned());
        (etag.is_some() || modified.is_some()).then_some(Self { etag, modified })
    }
}

/// What a response says.
pub(super) struct Fetched {
    /// The document; `None` if it is what it was.
    pub(super) bytes: Option<Bytes>,
    pub(super) headers: HeaderMap,
}

impl Source {
    pub(super) fn new(
        remote: &RemoteDocument,
        limit: usize,
        names: &Names,
        timers: &Timers,
    ) -> Result<Self, FetchError> {
        let mut targets = Vec::new();
        let mut upstream = |definition: &Definition| {
            let mut definition = definition.clone();
            if !definition.written.is_empty() {
                definition.targets = names.targets(&definition);
                targets.push((definition.name.clone(), definition.targets.clone()));
            }
            let made = Upstreams::new(std::slice::from_ref(&definition), names, timers);
            made.map_err(|error| FetchError::Setup(error.to_string()))
        };
        let followed =
            remote.follow.as_ref().map(|follow| upstream(&follow.upstream)).transpose()?;
        let (upstream, remote) = (upstream(&remote.upstream)?, remote.clone());
        Ok(Self { remote, limit, upstream, followed, targets, known: None })
    }

    /// Whether the names of its upstreams stand for other targets by now.
    pub(super) fn has_other_targets(&self, names: &Names) -> bool {
        let follow = self.remote.follow.as_ref();
        let all = std::iter::once(&self.remote.upstream).chain(follow.map(|it| &it.upstream));
        let mut dynamic = all.filter(|upstream| !upstream.written.is_empty());
        dynamic.any(|upstream| {
            let known = self.targets.iter().find(|(name, _)| *name == upstream.name);
            known.is_none_or(|(_, targets)| *targets != names.targets(upstream))
        })
    }

    /// Fetches it, within its time.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let timeout = self.remote.timeout;
        let fetched = tokio::time::timeout(timeout, self.fetch_whole()).await;
        fetched.unwrap_or(Err(FetchError::Timeout(timeout)))
    }

    async fn fetch_whole(&mut self) -> Result<Fetched, FetchError> {
        let (upstream, path) = match (&self.remote.follow, &self.followed) {
            (Some(follow), Some(followed)) => {
                let named = self.get(&self.upstream, &self.remote.path, None).await?;
                let named = named.bytes.unwrap_or_default();
                (followed, named_path(&named, follow).map_err(FetchError::Follow)?)
            }
            _ => (&self.upstream, self.remote.path.clone()),
        };
        let known = self.known.as_ref().filter(|(of, _)| *of == path).map(|(_, known)| known);
        let fetched = self.get(upstream, &path, known).await?;
        if fetched.bytes.is_some() {
            self.known = Validators::of(&fetched.headers).map(|known| (path, known));
        }
        Ok(fetched)
    }

    async fn get(
        &self,
        upstream: &Upstreams,
        path: &PathAndQuery,
        known: Option<&Validators>,
    ) -> Result<Fetched, FetchError> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.clone().into();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, AGENT);
        headers.extend(self.remote.headers.iter().cloned());
        if let Some(Validators { etag, modified }) = known {
            headers.extend(etag.clone().map(|etag| (IF_NONE_MATCH, etag)));
            headers.extend(modified.clone().map(|modified| (IF_MODIFIED_SINCE, modified)));
        }
        let names_host = request.headers().contains_key(HOST);
        let host = if names_host { HostPolicy::Preserve } else { HostPolicy::Target };
        let exchange = upstream.upstream(UpstreamId(0)).send(&mut request, &host).await;
        let exchange = exchange.map_err(|error| FetchError::Upstream(error.to_string()))?;
        let (head, body) = exchange.response.into_parts();
        // The connection has served this one when the body has come.
        let _lease = exchange.lease;
        match head.status {
            StatusCode::NOT_MODIFIED if known.is_some() => {
                return Ok(Fetched { bytes: None, headers: head.headers });
            }
            StatusCode::OK => {}
            status => return Err(FetchError::Status { status }),
        }
        let encoding = head.headers.get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Encoded);
        }
        let bytes = whole(body, self.limit).await?;
        Ok(Fetched { bytes: Some(bytes), headers: head.headers })
    }
}

/// A body as one piece. One that is too long is given up as soon as that is known.
async fn whole<B>(body: B, limit: usize) -> Result<Bytes, FetchError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(FetchError::TooLong(limit));
    }
    let (mut body, mut whole) = (pin!(body), Vec::new());
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        let frame = frame.map_err(|error| {
            FetchError::Upstream(format!("the body of the response broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(FetchError::TooLong(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// The path of the document that this JSON names, if it is one of the upstream that may serve it.
fn named_path(json: &[u8], follow: &Follow) -> Result<PathAndQuery, String> {
    let json: serde_json::Value =
        serde_json::from_slice(json).map_err(|_| "is no JSON".to_owned())?;
    if let Some(issuer) = &follow.issuer {
        let named = json.get("issuer").and_then(serde_json::Value::as_str);
        if named != Some(issuer) {
            let named = named.map_or("none".to_owned(), |named| format!("{named:?}"));
            return Err(format!("is of the issuer {named}, not of {issuer:?}"));
        }
    }
    let url = json.pointer(&follow.pointer).and_then(serde_json::Value::as_str);
    let url = url.ok_or_else(|| format!("has no text at `{}`", follow.pointer))?;
    let uri: http::Uri = url.parse().map_err(|_| format!("names {url:?}, which is no URL"))?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(format!("names {url:?}, which is no URL of HTTP")),
    };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let upstream = &follow.upstream;
    let is_named = |name: &str| name.eq_ignore_ascii_case(host);
    let server_name = upstream.tls.server_name.as_deref();
    let is_target = upstream.targets.iter().any(|target| {
        let is_host = is_named(&target.host) || (tls && server_name.is_some_and(is_named));
        target.tls == tls && target.port == port && is_host
    });
    if !is_target {
        let name = &upstream.name;
        return Err(format!("names {url:?}, which is no target of the upstream `{name}`"));
    }
    Ok(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")))
}
