//! XML documents (XML 1.0) as JSON.
//!
//! Owns the convention by which elements, attributes and text become members, and the bounds of what is read. Document
//! types are refused, so that there are no entities but the five that XML has and characters by number: nothing is
//! fetched and nothing grows. Must not know of heads.

use std::borrow::Cow;
use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::XmlVersion::Implicit1_0;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::charset::{self, Charset};
use crate::json::document::quoted;
use crate::memory::{self, Parts};

/// Elements in one another, at most.
const DEEPEST: usize = 64;

/// Attributes of an element, at most: each is compared with those before it.
const MOST_ATTRIBUTES: usize = 256;

/// What an element or an attribute takes in memory at most, besides its text: members, their names, a place in order.
const PART: usize = 256;

/// How a document is read.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Names of elements that are lists even where there is one.
    pub(crate) lists: Vec<String>,
    /// Whether text that is a JSON number becomes one.
    pub(crate) numbers: bool,
    /// Whether names lose their prefixes, and declarations of namespaces are left out.
    pub(crate) drops_prefixes: bool,
}

/// An element that is not at its end yet.
#[derive(Default)]
struct Open {
    name: String,
    /// Members in the order in which their names come first, with their values as JSON.
    members: Vec<(String, Vec<String>)>,
    places: BTreeMap<String, usize>,
    text: String,
}

/// An object with the root element as its only member.
pub(crate) fn to_json(
    document: &[u8],
    options: &Options,
    declared: Option<Charset>,
) -> Result<String, String> {
    // A text of another charset takes memory of its own, of up to three bytes for each of its own.
    if !memory::has_room(document.len().saturating_mul(3)) {
        return Err("the plugin's memory (`limits.memory`) has no room for the document".to_owned());
    }
    let document = &*charset::decode_xml(document, declared)?;
    if let Some(other) = document.chars().find(|c| !is_xml(*c)) {
        return Err(format!("U+{:04X} cannot be in an XML document", u32::from(other)));
    }
    // A text is written into each of the elements that it is in, and what was there is let go.
    if !memory::has_room(document.len().saturating_mul(3)) {
        return Err("the plugin's memory (`limits.memory`) has no room for the document".to_owned());
    }
    let mut parts = Parts::of(PART);
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Open> = vec![Open::default()];
    loop {
        let at = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|error| format!("{error} (at byte {})", reader.error_position()))?;
        if matches!(event, Event::Eof) {
            break;
        }
        take(event, &mut open, &mut parts, options)
            .map_err(|reason| format!("{reason} (at byte {at})"))?;
    }
    match (open.pop(), open.pop()) {
        (Some(top), None) if top.members.is_empty() => Err("there is no element".to_owned()),
        (Some(top), None) => Ok(top.into_json(options)),
        (Some(inner), _) => Err(format!("the document ends inside of `{}`", inner.name)),
        (None, _) => Err("there is no element".to_owned()),
    }
}

fn take(
    event: Event<'_>,
    open: &mut Vec<Open>,
    parts: &mut Parts,
    options: &Options,
) -> Result<(), String> {
    let depth = open.len();
    let Some(inner) = open.last_mut() else { return Err("there is no element".to_owned()) };
    match event {
        Event::Start(_) if depth > DEEPEST => {
            return Err(format!("elements are more than {DEEPEST} deep"));
        }
        Event::Start(_) if depth == 1 && !inner.members.is_empty() => {
            return Err("there is more than one element at the top".to_owned());
        }
        Event::Start(start) => {
            parts.add()?;
            open.push(Open::new(&start, parts, options)?);
        }
        Event::End(_) => {
            let element = open.pop().filter(|_| depth > 1).ok_or("no element begins here")?;
            let name = element.name.clone();
            let value = element.into_json(options);
            open.last_mut().ok_or("no element begins here")?.add(name, value);
        }
        Event::Text(text) => inner.push(&text.xml10_content(), depth)?,
        Event::CData(text) => inner.push(&text.xml10_content(), depth)?,
        Event::GeneralRef(name) => match name.resolve_char_ref().map_err(|e| e.to_string())? {
            Some(character) if is_xml(character) => {
                inner.push(character.encode_utf8(&mut [0; 4]), depth)?
            }
            Some(_) => return Err(format!("`&{};` cannot be in an XML document", &*name)),
            None => inner
                .push(resolve_predefined_entity(&name).ok_or_else(|| unknown(&name))?, depth)?,
        },
        Event::DocType(_) => return Err("a document type is not read".to_owned()),
        Event::Decl(_) | Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::Eof => {}
    }
    Ok(())
}

