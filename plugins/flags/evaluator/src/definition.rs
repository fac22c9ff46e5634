//! Reads a document of flags, and finds all that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::flag::{Evaluation, Flag, Targeting};
use crate::logic::Compiler;
use crate::{near, place};

/// The most flags.
const MOST_FLAGS: usize = 5_000;

/// The most faults that are told of a document.
const MOST_FAULTS: usize = 100;

/// What a flag can have. Other members are for other readers.
const KEYS: [&str; 5] = ["state", "variants", "defaultVariant", "targeting", "metadata"];

/// All flags of a document.
#[derive(Debug, Default)]
pub struct Flags {
    flags: BTreeMap<String, Flag>,
    metadata: Map<String, Value>,
    reads_time: bool,
}

/// Something that is wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// Where, as a path such as `flags.color.targeting`; empty for the whole.
    pub path: String,
    /// The bytes of the text: the value that is wrong, or nothing at the place where reading ended.
    pub place: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What can be done about it.
    pub help: Option<String>,
}

impl Fault {
    fn new(text: &str, place: Range<usize>, path: String, message: &str) -> Self {
        let (line, column) = place::position(text, place.start);
        let (message, help) = match message.split_once(near::HELP) {
            Some((message, help)) => (message, Some(help.to_owned())),
            None => (message, None),
        };
        Self { line, column, path, place, message: message.to_owned(), help }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(formatter, "; {help}"))
    }
}

struct Reader<'a> {
    compiler: Compiler<'a>,
}

impl Flags {
    /// Reads a document.
    ///
    /// # Errors
    /// With all that is wrong, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        match Self::parse_each(text) {
            Ok((flags, faults)) if faults.is_empty() => Ok(flags),
            Ok((_, faults)) | Err(faults) => Err(faults),
        }
    }

    /// Reads a document as flagd does: what is wrong with the targeting of a flag concerns that flag alone, and is
    /// returned with the flags.
    ///
    /// # Errors
    /// With all that is wrong, if it is more than the targeting of flags.
    pub fn parse_each(text: &str) -> Result<(Self, Vec<Fault>), Vec<Fault>> {
        let mut loading = Loading::new(text.to_owned())?;
        loading.advance(usize::MAX);
        loading.finish()
    }

    /// The flag with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Flag> {
        self.flags.get(key)
    }

    /// All flags, by their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Flag> {
        self.flags.values()
    }

    /// What the document says of all flags.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The value of a flag for a context, at a time in seconds since 1970.
    #[must_use]
    pub fn evaluate(&self, key: &str, context: &Map<String, Value>, now: u64) -> Evaluation<'_> {
        match self.get(key) {
            Some(flag) => flag.evaluate(context, now),
            None => Evaluation::not_found(key, &self.metadata),
        }
    }

    /// The key that is most like this one.
    #[must_use]
    pub fn hint(&self, key: &str) -> String {
        near::hint(key, self.flags.keys().map(String::as_str))
    }

    /// Whether a flag reads the time.
    #[must_use]
    pub fn reads_time(&self) -> bool {
        self.reads_time
    }
}

/// A document that is read in parts, so that no part takes long.
#[derive(Debug)]
pub struct Loading {
    text: String,
    root: Value,
    flags: Flags,
    /// Flags that were looked at.
    done: usize,
    faults: Vec<(Vec<String>, String)>,
}

