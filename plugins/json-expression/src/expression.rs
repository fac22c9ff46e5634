//! An expression in the jq language, compiled once and run for each body.
//!
//! Owns the interpreter: what is outside of this file does not know that it is jaq. An expression has
//! no files, no modules and no environment. What bounds it in time and memory is the hook that runs it.

use std::fmt;

use gateway_plugin_sdk::log;
use jaq_core::data::JustLut;
use jaq_core::load::{Arena, Error as LoadError, File, Loader, span};
use jaq_core::{Compiler, Ctx, Native, Vars};
use jaq_json::{Map, Val, read};
use serde_json::value::RawValue;

/// What an expression can ask of the message, each only if its text names it.
const NAMES: [&str; 6] = ["$method", "$path", "$query", "$status", "$headers", "$attributes"];

/// Arrays and objects inside one another, at most: the interpreter reads them by recursion.
const DEPTH: usize = 256;

type Compiled = jaq_core::compile::Filter<Native<JustLut<Val>>>;

/// A compiled expression.
pub(crate) struct Expression {
    compiled: Compiled,
    uses: [bool; NAMES.len()],
    headers: Vec<String>,
    attributes: Vec<String>,
}

/// What the message says, read only if the expression uses it.
pub(crate) struct Variables<'a> {
    pub(crate) method: &'a dyn Fn() -> Option<String>,
    pub(crate) path: &'a dyn Fn() -> Option<String>,
    pub(crate) query: &'a dyn Fn() -> Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) header: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) attribute: &'a dyn Fn(&str) -> Option<String>,
}

/// Why there is no new body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NotJson(String),
    Expression(String),
}

impl Expression {
    /// Compiles an expression. The errors say where in it they are.
    pub(crate) fn compile(
        source: &str,
        headers: &[String],
        attributes: &[String],
        has_status: bool,
    ) -> Result<Self, Vec<String>> {
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let arena = Arena::default();
        let file = File { code: source, path: () };
        let modules = Loader::new(defs).load(&arena, file).map_err(|errors| {
            errors.iter().flat_map(|(_, error)| load_errors(source, error)).collect::<Vec<_>>()
        })?;
        let names = NAMES.into_iter().filter(|name| has_status || *name != "$status");
        let compiler = Compiler::default().with_funs(funs).with_global_vars(names);
        let compiled = compiler.compile(modules).map_err(|errors| {
            let faults = errors.into_iter().flat_map(|(_, faults)| faults);
            let fault = |(name, kind): (&str, jaq_core::compile::Undefined)| {
                format!("{}: there is no {} `{name}`", place(source, name), kind.as_str())
            };
            faults.map(fault).collect::<Vec<_>>()
        })?;
        Ok(Self {
            compiled,
            uses: NAMES.map(|name| source.contains(name) && (has_status || name != "$status")),
            headers: headers.to_vec(),
            attributes: attributes.to_vec(),
        })
    }

    /// What a body becomes, as JSON text.
    pub(crate) fn run(&self, body: &[u8], head: &Variables<'_>) -> Result<String, Failure> {
        let input = parse(body).map_err(Failure::NotJson)?;
        let vars = Vars::new(self.variables(head));
        let context = Ctx::<JustLut<Val>>::new(&self.compiled.lut, vars);
        let mut outputs = self.compiled.id.run((context, input));
        let failed = |reason: &str| Failure::Expression(reason.to_owned());
        let output = match outputs.next() {
            None => return Err(failed("it gives no value")),
            Some(Ok(output)) => output,
            Some(Err(raised)) => {
                return Err(match raised.get_err() {
                    // What it says has values of the body, which belong into no log.
                    Ok(error) => {
                        log::debug!("the expression fails: {error}");
                        failed("it fails on the body; at `debug` the log says on which value")
                    }
                    Err(_) => failed("it halts"),
                });
            }
        };
        if outputs.next().is_some() {
            return Err(failed("it gives more than one value; `[...]` makes them a list"));
        }
        let text = output.to_string();
        // Some of its values have no form in JSON, such as an object whose names are numbers.
        if serde_json::from_str::<&RawValue>(&text).is_err() {
            return Err(failed("it gives a value that JSON does not have"));
        }
        Ok(text)
    }

