//! Redirects to what a template makes of the request.

use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Response};

use super::{Matched, template};
use crate::body::Body;
use crate::config::Redirect;
use crate::error::{Failure, Malformed};
use crate::exchange::Exchange;

/// Answers with the redirect of a route.
///
/// # Errors
/// When captures make no valid field value of the template.
pub(in crate::proxy) fn redirect(
    exchange: &Exchange,
    matched: &Matched<'_>,
    redirect: &Redirect,
    head: &Parts,
) -> Result<Response<Body>, Failure> {
    let location = template::fill(&redirect.location, exchange, matched, head);
    let location = HeaderValue::try_from(location).map_err(|_| Malformed::TargetForm)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = redirect.status;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
