//! Reads an OpenAPI document, 3.0 or 3.1, into what is checked.
//!
//! What is not supported is refused by name, at its place.

use std::collections::BTreeMap;

use crate::config::UnknownKeywords;
use crate::json::{Json, escape};
use crate::parameters::{Parameter, Place, Style};
use crate::plan::{
    BodyRule, Content, Operation, Paths, Plan, Routes, Segment, Statuses, decoded, essence, is_json,
};
use crate::schema::{Compiler, Dialect, Id};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Header fields that are described elsewhere in a document, and no parameters.
const NO_PARAMETERS: [&str; 3] = ["accept", "authorization", "content-type"];

/// Reads a document. What is wrong comes with a JSON Pointer into it.
pub(crate) fn read(
    document: &Json,
    base: &str,
    (formats, unknown): (bool, UnknownKeywords),
) -> Result<Plan, Vec<(String, String)>> {
    let version = document.get("openapi").and_then(Json::text).unwrap_or_default();
    let is_openapi_3_0 = version.starts_with("3.0.");
    if !is_openapi_3_0 && !version.starts_with("3.1.") {
        let message =
            "an OpenAPI document of the version 3.0 or 3.1 is expected: `\"openapi\": \"3.1.0\"`";
        return Err(vec![("/openapi".to_owned(), message.to_owned())]);
    }
    let compiler = Compiler::new(document, Dialect { is_openapi_3_0, formats, unknown });
    let paths = Paths::new(base.trim_end_matches('/'));
    let mut reader = Reader { compiler, operations: Vec::new(), paths };
    match document.get("paths") {
        Some(Json::Object(items)) => {
            for template in items.keys() {
                reader.path(template, &format!("/paths/{}", escape(template)));
            }
        }
        _ => reader.compiler.fault("/paths", "a document has `paths`"),
    }
    let Reader { compiler, operations, paths } = reader;
    let schemas = compiler.finish()?;
    Ok(Plan { schemas, response_schemas: None, operations, routes: Routes::Paths(paths) })
}

struct Reader<'a> {
    compiler: Compiler<'a>,
    operations: Vec<Operation>,
    paths: Paths,
}

