//! `${env:NAME}` and `${file:PATH}` inside strings.
//!
//! Owns the notation and the look-up. What it fills in is taken for a secret: its errors name the
//! place and never the value.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use super::source::{MAX_FILE, read_bounded};

/// Where values come from.
pub(super) struct Sources<'a> {
    /// A variable of the environment, if it is set.
    pub(super) environment: &'a dyn Fn(&str) -> Option<OsString>,
    /// The folder for relative paths.
    pub(super) folder: &'a Path,
}

/// A string with its placeholders filled in.
pub(super) struct Filled {
    pub(super) value: String,
    /// Each value with the placeholder that it replaced.
    pub(super) secrets: Vec<(String, String)>,
}

/// A placeholder that cannot be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfilled {
    /// Where the placeholder is in the string.
    pub(super) place: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Whose placeholders a string may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    /// The gateway's alone: any other is an error.
    Gateway,
    /// A plugin's too, in its `config`: what is not the gateway's is left to the letter, `$${`
    /// included, for the plugin to read.
    Plugin,
}

impl Notation {
    /// Whether the gateway reads what begins here with `${`.
    fn reads(self, rest: &str) -> bool {
        self == Self::Gateway || rest.starts_with("${env:") || rest.starts_with("${file:")
    }
}

/// Fills in every placeholder; `$${` means `${`. All that cannot be filled in are errors.
pub(super) fn fill(
    text: &str,
    sources: &Sources<'_>,
    notation: Notation,
) -> Result<Filled, Vec<Unfilled>> {
    let mut value = String::with_capacity(text.len());
    let mut secrets = Vec::new();
    let mut errors = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find("${").map(|found| at + found) {
        if !notation.reads(&text[dollar..]) {
            value.push_str(&text[at..dollar + 2]);
            at = dollar + 2;
            continue;
        }
        if dollar > at && text.as_bytes()[dollar - 1] == b'$' {
            value.push_str(&text[at..dollar - 1]);
            value.push_str("${");
            at = dollar + 2;
            continue;
        }
        value.push_str(&text[at..dollar]);
        let Some(end) = text[dollar..].find('}').map(|found| dollar + found + 1) else {
            errors.push(Unfilled {
                place: dollar..text.len(),
                message: "`${` has no closing brace".to_owned(),
                help: Some("write `$${` for these two characters themselves".to_owned()),
            });
            at = text.len();
            break;
        };
        match look_up(&text[dollar..end], sources) {
            Ok(secret) => {
                value.push_str(&secret);
                secrets.push((secret, text[dollar..end].to_owned()));
            }
            Err((message, help)) => errors.push(Unfilled { place: dollar..end, message, help }),
        }
        at = end;
    }
    value.push_str(&text[at..]);
    if errors.is_empty() { Ok(Filled { value, secrets }) } else { Err(errors) }
}

/// The files that a text names.
pub(super) fn files(text: &str) -> impl Iterator<Item = &str> {
    let named = text.match_indices("${file:").filter_map(|(at, opening)| {
        let path = &text[at + opening.len()..];
        (at == 0 || text.as_bytes()[at - 1] != b'$').then(|| path.split_once('}'))?
    });
    named.map(|(path, _)| path).filter(|path| !path.is_empty())
}

fn look_up(placeholder: &str, sources: &Sources<'_>) -> Result<String, (String, Option<String>)> {
    let inner = &placeholder[2..placeholder.len() - 1];
    match inner.split_once(':') {
        Some(("env", name)) if !name.is_empty() => {
            let value = (sources.environment)(name).ok_or_else(|| unset(name, placeholder))?;
            value.into_string().map_err(|_| {
                let message =
                    format!("the variable `{name}` of the environment is not text in UTF-8");
                (message, Some("encode what is no text, for example in base64".to_owned()))
            })
        }
        Some(("file", path)) if !path.is_empty() => {
            let whole = sources.folder.join(path);
            contents(&whole).map_err(|why| {
                let help = path
                    .starts_with("~/")
                    .then(|| "`~` means nothing here: write the whole path".to_owned());
                (format!("the file `{}` {why}", whole.display()), help)
            })
        }
        _ => Err((
            format!("`{placeholder}` is neither `${{env:NAME}}` nor `${{file:PATH}}`"),
            Some(
                meant(inner)
                    .unwrap_or_else(|| "write `$${` for the characters `${` themselves".to_owned()),
            ),
        )),
    }
}

