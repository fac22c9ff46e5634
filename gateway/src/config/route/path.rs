//! Path patterns.
//!
//! Owns their notation and the normal form of their literals: unreserved characters are decoded,
//! every other escape is in upper case (RFC 3986 section 6.2.2).

use std::ops::Range;

use crate::config::diagnostic::Diagnostic;
use crate::config::fault::Fault;
use crate::config::reader::{Table, Text};
use crate::config::{PathPattern, Segment, Span};

/// Names that templates give their own meaning.
const RESERVED: [&str; 4] = ["host", "authority", "path", "query"];

/// The patterns of a route.
pub(in crate::config) struct Paths {
    /// Those that parse.
    pub(super) patterns: Vec<(PathPattern, Span)>,
    /// Whether all of them do.
    pub(super) complete: bool,
}

impl Paths {
    /// The place of each pattern.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.patterns.iter().map(|(_, span)| span.clone()).collect()
    }

    /// The names that every pattern captures.
    pub(super) fn captures(&self) -> Vec<&str> {
        let Some((first, rest)) = self.patterns.split_first() else {
            return Vec::new();
        };
        let everywhere = |name: &&str| rest.iter().all(|(pattern, _)| captures(pattern, name));
        first.0.segments.iter().filter_map(Segment::capture).filter(everywhere).collect()
    }

    /// Whether a pattern captures this, as far as that is known.
    pub(in crate::config) fn may_capture(&self, name: &str) -> bool {
        !self.complete || self.patterns.iter().any(|(pattern, _)| captures(pattern, name))
    }

    /// A pattern without this capture.
    pub(super) fn without(&self, name: &str) -> Option<&(PathPattern, Span)> {
        self.patterns.iter().find(|(pattern, _)| !captures(pattern, name))
    }
}

fn captures(pattern: &PathPattern, name: &str) -> bool {
    pattern.segments.iter().any(|segment| segment.capture() == Some(name))
}

impl Segment {
    /// The name that it captures.
    fn capture(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Param(name) | Self::Verb(name, _) | Self::Rest(name) => Some(name),
        }
    }
}

/// Reads `paths`. A pattern that is twice is kept once, with a warning.
pub(super) fn list(table: &Table<'_, '_>) -> Paths {
    let mut paths = Paths { patterns: Vec::new(), complete: true };
    let Some(items) = table.filled_list("paths") else {
        return Paths { complete: false, ..paths };
    };
    for item in items {
        let text = table.reading.text(item, "a path");
        let pattern = text.as_ref().and_then(|text| table.reading.parsed(text, "a path", parse));
        let Some((text, mut pattern)) = text.zip(pattern) else {
            paths.complete = false;
            continue;
        };
        pattern.text.clone_from(&text.shown);
        warn_of_foreign_notation(table, &text, &pattern);
        let same =
            |(earlier, _): &&(PathPattern, Span)| super::shape(earlier) == super::shape(&pattern);
        match paths.patterns.iter().find(same) {
            Some((_, earlier)) => table.reading.report(
                Diagnostic::warning(text.span, "this path is listed twice")
                    .related(earlier.clone(), "first here"),
            ),
            None => paths.patterns.push((pattern, text.span)),
        }
    }
    paths
}

/// `:id` and `*` are literals here, but captures and wildcards elsewhere.
fn warn_of_foreign_notation(table: &Table<'_, '_>, text: &Text, pattern: &PathPattern) {
    for segment in pattern.segments.iter().filter(|_| !text.is_secret()) {
        let Segment::Literal(literal) = segment else {
            continue;
        };
        let meant = match literal.strip_prefix(':') {
            Some(name) if !name.is_empty() => format!("{{{name}}}"),
            _ if [".*", ".+", "*", "**", "(.*)", "(.+)", ".*$", "(.*)$"]
                .contains(&literal.as_str()) =>
            {
                "{*rest}".to_owned()
            }
            _ if looks_like_regex(literal) => {
                let warning = format!("`{literal}` matches only these characters themselves");
                let warning = Diagnostic::warning(text.span.clone(), warning);
                table.reading.report(warning.help(PATTERNS));
                continue;
            }
            _ => continue,
        };
        let warning = format!("`{literal}` matches only these characters themselves");
        let warning = Diagnostic::warning(text.span.clone(), warning);
        table.reading.report(warning.did_you_mean(Some(&meant)));
    }
}

/// What there is instead of regular expressions.
const PATTERNS: &str = "paths are no regular expressions: `{name}` takes one segment, `{*name}` at the end \
                        takes the rest";

