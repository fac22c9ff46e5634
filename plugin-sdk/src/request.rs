//! The request as a plugin sees and changes it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use crate::arrived::{Text, Values};
use crate::attributes::{AttributeError, Attributes};
use crate::declared::Declared;
use crate::fields::{Fields, RequestSide};
use crate::limiter::nanoseconds;
use crate::wire::{self, BodyMode, Field, FieldEdit};
use crate::{host, query};

/// A request: reads see it as the plugins before left it, with the changes of this plugin.
///
/// Changes are recorded and go to the gateway when the hook returns
/// [`Outcome::Next`](crate::Outcome::Next); a hook that answers with a response drops them.
///
/// Fields that frame the message or belong to one connection (`connection`, `content-length`,
/// `keep-alive`, `proxy-connection`, `te`, `trailer`, `transfer-encoding`, `upgrade`) are the
/// gateway's: a change to one is a breach of contract and fails the request. So is a name or a
/// value that no head can carry.
pub struct Request {
    method: OnceCell<Text>,
    path: OnceCell<Text>,
    query: OnceCell<Option<Text>>,
    fields: Fields<RequestSide>,
    response_fields: Vec<FieldEdit>,
    attributes: Attributes,
    method_changed: bool,
    path_changed: bool,
    query_changed: bool,
    fields_changed: bool,
    upstream: Option<String>,
    request_body: Option<BodyMode>,
    response_body: Option<BodyMode>,
    reuse_for: Option<u64>,
}

impl Request {
    /// The request as it arrives with `on-request`.
    #[inline]
    pub(crate) fn arrived(declared: Rc<Declared>, head: wire::RequestHead) -> Self {
        Self {
            method: head.method.map_or_else(OnceCell::new, OnceCell::from),
            path: head.path.map_or_else(OnceCell::new, OnceCell::from),
            // Where it was declared, none is none; otherwise it is not known yet.
            query: if declared.query { OnceCell::from(head.query) } else { OnceCell::new() },
            ..Self::behind(declared, head.fields, head.attributes)
        }
    }

    /// The request in a hook that no head arrives with: all is fetched when it is asked for.
    pub(crate) fn remote(declared: Rc<Declared>) -> Self {
        Self::behind(declared, Values::default(), Values::default())
    }

    #[inline]
    fn behind(declared: Rc<Declared>, fields: Values, attributes: Values) -> Self {
        Self {
            method: OnceCell::new(),
            path: OnceCell::new(),
            query: OnceCell::new(),
            fields: Fields::new(Rc::clone(&declared), fields),
            response_fields: Vec::new(),
            attributes: Attributes::new(declared, attributes),
            method_changed: false,
            path_changed: false,
            query_changed: false,
            fields_changed: false,
            upstream: None,
            request_body: None,
            response_body: None,
            reuse_for: None,
        }
    }

    /// The method, such as `GET`.
    pub fn method(&self) -> &str {
        self.method.get_or_init(|| host::request_method().into())
    }

    /// The path, normalised, beginning with `/`, percent-encoded.
    pub fn path(&self) -> &str {
        self.path.get_or_init(|| host::request_path().into())
    }

