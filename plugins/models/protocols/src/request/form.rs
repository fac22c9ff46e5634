//! Requests whose body is a form with files (`multipart/form-data`, RFC 7578): audio to transcribe, images to edit.
//!
//! Owns where the fields are; all else of the body stays as it is. What two readers could take for different forms is
//! refused.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::count::Count;
use super::read::{Fault, Request};
use crate::protocol::Call;

/// The most parts of a form.
const MOST_PARTS: usize = 256;

/// The most bytes of a field that is no file and has a meaning here.
const MOST_FIELD: usize = 64 << 10;

/// The fields that matter here.
const NAMES: [&str; 3] = ["model", "stream", "n"];

/// One part.
struct Part<'a> {
    name: Cow<'a, str>,
    is_file: bool,
    /// Its media type; empty if it has none.
    kind: &'a str,
    /// Whether its value is not what its bytes are.
    is_encoded: bool,
    value: Range<usize>,
}

/// Whether a content type is that of a form with files.
pub fn is_form(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("multipart/form-data")
}

/// Reads a form. `call` is what the path said.
pub fn read(call: &Call<'_>, body: &[u8], content_type: &str) -> Result<Request, Fault> {
    let parts = parts(body, content_type)?;
    let field = |name: &'static str| -> Result<Option<&str>, Fault> {
        let Some(part) = parts.iter().find(|part| part.name == name) else { return Ok(None) };
        let value = &body[part.value.clone()];
        let text = std::str::from_utf8(value).ok().filter(|it| it.len() <= MOST_FIELD);
        let text = text.filter(|_| !part.is_file && !part.is_encoded);
        text.map(Some).ok_or(Fault::WrongType(name, "a field with a text"))
    };
    let model = match &call.model {
        Some(model) => Some(model.clone().into_owned()),
        None => field("model")?.map(str::to_owned),
    };
    let stream = field("stream")?.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let n = match field("n")? {
        None => 1,
        Some(text) => text.trim().parse().map_err(|_| Fault::WrongType("n", "a whole number"))?,
    };
    let mut texts = Count::new("");
    for part in &parts {
        let value = &body[part.value.clone()];
        if !part.is_file {
            texts.measure(value);
        } else if part.kind.starts_with("image/") {
            texts.size.images += 1;
        } else {
            // As its base64 would be.
            texts.size.audio += value.len() as u64 / 3 * 4;
        }
    }
    Ok(Request { model, stream, n, size: texts.size, ..Request::default() })
}

/// The body with another value of a field, if it has the field and another value.
pub fn with_field(body: &[u8], content_type: &str, name: &str, value: &str) -> Option<Vec<u8>> {
    let parts = parts(body, content_type).ok()?;
    let range = parts.into_iter().find(|part| part.name == name)?.value;
    if &body[range.clone()] == value.as_bytes() {
        return None;
    }
    Some([&body[..range.start], value.as_bytes(), &body[range.end..]].concat())
}

fn parts<'a>(body: &'a [u8], content_type: &str) -> Result<Vec<Part<'a>>, Fault> {
    let boundary = boundary(content_type).ok_or(Fault::Form("has no boundary"))?;
    let delimiter = ["\r\n--", &boundary].concat();
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let is_first = body.starts_with(&delimiter.as_bytes()[2..]);
    let first = if is_first { Some(0) } else { finder.find(body).map(|at| at + 2) };
    let mut at = first.ok_or(Fault::Form("does not begin with its boundary"))?;
    let mut parts: Vec<Part<'_>> = Vec::new();
    loop {
        at += delimiter.len() - 2;
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        if !rest.starts_with(b"\r\n") {
            return Err(Fault::Form("has a boundary that no line ends"));
        }
        // The fields of a part may be none: then the empty line follows at once.
        let end =
            memmem::find(rest, b"\r\n\r\n").ok_or(Fault::Form("has a part without an end"))?;
        let fields = std::str::from_utf8(rest.get(2..end).unwrap_or_default())
            .map_err(|_| Fault::Form("has fields that are not UTF-8"))?;
        let start = at + end + 4;
        let length = finder.find(&body[start..]).ok_or(Fault::Form("has a part without an end"))?;
        let part = part(fields, start..start + length)?;
        check_name(&parts, &part)?;
        parts.push(part);
        if parts.len() > MOST_PARTS {
            return Err(Fault::Form("has more than 256 parts"));
        }
        at = start + length + 2;
    }
}

