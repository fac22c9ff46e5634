//! What a plugin declared in its interest: the names behind the positions.

use crate::Interest;

/// Names of the values that arrive with a hook, in the order in which they arrive.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) query: bool,
    pub(crate) request_fields: Vec<String>,
    pub(crate) response_fields: Vec<String>,
    pub(crate) attributes: Vec<String>,
}

impl Declared {
    pub(crate) fn new(interest: &Interest) -> Self {
        Self {
            query: interest.query,
            request_fields: interest.request_fields.clone(),
            response_fields: interest.response_fields.clone(),
            attributes: interest.attributes.clone(),
        }
    }
}
