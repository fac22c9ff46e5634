//! Which bodies an expression is for, and what happens to those that it cannot change.

use gateway_plugin_sdk::log;
use gateway_plugin_sdk::prelude::*;

use crate::coding::{self, Coding, DecodeError};
use crate::config::{EncodedPolicy, Policy, SideSpec};
use crate::expression::{Expression, Failure, Variables};
use crate::media_type::Pattern;

const TYPES: [&str; 2] = ["application/json", "+json"];

/// The rules for bodies of one direction.
#[derive(Debug)]
pub(crate) struct Rules {
    expression: Expression,
    types: Vec<Pattern>,
    pub(crate) limit: u64,
    on_invalid_json: Policy,
    on_failure: Policy,
    on_encoded_body: EncodedPolicy,
}

/// What the head says about a body.
pub(crate) enum Start {
    /// The expression is not for it.
    Pass,
    /// It has a coding, and that is refused: with the codings that would not be.
    Refuse(&'static str),
    /// It is read, and has these codings.
    Read(Vec<Coding>),
}

/// Why a body is refused when it is there.
#[derive(Debug)]
pub(crate) enum Refusal {
    InvalidJson(String),
    Expression(String),
    Encoded(DecodeError),
}

impl Rules {
    /// Checks a specification. Its faults go into `problems`, with their places.
    pub(crate) fn check(
        at: &str,
        spec: &SideSpec,
        problems: &mut Vec<ConfigError>,
    ) -> Option<Self> {
        let mut types = Vec::new();
        let listed = spec.types.iter().flatten().map(String::as_str);
        let names: Vec<&str> = if spec.types.is_some() { listed.collect() } else { TYPES.to_vec() };
        for (index, name) in names.into_iter().enumerate() {
            match Pattern::parse(name) {
                Ok(pattern) => types.push(pattern),
                Err(error) => problems.push(ConfigError::at(format!("{at}/types/{index}"), error)),
            }
        }
        for (index, name) in spec.headers.iter().enumerate() {
            if let Err(error) = HeaderName::parse(name) {
                let place = format!("{at}/headers/{index}");
                problems.push(ConfigError::at(place, format!("`{name}`: {error}")));
            }
        }
        let has_status = at == "/response";
        match Expression::compile(&spec.expression, &spec.headers, &spec.attributes, has_status) {
            Ok(expression) => Some(Self {
                expression,
                types,
                limit: spec.body_limit.0,
                on_invalid_json: spec.on_invalid_json,
                on_failure: spec.on_failure,
                on_encoded_body: spec.on_encoded_body,
            }),
            Err(faults) => {
                let place = format!("{at}/expression");
                problems.extend(faults.into_iter().map(|fault| ConfigError::at(&place, fault)));
                None
            }
        }
    }

    /// Decides by the head.
    pub(crate) fn start(&self, content_type: Option<&str>, encoding: Option<&str>) -> Start {
        if !self.types.iter().any(|pattern| pattern.matches(content_type)) {
            return Start::Pass;
        }
        let Some(field) = encoding.filter(|field| coding::is_coded(field)) else {
            return Start::Read(Vec::new());
        };
        match self.on_encoded_body {
            EncodedPolicy::Pass => Start::Pass,
            EncodedPolicy::Decode | EncodedPolicy::Recode => {
                if let Some(codings) = coding::parse(field) {
                    return Start::Read(codings);
                }
                log::warn!("a body is refused: what can be decoded is {}", coding::KNOWN);
                Start::Refuse(coding::KNOWN)
            }
            EncodedPolicy::Reject => {
                log::warn!(
                    "a body with content-encoding `{field}` is refused; \
                     `on_encoded_body = \"decode\"` would decode it"
                );
                Start::Refuse("identity")
            }
        }
    }

    /// Whether the codings are put on again.
    fn recodes(&self, codings: &[Coding]) -> bool {
        self.on_encoded_body == EncodedPolicy::Recode && coding::can_be_put_on(codings)
    }

    /// Whether a body with these codings goes on without them.
    pub(crate) fn loses(&self, codings: &[Coding]) -> bool {
        !codings.is_empty() && !self.recodes(codings)
    }

    /// Changes a body.
    pub(crate) fn change(
        &self,
        codings: &[Coding],
        body: &mut Body,
        head: &Variables<'_>,
    ) -> Result<(), Refusal> {
        if body.bytes().is_empty() {
            return Ok(());
        }
        let decoded = match codings {
            [] => None,
            _ => Some(coding::decode(codings, body.bytes(), self.limit).map_err(Refusal::Encoded)?),
        };
        let changed = match self.expression.run(decoded.as_deref().unwrap_or(body.bytes()), head) {
            Ok(changed) => Some(changed.into_bytes()),
            Err(Failure::NotJson(reason)) if self.on_invalid_json == Policy::Reject => {
                return Err(Refusal::InvalidJson(reason));
            }
            Err(Failure::Expression(reason)) if self.on_failure == Policy::Reject => {
                return Err(Refusal::Expression(reason));
            }
            Err(Failure::NotJson(reason) | Failure::Expression(reason)) => {
                log::debug!("the body is left as it is: {reason}");
                decoded.filter(|_| self.loses(codings))
            }
        };
        if let Some(changed) = changed {
            body.set(if self.recodes(codings) {
                coding::encode(codings, changed)
            } else {
                changed
            });
        }
        Ok(())
    }
}
