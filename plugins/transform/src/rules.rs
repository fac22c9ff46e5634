//! From the configuration to rules that are ready to run.
//!
//! Owns every check that the shape of the configuration cannot express, and reports all faults
//! with their places. After it, nothing can be wrong but what an exchange brings along.

mod body;
mod head;

use gateway_plugin_sdk::prelude::*;

use crate::config::{AcceptEncoding, Config, EncodedPolicy, ResponseSpecs};
use crate::fields::FieldEdits;
use crate::request::{Asks, RequestRules};
use crate::response::ResponseSets;
use crate::template::{Direction, Reference, References, Template};
use crate::values::Plan;

/// All that is made of a configuration.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) request: RequestRules,
    pub(crate) response: ResponseSets,
    /// The edits of every request and of every response, for which no hook is needed. They are not
    /// among the rules above.
    pub(crate) every_request: FieldEdits,
    pub(crate) every_response: FieldEdits,
    /// What the templates refer to, by index.
    pub(crate) references: Vec<Reference>,
    pub(crate) plan: Plan,
    /// Whether all that is written into a response is known with its request, and there is a hook
    /// for that anyway: it then goes with the request, and responses need no hook.
    pub(crate) writes_response_early: bool,
}

impl Rules {
    /// Checks a configuration.
    pub(crate) fn check(config: &Config) -> Result<Self, ConfigError> {
        let mut check = Check::new();
        let request = check.request(&config.request);
        check.direction = Direction::Response;
        let mut response = check.responses(&config.response);
        let mut request = RequestRules { asks: asks(&config.response, &response), ..request };
        if check.problems.is_empty() && request.is_empty() && response.is_empty() {
            check.problem("", "nothing is to be changed: `request` and `response` have no rules");
        }
        ConfigError::collect(check.problems)?;
        let every_request = if request.are_constant() {
            std::mem::take(&mut request.fields)
        } else {
            FieldEdits::default()
        };
        let every_response = response.take_constants();
        let plan = Plan::new(&check.references, check.references.table());
        let references = check.references.table().to_vec();
        let sees_requests = !request.is_empty() || !plan.carried.is_empty();
        let reads_no_response = response
            .fields_alone()
            .is_some_and(|fields| !fields.is_empty() && fields.reads().next().is_none());
        let writes_response_early =
            sees_requests && reads_no_response && plan.response_reads.is_empty();
        Ok(Self {
            request,
            response,
            every_request,
            every_response,
            references,
            plan,
            writes_response_early,
        })
    }
}

/// What requests have to ask for, so that the bodies of their responses can be changed.
fn asks(specs: &ResponseSpecs, sets: &ResponseSets) -> Asks {
    let changes = specs.list().zip(&sets.0).filter(|(_, set)| set.body.is_some());
    changes.fold(Asks::Nothing, |asks, ((_, spec), _)| match spec.accept_encoding {
        AcceptEncoding::Client if asks != Asks::Plain => Asks::Codings {
            put_on: asks == Asks::Codings { put_on: true }
                || spec.on_encoded_body == EncodedPolicy::Recode,
        },
        AcceptEncoding::Client | AcceptEncoding::Identity => Asks::Plain,
    })
}

/// A check under way.
struct Check {
    direction: Direction,
    references: References,
    problems: Vec<ConfigError>,
}

impl Check {
    fn new() -> Self {
        Self {
            direction: Direction::Request,
            references: References::default(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(ConfigError::at(pointer, message));
    }

    /// The value of a result, whose error is a problem at this place.
    fn accept<T>(&mut self, pointer: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(pointer, message)).ok()
    }

    fn template(&mut self, pointer: &str, text: &str) -> Option<Template> {
        let template = Template::parse(text, self.direction, &mut self.references);
        self.accept(pointer, template)
    }

    /// A template whose own text must pass a test.
    fn template_of(
        &mut self,
        pointer: &str,
        text: &str,
        is_valid: impl Fn(&str) -> bool,
        message: &str,
    ) -> Option<Template> {
        let template = self.template(pointer, text)?;
        if template.literals().all(is_valid) {
            return Some(template);
        }
        self.problem(pointer, message);
        None
    }
}

/// A reference token of a JSON Pointer (RFC 6901 section 3).
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
