//! Which bodies a rule is for, by their `content-type`.
//!
//! Owns patterns of media types (RFC 9110 section 8.3.1). Parameters do not matter to them; `charset` is
//! `charset`'s.

/// A pattern of media types, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `*/*`: every body, one without `content-type` too.
    Any,
    /// `type/*`, kept with its slash.
    Type(String),
    /// `+suffix`, kept with its plus.
    Suffix(String),
    /// `type/subtype`
    Exact(String),
}

impl Pattern {
    /// Parses a pattern. The error says what is wrong with it, in a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let is_token = |part: &str| {
            !part.is_empty() && part != "*" && part.bytes().all(crate::encode::is_token)
        };
        if text == "*/*" {
            return Ok(Self::Any);
        }
        if let Some(suffix) = text.strip_prefix('+').filter(|suffix| is_token(suffix)) {
            return Ok(Self::Suffix(format!("+{suffix}")));
        }
        match text.split_once('/') {
            Some((kind, "*")) if is_token(kind) => Ok(Self::Type(format!("{kind}/"))),
            Some((kind, subtype)) if is_token(kind) && is_token(subtype) => Ok(Self::Exact(text)),
            _ => Err(format!(
                "`{text}` is not a media type: write `type/subtype`, `type/*`, `+suffix` or `*/*`"
            )),
        }
    }

    pub(crate) fn matches(&self, content_type: Option<&str>) -> bool {
        let Some(content_type) = content_type else {
            return *self == Self::Any;
        };
        // Several lines arrive joined (RFC 9110 section 5.3). A rule that is for one of them holds: who sends a
        // second line does not go around it.
        content_type.split(',').any(|one| self.matches_one(one))
    }

    fn matches_one(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().as_bytes();
        match self {
            Self::Any => true,
            Self::Type(prefix) => essence
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
            Self::Suffix(suffix) => essence
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| essence[at..].eq_ignore_ascii_case(suffix.as_bytes())),
            Self::Exact(exact) => essence.eq_ignore_ascii_case(exact.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_by_type_suffix_and_name_in_any_case_without_parameters() {
        for (pattern, content_type, matches) in [
            ("application/json", Some("Application/JSON; charset=utf-8"), true),
            ("application/json", Some("application/jsonl"), false),
            ("application/json", None, false),
            ("text/*", Some("text/html"), true),
            ("text/*", Some("texts/html"), false),
            ("text/*", Some("text"), false),
            ("+json", Some("application/problem+json"), true),
            ("+JSON", Some("application/problem+json ;x=1"), true),
            ("+json", Some("application/json"), false),
            ("application/json", Some("application/json, text/plain"), true),
            ("+json", Some("text/plain;a=b, application/problem+json;c"), true),
            ("text/*", Some("application/json, text"), false),
            ("*/*", Some("image/png"), true),
            ("*/*", None, true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(content_type), matches, "{pattern} {content_type:?}");
        }
    }

    #[test]
    fn rejects_what_is_no_pattern() {
        for text in ["", "json", "+", "/*", "text/", "*/json", "a/b/c", "text/html; charset=x"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
