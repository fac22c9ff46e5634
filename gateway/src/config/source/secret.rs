//! What of a value that was filled in must not be seen in a message, not even in part.
//!
//! Owns the choice of parts, and how they are taken out of words. The names that are beside a secret
//! (of a user, of a key) stay: messages have to name them.

use std::collections::HashSet;

use serde_json::Value;

/// So many bytes in a row are no coincidence.
const RUN: usize = 16;

/// Members of a JSON Web Key that name it or say what it is for (RFC 7517 section 4).
const NAMES: [&str; 9] = ["alg", "crv", "iss", "issuer", "key_ops", "kid", "kty", "use", "x5u"];

/// The parts of a value that are long enough to be a secret by themselves.
pub(super) fn parts(value: &str) -> Vec<String> {
    let mut parts = Vec::new();
    match serde_json::from_str::<Value>(value) {
        Ok(document @ (Value::Object(_) | Value::Array(_))) => texts(&document, &mut parts),
        _ => {
            for word in value.lines().flat_map(words) {
                parts.push(word.to_owned());
            }
        }
    }
    parts.retain(|part| part.len() >= RUN);
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
    parts
}

/// The texts of a JSON document, but for those that are names.
fn texts(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => {
            let secret = members.iter().filter(|(name, _)| !NAMES.contains(&name.as_str()));
            secret.for_each(|(_, member)| texts(member, found));
        }
        _ => {}
    }
}

/// A line as it is; of a line of an htpasswd file, what is behind the name; of PEM, what stands
/// between the borders.
fn words(line: &str) -> Vec<&str> {
    let line = line.trim();
    if line.contains("-----BEGIN ") || line.contains("-----END ") {
        return line.split("-----").flat_map(str::split_whitespace).collect();
    }
    match line.split_once(':') {
        Some((_, hash)) if hash.starts_with(['$', '{']) => vec![hash],
        _ => vec![line],
    }
}

/// The words with the placeholder instead of each run that they have in common with a part.
pub(super) fn without_runs(words: &str, part: &str, placeholder: &str) -> String {
    if words.len() < RUN || part.len() < RUN {
        return words.to_owned();
    }
    let runs: HashSet<&[u8]> = part.as_bytes().windows(RUN).collect();
    let mut left = String::with_capacity(words.len());
    let mut hidden = 0;
    let starts: Vec<bool> = words.as_bytes().windows(RUN).map(|run| runs.contains(run)).collect();
    let mut was_hidden = false;
    for (at, character) in words.char_indices() {
        // A run may begin or end inside of a character; the whole character goes.
        let end = at + character.len_utf8();
        for start in at..end {
            if starts.get(start).copied().unwrap_or(false) {
                hidden = start + RUN;
            }
        }
        let is_hidden = at < hidden;
        if is_hidden && !was_hidden {
            left.push_str(placeholder);
        } else if !is_hidden {
            left.push(character);
        }
        was_hidden = is_hidden;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_names_beside_secrets() {
        let hash = "$2b$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";
        assert_eq!(parts(&format!("someone@example.com:{hash}\nx:y")), [hash]);
        let jwk =
            r#"{"keys":[{"kid":"2011-04-29-and-so-on","kty":"RSA","d":"X4cTteJY_gn4FYPsXB8r"}]}"#;
        assert_eq!(parts(jwk), ["X4cTteJY_gn4FYPsXB8r"]);
        assert_eq!(parts("a:a passphrase with spaces"), ["a:a passphrase with spaces"]);
        assert_eq!(parts("short"), [""; 0]);
    }

    #[test]
    fn takes_out_runs_wherever_they_begin_and_end() {
        let part = "0123456789abcdefghijö0123";
        let hidden = |words: &str| without_runs(words, part, "*");
        assert_eq!(hidden("x 23456789abcdefgh y"), "x * y");
        assert_eq!(hidden("x 23456789abcdefg y"), "x 23456789abcdefg y");
        assert_eq!(hidden("0123456789abcdefghijö0123"), "*");
        assert_eq!(hidden("ä6789abcdefghijö"), "ä*");
        assert_eq!(hidden(""), "");
    }
}
