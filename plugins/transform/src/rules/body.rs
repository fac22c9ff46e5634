//! The checks of body rules: JSON edits, text replacements, events, media types.

use super::Check;
use crate::body::{BodyRules, Convert, Format};
use crate::config::{
    AcceptEncoding, ConvertSpec, EncodedPolicy, EventSpec, FormatName, JsonSpec, Policy,
    PrefixesName, RepeatedName, RequestSpec, ResponseSpec, TargetName, TextCharset, TextSpec,
    ValueType,
};
use crate::encode;
use crate::events::{EventRule, EventRules};
use crate::form::{self, Repeated};
use crate::json::edit::{self, Edit, Operation};
use crate::json::pointer::Pointer;
use crate::json::value::{ConfigValue, ValueTemplate};
use crate::media_type::Pattern;
use crate::size::Size;
use crate::template::Template;
use crate::text::Replacer;
use crate::xml;

const JSON_TYPES: [&str; 2] = ["application/json", "+json"];

const XML_TYPES: [&str; 3] = ["application/xml", "text/xml", "+xml"];

const TEXT_TYPES: [&str; 6] =
    ["text/*", "application/json", "+json", "application/xml", "+xml", "application/javascript"];

const EVENT_TYPES: [&str; 1] = ["text/event-stream"];

/// Bytes of an event by default, and at most: what is not complete is copied for each piece.
const EVENT: u64 = 256 << 10;
const LARGEST_EVENT: u64 = 512 << 10;

/// Bytes of one pattern, and of all, at most: looking for the beginning of a match at the end of
/// each chunk takes time by their product.
const LONGEST_PATTERN: usize = 1024;
const ALL_PATTERNS: usize = 16 * 1024;

/// The settings about bodies, which requests and responses share.
struct BodySpec<'c> {
    /// Such as `/request`, `/response/0`.
    pointer: &'c str,
    json: &'c [JsonSpec],
    text: &'c [TextSpec],
    json_types: Option<&'c [String]>,
    convert: Option<&'c ConvertSpec>,
    text_types: Option<&'c [String]>,
    text_charset: TextCharset,
    limit: Size,
    on_invalid_json: Policy,
    on_encoded_body: EncodedPolicy,
    events: &'c [EventSpec],
    event_types: Option<&'c [String]>,
    event_limit: Option<Size>,
}

impl Check {
    pub(super) fn request_body(&mut self, spec: &RequestSpec) -> Option<BodyRules> {
        self.body(&BodySpec {
            pointer: "/request",
            json: &spec.json,
            text: &spec.text,
            json_types: spec.json_types.as_deref(),
            convert: spec.convert.as_ref(),
            text_types: spec.text_types.as_deref(),
            text_charset: spec.text_charset,
            limit: spec.body_limit,
            on_invalid_json: spec.on_invalid_json,
            on_encoded_body: spec.on_encoded_body,
            events: &[],
            event_types: None,
            event_limit: None,
        })
    }

    pub(super) fn response_body(&mut self, at: &str, spec: &ResponseSpec) -> Option<BodyRules> {
        let rules = self.body(&BodySpec {
            pointer: at,
            json: &spec.json,
            text: &spec.text,
            json_types: spec.json_types.as_deref(),
            convert: spec.convert.as_ref(),
            text_types: spec.text_types.as_deref(),
            text_charset: spec.text_charset,
            limit: spec.body_limit,
            on_invalid_json: spec.on_invalid_json,
            on_encoded_body: spec.on_encoded_body,
            events: &spec.events,
            event_types: spec.event_types.as_deref(),
            event_limit: spec.event_limit,
        });
        if spec.accept_encoding == AcceptEncoding::Client {
            let problem = if rules.is_none() {
                "no body is changed here, so that upstreams are asked for what clients ask for anyway"
            } else if spec.on_encoded_body == EncodedPolicy::Reject {
                "the upstream would be asked for codings that are refused: set `on_encoded_body = \
                 \"decode\"`, too"
            } else if !spec.events.is_empty() && spec.on_encoded_body != EncodedPolicy::Pass {
                "the upstream would be asked for codings, and event streams that have one are refused"
            } else {
                return rules;
            };
            self.problem(format!("{at}/accept_encoding"), problem);
        }
        rules
    }

