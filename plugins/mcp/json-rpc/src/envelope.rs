//! What a message is: its kind, its id, its method and its parameters.
//!
//! Owns what could be read in two ways: a member that is there twice, or that only readers without regard to case would
//! find, is refused here, since who reads the message next may read the other one.

use std::borrow::Cow;

use gateway_model_protocols::json::Raw;

/// The longest name of a method, in bytes.
const MOST_METHOD: usize = 256;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody waits for its answer.
    Request,
    /// Nobody does.
    Notification,
    /// It is an answer.
    Response,
}

/// A message.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// What it is.
    pub kind: Kind,
    /// The id as it is written.
    pub id: Option<&'a str>,
    /// The method; empty for a response.
    pub method: Cow<'a, str>,
    /// The parameters: an object, an array or null.
    pub params: Option<Raw<'a>>,
}

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The code of JSON-RPC.
    pub code: i32,
    /// What is wrong, for people.
    pub message: &'static str,
}

const NOT_JSON: Fault = Fault { code: -32_700, message: "The body is not JSON." };

fn invalid<T>(message: &'static str) -> Result<T, Fault> {
    Err(Fault { code: -32_600, message })
}

/// The messages of a body, and whether it is a batch.
pub fn read(body: &[u8]) -> Result<(Vec<Envelope<'_>>, bool), Fault> {
    let raw = Raw::parse(body).map_err(|_| NOT_JSON)?;
    if !raw.is_array() {
        return Ok((vec![envelope(raw)?], false));
    }
    let messages = raw.elements().map(envelope).collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() {
        return invalid("The batch is empty.");
    }
    Ok((messages, true))
}

fn envelope(raw: Raw<'_>) -> Result<Envelope<'_>, Fault> {
    if !raw.is_object() {
        return invalid("The body is no message of JSON-RPC.");
    }
    let [version, id, method, params, result, error] =
        only(raw, ["jsonrpc", "id", "method", "params", "result", "error"])?;
    if !version.is_some_and(|version| version.is("2.0")) {
        return invalid("`jsonrpc` is not \"2.0\".");
    }
    let is_answer = result.is_some() || error.is_some();
    let id = match id {
        Some(id) if is_id(&id) => Some(id.text()),
        // The answer to what could not be read.
        Some(id) if is_answer && id.is_null() => None,
        Some(_) => return invalid("`id` is neither a string nor a number."),
        None => None,
    };
    let Some(method) = method else {
        let method = Cow::Borrowed("");
        return match is_answer {
            true => Ok(Envelope { kind: Kind::Response, id, method, params: None }),
            false => invalid("The message has no `method`."),
        };
    };
    let method = method.str().filter(|method| !method.is_empty() && method.len() <= MOST_METHOD);
    let Some(method) = method else {
        return invalid("`method` is no name of a method.");
    };
    if is_answer {
        return invalid("The message is a request and a response.");
    }
    if params.is_some_and(|it| !it.is_object() && !it.is_array() && !it.is_null()) {
        return invalid("`params` is neither an object nor an array.");
    }
    let kind = if id.is_some() { Kind::Request } else { Kind::Notification };
    Ok(Envelope { kind, id, method, params })
}

/// The members of these names, if nobody could read others in their place.
pub fn only<'a, const N: usize>(
    object: Raw<'a>,
    names: [&str; N],
) -> Result<[Option<Raw<'a>>; N], Fault> {
    let mut found = [None; N];
    for (key, value) in object.members() {
        let key = key.str().unwrap_or_default();
        let Some(at) = names.iter().position(|name| folded_eq(&key, name)) else { continue };
        if key != names[at] {
            return invalid("A member has the name of another but for the case of its letters.");
        }
        if found[at].replace(value).is_some() {
            return invalid("A member is there twice.");
        }
    }
    Ok(found)
}

/// Whether a reader without regard to case takes one for the other: two characters beyond ASCII fold into it.
pub fn folded_eq(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(fold))
}

