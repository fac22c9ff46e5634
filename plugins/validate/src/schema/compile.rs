//! Reads schemas. Each is read once, however often it is referred to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use regex_lite::{Regex, RegexBuilder};

use super::format::Format;
use super::keywords;
use super::{Check, Id, NULL, Node, Schemas, Side, TYPE_NAMES, Types};
use crate::config::UnknownKeywords;
use crate::json::{Json, Number, escape};

/// Bytes of a compiled pattern, at most.
const MAX_PATTERN: usize = 1 << 20;
/// Schemas of a document that are used, at most.
const MAX_SCHEMAS: usize = 50_000;
/// How deep schemas may lie in each other.
const MAX_DEPTH: usize = 100;

/// What differs between the versions of the language.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dialect {
    /// OpenAPI 3.0: `nullable`, and bounds that are exclusive by a flag.
    pub(crate) is_openapi_3_0: bool,
    /// Whether formats are checked.
    pub(crate) formats: bool,
    pub(crate) unknown: UnknownKeywords,
}

/// Reads the schemas of a document.
pub(crate) struct Compiler<'a> {
    document: &'a Json,
    dialect: Dialect,
    /// Whether what stands beside a `$ref` counts for nothing: up to draft 7.
    is_reference_alone: bool,
    /// What references to the document itself may begin with.
    base: Option<&'a str>,
    anchors: BTreeMap<&'a str, String>,
    known: BTreeMap<String, Id>,
    nodes: Vec<Node>,
    depth: usize,
    faults: Vec<(String, String)>,
    /// What is read past, and perhaps should not be.
    doubts: Vec<(String, String)>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(document: &'a Json, dialect: Dialect) -> Self {
        let version = document.get("$schema").and_then(Json::text).unwrap_or_default();
        let is_old =
            ["draft-03", "draft-04", "draft-06", "draft-07"].iter().any(|it| version.contains(it));
        let base = document.get("$id").or_else(|| document.get("id")).and_then(Json::text);
        let mut compiler = Self {
            document,
            dialect,
            is_reference_alone: is_old || dialect.is_openapi_3_0,
            base: base.map(|base| base.trim_end_matches('#')),
            anchors: BTreeMap::new(),
            known: BTreeMap::new(),
            nodes: Vec::new(),
            depth: 0,
            faults: Vec::new(),
            doubts: Vec::new(),
        };
        if !(version.is_empty() || version.contains("://json-schema.org/draft")) {
            let message =
                "this version is not known; there are those of json-schema.org, draft 4 to 2020-12";
            compiler.fault("/$schema", message);
        }
        compiler.find_anchors(document, "");
        compiler
    }

    /// Whether a schema that was read asks for a type, as far as it says so in one place.
    pub(crate) fn wants(&mut self, id: Id, name: &str) -> bool {
        let schemas = Schemas { nodes: std::mem::take(&mut self.nodes), doubts: Vec::new() };
        let wants = schemas.wants(id, name);
        self.nodes = schemas.nodes;
        wants
    }

    /// What was read, or what is wrong, each with a JSON Pointer into the document.
    pub(crate) fn finish(self) -> Result<Schemas, Vec<(String, String)>> {
        let Self { nodes, faults, doubts, .. } = self;
        if faults.is_empty() { Ok(Schemas { nodes, doubts }) } else { Err(faults) }
    }

    pub(crate) fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push((pointer.to_owned(), message.into()));
    }

    fn find_anchors(&mut self, value: &'a Json, pointer: &str) {
        match value {
            Json::Object(members) => {
                for (name, member) in members {
                    if matches!(
                        name.as_str(),
                        "enum" | "const" | "example" | "examples" | "default"
                    ) {
                        continue;
                    }
                    if let ("$anchor", Json::Text(anchor)) = (name.as_str(), member) {
                        self.anchors.insert(anchor, pointer.to_owned());
                    }
                    self.find_anchors(member, &format!("{pointer}/{}", escape(name)));
                }
            }
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.find_anchors(item, &format!("{pointer}/{index}"));
                }
            }
            _ => {}
        }
    }

    /// The schema at a place of the document.
    pub(crate) fn schema(&mut self, pointer: &str) -> Id {
        if let Some(id) = self.known.get(pointer) {
            return *id;
        }
        let id = self.nodes.len();
        self.nodes.push(Node::default());
        self.known.insert(pointer.to_owned(), id);
        if id >= MAX_SCHEMAS || self.depth >= MAX_DEPTH {
            self.fault(pointer, "there are too many schemas, or they lie too deep in each other");
            return id;
        }
        self.depth += 1;
        let document = self.document;
        match document.pointer(pointer) {
            Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => self.nodes[id].checks.push(Check::Never),
            Some(Json::Object(members)) => self.nodes[id] = self.node(members, pointer),
            Some(_) => self.fault(pointer, "a schema is an object, `true` or `false`"),
            None => self.fault(pointer, "there is no schema here"),
        }
        self.depth -= 1;
        id
    }

    fn node(&mut self, members: &'a BTreeMap<String, Json>, pointer: &str) -> Node {
        let mut keywords = Keywords { compiler: self, members, pointer, checks: Vec::new() };
        keywords.refuse_what_is_unknown();
        if keywords.reference() && keywords.compiler.is_reference_alone {
            let checks = keywords.checks;
            return Node { checks, ..Node::default() };
        }
        keywords.any_value();
        keywords.numbers();
        keywords.texts();
        keywords.arrays();
        keywords.objects();
        keywords.combined();
        let has_unevaluated = keywords.unevaluated();
        let flag = |name: &str| members.get(name).and_then(Json::bool) == Some(true);
        let only = match (flag("readOnly"), flag("writeOnly")) {
            (true, false) => Some(Side::Response),
            (false, true) => Some(Side::Request),
            _ => None,
        };
        Node { checks: keywords.checks, has_unevaluated, only }
    }

    /// Where a reference leads.
    pub(crate) fn resolve(&self, reference: &str) -> Result<String, String> {
        let outside = || {
            format!(
                "`{reference}` leads out of the document; only references inside of it are followed"
            )
        };
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if !base.is_empty() && Some(base) != self.base {
            return Err(outside());
        }
        let fragment =
            percent_decoded(fragment).ok_or_else(|| format!("`{reference}` is no reference"))?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return match self.document.pointer(&fragment) {
                Some(_) => Ok(fragment),
                None => Err(format!("`{reference}` leads nowhere")),
            };
        }
        self.anchors
            .get(&*fragment)
            .cloned()
            .ok_or_else(|| format!("there is no anchor `{fragment}`"))
    }

    /// The place of a value that may be a reference to another, as OpenAPI has for all kinds of objects.
    pub(crate) fn follow(&mut self, pointer: &str) -> Option<(String, &'a Json)> {
        let mut pointer = pointer.to_owned();
        for _ in 0..16 {
            let value = self.document.pointer(&pointer)?;
            let Some(reference) = value.get("$ref").and_then(Json::text) else {
                return Some((pointer, value));
            };
            match self.resolve(reference) {
                Ok(next) => pointer = next,
                Err(message) => {
                    self.fault(&format!("{pointer}/$ref"), message);
                    return None;
                }
            }
        }
        self.fault(&pointer, "the references lead round in a circle");
        None
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        if *first == b'%' {
            let code = str::from_utf8(more.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(code, 16).ok()?);
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The keywords of one schema.
struct Keywords<'c, 'a, 'p> {
    compiler: &'c mut Compiler<'a>,
    members: &'a BTreeMap<String, Json>,
    pointer: &'p str,
    checks: Vec<Check>,
}

/// Keywords whose meaning is not supported: to pass over them would let through what they refuse.
const NOT_SUPPORTED: [&str; 5] =
    ["$dynamicRef", "$recursiveRef", "$recursiveAnchor", "extends", "disallow"];

impl<'a> Keywords<'_, 'a, '_> {
    fn at(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, escape(name))
    }

    fn fault(&mut self, name: &str, message: impl Into<String>) {
        let at = self.at(name);
        self.compiler.fault(&at, message);
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        self.members.get(name)
    }

    fn refuse_what_is_unknown(&mut self) {
        let unknown = self.compiler.dialect.unknown;
        for name in self.members.keys().filter(|_| unknown != UnknownKeywords::Ignore) {
            let Some(message) = keywords::is_unknown(name) else { continue };
            match unknown {
                UnknownKeywords::Refuse => self.fault(name, message),
                UnknownKeywords::Warn | UnknownKeywords::Ignore => {
                    let at = self.at(name);
                    self.compiler.doubts.push((at, message));
                }
            }
        }
        for name in NOT_SUPPORTED {
            if self.get(name).is_some() {
                self.fault(name, format!("`{name}` is not supported"));
            }
        }
        if !self.pointer.is_empty()
            && self.get("$id").and_then(Json::text).is_some_and(|it| !it.starts_with('#'))
        {
            self.fault(
                "$id",
                "`$id` is not supported inside of a document: references could not be told apart",
            );
        }
    }

    fn reference(&mut self) -> bool {
        let Some(reference) = self.get("$ref") else { return false };
        let Some(reference) = reference.text() else {
            self.fault("$ref", "a reference is a string");
            return true;
        };
        match self.compiler.resolve(reference) {
            Ok(pointer) => {
                let id = self.compiler.schema(&pointer);
                self.checks.push(Check::Reference(id));
            }
            Err(message) => self.fault("$ref", message),
        }
        true
    }

    fn any_value(&mut self) {
        if let Some(value) = self.get("type") {
            let names: Vec<&Json> = match value {
                Json::Array(items) => items.iter().collect(),
                other => vec![other],
            };
            let mut types: Types = 0;
            for name in names {
                let known = TYPE_NAMES.iter().find(|(known, _)| name.text() == Some(*known));
                match known {
                    Some((_, bit)) => types |= *bit,
                    None => self.fault(
                        "type",
                        "a type is one of array, boolean, integer, null, number, object and string",
                    ),
                }
            }
            let is_nullable = self.compiler.dialect.is_openapi_3_0
                && self.get("nullable").and_then(Json::bool) == Some(true);
            self.checks.push(Check::Types(if is_nullable { types | NULL } else { types }));
        }
        match self.get("enum") {
            Some(Json::Array(values)) => {
                let values: BTreeSet<Json> = values.iter().cloned().collect();
                let told = told(&values);
                self.checks.push(Check::Enum(values, told));
            }
            Some(_) => self.fault("enum", "`enum` is a list of values"),
            None => {}
        }
        if let Some(value) = self.get("const") {
            let values = BTreeSet::from([value.clone()]);
            let told = told(&values);
            self.checks.push(Check::Enum(values, told));
        }
        if let Some(format) = self.get("format").and_then(Json::text)
            && self.compiler.dialect.formats
        {
            self.checks.extend(Format::named(format).map(Check::Format));
        }
    }

    fn number(&mut self, name: &str) -> Option<Number> {
        match self.get(name)? {
            Json::Number(number) => Some(number.clone()),
            _ => {
                self.fault(name, format!("`{name}` is a number"));
                None
            }
        }
    }

    fn size(&mut self, name: &str) -> Option<u64> {
        let size = match self.get(name)? {
            Json::Number(number) => number.size(),
            _ => None,
        };
        if size.is_none() {
            self.fault(name, format!("`{name}` is a whole number from 0"));
        }
        size
    }

    fn numbers(&mut self) {
        if let Some(divisor) = self.number("multipleOf") {
            if divisor.is_divisor() {
                self.checks.push(Check::MultipleOf(divisor));
            } else {
                self.fault("multipleOf", "`multipleOf` is above 0 and has at most 18 digits");
            }
        }
        for (name, exclusive, is_least) in
            [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
        {
            // Up to draft 4, and in OpenAPI 3.0, it is a flag beside the bound.
            let flag = self.get(exclusive).and_then(Json::bool);
            if let Some(bound) = self.number(name) {
                let is_exclusive = flag == Some(true);
                self.checks.push(Check::Bound { bound, is_least, is_exclusive });
            }
            if flag.is_none()
                && let Some(bound) = self.number(exclusive)
            {
                self.checks.push(Check::Bound { bound, is_least, is_exclusive: true });
            }
        }
    }

    fn texts(&mut self) {
        let (least, most) = (self.size("minLength"), self.size("maxLength"));
        if least.is_some() || most.is_some() {
            self.checks.push(Check::Length { least, most });
        }
        if let Some(pattern) = self.get("pattern") {
            match pattern.text() {
                Some(pattern) => {
                    let regex = self.pattern("pattern", pattern);
                    let example = regex.as_ref().and_then(|regex| self.example(regex));
                    self.checks.extend(regex.map(|it| Check::Pattern(Box::new((it, example)))));
                }
                None => self.fault("pattern", "a pattern is a string"),
            }
        }
    }

    /// A text of the schema's own that a pattern matches.
    fn example(&self, pattern: &Regex) -> Option<String> {
        let listed = match self.get("examples") {
            Some(Json::Array(items)) => items.as_slice(),
            _ => &[],
        };
        let all = listed.iter().chain(self.get("example")).chain(self.get("default"));
        let fitting = |text: &&str| text.len() <= 100 && pattern.is_match(text);
        all.filter_map(Json::text).find(fitting).map(str::to_owned)
    }

    fn pattern(&mut self, name: &str, pattern: &str) -> Option<Regex> {
        match RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build() {
            Ok(regex) => Some(regex),
            Err(error) => {
                let look =
                    ["(?=", "(?!", "(?<=", "(?<!"].into_iter().find(|it| pattern.contains(it));
                let message = match look {
                    Some(look) => format!(
                        "look-around (`{look}`) is not supported: it has no bound on its time"
                    ),
                    None => format!("the pattern is not supported: {error}"),
                };
                self.fault(name, message);
                None
            }
        }
    }

    fn child(&mut self, name: &str) -> Option<Id> {
        self.get(name)?;
        let at = self.at(name);
        Some(self.compiler.schema(&at))
    }

    fn list(&mut self, name: &str) -> Option<Vec<Id>> {
        let Json::Array(items) = self.get(name)? else {
            self.fault(name, format!("`{name}` is a list of schemas"));
            return None;
        };
        let at = self.at(name);
        Some((0..items.len()).map(|index| self.compiler.schema(&format!("{at}/{index}"))).collect())
    }

    fn map(&mut self, name: &str) -> Option<Vec<(String, Id)>> {
        let Json::Object(members) = self.get(name)? else {
            self.fault(name, format!("`{name}` is an object of schemas"));
            return None;
        };
        let at = self.at(name);
        let named = |name: &String| (name.clone(), format!("{at}/{}", escape(name)));
        let places: Vec<_> = members.keys().map(named).collect();
        Some(places.into_iter().map(|(name, at)| (name, self.compiler.schema(&at))).collect())
    }

    fn arrays(&mut self) {
        let is_old = matches!(self.get("items"), Some(Json::Array(_)));
        let (first, rest) = if is_old {
            (self.list("items"), self.child("additionalItems"))
        } else {
            (self.list("prefixItems"), self.child("items"))
        };
        let first = first.unwrap_or_default();
        if !first.is_empty() || rest.is_some() {
            self.checks.push(Check::Items { first, rest });
        }
        if let Some(schema) = self.child("contains") {
            let (least, most) = (self.size("minContains").unwrap_or(1), self.size("maxContains"));
            self.checks.push(Check::Contains { schema, least, most });
        }
        let (least, most) = (self.size("minItems"), self.size("maxItems"));
        if least.is_some() || most.is_some() {
            self.checks.push(Check::Count { least, most });
        }
        match self.get("uniqueItems") {
            Some(Json::Bool(true)) => self.checks.push(Check::Unique),
            None | Some(Json::Bool(false)) => {}
            Some(_) => self.fault("uniqueItems", "`uniqueItems` is true or false"),
        }
    }

    fn objects(&mut self) {
        let named: BTreeMap<_, _> =
            self.map("properties").unwrap_or_default().into_iter().collect();
        let patterns = self.map("patternProperties").unwrap_or_default();
        let patterns: Vec<_> = patterns
            .into_iter()
            .filter_map(|(pattern, id)| Some((self.pattern("patternProperties", &pattern)?, id)))
            .collect();
        let rest = self.child("additionalProperties");
        if let Some(names) = self.get("required") {
            // In draft 3 it was a flag of the property.
            match strings(names) {
                Some(names) => {
                    let side = |name: &String| {
                        named
                            .get(name)
                            .and_then(|id| self.compiler.nodes.get(*id))
                            .and_then(|it| it.only)
                    };
                    let required = names.iter().map(|name| (name.clone(), side(name))).collect();
                    self.checks.push(Check::Required(required));
                }
                None => self.fault("required", "`required` is a list of names"),
            }
        }
        if !named.is_empty() || !patterns.is_empty() || rest.is_some() {
            self.checks.push(Check::Properties { named, patterns, rest });
        }
        if let Some(id) = self.child("propertyNames") {
            self.checks.push(Check::Names(id));
        }
        let (least, most) = (self.size("minProperties"), self.size("maxProperties"));
        if least.is_some() || most.is_some() {
            self.checks.push(Check::Members { least, most });
        }
        for name in ["dependentRequired", "dependencies"] {
            let Some(Json::Object(members)) = self.get(name) else { continue };
            let lists = members.iter().filter_map(|(name, it)| Some((name.clone(), strings(it)?)));
            self.checks.push(Check::DependentRequired(lists.collect()));
        }
        let mut dependent = self.map("dependentSchemas").unwrap_or_default();
        if let Some(Json::Object(members)) = self.get("dependencies") {
            let at = self.at("dependencies");
            for (name, _) in members.iter().filter(|(_, it)| !matches!(it, Json::Array(_))) {
                let id = self.compiler.schema(&format!("{at}/{}", escape(name)));
                dependent.push((name.clone(), id));
            }
        }
        if !dependent.is_empty() {
            self.checks.push(Check::DependentSchemas(dependent));
        }
    }

    fn combined(&mut self) {
        for (name, check) in [
            ("allOf", Check::AllOf as fn(_) -> _),
            ("anyOf", Check::AnyOf),
            ("oneOf", Check::OneOf),
        ] {
            let ids = self.list(name);
            self.checks.extend(ids.map(check));
        }
        let id = self.child("not");
        self.checks.extend(id.map(Check::Not));
        if let Some(condition) = self.child("if") {
            let (then, otherwise) = (self.child("then"), self.child("else"));
            self.checks.push(Check::If { condition, then, otherwise });
        }
    }

    /// They come last: they are about what the others left.
    fn unevaluated(&mut self) -> bool {
        let items = self.child("unevaluatedItems").map(Check::UnevaluatedItems);
        let properties = self.child("unevaluatedProperties").map(Check::UnevaluatedProperties);
        let before = self.checks.len();
        self.checks.extend(items.into_iter().chain(properties));
        self.checks.len() > before
    }
}

fn strings(value: &Json) -> Option<Vec<String>> {
    match value {
        Json::Array(items) => items.iter().map(|it| it.text().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// Values as they are told of, of which the schema makes no secret.
fn told(values: &BTreeSet<Json>) -> String {
    let mut told = String::new();
    for value in values {
        if !told.is_empty() {
            told.push_str(", ");
        }
        // Writing into a text never fails.
        let _ = match value {
            Json::Null => write!(told, "null"),
            Json::Bool(flag) => write!(told, "{flag}"),
            Json::Number(number) => write!(told, "{number}"),
            Json::Text(text) => write!(told, "{text:?}"),
            Json::Array(_) => write!(told, "an array"),
            Json::Object(_) => write!(told, "an object"),
        };
        if told.len() > 200 {
            told.push_str(", ...");
            break;
        }
    }
    told
}
