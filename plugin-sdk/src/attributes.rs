//! Names and texts that go with the exchange: what earlier plugins found out, for later plugins,
//! logs and keys.
//!
//! The gateway sets, and plugins cannot: `client.address`, `client.port`, `request.id`,
//! `request.scheme`, `request.host`, `listener.name`, `route.name`, `route.pattern`,
//! `upstream.name`, and `capture.NAME` for each capture of the route's path pattern. By
//! convention authentication sets `consumer.id`, and `consumer.` with further names.
//!
//! The views have methods for attributes; these functions serve hooks without such a view.

use std::rc::Rc;

use crate::declared::Declared;
use crate::host;
use crate::memo::Memo;

/// Why an attribute cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// The name begins with `client.`, `request.`, `listener.`, `route.`, `upstream.` or
    /// `capture.`.
    #[error("the name is reserved for the gateway")]
    Reserved,
    /// The name is empty or over 128 bytes, the value is over 8 KiB, or the exchange has 128
    /// attributes already.
    #[error("the name is empty, or the name, the value or their number is too large")]
    TooLarge,
}

/// The value of an attribute of the current exchange.
pub fn value(name: &str) -> Option<String> {
    host::attribute(name)
}

/// Sets an attribute of the current exchange, in place of its former value.
///
/// # Errors
/// If the name is reserved, or something is too large.
pub fn set(name: &str, value: &str) -> Result<(), AttributeError> {
    host::set_attribute(name, value)
}

/// The attributes as a view sees them: what arrived, and what was fetched.
pub(crate) struct Attributes {
    declared: Rc<Declared>,
    values: Vec<Option<String>>,
    fetched: Memo<Option<String>>,
}

impl Attributes {
    pub(crate) fn new(declared: Rc<Declared>, values: Vec<Option<String>>) -> Self {
        Self { declared, values, fetched: Memo::default() }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        for (declared, value) in self.declared.attributes.iter().zip(&self.values) {
            if declared == name {
                return value.as_deref();
            }
        }
        self.fetched.value_or(name, || value(name)).as_deref()
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), AttributeError> {
        set(name, value)?;
        for (declared, arrived) in self.declared.attributes.iter().zip(&mut self.values) {
            if declared == name {
                *arrived = Some(value.to_owned());
            }
        }
        self.fetched.clear();
        Ok(())
    }
}
