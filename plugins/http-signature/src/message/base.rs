//! The signature base (RFC 9421 section 2.5): what of a request is signed, as one text.
//!
//! Owns the values of components. Each is that of the request as it arrives here, its path in normal form.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_plugin_sdk::prelude::*;
use sfv::{Dictionary, FieldType as _, InnerList, Item, List, ListEntry, Parser};

use super::component::{Component, Form, Kind};
use crate::config::FieldKind;
use crate::refusal::Refusal;

/// Structured fields by RFC 9421, RFC 9530 and RFC 9218, all of them dictionaries.
const DICTIONARIES: [&str; 8] = [
    "accept-signature",
    "content-digest",
    "priority",
    "repr-digest",
    "signature",
    "signature-input",
    "want-content-digest",
    "want-repr-digest",
];

/// The text that is signed.
pub(super) fn of(
    request: &Request,
    components: &[Component],
    input: &InnerList,
    kinds: &BTreeMap<String, FieldKind>,
) -> Result<String, Refusal> {
    let mut base = String::new();
    for component in components {
        let value = value(request, component, kinds)?;
        // A line that could end early would say something else than it covers.
        if !value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte)) {
            let name = &component.identifier;
            return Err(format!("{name} has characters that cannot be signed").into());
        }
        let _ = writeln!(base, "{}: {value}", component.identifier);
    }
    let parameters = vec![ListEntry::InnerList(input.clone())].serialize().unwrap_or_default();
    let _ = write!(base, "\"@signature-params\": {parameters}");
    Ok(base)
}

fn value(
    request: &Request,
    component: &Component,
    kinds: &BTreeMap<String, FieldKind>,
) -> Result<String, Refusal> {
    match &component.kind {
        Kind::Method => Ok(request.method().to_owned()),
        Kind::Scheme => Ok(scheme(request).to_owned()),
        Kind::Authority => Ok(authority(request)),
        Kind::Path => Ok(request.path().to_owned()),
        // RFC 9421 section 2.2.7: a target without a query has an empty one.
        Kind::Query => Ok(format!("?{}", request.query().unwrap_or_default())),
        Kind::RequestTarget => Ok(target(request)),
        Kind::TargetUri => {
            Ok(format!("{}://{}{}", scheme(request), authority(request), target(request)))
        }
        Kind::QueryParam(name) => parameter(request, name),
        Kind::Field(name, form) => field(request, name, form, kinds)
            .map_err(|why| format!("the signature covers {}: {why}", component.identifier).into()),
    }
}

fn scheme(request: &Request) -> &str {
    request.attribute("request.scheme").unwrap_or_default()
}

/// The host in lower case, without the scheme's own port (RFC 9421 section 2.2.3).
fn authority(request: &Request) -> String {
    let host = request.header("host").or_else(|| request.attribute("request.host"));
    let host = host.unwrap_or_default().to_ascii_lowercase();
    let port = if scheme(request) == "https" { ":443" } else { ":80" };
    host.strip_suffix(port).map_or(host.clone(), str::to_owned)
}

fn target(request: &Request) -> String {
    match request.query() {
        Some(query) => format!("{}?{query}", request.path()),
        None => request.path().to_owned(),
    }
}

/// The value of the one query parameter of a name (RFC 9421 section 2.2.8).
fn parameter(request: &Request, name: &str) -> Result<String, Refusal> {
    let mut values = request.query_pairs().filter(|(known, _)| encoded(known) == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(encoded(&value)),
        (None, _) => Err("the signature covers a query parameter that is not there".into()),
        (_, Some(_)) => Err("the signature covers a query parameter that is there twice".into()),
    }
}

/// As forms write it (WHATWG URL, application/x-www-form-urlencoded), but for spaces.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn field(
    request: &Request,
    name: &str,
    form: &Form,
    kinds: &BTreeMap<String, FieldKind>,
) -> Result<String, &'static str> {
    let lines = request.header_lines(name);
    if lines.is_empty() {
        return Err("there is no such field");
    }
    let lines: Vec<&[u8]> = lines.into_iter().map(<[u8]>::trim_ascii).collect();
    if *form == Form::Bytes {
        let lines: Vec<_> =
            lines.into_iter().map(|line| format!(":{}:", STANDARD.encode(line))).collect();
        return Ok(lines.join(", "));
    }
    let combined = lines.join(b", ".as_slice());
    match form {
        Form::Combined | Form::Bytes => {
            String::from_utf8(combined).map_err(|_| "it has characters that cannot be signed")
        }
        Form::Strict => {
            let known = DICTIONARIES.contains(&name).then_some(FieldKind::Dictionary);
            let kind = kinds.get(name).copied().or(known);
            let kind = kind.ok_or("it is not known what kind of structured field it is")?;
            strict(&combined, kind).ok_or("the field is no such structured field")
        }
        Form::Member(member) => {
            let members: Dictionary =
                Parser::new(&combined).parse().map_err(|_| "the field is no dictionary")?;
            let found = members.into_iter().find(|(known, _)| known.as_str() == member);
            let (_, entry) = found.ok_or("the field has no such member")?;
            match entry {
                ListEntry::Item(item) => Ok(item.serialize()),
                list @ ListEntry::InnerList(_) => Ok(vec![list].serialize().unwrap_or_default()),
            }
        }
    }
}

/// A structured field as RFC 9651 section 4.1 writes it.
fn strict(field: &[u8], kind: FieldKind) -> Option<String> {
    match kind {
        FieldKind::Item => Some(Parser::new(field).parse::<Item>().ok()?.serialize()),
        FieldKind::List => Parser::new(field).parse::<List>().ok()?.serialize(),
        FieldKind::Dictionary => Parser::new(field).parse::<Dictionary>().ok()?.serialize(),
    }
}
