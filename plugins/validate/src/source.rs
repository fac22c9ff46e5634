//! From the configuration to what is checked.
//!
//! Owns where schemas and documents come from, and where in the configuration their faults are told.

use std::rc::Rc;

use gateway_plugin_sdk::documents::{self, Fault, Parsed};
use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::ConfigError;
use serde_json::Value;

use crate::config::{Config, OpenApi, UnknownKeywords};
use crate::json::Json;
use crate::openapi;
use crate::plan::{BodyRule, Content, Operation, Plan, Routes, Statuses};
use crate::schema::{Compiler, Dialect, Id, Schemas};
use crate::yaml;

/// Faults of one document that are told, at most.
const MAX_FAULTS: usize = 20;

/// What is checked.
#[derive(Debug)]
pub(crate) enum Source {
    Fixed(Rc<Plan>),
    /// By a document that may change while the gateway runs.
    Document(Parsed<Plan>),
}

impl Source {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let Some(openapi) = &config.openapi else {
            return by_schemas(config).map(|plan| Self::Fixed(Rc::new(plan)));
        };
        let mut errors = Vec::new();
        for (schema, side) in
            [(&config.request.schema, "request"), (&config.response.schema, "response")]
        {
            if schema.is_some() {
                let message = "`openapi` says what messages look like; have this in another plugin";
                errors.push(ConfigError::at(format!("/{side}/schema"), message));
            }
        }
        if config.request.required {
            errors.push(ConfigError::at(
                "/request/required",
                "`openapi` says which requests have a body",
            ));
        }
        if !openapi.base_path.is_empty() && !openapi.base_path.starts_with('/') {
            errors.push(ConfigError::at("/openapi/base_path", "a path begins with `/`"));
        }
        let source = by_openapi(openapi, (config.formats, config.unknown_keywords));
        match (source, ConfigError::collect(errors)) {
            (Ok(source), Ok(())) => Ok(source),
            (Err(error), Ok(())) | (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(other)) => Err(other.join(error)),
        }
    }

    /// What is checked now, with its version; `None` while the document is not there.
    pub(crate) fn plan(&self) -> Option<(Rc<Plan>, u64)> {
        match self {
            Self::Fixed(plan) => Some((Rc::clone(plan), 0)),
            Self::Document(parsed) => Some((parsed.get()?, parsed.version())),
        }
    }
}

fn by_openapi(openapi: &OpenApi, how: (bool, UnknownKeywords)) -> Result<Source, ConfigError> {
    let base = openapi.base_path.clone();
    match (&openapi.text, &openapi.document) {
        (Some(text), None) => {
            let at = "/openapi/text";
            let document =
                parsed(text.as_bytes()).map_err(|wrong| ConfigError::at(at, wrong.to_string()))?;
            let plan =
                openapi::read(&document, &base, how).map_err(|faults| told(at, faults, false))?;
            doubt(&plan.schemas, "the OpenAPI document");
            Ok(Source::Fixed(Rc::new(plan)))
        }
        (None, Some(name)) => {
            if documents::version(name).is_none() {
                let message = format!("needs `documents = [\"{name}\"]` beside `component`");
                return Err(ConfigError::at("/openapi/document", message));
            }
            let parse = move |content: &[u8]| -> Result<Plan, Vec<Fault>> {
                let document = parsed(content).map_err(|wrong| {
                    let message = format!("the {} is wrong: {}", wrong.kind, wrong.message);
                    vec![Fault::at(wrong.at..wrong.at, message)]
                })?;
                let plan = openapi::read(&document, &base, how).map_err(|faults| {
                    let told = told("", faults, false);
                    told.issues()
                        .iter()
                        .map(|issue| Fault::new(&*issue.message))
                        .collect::<Vec<_>>()
                })?;
                doubt(&plan.schemas, "the OpenAPI document");
                Ok(plan)
            };
            Parsed::new(name, parse).map(Source::Document)
        }
        _ => {
            Err(ConfigError::at("/openapi", "an OpenAPI document has either `text` or `document`"))
        }
    }
}

