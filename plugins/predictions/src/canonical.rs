//! One form for all texts that are the same JSON.
//!
//! As RFC 8785 has it: members in order, no white space, each string written in one way. Numbers are told apart by their
//! exact value, which is stricter: `1`, `1.0` and `1e0` are the same, and two integers that a float would round to one
//! are not. What readers may take for different things has no form: a member that is there twice, half of a surrogate
//! pair.

use std::collections::BTreeMap;

use gateway_model_protocols::json::{Raw, Writer};

/// Which members count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All but these, as JSON Pointers.
    AllBut(Vec<String>),
    /// These alone.
    Only(Vec<String>),
}

/// Why a text has no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not JSON.
    Json,
    /// A member is there twice.
    Twice,
    /// A string has half of a surrogate pair.
    Surrogate,
}

/// The form of a body, as far as it counts.
pub(crate) fn form(body: &[u8], choice: &Choice) -> Result<String, Fault> {
    form_without(body, choice, "")
}

/// The form of a body in which something else may stand at one place, a JSON Pointer.
pub(crate) fn form_without(body: &[u8], choice: &Choice, hole: &str) -> Result<String, Fault> {
    let root = Raw::parse(body).map_err(|_| Fault::Json)?;
    let mut writer = Writer::new();
    write(&mut writer, root, &mut String::new(), (choice, hole))?;
    Ok(writer.out)
}

/// Whether this is a JSON Pointer (RFC 6901) to something in a document.
pub(crate) fn is_pointer(text: &str) -> bool {
    let mut parts = text.split('~');
    text.starts_with('/')
        && parts.next().is_some()
        && parts.all(|part| part.starts_with(['0', '1']))
}

impl Choice {
    /// Whether what stands at a place counts, or something in it does.
    fn counts(&self, place: &str) -> bool {
        let is_in = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self {
            Choice::AllBut(pointers) => !pointers.iter().any(|pointer| pointer == place),
            Choice::Only(pointers) => {
                pointers.iter().any(|pointer| is_in(pointer, place) || is_in(place, pointer))
            }
        }
    }
}

fn write(
    writer: &mut Writer,
    value: Raw<'_>,
    place: &mut String,
    what: (&Choice, &str),
) -> Result<(), Fault> {
    let (choice, hole) = what;
    let above = place.len();
    if !hole.is_empty() && place.as_str() == hole {
        // No JSON has this as a value.
        writer.raw("?");
    } else if value.is_object() {
        let mut members = BTreeMap::new();
        for (key, value) in value.members() {
            let name = text(key)?;
            if members.insert(name.encode_utf16().collect::<Vec<_>>(), (name, value)).is_some() {
                return Err(Fault::Twice);
            }
        }
        writer.open('{');
        for (name, value) in members.into_values() {
            place.push('/');
            place.push_str(&name.replace('~', "~0").replace('/', "~1"));
            if choice.counts(place) {
                writer.key(&name);
                write(writer, value, place, what)?;
            } else {
                // It does not count, and must be readable all the same.
                write(&mut Writer::new(), value, place, what)?;
            }
            place.truncate(above);
        }
        writer.close('}');
    } else if value.is_array() {
        writer.open('[');
        for (index, element) in value.elements().enumerate() {
            place.push('/');
            place.push_str(&index.to_string());
            if choice.counts(place) {
                write(writer, element, place, what)?;
            }
            place.truncate(above);
        }
        writer.close(']');
    } else if value.is_string() {
        writer.str(&text(value)?);
    } else if value.is_null() || value.bool().is_some() {
        writer.raw(value.text());
    } else {
        writer.raw(&number(value.text()));
    }
    Ok(())
}

/// The text of a string.
fn text(value: Raw<'_>) -> Result<String, Fault> {
    let escaped = value.escaped().unwrap_or_default();
    if has_half_of_a_pair(escaped) {
        return Err(Fault::Surrogate);
    }
    Ok(value.str().unwrap_or_default().into_owned())
}