/// An error for the request with this id, as it is written; null if it has none.
pub fn error(id: Option<&str>, code: i32, message: &str, instance: Option<&str>) -> String {
    let error =
        serde_json::json!({ "code": code, "message": message, "data": { "instance": instance } });
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.unwrap_or("null"))
}

/// The longest id that is kept for a refusal that comes later, in bytes.
const MOST_ID: usize = 256;

/// The id of a body that is one message but for its faults, as it is written; `None` if it has none that is certain.
pub fn id_of(body: &[u8]) -> Option<&str> {
    let raw = Raw::parse(body).ok().filter(|raw| raw.is_object())?;
    let [id] = only(raw, ["id"]).ok()?;
    id.filter(is_id).map(Raw::text)
}

fn is_id(id: &Raw<'_>) -> bool {
    id.is_string() || id.text().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

impl Envelope<'_> {
    /// The id by which a refusal is known that comes when the body is gone.
    pub fn id_of_request(&self) -> Option<String> {
        let id = self.id.filter(|id| self.kind == Kind::Request && id.len() <= MOST_ID);
        id.map(str::to_owned)
    }
}

/// A problem document (RFC 9457) as an error for the request with this id, in the form in which the gateway has it; `None` if
/// it is no document.
pub fn error_of_problem(id: &str, status: u16, document: &[u8]) -> Option<String> {
    let document = Raw::parse(document).ok().filter(|document| document.is_object())?;
    let told = ["detail", "message", "title"]
        .iter()
        .find_map(|name| document.text_of(name).filter(|text| !text.is_empty()));
    let code = match status {
        400 => -32_600,
        500 => -32_603,
        _ => -32_000,
    };
    let message = serde_json::Value::from(told.as_deref().unwrap_or("It failed."));
    let data = document.text();
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message},"data":{data}}}}}"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_a_message_is() {
        for (body, kind, id, method) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"a"}"#, Kind::Request, Some("7"), "a"),
            (r#"{"jsonrpc":"2.0","id":"x","result":{}}"#, Kind::Response, Some("\"x\""), ""),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Kind::Response, None, ""),
            (
                r#"{"jsonrpc":"2.0","method":"a\u0062","params":[1]}"#,
                Kind::Notification,
                None,
                "ab",
            ),
        ] {
            let (messages, is_batch) = read(body.as_bytes()).unwrap();
            let message = &messages[0];
            assert_eq!(
                (message.kind, message.id, &*message.method, is_batch),
                (kind, id, method, false)
            );
        }
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{},"paramſ":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":3}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
            r#"{"id":1,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            "[]",
            "3",
            "{",
            "",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_faulty_message_has_an_id_if_it_is_certain() {
        for (body, id) in [
            (r#"{"jsonrpc":"1.0","id":7,"method":"a"}"#, Some("7")),
            (r#"{"id": "x","method":"a","method":"b"}"#, Some("\"x\"")),
            (r#"{"id":7,"id":8,"method":"a"}"#, None),
            (r#"{"id":7,"ID":8,"method":"a"}"#, None),
            (r#"{"id":[7],"method":"a"}"#, None),
            (r#"[{"id":7}]"#, None),
            (r#"{"id":7"#, None),
        ] {
            assert_eq!(id_of(body.as_bytes()), id, "{body}");
        }
    }

    #[test]
    fn a_problem_is_an_error_for_its_request() {
        let problem = br#"{"title":"Bad Gateway","status":502,"detail":"It is \"away\"."}"#;
        let error = error_of_problem("1.0", 502, problem).unwrap();
        let problem = std::str::from_utf8(problem).unwrap();
        let wanted = format!(
            r#"{{"jsonrpc":"2.0","id":1.0,"error":{{"code":-32000,"message":"It is \"away\".","data":{problem}}}}}"#
        );
        assert_eq!(error, wanted);
        assert_eq!(error_of_problem("1", 502, b"[]"), None);
    }
}
