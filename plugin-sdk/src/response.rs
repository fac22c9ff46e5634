//! An answer that a plugin makes.

use serde::Serialize;

use crate::attributes::REASON;
use crate::problem::{self, Problem};
use crate::wire::{self, Field};

/// An answer that a plugin makes: a status, fields and a body.
///
/// ```
/// use gateway_plugin_sdk::Response;
///
/// let response = Response::too_many_requests("10 requests a minute are allowed")
///     .problem_type("https://iana.org/assignments/http-problem-types#quota-exceeded")
///     .extension("violated-policies", &["minute"])
///     .header("retry-after", "12");
/// assert_eq!(response.status(), 429);
/// assert_eq!(response.header_value("content-type"), Some("application/problem+json"));
/// ```
#[derive(Debug, Clone)]
pub struct Response {
    status: u16,
    fields: Vec<Field>,
    body: Vec<u8>,
    problem: Option<Box<Problem>>,
    reason: Option<Box<str>>,
}

impl Response {
    /// An answer without fields and body. The status code is 200 to 599.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Vec::new(), problem: None, reason: None }
    }

    /// A problem (RFC 9457): `application/problem+json` with `type`, `title`, `status`, `detail`,
    /// the detail again as `message`, and, as `instance`, the id of the request in whose hook it is made.
    pub fn problem(status: u16, title: impl Into<String>, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: None,
            title: title.into(),
            detail: detail.into(),
            instance: crate::attributes::value("request.id"),
            extensions: Vec::new(),
        };
        Self { problem: Some(Box::new(problem)), ..Self::new(status) }
            .header("content-type", "application/problem+json")
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::titled(400, detail)
    }

    /// 401: who asks is not known. Needs a `www-authenticate` field (RFC 9110 section 15.5.2).
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::titled(401, detail)
    }

    /// 403: who asks is known, and may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::titled(403, detail)
    }

    /// 404: there is nothing here.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::titled(404, detail)
    }

    /// 429: too much was asked for. A `retry-after` field says when to come back.
    pub fn too_many_requests(detail: impl Into<String>) -> Self {
        Self::titled(429, detail)
    }

    /// 503: it does not work at the moment.
    pub fn service_unavailable(detail: impl Into<String>) -> Self {
        Self::titled(503, detail)
    }

    fn titled(status: u16, detail: impl Into<String>) -> Self {
        Self::problem(status, problem::reason(status), detail)
    }

    /// Sets a field: one line, in place of all of this name.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        self.fields.retain(|field| !field.name.eq_ignore_ascii_case(&name));
        self.fields.push(Field { name, value: value.into() });
        self
    }

    /// Adds a line to a field.
    pub fn add_header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// Sets the body. A problem becomes a plain answer by this; its `content-type` stays.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.problem = None;
        self.body = body.into();
        self
    }

    /// Sets the body to JSON, and `content-type` to `application/json`.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// The `type` of a problem, a URI; `about:blank` without. Does nothing to other answers.
    pub fn problem_type(mut self, uri: impl Into<String>) -> Self {
        if let Some(problem) = &mut self.problem {
            problem.kind = Some(uri.into());
        }
        self
    }

    /// An extension member of a problem (RFC 9457 section 3.2). Does nothing to other answers.
    ///
    /// # Panics
    /// If the value cannot be written as JSON, such as a map whose keys are not texts.
    pub fn extension<T: Serialize + ?Sized>(mut self, name: impl Into<String>, value: &T) -> Self {
        if let Some(problem) = &mut self.problem {
            problem.extend(name.into(), value);
        }
        self
    }

    /// Why the request is refused, for those who run the gateway: the flight recorder shows it, and access logs can, as
    /// the attribute [`REASON`](crate::attributes::REASON). The client never sees it. Of a problem it is the `detail`
    /// where nothing else is said. Kept is what fits into 512 bytes, of answers with a status of 400 or higher.
    ///
    /// ```
    /// use gateway_plugin_sdk::Response;
    ///
    /// Response::forbidden("This is not allowed.").because("rule `no-exports` denies it");
    /// ```
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into().into());
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first line of a field, if it is UTF-8.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?.text()
    }

    /// Tells the gateway why, where this refuses. It is no matter of the request's if that cannot be told.
    pub(crate) fn tell_reason(&self) {
        let reason = self.reason.as_deref();
        let reason = reason.or_else(|| self.problem.as_ref().map(|problem| &*problem.detail));
        if let Some(reason) = reason.filter(|reason| self.status >= 400 && !reason.is_empty()) {
            let reason = &reason[..reason.floor_char_boundary(512)];
            let _told = crate::host::set_attribute(REASON, reason);
        }
    }

    /// As it crosses the border.
    pub(crate) fn into_wire(self) -> wire::Response {
        let body = match &self.problem {
            Some(problem) => problem.to_json(self.status),
            None => self.body,
        };
        wire::Response { status: self.status, fields: self.fields, body }
    }
}