impl Loading {
    /// Begins. What is no JSON is known at once.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn new(text: String) -> Result<Self, Vec<Fault>> {
        let root: Value = serde_json::from_str(&text).map_err(|error| {
            let message = error.to_string();
            let message = message.rsplit_once(" at line").map_or(&*message, |(message, _)| message);
            let at = place::offset(&text, error.line(), error.column());
            vec![Fault::new(&text, at..at, String::new(), message)]
        })?;
        let mut loading = Self { text, root, flags: Flags::default(), done: 0, faults: Vec::new() };
        let mut reader = Reader { compiler: Compiler::new(None) };
        loading.flags.metadata = reader.head(&loading.root);
        loading.faults = reader.compiler.faults;
        Ok(loading)
    }

    /// Reads some more flags, and says whether all are read.
    pub fn advance(&mut self, count: usize) -> bool {
        let shared = self.root.get("$evaluators").and_then(Value::as_object);
        let Some(written) = self.root.get("flags").and_then(Value::as_object) else { return true };
        let mut reader = Reader { compiler: Compiler::new(shared) };
        for (key, value) in written.iter().skip(self.done).take(count) {
            if let Some(flag) = reader.flag(key, value, &self.flags.metadata) {
                self.flags.reads_time |=
                    matches!(&flag.targeting, Some(Targeting::Logic(logic)) if logic.reads_time());
                self.flags.flags.insert(key.clone(), flag);
            }
        }
        self.done = self.done.saturating_add(count);
        self.faults.extend(reader.compiler.faults);
        self.faults.truncate(MOST_FAULTS);
        self.done >= written.len()
    }

    /// The flags, when all are read, with the faults of their targeting.
    ///
    /// # Errors
    /// With all that is wrong, if it is more than that.
    pub fn finish(self) -> Result<(Flags, Vec<Fault>), Vec<Fault>> {
        let is_of_targeting =
            |(path, _): &(Vec<String>, String)| match path.first().map(String::as_str) {
                Some("$evaluators") => path.len() > 1,
                _ => path.get(2).is_some_and(|step| step == "targeting"),
            };
        let is_usable = self.faults.iter().all(is_of_targeting);
        // Each is told once, however many flags share the expression.
        let distinct: BTreeSet<_> = self.faults.into_iter().collect();
        let placed = distinct.into_iter().map(|(path, message)| {
            let place = place::of(&self.text, &path);
            Fault::new(&self.text, place, path.join("."), &message)
        });
        let mut faults: Vec<Fault> = placed.collect();
        faults.sort_by_key(|fault| fault.place.start);
        if is_usable { Ok((self.flags, faults)) } else { Err(faults) }
    }
}