fn has_half_of_a_pair(escaped: &str) -> bool {
    let (mut rest, mut is_high) = (escaped, false);
    while let Some(at) = rest.find('\\') {
        if is_high && at > 0 {
            return true;
        }
        let escape = &rest[at + 1..];
        let code = escape.strip_prefix('u').and_then(|digits| digits.get(..4));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let is_low = code.is_some_and(|code| (0xdc00..0xe000).contains(&code));
        if is_high != is_low {
            return true;
        }
        is_high = code.is_some_and(|code| (0xd800..0xdc00).contains(&code));
        rest = if code.is_some() { &escape[5..] } else { escape.get(1..).unwrap_or_default() };
    }
    is_high
}

/// A number by its exact value: its digits without zeros at either end, and a power of ten.
fn number(text: &str) -> String {
    let (sign, plain) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((plain, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return "0".to_owned();
    }
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let zeros = i64::try_from(digits.len() - kept.len()).unwrap_or(i64::MAX);
    match exponent.parse::<i64>() {
        Ok(exponent) if exponent.abs() < 1 << 60 => {
            format!("{sign}{kept}e{}", exponent - places + zeros)
        }
        // No number that anything can hold: only the same text is the same.
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, Fault> {
        form(text.as_bytes(), &Choice::AllBut(Vec::new()))
    }

    fn same(one: &str, other: &str) -> bool {
        of(one).unwrap() == of(other).unwrap()
    }

    #[test]
    fn the_same_json_has_one_form() {
        assert!(same(r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true , null ],\n\"a\":1.0 }"));
        assert!(same(r#""\u00e9\/\u000a\ud83d\ude00""#, "\"é/\\n😀\""));
        for text in ["1", "1.0", "1e0", "10e-1", "0.1e1", "1.000", "1E+0"] {
            assert!(same(text, "1"), "{text}");
        }
        assert!(same("-0", "0.0e9"));
        assert!(same("100", "1e2"));
    }

    #[test]
    fn what_is_different_stays_different() {
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("9007199254740993", "9007199254740992.0"),
            ("0.1", "0.10000000000000001"),
            ("1", "-1"),
            ("1", "\"1\""),
            ("1e400", "1e401"),
            ("[1,2]", "[2,1]"),
            ("[]", "{}"),
            ("null", "{}"),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":"é"}"#, "{\"a\":\"e\u{301}\"}"),
            (r#""\\u0041""#, r#""\u0041""#),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_readers_may_take_for_different_things_has_no_form() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":1,"a":2}}]"#] {
            assert_eq!(of(text), Err(Fault::Twice), "{text}");
        }
        for text in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud83dx\ude00""#,
            r#"{"\ud83d":1}"#,
        ] {
            assert_eq!(of(text), Err(Fault::Surrogate), "{text}");
        }
        assert_eq!(of("{"), Err(Fault::Json));
        let ignored = Choice::AllBut(vec!["/user".into()]);
        assert_eq!(form(br#"{"user":{"a":1,"a":2}}"#, &ignored), Err(Fault::Twice));
    }

    #[test]
    fn members_are_chosen_by_pointers() {
        let chosen = |choice: Choice| form(br#"{"a":{"b":1,"c":[1,2]},"d/e":3}"#, &choice).unwrap();
        let but = |pointers: &[&str]| {
            chosen(Choice::AllBut(pointers.iter().map(|it| (*it).to_owned()).collect()))
        };
        let only = |pointers: &[&str]| {
            chosen(Choice::Only(pointers.iter().map(|it| (*it).to_owned()).collect()))
        };
        assert_eq!(but(&["/a/b", "/d~1e"]), r#"{"a":{"c":[1e0,2e0]}}"#);
        assert_eq!(only(&["/a/c/1"]), r#"{"a":{"c":[2e0]}}"#);
        assert_eq!(only(&["/a"]), r#"{"a":{"b":1e0,"c":[1e0,2e0]}}"#);
        let all = Choice::AllBut(Vec::new());
        let holed = form_without(br#"{"a":{"b":1,"c":["?",2]}}"#, &all, "/a/c/0").unwrap();
        assert_eq!(holed, r#"{"a":{"b":1e0,"c":[?,2e0]}}"#);
        assert!(is_pointer("/a~1b") && !is_pointer("a") && !is_pointer("") && !is_pointer("/a~2"));
    }
}
