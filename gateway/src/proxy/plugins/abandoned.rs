//! A request through plugins of which one may want its response read to its end.
//!
//! Owns that it goes on where its client leaves before there is the head of a response, if a plugin wants that. What
//! follows on the head is the body's.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::Response;

use crate::body::Body;
use crate::error::Failure;
use crate::exchange::{self, Exchange};
use crate::proxy::request::target::Target;
use crate::proxy::request::{FoundRoute, PreparedRequest};

type Through = Pin<Box<dyn Future<Output = Result<Response<Body>, Failure>>>>;

/// The way of a request, which goes on by itself where it is dropped.
pub(in crate::proxy) struct Abandonable {
    exchange: Rc<Exchange>,
    /// Until it is done.
    through: Option<Through>,
}

/// As [`run`](super::run).
pub(in crate::proxy) fn run_on(
    exchange: &Rc<Exchange>,
    found: FoundRoute<'_>,
    target: Target,
    request: Box<PreparedRequest>,
) -> Abandonable {
    let FoundRoute { index, pattern, captures, .. } = found;
    let own = Rc::clone(exchange);
    let through = Box::pin(async move {
        let route = &own.snapshot.config.routes[index];
        let found = FoundRoute { route, index, pattern, captures };
        super::run(&own, own.snapshot.chain(index), &found, &target, request).await
    });
    Abandonable { exchange: Rc::clone(exchange), through: Some(through) }
}

impl Future for Abandonable {
    type Output = Result<Response<Body>, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(through) = &mut this.through else { return Poll::Pending };
        let polled = through.as_mut().poll(context);
        if polled.is_ready() {
            this.through = None;
        }
        polled
    }
}

impl Drop for Abandonable {
    fn drop(&mut self) {
        if let Some(through) = self.through.take() {
            let body = async { through.await.ok().map(Response::into_body) };
            exchange::drain(&self.exchange, body);
        }
    }
}