/// Whether characters that may be in a path were meant as a regular expression.
fn looks_like_regex(literal: &str) -> bool {
    [".*", ".+", ")?", ")*", ")+"].iter().any(|it| literal.contains(it)) || literal.ends_with('$')
}

/// A regular expression, or the notation of another gateway, by how it begins or what is in it.
fn foreign(text: &str) -> Option<Fault> {
    let is_regex = text.starts_with(['^', '~'])
        || text.contains(['\\', '[', ']', '|'])
        || text.split('/').any(|segment| segment.contains('^'));
    let quote = text.chars().find(|c| "\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}".contains(*c));
    let whole = 0..text.len();
    match quote {
        Some(quote) => {
            let fault =
                format!("`{quote}` is a typographic quotation mark, and a part of the path here");
            Some(Fault::new(whole, fault).help("leave it out"))
        }
        None if is_regex => {
            Some(Fault::new(whole, "this looks like a regular expression").help(PATTERNS))
        }
        None => None,
    }
}

/// Parses a path pattern.
pub(super) fn parse(text: &str) -> Result<PathPattern, Fault> {
    if let Some(fault) = foreign(text) {
        return Err(fault);
    }
    if let Some((scheme, rest)) = text.split_once("://")
        && !scheme.contains('/')
    {
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        let fault = Fault::new(0..text.len(), "this is a URL, and a path is meant");
        return Err(
            fault.help(format!("write `{path}` here, and `hosts = [\"{host}\"]` beside it"))
        );
    }
    let Some(path) = text.strip_prefix('/') else {
        let fault = Fault::new(0..text.len(), "a path begins with `/`");
        return Err(fault.help(format!("write `/{text}`")));
    };
    let mut segments: Vec<Segment> = Vec::new();
    let mut start = 1;
    let count = path.split('/').count();
    for (index, segment) in path.split('/').enumerate() {
        let place = start..start + segment.len();
        start = place.end + 1;
        let last = index + 1 == count;
        let parsed = parse_segment(segment, place.clone(), last)?;
        let name = parsed.capture();
        if name.is_some() && segments.iter().any(|earlier| earlier.capture() == name) {
            return Err(Fault::new(
                place,
                format!("`{segment}` captures a name for the second time"),
            ));
        }
        segments.push(parsed);
    }
    Ok(PathPattern { text: text.to_owned(), segments })
}

fn parse_segment(segment: &str, place: Range<usize>, last: bool) -> Result<Segment, Fault> {
    if segment.is_empty() && !last {
        return Err(Fault::new(place.start - 1..place.end + 1, "a path has no empty segments")
            .help("a request's slashes are merged before it is matched: write one `/`"));
    }
    if let Some(name) = segment.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        // The notation of Flask and Django; `path` takes slashes there.
        let (kind, name) = name.split_once(':').unwrap_or(("", name));
        let capture =
            if kind == "path" && last { format!("{{*{name}}}") } else { format!("{{{name}}}") };
        let fault = Fault::new(place, format!("`{segment}` is how others write a capture"));
        return Err(fault.help(format!("write `{capture}`")));
    }
    if let Some((name, verb)) = segment.split_once("}:")
        && let Some(name) = name.strip_prefix('{')
        && !verb.contains(['{', '}'])
    {
        return with_verb(name, verb, place);
    }
    let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match inner {
        Some(name) => capture(name, place, last),
        None => match segment.find(['{', '}']) {
            Some(_) => Err(braces(segment, place)),
            None => literal(segment, place.start).map(Segment::Literal),
        },
    }
}

/// `{name}:verb`, as in methods of Google's APIs (AIP-136).
fn with_verb(name: &str, verb: &str, place: Range<usize>) -> Result<Segment, Fault> {
    let start = place.start + name.len() + "{}:".len();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if verb.is_empty() || !verb.chars().all(plain) {
        let fault = format!("`{verb}` is not what can be behind a capture and a colon");
        let end = start + verb.len();
        return Err(Fault::new(start - 1..end, fault)
            .help("letters, digits, `-`, `.`, `_` and `~`, as in `{model}:generate`"));
    }
    match capture(name, place.start..start - 1, false)? {
        Segment::Param(name) => Ok(Segment::Verb(name, verb.to_owned())),
        other => Ok(other),
    }
}

fn braces(segment: &str, place: Range<usize>) -> Fault {
    let balanced = segment.matches('{').count() == segment.matches('}').count();
    if balanced {
        let fault =
            Fault::new(place, format!("in `{segment}` a capture is only a part of a segment"));
        return fault.help("a capture takes a whole segment, as in `/{name}/`, or what is before `:verb`, as in `/{name}:verb`");
    }
    let at = segment.find(['{', '}']).unwrap_or_default() + place.start;
    Fault::new(at..at + 1, format!("the braces of `{segment}` are not balanced"))
        .help("a capture is written `{name}`; a literal brace `%7B` or `%7D`")
}

