//! The fields that repeat a part of the body, since 2026-07-28: `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name`.
//!
//! Owns the comparison. Whoever routes or decides by such a field relies on it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_json_rpc::Kind;

use crate::message::Message;

/// The first revision that has no sessions, and in which fields repeat the body.
const FIRST_STATELESS: &str = "2026-07-28";

/// The lines of the fields of a request.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) version: Vec<Vec<u8>>,
    pub(crate) method: Vec<Vec<u8>>,
    pub(crate) name: Vec<Vec<u8>>,
}

/// What does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The code of JSON-RPC.
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Fields {
    /// The revision, if there is one.
    pub(crate) fn version(&self) -> Option<&str> {
        std::str::from_utf8(self.version.first()?).ok()
    }

    /// Whether the request says that it is of a revision in which the fields are checked.
    pub(crate) fn is_stateless(&self) -> bool {
        self.version().is_some_and(is_stateless)
    }

    /// Whether the fields say what a message says.
    pub(crate) fn check(&self, message: &Message<'_>) -> Result<(), Mismatch> {
        let (version, method, name) = (
            single("MCP-Protocol-Version", &self.version)?,
            single("Mcp-Method", &self.method)?,
            single("Mcp-Name", &self.name)?,
        );
        let is_stateless = version.is_some_and(is_stateless);
        if message.kind == Kind::Request && is_stateless && !message.has_meta_version {
            let message =
                "`params._meta` has no `io.modelcontextprotocol/protocolVersion`.".to_owned();
            return Err(Mismatch { code: -32_602, message });
        }
        if message.has_meta_version && version != message.version.as_deref() {
            return mismatch("MCP-Protocol-Version", version, message.version.as_deref());
        }
        let must_have = is_stateless && message.kind == Kind::Request;
        if (must_have || method.is_some()) && method != Some(&*message.method) {
            return mismatch("Mcp-Method", method, Some(&message.method));
        }
        if message.has_name_field() && (must_have || name.is_some()) {
            let decoded = name.and_then(decode);
            if message.name.is_some() && decoded.as_deref() != message.name.as_deref() {
                return mismatch("Mcp-Name", name, message.name.as_deref());
            }
        }
        Ok(())
    }
}

/// Revisions are dates.
fn is_stateless(version: &str) -> bool {
    let is_date = version.len() == FIRST_STATELESS.len()
        && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_date && version >= FIRST_STATELESS
}

fn single<'a>(field: &str, lines: &'a [Vec<u8>]) -> Result<Option<&'a str>, Mismatch> {
    let wrong = |what: &str| Mismatch {
        code: -32_020,
        message: format!("Header mismatch: {field} {what}"),
    };
    match lines {
        [] => Ok(None),
        [line] => std::str::from_utf8(line).map(Some).map_err(|_| wrong("has invalid characters")),
        _ => Err(wrong("is there more than once")),
    }
}

fn mismatch(field: &str, value: Option<&str>, body: Option<&str>) -> Result<(), Mismatch> {
    let body = body.map_or_else(|| "nothing".to_owned(), |body| format!("'{body}'"));
    let message = match value {
        Some(value) => format!(
            "Header mismatch: {field} header value '{value}' does not match body value {body}"
        ),
        None => format!("Header mismatch: {field} is missing, the body has {body}"),
    };
    Err(Mismatch { code: -32_020, message })
}

/// The value of a field that may be encoded; none if it is encoded wrongly.
fn decode(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|it| it.strip_suffix("?=")) else {
        return Some(value.to_owned());
    };
    String::from_utf8(STANDARD.decode(inner).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::read;

    fn check(version: &[&str], method: &[&str], name: &[&str], body: &str) -> Option<i32> {
        let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let fields = Fields { version: lines(version), method: lines(method), name: lines(name) };
        let (messages, _) = read(body.as_bytes()).unwrap();
        fields.check(&messages[0]).err().map(|mismatch| mismatch.code)
    }

    fn call(tool: &str, version: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}"}}}}}}"#
        )
    }

    #[test]
    fn fields_of_the_newest_revision_say_what_the_body_says() {
        let new = "2026-07-28";
        let body = call("add", new);
        let check_call =
            |version: &[&str], method: &[&str], name: &[&str]| check(version, method, name, &body);
        assert_eq!(check_call(&[new], &["tools/call"], &["add"]), None);
        assert_eq!(check_call(&[new], &["tools/call"], &["=?base64?YWRk?="]), None);
        for (version, method, name) in [
            (vec![], vec!["tools/call"], vec!["add"]),
            (vec!["2025-11-25"], vec!["tools/call"], vec!["add"]),
            (vec![new, new], vec!["tools/call"], vec!["add"]),
            (vec![new], vec![], vec!["add"]),
            (vec![new], vec!["tools/list"], vec!["add"]),
            (vec![new], vec!["tools/call"], vec![]),
            (vec![new], vec!["tools/call"], vec!["Add"]),
            (vec![new], vec!["tools/call"], vec!["=?base64?YWRk"]),
            (vec![new], vec!["tools/call"], vec!["=?base64?YWR?="]),
            (vec![new], vec!["tools/call"], vec!["add", "del"]),
        ] {
            assert_eq!(
                check_call(&version, &method, &name),
                Some(-32_020),
                "{version:?} {method:?} {name:?}"
            );
        }
        let without = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(check(&[new], &["tools/list"], &[], without), Some(-32_602));
    }

    #[test]
    fn older_revisions_need_no_fields_but_may_not_contradict_the_body() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
        for version in [&[][..], &["2025-03-26"], &["2025-11-25"], &["DRAFT"]] {
            assert_eq!(check(version, &[], &[], body), None);
        }
        assert_eq!(check(&["2025-11-25"], &["tools/list"], &[], body), Some(-32_020));
        assert_eq!(check(&[], &[], &["del"], body), Some(-32_020));
    }
}