/// The text of a file, as editors and shells leave it: without a byte order mark and line ends at its
/// end.
fn contents(path: &Path) -> Result<String, String> {
    let bytes = read_bounded(path, MAX_FILE).map_err(|error| match error.kind() {
        std::io::ErrorKind::IsADirectory => "is a folder".to_owned(),
        std::io::ErrorKind::FileTooLarge => "has more than 16 MiB".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let shown = path.display();
        return Err(format!(
            "is text in UTF-16: `iconv -f UTF-16 -t UTF-8 {shown} > NEW` converts it"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let shown = path.display();
        format!(
            "is not text in UTF-8: line {line} holds other bytes; if it is Latin-1, `iconv -f LATIN1 -t \
             UTF-8 {shown} > NEW` converts it"
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether it can be the name of a variable: shells take no others.
fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// A variable that is not set, or a notation of shells for one that may be not.
fn unset(name: &str, placeholder: &str) -> (String, Option<String>) {
    let end = name.find(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
    let (variable, behind) = name.split_at(end.unwrap_or(name.len()));
    if is_variable(variable) && !behind.is_empty() {
        let what = match behind.trim_start_matches(':').chars().next() {
            Some('-' | '=') => "a default",
            Some('?') => "a message",
            Some('+') => "an alternative",
            _ => "more than a name",
        };
        let message = format!(
            "`{placeholder}` has {what} behind the name of the variable, and there is no such notation here"
        );
        let value = behind.trim_start_matches(':').get(1..).unwrap_or_default();
        let help = match what {
            "a default" => format!(
                "write `${{env:{variable}}}`, and set it where the gateway is started: \
                 `export {variable}=\"${{{variable}:-{value}}}\"`"
            ),
            _ => format!("write `${{env:{variable}}}`"),
        };
        return (message, Some(help));
    }
    let trimmed = name.trim();
    if trimmed != name && is_variable(trimmed) {
        let message = format!("`{placeholder}` has spaces around the name of the variable");
        return (message, Some(format!("write `${{env:{trimmed}}}`")));
    }
    let help = is_variable(name).then(|| format!("set it: `export {name}=...`"));
    (format!("the environment has no variable `{name}`"), help)
}

/// What was most likely meant by a placeholder that is none.
fn meant(inner: &str) -> Option<String> {
    let lower = inner.to_ascii_lowercase();
    for (kind, what) in [("env", "NAME"), ("file", "PATH")] {
        let behind = lower.strip_prefix(kind).and_then(|it| it.strip_prefix([':', '.', ' ', '/']));
        if let Some(behind) = behind {
            let name = inner[inner.len() - behind.len()..].trim_start_matches([':', ' ']);
            let name = if name.is_empty() { what } else { name };
            return Some(format!("write `${{{kind}:{name}}}`"));
        }
    }
    let end = inner.find([':', '-', '?', '+', '=']).unwrap_or(inner.len());
    let name = &inner[..end];
    // Names of variables are nearly always in upper case, and those of other systems never.
    (is_variable(name) && name == name.to_ascii_uppercase()).then(|| {
        format!("for the variable of the environment write `${{env:{name}}}`, for these characters themselves `$${{`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Vec<Unfilled>> {
        let environment = |name: &str| (name == "KEY").then(|| "hunter2".into());
        let sources = Sources { environment: &environment, folder: Path::new("") };
        fill(text, &sources, Notation::Gateway).map(|filled| filled.value)
    }

    #[test]
    fn fills_in_variables_anywhere_in_a_string() {
        assert_eq!(filled("a ${env:KEY} b ${env:KEY}").as_deref(), Ok("a hunter2 b hunter2"));
        assert_eq!(filled("no $ and no {}").as_deref(), Ok("no $ and no {}"));
    }

    #[test]
    fn leaves_escaped_placeholders_alone() {
        assert_eq!(filled("$${env:KEY} ${env:KEY}").as_deref(), Ok("${env:KEY} hunter2"));
    }

    #[test]
    fn fills_in_files_beside_the_configuration_without_their_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "se\ncret\r\n").unwrap();
        let sources = Sources { environment: &|_| None, folder: folder.path() };
        let filled = fill("<${file:key}>", &sources, Notation::Plugin).map(|filled| filled.value);
        assert_eq!(filled.ok().as_deref(), Some("<se\ncret>"));
    }

    #[test]
    fn leaves_a_plugins_own_placeholders_to_the_plugin() {
        let environment = |name: &str| (name == "KEY").then(|| "hunter2".into());
        let sources = Sources { environment: &environment, folder: Path::new("") };
        let fill = |text| fill(text, &sources, Notation::Plugin).map(|filled| filled.value);
        let text = "${capture.id} $${x} ${env:KEY} $${env:KEY} ${open";
        let filled = "${capture.id} $${x} hunter2 ${env:KEY} ${open";
        assert_eq!(fill(text).as_deref(), Ok(filled));
        assert!(fill("${env:MISSING}").is_err());
    }

    #[test]
    fn advises_who_writes_as_shells_and_others_do() {
        let advice = |text: &str| {
            let error = filled(text).unwrap_err().remove(0);
            (error.message, error.help.unwrap_or_default())
        };
        for (text, message, help) in [
            ("${env:X:-d}", "has a default behind", "write `${env:X}`, and set it where"),
            ("${env:X-d}", "has a default behind", "`export X=\"${X:-d}\"`"),
            ("${env:X:=d}", "has a default behind", "`export X=\"${X:-d}\"`"),
            ("${env:X:?unset}", "has a message behind", "write `${env:X}`"),
            ("${env: X }", "has spaces around", "write `${env:X}`"),
            ("${env:X}", "has no variable `X`", "set it: `export X=...`"),
            ("${X}", "is neither", "write `${env:X}`"),
            ("${X:-d}", "is neither", "write `${env:X}`"),
            ("${env.X}", "is neither", "write `${env:X}`"),
            ("${ENV:X}", "is neither", "write `${env:X}`"),
            ("${file.x}", "is neither", "write `${file:x}`"),
            ("${file:~/x}", "cannot be read", "`~` means nothing here"),
            ("${what}", "is neither", "write `$${` for the characters"),
        ] {
            let (said, advised) = advice(text);
            assert!(said.contains(message), "{text}: {said}");
            assert!(advised.contains(help), "{text}: {advised}");
        }
    }

    #[test]
    fn reads_a_file_without_its_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "\u{feff}secret\r\n").unwrap();
        let sources = Sources { environment: &|_| None, folder: folder.path() };
        let filled = fill("${file:key}", &sources, Notation::Gateway).map(|filled| filled.value);
        assert_eq!(filled.ok().as_deref(), Some("secret"));
    }

    #[test]
    fn knows_the_files_that_a_text_names() {
        let named: Vec<_> = files("${file:a}${env:X}$${file:b} ${file:c/d} ${file:").collect();
        assert_eq!(named, ["a", "c/d"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_not_called_unset() {
        use std::os::unix::ffi::OsStringExt as _;
        let sources = Sources {
            environment: &|_| Some(OsString::from_vec(vec![b'a', 0xff])),
            folder: Path::new(""),
        };
        let filled = fill("${env:KEY}", &sources, Notation::Gateway).map(|filled| filled.value);
        let errors = filled.unwrap_err();
        let message = "the variable `KEY` of the environment is not text in UTF-8";
        assert_eq!(errors[0].message, message);
    }

    #[test]
    fn names_the_place_of_each_that_is_missing() {
        let errors = filled("${env:A} ${what} ${file:/does/not/exist} ${env:").unwrap_err();
        let places: Vec<_> = errors.iter().map(|error| error.place.clone()).collect();
        assert_eq!(places, [0..8, 9..16, 17..40, 41..47]);
        assert_eq!(errors[0].message, "the environment has no variable `A`");
    }
}
