//! Whose a key is, and what others are told of it: attributes, and fields for the upstream.
//!
//! Owns the names of the attributes. It knows no signatures.

use std::collections::BTreeMap;

use gateway_plugin_sdk::prelude::*;
use serde_json::{Map, Value};

use gateway_plugin_identity::problems::{Pointer, Problems};

const CLAIM_PREFIX: &str = "consumer.claim.";

/// The longest attribute that the gateway takes, in bytes, and the longest name of one.
const MAX_ATTRIBUTE: usize = 8 * 1024;
const MAX_ATTRIBUTE_NAME: usize = 128;

/// Fields that frame the message or belong to the connection: the gateway's own.
const GATEWAY_FIELDS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the configuration says of a consumer.
pub(crate) struct Owner<'c> {
    pub(crate) id: &'c str,
    pub(crate) key_id: &'c str,
    pub(crate) group: Option<&'c str>,
    /// Whether the configuration names groups at all.
    pub(crate) names_groups: bool,
    pub(crate) scopes: &'c [String],
    pub(crate) claims: &'c Map<String, Value>,
}

/// A consumer, ready to be told.
#[derive(Debug)]
pub(crate) struct Consumer {
    attributes: Vec<(String, String)>,
}

impl Consumer {
    /// Checks what is said of a consumer at a place.
    pub(crate) fn new(owner: &Owner<'_>, at: &Pointer, problems: &mut Problems) -> Self {
        if !is_name(owner.id) {
            problems.add(&at.key("consumer"), "is no name of 1 to 1024 bytes on one line");
        }
        if owner.group.is_some_and(|group| !is_name(group)) {
            problems.add(&at.key("group"), "is no name on one line");
        }
        for (index, scope) in owner.scopes.iter().enumerate() {
            if !is_scope(scope) {
                let message = "is no scope: visible ASCII without `\"` and `\\`";
                problems.add(&at.key("scopes").index(index), message);
            }
        }
        let scopes = owner.scopes.join(" ");
        if scopes.len() > MAX_ATTRIBUTE {
            problems.add(&at.key("scopes"), "are longer than 8 KiB altogether");
        }
        let mut attributes = vec![
            ("consumer.id".to_owned(), owner.id.to_owned()),
            ("consumer.method".to_owned(), "http-signature".to_owned()),
            ("consumer.key-id".to_owned(), owner.key_id.to_owned()),
            ("consumer.scopes".to_owned(), scopes),
        ];
        if owner.names_groups {
            // One without a group has an empty one: a plugin before this may have set another.
            let group = owner.group.unwrap_or_default();
            attributes.push(("consumer.group".to_owned(), group.to_owned()));
        }
        for (name, value) in owner.claims {
            let attribute = format!("{CLAIM_PREFIX}{name}");
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if name.is_empty() || attribute.len() > MAX_ATTRIBUTE_NAME || text.len() > MAX_ATTRIBUTE
            {
                let message = "is no claim with a name of 1 to 113 bytes and a value of 8 KiB";
                problems.add(&at.key("claims").key(name), message);
            }
            attributes.push((attribute, text));
        }
        Self { attributes }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Fields for the upstream, each with the attribute that fills it.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(HeaderName, String)>);

impl Fields {
    /// Checks the setting.
    pub(crate) fn new(
        headers: &BTreeMap<String, String>,
        at: &Pointer,
        problems: &mut Problems,
    ) -> Self {
        let mut fields = Vec::new();
        for (name, attribute) in headers {
            let at = at.key(name);
            let is_ours = attribute.starts_with(CLAIM_PREFIX)
                || matches!(
                    attribute.as_str(),
                    "consumer.id"
                        | "consumer.method"
                        | "consumer.key-id"
                        | "consumer.scopes"
                        | "consumer.group"
                );
            if !is_ours {
                let message = "is none of the attributes `consumer.id`, `consumer.method`, \
                               `consumer.key-id`, `consumer.scopes`, `consumer.group` and \
                               `consumer.claim.NAME`";
                problems.add(&at, message);
            }
            match HeaderName::parse(name) {
                Ok(field) if GATEWAY_FIELDS.contains(&field.as_str()) => {
                    problems.add(&at, "belongs to the gateway and cannot be set");
                }
                Ok(field) if fields.iter().any(|(known, _)| *known == field) => {
                    problems.add(&at, "is the same field as another");
                }
                Ok(field) => fields.push((field, attribute.clone())),
                Err(error) => problems.add(&at, error.to_string()),
            }
        }
        Self(fields)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Tells the others who the consumer is. Whether the gateway takes it all.
    pub(crate) fn tell(&self, consumer: &Consumer, request: &mut Request) -> bool {
        for (field, attribute) in &self.0 {
            if let Some(value) = consumer.value(attribute).filter(|value| is_value(value)) {
                request.set_header(field, value);
            }
        }
        let mut attributes = consumer.attributes.iter();
        attributes.all(|(name, value)| request.set_attribute(name, value).is_ok())
    }
}

/// Whether a text can name a consumer wherever names go: attributes, logs, fields.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && !text.chars().any(char::is_control)
}

fn is_scope(text: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(visible)
}

/// Whether a text can be a field's value (RFC 9110 section 5.5).
fn is_value(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_control())
}
