//! `[admin]`.
//!
//! Owns the address of the gateway's own listener, and the rule of who may reach it: everybody on this
//! machine, or who has a token, over TLS. Must not compare tokens.

use std::fmt;
use std::path::PathBuf;

use super::diagnostic::Diagnostic;
use super::fault::Fault;
use super::reader::{Table, Text};
use super::{Admin, Listener, listener};

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest(pub [u8; 32]);

impl fmt::Debug for TokenDigest {
    /// Without the digest: of a short token it can be guessed from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// In front of the digits.
const SHA_256: &str = "sha256:";

/// Reads `[admin]`, if the file has it.
pub(super) fn read(table: &Table<'_, '_>) -> Option<Admin> {
    let text = table.text("address");
    let tls = listener::tls(table);
    let token = table.text("token").and_then(|text| token(table, &text));
    let hosts = hosts(table);
    let audit = table.word("audit").and_then(|text| audit(table, &text));
    let text = text?;
    let address = table.reading.parsed(&text, "an address and a port", listener::address_of)?;
    let admin = Admin { address, address_span: text.span.clone(), tls, token, hosts, audit };
    if !admin.is_local() {
        refuse_open(table, &text);
    }
    Some(admin)
}

/// Everybody who can reach the address could read the configuration, and the token on its way.
fn refuse_open(table: &Table<'_, '_>, address: &Text) {
    let is_there = |key| table.value(key).is_some();
    let tls = "`tls = { certificate = \"admin.pem\", key = \"admin.key\" }`";
    let token = "`token = \"sha256:...\"`, which `gateway admin token` makes";
    let (what, help) = match (is_there("tls"), is_there("token")) {
        (true, true) => return,
        (true, false) => ("without a token", token.to_owned()),
        (false, true) => ("in clear", tls.to_owned()),
        (false, false) => ("in clear and without a token", format!("{tls} and {token}")),
    };
    let error = format!("`admin` would serve {what} at `{}`, which is not loopback", address.shown);
    table.reading.report_absence(
        Diagnostic::error(address.span.clone(), error)
            .label("others can reach it")
            .help(format!("add {help}; or take an address of loopback: `127.0.0.1:9901`")),
    );
}

fn token(table: &Table<'_, '_>, text: &Text) -> Option<TokenDigest> {
    const ADVICE: &str = "`gateway admin token` makes a token and its digest; of a token that is there, \
                          `printf %s TOKEN | sha256sum` prints the digits";
    let digits = text.value.strip_prefix(SHA_256);
    let Some(digits) = digits else {
        // Without the line, which may show the token itself.
        let line = table.reading.source.position(text.span.start).line;
        let error = format!("the `token` of `[admin]` on line {line} is not a digest");
        let error = Diagnostic::file_error(error);
        table.reading.report(
            error.note("the file holds `sha256:` and 64 digits, never the token").help(ADVICE),
        );
        return None;
    };
    let digest = digest(digits);
    if digest.is_none() {
        let error = "`token` is not `sha256:` and 64 hexadecimal digits";
        table.reading.report(Diagnostic::error(text.span.clone(), error).help(ADVICE));
    }
    digest
}

fn digest(digits: &str) -> Option<TokenDigest> {
    let mut digest = [0; 32];
    if digits.len() != 2 * digest.len() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(TokenDigest(digest))
}

fn hosts(table: &Table<'_, '_>) -> Vec<String> {
    let items = table.filled_list("hosts").unwrap_or_default().iter();
    let texts = items.filter_map(|item| table.reading.text(item, "an element of `hosts`"));
    let hosts = texts.filter_map(|text| table.reading.parsed(&text, "the name of a host", host_of));
    hosts.collect()
}

/// A name as `Host` has it, without a port.
fn host_of(text: &str) -> Result<String, Fault> {
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !text.is_empty() && (is_address || text.chars().all(plain)) {
        return Ok(text.trim_matches(['[', ']']).to_ascii_lowercase());
    }
    let fault = Fault::new(0..text.len(), format!("`{text}` is not the name of a host"));
    Err(fault.help("write it as `Host` has it, without a port: `gateway.internal`"))
}

/// A file that can be made, or is there.
fn audit(table: &Table<'_, '_>, text: &Text) -> Option<PathBuf> {
    let path = table.reading.source.folder().join(&text.value);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let why = if path.is_dir() {
        "is a folder"
    } else if folder.is_some_and(|folder| !folder.is_dir()) {
        "is in a folder that does not exist"
    } else {
        return Some(path);
    };
    let error = format!("the file `{}` of `audit` {why}", text.shown);
    let error = Diagnostic::error(text.span.clone(), error);
    table.reading.report(error.note("paths are relative to the configuration file"));
    None
}

/// Its address is not that of a listener for clients.
pub(super) fn refuse_shared_address(
    table: &Table<'_, '_>,
    admin: Option<&Admin>,
    listeners: &[Option<Listener>],
) {
    let Some(admin) = admin.filter(|admin| admin.address.port() != 0) else { return };
    let shared = listeners.iter().flatten().find(|listener| listener.address == admin.address);
    if let Some(listener) = shared {
        let error = format!("`admin` has the address of the listener `{}`", listener.name);
        let error = Diagnostic::error(admin.address_span.clone(), error);
        table.reading.report(error.related(listener.address_span.clone(), "the listener's"));
    }
}
