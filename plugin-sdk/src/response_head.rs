//! The head of a response as a plugin sees and changes it, and the request behind it.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::arrived::Values;
use crate::attributes::{AttributeError, Attributes};
use crate::declared::Declared;
use crate::fields::{Fields, ResponseSide};
use crate::host;
use crate::wire::{self, BodyMode, Field};

/// The head of a response: reads see it as the plugins behind left it, with the changes of this
/// plugin.
///
/// Changes are recorded and go to the gateway when the hook returns
/// [`Outcome::Next`](crate::Outcome::Next). The fields that are the gateway's are the same as in
/// a [`Request`](crate::Request).
pub struct ResponseHead {
    status: OnceCell<u16>,
    fields: Fields<ResponseSide>,
    attributes: Attributes,
    status_changed: bool,
    fields_changed: bool,
    body: Option<BodyMode>,
}

impl ResponseHead {
    /// The head as it arrives with `on-response`.
    pub(crate) fn arrived(declared: Rc<Declared>, head: wire::ResponseHead) -> Self {
        Self { status: OnceCell::from(head.status), ..Self::behind(declared, head.fields) }
    }

    /// The head in a hook that none arrives with: all is fetched when it is asked for.
    pub(crate) fn remote(declared: Rc<Declared>) -> Self {
        Self::behind(declared, Values::default())
    }

    fn behind(declared: Rc<Declared>, fields: Values) -> Self {
        Self {
            status: OnceCell::new(),
            fields: Fields::new(Rc::clone(&declared), fields),
            attributes: Attributes::new(declared, Values::default()),
            status_changed: false,
            fields_changed: false,
            body: None,
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        *self.status.get_or_init(|| host::response_status().unwrap_or_default())
    }

    /// The value of a field, if it is there and UTF-8; several lines are joined by `, `, so read
    /// `set-cookie` with [`header_values`](Self::header_values).
    pub fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.fields.text(name.as_ref())
    }

    /// The value of a field, with any bytes; several lines are joined by `, `.
    pub fn header_bytes(&self, name: impl AsRef<str>) -> Option<&[u8]> {
        self.fields.value(name.as_ref())
    }

    /// The lines of a field that are UTF-8, in order.
    pub fn header_values(&self, name: impl AsRef<str>) -> Vec<&str> {
        self.fields.text_lines(name.as_ref())
    }

    /// The lines of a field, with any bytes, in order.
    pub fn header_lines(&self, name: impl AsRef<str>) -> Vec<&[u8]> {
        self.fields.lines(name.as_ref())
    }

    /// All fields, in order.
    pub fn headers(&self) -> Vec<Field> {
        self.fields.all()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: impl AsRef<str>) -> Option<&str> {
        self.attributes.value(name.as_ref())
    }

    /// Sets an attribute, at once and for every outcome of the hook.
    ///
    /// # Errors
    /// If the name is reserved, or something is too large.
    pub fn set_attribute(
        &mut self,
        name: impl AsRef<str>,
        value: impl AsRef<str>,
    ) -> Result<(), AttributeError> {
        self.attributes.set(name.as_ref(), value.as_ref())
    }

    /// The request that is answered, read-only, as the gateway holds it.
    pub fn request(&self) -> RequestView {
        RequestView(())
    }

    /// Changes the status code: 200 to 599.
    pub fn set_status(&mut self, status: u16) {
        self.status = OnceCell::from(status);
        self.status_changed = true;
    }

    /// One line with this value, in place of all lines of this name.
    pub fn set_header(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.fields_changed = true;
        self.fields.set(name.into(), value.into());
    }

    /// One more line.
    pub fn add_header(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.fields_changed = true;
        self.fields.append(name.into(), value.into());
    }

    /// No line of this name.
    pub fn remove_header(&mut self, name: impl Into<String>) {
        self.fields_changed = true;
        self.fields.remove(name.into());
    }

    /// How the plugin wants this response's body, instead of what was said before. Only
    /// `on_response` can still decide that.
    pub fn want_body(&mut self, mode: BodyMode) {
        self.body = Some(mode);
    }

    /// What changed; `None` if nothing did.
    pub(crate) fn into_change(mut self, context: Option<Vec<u8>>) -> Option<wire::ResponseChange> {
        let changed =
            self.status_changed || self.fields_changed || self.body.is_some() || context.is_some();
        changed.then(|| wire::ResponseChange {
            status: if self.status_changed { self.status.take() } else { None },
            fields: self.fields.take_edits(),
            response_body: self.body,
            context,
        })
    }
}

/// The request of the exchange, read-only: each method is a call to the gateway.
#[derive(Debug, Clone, Copy)]
pub struct RequestView(pub(crate) ());

impl RequestView {
    /// The method.
    pub fn method(self) -> String {
        host::request_method()
    }

    /// The path, normalised.
    pub fn path(self) -> String {
        host::request_path()
    }

    /// The query without its `?`.
    pub fn query(self) -> Option<String> {
        host::request_query()
    }

    /// The value of a field, if it is there and UTF-8; several lines are joined by `, `.
    pub fn header(self, name: impl AsRef<str>) -> Option<String> {
        let mut lines = host::request_field(name.as_ref());
        let value = if lines.len() > 1 { lines.join(b", ".as_slice()) } else { lines.pop()? };
        String::from_utf8(value).ok()
    }

    /// The lines of a field that are UTF-8, in order.
    pub fn header_values(self, name: impl AsRef<str>) -> Vec<String> {
        let lines = host::request_field(name.as_ref());
        lines.into_iter().filter_map(|line| String::from_utf8(line).ok()).collect()
    }

    /// All fields, in order.
    pub fn headers(self) -> Vec<Field> {
        host::request_fields()
    }
}