fn unknown(name: &str) -> String {
    format!("there is no entity `{name}`, since document types are not read")
}

/// What XML 1.0 section 2.2 allows.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

impl Options {
    fn name<'a>(&self, name: &'a str) -> &'a str {
        let local = || name.rsplit(':').next().unwrap_or(name);
        if self.drops_prefixes { local() } else { name }
    }

    fn value(&self, text: &str) -> String {
        let is_number = self.numbers
            && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        if is_number { text.to_owned() } else { quoted(text) }
    }
}

impl Open {
    fn new(start: &BytesStart<'_>, parts: &mut Parts, options: &Options) -> Result<Self, String> {
        let mut element = Self { name: options.name(start.name().0).to_owned(), ..Self::default() };
        for (index, attribute) in start.attributes().enumerate() {
            if index == MOST_ATTRIBUTES {
                return Err(format!("an element has more than {MOST_ATTRIBUTES} attributes"));
            }
            parts.add()?;
            let attribute = attribute.map_err(|error| error.to_string())?;
            let name = attribute.key.0;
            if options.drops_prefixes && (name == "xmlns" || name.starts_with("xmlns:")) {
                continue;
            }
            let value = attribute.normalized_value(Implicit1_0).map_err(|e| e.to_string())?;
            if !value.chars().all(is_xml) {
                return Err(format!("the attribute `{name}` has a character that XML has not"));
            }
            element.add(format!("@{}", options.name(name)), options.value(&value));
        }
        Ok(element)
    }

    fn push(&mut self, text: &str, depth: usize) -> Result<(), String> {
        if depth == 1 && !text.trim_ascii().is_empty() {
            return Err("there is text outside of the element at the top".to_owned());
        }
        self.text.push_str(text);
        Ok(())
    }