    /// The query without its `?`, as it was sent; `None` if the target has no `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.get_or_init(|| host::request_query().map(Text::from)).as_deref()
    }

    /// The parameters of the query, decoded, in order; `+` is a space, as in forms.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        query::pairs(self.query().unwrap_or_default())
    }

    /// The first query parameter of this name, decoded.
    pub fn query_parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find_map(|(other, value)| (other == name).then_some(value))
    }

    /// The value of a field, if it is there and UTF-8; several lines are joined by `, `
    /// (RFC 9110 section 5.3). The name may be in any case.
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

    /// Sets an attribute, for every outcome of the hook. Others see it when the hook has returned.
    ///
    /// # Errors
    /// If the name is reserved, or something is too large. That an exchange has more than 128
    /// attributes is found out later, and is a breach of contract.
    pub fn set_attribute(
        &mut self,
        name: impl AsRef<str>,
        value: impl AsRef<str>,
    ) -> Result<(), AttributeError> {
        self.attributes.set_later(name.as_ref(), value.as_ref())
    }

    /// The same with texts that the plugin keeps and sets for many requests: they are not copied. For what is made once for
    /// each consumer, for example.
    ///
    /// # Errors
    /// As [`set_attribute`](Self::set_attribute).
    pub fn share_attribute(
        &mut self,
        name: &Rc<str>,
        value: &Rc<str>,
    ) -> Result<(), AttributeError> {
        self.attributes.share_later(name, value)
    }

    /// Changes the method.
    pub fn set_method(&mut self, method: impl Into<String>) {
        self.method = OnceCell::from(Text::from(method.into()));
        self.method_changed = true;
    }

    /// Changes the path: beginning with `/`, percent-encoded, without query.
    pub fn set_path(&mut self, path: impl Into<String>) {
        self.path = OnceCell::from(Text::from(path.into()));
        self.path_changed = true;
    }

    /// Changes the query: without `?`, percent-encoded. The empty string removes it.
    pub fn set_query(&mut self, query: impl Into<String>) {
        let query = query.into();
        self.query = OnceCell::from((!query.is_empty()).then_some(Text::from(query)));
        self.query_changed = true;
    }

    /// One query parameter with this value, in place of all of this name. Name and value are
    /// plain text; the other parameters stay as they are, to the byte.
    pub fn set_query_parameter(&mut self, name: &str, value: &str) {
        let query = query::set(self.query().unwrap_or_default(), name, value);
        self.set_query(query);
    }

    /// One more query parameter. Name and value are plain text.
    pub fn add_query_parameter(&mut self, name: &str, value: &str) {
        let query = query::add(self.query().unwrap_or_default(), name, value);
        self.set_query(query);
    }

    /// No query parameter of this name.
    pub fn remove_query_parameter(&mut self, name: &str) {
        if let Some(query) = query::remove(self.query().unwrap_or_default(), name) {
            self.set_query(query);
        }
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

    /// One line with this value in the response, in place of all lines of this name, whoever
    /// answers. It is written into the response at the place of this plugin's `on_response`:
    /// a plugin that knows now what it will write needs no `on_response` for it, which saves a
    /// call.
    pub fn set_response_header(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        let field = Field { name: name.into(), value: value.into() };
        self.response_fields.push(FieldEdit::Set(field));
    }

    /// One more line in the response; see [`set_response_header`](Self::set_response_header).
    pub fn add_response_header(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        let field = Field { name: name.into(), value: value.into() };
        self.response_fields.push(FieldEdit::Append(field));
    }

    /// No line of this name in the response; see
    /// [`set_response_header`](Self::set_response_header).
    pub fn remove_response_header(&mut self, name: impl Into<String>) {
        self.response_fields.push(FieldEdit::Remove(name.into()));
    }

    /// Forwards the request to this upstream of the configuration, instead of the route's: one that
    /// `forward_to` of the configured plugin lists.
    pub fn set_upstream(&mut self, name: impl Into<String>) {
        self.upstream = Some(name.into());
    }

    /// How the plugin wants this request's body, instead of what its interest says. Only
    /// `on_request` can still decide that.
    pub fn want_request_body(&mut self, mode: BodyMode) {
        self.request_body = Some(mode);
    }

    /// How the plugin wants this exchange's response body, instead of what its interest says.
    pub fn want_response_body(&mut self, mode: BodyMode) {
        self.response_body = Some(mode);
    }

    /// Lets the gateway make this hook's changes for other requests too, for so long and at most an
    /// hour, without calling `on_request`, if all that the interest declares of a request is the
    /// same: the parts of its line, the fields and the attributes, each missing or with the same
    /// value.
    ///
    /// For decisions that cost more than finding them again, such as who a key belongs to. Only
    /// `on_request` can allow it, and only where it returns [`Outcome::Next`](crate::Outcome::Next).
    /// It counts only if nothing else can have decided: a hook that read what it did not declare,
    /// set an attribute with [`attributes`](crate::attributes), or called any module of this crate
    /// other than `clock`, `digest`, `secrets` and `signature`, is called the next time too. What
    /// depends on the time must allow no more than it holds for.
    ///
    /// A hook may have called [`cache::lookup`](crate::cache::lookup) once, and have answered with a fresh
    /// entry of what it found. That is answered again, for as long as the same is stored under the key.
    pub fn reuse_for(&mut self, time: Duration) {
        self.reuse_for = Some(nanoseconds(time));
    }

    /// Whether the hook asked for a body, so that another hook follows.
    pub(crate) fn wants_body(&self) -> bool {
        self.request_body.is_some() || self.response_body.is_some()
    }

    /// Sets the attributes that would have gone with a change, since the hook answers instead.
    pub(crate) fn set_attributes_now(&mut self) {
        for attribute in self.attributes.take_set() {
            let set = crate::attributes::set(&attribute.name, &attribute.value);
            assert!(set.is_ok(), "the exchange has no room for the attribute `{}`", attribute.name);
        }
    }

    /// What changed; `None` if nothing did.
    pub(crate) fn into_change(mut self, context: Option<Vec<u8>>) -> Option<wire::RequestChange> {
        let attributes = self.attributes.take_set();
        let changed = self.method_changed
            || self.path_changed
            || self.query_changed
            || self.fields_changed
            || !attributes.is_empty()
            || !self.response_fields.is_empty()
            || self.upstream.is_some()
            || self.request_body.is_some()
            || self.response_body.is_some()
            || context.is_some()
            || self.reuse_for.is_some();
        changed.then(|| wire::RequestChange {
            method: self.method.take().filter(|_| self.method_changed).map(Text::into_owned),
            path: self.path.take().filter(|_| self.path_changed).map(Text::into_owned),
            query: self
                .query_changed
                .then(|| self.query.take().flatten().unwrap_or_default().into_owned()),
            fields: self.fields.take_edits(),
            attributes,
            response_fields: self.response_fields,
            upstream: self.upstream,
            request_body: self.request_body,
            response_body: self.response_body,
            context,
            reuse_for: self.reuse_for,
        })
    }
}