    fn body(&mut self, spec: &BodySpec<'_>) -> Option<BodyRules> {
        let pointer = spec.pointer;
        let json_types = format!("{pointer}/json_types");
        let convert = spec.convert.and_then(|it| self.convert(&format!("{pointer}/convert"), it));
        let default = match convert {
            Some(Convert { from: Format::Form, .. }) => &[form::MEDIA_TYPE][..],
            Some(Convert { from: Format::Xml, .. }) => &XML_TYPES,
            _ => &JSON_TYPES,
        };
        let json_types = self.types(&json_types, spec.json_types, default);
        let text_types = format!("{pointer}/text_types");
        let text_types = self.types(&text_types, spec.text_types, &TEXT_TYPES);
        let event_types = format!("{pointer}/event_types");
        let event_types = self.types(&event_types, spec.event_types, &EVENT_TYPES);
        let events = self.events(spec);
        let has_whole = !spec.json.is_empty() || spec.convert.is_some();
        let decodes_text = spec.text_charset == TextCharset::Decode;
        let has_none = !has_whole && spec.text.is_empty() && spec.events.is_empty();
        // What would do nothing is a rule that somebody believes in.
        for (setting, is_set, is_idle, rule) in [
            ("json_types", spec.json_types.is_some(), !has_whole, "`json`"),
            ("text_types", spec.text_types.is_some(), spec.text.is_empty(), "`text`"),
            ("text_charset", decodes_text, spec.text.is_empty(), "`text`"),
            ("event_types", spec.event_types.is_some(), spec.events.is_empty(), "`events`"),
            ("event_limit", spec.event_limit.is_some(), spec.events.is_empty(), "`events`"),
            (
                "on_encoded_body",
                spec.on_encoded_body != EncodedPolicy::Reject,
                has_none,
                "rule for bodies",
            ),
            (
                "on_invalid_json",
                spec.on_invalid_json != Policy::Reject,
                !has_whole && !decodes_text,
                "`json`",
            ),
        ] {
            if is_set && is_idle {
                let message = format!("there is no {rule} that it would be for");
                self.problem(format!("{pointer}/{setting}"), message);
            }
        }
        if has_none {
            return None;
        }
        let json = self.edits(&format!("{pointer}/json"), spec.json);
        let text = self.replacer(&format!("{pointer}/text"), spec.text);
        Some(BodyRules {
            references: references(&json, text.as_ref(), events.as_ref()),
            json,
            json_types,
            convert,
            events,
            event_types,
            text,
            text_types,
            decodes_text,
            limit: spec.limit.0,
            on_invalid_json: spec.on_invalid_json,
            on_encoded_body: spec.on_encoded_body,
        })
    }

    fn convert(&mut self, at: &str, spec: &ConvertSpec) -> Option<Convert> {
        if spec.from == FormatName::Json && spec.to == TargetName::Json {
            let message =
                "JSON becomes JSON: set `from = \"form\"`, `from = \"xml\"` or `to = \"form\"`";
            self.problem(at, message);
            return None;
        }
        let of_xml = [
            ("lists", !spec.lists.is_empty()),
            ("numbers", spec.numbers),
            ("prefixes", spec.prefixes == PrefixesName::Drop),
        ];
        for (setting, is_set) in of_xml {
            if is_set && spec.from != FormatName::Xml {
                self.problem(format!("{at}/{setting}"), "only for `from = \"xml\"`");
            }
        }
        let repeated = match spec.repeated.unwrap_or_default() {
            RepeatedName::List => Repeated::List,
            RepeatedName::First => Repeated::First,
            RepeatedName::Last => Repeated::Last,
        };
        if spec.repeated.is_some() && spec.from == FormatName::Xml {
            self.problem(format!("{at}/repeated"), "for forms: elements are lists, see `lists`");
        }
        Some(Convert {
            from: match spec.from {
                FormatName::Json => Format::Json,
                FormatName::Form => Format::Form,
                FormatName::Xml => Format::Xml,
            },
            to: match spec.to {
                TargetName::Json => Format::Json,
                TargetName::Form => Format::Form,
            },
            repeated,
            xml: xml::Options {
                lists: spec.lists.clone(),
                numbers: spec.numbers,
                drops_prefixes: spec.prefixes == PrefixesName::Drop,
            },
        })
    }