fn by_schemas(config: &Config) -> Result<Plan, ConfigError> {
    let request = config.request.schema.as_ref();
    let response = config.response.schema.as_ref();
    if request.is_none() && response.is_none() {
        return Err(ConfigError::new(
            "name what is validated: `openapi`, `request.schema` or `response.schema`",
        ));
    }
    let read = |schema: Option<&Value>, at| {
        schema.map_or_else(|| Ok((Schemas::default(), None)), |it| read(it, at, config))
    };
    let (schemas, id, response_schemas, response_id) =
        match (read(request, "/request/schema"), read(response, "/response/schema")) {
            (Ok((schemas, id)), Ok((others, other))) => (schemas, id, others, other),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
            (Err(error), Err(other)) => return Err(error.join(other)),
        };
    let json = |id: Id| Content {
        types: ["application/json", "application/*+json"]
            .map(|it| (it.to_owned(), Some(id)))
            .into(),
    };
    let body = id.map(|id| BodyRule { is_required: config.request.required, content: json(id) });
    let responses = response_id.map(|id| (Statuses::Class(2), json(id)));
    let operation =
        Operation { body, responses: responses.into_iter().collect(), ..Operation::default() };
    Ok(Plan {
        schemas,
        response_schemas: Some(response_schemas),
        operations: vec![operation],
        routes: Routes::Every,
    })
}

fn read(schema: &Value, at: &str, config: &Config) -> Result<(Schemas, Option<Id>), ConfigError> {
    let is_text = schema.is_string();
    let text = schema.as_str().map_or_else(|| schema.to_string(), str::to_owned);
    let document =
        parsed(text.as_bytes()).map_err(|wrong| ConfigError::at(at, wrong.to_string()))?;
    let dialect = Dialect {
        is_openapi_3_0: false,
        formats: config.formats,
        unknown: config.unknown_keywords,
    };
    let mut compiler = Compiler::new(&document, dialect);
    let id = compiler.schema("");
    let schemas = compiler.finish().map_err(|faults| told(at, faults, !is_text))?;
    doubt(&schemas, at);
    Ok((schemas, Some(id)))
}

/// Why a text cannot be read.
struct Wrong {
    kind: &'static str,
    /// The byte at which reading ended.
    at: usize,
    line: usize,
    column: usize,
    message: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, line, column, message, .. } = self;
        write!(f, "the {kind} is wrong at line {line}, column {column}: {message}")
    }
}

/// Reads a text: JSON, if it begins as an object of JSON does, and YAML otherwise.
fn parsed(whole: &[u8]) -> Result<Json, Wrong> {
    let text = whole.strip_prefix("\u{feff}".as_bytes()).unwrap_or(whole);
    let mark = whole.len() - text.len();
    let is_json = text.trim_ascii_start().first() == Some(&b'{');
    if !is_json && let Ok(text) = str::from_utf8(text) {
        return yaml::parse(text).map_err(|it| {
            let lines = text.split_inclusive('\n').take(it.line.saturating_sub(1));
            let begin: usize = lines.map(str::len).sum();
            let letters = text[begin..].chars().take(it.column.saturating_sub(1));
            let at = mark + begin + letters.map(char::len_utf8).sum::<usize>();
            Wrong { kind: "YAML", at, line: it.line, column: it.column, message: it.message }
        });
    }
    Json::parse(text).map_err(|error| {
        let before = &text[..error.at.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        let at = mark + before.len();
        Wrong { kind: "JSON", at, line, column, message: error.message.to_owned() }
    })
}

/// Tells operators what is read past, in one line.
fn doubt(schemas: &Schemas, of: &str) {
    let doubts = &schemas.doubts;
    if doubts.is_empty() {
        return;
    }
    let told = doubts.iter().take(MAX_FAULTS).map(|(at, message)| format!("{at}: {message}"));
    let told: Vec<String> = told.collect();
    let more = match doubts.len().saturating_sub(MAX_FAULTS) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    log::warn!(
        "{of} has keywords that are no condition: {}{more} (`unknown_keywords`)",
        told.join("; ")
    );
}

/// Faults of a document: at their places, if it stands in the configuration itself, and else in words.
fn told(at: &str, faults: Vec<(String, String)>, is_inside: bool) -> ConfigError {
    let more = faults.len().saturating_sub(MAX_FAULTS);
    let told = faults.into_iter().take(MAX_FAULTS).map(|(pointer, message)| {
        if is_inside {
            ConfigError::at(format!("{at}{pointer}"), message)
        } else {
            ConfigError::at(
                at,
                format!("{}: {message}", if pointer.is_empty() { "/" } else { &pointer }),
            )
        }
    });
    let rest = (more > 0).then(|| ConfigError::at(at, format!("and {more} more")));
    let all = told.chain(rest).reduce(ConfigError::join);
    all.unwrap_or_else(|| ConfigError::at(at, "cannot be read"))
}
