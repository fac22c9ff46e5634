//! What a plugin wants to see of an exchange.

use crate::BodyMode;
use crate::wire::{Field, FieldEdit};

/// What a plugin wants to see: which hooks, and what arrives with their calls.
///
/// Declaring a field or an attribute saves a call to the gateway when it is read. It is never
/// needed for a right result: what was not declared is fetched when it is asked for.
///
/// ```
/// use gateway_plugin_sdk::{BodyMode, Interest};
///
/// let interest = Interest::on_request()
///     .path()
///     .header("authorization")
///     .attribute("client.address")
///     .and_on_response()
///     .response_header("content-type")
///     .request_body(BodyMode::Buffered(64 * 1024));
/// assert!(interest.wants_request() && interest.wants_response() && !interest.wants_complete());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    pub(crate) request: bool,
    pub(crate) response: bool,
    pub(crate) complete: bool,
    pub(crate) method: bool,
    pub(crate) path: bool,
    pub(crate) query: bool,
    pub(crate) request_fields: Vec<String>,
    pub(crate) response_fields: Vec<String>,
    pub(crate) attributes: Vec<String>,
    pub(crate) request_body: BodyMode,
    pub(crate) response_body: BodyMode,
    pub(crate) every_request: Vec<FieldEdit>,
    pub(crate) every_response: Vec<FieldEdit>,
    pub(crate) never_waits: bool,
}

impl Interest {
    /// No interest at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Interest in `on_request`.
    pub fn on_request() -> Self {
        Self::new().and_on_request()
    }

    /// Interest in `on_response`.
    pub fn on_response() -> Self {
        Self::new().and_on_response()
    }

    /// Interest in `on_complete`.
    pub fn on_complete() -> Self {
        Self::new().and_on_complete()
    }

    /// `on_request` too.
    pub fn and_on_request(mut self) -> Self {
        self.request = true;
        self
    }

    /// `on_response` too.
    pub fn and_on_response(mut self) -> Self {
        self.response = true;
        self
    }

    /// `on_complete` too.
    pub fn and_on_complete(mut self) -> Self {
        self.complete = true;
        self
    }

    /// The method arrives with `on_request`.
    pub fn method(mut self) -> Self {
        self.method = true;
        self
    }

    /// The path arrives with `on_request`.
    pub fn path(mut self) -> Self {
        self.path = true;
        self
    }

    /// The query arrives with `on_request`.
    pub fn query(mut self) -> Self {
        self.query = true;
        self
    }

    /// A request field that arrives with `on_request`.
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        declare(&mut self.request_fields, name.as_ref().to_ascii_lowercase());
        self
    }

    /// A response field that arrives with `on_response`.
    pub fn response_header(mut self, name: impl AsRef<str>) -> Self {
        declare(&mut self.response_fields, name.as_ref().to_ascii_lowercase());
        self
    }

    /// An attribute that arrives with `on_request`.
    pub fn attribute(mut self, name: impl Into<String>) -> Self {
        declare(&mut self.attributes, name.into());
        self
    }

    /// How request bodies are wanted, unless `on_request` says otherwise. Default: not at all.
    pub fn request_body(mut self, mode: BodyMode) -> Self {
        self.request_body = mode;
        self
    }

    /// How response bodies are wanted, unless `on_request` or `on_response` says otherwise.
    /// Default: not at all.
    pub fn response_body(mut self, mode: BodyMode) -> Self {
        self.response_body = mode;
        self
    }

    /// In every request one line with this value, in place of all lines of this name, before
    /// `on_request` sees it. The gateway writes it without calling the plugin.
    ///
    /// What is known from the configuration alone needs no hook. At most 64 changes of requests, and
    /// 64 of responses; the fields that frame a message are the gateway's, as in
    /// [`Request`](crate::Request), and one of them here refuses the configuration.
    ///
    /// ```
    /// use gateway_plugin_sdk::Interest;
    ///
    /// let interest = Interest::new()
    ///     .always_set_header("x-tenant", "acme")
    ///     .always_remove_response_header("server");
    /// assert!(!interest.wants_request() && !interest.wants_response());
    /// ```
    pub fn always_set_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.every_request.push(set(name, value));
        self
    }

    /// In every request one more line; see [`always_set_header`](Self::always_set_header).
    pub fn always_add_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.every_request.push(append(name, value));
        self
    }

    /// In every request no line of this name; see [`always_set_header`](Self::always_set_header).
    pub fn always_remove_header(mut self, name: impl Into<String>) -> Self {
        self.every_request.push(FieldEdit::Remove(name.into()));
        self
    }

    /// In every response one line with this value, in place of all lines of this name, whoever
    /// answers, before `on_response` sees it; see [`always_set_header`](Self::always_set_header).
    pub fn always_set_response_header(
        mut self,
        name: impl Into<String>,
        value: impl Into<Vec<u8>>,
    ) -> Self {
        self.every_response.push(set(name, value));
        self
    }

    /// In every response one more line; see
    /// [`always_set_response_header`](Self::always_set_response_header).
    pub fn always_add_response_header(
        mut self,
        name: impl Into<String>,
        value: impl Into<Vec<u8>>,
    ) -> Self {
        self.every_response.push(append(name, value));
        self
    }

    /// In every response no line of this name; see
    /// [`always_set_response_header`](Self::always_set_response_header).
    pub fn always_remove_response_header(mut self, name: impl Into<String>) -> Self {
        self.every_response.push(FieldEdit::Remove(name.into()));
        self
    }

    /// A promise that no hook calls a function that waits ([`password`](crate::password),
    /// [`documents::refresh`](crate::documents::refresh),
    /// [`http_client`](crate::http_client)), although the component could: hooks are then cheaper
    /// to call, and one that waits all the same fails.
    /// For plugins that use such a function under some configurations only.
    pub fn never_waits(mut self) -> Self {
        self.never_waits = true;
        self
    }

    /// Whether `on_request` is called.
    pub fn wants_request(&self) -> bool {
        self.request
    }

    /// Whether `on_response` is called.
    pub fn wants_response(&self) -> bool {
        self.response
    }

    /// Whether `on_complete` is called.
    pub fn wants_complete(&self) -> bool {
        self.complete
    }
}

fn set(name: impl Into<String>, value: impl Into<Vec<u8>>) -> FieldEdit {
    FieldEdit::Set(Field { name: name.into(), value: value.into() })
}

fn append(name: impl Into<String>, value: impl Into<Vec<u8>>) -> FieldEdit {
    FieldEdit::Append(Field { name: name.into(), value: value.into() })
}

fn declare(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}
