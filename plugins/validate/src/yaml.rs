//! YAML (1.2, core schema) as JSON.
//!
//! Owns which of YAML there is: one document whose keys are texts, with the types of JSON. What could be read in two ways
//! is refused: keys that come twice, tags of other kinds, merge keys. What aliases repeat is bounded, and nothing is read
//! for which there is no memory: a text of a kilobyte can stand for a billion values.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::json::{Json, MAX_DEPTH};
use crate::memory::Room;

/// Values of a document, at most, with what aliases repeat.
const MOST_VALUES: usize = 500_000;

/// Values that aliases repeat, at most: documents that people write repeat some hundreds.
const MOST_REPEATED: usize = 100_000;

/// What is wrong with a text, and in which line and column, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) message: String,
}

/// A list or a table that is not at its end yet.
enum Open {
    List(Vec<Json>),
    /// With the key whose value comes next.
    Table(BTreeMap<String, Json>, Option<String>),
}

struct Reader {
    open: Vec<(Open, Mark)>,
    /// What stands at each anchor, and how large that is.
    anchors: BTreeMap<usize, (Json, Size)>,
    values: usize,
    repeated: usize,
    room: Room,
    whole: Option<Json>,
}

/// How large something is.
#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    /// In memory.
    bytes: usize,
}

/// The anchor of a value, if it has one, and what was read before it.
#[derive(Clone, Copy)]
struct Mark {
    anchor: usize,
    before: Size,
}

/// Reads a text.
pub(crate) fn parse(text: &str) -> Result<Json, Malformed> {
    parse_within(text, Room::default())
}

fn parse_within(text: &str, room: Room) -> Result<Json, Malformed> {
    let (open, anchors) = Default::default();
    let mut reader = Reader { open, anchors, values: 0, repeated: 0, room, whole: None };
    let at = |mark: &Marker, message: String| Malformed {
        line: mark.line(),
        column: mark.col() + 1,
        message,
    };
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = event.map_err(|error| at(error.marker(), error.info().to_owned()))?;
        reader.take(event).map_err(|message| at(&span.start, message))?;
    }
    let empty = || Malformed { line: 1, column: 1, message: "there is nothing".to_owned() };
    reader.whole.ok_or_else(empty)
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.whole.is_some() => {
                Err("there is a second document".to_owned())
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor);
                let (_, size) = *known.ok_or("the alias leads to what it is part of")?;
                if self.awaits_key() {
                    return Err("a key is a text, and no alias".to_owned());
                }
                let mark = self.mark(0);
                self.repeat(size)?;
                let value = self.anchors.get(&anchor).map(|(value, _)| value.clone());
                self.put(value.unwrap_or(Json::Null), mark)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let mark = self.mark(anchor);
                if self.awaits_key() {
                    return self.key(&text, tag.is_some() || anchor > 0);
                }
                self.count(1, Json::PLACE + text.len())?;
                self.put(scalar(&text, style, tag.as_deref())?, mark)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(Open::List(Vec::new()), anchor, tag.as_deref(), "seq")
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(Open::Table(BTreeMap::new(), None), anchor, tag.as_deref(), "map")
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(items), mark)) => self.put(Json::Array(items), mark),
                Some((Open::Table(members, _), mark)) => self.put(Json::Object(members), mark),
                None => Ok(()),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn mark(&self, anchor: usize) -> Mark {
        Mark { anchor, before: Size { values: self.values, bytes: self.room.taken() } }
    }

    /// So much is about to be read.
    fn count(&mut self, values: usize, bytes: usize) -> Result<(), String> {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(format!("there are more than {MOST_VALUES} values"));
        }
        if self.room.take(bytes) {
            return Ok(());
        }
        Err(format!(
            "the plugin's memory (`limits.memory`) has no room for more: {} values up to here, {} of which \
             aliases and anchors repeat",
            self.values, self.repeated
        ))
    }

    /// So much is about to be there once more.
    fn repeat(&mut self, size: Size) -> Result<(), String> {
        self.repeated += size.values;
        if self.repeated > MOST_REPEATED {
            return Err(format!("aliases and anchors repeat more than {MOST_REPEATED} values"));
        }
        self.count(size.values, size.bytes)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some((Open::Table(_, None), _)))
    }

    fn key(&mut self, text: &str, is_special: bool) -> Result<(), String> {
        let Some((Open::Table(members, key), _)) = self.open.last_mut() else { return Ok(()) };
        if is_special {
            return Err("a key has neither a tag nor an anchor here".to_owned());
        }
        if text == "<<" {
            return Err("merge keys (`<<`) are not of YAML 1.2, and are not read".to_owned());
        }
        if members.contains_key(text) {
            return Err(format!("the key `{text}` is there twice"));
        }
        *key = Some(text.to_owned());
        self.count(0, text.len())
    }

    fn begin(
        &mut self,
        open: Open,
        anchor: usize,
        tag: Option<&Tag>,
        name: &str,
    ) -> Result<(), String> {
        if self.awaits_key() {
            return Err("a key is a text, and no list or table".to_owned());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err("lists and tables lie too deep in each other".to_owned());
        }
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == name)
        {
            return Err(unknown(tag));
        }
        let mark = self.mark(anchor);
        let table = if matches!(open, Open::Table(..)) { Json::TABLE } else { 0 };
        self.count(1, Json::PLACE + table)?;
        self.open.push((open, mark));
        Ok(())
    }

    fn put(&mut self, value: Json, mark: Mark) -> Result<(), String> {
        if mark.anchor > 0 {
            let size = Size {
                values: self.values - mark.before.values,
                bytes: self.room.taken() - mark.before.bytes,
            };
            // It is kept for its aliases.
            self.repeat(size)?;
            self.anchors.insert(mark.anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.whole = Some(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Table(members, key), _)) => {
                let key = key.take().ok_or("there is no key here")?;
                members.insert(key, value);
            }
        }
        Ok(())
    }
}

