//! Which values may be secrets, by the names of their keys.
//!
//! Owns the rule, for all that is shown of a configuration: lines in messages, and the admin API. A name that is not
//! quite one of these counts too, since who misspells `password` has written a password behind it. Must not know where a
//! configuration is shown.

use std::ops::Range;

use super::suggest::closest;

/// Parts of the names of fields and parameters that hold a secret, as a rule.
const OF_FIELDS: [&str; 8] =
    ["authorization", "cookie", "credential", "key", "passw", "secret", "signature", "token"];
/// Fields that hold none.
const HARMLESS: [&str; 5] = ["accept", "accept-language", "content-type", "host", "user-agent"];
/// Parts of the names of keys.
const PARTS: [&str; 6] =
    ["authorization", "credential", "passphrase", "passw", "secret", "set-cookie"];
/// The last word of names of keys.
const WORDS: [&str; 8] =
    ["apikey", "digest", "hash", "htpasswd", "jwk", "jwks", "passcode", "token"];
/// What stands before `key` where it is a secret, and not a path, a field or what requests are told apart by.
const KEYS: [&str; 7] = ["access", "account", "api", "encryption", "private", "shared", "signing"];
/// What is misspelled.
const MISSPELLED: [&str; 8] = [
    "authorization",
    "credential",
    "digest",
    "htpasswd",
    "passphrase",
    "password",
    "secret",
    "token",
];
/// Letters and digits of a part of a path, at least, to be a token.
const TOKEN: usize = 16;

/// Whether a field or a parameter of this name holds a secret, as a rule.
pub(crate) fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OF_FIELDS.iter().any(|word| name.contains(word))
}

/// Whether a field that the gateway itself sends may hold a secret: all but a few.
pub(super) fn is_secret_field(name: &str) -> bool {
    !HARMLESS.contains(&&*name.to_ascii_lowercase())
}

/// Whether the text under a key of a configuration may be a secret.
pub(super) fn is_secret_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if PARTS.iter().any(|part| name.contains(part)) {
        return true;
    }
    let mut words = name.rsplit(|letter: char| !letter.is_ascii_alphanumeric());
    let last = words.next().unwrap_or_default();
    let last = last.strip_suffix('s').filter(|it| it.len() > 3).unwrap_or(last);
    // How many a request may have, and no token.
    if last == "token" && name.starts_with("max") {
        return false;
    }
    if WORDS.contains(&last) || last == "key" && words.next().is_some_and(|it| KEYS.contains(&it)) {
        return true;
    }
    closest(&name, MISSPELLED).is_some()
}

/// What of a path with a query must not be seen: the values of the query, and parts that look like tokens.
pub(super) fn in_path(text: &str) -> Vec<Range<usize>> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let mut hidden = Vec::new();
    let mut at = 0;
    for part in path.split('/') {
        let has = |is: fn(&u8) -> bool| part.as_bytes().iter().any(is);
        let is_long = part.len() >= TOKEN && !part.contains('.');
        if is_long && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) {
            hidden.push(at..at + part.len());
        }
        at += part.len() + 1;
    }
    for part in query.split('&') {
        let value = part.find('=').map_or(0, |equals| equals + 1);
        if value < part.len() {
            hidden.push(at + value..at + part.len());
        }
        at += part.len() + 1;
    }
    hidden
}

/// What of a text must not be seen wherever it stands: what is before an `@` in a URL, and `USER:PASSWORD@`. Also what is
/// no user: a password that is not encoded may have any letter in it.
pub(super) fn in_urls(text: &str) -> Vec<Range<usize>> {
    let ends = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '`');
    let mut hidden = Vec::new();
    let mut begin = 0;
    for word in text.split(ends) {
        let mut starts: Vec<_> = word.match_indices("://").map(|(at, it)| at + it.len()).collect();
        if starts.is_empty() && is_user_at_host(word) {
            starts.push(0);
        }
        if let (Some(start), Some(at)) = (starts.first(), word.rfind('@'))
            && start < &at
        {
            hidden.push(begin + start..begin + at);
        }
        begin += word.len();
        begin += text[begin..].chars().next().map_or(0, char::len_utf8);
    }
    hidden
}

/// `USER:PASSWORD@HOST`, without a scheme.
fn is_user_at_host(word: &str) -> bool {
    let Some((user, host)) = word.rsplit_once('@') else { return false };
    let is_host = host.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '[');
    let (name, password) = user.split_once(':').unwrap_or_default();
    // `gateway:plugin/slots@0.1.0` is the version of an interface.
    is_host && !password.is_empty() && !name.is_empty() && !user.contains('/') && name != "mailto"
}

/// The placeholders in a text: they say where a secret is, and not what it is.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices("${").filter_map(|(at, _)| {
        let rest = &text[at + 2..];
        let is_one = rest.starts_with("env:") || rest.starts_with("file:");
        let end = rest.find('}').filter(|_| is_one)?;
        (!rest[..end].contains('{')).then_some(at..at + 2 + end + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_of_secrets_and_their_slips() {
        for name in [
            "password",
            "passwort",
            "pasword",
            "db_password",
            "client_secret",
            "secert",
            "token",
            "admin-token",
            "tokens",
            "tokne",
            "digest",
            "hash",
            "htpasswd",
            "htpaswd",
            "api_key",
            "x-api-key",
            "apikey",
            "private_key",
            "signing_key",
            "Authorization",
            "jwk",
            "passphrase",
        ] {
            assert!(is_secret_key(name), "{name}");
        }
        for name in [
            "key",
            "keys",
            "address",
            "path",
            "hosts",
            "file",
            "name",
            "paths",
            "component",
            "token_endpoint",
            "max_output_tokens",
            "max-tokens",
            "key_wait",
            "header",
            "algorithms",
            "issuer",
            "document",
            "api",
            "upstream",
            "routes",
            "limit",
            "window",
            "group",
            "consumer",
            "cookie",
            "redis",
        ] {
            assert!(!is_secret_key(name), "{name}");
        }
    }

    fn without(text: &str, hidden: Vec<Range<usize>>) -> String {
        hidden.iter().rev().fold(text.to_owned(), |mut text, place| {
            text.replace_range(place.clone(), "*");
            text
        })
    }

    #[test]
    fn finds_what_paths_and_urls_must_not_show() {
        for (text, shown) in [
            ("/.well-known/jwks.json", "/.well-known/jwks.json"),
            ("/keys?token=abc&v=1&x", "/keys?token=*&v=*&*"),
            ("/hooks/T024BE7LD/xoxb1234567890abcdef", "/hooks/T024BE7LD/*"),
        ] {
            assert_eq!(without(text, in_path(text)), shown);
        }
        for (text, shown) in [
            ("redis://ada:h/t@r2@h:1/0", "redis://*@h:1/0"),
            ("ada:hunter2@cache:6379", "*@cache:6379"),
            ("a https://u:p@b, and c:d@e", "a https://*@b, and *@e"),
            ("mailto:a@b and a@b, 10:30@", "mailto:a@b and a@b, 10:30@"),
            ("`gateway:plugin/slots@0.1.0`", "`gateway:plugin/slots@0.1.0`"),
        ] {
            assert_eq!(without(text, in_urls(text)), shown);
        }
        let text = "Bearer ${env:A}, ${x} ${file:b}";
        let found: Vec<_> = placeholders(text).map(|place| &text[place]).collect();
        assert_eq!(found, ["${env:A}", "${file:b}"]);
    }
}
