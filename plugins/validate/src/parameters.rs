//! Parameters of path, query, header and cookie: how they are written, and what is wrong with them.

use gateway_plugin_sdk::prelude::Request;

use crate::json::{Json, Number};
use crate::report::Finding;
use crate::schema::{Checker, Id, Schemas, Side};

#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) is_required: bool,
    pub(crate) style: Style,
    pub(crate) schema: Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// One text.
    Plain,
    /// A list in one text, between these.
    Separated(char),
    /// A list: the parameter comes once for each item.
    Repeated,
    /// An object: `name[property]=value`.
    Deep,
    /// JSON (`content` in place of `schema`).
    Json,
}

/// What of a request parameters are read from.
pub(crate) struct Sources<'a> {
    pub(crate) request: &'a Request,
    pub(crate) captures: Vec<(&'a str, String)>,
    query: Vec<(String, String)>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(
        request: &'a Request,
        captures: Vec<(&'a str, String)>,
        parameters: &[Parameter],
    ) -> Self {
        let is_asked = parameters.iter().any(|it| it.place == Place::Query);
        let pairs = is_asked.then(|| request.query_pairs()).into_iter().flatten();
        let query = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Self { request, captures, query }
    }

    fn texts(&self, parameter: &Parameter) -> Vec<String> {
        let name = &parameter.name;
        match parameter.place {
            Place::Path => {
                let named = self.captures.iter().filter(|(known, _)| known == name);
                named.map(|(_, text)| text.clone()).collect()
            }
            Place::Query => {
                let named = self.query.iter().filter(|(known, _)| known == name);
                named.map(|(_, text)| text.clone()).collect()
            }
            Place::Header => {
                let bytes = self.request.header_bytes(name);
                bytes.map(|it| String::from_utf8_lossy(it).into_owned()).into_iter().collect()
            }
            Place::Cookie => {
                let fields = self.request.header_values("cookie");
                let pairs =
                    fields.iter().flat_map(|it| it.split(';')).filter_map(|it| it.split_once('='));
                let named = pairs.filter(|(known, _)| known.trim() == name);
                named.map(|(_, text)| text.trim().to_owned()).collect()
            }
        }
    }

    /// The properties of an object that is written `name[property]=value`.
    fn properties(&self, name: &str) -> Vec<(&str, &str)> {
        let pairs = self.query.iter().filter_map(|(key, value)| {
            let inner = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((inner, value.as_str()))
        });
        pairs.collect()
    }
}

impl Parameter {
    /// What is wrong with the parameter in a request.
    pub(crate) fn check(
        &self,
        sources: &Sources<'_>,
        schemas: &Schemas,
        most: usize,
    ) -> Vec<Finding> {
        let finding = |pointer: &str, detail: &str| Finding {
            parameter: Some((self.place.name(), self.name.clone())),
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        };
        let value = match self.value(sources, schemas) {
            Ok(Some(value)) => value,
            Ok(None) if self.is_required => return vec![finding("", "is missing")],
            Ok(None) => return Vec::new(),
            Err(detail) => return vec![finding("", detail)],
        };
        let problems = Checker::new(schemas, Side::Request, most).problems(self.schema, &value);
        problems.iter().map(|it| finding(&it.pointer, &it.detail)).collect()
    }

    fn value(
        &self,
        sources: &Sources<'_>,
        schemas: &Schemas,
    ) -> Result<Option<Json>, &'static str> {
        if self.style == Style::Deep {
            let mut members = std::collections::BTreeMap::new();
            for (name, text) in sources.properties(&self.name) {
                let value = match schemas.part(self.schema, Some(name)) {
                    Some(id) => typed(schemas, id, text),
                    None => Json::Text(text.to_owned()),
                };
                if members.insert(name.to_owned(), value).is_some() {
                    return Err("has a property twice");
                }
            }
            return Ok((!members.is_empty()).then_some(Json::Object(members)));
        }
        let texts = sources.texts(self);
        let item = |text: &str| match schemas.part(self.schema, None) {
            Some(id) => typed(schemas, id, text),
            None => Json::Text(text.to_owned()),
        };
        if self.style == Style::Repeated {
            let items = texts.iter().map(|text| item(text)).collect::<Vec<_>>();
            return Ok((!items.is_empty()).then_some(Json::Array(items)));
        }
        let text = match texts.as_slice() {
            [] => return Ok(None),
            [text] => text,
            // Which one the upstream takes is not known.
            _ => return Err("is there more than once"),
        };
        match self.style {
            Style::Separated(separator) => {
                let parts = text.split(separator).map(str::trim);
                let items = if text.is_empty() { Vec::new() } else { parts.map(item).collect() };
                Ok(Some(Json::Array(items)))
            }
            Style::Json => Json::parse(text.as_bytes()).map(Some).map_err(|_| "is no JSON"),
            _ => Ok(Some(typed(schemas, self.schema, text))),
        }
    }
}

/// A text as a value of the type that its schema asks for, if it can be one.
fn typed(schemas: &Schemas, id: Id, text: &str) -> Json {
    let is_asked = |name: &str| schemas.wants(id, name);
    if (is_asked("integer") || is_asked("number"))
        && let Some(number) = Number::parse(text)
    {
        return Json::Number(number);
    }
    match text {
        "true" if is_asked("boolean") => Json::Bool(true),
        "false" if is_asked("boolean") => Json::Bool(false),
        "null" if is_asked("null") => Json::Null,
        _ => Json::Text(text.to_owned()),
    }
}
