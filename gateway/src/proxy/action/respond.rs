//! Fixed answers.

use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Response};

use crate::body::Body;
use crate::config::FixedResponse;
use crate::exchange::Exchange;

/// The answer that the route's configuration has.
pub(in crate::proxy) fn fixed(exchange: &Exchange, fixed: &FixedResponse) -> Response<Body> {
    let is_head = exchange.method == Method::HEAD;
    let body = if is_head { Body::empty() } else { Body::full(fixed.body.clone()) };
    let mut response = Response::new(body);
    *response.status_mut() = fixed.status;
    *response.headers_mut() = fixed.headers.clone();
    if is_head && !fixed.body.is_empty() {
        let length = HeaderValue::from(fixed.body.len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response
}
