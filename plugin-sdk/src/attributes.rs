//! Names and texts that go with the exchange: what earlier plugins found out, for later plugins,
//! logs and keys.
//!
//! The gateway sets, and plugins cannot: `client.address`, `client.port`, `request.id`,
//! `request.scheme`, `request.host`, `request.authority`, `request.waited-ms` (milliseconds that it
//! waited for slots of its plugins so far), `request.has-body` (`true` or `false`: whether it came with a body,
//! which may turn out to be empty), `request.has-upgrade` (`true` or `false`: whether it asks for another protocol on its
//! connection, whose bytes pass no plugin), `listener.name`, `route.name`, `route.pattern`, `upstream.name`, and
//! `capture.NAME` for each capture of the route's path pattern. By
//! convention authentication sets `consumer.id`, and `consumer.` with further names, and who refuses a request says why in
//! [`refusal.reason`](REASON).
//!
//! The views have methods for attributes; these functions serve hooks without such a view.

use std::rc::Rc;

use crate::arrived::Values;
use crate::declared::Declared;
use crate::host;
use crate::memo::Memo;
use crate::names::same;
use crate::wire::NewAttribute;

/// By convention, in which a plugin says why it refuses: to those who run the gateway, and never to the client.
/// [`Response::because`](crate::Response::because) sets it.
pub const REASON: &str = "refusal.reason";

/// Names that only the gateway sets begin with one of these.
const RESERVED: [&str; 6] = ["client.", "request.", "listener.", "route.", "upstream.", "capture."];
/// Bytes of a name and of a value, and attributes of one exchange, at most.
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 8 << 10;
const MAX_COUNT: usize = 128;

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

/// Sets several attributes of the current exchange, names and values, in one call of the gateway, which costs about as much
/// as setting one. The first that cannot be set ends it: those before it are set.
///
/// # Errors
/// If a name is reserved, or something is too large.
pub fn set_all(attributes: &[(&str, &str)]) -> Result<(), AttributeError> {
    host::set_attributes(attributes)
}

/// Whether only the gateway sets attributes of this name: for `configure` of a plugin whose configuration names some.
pub fn is_reserved(name: &str) -> bool {
    // Two letters tell nearly all other names from those.
    let may_be = matches!(
        name.as_bytes(),
        [b'c', b'a' | b'l', ..] | [b'r', b'e' | b'o', ..] | [b'l', b'i', ..] | [b'u', b'p', ..]
    );
    may_be && RESERVED.iter().any(|prefix| begins_with(name, prefix))
}

/// Whether the gateway takes an attribute, as far as that is known without it.
pub(crate) fn check(name: &str, value: &str) -> Result<(), AttributeError> {
    if is_reserved(name) {
        return Err(AttributeError::Reserved);
    }
    if name.is_empty() || name.len() > MAX_NAME || value.len() > MAX_VALUE {
        return Err(AttributeError::TooLarge);
    }
    Ok(())
}

/// As `str::starts_with`, but it looks at the first byte before it calls anything: nearly all names
/// differ there.
fn begins_with(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && prefix.bytes().zip(name.bytes()).all(|(left, right)| left == right)
}

/// The attributes as a view sees them: what arrived, what was fetched, and what it set.
pub(crate) struct Attributes {
    declared: Rc<Declared>,
    values: Values,
    fetched: Memo<Option<String>>,
    /// What goes to the gateway with the outcome of the hook.
    set: Vec<NewAttribute>,
}

impl Attributes {
    pub(crate) fn new(declared: Rc<Declared>, values: Values) -> Self {
        Self { declared, values, fetched: Memo::default(), set: Vec::new() }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        if let Some(set) = self.set.iter().rev().find(|set| same(&set.name, name)) {
            return Some(&set.value);
        }
        if !self.values.is_empty()
            && let Some(position) = self.position(name)
        {
            return self.values.text(position);
        }
        self.fetched.value_or(name, || value(name)).as_deref()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.declared.attributes.iter().position(|declared| same(declared, name))
    }

    /// Sets an attribute with the outcome of the hook.
    pub(crate) fn set_later(&mut self, name: &str, value: &str) -> Result<(), AttributeError> {
        check(name, value)?;
        self.push(name.into(), value.into())
    }

    /// The same with texts that others have too.
    pub(crate) fn share_later(
        &mut self,
        name: &Rc<str>,
        value: &Rc<str>,
    ) -> Result<(), AttributeError> {
        check(name, value)?;
        self.push(Rc::clone(name), Rc::clone(value))
    }

    fn push(&mut self, name: Rc<str>, value: Rc<str>) -> Result<(), AttributeError> {
        if self.set.len() >= MAX_COUNT {
            return Err(AttributeError::TooLarge);
        }
        self.set.push(NewAttribute { name, value });
        Ok(())
    }

    /// What was to be set with the outcome.
    pub(crate) fn take_set(&mut self) -> Vec<NewAttribute> {
        std::mem::take(&mut self.set)
    }

    /// Sets an attribute at once.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), AttributeError> {
        set(name, value)?;
        if let Some(position) = self.position(name) {
            self.values.set(position, value);
        }
        self.fetched.clear();
        Ok(())
    }
}
