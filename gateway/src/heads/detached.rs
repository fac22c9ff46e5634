//! Parts of a head that no longer share the buffer which the head was read into.
//!
//! Owns the copies. What is read of a connection stays in memory, whole, as long as any part of it is in use: a stream
//! that runs for minutes would hold some 8 KiB for a path and a few fields.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

use super::ExchangeView;

/// Copies the value of a field.
pub(crate) fn detach_value(value: &mut HeaderValue) {
    let Ok(mut own) = HeaderValue::from_bytes(value.as_bytes()) else { return };
    own.set_sensitive(value.is_sensitive());
    *value = own;
}

/// Copies the values of fields.
fn detach_fields(headers: &mut HeaderMap) {
    headers.values_mut().for_each(detach_value);
}

/// Copies what was asked for.
pub(crate) fn detach_uri(uri: &mut Uri) {
    if let Ok(own) = Uri::try_from(uri.to_string().as_str()) {
        *uri = own;
    }
}

fn detach_target(target: &mut PathAndQuery) {
    if let Ok(own) = PathAndQuery::try_from(target.as_str()) {
        *target = own;
    }
}

impl ExchangeView {
    /// Copies what it has of the request.
    pub(crate) fn detach(&mut self) {
        detach_fields(&mut self.request.headers);
        detach_target(&mut self.request.target);
        detach_target(&mut self.facts.matched);
        if let Some(authority) = &mut self.facts.authority {
            detach_value(authority);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn copies_say_the_same_and_let_go_of_the_buffer() {
        let buffer = Bytes::from(b"/a%20b?c=d http://h:1/x?y text".to_vec());
        let mut target = PathAndQuery::from_maybe_shared(buffer.slice(..10)).unwrap();
        let mut uri = Uri::from_maybe_shared(buffer.slice(11..25)).unwrap();
        let mut value = HeaderValue::from_maybe_shared(buffer.slice(26..)).unwrap();
        value.set_sensitive(true);
        detach_target(&mut target);
        detach_uri(&mut uri);
        detach_value(&mut value);
        assert_eq!((target.as_str(), uri.to_string().as_str()), ("/a%20b?c=d", "http://h:1/x?y"));
        assert_eq!((value.as_bytes(), value.is_sensitive()), (&b"text"[..], true));
        assert!(buffer.is_unique(), "something still holds the buffer");
    }

    #[test]
    fn each_form_of_a_target_stays_as_it_is() {
        for form in ["/", "*", "/a?", "/a?b#", "h:443", "https://h/a"] {
            let mut uri: Uri = form.parse().unwrap();
            let before = uri.clone();
            detach_uri(&mut uri);
            assert_eq!(uri, before, "{form}");
        }
    }
}
