//! Messages of the protocol as clients send them.
//!
//! Owns what a message is about. What it is, and what could be read in two ways, is `gateway-json-rpc`'s. Must not decide
//! who may send it.

use std::borrow::Cow;

use gateway_json_rpc::envelope;
use gateway_json_rpc::{Fault, Kind, only};
use gateway_model_protocols::json::Raw;

/// The member of `_meta` with the revision, since 2026-07-28.
const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The member of `_meta` with the client, since 2026-07-28.
const META_CLIENT: &str = "io.modelcontextprotocol/clientInfo";

/// The longest name or URI, in bytes.
const MOST_NAME: usize = 4096;

/// What a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Tool,
    Prompt,
    Resource,
}

impl Subject {
    /// For people.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
        }
    }
}

/// A message of a client.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: Kind,
    /// The id as it is written.
    pub(crate) id: Option<&'a str>,
    /// The same, for a refusal that comes when the body is gone.
    pub(crate) kept_id: Option<String>,
    /// Empty for a response.
    pub(crate) method: Cow<'a, str>,
    /// What `Mcp-Name` has of it, where it has something.
    pub(crate) name: Option<Cow<'a, str>>,
    /// What the request is about: rules decide on each.
    pub(crate) about: Vec<(Subject, Cow<'a, str>)>,
    /// The revision by the body: of `_meta`, or of `initialize`.
    pub(crate) version: Option<Cow<'a, str>>,
    /// Whether the revision is that of `_meta`.
    pub(crate) has_meta_version: bool,
    /// The name of the client.
    pub(crate) client: Option<Cow<'a, str>>,
}

/// The messages of a body, and whether it is a batch.
pub(crate) fn read(body: &[u8]) -> Result<(Vec<Message<'_>>, bool), Fault> {
    let (envelopes, is_batch) = envelope::read(body)?;
    let messages = envelopes.into_iter().map(|it| {
        let mut message = Message {
            kind: it.kind,
            kept_id: it.id_of_request(),
            id: it.id,
            method: it.method,
            name: None,
            about: Vec::new(),
            version: None,
            has_meta_version: false,
            client: None,
        };
        if let Some(params) = it.params {
            message.look_into(params)?;
        }
        Ok(message)
    });
    Ok((messages.collect::<Result<_, _>>()?, is_batch))
}

impl<'a> Message<'a> {
    /// What must be named for the request to mean something.
    pub(crate) fn needs(&self) -> Option<Subject> {
        Some(match &*self.method {
            "tools/call" => Subject::Tool,
            "prompts/get" => Subject::Prompt,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Subject::Resource,
            _ => return None,
        })
    }

    /// Whether `Mcp-Name` goes with it.
    pub(crate) fn has_name_field(&self) -> bool {
        matches!(&*self.method, "tools/call" | "prompts/get" | "resources/read")
    }

    /// Whether its answer lists what rules speak of.
    pub(crate) fn lists(&self) -> bool {
        matches!(
            &*self.method,
            "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list"
        )
    }

    fn look_into(&mut self, params: Raw<'a>) -> Result<(), Fault> {
        let [meta] = only(params, ["_meta"])?;
        if let Some(meta) = meta.filter(|meta| meta.is_object()) {
            let [version, client] = only(meta, [META_VERSION, META_CLIENT])?;
            self.version = text(version)?;
            self.has_meta_version = version.is_some();
            self.client = client_name(client)?;
        }
        match self.needs() {
            Some(Subject::Resource) => {
                let [uri] = only(params, ["uri"])?;
                self.is_about(Subject::Resource, uri)?;
            }
            Some(subject) => {
                let [name] = only(params, ["name"])?;
                self.is_about(subject, name)?;
            }
            None => {}
        }
        self.name = self.about.first().map(|(_, name)| name.clone());
        match &*self.method {
            "initialize" => {
                let [version, client] = only(params, ["protocolVersion", "clientInfo"])?;
                self.version = text(version)?;
                self.client = client_name(client)?;
            }
            "completion/complete" => {
                let [reference] = only(params, ["ref"])?;
                if let Some(reference) = reference {
                    let [name, uri] = only(reference, ["name", "uri"])?;
                    self.is_about(Subject::Prompt, name)?;
                    self.is_about(Subject::Resource, uri)?;
                }
            }
            "subscriptions/listen" => {
                let [filter] = only(params, ["notifications"])?;
                if let Some(filter) = filter {
                    let [uris] = only(filter, ["resourceSubscriptions"])?;
                    for uri in uris.into_iter().flat_map(Raw::elements) {
                        self.is_about(Subject::Resource, Some(uri))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_about(&mut self, subject: Subject, name: Option<Raw<'a>>) -> Result<(), Fault> {
        if let Some(name) = name {
            let Some(name) = text(Some(name))? else {
                return Err(Fault {
                    code: -32_602,
                    message: "A name or URI in `params` is no string.",
                });
            };
            self.about.push((subject, name));
        }
        Ok(())
    }
}

fn client_name(client: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, Fault> {
    match client {
        Some(client) => text(only(client, ["name"])?[0]),
        None => Ok(None),
    }
}

/// A text of reasonable length; none if it is no string.
fn text(raw: Option<Raw<'_>>) -> Result<Option<Cow<'_, str>>, Fault> {
    let text = raw.and_then(Raw::str);
    match &text {
        Some(text) if text.len() > MOST_NAME => Err(Fault {
            code: -32_602,
            message: "A name or URI in `params` is longer than 4,096 bytes.",
        }),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> Result<Message<'_>, Fault> {
        read(body.as_bytes()).map(|(mut messages, _)| messages.remove(0))
    }

    #[test]
    fn tells_what_a_message_is_and_is_about() {
        let call = one(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a\u0062","_meta":
            {"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c"}}}}"#,
        );
        let call = call.unwrap();
        assert_eq!((call.kind, call.id, &*call.method), (Kind::Request, Some("7"), "tools/call"));
        assert_eq!(call.about, [(Subject::Tool, "ab".into())]);
        assert_eq!(
            (call.version.as_deref(), call.client.as_deref()),
            (Some("2026-07-28"), Some("c"))
        );
        let response = one(r#"{"jsonrpc":"2.0","id":"x","result":{}}"#).unwrap();
        assert_eq!((response.kind, response.id), (Kind::Response, Some("\"x\"")));
        let note = one(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert_eq!(note.kind, Kind::Notification);
        let listen = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":
            {"notifications":{"resourceSubscriptions":["file:///a","file:///b"]}}}"#;
        assert_eq!(one(listen).unwrap().about.len(), 2);
        let complete = r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"}}}"#;
        assert_eq!(one(complete).unwrap().about, [(Subject::Prompt, "p".into())]);
    }

    #[test]
    fn refuses_names_that_two_readers_could_read_differently() {
        for params in [
            r#"{"name":"a","NAME":"b"}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":["a"]}"#,
            r#"{"name":"a","_meta":{},"_META":{}}"#,
        ] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            assert!(one(&body).is_err(), "{body}");
        }
    }
}
