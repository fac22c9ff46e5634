//! A request to the upstream on a route with `retries`.
//!
//! Owns what is kept of the request for another attempt. When there is one is the upstream's to say.

use std::cell::Cell;
use std::pin::pin;

use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};

use super::until_upload_fails;
use crate::body::{Body, Replay};
use crate::config::{HostPolicy, Retries};
use crate::error::Failure;
use crate::exchange::Exchange;
use crate::upstream::{Along, Answered, Policy, Repeat, Upstream};

/// Sends it as often as its route allows.
pub(super) async fn send(
    exchange: &Exchange,
    upstream: &Upstream,
    mut request: Request<Body>,
    host: &HostPolicy,
    along: Along<'_>,
    retries: &Retries,
) -> Result<Answered, Failure> {
    // Each attempt has a copy of them.
    if let Some(added) = along.added {
        added.insert(request.headers_mut());
    }
    let is_told = Cell::new(false);
    let tell = |status: StatusCode, fields: HeaderMap| {
        is_told.set(is_told.get() || status != StatusCode::CONTINUE);
        if let Some(interim) = along.interim {
            interim(status, fields);
        }
    };
    let along = Along { added: None, interim: Some(&tell), ..along };
    let has_body = !http_body::Body::is_end_stream(request.body());
    let (head, body) = request.into_parts();
    let quota = &exchange.snapshot.shared.bodies;
    let mut kept = KeptRequest {
        method: head.method,
        uri: head.uri,
        version: head.version,
        headers: head.headers,
        body: has_body.then(|| Replay::new(body, retries.body, quota)),
        is_told: &is_told,
        exchange,
    };
    let request = kept.request();
    let (tries, until) = (exchange.tries(), exchange.ends_at());
    let policy = Policy { retries, host, along, tries, until };
    let sent = pin!(upstream.send_repeatedly(request, &mut kept, policy));
    until_upload_fails(exchange, has_body, sent).await
}

/// A request of which each attempt gets a copy.
struct KeptRequest<'a> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Option<Replay>,
    /// The client has received an interim response.
    is_told: &'a Cell<bool>,
    exchange: &'a Exchange,
}

impl KeptRequest<'_> {
    fn request(&self) -> Request<Body> {
        let body = self.body.as_ref().map_or_else(Body::empty, Replay::read);
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        request
    }
}

impl Repeat<Body> for KeptRequest<'_> {
    fn can_repeat(&self) -> bool {
        let has_client = !self.exchange.is_abandoned();
        has_client && !self.is_told.get() && self.body.as_ref().is_none_or(Replay::is_whole)
    }

    fn again(&mut self) -> Option<Request<Body>> {
        self.can_repeat().then(|| self.request())
    }

    fn twin(&self) -> Option<Request<Body>> {
        self.body.is_none().then(|| self.request())
    }

    fn waits_for_client(&self) -> bool {
        self.body.as_ref().is_some_and(Replay::is_starved)
    }

    fn settle(&mut self) {
        if let Some(body) = &self.body {
            body.settle();
        }
    }
}