impl Reader<'_> {
    fn fault(&mut self, path: &[&str], message: impl Into<String>) {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        self.compiler.faults.push((path, message.into()));
    }

    /// All but the flags. Returns the metadata.
    fn head(&mut self, root: &Value) -> Map<String, Value> {
        let Some(members) = root.as_object() else {
            self.fault(&[], "a document of flags is a JSON object: {\"flags\": {}}");
            return Map::new();
        };
        if members.get("$evaluators").is_some_and(|shared| !shared.is_object()) {
            self.fault(&["$evaluators"], "these are expressions by name: an object");
        }
        match members.get("flags") {
            Some(Value::Object(written)) if written.len() > MOST_FLAGS => {
                self.fault(&["flags"], format!("there are at most {MOST_FLAGS} flags"));
            }
            Some(Value::Object(_)) => {}
            Some(_) => self.fault(&["flags"], "these are flags by key: an object"),
            None => {
                let hint = near::help("flags", members.keys().map(String::as_str));
                self.fault(&[], format!("there is no \"flags\"{hint}"));
            }
        }
        self.metadata(members.get("metadata"), &["metadata"])
    }

    fn metadata(&mut self, written: Option<&Value>, path: &[&str]) -> Map<String, Value> {
        match written {
            None => Map::new(),
            Some(Value::Object(members)) => {
                for (name, value) in members {
                    if !(value.is_string() || value.is_number() || value.is_boolean()) {
                        let path = [path, &[name]].concat();
                        self.fault(&path, "metadata is a text, a number, true or false");
                    }
                }
                members.clone()
            }
            Some(_) => {
                self.fault(path, "metadata is an object");
                Map::new()
            }
        }
    }

    fn flag(&mut self, key: &str, written: &Value, shared: &Map<String, Value>) -> Option<Flag> {
        let at = ["flags", key];
        let Some(members) = written.as_object() else {
            self.fault(&at, "a flag is an object with \"state\" and \"variants\"");
            return None;
        };
        self.misspelt(members, &at);
        let is_enabled = match members.get("state").map(|state| (state, state.as_str())) {
            Some((_, Some("ENABLED"))) => true,
            Some((_, Some("DISABLED"))) => false,
            Some((other, _)) => {
                let message = format!("a state is \"ENABLED\" or \"DISABLED\", and not {other}");
                self.fault(&["flags", key, "state"], message);
                false
            }
            None => {
                self.fault(&at, "there is no \"state\": \"ENABLED\" or \"DISABLED\"");
                false
            }
        };
        let variants = match members.get("variants") {
            Some(Value::Object(variants)) => variants.clone(),
            Some(_) => {
                self.fault(&["flags", key, "variants"], "these are values by name: an object");
                return None;
            }
            None => {
                self.fault(&at, "there are no \"variants\"");
                return None;
            }
        };
        let default_variant = self.default_variant(key, members.get("defaultVariant"), &variants);
        let targeting = match members.get("targeting") {
            None | Some(Value::Null) => None,
            Some(Value::Object(rule)) if rule.is_empty() => None,
            Some(rule @ Value::Object(_)) => {
                let path = ["flags", key, "targeting"].map(str::to_owned);
                self.chosen(rule, &variants, &mut path.to_vec());
                let logic = self.compiler.compile(rule, path.to_vec());
                Some(logic.map_or(Targeting::Broken, Targeting::Logic))
            }
            Some(_) => {
                self.fault(&["flags", key, "targeting"], "a targeting is an expression: an object");
                None
            }
        };
        let mut metadata = shared.clone();
        metadata.extend(self.metadata(members.get("metadata"), &["flags", key, "metadata"]));
        Some(Flag {
            key: key.to_owned(),
            is_enabled,
            variants,
            default_variant,
            targeting,
            metadata,
        })
    }

    fn default_variant(
        &mut self,
        key: &str,
        written: Option<&Value>,
        variants: &Map<String, Value>,
    ) -> Option<String> {
        let at = ["flags", key, "defaultVariant"];
        match written {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if name.is_empty() => None,
            Some(Value::String(name)) => {
                if !variants.contains_key(name) {
                    let hint = near::help(name, variants.keys().map(String::as_str));
                    self.fault(&at, format!("there is no variant {name:?}{hint}"));
                }
                Some(name.clone())
            }
            Some(other) => {
                self.fault(&at, format!("it is the name of a variant, or null, and not {other}"));
                None
            }
        }
    }

    /// Variants that a targeting names, as far as they are written where its result is, and that there are not.
    fn chosen(&mut self, rule: &Value, variants: &Map<String, Value>, path: &mut Vec<String>) {
        if let Value::String(name) = rule {
            if !name.is_empty() && !variants.contains_key(name) {
                let hint = near::help(name, variants.keys().map(String::as_str));
                let message = format!("there is no variant {name:?}{hint}");
                self.compiler.faults.push((path.clone(), message));
            }
            return;
        }
        let Some((operator, Value::Array(items))) =
            rule.as_object().filter(|members| members.len() == 1).and_then(|it| it.iter().next())
        else {
            return;
        };
        path.push(operator.clone());
        for (index, item) in items.iter().enumerate() {
            path.push(index.to_string());
            match (operator.as_str(), item) {
                // Conditions and results take turns; without a condition the last is what is left.
                ("if", _) if index % 2 == 1 || index + 1 == items.len() => {
                    self.chosen(item, variants, path);
                }
                ("fractional", Value::Array(bucket)) => {
                    if let Some(name @ Value::String(_)) = bucket.first() {
                        path.push("0".to_owned());
                        self.chosen(name, variants, path);
                        path.pop();
                    }
                }
                _ => {}
            }
            path.pop();
        }
        path.pop();
    }

    /// A member that is almost one that a flag can have, and does not have.
    fn misspelt(&mut self, members: &Map<String, Value>, at: &[&str]) {
        for name in members.keys().filter(|name| !KEYS.contains(&name.as_str())) {
            let missing = KEYS.iter().filter(|key| !members.contains_key(**key));
            if let Some(key) = missing.into_iter().find(|key| near::distance(name, key) <= 2) {
                let path = [at, &[name]].concat();
                self.fault(
                    &path,
                    format!("a flag has no {name:?}{}did you mean {key:?}?", near::HELP),
                );
            }
        }
    }
}
