//! What a client is sent while its response is silent, as its plugins want it.
//!
//! Owns for which response that holds: the one that the plugin saw, and one to which something can be added.

use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::Run;
use crate::body::{Body, KeepAlive};

impl Run {
    /// The plugin that is called wants that for the response.
    pub(super) fn keeps_alive(&self, keep_alive: Box<KeepAlive>) {
        *self.keep_alive.borrow_mut() = Some(keep_alive);
    }

    /// Another response is in the place of the one for which it was wanted.
    pub(super) fn keeps_nothing_alive(&self) {
        self.keep_alive.take();
    }

    /// What is sent while this response is silent, if anything is: text can be added to a body of no known length, and of no
    /// encoding.
    pub(crate) fn take_keep_alive(&self, response: &Response<Body>) -> Option<Box<KeepAlive>> {
        let keep_alive = self.keep_alive.take()?;
        let fields = response.headers();
        let is_plain = fields
            .get_all(CONTENT_ENCODING)
            .iter()
            .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
        let is_open = !fields.contains_key(CONTENT_LENGTH) && response.body().is_open_ended();
        (is_plain && is_open).then_some(keep_alive)
    }
}