    /// The values of the global variables, in the order of their names.
    fn variables(&self, head: &Variables<'_>) -> Vec<Val> {
        let text = |value: Option<String>| value.map_or(Val::Null, Val::from);
        let object = |names: &[String], value: &dyn Fn(&str) -> Option<String>| {
            let member = |name: &String| (Val::from(name.clone()), text(value(name)));
            Val::obj(names.iter().map(member).collect::<Map>())
        };
        let mut variables = Vec::with_capacity(NAMES.len());
        for (name, is_used) in NAMES.into_iter().zip(self.uses) {
            variables.push(match name {
                "$status" => match head.status {
                    Some(status) => Val::from(usize::from(status)),
                    // It is no variable of requests.
                    None => continue,
                },
                _ if !is_used => Val::Null,
                "$method" => text((head.method)()),
                "$path" => text((head.path)()),
                "$query" => text((head.query)()),
                "$headers" => object(&self.headers, head.header),
                _ => object(&self.attributes, head.attribute),
            });
        }
        variables
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Expression").field("uses", &self.uses).finish_non_exhaustive()
    }
}

fn parse(body: &[u8]) -> Result<Val, String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    // The interpreter reads more than JSON, and bytes that are no UTF-8.
    let text = serde_json::from_slice::<&RawValue>(body).map_err(|error| error.to_string())?.get();
    if is_deep(text) {
        return Err(format!("arrays and objects are nested deeper than {DEPTH}"));
    }
    read::parse_single(text.as_bytes()).map_err(|error| error.to_string())
}

fn is_deep(text: &str) -> bool {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => depth += 1,
            b']' | b'}' if !is_string => depth -= 1,
            _ => {}
        }
        if depth > DEPTH {
            return true;
        }
    }
    false
}

fn load_errors(source: &str, error: &LoadError<&str>) -> Vec<String> {
    let fault = |expected: &str, found: &str| {
        let first = found.lines().next().unwrap_or_default();
        let found = match first.chars().take(20).collect::<String>() {
            start if start.is_empty() => "its end".to_owned(),
            start => format!("`{start}`"),
        };
        format!("{expected} is expected in front of {found}")
    };
    let at = |part: &str, message: String| format!("{}: {message}", place(source, part));
    match error {
        LoadError::Io(errors) => errors
            .iter()
            .map(|(part, _)| at(part, "modules cannot be imported here".to_owned()))
            .collect(),
        LoadError::Lex(errors) => errors
            .iter()
            .map(|(expected, found)| at(found, fault(expected.as_str(), found)))
            .collect(),
        LoadError::Parse(errors) => errors
            .iter()
            .map(|(expected, found)| at(found, fault(expected.as_str(), found)))
            .collect(),
    }
}

