//! How far a request may still go (RFC 9110 section 7.6.2).
//!
//! Owns `Max-Forwards` of `OPTIONS` and `TRACE`, the two methods for which it means something. Other
//! methods keep theirs.

use http::header::MAX_FORWARDS;
use http::request::Parts;
use http::{HeaderValue, Method, Response};

use crate::body::Body;
use crate::error::{Failure, Malformed};
use crate::proxy::request::target;

/// Takes one off, or answers for the last recipient. A `TRACE` that ends here is not reflected: its
/// fields may hold credentials that the gateway does not know for such.
///
/// # Errors
/// [`Malformed`], for what is not one whole number; 405 for a `TRACE` that ends here.
pub(in crate::proxy) fn take(head: &mut Parts) -> Result<Option<Response<Body>>, Failure> {
    if !matches!(head.method, Method::OPTIONS | Method::TRACE) {
        return Ok(None);
    }
    let mut values = head.headers.get_all(MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed::MaxForwards.into());
    }
    match number(value).ok_or(Malformed::MaxForwards)? {
        0 if head.method == Method::OPTIONS => Ok(Some(target::options())),
        0 => Err(Failure::MethodNotAllowed { allow: target::METHODS.to_vec() }),
        left => {
            head.headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Ok(None)
        }
    }
}

/// Digits alone. More than the gateway can count to is as much as it can count to.
fn number(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_digits_alone() {
        let read = |text: &'static str| number(&HeaderValue::from_static(text));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("010"), Some(10));
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        for none in ["", "-1", "+1", "1.0", "1, 2", "x"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
