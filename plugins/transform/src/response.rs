//! Changes to the head of a response.
//!
//! Owns the status, and what a changed body means for the fields that describe it. Bodies are
//! `body`'s.

use gateway_plugin_sdk::prelude::*;

use crate::body::{BodyRules, BodyState, Start};
use crate::fields::FieldEdits;
use crate::values::Values;

/// The rules for responses.
#[derive(Debug, Default)]
pub(crate) struct ResponseRules {
    pub(crate) status: Option<StatusRule>,
    pub(crate) fields: FieldEdits,
    pub(crate) body: Option<BodyRules>,
}

/// Which status code becomes which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StatusRule {
    All(u16),
    Some {
        /// Old and new codes.
        codes: Vec<(u16, u16)>,
        /// First digits and the new code for those.
        classes: Vec<(u16, u16)>,
    },
}

impl StatusRule {
    fn becomes(&self, status: u16) -> Option<u16> {
        match self {
            Self::All(new) => Some(*new),
            Self::Some { codes, classes } => {
                let find = |list: &[(u16, u16)], old: u16| {
                    list.iter().find(|(known, _)| *known == old).map(|(_, new)| *new)
                };
                find(codes, status).or_else(|| find(classes, status / 100))
            }
        }
    }
}

impl ResponseRules {
    pub(crate) fn is_empty(&self) -> bool {
        self.status.is_none() && self.fields.is_empty() && self.body.is_none()
    }

    /// Whether they are edits of fields alone that are the same for every response.
    pub(crate) fn are_constant(&self) -> bool {
        self.status.is_none() && self.body.is_none() && self.fields.constants().is_some()
    }

    /// Whether they are edits of fields alone, and none depends on what the response has.
    pub(crate) fn reads_no_response(&self) -> bool {
        let is_fields_alone = self.status.is_none() && self.body.is_none();
        is_fields_alone && !self.fields.is_empty() && self.fields.reads().next().is_none()
    }

    /// Applies the rules. The body's state goes into `state` if the body is to be read.
    pub(crate) fn apply(
        &self,
        response: &mut ResponseHead,
        values: &Values,
        state: &mut BodyState,
    ) -> Result<(), Response> {
        self.start_body(response, values, state)?;
        self.apply_status(response);
        self.fields.apply(response, values);
        Ok(())
    }

    fn apply_status(&self, response: &mut ResponseHead) {
        let Some(rule) = &self.status else {
            return;
        };
        let before = response.status();
        // 101 is not an answer to be changed: the connection has changed hands.
        if before >= 200
            && let Some(status) = rule.becomes(before)
            && status != before
        {
            response.set_status(status);
        }
    }

    fn start_body(
        &self,
        response: &mut ResponseHead,
        values: &Values,
        state: &mut BodyState,
    ) -> Result<(), Response> {
        let Some(rules) = &self.body else {
            return Ok(());
        };
        match response.status() {
            ..200 | 204 => return Ok(()),
            304 => {
                // It speaks of a response whose tag was weakened (RFC 9111 section 4.3.4).
                weaken_etag(response);
                return Ok(());
            }
            _ => {}
        }
        let content_type = response.header("content-type");
        match rules.start(content_type, response.header("content-encoding"), values) {
            Start::Pass => {}
            Start::Refuse => {
                return Err(Response::problem(
                    502,
                    "Bad Gateway",
                    "the upstream's answer has a content-encoding",
                ));
            }
            Start::Read(mode, started) => {
                response.want_body(mode);
                *state = started;
                forget_the_former_body(response);
            }
        }
        Ok(())
    }
}

/// The fields that are only true of the upstream's own bytes.
const OF_THE_BYTES: [&str; 5] =
    ["accept-ranges", "content-digest", "content-md5", "digest", "repr-digest"];

fn forget_the_former_body(response: &mut ResponseHead) {
    weaken_etag(response);
    for name in OF_THE_BYTES {
        response.remove_header(name);
    }
}

/// A strong tag promises the same bytes (RFC 9110 section 8.8.1); a weak one still saves the
/// client a download.
fn weaken_etag(response: &mut ResponseHead) {
    let weak = match response.header("etag") {
        Some(tag) if tag.starts_with('"') => format!("W/{tag}"),
        _ => return,
    };
    response.set_header("etag", weak);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_wins_over_its_class() {
        let rule = StatusRule::Some { codes: vec![(404, 200)], classes: vec![(4, 400), (5, 502)] };
        assert_eq!(rule.becomes(404), Some(200));
        assert_eq!(rule.becomes(410), Some(400));
        assert_eq!(rule.becomes(503), Some(502));
        assert_eq!(rule.becomes(200), None);
    }
}
