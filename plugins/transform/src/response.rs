//! Changes to the head of a response.
//!
//! Owns which sets of rules are for which response, the status, and what a changed body means for the
//! fields that describe it. Bodies are `body`'s.

use std::ops::RangeInclusive;

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::body::{BodyRules, BodyState, Described, Refusal, Start};
use crate::coding::{self, DecodeError};
use crate::fields::FieldEdits;
use crate::values::Values;

/// The sets of rules for responses, in order. All that are for a response apply.
#[derive(Debug, Default)]
pub(crate) struct ResponseSets(pub(crate) Vec<ResponseRules>);

/// A set of rules for responses.
#[derive(Debug, Default)]
pub(crate) struct ResponseRules {
    /// The status codes that it is for; none means all.
    pub(crate) when: Vec<RangeInclusive<u16>>,
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

impl ResponseSets {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(ResponseRules::is_empty)
    }

    /// The fields that are changed, if nothing else is and all responses are meant.
    pub(crate) fn fields_alone(&self) -> Option<&FieldEdits> {
        match self.0.as_slice() {
            [only] if only.is_fields_alone() => Some(&only.fields),
            _ => None,
        }
    }

    /// Takes the edits away if they are of fields alone and the same for every response.
    pub(crate) fn take_constants(&mut self) -> FieldEdits {
        match self.0.as_mut_slice() {
            [only] if only.is_fields_alone() && only.fields.constants().is_some() => {
                std::mem::take(&mut only.fields)
            }
            _ => FieldEdits::default(),
        }
    }

    /// The rules for bodies of the set in this place.
    pub(crate) fn body(&self, set: usize) -> Option<&BodyRules> {
        self.0.get(set)?.body.as_ref()
    }

    /// The rules for bodies of all sets.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &BodyRules> {
        self.0.iter().filter_map(|set| set.body.as_ref())
    }

    /// Applies the rules. The body's state goes into `state` if the body is to be read.
    pub(crate) fn apply(
        &self,
        response: &mut ResponseHead,
        values: &Values,
        state: &mut BodyState,
    ) -> Result<(), Response> {
        let status = response.status();
        self.start_body(response, values, state)?;
        for set in self.for_status(status) {
            set.apply_status(status, response);
            set.fields.apply(response, values);
        }
        Ok(())
    }

    fn for_status(&self, status: u16) -> impl Iterator<Item = &ResponseRules> {
        self.0.iter().filter(move |set| set.is_for(status))
    }

    fn start_body(
        &self,
        response: &mut ResponseHead,
        values: &Values,
        state: &mut BodyState,
    ) -> Result<(), Response> {
        if self.bodies().next().is_none() {
            return Ok(());
        }
        let status = response.status();
        match status {
            ..200 | 204 => return Ok(()),
            304 => {
                // It speaks of a response whose tag was weakened (RFC 9111 section 4.3.4).
                weaken_etag(response);
                return Ok(());
            }
            _ => {}
        }
        let described = Described {
            content_type: response.header("content-type"),
            content_encoding: response.header("content-encoding"),
        };
        let sets = self.0.iter().enumerate().filter(|(_, set)| set.is_for(status));
        let sets = sets.filter_map(|(index, set)| Some((index, set.body.as_ref()?)));
        match BodyState::start(sets, described, values) {
            // The interest of rules that decode asks for bodies.
            Start::Pass if self.bodies().any(BodyRules::may_read_whole) => {
                response.want_body(BodyMode::None);
            }
            Start::Pass => {}
            Start::Refuse(_) => {
                return Err(bad_gateway("the upstream's answer has a content-encoding"));
            }
            Start::RefuseCharset => {
                return Err(bad_gateway("the upstream's answer has a charset that is not known"));
            }
            Start::Read(mode, started) => {
                response.want_body(mode);
                if started.loses_codings() {
                    response.remove_header("content-encoding");
                }
                *state = started;
                forget_the_former_body(response);
            }
        }
        Ok(())
    }
}

/// The answer instead of a response whose body is refused.
pub(crate) fn refusal(refusal: &Refusal) -> Response {
    let (why, detail) = match refusal {
        Refusal::Unreadable(reason) => {
            (reason.to_string(), "the upstream's answer is not in the format that it says")
        }
        Refusal::Encoded(DecodeError::Broken(reason)) => (
            format!("it cannot be decoded: {reason}"),
            "the upstream's answer is not what its content-encoding says",
        ),
        Refusal::Encoded(DecodeError::TooLarge(limit)) => (
            format!("decoded, it is larger than {limit} bytes (`body_limit`)"),
            "the upstream's answer is too large",
        ),
        Refusal::Encoded(DecodeError::NoRoom(window)) => (
            coding::no_room(*window),
            "the upstream's answer takes more memory than there is to decode it",
        ),
    };
    let why = format!("the upstream's answer is refused: {why}");
    log::warn!("{why}");
    bad_gateway(detail).because(why)
}

fn bad_gateway(detail: &str) -> Response {
    Response::problem(502, "Bad Gateway", detail)
}

impl ResponseRules {
    fn is_empty(&self) -> bool {
        self.status.is_none() && self.fields.is_empty() && self.body.is_none()
    }

    fn is_fields_alone(&self) -> bool {
        self.when.is_empty() && self.status.is_none() && self.body.is_none()
    }

    fn is_for(&self, status: u16) -> bool {
        self.when.is_empty() || self.when.iter().any(|range| range.contains(&status))
    }

    fn apply_status(&self, before: u16, response: &mut ResponseHead) {
        let Some(rule) = &self.status else {
            return;
        };
        // 101 is not an answer to be changed: the connection has changed hands.
        if before >= 200
            && let Some(status) = rule.becomes(before)
            && status != before
        {
            response.set_status(status);
        }
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
