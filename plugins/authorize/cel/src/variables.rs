//! What an expression can name of a request, and how it is had.
//!
//! Nothing is fetched before an expression reads it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use gateway_plugin_sdk::clock;
use gateway_plugin_sdk::prelude::Request;

use super::types::Type;
use super::value::Value;

/// Something of a request that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Method,
    Path,
    Time,
    /// An attribute that is a text; one that is empty is as good as none.
    Text(&'static str),
    /// An attribute that is a whole number.
    Number(&'static str),
    /// An attribute that is a list, with spaces between. Who has none has an empty one.
    Words(&'static str),
    Source(Source),
}

/// A map of a request that is looked up key by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Query,
    Headers,
    Claims,
    Captures,
    Attributes,
}

impl Source {
    /// What the name of the attribute begins with that holds the value of a key.
    pub(crate) fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Query | Self::Headers => None,
            Self::Claims => Some("consumer.claim."),
            Self::Captures => Some("capture."),
            Self::Attributes => Some(""),
        }
    }

    /// The type of its values.
    pub(crate) fn values(self) -> Type {
        match self {
            Self::Query => Type::List,
            Self::Claims => Type::Any,
            Self::Headers | Self::Captures | Self::Attributes => Type::Text,
        }
    }
}

pub(crate) const VARIABLES: [(&str, Variable, Type); 22] = [
    ("request.method", Variable::Method, Type::Text),
    ("request.path", Variable::Path, Type::Text),
    ("request.query", Variable::Source(Source::Query), Type::Map),
    ("request.headers", Variable::Source(Source::Headers), Type::Map),
    ("request.host", Variable::Text("request.host"), Type::Text),
    ("request.scheme", Variable::Text("request.scheme"), Type::Text),
    ("request.id", Variable::Text("request.id"), Type::Text),
    ("request.time", Variable::Time, Type::Time),
    ("client.address", Variable::Text("client.address"), Type::Text),
    ("client.port", Variable::Number("client.port"), Type::Int),
    ("consumer.id", Variable::Text("consumer.id"), Type::Text),
    ("consumer.method", Variable::Text("consumer.method"), Type::Text),
    ("consumer.group", Variable::Text("consumer.group"), Type::Text),
    ("consumer.key_id", Variable::Text("consumer.key-id"), Type::Text),
    ("consumer.scopes", Variable::Words("consumer.scopes"), Type::List),
    ("consumer.claims", Variable::Source(Source::Claims), Type::Map),
    ("listener.name", Variable::Text("listener.name"), Type::Text),
    ("route.name", Variable::Text("route.name"), Type::Text),
    ("route.pattern", Variable::Text("route.pattern"), Type::Text),
    ("captures", Variable::Source(Source::Captures), Type::Map),
    ("attributes", Variable::Source(Source::Attributes), Type::Map),
    ("now", Variable::Time, Type::Time),
];

/// Where facts about a request come from.
pub trait Facts {
    /// The method.
    fn method(&self) -> &str;
    /// The path.
    fn path(&self) -> &str;
    /// The parameters of the query, decoded.
    fn query(&self) -> Vec<(String, String)>;
    /// The value of a header field.
    fn header(&self, name: &str) -> Option<Vec<u8>>;
    /// The names of all header fields, in lower case.
    fn header_names(&self) -> Vec<String>;
    /// An attribute.
    fn attribute(&self, name: &str) -> Option<&str>;
    /// Nanoseconds since 1970.
    fn time(&self) -> u128;
}

impl Facts for Request {
    fn method(&self) -> &str {
        self.method()
    }

    fn path(&self) -> &str {
        self.path()
    }

    fn query(&self) -> Vec<(String, String)> {
        let owned = self.query_pairs();
        owned.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.header_bytes(name).map(<[u8]>::to_vec)
    }

    fn header_names(&self) -> Vec<String> {
        let fields = self.headers();
        let names: BTreeSet<_> = fields.iter().map(|it| it.name.to_ascii_lowercase()).collect();
        names.into_iter().collect()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attribute(name)
    }

    fn time(&self) -> u128 {
        clock::now().as_nanos()
    }
}

/// The facts about one request, with what is read once.
pub(crate) struct Known<'a> {
    facts: &'a dyn Facts,
    time: OnceCell<i128>,
    query: OnceCell<Rc<[(Value, Value)]>>,
}

impl<'a> Known<'a> {
    pub(crate) fn new(facts: &'a dyn Facts) -> Self {
        Self { facts, time: OnceCell::new(), query: OnceCell::new() }
    }

    /// The value of a variable; the error says what is missing.
    pub(crate) fn value(&self, variable: Variable) -> Result<Value, String> {
        let missing = |name: &str| format!("the request has no `{name}`");
        match variable {
            Variable::Method => Ok(Value::text(self.facts.method())),
            Variable::Path => Ok(Value::text(self.facts.path())),
            Variable::Time => {
                let time = self.time.get_or_init(|| i128::try_from(self.facts.time()).unwrap_or(0));
                Ok(Value::Time(*time))
            }
            Variable::Text(name) => self.text(name).map(Value::text).ok_or_else(|| missing(name)),
            Variable::Number(name) => {
                let number = self.text(name).and_then(|text| text.parse().ok());
                number.map(Value::Int).ok_or_else(|| missing(name))
            }
            Variable::Words(name) => {
                let words = self.text(name).unwrap_or_default().split(' ');
                Ok(Value::List(words.filter(|it| !it.is_empty()).map(Value::text).collect()))
            }
            Variable::Source(source) => Ok(Value::Source(source)),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.facts.attribute(name).filter(|text| !text.is_empty())
    }

    /// The value of a key, if the map has it.
    pub(crate) fn look_up(&self, source: Source, key: &str) -> Result<Option<Value>, String> {
        if let Some(prefix) = source.prefix() {
            let name = format!("{prefix}{key}");
            let found = self.facts.attribute(&name);
            return Ok(found.map(|text| match source {
                Source::Claims => Value::Claim(text.into()),
                _ => Value::text(text),
            }));
        }
        match source {
            Source::Headers => {
                let Some(bytes) = self.facts.header(key) else { return Ok(None) };
                let text = String::from_utf8(bytes);
                let text = text.map_err(|_| format!("the header field `{key}` is not UTF-8"))?;
                Ok(Some(Value::Text(text.into())))
            }
            _ => Ok(super::value::lookup(self.query(), &Value::text(key)).cloned()),
        }
    }

    /// The keys of a map that can be listed.
    pub(crate) fn keys(&self, source: Source) -> Option<Vec<Value>> {
        match source {
            Source::Query => Some(self.query().iter().map(|(key, _)| key.clone()).collect()),
            Source::Headers => {
                Some(self.facts.header_names().iter().map(|name| Value::text(name)).collect())
            }
            Source::Claims | Source::Captures | Source::Attributes => None,
        }
    }

    fn query(&self) -> &[(Value, Value)] {
        self.query.get_or_init(|| {
            let mut parameters: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for (name, value) in self.facts.query() {
                parameters.entry(name).or_default().push(Value::text(&value));
            }
            let listed = |(name, values): (String, Vec<Value>)| {
                (Value::Text(name.into()), Value::List(values.into()))
            };
            parameters.into_iter().map(listed).collect()
        })
    }
}
