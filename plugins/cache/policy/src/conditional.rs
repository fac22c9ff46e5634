//! Validators and conditions (RFC 9110 section 13, RFC 9111 section 4.3).

use crate::fields::{Fields, members};
use crate::{Millis, date};

/// What tells one representation from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Validators {
    /// The entity tag, with its quotes, and `W/` if it is weak.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was written.
    pub last_modified: Option<String>,
}

impl Validators {
    /// Those of a response.
    pub fn of(response: &Fields) -> Self {
        let etag = response.text("etag").filter(|tag| is_tag(tag));
        let last_modified = response.text("last-modified");
        Self { etag, last_modified: last_modified.filter(|text| date::parse(text, 0).is_some()) }
    }

    /// Whether there is any.
    pub fn is_any(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Whether a `304` with these validators is about a response with those, the only one that was asked about
    /// (RFC 9111 section 4.3.4). Servers that compress make a tag weak on the way, so that alone tells nothing.
    pub fn confirms(&self, stored: &Self) -> bool {
        match (&self.etag, &self.last_modified) {
            (Some(tag), _) => {
                stored.etag.as_deref().is_none_or(|other| opaque(tag) == opaque(other))
            }
            (None, Some(modified)) => {
                stored.last_modified.as_ref().is_none_or(|other| modified == other)
            }
            // It says nothing: it is about what was asked for.
            (None, None) => true,
        }
    }
}

/// Whether the conditions of a request for which there is a fresh response are such that it has it already: it is
/// answered 304. `generated` is when the stored response was made, in seconds.
pub fn is_not_modified(request: &Fields, stored: &Validators, generated: u64, now: Millis) -> bool {
    if let Some(tags) = request.text("if-none-match") {
        let own = stored.etag.as_deref().map(opaque);
        return tags.trim() == "*"
            || own.is_some_and(|own| members(&tags).any(|tag| is_tag(tag) && opaque(tag) == own));
    }
    let since = request.text("if-modified-since").and_then(|text| date::parse(&text, now));
    let modified = stored.last_modified.as_deref().and_then(|text| date::parse(text, now));
    since.is_some_and(|since| modified.unwrap_or(generated) <= since)
}

/// The fields that make a request conditional, and are answered from what is stored.
pub const ANSWERED: [&str; 2] = ["if-none-match", "if-modified-since"];

/// The fields that only the origin can judge.
pub const FOR_THE_ORIGIN: [&str; 2] = ["if-match", "if-unmodified-since"];

fn is_tag(tag: &str) -> bool {
    let Some(inner) = opaque(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) else {
        return false;
    };
    inner.bytes().all(|byte| byte > b' ' && byte != b'"' && byte != 0x7f)
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(etag: &str, modified: &str) -> Validators {
        let lines = [("etag", etag), ("last-modified", modified)];
        Validators::of(&lines.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let (tag, date) = ("\"abc\"", "Sun, 06 Nov 1994 08:49:37 GMT");
        let has = |name: &str, value: &str, validators: &Validators| {
            is_not_modified(&[(name, value)].into_iter().collect(), validators, 784_111_900, 0)
        };
        let both = stored(tag, date);
        for tags in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*", "\"x,\",W/\"abc\""] {
            assert!(has("if-none-match", tags, &both), "{tags}");
        }
        for tags in ["abc", "\"ab\"", "\"ABC\"", "", "\"x\""] {
            assert!(!has("if-none-match", tags, &both), "{tags}");
        }
        assert!(has("if-modified-since", date, &both));
        assert!(has("if-modified-since", "Sunday, 06-Nov-94 08:49:38 GMT", &both));
        assert!(!has("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT", &both));
        assert!(!has("if-modified-since", date, &stored(tag, "")));
        let lines = [("if-none-match", "\"x\""), ("if-modified-since", date)];
        assert!(!is_not_modified(&lines.into_iter().collect(), &both, 0, 0));
    }

    #[test]
    fn a_confirmation_is_about_what_it_names() {
        let kept = stored("\"abc\"", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(stored("\"abc\"", "").confirms(&kept));
        assert!(stored("W/\"abc\"", "").confirms(&kept));
        assert!(!stored("\"abd\"", "").confirms(&kept));
        assert!(stored("\"abc\"", "").confirms(&stored("W/\"abc\"", "")));
        assert!(stored("", "").confirms(&kept));
        assert!(!stored("", "Sun, 06 Nov 1994 08:49:38 GMT").confirms(&kept));
    }

    #[test]
    fn what_is_no_validator_is_not_sent() {
        assert!(!stored("abc", "yesterday").is_any());
        assert!(stored("W/\"\"", "").is_any());
    }
}