    fn events(&mut self, spec: &BodySpec<'_>) -> Option<EventRules> {
        let limit = spec.event_limit.map_or(EVENT, |limit| limit.0);
        if limit > LARGEST_EVENT {
            let pointer = format!("{}/event_limit", spec.pointer);
            self.problem(pointer, "an event may have 512 KiB at most");
        }
        let mut rules = Vec::new();
        for (index, event) in spec.events.iter().enumerate() {
            rules.push(self.event(&format!("{}/events/{index}", spec.pointer), event));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        (!rules.is_empty()).then_some(EventRules { rules, limit })
    }

    fn event(&mut self, at: &str, spec: &EventSpec) -> EventRule {
        let changes = !spec.json.is_empty() || !spec.text.is_empty() || spec.rename.is_some();
        if spec.drop && changes {
            self.problem(format!("{at}/drop"), "an event that is dropped cannot be changed, too");
        }
        if !spec.drop && !changes {
            self.problem(
                at,
                "nothing happens to these events: set `json`, `text`, `rename` or `drop`",
            );
        }
        for (index, kind) in spec.types.iter().flatten().enumerate() {
            if kind.is_empty() || !encode::is_field_value(kind) {
                let pointer = format!("{at}/types/{index}");
                self.problem(pointer, "the type of an event is not empty and has no line breaks");
            }
        }
        if spec.types.as_ref().is_some_and(Vec::is_empty) {
            self.problem(format!("{at}/types"), "the list is empty: this rule is for no event");
        }
        let rename = spec.rename.as_ref().and_then(|rename| {
            let pointer = format!("{at}/rename");
            if rename.is_empty() {
                self.problem(&pointer, "the type is empty");
            }
            let message = "the type of an event has no line breaks and no control characters";
            self.template_of(&pointer, rename, encode::is_field_value, message)
        });
        EventRule {
            kinds: spec.types.clone().unwrap_or_default(),
            drops: spec.drop,
            rename,
            json: self.edits(&format!("{at}/json"), &spec.json),
            text: self.replacer(&format!("{at}/text"), &spec.text),
        }
    }

    fn edits(&mut self, at: &str, specs: &[JsonSpec]) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            edits.extend(self.edit(&format!("{at}/{index}"), spec));
        }
        edits
    }

    fn types(&mut self, pointer: &str, types: Option<&[String]>, default: &[&str]) -> Vec<Pattern> {
        if types.is_some_and(<[String]>::is_empty) {
            self.problem(pointer, "the list is empty: these rules are for no body");
        }
        let types: Vec<&str> =
            types.map_or(default.to_vec(), |types| types.iter().map(String::as_str).collect());
        let mut patterns = Vec::new();
        for (index, text) in types.into_iter().enumerate() {
            patterns.extend(self.accept(&format!("{pointer}/{index}"), Pattern::parse(text)));
        }
        patterns
    }

    fn edit(&mut self, pointer: &str, spec: &JsonSpec) -> Option<Edit> {
        let (each, operation) = match spec {
            JsonSpec::Set { pointer: place, value, value_type, each } => {
                (each, self.set(pointer, place, value, *value_type, false))
            }
            JsonSpec::Default { pointer: place, value, value_type, each } => {
                (each, self.set(pointer, place, value, *value_type, true))
            }
            JsonSpec::Remove { pointer: place, each } => {
                let place = self.place_inside(pointer, place);
                (each, place.map(|pointer| Operation::Remove { pointer }))
            }
            JsonSpec::Rename { pointer: place, to, each } => {
                (each, self.rename(pointer, place, to))
            }
            JsonSpec::Wrap { pointer: place, key, each } => {
                let place = self.place(pointer, "pointer", place);
                (each, place.map(|pointer| Operation::Wrap { pointer, name: key.clone() }))
            }
            JsonSpec::Unwrap { pointer: place, key, each } => {
                let place = self.place(pointer, "pointer", place);
                (each, place.map(|pointer| Operation::Unwrap { pointer, name: key.clone() }))
            }
        };
        let each = match each {
            Some(each) => Some(self.place(pointer, "each", each)?),
            None => None,
        };
        Some(Edit { each, operation: operation? })
    }

    fn set(
        &mut self,
        at: &str,
        place: &str,
        value: &ConfigValue,
        value_type: ValueType,
        only_missing: bool,
    ) -> Option<Operation> {
        let pointer = self.place(at, "pointer", place);
        if value_type != ValueType::String && !matches!(value, ConfigValue::Text(_)) {
            self.problem(format!("{at}/as"), "`as` is for a `value` that is a string");
        }
        let value = ValueTemplate::parse(value, value_type, self.direction, &mut self.references)
            .map_err(|(inside, message)| {
                self.problem(format!("{at}/value{inside}"), message);
            })
            .ok();
        Some(Operation::Set { pointer: pointer?, value: value?, only_missing })
    }

    fn rename(&mut self, at: &str, place: &str, to: &str) -> Option<Operation> {
        let pointer = self.place_inside(at, place)?;
        if !to.is_empty() && !to.starts_with('/') {
            return Some(Operation::Rename { pointer, to: to.to_owned() });
        }
        let to = self.place(at, "to", to)?;
        if pointer.contains(&to) {
            self.problem(format!("{at}/to"), "a value cannot be taken into itself");
            return None;
        }
        Some(Operation::Move { pointer, to })
    }

    fn place(&mut self, at: &str, setting: &str, text: &str) -> Option<Pointer> {
        self.accept(&format!("{at}/{setting}"), Pointer::parse(text))
    }

    fn place_inside(&mut self, at: &str, text: &str) -> Option<Pointer> {
        let pointer = self.place(at, "pointer", text)?;
        if pointer.is_root() {
            self.problem(format!("{at}/pointer"), "this is the whole document");
            return None;
        }
        Some(pointer)
    }

    fn replacer(&mut self, pointer: &str, specs: &[TextSpec]) -> Option<Replacer> {
        if specs.is_empty() {
            return None;
        }
        let mut rules: Vec<(Vec<u8>, Template)> = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let replace = self.template(&format!("{pointer}/{index}/replace"), &spec.replace);
            let find = spec.find.as_bytes();
            let problem = if find.is_empty() {
                "there is nothing to find"
            } else if find.len() > LONGEST_PATTERN {
                "what is to be found is over 1,024 bytes"
            } else if rules.iter().any(|(known, _)| known == find) {
                "this is to be found already"
            } else {
                rules.extend(replace.map(|replace| (find.to_vec(), replace)));
                continue;
            };
            self.problem(format!("{pointer}/{index}/find"), problem);
        }
        if rules.iter().map(|(find, _)| find.len()).sum::<usize>() > ALL_PATTERNS {
            self.problem(pointer, "what is to be found is over 16 KiB together");
        }
        self.accept(pointer, Replacer::new(rules))
    }
}

/// The indices of the references in these rules, each once.
fn references(json: &[Edit], text: Option<&Replacer>, events: Option<&EventRules>) -> Vec<usize> {
    let mut indices = Vec::new();
    edit::references(json, &mut indices);
    indices.extend(text.into_iter().flat_map(Replacer::references));
    if let Some(events) = events {
        events.references(&mut indices);
    }
    indices.sort_unstable();
    indices.dedup();
    indices
}
