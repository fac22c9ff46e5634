//! A request on its way to the server.
//!
//! Owns the order of the checks, and what later plugins learn of it.

use gateway_json_rpc::{Kind, envelope};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::{Body, BodyMode, Request, Response};

use crate::fields::Fields;
use crate::message::{self, Message, Subject};
use crate::meter::Meter;
use crate::resource::Resource;
use crate::rules::{Verdict, Who};
use crate::state::{Call, Progress};
use crate::{Mcp, digest_of_session, refusal, session};

type Refused = Box<Response>;

impl Mcp {
    /// The head of a request.
    pub(crate) fn receive(
        &self,
        request: &mut Request,
        progress: &mut Progress,
    ) -> Result<(), Refused> {
        if let Some(answer) =
            Resource::answer(self.resource.as_ref(), request.method(), request.path())
        {
            return Err(Box::new(answer));
        }
        self.check_origin(request)?;
        // What is said in another protocol could not be read here.
        if request.attribute("request.has-upgrade") == Some("true") {
            return Err(Box::new(refusal::upgrade()));
        }
        let message = match request.method() {
            "POST" => {
                check_content(request)?;
                request.want_request_body(BodyMode::Buffered(self.max_body));
                None
            }
            // A server that looks into it, as some do by a field, would see what nobody has checked.
            "GET" | "DELETE" | "OPTIONS"
                if request.attribute("request.has-body") == Some("true") =>
            {
                let message = "A body is sent by POST.";
                return Err(Box::new(refusal::one(400, None, -32_600, message)));
            }
            "GET" => Some("stream"),
            "DELETE" => Some("end"),
            // A preflight request asks about another one.
            "OPTIONS" => {
                if !self.pass_authorization {
                    request.remove_header("authorization");
                }
                return Ok(());
            }
            _ => return Err(Box::new(refusal::method())),
        };
        // Answers are read here.
        request.set_header("accept-encoding", "identity");
        if !self.pass_authorization {
            request.remove_header("authorization");
        }
        let version = request.header("mcp-protocol-version").map(str::to_owned);
        self.receive_session(request)?;
        if let Some(message) = message {
            set(request, "mcp.message", message);
            set(request, "mcp.version", version.as_deref().unwrap_or_default());
            // A list may come again by a stream that is taken up.
            let filters = message == "stream" && self.filters();
            let of = if filters { self.rules.of(&Who::is_asking()) } else { Vec::new() };
            let affinity = request.attribute(session::AFFINITY).map(str::to_owned);
            let method = message.to_owned();
            let call = Call { method, of, lists: filters, filters, affinity, ..Call::default() };
            progress.0 = Some(Box::new(call));
        }
        Ok(())
    }