fn capture(inner: &str, place: Range<usize>, last: bool) -> Result<Segment, Fault> {
    let (name, rest) = match inner.strip_prefix('*') {
        Some(name) => (name, true),
        None => (inner, false),
    };
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        if inner.contains(['{', '}']) {
            return Err(braces(&format!("{{{inner}}}"), place));
        }
        let fault = Fault::new(place, format!("`{name}` is not a name for a capture"));
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(0);
        let (name, behind) = name.split_at(end);
        let help = match behind.chars().next() {
            Some(':') if !name.is_empty() => {
                Some(format!("a capture has no type or expression: write `{{{name}}}`"))
            }
            Some('+' | '*' | '.') if !name.is_empty() && last => {
                Some(format!("the rest of a path is `{{*{name}}}`"))
            }
            Some('?') if !name.is_empty() => Some(format!(
                "a capture cannot be left out: list two paths, with `{{{name}}}` and without"
            )),
            _ if inner == "*" || inner == "**" => Some("give it a name: `{*rest}`".to_owned()),
            _ => None,
        };
        if let Some(help) = help {
            return Err(fault.help(help));
        }
        return Err(fault.help("names have letters, digits and `_`, and begin with no digit"));
    }
    if RESERVED.contains(&name) {
        let fault = format!("`{name}` has its own meaning in redirects");
        return Err(Fault::new(place, fault).help("choose another name for the capture"));
    }
    if rest && !last {
        return Err(Fault::new(place, format!("`{{*{name}}}` is allowed only at the end")));
    }
    Ok(if rest { Segment::Rest(name.to_owned()) } else { Segment::Param(name.to_owned()) })
}

/// The normal form of a literal segment that is at this place of its path.
fn literal(segment: &str, start: usize) -> Result<String, Fault> {
    let mut normal = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(c) = rest.chars().next() {
        let at = start + segment.len() - rest.len();
        let mut taken = c.len_utf8();
        match c {
            '%' => {
                let escape = rest.get(1..3).and_then(|digits| hexadecimal(digits.as_bytes()));
                let Some(byte) = escape else {
                    return Err(Fault::new(
                        at..at + 1,
                        "`%` is not followed by two hexadecimal digits",
                    )
                    .help("a literal `%` is written `%25`"));
                };
                push_normal(&mut normal, byte);
                taken = 3;
            }
            _ if !c.is_ascii() => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_normal(&mut normal, byte));
            }
            _ if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c) => normal.push(c),
            '?' => {
                return Err(Fault::new(at..at + 1, "a path has no query")
                    .help("match query parameters with `query = { name = \"value\" }`"));
            }
            _ => {
                let fault = format!("`{}` is not allowed in a path", c.escape_default());
                return Err(
                    Fault::new(at..at + 1, fault).help(format!("write `%{:02X}`", u32::from(c)))
                );
            }
        }
        rest = &rest[taken..];
    }
    if normal == "." || normal == ".." {
        let fault = format!("a path has no `{normal}` segments");
        return Err(Fault::new(start..start + segment.len(), fault)
            .help("they are resolved before a request is matched"));
    }
    Ok(normal)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn push_normal(normal: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        normal.push(char::from(byte));
    } else {
        normal.push_str(&format!("%{byte:02X}"));
    }
}

/// A path without captures in normal form, without a slash at the end; for prefixes.
pub(super) fn prefix(text: &str) -> Result<String, Fault> {
    let pattern = parse(text)?;
    let mut normal = String::new();
    for segment in &pattern.segments {
        match segment {
            Segment::Literal(literal) if literal.is_empty() => {}
            Segment::Literal(literal) => {
                normal.push('/');
                normal.push_str(literal);
            }
            Segment::Param(_) | Segment::Verb(..) | Segment::Rest(_) => {
                return Err(Fault::new(0..text.len(), "a prefix has no captures")
                    .help("`path` takes captures"));
            }
        }
    }
    if normal.is_empty() {
        return Err(Fault::new(0..text.len(), "a prefix has at least one segment")
            .help("leave it out to change nothing"));
    }
    Ok(normal)
}

/// Whether a path that fits the pattern can begin with this prefix.
pub(super) fn can_begin_with(pattern: &PathPattern, prefix: &str) -> bool {
    let mut segments = pattern.segments.iter();
    for wanted in prefix.split('/').skip(1) {
        match segments.next() {
            Some(Segment::Literal(literal)) if literal != wanted => return false,
            Some(Segment::Verb(_, verb)) if !is_verb_of(wanted, verb) => return false,
            Some(Segment::Literal(_) | Segment::Param(_) | Segment::Verb(..)) => {}
            Some(Segment::Rest(_)) => return true,
            None => return false,
        }
    }
    true
}