fn unknown(tag: &Tag) -> String {
    format!("the tag `{}{}` is not of the core schema", tag.handle, tag.suffix)
}

/// The value of a scalar (YAML 1.2.2 section 10.3.2).
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Json, String> {
    let Some(tag) = tag else {
        let is_plain = style == ScalarStyle::Plain;
        return if is_plain { plain(text) } else { Ok(Json::Text(text.to_owned())) };
    };
    // `!` alone: a text.
    let name = match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
        (true, name) => name,
        (false, "" | "!") => "str",
        (false, _) => return Err(unknown(tag)),
    };
    let value = if name == "str" { Json::Text(text.to_owned()) } else { plain(text)? };
    let fits = matches!(
        (name, &value),
        ("str", _)
            | ("null", Json::Null)
            | ("bool", Json::Bool(_))
            | ("int" | "float", Json::Number(_))
    );
    if fits { Ok(value) } else { Err(format!("`{text}` is not what its tag `!!{name}` says")) }
}

fn plain(text: &str) -> Result<Json, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Json::Null),
        "true" | "True" | "TRUE" => return Ok(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Json::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!("`{text}` is no number that JSON has; as a text it stands in quotes"));
    }
    let other = [("0x", 16), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| u64::from_str_radix(text.strip_prefix(prefix)?, radix).ok());
    let number = other.map(|number| number.to_string()).or_else(|| decimal(text, unsigned));
    let number = number.and_then(|number| Json::parse(number.as_bytes()).ok());
    Ok(number.unwrap_or_else(|| Json::Text(text.to_owned())))
}