    fn check_origin(&self, request: &Request) -> Result<(), Refused> {
        let allows = |origin: &str| {
            self.origins.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(origin))
        };
        match request.header_bytes("origin") {
            Some(origin) if !std::str::from_utf8(origin).is_ok_and(allows) => {
                log::info!("refuses the origin `{}`", String::from_utf8_lossy(origin));
                Err(Box::new(refusal::origin()))
            }
            _ => Ok(()),
        }
    }

    /// Looks at the session, and finds where it is.
    fn receive_session(&self, request: &mut Request) -> Result<(), Refused> {
        let Some(id) = request.header("mcp-session-id").map(str::to_owned) else { return Ok(()) };
        set(request, "mcp.session", &digest_of_session(&id));
        if self.sticky_sessions {
            let Some((key, id)) = session::split(&id) else {
                return Err(Box::new(refusal::session()));
            };
            set(request, session::AFFINITY, key);
            request.set_header("mcp-session-id", id);
        }
        Ok(())
    }

    /// The body of a request.
    pub(crate) fn receive_messages(
        &self,
        request: &mut Request,
        body: &Body,
    ) -> Result<Call, Refused> {
        let (messages, is_batch) = message::read(body.bytes()).map_err(|fault| {
            self.meter.refused("other", "");
            Box::new(refusal::no_message(envelope::id_of(body.bytes()), fault))
        })?;
        let lines =
            |name: &str| request.header_lines(name).into_iter().map(<[u8]>::to_vec).collect();
        let fields = Fields {
            version: lines("mcp-protocol-version"),
            method: lines("mcp-method"),
            name: lines("mcp-name"),
        };
        let first = &messages[0];
        if is_batch && (messages.len() > self.max_batch || fields.is_stateless()) {
            self.meter.refused("batch", "");
            let message = match self.max_batch {
                0 => "A body is one message here, and no batch.".to_owned(),
                most => format!("A batch has at most {most} messages here."),
            };
            return Err(Box::new(refusal::one(400, None, -32_600, &message)));
        }
        for message in &messages {
            fields.check(message).map_err(|mismatch| {
                self.meter.refused(&message.method, message.name.as_deref().unwrap_or_default());
                Box::new(refusal::one(400, message.id, mismatch.code, &mismatch.message))
            })?;
        }
        self.tell(request, &messages, is_batch, &fields);
        let who = Who::is_asking();
        let of = self.rules.of(&who);
        self.authorize(&messages, is_batch, &of, &who)?;
        let lists = messages.iter().any(Message::lists);
        let is_call = first.kind == Kind::Request && !is_batch;
        let mut call = Call {
            method: Meter::method(method_of(first, is_batch)),
            name: self.meter.name(name_of(first, is_batch)),
            id: first.kept_id.clone().filter(|_| !is_batch),
            of,
            lists: lists && self.filters(),
            // Clients take an answer by its id, whatever they asked for by the request that brings it.
            filters: self.filters(),
            is_timed: is_call && first.method != "subscriptions/listen",
            ..Call::default()
        };
        if self.sticky_sessions {
            let begins = messages.iter().any(|it| it.method == "initialize");
            call.affinity = if begins {
                let key = session::draw();
                set(request, session::AFFINITY, &key);
                Some(key)
            } else {
                request.attribute(session::AFFINITY).map(str::to_owned)
            };
        }
        Ok(call)
    }

    /// What later plugins and logs learn.
    fn tell(
        &self,
        request: &mut Request,
        messages: &[Message<'_>],
        is_batch: bool,
        fields: &Fields,
    ) {
        let first = &messages[0];
        let kind = match first.kind {
            _ if is_batch => "batch",
            Kind::Request => "request",
            Kind::Notification => "notification",
            Kind::Response => "response",
        };
        set(request, "mcp.message", kind);
        let calls = messages.iter().filter(|it| it.kind == Kind::Request).count();
        set(request, "mcp.calls", &calls.to_string());
        if !is_batch {
            set(request, "mcp.method", &first.method);
            if let Some((subject, name)) = first.about.first() {
                set(request, "mcp.name", name);
                set(
                    request,
                    match subject {
                        Subject::Tool => "mcp.tool",
                        Subject::Prompt => "mcp.prompt",
                        Subject::Resource => "mcp.resource",
                    },
                    name,
                );
            }
        }
        let version = fields.version().or(first.version.as_deref());
        set(request, "mcp.version", version.unwrap_or_default());
        if let Some(client) = &first.client {
            set(request, "mcp.client", client);
        }
    }

    /// Whether who asks may have all that the messages are about.
    fn authorize(
        &self,
        messages: &[Message<'_>],
        is_batch: bool,
        of: &[u16],
        who: &Who,
    ) -> Result<(), Refused> {
        for (at, message) in messages.iter().enumerate() {
            if let Some(subject) = message.needs()
                && message.about.is_empty()
                && self.rules.govern(subject)
            {
                self.meter.refused(&message.method, "");
                let words = format!("The request names no {}.", subject.noun());
                return Err(Box::new(refusal::one(400, message.id, -32_602, &words)));
            }
            for (subject, name) in &message.about {
                let verdict = self.rules.decide(of, who, *subject, name);
                if verdict != Verdict::Allowed {
                    log::info!("refuses the {} `{name}` to `{}`", subject.noun(), who.id);
                    self.meter.refused(&message.method, name);
                    let resource = self.resource.as_ref();
                    let refused = refusal::forbidden(
                        messages,
                        is_batch,
                        (at, *subject, name),
                        &verdict,
                        resource,
                    );
                    return Err(Box::new(refused));
                }
            }
        }
        Ok(())
    }
}

fn method_of<'a>(message: &'a Message<'_>, is_batch: bool) -> &'a str {
    match message.kind {
        _ if is_batch => "batch",
        Kind::Response => "response",
        Kind::Request | Kind::Notification => &message.method,
    }
}

/// Resources have no label: there may be any number of them.
fn name_of<'a>(message: &'a Message<'_>, is_batch: bool) -> &'a str {
    match message.about.first() {
        Some((Subject::Tool | Subject::Prompt, name)) if !is_batch => name,
        _ => "",
    }
}

/// A body that others could read otherwise than it is read here.
fn check_content(request: &Request) -> Result<(), Refused> {
    let refuse = |message: &str| Err(Box::new(refusal::media_type(message)));
    if request.attribute("request.has-body") != Some("true") {
        let message = "The request has no body.";
        return Err(Box::new(refusal::one(400, None, -32_700, message)));
    }
    if request.header_bytes("content-encoding").is_some_and(|coding| coding != b"identity") {
        return refuse("The body must have no content coding.");
    }
    let kind = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    if parts.next() != Some("application/json") {
        return refuse("The body must be `application/json`.");
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    match charset.map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8") => Ok(()),
        Some(_) => refuse("The body must be in UTF-8."),
    }
}

fn set(request: &mut Request, name: &str, value: &str) {
    if let Err(error) = request.set_attribute(name, value) {
        log::warn!("the attribute {name} cannot be set: {error}");
    }
}
