//! The card by which clients find an agent.
//!
//! Owns which addresses in it become the gateway's: those of JSON-RPC. An address of another protocol or another server
//! leads past the gateway, and is taken out; so are signatures, which are over the agent's own addresses. All other
//! members stay as they are.

use gateway_json_rpc::folded_eq;
use gateway_model_protocols::json::{Raw, Writer};
use serde::{Deserialize, Serialize};

/// What a client is told of a card that does not pass.
pub(crate) const UNREADABLE: &str = "The agent's card cannot be read.";

/// Where a card is: of 1.0, and of the revisions before.
const PATHS: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];

/// Where the card is in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// It is the answer.
    Whole,
    /// It is the result of a call.
    Result,
}

/// Whether a path ends as that of a card.
pub(crate) fn is_at(path: &str) -> bool {
    PATHS.iter().any(|end| path.ends_with(end))
}

/// The address at which clients reach the agent.
#[derive(Debug)]
pub(crate) struct Address(String);

impl Address {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let is_plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'?' | b'#');
        let is_fine = origin(text).is_some() && text.bytes().all(is_plain);
        is_fine.then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// An address of the agent's as clients reach it; of another server the address alone.
    fn of(&self, address: &str, origin: &str) -> String {
        let path = address.strip_prefix(origin).filter(|_| self::origin(address) == Some(origin));
        format!("{}{}", self.0, path.unwrap_or_default())
    }
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> Option<&str> {
    let authority = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let start = address.len() - authority.len();
    let end = authority.find(['/', '?', '#']).map_or(address.len(), |at| start + at);
    (end > start).then(|| &address[..end])
}

/// The answer with the gateway's addresses; `None` if it is no card, or has no address of JSON-RPC.
pub(crate) fn rewrite(text: &[u8], place: Place, address: &Address) -> Option<Vec<u8>> {
    let raw = Raw::parse(text).ok()?;
    let mut out = Writer::new();
    match place {
        Place::Whole => card(raw, address, &mut out)?,
        Place::Result => {
            out.open('{');
            for (key, value) in raw.members() {
                out.raw(key.text());
                out.out.push(':');
                match key.is("result") {
                    true => card(value, address, &mut out)?,
                    false => drop(out.raw(value.text())),
                }
            }
            out.close('}');
        }
    }
    Some(out.out.into_bytes())
}

fn card(raw: Raw<'_>, address: &Address, out: &mut Writer) -> Option<()> {
    let origin = origin_of(raw)?;
    out.open('{');
    for (key, value) in raw.members() {
        let name = key.str().unwrap_or_default();
        let is = |known: &str| folded_eq(&name, known);
        if is("signatures") {
            continue;
        }
        out.raw(key.text());
        out.out.push(':');
        if is("url") {
            // Of another protocol or server it is of no use, and what is preferred may be that.
            out.str(&address.of(&value.str()?, &origin));
        } else if is("supportedInterfaces") || is("additionalInterfaces") {
            out.open('[');
            for interface in value.elements().filter(|it| is_reachable(*it, &origin)) {
                self::interface(interface, address, &origin, out)?;
            }
            out.close(']');
        } else {
            out.raw(value.text());
        }
    }
    out.close('}');
    Some(())
}

fn interface(raw: Raw<'_>, address: &Address, origin: &str, out: &mut Writer) -> Option<()> {
    out.open('{');
    for (key, value) in raw.members() {
        out.raw(key.text());
        out.out.push(':');
        match folded_eq(&key.str().unwrap_or_default(), "url") {
            true => drop(out.str(&address.of(&value.str()?, origin))),
            false => drop(out.raw(value.text())),
        }
    }
    out.close('}');
    Some(())
}

/// Whether it is JSON-RPC at the agent.
fn is_reachable(interface: Raw<'_>, origin: &str) -> bool {
    let speaks = ["protocolBinding", "transport"]
        .iter()
        .any(|name| interface.get(name).is_some_and(|binding| binding.is("JSONRPC")));
    let is_there = interface.text_of("url").is_some_and(|url| self::origin(&url) == Some(origin));
    speaks && is_there
}

/// Where the agent is by its own words: the first address of JSON-RPC.
fn origin_of(card: Raw<'_>) -> Option<String> {
    let lists = ["supportedInterfaces", "additionalInterfaces"];
    let interfaces = lists.iter().filter_map(|name| card.get(name)).flat_map(Raw::elements);
    let mut first = interfaces.filter_map(|it| {
        let url = it.text_of("url")?;
        let origin = origin(&url)?.to_owned();
        is_reachable(it, &origin).then_some(origin)
    });
    first.next().or_else(|| {
        // Of 0.3, where JSON-RPC is what is preferred unless something else is.
        let is_preferred = card.some("preferredTransport").is_none_or(|it| it.is("JSONRPC"));
        let url = card.text_of("url").filter(|_| is_preferred)?;
        Some(origin(&url)?.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(card: &str, place: Place) -> Option<String> {
        let address = Address::new("https://api.example.com/agents/a/").unwrap();
        rewrite(card.as_bytes(), place, &address).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_card_has_the_addresses_of_the_gateway_alone() {
        let card = r#"{"name" : "a", "version":1.0, "signatures": [{"x":1}], "supportedInterfaces": [
            {"url": "http://10.0.0.1:9/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": "10.0.0.1:8", "protocolBinding": "GRPC"},
            {"url": "http://10.0.0.1:9/rest", "protocolBinding": "HTTP+JSON"},
            {"url": "http://10.0.0.1:90/a2a", "protocolBinding": "JSONRPC"}],
            "url": "http://10.0.0.1:9/", "iconUrl": "https://cdn.example.com/i.png"}"#;
        let wanted = r#"{"name":"a","version":1.0,"supportedInterfaces":[{"url":"https://api.example.com/agents/a/a2a","protocolBinding":"JSONRPC","protocolVersion":"1.0"}],"url":"https://api.example.com/agents/a/","iconUrl":"https://cdn.example.com/i.png"}"#;
        assert_eq!(rewritten(card, Place::Whole).unwrap(), wanted);
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1e1,"result":{card}}}"#);
        let wanted = format!(r#"{{"jsonrpc":"2.0","id":1e1,"result":{wanted}}}"#);
        assert_eq!(rewritten(&answer, Place::Result).unwrap(), wanted);
    }

    #[test]
    fn a_card_of_before_and_one_without_an_address() {
        let card = r#"{"url":"http://a:1","preferredTransport":"JSONRPC","additionalInterfaces":[{"url":"http://a:1","transport":"JSONRPC"}]}"#;
        let new = "https://api.example.com/agents/a";
        let wanted = card.replace("http://a:1", new);
        assert_eq!(rewritten(card, Place::Whole).unwrap(), wanted);
        assert_eq!(
            rewritten(r#"{"url":"http://a:1"}"#, Place::Whole).unwrap(),
            format!(r#"{{"url":"{new}"}}"#)
        );
        for card in [
            r#"{"url":"http://a:1","preferredTransport":"GRPC"}"#,
            r#"{"supportedInterfaces":[{"url":"a:1","protocolBinding":"GRPC"}]}"#,
            r#"{"name":"a"}"#,
            "[]",
            "{",
        ] {
            assert_eq!(rewritten(card, Place::Whole), None, "{card}");
        }
    }
}