/// A number as JSON writes it; `None` if it is none.
fn decimal(text: &str, unsigned: &str) -> Option<String> {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], &unsigned[at..]),
        None => (unsigned, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(yaml: &str, json: &str) {
        assert_eq!(parse(yaml), Ok(Json::parse(json.as_bytes()).expect(json)), "{yaml}");
    }

    fn refused(yaml: &str) -> Malformed {
        parse(yaml).expect_err(yaml)
    }

    #[test]
    fn reads_the_core_schema() {
        same(
            "a: 1\nb: [true, ~, 'x', \"y\\u00e9\", .5, -007, +1e3, 0x1F, 0o17, 1.50, 5.]\nc:\n  - d: |\n      l\n    e: >-\n      m\n      n\n  -\n",
            r#"{"a":1,"b":[true,null,"x","yé",0.5,-7,1e3,31,15,1.50,5],"c":[{"d":"l\n","e":"m n"},null]}"#,
        );
        // What YAML 1.1 had as truth, sexagesimal numbers and dates are texts.
        same(
            "[yes, no, on, 1:20, 2001-01-01, 3.0.3, 1_000, '1', 0x]",
            r#"["yes","no","on","1:20","2001-01-01","3.0.3","1_000","1","0x"]"#,
        );
        same("200: {true: !!str 1, n: !!int 7, f: ! 8}", r#"{"200":{"true":"1","n":7,"f":"8"}}"#);
        same("12345678901234567890.123456789", "12345678901234567890.123456789");
        same("\u{feff}--- # a comment\n{a: [], b: {}}\n...\n", r#"{"a":[],"b":{}}"#);
        same(
            "a: &x {b: 1}\nc: *x\nd: [*x, &y z, *y]",
            r#"{"a":{"b":1},"c":{"b":1},"d":[{"b":1},"z","z"]}"#,
        );
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for (yaml, reason, place) in [
            ("a: 1\nb: 2\na: 3", "`a` is there twice", (3, 1)),
            ("a:\n  <<: {b: 1}", "merge keys", (2, 3)),
            ("? [1]\n: 2", "a key is a text", (1, 3)),
            ("a: !x 1", "the tag", (1, 4)),
            ("a: !!int x", "is not what its tag", (1, 4)),
            ("a: .inf", "no number that JSON has", (1, 4)),
            ("--- 1\n--- 2", "a second document", (2, 1)),
            ("a: &x [*x]", "it is part of", (1, 8)),
        ] {
            let found = refused(yaml);
            assert!(found.message.contains(reason), "{yaml}: {found:?}");
            assert_eq!((found.line, found.column), place, "{yaml}: {found:?}");
        }
        for broken in ["a: [1", "a: 'x", "a: b: c", "*x"] {
            refused(broken);
        }
        assert_eq!(refused("").message, "there is nothing");
    }

    #[test]
    fn bounds_depth_and_what_aliases_repeat() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&deep(96)).is_ok());
        assert!(refused(&deep(97)).message.contains("too deep"));
        refused(&"[".repeat(100_000));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let item = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [item.as_str(); 9].join(", ")));
        }
        let reason = "aliases and anchors repeat more than 100000 values";
        assert!(refused(&bomb).message.contains(reason));
        // Each anchor keeps all that is in it, without any alias.
        let anchored: String = (0..90).map(|level| format!("&a{level} [")).collect();
        let items = vec!["x"; 2_000].join(", ");
        let nested = format!("{anchored}{items}{}", "]".repeat(90));
        assert!(refused(&nested).message.contains(reason));
        let many = format!("[{}]", vec!["x"; 500_000].join(", "));
        assert!(refused(&many).message.contains("more than 500000 values"));
    }

    #[test]
    fn reads_no_more_than_there_is_memory_for() {
        let items = |count: usize| format!("a: [{}]", vec!["x"; count].join(", "));
        let within = |yaml: &str| parse_within(yaml, Room::by(|bytes| bytes < 200 << 10));
        assert!(within(&items(1_000)).is_ok(), "what was asked for is there");
        let long = format!("a: {}", "x".repeat(150 << 10));
        let found = within(&long).expect_err("150 KiB, and as much again to go on");
        assert_eq!((found.line, found.column), (1, 4));
        assert!(found.message.contains("no room for more: 2 values"), "{found:?}");
        let repeated = format!("a: &a [{}]\nb: *a", vec!["x"; 5_000].join(", "));
        let found = within(&repeated).expect_err("copies");
        assert!(found.message.contains("(`limits.memory`)"), "{found:?}");
    }
}
