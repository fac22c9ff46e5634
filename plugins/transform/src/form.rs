//! Forms (`application/x-www-form-urlencoded`, WHATWG URL section 5.1) as JSON, and JSON as forms.
//!
//! Owns what becomes of names that are there more than once, and of values that a form cannot hold. Must
//! not know of heads.

use std::fmt::Write as _;

use encoding_rs::{UTF_16BE, UTF_16LE};

use crate::charset::Charset;
use crate::encode;
use crate::json::document::{members, quoted};
use crate::memory::Parts;

/// What a value takes in memory at most, besides its text: a name, a place in order, a list.
const PART: usize = 320;

/// The media type of forms.
pub(crate) const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// What becomes of a name that is in a form more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// An array of its values.
    List,
    First,
    Last,
}

/// An object with a string for each name, in the order in which names come first.
pub(crate) fn to_json(form: &[u8], repeated: Repeated, charset: Charset) -> Result<String, String> {
    if [UTF_16LE, UTF_16BE].contains(&charset) {
        return Err("a form cannot be UTF-16".to_owned());
    }
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    let mut parts = Parts::of(PART);
    for pair in form.trim_ascii().split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        parts.add()?;
        let middle = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = middle.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
        let (name, value) = (decoded(name, charset)?, decoded(value, charset)?);
        let place = *places.entry(name.clone()).or_insert(names.len());
        match names.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => names.push((name, vec![value])),
        }
    }
    let mut out = String::with_capacity(form.len() + 16);
    out.push('{');
    for (position, (name, values)) in names.iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        let value = match (values.as_slice(), repeated) {
            ([one], _) | ([one, ..], Repeated::First) | ([.., one], Repeated::Last) => quoted(one),
            (several, _) => {
                let several: Vec<_> = several.iter().map(|value| quoted(value)).collect();
                format!("[{}]", several.join(","))
            }
        };
        write!(out, "{comma}{}:{value}", quoted(name)).expect("a string takes everything");
    }
    out.push('}');
    Ok(out)
}

/// A form with the members of an object. An array is its name for each element; `null` is left out.
pub(crate) fn from_json(json: &[u8]) -> Result<String, String> {
    let mut out = String::with_capacity(json.len());
    let top = members(json)?.ok_or("only an object can become a form")?;
    for (name, value) in top {
        match elements(value) {
            Some(elements) => {
                for element in elements {
                    add(&mut out, &name, element.get())?;
                }
            }
            None => add(&mut out, &name, value.get())?,
        }
    }
    Ok(out)
}

fn add(out: &mut String, name: &str, value: &str) -> Result<(), String> {
    let text;
    let value = match value.as_bytes().first() {
        Some(b'n') => return Ok(()),
        Some(b'{' | b'[') => {
            return Err(format!("`{name}` holds a list or an object, which a form cannot"));
        }
        Some(b'"') => {
            text = serde_json::from_str::<String>(value).map_err(|error| error.to_string())?;
            &text
        }
        _ => value,
    };
    let and = if out.is_empty() { "" } else { "&" };
    let (name, value) = (encode::query_component(name), encode::query_component(value));
    write!(out, "{and}{name}={value}").expect("a string takes everything");
    Ok(())
}

fn elements(value: &serde_json::value::RawValue) -> Option<Vec<&serde_json::value::RawValue>> {
    value.get().starts_with('[').then(|| serde_json::from_str(value.get()).ok())?
}

/// A name or a value in plain text.
fn decoded(text: &[u8], charset: Charset) -> Result<String, String> {
    let spaced: Vec<_> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Vec<_> = percent_encoding::percent_decode(&spaced).collect();
    charset
        .decode_without_bom_handling_and_without_replacement(&bytes)
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| format!("the form is not {}", charset.name()))
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, UTF_8, WINDOWS_1252};

    use super::*;

    #[test]
    fn a_form_becomes_an_object_in_the_order_of_its_names() {
        let form = b"z=1&tag=a+b&x=%22%C3%A9%0A&tag=c%2Bd&&empty=&bare&=n\r\n";
        for (repeated, tag) in [
            (Repeated::List, r#"["a b","c+d"]"#),
            (Repeated::First, r#""a b""#),
            (Repeated::Last, r#""c+d""#),
        ] {
            assert_eq!(
                to_json(form, repeated, UTF_8).unwrap(),
                format!(r#"{{"z":"1","tag":{tag},"x":"\"é\n","empty":"","bare":"","":"n"}}"#)
            );
        }
        assert_eq!(to_json(b"", Repeated::List, UTF_8).unwrap(), "{}");
        assert!(to_json(b"a=%FF", Repeated::List, UTF_8).is_err());
        assert!(to_json(b"a=\xFF", Repeated::List, UTF_8).is_err());
    }

    #[test]
    fn a_form_of_another_charset_is_read() {
        for (charset, form, json) in [
            (WINDOWS_1252, &b"n=caf%E9+cr\xe8me&%80=1"[..], r#"{"n":"café crème","€":"1"}"#),
            (SHIFT_JIS, b"k=%83J%83t%83F", r#"{"k":"カフェ"}"#),
        ] {
            assert_eq!(to_json(form, Repeated::List, charset).unwrap(), json);
        }
        assert!(to_json(b"a=%83", Repeated::List, SHIFT_JIS).is_err());
        assert!(to_json(b"a\0=\0b\0", Repeated::List, UTF_16LE).is_err());
    }

    #[test]
    fn an_object_becomes_a_form_and_keeps_its_numbers() {
        let json = br#"{"b":1.50,"a":["x y",true,null,1e400],"n":null,"s":"\u00e9&=","e":[]}"#;
        assert_eq!(from_json(json).unwrap(), "b=1.50&a=x%20y&a=true&a=1e400&s=%C3%A9%26%3D");
        for json in ["1", "[]", r#"{"a":{}}"#, r#"{"a":[[]]}"#, r#"{"a":"\ud800"}"#, "{"] {
            assert!(from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_text_comes_back_as_it_was() {
        for seed in 0..500_u64 {
            let mut state = seed;
            let mut next = |bound: usize| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(state >> 33).unwrap() % bound
            };
            let mut text = || -> String {
                (0..next(6))
                    .map(|_| ['a', '&', '=', '+', '%', 'é', '"', '\\', '\n', ' '][next(10)])
                    .collect()
            };
            let object: serde_json::Map<_, _> =
                (0..4).map(|_| (text(), serde_json::Value::from(text()))).collect();
            let json = serde_json::to_string(&object).unwrap();
            let form = from_json(json.as_bytes()).unwrap();
            assert!(form.is_ascii(), "{form}");
            let back = to_json(form.as_bytes(), Repeated::List, UTF_8).unwrap();
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&back).unwrap(),
                serde_json::Value::from(object)
            );
        }
    }
}