/// A field that matters is there once, and has its own name.
fn check_name(parts: &[Part<'_>], part: &Part<'_>) -> Result<(), Fault> {
    let Some(name) = NAMES.iter().find(|name| name.eq_ignore_ascii_case(&part.name)) else {
        return Ok(());
    };
    if *name != part.name {
        return Err(Fault::Case(name));
    }
    match parts.iter().any(|known| known.name == part.name) {
        true => Err(Fault::Twice(name)),
        false => Ok(()),
    }
}

fn part(fields: &str, value: Range<usize>) -> Result<Part<'_>, Fault> {
    let mut part =
        Part { name: Cow::Borrowed(""), is_file: false, kind: "", is_encoded: false, value };
    let mut is_named = false;
    for line in fields.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) =
            line.split_once(':').ok_or(Fault::Form("has a line that is no field"))?;
        if name.eq_ignore_ascii_case("content-disposition") {
            if is_named {
                return Err(Fault::Form("has a part with two names"));
            }
            is_named = true;
            part.name =
                parameter(value, "name")?.ok_or(Fault::Form("has a part without a name"))?;
            let is_extended = parameter(value, "name*")?.is_some();
            if is_extended {
                return Err(Fault::Form("has a part with two names"));
            }
            part.is_file =
                parameter(value, "filename")?.is_some() || parameter(value, "filename*")?.is_some();
        } else if name.eq_ignore_ascii_case("content-type") {
            part.kind = value.trim();
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            let is_plain =
                ["7bit", "8bit", "binary"].iter().any(|it| value.trim().eq_ignore_ascii_case(it));
            part.is_encoded |= !is_plain;
        }
    }
    if is_named { Ok(part) } else { Err(Fault::Form("has a part without a name")) }
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let found = parameter(content_type, "boundary").ok()??;
    (1..=70).contains(&found.len()).then(|| found.into_owned())
}

/// A parameter of a field's value (RFC 9110 section 5.6.6), which may be there once.
fn parameter<'a>(value: &'a str, wanted: &str) -> Result<Option<Cow<'a, str>>, Fault> {
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    let mut found = None;
    while !rest.trim().is_empty() {
        let Some((name, behind)) = rest.split_once('=') else { break };
        let (text, left) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let (text, left) =
                    unquoted(quoted).ok_or(Fault::Form("has a text without an end"))?;
                (text, left.trim_start())
            }
            None => {
                let end = behind.find(';').unwrap_or(behind.len());
                (Cow::Borrowed(behind[..end].trim()), &behind[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) && found.replace(text).is_some() {
            return Err(Fault::Form("has a parameter twice"));
        }
        rest = match left.strip_prefix(';') {
            Some(rest) => rest,
            None if left.is_empty() => "",
            None => return Err(Fault::Form("has a line that is no field")),
        };
    }
    Ok(found)
}

/// A text up to its quote, and what is behind it.
fn unquoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let (mut out, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((Cow::Owned(out), &text[at + 1..])),
            '\\' => out.push(letters.next()?.1),
            letter => out.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{read, with_field};
    use crate::protocol::Call;
    use crate::request::{Fault, Request};

    const TYPE: &str = "multipart/form-data; boundary=\"a b\"";

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (head, value) in parts {
            body.extend_from_slice(b"--a b\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--a b--\r\n");
        body
    }

    fn named(name: &str) -> String {
        format!("Content-Disposition: form-data; name=\"{name}\"")
    }

    fn read_one(body: &[u8]) -> Result<Request, Fault> {
        read(&Call::of_path("/v1/audio/transcriptions").expect("a call"), body, TYPE)
    }

    #[test]
    fn the_model_is_read_and_replaced_and_nothing_else() {
        let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a\\\"; name=\\\"model.mp3\"\r\nContent-Type: audio/mpeg";
        let bytes: Vec<u8> = (0..=255).chain(*b"\r\n--a  b\r\n--a").collect();
        let body = form(&[
            (file, &bytes),
            (&named("model"), b"whisper"),
            (&named("stream"), b"true"),
            (&named("prompt"), b""),
        ]);
        let request = read_one(&body).expect("a form");
        assert_eq!(
            (request.model.as_deref(), request.stream, request.n),
            (Some("whisper"), true, 1)
        );
        assert!(request.size.audio > 250);
        let changed = with_field(&body, TYPE, "model", "other-model").expect("another");
        let expected = form(&[
            (file, &bytes),
            (&named("model"), b"other-model"),
            (&named("stream"), b"true"),
            (&named("prompt"), b""),
        ]);
        assert_eq!(changed, expected);
        assert_eq!(with_field(&body, TYPE, "model", "whisper"), None);
        // What is before the first boundary is not a part.
        let body = [b"preamble\r\n", &body[..]].concat();
        assert_eq!(read_one(&body).expect("a form").model.as_deref(), Some("whisper"));
    }

    #[test]
    fn what_could_be_read_otherwise_is_refused() {
        let model = named("model");
        let encoded = format!("{model}\r\nContent-Transfer-Encoding: base64");
        let as_file = format!("{model}; filename=\"a\"");
        let twice = format!("{model}; name=\"other\"");
        for parts in [
            vec![(&*model, &b"a"[..]), (&*model, b"b")],
            vec![("content-disposition: form-data; name=MODEL", b"a")],
            vec![(&*encoded, b"a")],
            vec![(&*as_file, b"a")],
            vec![(&*twice, b"a")],
            vec![("Content-Type: text/plain", b"a")],
            vec![("Content-Disposition: form-data; name*=utf-8''model; name=\"x\"", b"a")],
        ] {
            assert!(read_one(&form(&parts)).is_err(), "{parts:?}");
        }
        let body = form(&[(&*model, b"a")]);
        for end in 0..body.len() - 4 {
            assert!(read_one(&body[..end]).is_err(), "{end}");
        }
        let lines = String::from_utf8(body).expect("text").replace("\r\n", "\n");
        assert!(read_one(lines.as_bytes()).is_err());
        let no_boundary = Call::of_path("/v1/images/edits").expect("a call");
        assert!(read(&no_boundary, b"", "multipart/form-data").is_err());
    }
}
