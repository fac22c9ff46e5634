//! What an exchange keeps of its request while its response streams.
//!
//! Owns that it is a copy: the buffer which the request was read into goes back.

use super::Exchange;
use crate::heads::{detach_uri, detach_value};

impl Exchange {
    /// Lets go of the buffer that the request was read into, as far as this exchange holds it: its response goes on for
    /// longer than a moment.
    #[cold]
    pub(crate) fn detach(&self) {
        detach_uri(&mut self.uri.borrow_mut());
        if let Some((host, _)) = self.host.borrow_mut().as_mut() {
            detach_value(host);
        }
        if let Some(kept) = self.kept.borrow_mut().as_mut() {
            kept.detach();
        }
        if let Some(run) = self.run() {
            run.detach();
        }
    }
}
