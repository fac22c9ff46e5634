//! Lists of methods and of fields.
//!
//! Owns their check, and what `*` means: whatever is asked for.

use gateway_plugin_sdk::prelude::{ConfigError, HeaderName};

/// Names, or all.
#[derive(Debug)]
pub(crate) enum Names {
    All,
    These(Vec<String>),
}

/// Methods that a browser never sends for a page (Fetch, "forbidden method").
const FORBIDDEN: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

impl Names {
    /// Reads methods; what is wrong goes to `errors`.
    pub(crate) fn methods(written: &[String], errors: &mut Vec<ConfigError>) -> Self {
        Self::of("/methods", written, errors, |text| {
            let upper = text.to_ascii_uppercase();
            if HeaderName::parse(text).is_err() {
                Err(format!("`{text}` is no method"))
            } else if FORBIDDEN.contains(&&*upper) {
                Err(format!("no browser lets a page send {upper}"))
            } else if *text != upper {
                Err(format!("methods are compared letter by letter: write {upper}"))
            } else {
                Ok(upper)
            }
        })
    }

    /// Reads names of fields; what is wrong goes to `errors`.
    pub(crate) fn headers(place: &str, written: &[String], errors: &mut Vec<ConfigError>) -> Self {
        Self::of(place, written, errors, |text| match HeaderName::parse(text) {
            Ok(name) => Ok(name.as_str().to_owned()),
            Err(error) => Err(format!("`{text}`: {error}")),
        })
    }

    fn of(
        place: &str,
        written: &[String],
        errors: &mut Vec<ConfigError>,
        check: impl Fn(&String) -> Result<String, String>,
    ) -> Self {
        if written.iter().any(|text| text == "*") {
            if written.len() > 1 {
                errors.push(ConfigError::at(place, "beside `*` no other name has an effect"));
            }
            return Self::All;
        }
        let mut names = Vec::new();
        for (index, text) in written.iter().enumerate() {
            match check(text) {
                Ok(name) => names.push(name),
                Err(message) => errors.push(ConfigError::at(format!("{place}/{index}"), message)),
            }
        }
        Self::These(names)
    }

    /// Whether it is every name.
    pub(crate) fn are_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// As the value of a field; `None` for no names.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::All => Some("*".to_owned()),
            Self::These(names) => (!names.is_empty()).then(|| names.join(", ")),
        }
    }
}