/// Where in the expression a part of it begins.
fn place(source: &str, part: &str) -> String {
    let inside = source.as_bytes().as_ptr_range();
    let is_inside = part.as_ptr() >= inside.start && part.as_ptr() <= inside.end;
    let before = if is_inside { &source[..span(source, part).start] } else { "" };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column} of the expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Variables<'_> = Variables {
        method: &|| Some("PUT".to_owned()),
        path: &|| Some("/a".to_owned()),
        query: &|| None,
        status: Some(404),
        header: &|name| (name == "x-a").then(|| "1".to_owned()),
        attribute: &|name| Some(format!("<{name}>")),
    };

    fn compile(source: &str) -> Result<Expression, Vec<String>> {
        Expression::compile(
            source,
            &["x-a".to_owned(), "x-b".to_owned()],
            &["consumer.id".to_owned()],
            true,
        )
    }

    fn run(source: &str, body: &str) -> Result<String, Failure> {
        compile(source).unwrap().run(body.as_bytes(), &HEAD)
    }

    #[test]
    fn numbers_keep_their_digits_and_members_their_order() {
        let body = r#"{"z":1.0,"b":12345678901234567890.123,"a":1e400,"i":123456789012345678901234567890,"f":1.50,"s":"\u00e9\n"}"#;
        let after = body.replace("\\u00e9", "é");
        assert_eq!(run(".", body), Ok(after.clone()));
        assert_eq!(run("{data: .}", body), Ok(format!("{{\"data\":{after}}}")));
        assert_eq!(
            run(".n = .i + 1 | {n}", body),
            Ok("{\"n\":123456789012345678901234567891}".to_owned())
        );
    }

    #[test]
    fn expressions_see_the_message() {
        assert_eq!(
            run("[$method, $path, $query, $status, $headers, $attributes]", "0"),
            Ok(r#"["PUT","/a",null,404,{"x-a":"1","x-b":null},{"consumer.id":"<consumer.id>"}]"#
                .to_owned())
        );
        let request = Expression::compile("[$path, $attributes]", &[], &[], false).unwrap();
        let head = Variables { status: None, ..HEAD };
        assert_eq!(request.run(b"0", &head), Ok(r#"["/a",{}]"#.to_owned()));
        assert!(Expression::compile("$status", &[], &[], false).is_err());
    }

    #[test]
    fn what_the_standard_library_has_works() {
        let body = r#"{"items":[{"n":2,"p":1.5},{"n":1,"p":4}],"t":"a-b"}"#;
        for (source, after) in [
            ("[.items[] | .n * .p] | add", "7.0"),
            (".items | sort_by(.n) | map(.n)", "[1,2]"),
            (".t | split(\"-\") | join(\"/\")", "\"a/b\""),
            (".t | test(\"^a\")", "true"),
            (".t | gsub(\"-\"; \"+\")", "\"a+b\""),
            (".t | @base64", "\"YS1i\""),
            ("del(.items[].p) | .items", "[{\"n\":2},{\"n\":1}]"),
            ("with_entries(select(.key == \"t\"))", "{\"t\":\"a-b\"}"),
            ("0 | todate", "\"1970-01-01T00:00:00Z\""),
            (".t | ltrimstr(\"a-\")", "\"b\""),
        ] {
            assert_eq!(run(source, body), Ok(after.to_owned()), "{source}");
        }
    }

    #[test]
    fn faults_say_where_they_are() {
        for (source, place, part) in [
            (".a | ", "line 1, column 6", "term"),
            (".a\n| foo(1)", "line 2, column 3", "filter `foo`"),
            (".a + $nothing", "line 1, column 6", "variable `$nothing`"),
            ("\"abc", "line 1, column", ""),
            ("import \"x\" as x; .", "line 1, column", "modules"),
        ] {
            let faults = compile(source).unwrap_err();
            assert!(faults[0].starts_with(place), "{source}: {faults:?}");
            assert!(faults[0].contains(part), "{source}: {faults:?}");
        }
        assert_eq!(compile("foo + bar").unwrap_err().len(), 2);
    }

    #[test]
    fn a_body_that_does_not_fit_is_a_failure_and_never_ends_the_process() {
        for (source, part) in [
            ("empty", "no value"),
            (".[]", "more than one"),
            (".a + {}", "fails on the body"),
            ("error(.a)", "fails on the body"),
            ("halt", "halts"),
            ("{(1|tostring): 1} | .[\"1\"] = nan | .", "JSON does not have"),
            ("{(1): 2}", ""),
        ] {
            match run(source, r#"{"a":1,"b":2}"#) {
                Err(Failure::Expression(reason)) => {
                    assert!(reason.contains(part), "{source}: {reason}")
                }
                other => panic!("{source}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_json_is_read_and_only_so_deep() {
        for body in ["", "{", "{} {}", "nan", "# a\n1", "'a'", "{a:1}", "\u{feff}\u{feff}1"] {
            assert!(matches!(run(".", body), Err(Failure::NotJson(_))), "{body:?}");
        }
        assert!(matches!(compile(".").unwrap().run(b"\"\xFF\"", &HEAD), Err(Failure::NotJson(_))));
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(run(".", &nested(DEPTH)), Ok(nested(DEPTH)));
        assert!(matches!(run(".", &nested(DEPTH + 1)), Err(Failure::NotJson(_))));
        assert!(matches!(run(".", &nested(500_000)), Err(Failure::NotJson(_))));
        assert_eq!(
            run("\u{feff}".trim_start_matches('\u{feff}').len().to_string().as_str(), "\u{feff}1"),
            Ok("0".to_owned())
        );
        assert_eq!(run("length", &format!("\"{}\\\"\"", "[".repeat(1000))), Ok("1001".to_owned()));
    }
}