    fn add(&mut self, name: String, value: String) {
        let place = *self.places.entry(name.clone()).or_insert(self.members.len());
        match self.members.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => self.members.push((name, vec![value])),
        }
    }

    /// A text, or an object with the attributes, the elements and, if there is any, the text.
    fn into_json(self, options: &Options) -> String {
        let text = self.text.trim_ascii();
        if self.members.is_empty() {
            return options.value(text);
        }
        let mut out = String::from("{");
        let text = (!text.is_empty()).then(|| ("#text".to_owned(), vec![options.value(text)]));
        for (position, (name, values)) in self.members.iter().chain(&text).enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let is_list = values.len() > 1 || options.lists.contains(name);
            let value: Cow<'_, str> = match values.first() {
                Some(one) if !is_list => Cow::Borrowed(one),
                _ => Cow::Owned(format!("[{}]", values.join(","))),
            };
            out.extend([comma, &quoted(name), ":", &value]);
        }
        out.push('}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(xml: &str) -> Result<String, String> {
        to_json(xml.as_bytes(), &Options::default(), None)
    }

    #[test]
    fn elements_attributes_and_text_become_members_in_their_order() {
        for (xml, expected) in [
            ("<a/>", r#"{"a":""}"#),
            ("<a> x\n</a>", r#"{"a":"x"}"#),
            (
                "\u{feff}<?xml version='1.0' encoding='UTF-8'?><!-- c --><a>1.50</a>\n",
                r#"{"a":"1.50"}"#,
            ),
            (
                "<a k='v' l=\"&lt;&#x41;&#10;\">t</a>",
                r##"{"a":{"@k":"v","@l":"<A\n","#text":"t"}}"##,
            ),
            ("<a><b>1</b><c/><b>2</b></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
            ("<a>x<b/>y<![CDATA[<&]]>&amp;&#65;</a>", r##"{"a":{"b":"","#text":"xy<&&A"}}"##),
            (
                "<s:a xmlns:s='urn:x' s:k='1'><s:b/></s:a>",
                r#"{"s:a":{"@xmlns:s":"urn:x","@s:k":"1","s:b":""}}"#,
            ),
            ("<a>\"\\\r\né</a>", "{\"a\":\"\\\"\\\\\\né\"}"),
        ] {
            assert_eq!(json(xml).as_deref(), Ok(expected), "{xml}");
        }
    }

    #[test]
    fn lists_numbers_and_names_without_prefixes_are_had_where_they_are_asked_for() {
        let options = Options { lists: vec!["b".to_owned()], numbers: true, drops_prefixes: true };
        for (xml, expected) in [
            ("<a><b>1</b></a>", r#"{"a":{"b":[1]}}"#),
            (
                "<s:a xmlns='x' xmlns:s='y' s:k='007'><s:b>-1.50e3</s:b><b>1 </b></s:a>",
                r#"{"a":{"@k":"007","b":[-1.50e3,1]}}"#,
            ),
            ("<a>12345678901234567890.123</a>", r#"{"a":12345678901234567890.123}"#),
            ("<a>1 2</a>", r#"{"a":"1 2"}"#),
        ] {
            assert_eq!(to_json(xml.as_bytes(), &options, None).as_deref(), Ok(expected), "{xml}");
        }
    }

    #[test]
    fn what_is_no_document_or_has_a_document_type_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
        let wide: String = (0..257).map(|n| format!(" a{n}=''")).collect();
        let wide = format!("<a{wide}/>");
        for (xml, reason) in [
            ("", "there is no element"),
            ("text", "outside of the element"),
            ("<a>", "ends inside of `a`"),
            ("<a></b>", "expected `</a>`"),
            ("</a>", ""),
            ("<a/><b/>", "more than one element"),
            ("<a/>x", "outside of the element"),
            ("<a k='1' k='2'/>", "duplicated"),
            ("<a k=1/>", ""),
            ("<a>&x;</a>", "there is no entity `x`"),
            ("<a k='&x;'/>", ""),
            ("<a>&#0;</a>", ""),
            ("<a>&#1;</a>", "`&#1;` cannot be"),
            ("<a>\u{1}</a>", "U+0001"),
            ("<!DOCTYPE a><a/>", "a document type is not read"),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "a document type is not read"),
            ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "a document type is not read"),
            ("<?xml version='1.0' encoding='klingon'?><a/>", "the encoding `klingon`"),
            (&deep, "more than 64 deep"),
            (&wide, "more than 256 attributes"),
        ] {
            let refused = json(xml).expect_err(xml);
            assert!(refused.contains(reason), "{xml}: {refused}");
        }
        assert!(to_json(b"<a>\xff</a>", &Options::default(), None).is_err());
    }

    #[test]
    fn whatever_is_read_becomes_json() {
        const PARTS: [&str; 14] = [
            "<a>",
            "</a>",
            "<b x='1'>",
            "</b>",
            "<c/>",
            "t",
            "&amp;",
            "&#65;",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "\"",
            "<a y='&lt;",
        ];
        let mut state = 7_u64;
        let mut read = 0;
        for _ in 0..20_000 {
            let mut text = String::from("<a>");
            for _ in 0..(state >> 40) % 7 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(PARTS[usize::try_from(state >> 33).unwrap() % PARTS.len()]);
            }
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(3);
            text.push_str("</a>");
            if let Ok(json) = json(&text) {
                read += 1;
                let value: serde_json::Value = serde_json::from_str(&json).expect(&text);
                assert!(value.is_object());
                assert!(json.len() <= 2 * text.len() + 16, "{text}: {json}");
            }
        }
        assert!(read > 1_000, "{read}");
    }
}