fn is_verb_of(segment: &str, verb: &str) -> bool {
    let name = segment.strip_suffix(verb).and_then(|front| front.strip_suffix(':'));
    name.is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> Vec<Segment> {
        parse(text).expect(text).segments
    }

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.to_owned())
    }

    #[test]
    fn reads_literals_captures_and_rests() {
        assert_eq!(segments("/"), [literal("")]);
        assert_eq!(segments("/a/"), [literal("a"), literal("")]);
        assert_eq!(segments("/{*rest}"), [Segment::Rest("rest".to_owned())]);
        let order = [literal("orders"), Segment::Param("id".to_owned()), literal("x")];
        assert_eq!(segments("/orders/{id}/x"), order);
        let verb = Segment::Verb("model".to_owned(), "generate".to_owned());
        assert_eq!(segments("/models/{model}:generate"), [literal("models"), verb]);
    }

    #[test]
    fn brings_literals_into_normal_form() {
        assert_eq!(
            segments("/%61%2f%c3%a4/ä/a+b:c"),
            [literal("a%2F%C3%A4"), literal("%C3%A4"), literal("a+b:c")]
        );
    }

    #[test]
    fn says_where_a_path_goes_wrong() {
        let place = |text: &str| text[parse(text).expect_err(text).place].to_owned();
        assert_eq!(place("orders"), "orders");
        assert_eq!(place(""), "");
        assert_eq!(place("/a//b"), "//");
        assert_eq!(place("//"), "//");
        assert_eq!(place("/a/../b"), "..");
        assert_eq!(place("/a/%2E"), "%2E");
        assert_eq!(place("/a/{id"), "{");
        assert_eq!(place("/a/id}"), "}");
        assert_eq!(place("/a/x{id}"), "x{id}");
        assert_eq!(place("/a/{id}{b}"), "{id}{b}");
        assert_eq!(place("/a/{}"), "{}");
        assert_eq!(place("/a/{}:b"), "{}");
        assert_eq!(place("/a/{b}:"), ":");
        assert_eq!(place("/a/{b}:c:d"), ":c:d");
        assert_eq!(place("/a/{*b}:c"), "{*b}");
        assert_eq!(place("/a/{1}"), "{1}");
        assert_eq!(place("/a/{host}"), "{host}");
        assert_eq!(place("/{*a}/b"), "{*a}");
        assert_eq!(place("/{a}/{a}"), "{a}");
        assert_eq!(place("/a?b=c"), "?");
        assert_eq!(place("/a b"), " ");
        assert_eq!(place("/%zz"), "%");
        assert_eq!(place("/ü/%e"), "%");
    }

    #[test]
    fn advises_who_writes_as_elsewhere() {
        let help = |text: &str| parse(text).expect_err(text).help.expect(text);
        for text in ["^/api/.*$", "~ ^/x", "/users/[0-9]+", "/a/(b|c)", "/v\\d+"] {
            assert!(help(text).contains("no regular expressions"), "{text}");
        }
        assert!(help("/users/{id:[a-z]+}").contains("no regular expressions"));
        assert!(help("/users/{id:int}").contains("write `{id}`"));
        assert!(help("/files/{rest...}").contains("`{*rest}`"));
        assert!(help("/files/{proxy+}").contains("`{*proxy}`"));
        assert!(help("/files/{*}").contains("`{*rest}`"));
        assert!(help("/users/{id?}").contains("list two paths"));
        assert!(help("/users/<id>").contains("write `{id}`"));
        assert!(help("\u{201c}/a\u{201d}").contains("leave it out"));
    }

    #[test]
    fn knows_which_paths_can_begin_with_a_prefix() {
        let can = |pattern, prefix| can_begin_with(&parse(pattern).expect(pattern), prefix);
        assert!(can("/api/{*rest}", "/api"));
        assert!(can("/{*rest}", "/api/v1"));
        assert!(can("/{version}/x", "/v1"));
        assert!(can("/api", "/api"));
        assert!(!can("/apis/{*rest}", "/api"));
        assert!(!can("/api", "/api/v1"));
    }

    #[test]
    fn reads_prefixes_without_their_last_slash() {
        assert_eq!(prefix("/api/").as_deref(), Ok("/api"));
        assert!(prefix("/").is_err());
        assert!(prefix("/{a}").is_err());
    }
}
