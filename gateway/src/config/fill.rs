//! `${env:NAME}` and `${file:PATH}` inside strings.
//!
//! Owns the notation and the look-up. What it fills in is taken for a secret: its errors name the
//! place and never the value.

use std::ops::Range;
use std::path::Path;

/// Where values come from.
pub(super) struct Sources<'a> {
    /// A variable of the environment, if it is set.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
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
    /// Where the placeholder stands in the string.
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

/// Fills in every placeholder; `$${` stands for `${`. All that cannot be filled in are errors.
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

fn look_up(placeholder: &str, sources: &Sources<'_>) -> Result<String, (String, Option<String>)> {
    let inner = &placeholder[2..placeholder.len() - 1];
    match inner.split_once(':') {
        Some(("env", name)) if !name.is_empty() => (sources.environment)(name).ok_or_else(|| {
            let help = format!("set it: `export {name}=...`");
            (format!("the environment has no variable `{name}`"), Some(help))
        }),
        Some(("file", path)) if !path.is_empty() => {
            let path = sources.folder.join(path);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    Err((format!("the file `{}` cannot be read: {error}", path.display()), None))
                }
            }
        }
        _ => Err((
            format!("`{placeholder}` is neither `${{env:NAME}}` nor `${{file:PATH}}`"),
            Some("write `$${` for the characters `${` themselves".to_owned()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Vec<Unfilled>> {
        let environment = |name: &str| (name == "KEY").then(|| "hunter2".to_owned());
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
        let environment = |name: &str| (name == "KEY").then(|| "hunter2".to_owned());
        let sources = Sources { environment: &environment, folder: Path::new("") };
        let fill = |text| fill(text, &sources, Notation::Plugin).map(|filled| filled.value);
        let text = "${capture.id} $${x} ${env:KEY} $${env:KEY} ${open";
        let filled = "${capture.id} $${x} hunter2 ${env:KEY} ${open";
        assert_eq!(fill(text).as_deref(), Ok(filled));
        assert!(fill("${env:MISSING}").is_err());
    }

    #[test]
    fn names_the_place_of_each_that_is_missing() {
        let errors = filled("${env:A} ${what} ${file:/does/not/exist} ${env:").unwrap_err();
        let places: Vec<_> = errors.iter().map(|error| error.place.clone()).collect();
        assert_eq!(places, [0..8, 9..16, 17..40, 41..47]);
        assert_eq!(errors[0].message, "the environment has no variable `A`");
    }
}
