//! Outbound requests of native tests: recorded, and answered as the test says.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Field;
use crate::header_name::is_token;
use crate::http_client::{HttpError, Request, Response};
use crate::testing::contract::{is_target, judge_field};
use crate::testing::message::ResponseBuilder;

/// Requests of one hook, at most.
const MAX_CALLS: u32 = 16;
/// How long the body of a response may be, in bytes, unless said otherwise, and at most.
const LIMIT: u64 = 1 << 20;
const MAX_LIMIT: u64 = 16 << 20;

/// A request that a plugin sent to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call(Request);

type Answer = Rc<dyn Fn(&Call) -> Result<ResponseBuilder, HttpError>>;

/// The upstreams that a plugin was granted, and what it sent to them.
pub(crate) struct Calls {
    upstreams: RefCell<BTreeMap<String, Answer>>,
    sent: RefCell<Vec<Call>>,
    in_hook: Cell<u32>,
    /// Whether the hook that runs can wait.
    can_wait: Cell<bool>,
}

impl Call {
    pub(crate) fn new(request: Request) -> Self {
        Self(request)
    }

    /// The name of the upstream.
    pub fn upstream(&self) -> &str {
        &self.0.upstream
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.0.target
    }

    /// The first line of a field, if it is UTF-8; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?.text()
    }

    /// All fields that the plugin wrote.
    pub fn headers(&self) -> &[Field] {
        &self.0.fields
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0.body).expect("the body is UTF-8")
    }
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            upstreams: RefCell::default(),
            sent: RefCell::default(),
            in_hook: Cell::new(0),
            can_wait: Cell::new(true),
        }
    }

    pub(crate) fn grant(
        &self,
        upstream: String,
        answer: impl Fn(&Call) -> Result<ResponseBuilder, HttpError> + 'static,
    ) {
        self.upstreams.borrow_mut().insert(upstream, Rc::new(answer));
    }

    pub(crate) fn is_granted(&self, upstream: &str) -> bool {
        self.upstreams.borrow().contains_key(upstream)
    }

    pub(crate) fn sent(&self) -> Vec<Call> {
        self.sent.borrow().clone()
    }

    /// Before a hook: its requests are counted from zero.
    pub(crate) fn begin(&self, can_wait: bool) {
        self.in_hook.set(0);
        self.can_wait.set(can_wait);
    }

    pub(crate) fn send(&self, request: Request) -> Result<Response, HttpError> {
        let granted = self.upstreams.borrow().get(&request.upstream).cloned();
        let answer = granted.ok_or(HttpError::NotGranted)?;
        if !self.can_wait.get() {
            return Err(HttpError::NotHere);
        }
        if self.in_hook.get() >= MAX_CALLS {
            return Err(HttpError::TooMany);
        }
        self.in_hook.set(self.in_hook.get() + 1);
        check(&request)?;
        let limit = request.response_limit.unwrap_or(LIMIT).min(MAX_LIMIT);
        let call = Call(request);
        self.sent.borrow_mut().push(call.clone());
        let ResponseBuilder { head, chunks, .. } = answer(&call)?;
        let body = chunks.concat();
        if body.len() as u64 > limit {
            return Err(HttpError::TooLarge);
        }
        Ok(Response { status: head.status, fields: head.fields, body })
    }
}

fn check(request: &Request) -> Result<(), HttpError> {
    if !is_token(request.method.as_bytes()) {
        return Err(HttpError::Invalid(format!("{:?} is not a method", request.method)));
    }
    let target = &request.target;
    if !(target.starts_with('/') && target.bytes().all(is_target)) {
        return Err(HttpError::Invalid(format!("{target:?} is not a path and a query")));
    }
    let judged = request.fields.iter().try_for_each(judge_field);
    judged.map_err(|breach| HttpError::Invalid(breach.to_string()))
}