impl<'a> Reader<'a> {
    fn path(&mut self, template: &str, pointer: &str) {
        let segments = match segments(template) {
            Ok(segments) => segments,
            Err(message) => return self.compiler.fault(pointer, message),
        };
        let Some((pointer, item)) = self.compiler.follow(pointer) else { return };
        let mut methods = BTreeMap::new();
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let at = format!("{pointer}/{method}");
            let operation = self.operation(item, &pointer, operation, &at, &segments);
            methods.insert(method.to_ascii_uppercase(), self.operations.len());
            self.operations.push(operation);
        }
        self.paths.add(segments, methods);
    }

    fn operation(
        &mut self,
        item: &'a Json,
        item_at: &str,
        operation: &'a Json,
        at: &str,
        segments: &[Segment],
    ) -> Operation {
        // Those of the operation come first, and in place of those of the path.
        let mut parameters: Vec<Parameter> = Vec::new();
        for (holder, at) in [(operation, at), (item, item_at)] {
            let Some(Json::Array(items)) = holder.get("parameters") else { continue };
            for index in 0..items.len() {
                let Some(parameter) = self.parameter(&format!("{at}/parameters/{index}")) else {
                    continue;
                };
                let is_known =
                    |it: &Parameter| it.name == parameter.name && it.place == parameter.place;
                if !parameters.iter().any(is_known) {
                    parameters.push(parameter);
                }
            }
        }
        for segment in segments {
            if let Segment::Capture { name, .. } = segment {
                let is_it = |it: &Parameter| it.place == Place::Path && it.name == *name;
                if !parameters.iter().any(is_it) {
                    let message = format!(
                        "the path has `{{{name}}}`, and there is no such parameter in `path`"
                    );
                    self.compiler.fault(at, message);
                }
            }
        }
        let body =
            operation.get("requestBody").and_then(|_| self.body(&format!("{at}/requestBody")));
        let mut responses = Vec::new();
        if let Some(Json::Object(members)) = operation.get("responses") {
            for name in members.keys().filter(|name| !name.starts_with("x-")) {
                let at = format!("{at}/responses/{name}");
                let Some(statuses) = Statuses::parse(name) else {
                    self.compiler.fault(
                        &at,
                        "a response is named by its status, such as 200, 4XX or default",
                    );
                    continue;
                };
                if let Some((at, response)) = self.compiler.follow(&at) {
                    responses.push((statuses, self.content(response, &at)));
                }
            }
        }
        Operation { parameters, body, responses }
    }

    fn body(&mut self, at: &str) -> Option<BodyRule> {
        let (at, body) = self.compiler.follow(at)?;
        let is_required = body.get("required").and_then(Json::bool) == Some(true);
        Some(BodyRule { is_required, content: self.content(body, &at) })
    }

    fn content(&mut self, holder: &'a Json, at: &str) -> Content {
        let Some(Json::Object(types)) = holder.get("content") else { return Content::default() };
        let mut content = Content::default();
        for (name, media) in types {
            let range = essence(name);
            let has_schema = media.get("schema").is_some();
            let schema = format!("{at}/content/{}/schema", escape(name));
            let is_checked = has_schema && (is_json(&range) || range.ends_with('*'));
            let id = is_checked.then(|| self.compiler.schema(&schema));
            content.types.push((range, id));
        }
        content
    }

    fn parameter(&mut self, at: &str) -> Option<Parameter> {
        let (at, parameter) = self.compiler.follow(at)?;
        let text = |name: &str| parameter.get(name).and_then(Json::text);
        let (Some(name), Some(place)) = (text("name"), text("in")) else {
            self.compiler.fault(&at, "a parameter has a `name` and says where it is (`in`)");
            return None;
        };
        let place = match place {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            _ => {
                self.compiler
                    .fault(&format!("{at}/in"), "a parameter is in path, query, header or cookie");
                return None;
            }
        };
        if place == Place::Header && NO_PARAMETERS.iter().any(|it| name.eq_ignore_ascii_case(it)) {
            return None;
        }
        let flag = |name: &str| parameter.get(name).and_then(Json::bool);
        let is_required = flag("required") == Some(true) || place == Place::Path;
        let (schema, style) = match parameter.get("content") {
            Some(Json::Object(types)) => {
                let (name, _) = types.first_key_value()?;
                if !is_json(&essence(name)) {
                    self.compiler.fault(&format!("{at}/content"), "parameters are texts or JSON");
                    return None;
                }
                (format!("{at}/content/{}/schema", escape(name)), Some(Style::Json))
            }
            _ => (format!("{at}/schema"), None),
        };
        if parameter.get("schema").is_none() && style.is_none() {
            self.compiler.fault(&at, "a parameter has a `schema`");
            return None;
        }
        let schema = self.compiler.schema(&schema);
        let style = match style {
            Some(style) => style,
            None => self.style(place, text("style"), flag("explode"), schema, &at)?,
        };
        let name = if place == Place::Header { name.to_ascii_lowercase() } else { name.to_owned() };
        Some(Parameter { name, place, is_required, style, schema })
    }

    fn style(
        &mut self,
        place: Place,
        style: Option<&str>,
        explode: Option<bool>,
        schema: Id,
        at: &str,
    ) -> Option<Style> {
        let default = if matches!(place, Place::Query | Place::Cookie) { "form" } else { "simple" };
        let style = style.unwrap_or(default);
        let explode = explode.unwrap_or(style == "form");
        let is_object = self.compiler.wants(schema, "object");
        let is_array = self.compiler.wants(schema, "array");
        let found = match (style, place) {
            ("deepObject", Place::Query) => Some(Style::Deep),
            _ if is_object => None,
            ("simple", Place::Path | Place::Header) | ("form", Place::Cookie) if is_array => {
                Some(Style::Separated(','))
            }
            ("form", Place::Query) if is_array && explode => Some(Style::Repeated),
            ("form", Place::Query) if is_array => Some(Style::Separated(',')),
            ("spaceDelimited", Place::Query) if is_array && !explode => Some(Style::Separated(' ')),
            ("pipeDelimited", Place::Query) if is_array && !explode => Some(Style::Separated('|')),
            ("spaceDelimited" | "pipeDelimited", Place::Query) if is_array => Some(Style::Repeated),
            ("simple", Place::Path | Place::Header) | ("form", Place::Query | Place::Cookie) => {
                Some(Style::Plain)
            }
            _ => None,
        };
        if found.is_none() {
            let what = if is_object { "an object" } else { "a value" };
            let message =
                format!("{what} in {} with the style `{style}` is not supported", place.name());
            self.compiler.fault(at, message);
        }
        found
    }
}

fn segments(template: &str) -> Result<Vec<Segment>, String> {
    let Some(rest) = template.strip_prefix('/') else {
        return Err("a path begins with `/`".to_owned());
    };
    let segment = |text: &str| -> Result<Segment, String> {
        let Some((before, inner)) = text.split_once('{') else {
            return Ok(Segment::Literal(decoded(text)));
        };
        match inner.split_once('}') {
            Some((name, after)) if !name.is_empty() && !after.contains(['{', '}']) => {
                Ok(Segment::Capture {
                    before: decoded(before),
                    name: name.to_owned(),
                    after: decoded(after),
                })
            }
            _ => Err(format!("`{text}` has more than one parameter, or one without an end")),
        }
    };
    rest.split('/').map(segment).collect()
}
